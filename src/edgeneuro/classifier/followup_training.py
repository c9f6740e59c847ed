"""The training of what a classifier knows of conversations, in slices, after that of the single
messages (training.py). Each pass but the last leaves some turns out and scores them: a fold each,
whose conversations are in no other one, and turns that leave for an agent that was left out. From
these scores come the switch, its probabilities and its thresholds.

Three learners see the same turn: the message alone (only where it stands alone), the message with
the agent of the turn before as a feature, and whether it leaves this agent.
"""

import json
import random
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from itertools import chain, islice, repeat

from edgeneuro import bounded_json
from edgeneuro.classifier.examples import FOLDS, NO_CONTEXT, OUT_OF_SCOPE, UNKNOWN_AGENT, Examples
from edgeneuro.classifier.followups import FollowUps, best_other, row_of, rows_of
from edgeneuro.classifier.held_out import LEFT_OUT_CLASS, UNSEEN_OUT_OF_SCOPE
from edgeneuro.classifier.learner import Learner, learner_from_bytes, new_learner
from edgeneuro.classifier.model import quantise
from edgeneuro.classifier.needs import LEFT_OUT_AGENTS
from edgeneuro.classifier.plan import FIRST_RATE, FOLD_ORDER, Plan
from edgeneuro.classifier.sources import HUMAN, weighted_rate
from edgeneuro.classifier.switch_fitting import TURN_CODES, HeldTurn, fit_switch
from edgeneuro.classifier.thresholds import MIN_NEGATIVES
from edgeneuro.domain.classifier import FollowUpBasis

MIN_TURNS = 20  # that keep the agent, and that leave it; with fewer the rule holds
# With the turn before as a feature half of the epochs are enough: it is the message that varies.
_EPOCHS_IN_CONTEXT = 0.5
# Folds are held out until so many turns were, and so many that leave their agent, but these are
# rare in some conversations.
_MIN_HELD_OUT, _MIN_HELD_LEAVING, _MAX_HELD_OUT = 5_000, 500, 10_000
_UNKNOWN_TOPICS, _ALL = FOLDS, FOLDS + 1


@dataclass(frozen=True)
class _Course:
    """One learner's part of a pass."""

    learner: int
    members: Sequence[int]
    epochs: int


_ALONE, _TOGETHER, _LEAVING = range(3)


class FollowUpTraining:
    """`reason` says why there is nothing to learn; then it is finished at once."""

    def __init__(self, examples: Examples, plan: Plan) -> None:
        self._examples, self._plan = examples, plan
        self._turns = [at for at in range(len(examples)) if examples.in_context(at)]
        self.labels = sum(examples.sources[at] == HUMAN for at in self._turns)
        self.decisions = len(self._turns) - self.labels
        # Of labels alone, if there are enough: a model's decisions say what a model would decide.
        self._human = _enough(self._kinds(humans=True))
        self.reason = _why_not(examples, self._kinds())
        self._passes = () if self.reason else self._planned()
        self._pass = self._course = self._visit = 0
        self._learners = self._new_learners()
        self._held: list[HeldTurn] = []
        self._courses: list[_Course] | None = None
        self._order: tuple[int, int, Sequence[int]] | None = None

    @property
    def finished(self) -> bool:
        return self._pass == len(self._passes)

    @property
    def passes(self) -> tuple[int, int]:
        return self._pass, len(self._passes)

    @property
    def basis(self) -> FollowUpBasis:
        """What the thresholds and the figures are of."""
        return "labels" if self._human else "labels and decisions"

    def _kinds(self, *, humans: bool = False) -> tuple[int, int]:
        """How many turns keep their agent, and how many leave it."""
        examples = self._examples
        kept = [
            examples.labels[at] == examples.previous[at]
            for at in self._turns
            if not (humans and examples.sources[at] != HUMAN)
        ]
        return sum(kept), len(kept) - sum(kept)

    def _planned(self) -> tuple[int, ...]:
        examples, chosen = self._examples, []
        held = leaving = 0
        for fold in FOLD_ORDER:
            own = [at for at in self._turns if examples.folds[at] % FOLDS == fold]
            enough = held >= _MIN_HELD_OUT and leaving >= _MIN_HELD_LEAVING
            if not own or enough or held >= _MAX_HELD_OUT:
                continue
            chosen.append(fold)
            held += len(own)
            leaving += sum(examples.labels[at] != examples.previous[at] for at in own)
        unknown = sum(self._is_negative(at) for at in self._turns) >= MIN_NEGATIVES
        return (*chosen, *([_UNKNOWN_TOPICS] if unknown else []), _ALL)

    def _new_learners(self) -> list[Learner]:
        classes = len(self._examples.classes)
        together = Learner(classes, buckets=rows_of(classes) + 1)
        return [new_learner(self._examples), together, Learner(1)]

    def step(self, visits: int) -> int:
        """Runs at most so many visits; returns how many were needed."""
        left = visits
        while left and not self.finished:
            left -= self._learn(left) or self._score(left) or self._next_pass()
        return visits - left

    def _learn(self, most: int) -> int:
        courses = self._in_pass()
        while self._course < len(courses):
            course = courses[self._course]
            total = len(course.members) * course.epochs
            if self._visit < total:
                return self._visits(course, total, most)
            self._learners[course.learner].check()
            self._course, self._visit, self._order = self._course + 1, 0, None
        return 0

    def _visits(self, course: _Course, total: int, most: int) -> int:
        epoch, place = divmod(self._visit, len(course.members))
        order = self._epoch_order(epoch, course.members)[place : place + most]
        learner, examples = self._learners[course.learner], self._examples
        for visit, index in enumerate(order, self._visit):
            rate = FIRST_RATE * (total - visit) // total
            rate = weighted_rate(rate, examples.sources[index])
            vector = examples.vector(index) if course.learner == _ALONE else None
            learner.learn(*self._lesson(course.learner, index), rate, vector)
        self._visit += len(order)
        return len(order)

    def _lesson(self, learner: int, index: int) -> tuple[Sequence[int], int]:
        """The active buckets and the label."""
        examples = self._examples
        active, label = examples.active(index), examples.labels[index]
        if learner == _ALONE:
            return active, label
        if learner == _LEAVING:
            return active, 0 if label != examples.previous[index] else OUT_OF_SCOPE
        return self._with_previous(index), label

    def _with_previous(self, index: int) -> Sequence[int]:
        previous, active = self._examples.previous[index], self._examples.active(index)
        none = len(self._examples.classes)
        active.append(row_of(none if previous == NO_CONTEXT else previous))
        return active

    def _epoch_order(self, epoch: int, members: Sequence[int]) -> Sequence[int]:
        wanted = (self._course, epoch)
        if self._order is None or self._order[:2] != wanted:
            name = f"{self._plan.seed}/follow-ups/{self._pass}/{self._course}/{epoch}"
            chance = random.Random(name)
            keys = [chance.random() for _ in members]
            places = sorted(range(len(members)), key=keys.__getitem__)
            self._order = (*wanted, [members[place] for place in places])
        return self._order[2]

    def _in_pass(self) -> list[_Course]:
        if self._courses is None:
            examples = self._examples
            learned = [at for at in range(len(examples)) if not self._leaves_out(at)]
            epochs = self._plan.epochs
            alone = [at for at in learned if examples.stands_alone(at)]
            together = [at for at in learned if examples.previous[at] != UNKNOWN_AGENT]
            leaving = [at for at in learned if examples.in_context(at)]
            self._courses = [
                _Course(_TOGETHER, together, max(1, round(epochs * _EPOCHS_IN_CONTEXT))),
                _Course(_LEAVING, leaving, epochs),
            ]
            if self._passes[self._pass] != _ALL:
                self._courses.insert(0, _Course(_ALONE, alone, epochs))
        return self._courses

    def _leaves_out(self, index: int) -> bool:
        now, examples = self._passes[self._pass], self._examples
        if now == _UNKNOWN_TOPICS:
            label = examples.labels[index]
            return label == OUT_OF_SCOPE or _is_left_out(examples, label)
        return now == examples.folds[index] % FOLDS

    def _is_negative(self, index: int) -> bool:
        """A turn that leaves an agent for one that the pass of unknown topics leaves out."""
        label, previous = self._examples.labels[index], self._examples.previous[index]
        outside = label == OUT_OF_SCOPE or _is_left_out(self._examples, label)
        return outside and not _is_left_out(self._examples, previous)

    def _scored(self) -> list[int]:
        """The turns that this pass scores."""
        now = self._passes[self._pass]
        if now == _ALL:
            return []
        if now == _UNKNOWN_TOPICS:
            return [at for at in self._turns if self._is_negative(at)]
        sources = self._examples.sources
        return [
            at
            for at in self._turns
            if self._leaves_out(at) and not (self._human and sources[at] != HUMAN)
        ]

    def _score(self, most: int) -> int:
        now = self._scored()[self._visit : self._visit + most]
        self._held += [self._turn(index) for index in now]
        self._visit += len(now)
        return len(now)

    def _turn(self, index: int) -> HeldTurn:
        examples, previous = self._examples, self._examples.previous[index]
        active = examples.active(index)
        alone = self._learners[_ALONE].scores(active, examples.vector(index))
        together = self._learners[_TOGETHER].scores(self._with_previous(index))
        other, lead = best_other([a + b for a, b in zip(alone, together, strict=True)], previous)
        kind = examples.labels[index]
        if self._passes[self._pass] == _UNKNOWN_TOPICS:
            kind = UNSEEN_OUT_OF_SCOPE if kind == OUT_OF_SCOPE else LEFT_OUT_CLASS
        return HeldTurn(
            index,
            kind,
            other,
            alone[previous],
            _best_beside(alone, previous),
            together[previous],
            _best_beside(together, previous),
            self._learners[_LEAVING].scores(active)[0],
            lead,
        )

    def _next_pass(self) -> int:
        self._pass, self._course, self._visit = self._pass + 1, 0, 0
        self._courses = self._order = None
        if not self.finished:
            self._learners = self._new_learners()
        return 0

    def result(self, mix: Mapping[str, int] | None = None) -> FollowUps | None:
        """What was learned; None if the rule holds instead, and `reason` says why."""
        if self.reason or not self.finished:
            return None
        fitted = fit_switch(self._held, self._examples, self._plan, mix)
        if fitted.calibration.refusal:
            self.reason = fitted.calibration.refusal
            return None
        scale, weights = quantise(self._rows())
        return FollowUps(
            scale=scale,
            weights=weights,
            labels=self.labels,
            decisions=self.decisions,
            **vars(fitted),
        )

    def _rows(self) -> Iterator["array[int]"]:
        """The weights of the classes and that of leaving, which knows no agent before."""
        rows = rows_of(len(self._examples.classes))
        together = islice(self._learners[_TOGETHER].weights(), rows)
        leaving = chain(self._learners[_LEAVING].weights(), repeat(array("i", [0])))
        for row, own in zip(together, leaving, strict=False):
            yield array("i", (*row, *own))

    def to_bytes(self) -> bytes:
        if not self._passes:
            return b""
        parts = [learner.to_bytes() for learner in self._learners]
        header = {
            "pass": self._pass,
            "course": self._course,
            "visit": self._visit,
            "held": len(self._held),
            "sizes": [len(part) for part in parts],
        }
        turns = [astuple(turn) for turn in self._held]
        columns = [
            array(code, [turn[at] for turn in turns]).tobytes()
            for at, code in enumerate(TURN_CODES)
        ]
        return b"".join((json.dumps(header).encode(), b"\n", *columns, *parts))

    def resume(self, data: bytes) -> None:
        """Goes on where `to_bytes` was."""
        if not self._passes:
            return
        head, _, body = data.partition(b"\n")
        header = bounded_json.loads(head)
        self._pass, self._course = header["pass"], header["course"]
        self._visit, at = header["visit"], 0
        columns = []
        for code in TURN_CODES:
            size = header["held"] * array(code).itemsize
            columns.append(array(code, body[at : at + size]))
            at += size
        self._held = [HeldTurn(*values) for values in zip(*columns, strict=True)]
        parts = []
        for size in header["sizes"]:
            parts.append(body[at : at + size])
            at += size
        alone, together, leaving = parts
        self._learners = [
            learner_from_bytes(self._examples, alone),
            Learner.from_bytes(len(self._examples.classes), together),
            Learner.from_bytes(1, leaving),
        ]


def _best_beside(scores: Sequence[float], previous: int) -> float:
    return max(score for label, score in enumerate(scores) if label != previous)


def _is_left_out(examples: Examples, label: int) -> bool:
    return len(examples.classes) > 2 and label % LEFT_OUT_AGENTS == 0


def _enough(kinds: tuple[int, int]) -> bool:
    return min(kinds) >= MIN_TURNS


def _why_not(examples: Examples, kinds: tuple[int, int]) -> str | None:
    if len(examples.classes) < 2:
        return "the labels name fewer than two agents"
    if _enough(kinds):
        return None
    return (
        f"{MIN_TURNS} turns that go on with the agent of the turn before and {MIN_TURNS} that leave"
        f" it are needed (there are {kinds[0]} and {kinds[1]})"
    )
