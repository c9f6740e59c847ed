"""A training in slices. It learns the messages that stand alone, and then what conversations add
(followup_training.py). The last pass over the messages trains the model on all of them. The passes
before it leave some out and score these: one fold each, to measure accuracy; and all labels of a
fifth of the agents together with all out-of-scope labels, to measure false accepts on unknown
topics.

Between slices a training can be stored as bytes. It can be killed and resumed anywhere, and makes
the same model to the byte.
"""

import hashlib
import json
import random
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace

from edgeneuro import bounded_json
from edgeneuro.classifier.calibration import Calibration
from edgeneuro.classifier.dense import DenseWeights
from edgeneuro.classifier.examples import FOLDS, OUT_OF_SCOPE, Examples
from edgeneuro.classifier.familiar import Familiarity
from edgeneuro.classifier.followup_training import FollowUpTraining
from edgeneuro.classifier.held_out import LEFT_OUT_CLASS, UNSEEN_OUT_OF_SCOPE, HeldOut
from edgeneuro.classifier.learner import learner_from_bytes, new_learner
from edgeneuro.classifier.measured import Measured
from edgeneuro.classifier.model import Model, quantise, quantise_dense
from edgeneuro.classifier.near_texts import NearTexts, near_texts
from edgeneuro.classifier.needs import LEFT_OUT_AGENTS, MIN_FAIR_LABELS
from edgeneuro.classifier.plan import FIRST_RATE, FOLD_ORDER, Plan
from edgeneuro.classifier.shortlist import ShortlistFit, fit_shortlist
from edgeneuro.classifier.sources import AGENT_TEXT, HUMAN, MODEL, by_source_of, weighted_rate
from edgeneuro.classifier.weights import Suspect, suspects

_CHECKSUM_BYTES = 32
_STATE_FORMAT = 3  # of a stored state; that of version 0.1.0 has none
# Labels that people gave, from which on nothing else is measured. With about so many, thresholds
# are as precise as they promise (docs/classifier-design.md).
MIN_HUMAN_LABELS = 100
_MIN_HELD_OUT = 2_500  # questions, until which folds are held out
# The other passes. Stored states of trainings hold these numbers.
_UNKNOWN_TOPICS, _ALL = FOLDS, FOLDS + 1


class Training:
    """One training. In a pass each example that is trained on is visited once per epoch, then each
    left-out one once."""

    def __init__(self, examples: Examples, plan: Plan) -> None:
        if not examples.classes:
            raise ValueError("no label names an agent, so there is nothing to learn")
        self._examples, self._plan = examples, plan
        self._epochs = plan.epochs_for(len(examples))
        self._measured = _measured(examples)
        self._holds_out_hard = _holds_out_hard(examples, self._measured)
        self._passes = _passes(examples, self._measured, hard=self._holds_out_hard)
        self._pass = self._visit = 0
        self._learner = new_learner(examples)
        self._held: list[HeldOut] = []
        self._indices = array("I")  # of the held-out questions among the examples
        self._ranks = array("H")  # of their labels among the classes; 0 of negatives
        # Made when needed: the examples that this pass trains on and leaves out, and their order.
        self._split: tuple[Sequence[int], Sequence[int]] | None = None
        self._near: tuple[NearTexts | None] | None = None  # of what this pass has learned
        self._labelled_groups = examples.labelled_groups()
        self._order: tuple[int, Sequence[int]] | None = None
        self._shown: Measured | None = None
        self.follow_ups = FollowUpTraining(examples, plan)
        self.familiarity = Familiarity(examples, self._held, self._indices)

    @property
    def finished(self) -> bool:
        return self._knows_messages and self.follow_ups.finished

    @property
    def _knows_messages(self) -> bool:
        return self._pass == len(self._passes)

    @property
    def passes(self) -> tuple[int, int]:
        """How many passes are done, and how many there are."""
        done, all_passes = self.follow_ups.passes
        return self._pass + done, len(self._passes) + all_passes

    def step(self, visits: int) -> int:
        """Runs at most so many visits; returns how many were needed."""
        left = visits
        while left and not self._knows_messages:
            left -= self._learn(left) or self._score(left) or self._next_pass()
        return visits - left + self.follow_ups.step(left)

    def _learn(self, most: int) -> int:
        learned, _ = self._members()
        total = len(learned) * self._epochs
        if self._visit >= total:
            return 0
        epoch, place = divmod(self._visit, len(learned))
        order = self._epoch_order(epoch, learned)[place : place + most]
        examples = self._examples
        for visit, index in enumerate(order, self._visit):
            rate = FIRST_RATE * (total - visit) // total
            rate = weighted_rate(rate, examples.sources[index])
            active, label = examples.active(index), examples.labels[index]
            self._learner.learn(active, label, rate, examples.vector(index))
        self._visit += len(order)
        if self._visit % len(learned) == 0:
            self._learner.check()
        return len(order)

    def _score(self, most: int) -> int:
        learned, left_out = self._members()
        asked = self._visit - len(learned) * self._epochs
        now = left_out[asked : asked + most]
        for index in now:
            active, vector = self._examples.active(index), self._examples.vector(index)
            scores, doubt = self._judged(self._learner.scores(active, vector), vector)
            label = self._held_label(index)
            self._held.append(HeldOut.of(label, scores, doubt))
            self._indices.append(index)
            own = scores[label] if label >= 0 else max(scores)
            self._ranks.append(sum([one > own for one in scores]))
        self._visit += len(now)
        return len(now)

    def _judged(
        self, scores: Sequence[float], vector: bytes | None
    ) -> tuple[Sequence[float], float]:
        if self._near is None:
            self._near = (near_texts(self._examples, self._members()[0]),)
        (near,) = self._near
        return (scores, 0.0) if near is None else near.judge(scores, vector)

    def _next_pass(self) -> int:
        self._pass, self._visit = self._pass + 1, 0
        self._split = self._order = self._near = None
        if not self._knows_messages:
            self._learner = new_learner(self._examples)
        return 0

    def _held_label(self, index: int) -> int:
        label = self._examples.labels[index]
        if self._passes[self._pass] != _UNKNOWN_TOPICS:
            return label
        return UNSEEN_OUT_OF_SCOPE if label == OUT_OF_SCOPE else LEFT_OUT_CLASS

    def _members(self) -> tuple[Sequence[int], Sequence[int]]:
        """The examples that this pass trains on, and those that it leaves out."""
        if self._split is None:
            learned: list[int] = []
            left_out: list[int] = []
            for index in _alone(self._examples):
                if not self._leaves_out(index):
                    learned.append(index)
                elif self._is_scored(index):
                    left_out.append(index)
            self._split = learned, left_out
        return self._split

    def _is_scored(self, index: int) -> bool:
        source = self._examples.sources[index]
        if self._passes[self._pass] == _UNKNOWN_TOPICS:
            return source != AGENT_TEXT
        return source in self._measured

    def _leaves_out(self, index: int) -> bool:
        now, label = self._passes[self._pass], self._examples.labels[index]
        if now == _UNKNOWN_TOPICS:
            many = len(self._examples.classes) > 2
            return label == OUT_OF_SCOPE or (many and label % LEFT_OUT_AGENTS == 0)
        if self._examples.is_text(index):
            # It is no label, so it is not held out. One that is almost the same as a label would
            # make this label too easy.
            return self._examples.groups[index] in self._labelled_groups and self._is_in_fold(index)
        return self._is_in_fold(index)

    def _is_in_fold(self, index: int) -> bool:
        now, fold = self._passes[self._pass], self._examples.folds[index]
        return now == (fold % FOLDS if self._holds_out_hard else fold)

    def _epoch_order(self, epoch: int, learned: Sequence[int]) -> Sequence[int]:
        """The same for one seed in every version of Python, which shuffle() does not promise."""
        if self._order is None or self._order[0] != epoch:
            chance = random.Random(f"{self._plan.seed}/{self._pass}/{epoch}")
            keys = [chance.random() for _ in learned]
            places = sorted(range(len(learned)), key=keys.__getitem__)
            self._order = (epoch, [learned[place] for place in places])
        return self._order[1]

    def suspects(self, calibration: Calibration) -> list[Suspect]:
        """The held-out labels that are probably wrong."""
        return suspects(self.familiarity.judged(), self._indices, self._examples, calibration.curve)

    def shortlist(self, mix: Mapping[str, int] | None = None) -> ShortlistFit:
        """How many of the best classes hold the right one, in traffic of this mix."""
        return fit_shortlist(self._held, self._ranks, self._indices, self._examples, mix)

    def measured(self, mix: Mapping[str, int] | None = None) -> Measured:
        """What the held-out questions show, in traffic of this mix."""
        if not self.finished:
            raise ValueError("the training is not finished; call step() until it is")
        if self._shown is None or self._shown.mix != mix:
            near = near_texts(self._examples, [*_alone(self._examples)])
            given = self._examples, self._plan, self.familiarity, self._indices
            self._shown = Measured(*given, near, mix)
        return self._shown

    def model(self, mix: Mapping[str, int] | None = None) -> Model:
        """The trained model. Its thresholds are for traffic of this mix (counts by agent, in any
        unit), or without one for the mix of the labels."""
        measured = self.measured(mix)
        calibration = measured.judged.calibration
        sources = self._examples.sources
        asked = zip(self._indices, self._held, strict=True)
        by_source = by_source_of(
            [sources[at] for at in _alone(self._examples)],
            [sources[at] for at, one in asked if one.label >= 0],
        )
        calibration = replace(calibration, metrics=calibration.metrics | by_source)
        scale, weights = quantise(self._learner.weights())
        return Model(
            classes=self._examples.classes,
            scale=scale,
            weights=weights,
            calibration=calibration,
            labels=sum(self._examples.counts().values()),
            seed=self._plan.seed,
            examples=self._examples.digest(),
            follow_ups=self.follow_ups.result(mix),
            dense=self._dense(),
            familiar=self.familiarity.found(),
            near=measured.near,
        )

    def _dense(self) -> DenseWeights | None:
        vectors = self._examples.vectors
        if not vectors.width:
            return None
        scale, weights = quantise_dense(self._learner.dense_weights(), vectors.parts)
        return DenseWeights(vectors.source, vectors.width, vectors.parts, scale, weights)

    def to_bytes(self) -> bytes:
        header = {
            "examples": self._examples.digest(),
            "plan": asdict(self._plan),
            "pass": self._pass,
            "visit": self._visit,
            "held": len(self._held),
            "format": _STATE_FORMAT,
        }
        learner = self._learner.to_bytes()
        header["learner"] = len(learner)
        columns = (
            array("h", [one.label for one in self._held]),
            array("h", [one.best for one in self._held]),
            self._indices,
            self._ranks,
            array("d", [score for one in self._held for score in (one.top, one.second)]),
        )
        body = b"".join(column.tobytes() for column in columns)
        body += learner + (self.follow_ups.to_bytes() if self._knows_messages else b"")
        state = json.dumps(header).encode() + b"\n" + body
        return hashlib.sha256(state).digest() + state

    @classmethod
    def resume(cls, data: bytes, examples: Examples) -> "Training":
        """Raises ValueError if the examples have changed since it began, or the bytes are
        damaged."""
        checksum, state = data[:_CHECKSUM_BYTES], data[_CHECKSUM_BYTES:]
        if hashlib.sha256(state).digest() != checksum:
            raise ValueError("the state of the training is damaged; start a new one")
        head, _, body = state.partition(b"\n")
        header = bounded_json.loads(head)
        if header.get("format") != _STATE_FORMAT:
            raise ValueError("another version began this training; start a new one")
        if header["examples"] != examples.digest():
            raise ValueError("the labels have changed since this training began; start a new one")
        training = cls(examples, Plan(**header["plan"]))
        training._pass, training._visit = header["pass"], header["visit"]
        held = header["held"]
        labels, best = array("h", body[: 2 * held]), array("h", body[2 * held : 4 * held])
        training._indices = array("I", body[4 * held : 8 * held])
        training._ranks = array("H", body[8 * held : 10 * held])
        scores = array("d", body[10 * held : 26 * held])
        training._held = [
            HeldOut(*one) for one in zip(labels, best, scores[::2], scores[1::2], strict=True)
        ]
        training.familiarity = Familiarity(examples, training._held, training._indices)
        end = 26 * held + header["learner"]
        training._learner = learner_from_bytes(examples, body[26 * held : end])
        if training._knows_messages:
            training.follow_ups.resume(body[end:])
        return training


def _measured(examples: Examples) -> frozenset[int]:
    """The sources of the examples that are held out: labels that people gave, if there are enough
    of them, else machine labels beside them. Texts of agents are no questions."""
    humans = sum(
        examples.sources[at] == HUMAN
        for at in _alone(examples)
        if examples.labels[at] != OUT_OF_SCOPE
    )
    machine = any(examples.sources[at] == MODEL for at in _alone(examples))
    return frozenset((HUMAN, MODEL) if machine and humans < MIN_HUMAN_LABELS else (HUMAN,))


def _holds_out_hard(examples: Examples, measured: frozenset[int]) -> bool:
    """Questions that were chosen because they are hard are trained on but not held out, unless the
    others are too few; so are those of conversations, which are hard alone."""
    others = sum(
        examples.labels[at] != OUT_OF_SCOPE and examples.folds[at] >= 0
        for at in _alone(examples)
        if examples.sources[at] in measured
    )
    return others < MIN_FAIR_LABELS


def _passes(examples: Examples, measured: frozenset[int], *, hard: bool) -> tuple[int, ...]:
    if len(examples.classes) < 2:  # it will never answer
        return (_ALL,)
    sizes = Counter(
        examples.folds[at] % FOLDS
        for at in _alone(examples)
        if examples.labels[at] != OUT_OF_SCOPE
        and examples.sources[at] in measured
        and (hard or examples.folds[at] >= 0)
    )
    chosen: list[int] = []
    for fold in FOLD_ORDER:
        if sizes[fold] and sum(sizes[one] for one in chosen) < _MIN_HELD_OUT:
            chosen.append(fold)
    return (*chosen, _UNKNOWN_TOPICS, _ALL)


def _alone(examples: Examples) -> Iterator[int]:
    return filter(examples.stands_alone, range(len(examples)))
