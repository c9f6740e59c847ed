"""Thresholds: the lowest probabilities from which on the answers keep the target, common to all
agents, higher for an agent whose answers are worse, and high enough to refuse unknown topics."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import floor, sqrt

from edgeneuro.classifier.curve import Curve, facts, logit
from edgeneuro.classifier.examples import OUT_OF_SCOPE
from edgeneuro.classifier.held_out import (
    LEFT_OUT_CLASS,
    UNSEEN_OUT_OF_SCOPE,
    HeldOut,
    Tally,
    accepts,
)
from edgeneuro.classifier.logistic import Vector, logistic
from edgeneuro.classifier.noise import agrees_enough

# Of the standard deviations of what the curve expects.
CAUTION = 1.2
# How much agents differ in what a score means: the standard deviation of the logit.
_AGENTS_DIFFER = 0.35
_AGENT_STEPS = 10
_LOWEST = 1e-9  # probability that has a logit
# Answers of an agent, for a test whether they are worse, and those that must remain above a raised
# threshold; fewer could be chance.
_MIN_TESTED, _MIN_ANSWERS = 40, 20
_MIN_REFUSED = 200  # answers of all agents, with fewer of which the classifier is shy instead
MIN_NEGATIVES = 50
UNIT = 1e6  # of thresholds
_STEPS = 20  # of a bisection down to UNIT


@dataclass(frozen=True)
class Scored:
    """A held-out question, the probability that its answer is right, and how much it counts."""

    sure: float
    one: HeldOut
    count: float


@dataclass(frozen=True)
class UnknownTopics:
    """At most the share `most` of the questions that no agent fits may be answered.

    It is measured on out-of-scope labels that were left out, and, while there are fewer than
    MIN_NEGATIVES, on agents that were left out: these resemble others, so that only `left_out` of
    their share counts. `assumed` is how many questions an assumption counts as: that of unknown
    topics 0.9 (1 - p)^0.75 are answered from the probability p on. Where that depends on how
    `familiar` a text is (familiar.py), it is (0.25 + 2.5 / agents) (1 - p)."""

    most: float
    left_out: float
    assumed: float
    familiar: bool = False

    def floor(
        self, negatives: Sequence[Scored], classes: int, plateau: float | None = None
    ) -> float:
        """The lowest threshold. With machine labels the curve rises to the `plateau` of their
        agreement (noise.py), so that a probability p of it means p / plateau here."""
        unseen = _sorted(negatives, UNSEEN_OUT_OF_SCOPE)
        left_out = _sorted(negatives, LEFT_OUT_CLASS)
        share = min(1.0, max(0, MIN_NEGATIVES - len(unseen)) / max(1, len(left_out)))
        total = len(unseen) + share * len(left_out) + self.assumed
        if not total:
            return 0.0
        low, high = 0.0, 1.0
        for _ in range(_STEPS):
            middle = (low + high) / 2
            taken = len(unseen) - bisect_left(unseen, middle)
            taken_of_left_out = len(left_out) - bisect_left(left_out, middle)
            answered = taken + self.left_out * share * taken_of_left_out
            answered += self.assumed * self._assumed_share(middle / (plateau or 1.0), classes)
            if answered <= self.most * total:
                high = middle
            else:
                low = middle
        return floor(high * UNIT) / UNIT

    def _assumed_share(self, probability: float, classes: int) -> float:
        """Of unknown topics, that are answered from this probability on. Two agents learn nothing
        but what tells them from each other."""
        rest = max(0.0, 1 - probability)
        if self.familiar:
            return (0.25 + 2.5 / max(1, classes)) * rest
        root = sqrt(rest)  # pow() rounds differently between machines
        return (0.9 if classes > 2 else 1.8) * root * sqrt(root)


# Of single messages.
MESSAGES = UnknownTopics(most=0.06, left_out=0.4, assumed=10.0)
# With machine labels: what a classifier learns of later is what the one before was not sure of.
# In a stream of the training part of CLINC150 twice as many unknown topics were answered.
MOST_OF_MACHINE = 0.045
# What is assumed was measured with machine labels of 10 and 150 agents, by models that are right in
# 94 and 88 %, on the out-of-scope queries of CLINC150 (docs/learning.md).
FAMILIAR = UnknownTopics(most=0.055, left_out=0.2, assumed=40.0, familiar=True)


def _sorted(negatives: Sequence[Scored], kind: int) -> list[float]:
    return sorted(
        [
            each.sure if accepts(each.one.top) else 0.0
            for each in negatives
            if each.one.label == kind
        ]
    )


def certain(target: float) -> float:
    """Without an answer to measure, the probability that is high enough."""
    return target


class Questions:
    """Held-out questions by falling probability of their answers, by `curve`; with what any target
    needs to know of them, found once."""

    def __init__(self, scored: Sequence[Scored], curve: Curve) -> None:
        self.scored, self.curve = scored, curve
        self.accepted = [each for each in scored if accepts(each.one.top)]
        self._by_class: dict[int, list[Scored]] = {}
        for each in self.accepted:
            self._by_class.setdefault(each.one.best, []).append(each)
        self._offsets: dict[int, float] = {}

    @cached_property
    def of_agents(self) -> bool:
        """Whether any of them has an agent."""
        return any(each.one.label >= 0 for each in self.scored)

    def of_class(self, best: int) -> Sequence[Scored]:
        """Those that this class answers."""
        return self._by_class.get(best, ())

    def offset(self, best: int) -> float:
        """Of the logits of this class."""
        if best not in self._offsets:
            self._offsets[best] = _offset(self.of_class(best))
        return self._offsets[best]

    @cached_property
    def expected_wrong(self) -> list[tuple[float, float]]:
        """Probabilities, and the share of the answers from each on that the curve expects to be
        wrong, with caution."""
        found: list[tuple[float, float]] = []
        total = right = x = y = z = 0.0
        for place, each in enumerate(self.accepted):
            total += each.count
            right += each.count * each.sure
            slope = each.count * each.sure * (1 - each.sure)
            one = facts(each.one)
            x, y, z = x + slope * one[0], y + slope * one[1], z + slope * one[2]
            if place + 1 < len(self.accepted) and self.accepted[place + 1].sure == each.sure:
                continue
            mean_slope: Vector = (x / total, y / total, z / total)
            wrong = 1 - right / total + CAUTION * self.curve.spread(mean_slope)
            found.append((each.sure, wrong))
        return found


def hopeless(questions: Questions, classes: int, target: float) -> list[bool]:
    """By class, whether its answers reach the target at no threshold."""
    return [_raised(questions.of_class(each), 0.0, target) is None for each in range(classes)]


def best_share(own: Sequence[Scored]) -> tuple[float, int] | None:
    """Of the answers of a class, by falling probability, the largest share that is right from any
    probability on, and of how many; None with fewer than _MIN_ANSWERS, which could be chance."""
    answered = [each for each in own if each.one.label != OUT_OF_SCOPE]
    tally, found = Tally(), None
    for count, each in enumerate(answered, 1):
        tally.add(each.one)
        tied = count < len(answered) and answered[count].sure == each.sure
        share = tally.share or 0.0
        if count >= _MIN_ANSWERS and not tied and (found is None or share >= found[0]):
            found = share, count
    return found


def choose(
    questions: Questions,
    enough: Sequence[bool],
    target: float,
    least: float,
    *,
    noisy: bool = False,
) -> tuple[float | None, ...]:
    """By class. `enough` says which classes may be answered, `least` is the lowest threshold.
    `noisy`: the labels are machine labels (noise.py)."""
    if noisy:
        common = _counted(questions.accepted, len(questions.scored), target)
    else:
        common = _common(questions, target)
    if common is None:
        return (None,) * len(enough)
    common = max(common, least)
    return tuple(
        _raised(questions.of_class(each), _for_agent(questions, each, common, target), target)
        if may_be
        else None
        for each, may_be in enumerate(enough)
    )


def _common(questions: Questions, target: float) -> float | None:
    """The lowest probability from which on the curve expects the target, with caution; None if the
    answers from the highest ones on are worse."""
    scored = questions.accepted
    sure_enough = [sure for sure, wrong in questions.expected_wrong if wrong <= 1 - target]
    # Without a question that is as sure as that, the target itself.
    found = floor(sure_enough[-1] * UNIT) / UNIT if sure_enough else certain(target)
    raised = _raised(scored, found, target)
    if raised is None and len(scored) < _MIN_REFUSED:
        return (1 + certain(target)) / 2  # chance may have been against it
    return raised


def _counted(scored: Sequence[Scored], total: int, target: float) -> float | None:
    """The lowest probability from which on the answers agree as often as they must, by count."""
    found, tally = None, Tally()
    for place, each in enumerate(scored):
        tally.add(each.one)
        tied = place + 1 < len(scored) and scored[place + 1].sure == each.sure
        if not tied and agrees_enough(tally, total, target):
            found = each.sure
    return None if found is None else floor(found * UNIT) / UNIT


def _for_agent(questions: Questions, best: int, common: float, target: float) -> float:
    """The common threshold, raised until the curve, corrected for this agent, expects the target.
    What few answers say of an agent is drawn to the common curve."""
    own, offset = questions.of_class(best), questions.offset(best)
    if offset >= 0:
        return common
    found, total, right = None, 0.0, 0.0
    for each in own:
        if each.sure < common:
            break
        total += each.count
        right += each.count * logistic(_logit(each.sure) + offset)
        if right >= target * total:
            found = each.sure
    if found is None:  # none of its answers was as sure as that
        return max(common, floor(logistic(_logit(target) - offset) * UNIT) / UNIT)
    answered = [each for each in own if each.sure >= common]
    return common if found == answered[-1].sure else floor(found * UNIT) / UNIT


def _offset(own: Sequence[Scored]) -> float:
    """Of the logits of this agent."""
    precision = 1 / (_AGENTS_DIFFER * _AGENTS_DIFFER)
    rows = [(_logit(each.sure), each.one.right, each.count) for each in own]
    offset = 0.0
    for _ in range(_AGENT_STEPS):
        slope, stiffness = -precision * offset, precision
        for value, right, count in rows:
            likely = logistic(value + offset)
            slope += count * (right - likely)
            stiffness += count * likely * (1 - likely)
        offset = round(offset + max(-1.0, min(1.0, slope / stiffness)), 6)
    return offset


def _logit(value: float) -> float:
    return logit(min(max(value, _LOWEST), 1 - _LOWEST))


def _raised(scored: Sequence[Scored], common: float, target: float) -> float | None:
    """The threshold, raised until the answers are not significantly worse than the target; None if
    that leaves too few of them."""
    answered = [each for each in scored if each.sure >= common and each.one.label != OUT_OF_SCOPE]
    tally = Tally(each.one for each in answered)
    if tally.count < _MIN_TESTED or not tally.does_worse(target):
        return common
    for place in range(len(answered) - 1, _MIN_ANSWERS - 1, -1):
        each = answered[place]
        tally.add(each.one, -1)
        least = answered[place - 1].sure
        if least > each.sure and not tally.does_worse(target):
            return floor(least * UNIT) / UNIT
    return None
