"""A training in slices. The last pass trains the model on all examples. The passes before it leave
some examples out and score these: one fold each, to measure accuracy; and all labels of a fifth of
the agents together with all out-of-scope labels, to measure false accepts on unknown topics.

Between slices a training can be stored as bytes. It can be killed and resumed anywhere, and makes
the same model to the byte.
"""

import hashlib
import json
import random
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from edgeneuro import bounded_json
from edgeneuro.classifier.calibration import (
    LEFT_OUT_CLASS,
    MIN_LABELS,
    TARGET,
    UNSEEN_OUT_OF_SCOPE,
    Calibration,
    HeldOut,
    calibrate,
)
from edgeneuro.classifier.examples import FOLDS, OUT_OF_SCOPE, Examples
from edgeneuro.classifier.learner import Learner
from edgeneuro.classifier.model import Model, quantise
from edgeneuro.classifier.needs import LEFT_OUT_AGENTS, labels_needed
from edgeneuro.classifier.weights import Suspect, suspects, weighted

EPOCHS = 10
_CHECKSUM_BYTES = 32
# The first step goes half of the way to the margin; the rate falls to 0.
_FIRST_RATE = 1 << 15
# Folds are held out in this order until _MIN_HELD_OUT questions were.
_FOLD_ORDER = (FOLDS - 1, *range(FOLDS - 1))
_MIN_HELD_OUT = 2_500
# The other passes. Stored states of trainings hold these numbers.
_UNKNOWN_TOPICS, _ALL = FOLDS, FOLDS + 1


@dataclass(frozen=True)
class Plan:
    """Everything but the examples that decides the model."""

    seed: int = 0
    epochs: int = EPOCHS
    target: float = TARGET
    min_labels: int = MIN_LABELS


class Training:
    """One training. In a pass each example that is trained on is visited once per epoch, then each
    left-out one once."""

    def __init__(self, examples: Examples, plan: Plan) -> None:
        if not examples.classes:
            raise ValueError("no label names an agent, so there is nothing to learn")
        self._examples, self._plan = examples, plan
        self._holds_out_hard = _holds_out_hard(examples, plan.target)
        self._passes = _passes(examples, hard=self._holds_out_hard)
        self._pass = self._visit = 0
        self._learner = Learner(len(examples.classes))
        self._held: list[HeldOut] = []
        self._indices = array("I")  # of the held-out questions among the examples
        # Made when needed: the examples that this pass trains on and leaves out, and their order.
        self._split: tuple[Sequence[int], Sequence[int]] | None = None
        self._order: tuple[int, Sequence[int]] | None = None

    @property
    def finished(self) -> bool:
        return self._pass == len(self._passes)

    @property
    def passes(self) -> tuple[int, int]:
        """How many passes are done, and how many there are."""
        return self._pass, len(self._passes)

    def step(self, visits: int) -> int:
        """Runs at most so many visits; returns how many were needed."""
        left = visits
        while left and not self.finished:
            left -= self._learn(left) or self._score(left) or self._next_pass()
        return visits - left

    def _learn(self, most: int) -> int:
        learned, _ = self._members()
        total = len(learned) * self._plan.epochs
        if self._visit >= total:
            return 0
        epoch, place = divmod(self._visit, len(learned))
        order = self._epoch_order(epoch, learned)[place : place + most]
        examples = self._examples
        for visit, index in enumerate(order, self._visit):
            rate = _FIRST_RATE * (total - visit) // total
            self._learner.learn(examples.active(index), examples.labels[index], rate)
        self._visit += len(order)
        if self._visit % len(learned) == 0:
            self._learner.check()
        return len(order)

    def _score(self, most: int) -> int:
        learned, left_out = self._members()
        asked = self._visit - len(learned) * self._plan.epochs
        now = left_out[asked : asked + most]
        for index in now:
            best, top, second = self._learner.top_two(self._examples.active(index))
            self._held.append(HeldOut(self._held_label(index), best, top, second))
            self._indices.append(index)
        self._visit += len(now)
        return len(now)

    def _next_pass(self) -> int:
        self._pass, self._visit = self._pass + 1, 0
        self._split = self._order = None
        if not self.finished:
            self._learner = Learner(len(self._examples.classes))
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
            for index in range(len(self._examples)):
                (left_out if self._leaves_out(index) else learned).append(index)
            self._split = learned, left_out
        return self._split

    def _leaves_out(self, index: int) -> bool:
        now, label = self._passes[self._pass], self._examples.labels[index]
        if now == _UNKNOWN_TOPICS:
            many = len(self._examples.classes) > 2
            return label == OUT_OF_SCOPE or (many and label % LEFT_OUT_AGENTS == 0)
        fold = self._examples.folds[index]
        return now == (fold % FOLDS if self._holds_out_hard else fold)

    def _epoch_order(self, epoch: int, learned: Sequence[int]) -> Sequence[int]:
        """The same for one seed in every version of Python, which shuffle() does not promise."""
        if self._order is None or self._order[0] != epoch:
            chance = random.Random(f"{self._plan.seed}/{self._pass}/{epoch}")
            keys = [chance.random() for _ in learned]
            places = sorted(range(len(learned)), key=keys.__getitem__)
            self._order = (epoch, [learned[place] for place in places])
        return self._order[1]

    def held_out(self) -> dict[int, tuple[int, int]]:
        """By class, how many questions were held out, and for how many it had the best score."""
        counts: dict[int, tuple[int, int]] = {}
        for one in self._held:
            if one.label >= 0:
                asked, right = counts.get(one.label, (0, 0))
                counts[one.label] = asked + 1, right + one.right
        return counts

    def suspects(self, calibration: Calibration) -> list[Suspect]:
        """The held-out labels that are probably wrong."""
        return suspects(self._held, self._indices, self._examples, calibration.curve)

    def model(self, mix: Mapping[str, int] | None = None) -> Model:
        """The trained model. Its thresholds are for traffic of this mix (counts by agent, in any
        unit), or without one for the mix of the labels."""
        if not self.finished:
            raise ValueError("the training is not finished; call step() until it is")
        counts = self._examples.counts()
        classes = self._examples.classes
        per_class = {agent: counts[label] for label, agent in enumerate(classes)}
        held = weighted(self._held, self._indices, self._examples, mix)
        calibration = calibrate(held, per_class, self._plan.target, self._plan.min_labels)
        scale, weights = quantise(self._learner.weights())
        return Model(
            classes=classes,
            scale=scale,
            weights=weights,
            calibration=calibration,
            labels=sum(per_class.values()) + counts[OUT_OF_SCOPE],
            seed=self._plan.seed,
            examples=self._examples.digest(),
        )

    def to_bytes(self) -> bytes:
        header = {
            "examples": self._examples.digest(),
            "plan": asdict(self._plan),
            "pass": self._pass,
            "visit": self._visit,
            "held": len(self._held),
        }
        columns = (
            array("h", [one.label for one in self._held]),
            array("h", [one.best for one in self._held]),
            self._indices,
            array("d", [score for one in self._held for score in (one.top, one.second)]),
        )
        body = b"".join(column.tobytes() for column in columns)
        state = json.dumps(header).encode() + b"\n" + body + self._learner.to_bytes()
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
        if header["examples"] != examples.digest():
            raise ValueError("the labels have changed since this training began; start a new one")
        training = cls(examples, Plan(**header["plan"]))
        training._pass, training._visit = header["pass"], header["visit"]
        held = header["held"]
        labels, best = array("h", body[: 2 * held]), array("h", body[2 * held : 4 * held])
        training._indices = array("I", body[4 * held : 8 * held])
        scores = array("d", body[8 * held : 24 * held])
        training._held = [
            HeldOut(*one) for one in zip(labels, best, scores[::2], scores[1::2], strict=True)
        ]
        training._learner = Learner.from_bytes(len(examples.classes), body[24 * held :])
        return training


def _holds_out_hard(examples: Examples, target: float) -> bool:
    """Questions that were chosen because they are hard are trained on but not held out, unless the
    others are too few to show the target."""
    others = sum(
        label != OUT_OF_SCOPE and fold >= 0
        for label, fold in zip(examples.labels, examples.folds, strict=True)
    )
    return others < labels_needed(target)


def _passes(examples: Examples, *, hard: bool) -> tuple[int, ...]:
    if len(examples.classes) < 2:  # it will never answer
        return (_ALL,)
    sizes = Counter(
        fold % FOLDS
        for label, fold in zip(examples.labels, examples.folds, strict=True)
        if label != OUT_OF_SCOPE and (hard or fold >= 0)
    )
    chosen: list[int] = []
    for fold in _FOLD_ORDER:
        if sizes[fold] and sum(sizes[one] for one in chosen) < _MIN_HELD_OUT:
            chosen.append(fold)
    return (*chosen, _UNKNOWN_TOPICS, _ALL)
