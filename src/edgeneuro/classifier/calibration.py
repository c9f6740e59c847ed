"""Thresholds: how sure the classifier must be before it answers, chosen on questions that it was
not trained on.

A logistic curve turns the best score and its lead into the probability that the answer is right. A
threshold is the lowest probability from which on the answers of all agents together kept the target
accuracy with a lower confidence bound (Wilson, one-sided 95 %), where an answer to an out-of-scope
question is wrong. It is raised for an agent whose answers are significantly worse than the target
(exact binomial test).

It is also high enough to keep the false accepts on unknown topics low. These are measured on
questions labeled out of scope if there are enough, else on those of agents that were left out of
the training.

Held-out questions have weights (weights.py), so that the figures are those of the traffic. The
metrics are cross-fitted: each question is judged by thresholds that were chosen on others.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, log, nextafter, sqrt

from edgeneuro.classifier.examples import OUT_OF_SCOPE
from edgeneuro.classifier.logistic import Vector, dot, fit, logistic

TARGET = 0.98
MIN_LABELS = 5  # an agent with fewer is never answered
# Negatives of the pass that leaves out agents and out-of-scope labels: an out-of-scope question,
# and a question of an agent that was left out. Stored states of trainings hold these numbers.
UNSEEN_OUT_OF_SCOPE, LEFT_OUT_CLASS = -2, -3
# Left-out agents often resemble others, so their questions are harder to reject than those of
# unknown topics.
_MAX_FALSE_ACCEPT_RATE = {UNSEEN_OUT_OF_SCOPE: 0.08, LEFT_OUT_CLASS: 0.2}
MIN_NEGATIVES = 50
PARTS = 5  # of the cross-fitting
Z = 1.645  # one-sided 95 %
_SIGNIFICANCE = 0.05  # of the test whether an agent is worse than the target
_MIN_ANSWERS = 20  # that must remain above a raised threshold; fewer could be chance
_NEGATIVES_WEIGHT = 0.1  # of all negatives, as a share of the in-scope weight


@dataclass(frozen=True)
class HeldOut:
    """One held-out question: its label (below 0: a negative), the best class and the two best
    scores. `weight` is a whole number, so that sums are exact on every machine; `part` is its part
    of the cross-fitting."""

    label: int
    best: int
    top: float
    second: float
    weight: int = 1
    part: int = 0

    @property
    def right(self) -> bool:
        return self.label == self.best


@dataclass(frozen=True)
class Calibration:
    """`thresholds` by class; None: never answered. `refusal` is why no agent is ever answered,
    `reasons` why some are not. `metrics` are of the held-out questions."""

    curve: Vector
    thresholds: tuple[float | None, ...]
    refusal: str | None = None
    reasons: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float | int | None] = field(default_factory=dict)


_Scored = tuple[float, HeldOut]  # with its probability


class _Tally:
    """Sums of weighted answers. `count` is the effective number of answers (Kish), `right` the
    effective number of right ones; `scale` multiplies both, for a part that represents all."""

    def __init__(self, scale: float) -> None:
        self._scale = scale
        self._weight = self._squares = self._right = 0

    def add(self, one: HeldOut, sign: int = 1) -> None:
        self._weight += sign * one.weight
        self._squares += sign * one.weight * one.weight
        self._right += sign * one.weight * one.right

    @property
    def count(self) -> float:
        return self._scale * (self._weight * self._weight / self._squares) if self._squares else 0.0

    @property
    def right(self) -> float:
        return self._scale * (self._right * self._weight / self._squares) if self._squares else 0.0

    def does_worse(self, target: float) -> bool:
        return does_worse(round(self.count - self.right), round(self.count), target)


def probability(curve: Vector, top: float, second: float) -> float:
    """That an answer with these two best scores is right."""
    return logistic(dot(curve, (1.0, top, top - second)))


def accepts(top: float) -> bool:
    """Whether the score of the best class is on its side of the decision boundary. Otherwise it is
    never answered, however probable it is."""
    return top > 0


def wilson(right: float, count: float, z: float = -Z) -> float:
    """The Wilson bound of the share right / count: the lower one, or the upper one if z is above
    0."""
    if not count:
        return 0.0 if z < 0 else 1.0
    share, spread = right / count, z * z / count
    middle = share + spread / 2
    half = z * sqrt(max(0.0, share * (1 - share)) / count + spread / (4 * count))
    return (middle + half) / (1 + spread)


def calibrate(
    held: Sequence[HeldOut],
    label_counts: Mapping[str, int],
    target: float = TARGET,
    min_labels: int = MIN_LABELS,
    *,
    false_accepts: Mapping[int, float] = _MAX_FALSE_ACCEPT_RATE,
    unknown_topics: bool = True,
) -> Calibration:
    """`label_counts` are the labels that it was trained on, by agent, in the order of classes.
    `false_accepts` is the most of each kind of negatives that may be answered; without
    `unknown_topics` there may be too few of them to hold it."""
    classes = len(label_counts)
    curve = _fit(held) if held else (0.0, 0.0, 0.0)
    scored = sorted(
        ((probability(curve, one.top, one.second), one) for one in held),
        key=lambda pair: (-pair[0], pair[1].label, pair[1].best),
    )
    if sum(count >= min_labels for count in label_counts.values()) < 2:
        why = f"fewer than two agents have {min_labels} labels or more"
        return _never(classes, why, curve, scored)
    floor = _out_of_scope_floor(scored, false_accepts)
    if floor is None and not unknown_topics:
        floor = 0.0
    if floor is None:
        why = "unknown topics cannot be distinguished from known ones: label"
        why += f" {MIN_NEGATIVES} questions that no agent fits"
        return _never(classes, why, curve, scored)
    enough = [count >= min_labels for count in label_counts.values()]
    asked = [pair for pair in scored if pair[1].label >= OUT_OF_SCOPE]
    found = _thresholds(asked, enough, target, floor)
    if set(found) == {None}:
        why = f"no confidence keeps {target:.1%} accuracy on {len(asked)} held-out questions"
        return _never(classes, why, curve, scored)
    reasons = {
        agent_id: f"{count} labels; {min_labels} are needed"
        if count < min_labels
        else f"no confidence keeps {target:.1%} accuracy for this agent"
        for (agent_id, count), threshold in zip(label_counts.items(), found, strict=True)
        if threshold is None
    }
    answered = _cross_fitted(asked, enough, target, floor)
    answered += _answered([pair for pair in scored if pair[1].label < OUT_OF_SCOPE], found)
    metrics = _metrics(scored, answered)
    metrics["out_of_scope_threshold"] = round(floor, 6)
    metrics["threshold"] = min(round(one, 6) for one in found if one is not None)
    return Calibration(curve, found, None, reasons, metrics)


def _never(classes: int, why: str, curve: Vector, scored: Sequence[_Scored]) -> Calibration:
    return Calibration(curve, (None,) * classes, why, metrics=_metrics(scored, ()))


def _cross_fitted(
    asked: Sequence[_Scored], enough: Sequence[bool], target: float, floor: float
) -> list[HeldOut]:
    """The answered questions, each judged by thresholds that were chosen on the other parts."""
    answered: list[HeldOut] = []
    for part in range(PARTS):
        own = [pair for pair in asked if pair[1].part == part]
        others = [pair for pair in asked if pair[1].part != part]
        if own:
            scale = len(asked) / len(others) if others else 1.0
            found = _thresholds(others or own, enough, target, floor, scale)
            answered += _answered(own, found)
    return answered


def _answered(scored: Iterable[_Scored], thresholds: Sequence[float | None]) -> list[HeldOut]:
    return [
        one
        for sure, one in scored
        if accepts(one.top) and (least := thresholds[one.best]) is not None and sure >= least
    ]


def _thresholds(
    asked: Sequence[_Scored],
    enough: Sequence[bool],
    target: float,
    floor: float,
    scale: float = 1.0,
) -> tuple[float | None, ...]:
    """By class; `enough` says which have enough labels. `asked` is sorted by falling
    probability."""
    accepted = [pair for pair in asked if accepts(pair[1].top)]
    by_class: list[list[_Scored]] = [[] for _ in enough]
    for pair in accepted:
        by_class[pair[1].best].append(pair)
    # An agent that reaches the target at no threshold must not raise the threshold of the others.
    hopeless = [_raised(own, 0.0, target, scale) is None for own in by_class]
    others = [pair for pair in accepted if not hopeless[pair[1].best]]
    common = _common(others, target, floor, scale)
    return tuple(
        _raised(own, common, target, scale) if common is not None and labels else None
        for own, labels in zip(by_class, enough, strict=True)
    )


def _common(scored: Sequence[_Scored], target: float, floor: float, scale: float) -> float | None:
    """The lowest probability that keeps the target; `scored` is sorted by falling probability."""
    found, tally = None, _Tally(scale)
    for place, (sure, one) in enumerate(scored):
        tally.add(one)
        tied = place + 1 < len(scored) and scored[place + 1][0] == sure
        if not tied and wilson(tally.right, tally.count) >= target:
            found = sure
    return None if found is None else max(found, floor)


def _raised(scored: Sequence[_Scored], common: float, target: float, scale: float) -> float | None:
    """The common threshold, raised until the agent's answers are not significantly worse than the
    target; None if that leaves too few answers."""
    answered = [pair for pair in scored if pair[0] >= common]
    tally = _Tally(scale)
    for _, one in answered:
        tally.add(one)
    if not tally.does_worse(target):
        return common
    for place in range(len(answered) - 1, _MIN_ANSWERS - 1, -1):
        sure, one = answered[place]
        tally.add(one, -1)
        least = answered[place - 1][0]
        if least > sure and not tally.does_worse(target):
            return least
    return None


def does_worse(wrong: int, count: int, target: float) -> bool:
    """Whether the accuracy is significantly below the target (one-sided exact binomial test at the
    level 5 %)."""
    if wrong <= count * (1 - target):
        return False
    term, fewer = count * log(target), 0.0
    for number in range(wrong):
        fewer += exp(term)
        if fewer > 1 - _SIGNIFICANCE:
            return True
        term += log((count - number) / (number + 1) * (1 - target) / target)
    return False


def _out_of_scope_floor(
    scored: Sequence[_Scored], false_accepts: Mapping[int, float]
) -> float | None:
    """The lowest probability at which the false accept rate of the negatives is low enough; None if
    there are too few of them."""
    for kind, most in false_accepts.items():
        negatives = [sure if accepts(one.top) else 0.0 for sure, one in scored if one.label == kind]
        if len(negatives) >= MIN_NEGATIVES:
            return nextafter(sorted(negatives, reverse=True)[int(most * len(negatives))], 1)
    return None


def _metrics(
    scored: Sequence[_Scored], answered: Sequence[HeldOut]
) -> dict[str, float | int | None]:
    held = [one for _, one in scored]
    scope = [one for one in held if one.label >= 0]
    inside = [one for one in answered if one.label >= 0]
    unknown, accepted = _of(held, UNSEEN_OUT_OF_SCOPE), _of(answered, UNSEEN_OUT_OF_SCOPE)
    left_out, taken = _of(held, LEFT_OUT_CLASS), _of(answered, LEFT_OUT_CLASS)
    return {
        "held_out": len(scope),
        "accuracy": _share(_weight(one for one in scope if one.right), _weight(scope)),
        "coverage": _share(_weight(inside), _weight(scope)),
        "answered_accuracy": _share(_weight(one for one in inside if one.right), _weight(inside)),
        "out_of_scope": len(unknown),
        "false_accepts": len(accepted),
        "false_accept_rate": _share(len(accepted), len(unknown)),
        "left_out": len(left_out),
        "left_out_accept_rate": _share(len(taken), len(left_out)),
    }


def _of(held: Iterable[HeldOut], kind: int) -> list[HeldOut]:
    return [one for one in held if one.label == kind]


def _weight(held: Iterable[HeldOut]) -> int:
    return sum(one.weight for one in held)


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _fit(held: Sequence[HeldOut]) -> Vector:
    negatives = sum(one.label < 0 for one in held)
    low = min(1.0, _NEGATIVES_WEIGHT * (len(held) - negatives) / negatives) if negatives else 1.0
    mean = _weight(one for one in held if one.label >= 0) / max(1, len(held) - negatives)
    return fit(
        [(1.0, one.top, one.top - one.second) for one in held],
        [one.right for one in held],
        [low if one.label < 0 else one.weight / mean for one in held],
    )
