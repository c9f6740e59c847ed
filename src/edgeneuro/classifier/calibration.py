"""Thresholds: how sure the classifier must be before it answers, chosen on questions that it was
not trained on.

A logistic curve turns the best score and its lead into the probability that the answer is right
(curve.py). It is known from other trainings, and held-out questions correct it, so that few of them
are enough. A threshold is the lowest probability from which on this curve expects the target
accuracy, with caution for what is uncertain in it (thresholds.py). It is raised for an agent whose
answers are worse, and as far as it must be to refuse unknown topics.

If most held-out labels are machine labels, the target is that for the agreement with the model,
which errs too (noise.py).

Held-out questions have weights (weights.py), so that the figures are those of the traffic. The
metrics are cross-fitted: each question is judged by a curve and thresholds that come from others.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from edgeneuro.classifier import curve as curves
from edgeneuro.classifier import thresholds
from edgeneuro.classifier.curve import Curve, counts, fit_curve
from edgeneuro.classifier.examples import OUT_OF_SCOPE
from edgeneuro.classifier.held_out import (
    LEFT_OUT_CLASS,
    TWO_SIDED,
    UNSEEN_OUT_OF_SCOPE,
    HeldOut,
    Tally,
    accepts,
    wilson,
)
from edgeneuro.classifier.logistic import Prior, Vector
from edgeneuro.classifier.noise import MIN_PLATEAU, plateau
from edgeneuro.classifier.thresholds import Scored, UnknownTopics, certain, choose, hopeless

TARGET = 0.98
MIN_LABELS = 5  # an agent with fewer, and without texts of its own, is never answered
MIN_TEXTS = 5  # an agent with so many, labels among them, is answered if that is certain
# Held-out questions, none of which is sure enough; of more that is no chance, and it refuses.
MAX_UNSURE = 50
# The curve is wrong about these labels if even the upper bound of the precision that is measured is
# so far below the target.
CONTRADICTION = 0.05
PARTS = 5  # of the cross-fitting


@dataclass(frozen=True)
class Calibration:
    """`thresholds` by class; None: never answered. `refusal` is why no agent is ever answered,
    `reasons` why some are not. `metrics` are of the held-out questions."""

    curve: Vector
    thresholds: tuple[float | None, ...]
    refusal: str | None = None
    reasons: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float | int | None] = field(default_factory=dict)


def calibrate(
    held: Sequence[HeldOut],
    label_counts: Mapping[str, int],
    target: float = TARGET,
    min_labels: int = MIN_LABELS,
    *,
    texts: Mapping[str, int] | None = None,
    prior: Prior = curves.MESSAGES,
    unknown: UnknownTopics = thresholds.MESSAGES,
) -> Calibration:
    """`label_counts` are the labels that it was trained on, by agent, in the order of classes, and
    `texts` how many texts of the agent itself."""
    asked = [one for one in held if one.label >= OUT_OF_SCOPE]
    negatives = [one for one in held if one.label < OUT_OF_SCOPE]
    own_texts = texts or {}
    labels = [count >= min_labels for count in label_counts.values()]
    enough = [
        full or 0 < own_texts.get(agent, 0) >= MIN_TEXTS - count
        for full, (agent, count) in zip(labels, label_counts.items(), strict=True)
    ]
    curve = fit_curve(asked, prior)
    found_plateau = plateau([each.one for each in _scored(asked, curve)])
    noise: dict[str, float | int | None] = (
        {} if found_plateau is None else {"noise_plateau": found_plateau}
    )
    metrics = _metrics(held, ()) | noise
    if sum(enough) < 2:
        why = f"fewer than two agents have {min_labels} labels or more"
        return _never(curve, label_counts, why, metrics)
    if found_plateau is not None:
        if found_plateau < MIN_PLATEAU:
            why = f"its surest answers agree with the model in {found_plateau:.1%}: too few machine"
            why += f" labels, or a model that contradicts itself ({len(asked)} were held out)"
            if not found_plateau:
                why = (
                    f"of {len(asked)} held-out machine labels too few are answered to say how often"
                )
                why += " it agrees with the model"
            return _never(curve, label_counts, why, metrics)
        target = round(target * found_plateau, 6)
    noisy = found_plateau is not None
    why = f"no confidence keeps {target:.1%} accuracy on {len(asked)} held-out questions"
    # An agent that reaches the target at no threshold must not raise the threshold of the others.
    without = hopeless(_scored(asked, curve), len(enough), target)
    asked, before = [one for one in asked if not without[one.best]], asked
    if before and not asked:
        return _never(curve, label_counts, why, metrics)
    may_be = [sufficient and not bad for sufficient, bad in zip(enough, without, strict=True)]
    curve = fit_curve(asked, prior)
    if noisy and not unknown.familiar:
        unknown = replace(unknown, most=min(unknown.most, thresholds.MOST_OF_MACHINE))
    least = unknown.floor(_scored(negatives, curve), len(enough), found_plateau)
    found = _chosen(asked, curve, labels, may_be, target, least, noisy=noisy)
    lowest = [one for one in found if one is not None]
    many = len(_inside(asked)) > MAX_UNSURE
    unsure = many and not _answered(_scored(asked, curve), found)
    if not lowest or unsure:
        return _never(curve, label_counts, why, metrics)
    reasons = {
        agent_id: f"{count} labels; {min_labels} are needed"
        if not sufficient
        else f"no confidence keeps {target:.1%} accuracy for this agent"
        for (agent_id, count), threshold, sufficient in zip(
            label_counts.items(), found, enough, strict=True
        )
        if threshold is None
    }
    answered = _answered(_scored(negatives, curve), found)
    for part in range(PARTS):
        own = [one for one in asked if one.part == part]
        others = [one for one in asked if one.part != part]
        if own:
            other_curve = Curve(fit_curve(others, prior).weights, curve.covariance)
            chosen = _chosen(others, other_curve, labels, may_be, target, least, noisy=noisy)
            answered += _answered(_scored(own, other_curve), chosen)
    inside = Tally(_inside(answered))
    if wilson(inside.right, inside.count, TWO_SIDED) < target - CONTRADICTION:
        return _never(curve, label_counts, why, metrics)
    metrics = _metrics(held, answered) | noise
    metrics["out_of_scope_threshold"] = least
    metrics["threshold"] = min(lowest)
    return Calibration(curve.weights, found, None, reasons, metrics)


def _never(
    curve: Curve,
    label_counts: Mapping[str, int],
    why: str,
    metrics: dict[str, float | int | None],
) -> Calibration:
    return Calibration(curve.weights, (None,) * len(label_counts), why, metrics=metrics)


def _scored(held: Sequence[HeldOut], curve: Curve) -> list[Scored]:
    """Sorted by falling probability."""
    return sorted(
        [
            Scored(curve.probability(one), one, count)
            for one, count in zip(held, counts(held), strict=True)
        ],
        key=lambda each: (-each.sure, each.one.label, each.one.best),
    )


def _chosen(
    asked: Sequence[HeldOut],
    curve: Curve,
    labels: Sequence[bool],
    may_be: Sequence[bool],
    target: float,
    least: float,
    *,
    noisy: bool,
) -> tuple[float | None, ...]:
    """By class; an agent with texts in place of labels is answered only if that is certain."""
    shy = max(least, certain(target))
    if not any(one.label >= 0 for one in asked):
        return tuple(shy if sufficient else None for sufficient in may_be)
    found = choose(_scored(asked, curve), curve, may_be, target, least, noisy=noisy)
    return tuple(
        one if one is None or full else max(one, shy)
        for one, full in zip(found, labels, strict=True)
    )


def _answered(scored: Iterable[Scored], found: Sequence[float | None]) -> list[HeldOut]:
    return [
        each.one
        for each in scored
        if accepts(each.one.top)
        and (least := found[each.one.best]) is not None
        and each.sure >= least
    ]


def _metrics(held: Sequence[HeldOut], answered: Sequence[HeldOut]) -> dict[str, float | int | None]:
    """Each share with its 95 % interval, by the effective numbers."""
    scope, inside = Tally(_inside(held)), Tally(_inside(answered))
    unknown, accepted = _of(held, UNSEEN_OUT_OF_SCOPE), _of(answered, UNSEEN_OUT_OF_SCOPE)
    left_out, taken = _of(held, LEFT_OUT_CLASS), _of(answered, LEFT_OUT_CLASS)
    coverage = _share(_weight(_inside(answered)), _weight(_inside(held)))
    covered = (coverage or 0.0) * scope.count
    return {
        "held_out": sum(one.label >= 0 for one in held),
        "accuracy": _rounded(scope.share),
        "coverage": coverage,
        **_interval("coverage", covered, scope.count),
        "answered": sum(one.label >= 0 for one in answered),
        "answered_effective": round(inside.count, 1),
        "answered_accuracy": _rounded(inside.share),
        **_interval("answered_accuracy", inside.right, inside.count),
        "out_of_scope": len(unknown),
        "false_accepts": len(accepted),
        "false_accept_rate": _share(len(accepted), len(unknown)),
        **_interval("false_accept_rate", len(accepted), len(unknown)),
        "left_out": len(left_out),
        "left_out_accept_rate": _share(len(taken), len(left_out)),
        **_interval("left_out_accept_rate", len(taken), len(left_out)),
    }


def _interval(name: str, part: float, whole: float) -> dict[str, float | None]:
    return {
        f"{name}_low": round(wilson(part, whole), 4) if whole else None,
        f"{name}_high": round(wilson(part, whole, TWO_SIDED), 4) if whole else None,
    }


def _inside(held: Iterable[HeldOut]) -> list[HeldOut]:
    return [one for one in held if one.label >= 0]


def _of(held: Iterable[HeldOut], kind: int) -> list[HeldOut]:
    return [one for one in held if one.label == kind]


def _weight(held: Iterable[HeldOut]) -> int:
    return sum(one.weight for one in held)


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)
