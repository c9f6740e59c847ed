"""Honest confidence: how sure the classifier must be before it answers, found on questions that it
has not learned from.

A logistic curve turns the best score and its lead into the probability that the answer is right. A
threshold is the lowest probability from which on the answers of all agents together kept the target
accuracy with a lower confidence bound (Wilson, one-sided 95 %), where an answer to an out-of-scope
question is wrong. It is raised for an agent whose answers are seen to do worse than the target
(exact binomial test), so more labels of an agent never silence it unless its mistakes do.

And it is no lower than what keeps questions of unknown topics away: those labelled out of scope
where they are enough, else those of agents that were left out of the learning.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, log, nextafter, sqrt

from edgeneuro.classifier.examples import OUT_OF_SCOPE
from edgeneuro.classifier.logistic import Vector, dot, fit, logistic

TARGET = 0.98
MIN_LABELS = 5  # of an agent, below which it is never answered
# Negatives of the pass that leaves strangers out: labels that no agent fits, other agents' labels.
UNSEEN, STRANGER = -2, -3
# So much of them may be answered. Left-out agents have siblings among the others, so they are
# harder to tell than the topics of strangers mostly are.
_MOST_LEAK = {UNSEEN: 0.08, STRANGER: 0.2}
MIN_NEGATIVES = 50
Z = 1.645  # one-sided 95 %
_SIGNIFICANCE = 0.05  # of the test that an agent does worse than the target
_MIN_ANSWERS = 20  # that a raised threshold must leave, or a lucky few would do
_NEGATIVES_WEIGHT = 0.1  # of the in-scope weight, whatever their number


@dataclass(frozen=True)
class HeldOut:
    """One held-out question: its label (below 0: a negative), the best class and the two best
    scores."""

    label: int
    best: int
    top: float
    second: float

    @property
    def right(self) -> bool:
        return self.label == self.best


@dataclass(frozen=True)
class Calibration:
    """`thresholds` by class, None: never answered. `refusal` says why nothing is ever answered,
    `reasons` why some agents are not. `metrics` are of the held-out questions."""

    curve: Vector
    thresholds: tuple[float | None, ...]
    refusal: str | None = None
    reasons: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float | int | None] = field(default_factory=dict)


_Scored = tuple[float, HeldOut]  # with its probability


def probability(curve: Vector, top: float, second: float) -> float:
    """That an answer with these two best scores is right; 0 where the best class says itself that
    the question is none of its own."""
    if top <= 0:
        return 0.0
    return logistic(dot(curve, (1.0, top, top - second)))


def wilson(right: int, count: int, z: float = -Z) -> float:
    """The bound of the share right / count: the lower one, or the upper one where z is above 0."""
    if not count:
        return 0.0 if z < 0 else 1.0
    share, spread = right / count, z * z / count
    middle = share + spread / 2
    half = z * sqrt(share * (1 - share) / count + spread / (4 * count))
    return (middle + half) / (1 + spread)


def calibrate(
    held: Sequence[HeldOut],
    label_counts: Mapping[str, int],
    target: float = TARGET,
    min_labels: int = MIN_LABELS,
) -> Calibration:
    """`label_counts` are the labels that were learned from, by agent, in the order of classes."""
    classes = len(label_counts)
    curve = _fit(held) if held else (0.0, 0.0, 0.0)
    scored = sorted(
        ((probability(curve, one.top, one.second), one) for one in held),
        key=lambda pair: (-pair[0], pair[1].label, pair[1].best),
    )
    if sum(count >= min_labels for count in label_counts.values()) < 2:
        why = f"fewer than two agents have {min_labels} labels or more"
        return _never(classes, why, curve, scored)
    floor = _leak_floor(scored)
    if floor is None:
        why = "unknown topics could not be told from known ones: label"
        why += f" {MIN_NEGATIVES} questions that no agent fits"
        return _never(classes, why, curve, scored)
    asked = [pair for pair in scored if pair[1].label >= OUT_OF_SCOPE]
    by_class: list[list[_Scored]] = [[] for _ in label_counts]
    for pair in asked:
        by_class[pair[1].best].append(pair)
    # An agent that no confidence helps says nothing of how sure the others must be.
    hopeless = {agent for agent, own in enumerate(by_class) if _raised(own, 0.0, target) is None}
    common = _threshold([pair for pair in asked if pair[1].best not in hopeless], target, floor)
    thresholds: list[float | None] = []
    reasons: dict[str, str] = {}
    for (agent_id, count), own in zip(label_counts.items(), by_class, strict=True):
        threshold = None if common is None else _raised(own, common, target)
        if count < min_labels:
            threshold, reasons[agent_id] = None, f"{count} labels; {min_labels} are needed"
        elif threshold is None:
            reasons[agent_id] = f"no confidence keeps {target:.1%} accuracy for this agent"
        thresholds.append(threshold)
    if set(thresholds) == {None}:
        why = f"no confidence keeps {target:.1%} accuracy on {len(asked)} held-out questions"
        return _never(classes, why, curve, scored)
    answered = [
        one for sure, one in scored if (least := thresholds[one.best]) is not None and sure >= least
    ]
    metrics = _metrics(scored, answered)
    return Calibration(curve, tuple(thresholds), None, reasons, metrics)


def _never(classes: int, why: str, curve: Vector, scored: Sequence[_Scored]) -> Calibration:
    return Calibration(curve, (None,) * classes, why, metrics=_metrics(scored, ()))


def _threshold(scored: Sequence[_Scored], target: float, floor: float) -> float | None:
    """The lowest probability that keeps the target; `scored` from the surest on."""
    found, right, count = None, 0, 0
    for place, (sure, one) in enumerate(scored):
        count, right = count + 1, right + one.right
        tied = place + 1 < len(scored) and scored[place + 1][0] == sure
        if not tied and wilson(right, count) >= target:
            found = sure
    return None if found is None else max(found, floor)


def _raised(scored: Sequence[_Scored], common: float, target: float) -> float | None:
    """The common threshold, raised until the agent's answers do no worse than the target; None
    where that leaves too few of them."""
    answered = [pair for pair in scored if pair[0] >= common]
    wrong = sum(not one.right for _, one in answered)
    if not does_worse(wrong, len(answered), target):
        return common
    for place in range(len(answered) - 1, _MIN_ANSWERS - 1, -1):
        sure, one = answered[place]
        wrong -= not one.right
        least = answered[place - 1][0]
        if least > sure and not does_worse(wrong, place, target):
            return least
    return None


def does_worse(wrong: int, count: int, target: float) -> bool:
    """Whether so many mistakes or more among `count` answers had a chance of less than 5 % if the
    target accuracy held: exact, by the binomial distribution."""
    if wrong <= count * (1 - target):
        return False
    term, fewer = count * log(target), 0.0
    for number in range(wrong):
        fewer += exp(term)
        if fewer > 1 - _SIGNIFICANCE:
            return True
        term += log((count - number) / (number + 1) * (1 - target) / target)
    return False


def _leak_floor(scored: Sequence[_Scored]) -> float | None:
    """The probability that no more of the negatives reach than may; None where they are too few."""
    for kind, most in _MOST_LEAK.items():
        negatives = [sure for sure, one in scored if one.label == kind]
        if len(negatives) >= MIN_NEGATIVES:
            return nextafter(negatives[int(most * len(negatives))], 1)
    return None


def _metrics(
    scored: Sequence[_Scored], answered: Sequence[HeldOut]
) -> dict[str, float | int | None]:
    scope = [one for _, one in scored if one.label >= 0]
    inside = [one for one in answered if one.label >= 0]
    outside = [one for _, one in scored if one.label < OUT_OF_SCOPE]
    leaked = [one for one in answered if one.label < OUT_OF_SCOPE]
    return {
        "held_out": len(scope),
        "strangers": len(outside),
        "accuracy": _share(sum(one.right for one in scope), len(scope)),
        "coverage": _share(len(inside), len(scope)),
        "answered_accuracy": _share(sum(one.right for one in inside), len(inside)),
        "leak": _share(len(leaked), len(outside)),
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _fit(held: Sequence[HeldOut]) -> Vector:
    negatives = sum(one.label < 0 for one in held)
    low = min(1.0, _NEGATIVES_WEIGHT * (len(held) - negatives) / negatives) if negatives else 1.0
    return fit(
        [(1.0, one.top, one.top - one.second) for one in held],
        [one.right for one in held],
        [low if one.label < 0 else 1.0 for one in held],
    )
