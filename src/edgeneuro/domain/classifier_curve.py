"""The curve of a classifier: coverage against precision, by the target that it is trained for."""

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel

from edgeneuro.domain.classifier import MetricsBasis
from edgeneuro.domain.savings import MODEL_STAGE, DecisionSums

# Another target is suggested if it answers so much more for so little precision.
MIN_GAIN, MAX_LOSS = 0.10, 0.02
MIN_ANSWERS = 40  # of held-out questions; with fewer a precision says little
MIN_DECISIONS = 100  # logged, for a month's rate
MONTH_DAYS = 30
# Stages that decide before the classifier is asked; what they decide stays with them.
_BEFORE = frozenset(("rule", "session", "clarified", "label", "memory_cache"))


class CurvePoint(BaseModel):
    """With this `target`, `agents` are answered, the first of them from the probability `threshold`
    on (null: none is). `limited`: the target would allow a lower threshold, with which too many
    out-of-scope questions would be answered. Shares with their 95 % Wilson intervals: `coverage` of
    the `held_out` questions; `precision` of the `answered` ones, null without any. Each question is
    judged by thresholds that others chose. `false_accepts` of the `out_of_scope` questions are
    answered."""

    target: float
    threshold: float | None
    limited: bool = False
    agents: int
    held_out: int
    answered: int
    coverage: float
    coverage_low: float
    coverage_high: float
    precision: float | None
    precision_low: float | None
    precision_high: float | None
    out_of_scope: int
    false_accepts: int


class CurveTraffic(BaseModel):
    """The decisions of the last 30 days: `per_month` of them, at the rate since the first day that
    has one, would reach the classifier, as no earlier stage made them. For `model_share` of those
    that it does not make, a model is called, at `mean_cost_usd` a decision. A field is null if it
    is not known; `unpriced` says why no costs are stated."""

    decisions: int
    per_month: int | None
    model_share: float | None
    mean_cost_usd: float | None
    unpriced: Literal["emulated", "no_price", "no_model_decisions"] | None = None


class MonthPoint(CurvePoint):
    """`answered_per_month` is the estimate of the requests a month that need no model, and
    `saved_usd_per_month` what models would have cost for them; null if that is not known."""

    answered_per_month: int | None
    saved_usd_per_month: float | None


class ClassifierCurve(BaseModel):
    """What the training would have come to with other targets, measured on the same held-out
    questions. `target` is that of the training, and one of the `points`. There are none if nothing
    was measured; then `message` says why. `suggested` is a lower target that answers at least 10
    points more questions for at most 2 points of precision; null: none does. `basis` is what the
    figures are of, as in the classifier."""

    object: Literal["classifier.curve"] = "classifier.curve"
    classifier_id: str
    target: float
    basis: MetricsBasis | None
    basis_model: str | None
    message: str | None
    points: list[MonthPoint]
    suggested: float | None
    traffic: CurveTraffic


def suggested_target(points: Sequence[CurvePoint], target: float) -> float | None:
    """Of the lower targets that are worth it, the one that answers most; of several the highest."""
    own = next((point for point in points if point.target == target), None)
    if own is None:
        return None
    # Without an answer there is no measured precision to lose.
    precision = target if own.precision is None else own.precision
    worth = [
        point
        for point in points
        if point.target < target
        and point.precision is not None
        and point.answered >= MIN_ANSWERS
        and point.coverage - own.coverage >= MIN_GAIN
        and point.coverage_low > own.coverage_high
        and precision - point.precision <= MAX_LOSS
    ]
    best = max(worth, key=lambda point: (point.coverage, point.target), default=None)
    return None if best is None else best.target


def traffic_of(stages: Mapping[str, DecisionSums], days: float) -> CurveTraffic:
    """`stages` have the decisions of these days by the stage that made them."""
    total = sum(sums.decisions for sums in stages.values())
    reaching = sum(sums.decisions for name, sums in stages.items() if name not in _BEFORE)
    models = stages.get(MODEL_STAGE, DecisionSums())
    known = total >= MIN_DECISIONS
    others = reaching - stages.get("classifier", DecisionSums()).decisions
    cost, unpriced = models.mean_cost_usd, None
    if models.emulated:
        cost, unpriced = None, "emulated"
    elif not models.decisions:
        unpriced = "no_model_decisions"
    elif cost is None:
        unpriced = "no_price"
    return CurveTraffic.model_validate(
        {
            "decisions": total,
            "per_month": round(reaching / days * MONTH_DAYS) if known else None,
            "model_share": round(models.decisions / others, 4) if others else None,
            "mean_cost_usd": cost,
            "unpriced": unpriced,
        }
    )


def month_point(point: CurvePoint, traffic: CurveTraffic) -> MonthPoint:
    """The point with what it comes to in this traffic."""
    answered = None if traffic.per_month is None else round(traffic.per_month * point.coverage)
    saved = None
    cost, share = traffic.mean_cost_usd, traffic.model_share
    if answered is not None and cost is not None and share is not None:
        saved = round(answered * share * cost, 6)
    return MonthPoint(**point.model_dump(), answered_per_month=answered, saved_usd_per_month=saved)
