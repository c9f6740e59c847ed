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
from functools import cached_property

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
from edgeneuro.classifier.thresholds import (
    Questions,
    Scored,
    UnknownTopics,
    certain,
    choose,
    hopeless,
)

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


@dataclass(frozen=True)
class Judged:
    """`answered` are the held-out questions that are answered, each by thresholds that others
    chose."""

    calibration: Calibration
    answered: Sequence[HeldOut] = ()


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
    calibrator = Calibrator(
        held, label_counts, min_labels, texts=texts, prior=prior, unknown=unknown
    )
    return calibrator.judge(target).calibration


class Calibrator:
    """Held-out questions, to be calibrated to any number of targets. What does not depend on the
    target is found once: curves take most of the time."""

    def __init__(
        self,
        held: Sequence[HeldOut],
        label_counts: Mapping[str, int],
        min_labels: int = MIN_LABELS,
        *,
        texts: Mapping[str, int] | None = None,
        prior: Prior = curves.MESSAGES,
        unknown: UnknownTopics = thresholds.MESSAGES,
    ) -> None:
        self._held = held
        self._asked = [one for one in held if one.label >= OUT_OF_SCOPE]
        self._negatives = [one for one in held if one.label < OUT_OF_SCOPE]
        self._label_counts, self._min_labels = label_counts, min_labels
        self._prior = prior
        own_texts = texts or {}
        self._labels = [count >= min_labels for count in label_counts.values()]
        self._enough = [
            full or 0 < own_texts.get(agent, 0) >= MIN_TEXTS - count
            for full, (agent, count) in zip(self._labels, label_counts.items(), strict=True)
        ]
        self._fits: dict[tuple[bool, ...], _Fit] = {}
        self._all = self._fit((False,) * len(self._enough))
        self._plateau = plateau([each.one for each in self._all.questions.scored])
        if self._plateau is not None and not unknown.familiar:
            unknown = replace(unknown, most=min(unknown.most, thresholds.MOST_OF_MACHINE))
        self._unknown = unknown

    def _fit(self, without: Sequence[bool]) -> "_Fit":
        """Of the questions whose best class is not left out."""
        key = tuple(without)
        if key not in self._fits:
            asked = [one for one in self._asked if not without[one.best]]
            self._fits[key] = _Fit(asked, self._negatives, self._prior)
        return self._fits[key]

    def best_share(self, best: int) -> tuple[float, int] | None:
        """The largest share of the answers of this class that is right from any probability on, and
        of how many; None if they are too few to say."""
        return thresholds.best_share(self._all.questions.of_class(best))

    def judge(self, target: float) -> Judged:
        noise: dict[str, float | int | None] = (
            {} if self._plateau is None else {"noise_plateau": self._plateau}
        )
        why = self._not_measurable()
        if why is not None:
            return self._never(self._all, why, noise)
        if self._plateau is not None:
            target = round(target * self._plateau, 6)
        why = f"no confidence keeps {target:.1%} accuracy on {len(self._asked)} held-out questions"
        # An agent that reaches the target at no threshold must not raise the threshold of the
        # others.
        without = hopeless(self._all.questions, len(self._enough), target)
        if self._asked and all(without[one.best] for one in self._asked):
            return self._never(self._all, why, noise)
        fit = self._fit(without)
        may_be = [enough and not bad for enough, bad in zip(self._enough, without, strict=True)]
        least = fit.least(self._unknown, len(self._enough), self._plateau)
        found = self._chosen(fit.questions, may_be, target, least)
        lowest = [one for one in found if one is not None]
        scored = fit.questions.scored
        many = len(_inside([each.one for each in scored])) > MAX_UNSURE
        if not lowest or (many and not _answered(scored, found)):
            return self._never(fit, why, noise)
        answered = _answered(fit.negatives, found)
        for own, others in fit.parts:
            answered += _answered(own, self._chosen(others, may_be, target, least))
        inside = Tally(_inside(answered))
        if wilson(inside.right, inside.count, TWO_SIDED) < target - CONTRADICTION:
            return self._never(fit, why, noise)
        metrics = _metrics(self._held, answered) | noise
        metrics["out_of_scope_threshold"] = least
        metrics["threshold"] = min(lowest)
        reasons = self._reasons(found, target)
        return Judged(Calibration(fit.curve.weights, found, None, reasons, metrics), answered)

    def _not_measurable(self) -> str | None:
        """Why no target can be reached."""
        if sum(self._enough) < 2:
            return f"fewer than two agents have {self._min_labels} labels or more"
        if self._plateau is None or self._plateau >= MIN_PLATEAU:
            return None
        held_out = len(self._asked)
        if not self._plateau:
            return (
                f"of {held_out} held-out machine labels too few are answered to say how often it"
                " agrees with the model"
            )
        return (
            f"its surest answers agree with the model in {self._plateau:.1%}: too few machine"
            f" labels, or a model that contradicts itself ({held_out} were held out)"
        )

    def _never(self, fit: "_Fit", why: str, noise: dict[str, float | int | None]) -> Judged:
        never = (None,) * len(self._enough)
        metrics = _metrics(self._held, ()) | noise
        return Judged(Calibration(fit.curve.weights, never, why, metrics=metrics))

    def _chosen(
        self, questions: Questions, may_be: Sequence[bool], target: float, least: float
    ) -> tuple[float | None, ...]:
        """By class; an agent with texts in place of labels is answered only if that is certain."""
        shy = max(least, certain(target))
        if not questions.of_agents:
            return tuple(shy if sufficient else None for sufficient in may_be)
        found = choose(questions, may_be, target, least, noisy=self._plateau is not None)
        return tuple(
            one if one is None or full else max(one, shy)
            for one, full in zip(found, self._labels, strict=True)
        )

    def _reasons(self, found: Sequence[float | None], target: float) -> dict[str, str]:
        return {
            agent_id: f"{count} labels; {self._min_labels} are needed"
            if not sufficient
            else f"no confidence keeps {target:.1%} accuracy for this agent"
            for (agent_id, count), threshold, sufficient in zip(
                self._label_counts.items(), found, self._enough, strict=True
            )
            if threshold is None
        }


class _Fit:
    """The curve of these questions, and what it makes of them and of the negatives."""

    def __init__(
        self, asked: Sequence[HeldOut], negatives: Sequence[HeldOut], prior: Prior
    ) -> None:
        self.curve = fit_curve(asked, prior)
        self.questions = Questions(_scored(asked, self.curve), self.curve)
        self.negatives = _scored(negatives, self.curve)
        self._asked, self._prior = asked, prior
        self._least: float | None = None

    def least(self, unknown: UnknownTopics, classes: int, found_plateau: float | None) -> float:
        """The lowest threshold; asked for with the same values each time."""
        if self._least is None:
            self._least = unknown.floor(self.negatives, classes, found_plateau)
        return self._least

    @cached_property
    def parts(self) -> list[tuple[list[Scored], Questions]]:
        """Of each part of the cross-fitting its questions, and the others, both by the curve of
        the others."""
        found = []
        for part in range(PARTS):
            own = [one for one in self._asked if one.part == part]
            others = [one for one in self._asked if one.part != part]
            if own:
                curve = Curve(fit_curve(others, self._prior).weights, self.curve.covariance)
                found.append((_scored(own, curve), Questions(_scored(others, curve), curve)))
        return found


def _scored(held: Sequence[HeldOut], curve: Curve) -> list[Scored]:
    """Sorted by falling probability."""
    return sorted(
        [
            Scored(curve.probability(one), one, count)
            for one, count in zip(held, counts(held), strict=True)
        ],
        key=lambda each: (-each.sure, each.one.label, each.one.best),
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
