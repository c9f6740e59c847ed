"""Analytics: what is asked for, and the sums, rates and percentiles that come back."""

import math
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from edgeneuro.domain.drift import ClassifierAnalytics
from edgeneuro.domain.fields import Timestamp
from edgeneuro.domain.refusal import Refusals
from edgeneuro.domain.savings import Savings

Interval = Literal["5m", "hour", "day"]
GroupBy = Literal["model", "agent", "layer", "reason", "adapter", "key"]

_YEARS = range(2000, 2200)


def _in_years(moment: str) -> str:
    if int(moment[:4]) not in _YEARS:
        raise ValueError(f"must be in the years {_YEARS.start} to {_YEARS.stop - 1}")
    return moment


AnalyticsTimestamp = Annotated[Timestamp, AfterValidator(_in_years)]


class RangeQuery(BaseModel):
    """`from` goes down and `to`, which is not included, up to a whole hour of UTC."""

    model_config = ConfigDict(extra="forbid")

    from_: AnalyticsTimestamp | None = Field(None, alias="from")
    to: AnalyticsTimestamp | None = None


class AnalyticsQuery(RangeQuery):
    """The interval `5m` is for ranges of at most 24 hours in the last 3 days."""

    interval: Interval = "hour"
    group_by: GroupBy = "model"


class RebuildRequest(BaseModel):
    """The range of POST /v1/analytics/rebuild, as in GET /v1/analytics."""

    model_config = ConfigDict(extra="forbid", strict=True)

    from_: AnalyticsTimestamp = Field(alias="from")
    to: AnalyticsTimestamp


class AnalyticsRange(BaseModel):
    """The whole hours that a range came to."""

    from_: str = Field(serialization_alias="from")
    to: str

    model_config = ConfigDict(serialize_by_alias=True)


class Rebuilt(AnalyticsRange):
    """`skipped` are hours whose sums stay, because some of their log rows are deleted already."""

    object: Literal["analytics.rebuild"] = "analytics.rebuild"
    hours: int
    skipped: list[str]


class AccuracyEstimate(BaseModel):
    """Of `labelled` questions `right` were routed to the labeled agent; `low` to `high` is the 95 %
    Wilson interval."""

    labelled: int
    right: int
    accuracy: float | None
    low: float | None
    high: float | None


class MeasuredAccuracy(AccuracyEstimate):
    """Over questions that were drawn at random from the log and labeled blind (`basis`), because
    the other labels are for questions that were chosen as hard. Those are counted separately and
    say nothing about all questions. `next_step` says what is missing; null if nothing is."""

    basis: Literal["random questions"] = "random questions"
    other_labelled: int
    other_right: int
    next_step: str | None


class Latency(BaseModel):
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


class UsageFigures(BaseModel):
    """What each one counts is said in the answer's `counting`; a rate of nothing is null."""

    requests: int
    errors: int
    error_rate: float | None
    fallback_answers: int
    fallback_rate: float | None
    cache_hits: int
    cache_hit_rate: float | None
    answered_without_model: int
    without_model_rate: float | None
    attempts: int
    failed_attempts: int
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cost_usd: float
    unpriced_answers: int
    latency_ms: Latency


class Totals(UsageFigures):
    misrouted: int
    misroute_rate: float | None
    accuracy: MeasuredAccuracy


class Period(UsageFigures):
    """`layers` counts the answers by their layer."""

    start: str
    layers: dict[str, int]


class Group(UsageFigures):
    """`key` is null for answers without one: an error has no agent, an agent that was decided on
    has no reason."""

    key: str | None
    misrouted: int | None = None
    misroute_rate: float | None = None
    accuracy: MeasuredAccuracy


class ModelAttempts(BaseModel):
    model: str
    adapter: str | None
    attempts: int
    failed_attempts: int
    outcomes: dict[str, int]


class Analytics(AnalyticsRange):
    """`reasons` counts the answers that have one; `models` counts the model calls."""

    object: Literal["analytics"] = "analytics"
    interval: Interval
    group_by: GroupBy
    totals: Totals
    series: list[Period]
    groups: list[Group]
    reasons: dict[str, int]
    models: list[ModelAttempts]
    classifier: ClassifierAnalytics
    savings: Savings
    refusals: Refusals
    counting: dict[str, str]


class LatencyCount(BaseModel):
    """The requests that took `from_ms` or longer and less than `to_ms`, null for any time."""

    from_ms: float
    to_ms: float | None
    requests: int


class LayerLatency(BaseModel):
    layer: str
    requests: int
    latency_ms: Latency
    distribution: list[LatencyCount]


class RangeTotals(AnalyticsRange):
    """The totals and the savings of a range, without its periods, groups and accuracy."""

    object: Literal["analytics.totals"] = "analytics.totals"
    totals: UsageFigures
    savings: Savings


class LatencyReport(AnalyticsRange):
    """The latencies of each layer's decisions, the layer with the most first: percentiles, and a
    distribution whose steps double."""

    object: Literal["analytics.latency"] = "analytics.latency"
    layers: list[LayerLatency]


class Confusion(BaseModel):
    """Questions with the label `label` that were routed to `decided`; null stands for no agent.
    `sampled` are from the random stream of the label queue, `other` from all other labels, each
    question once. `sampled_of` and `other_of` are all questions with this label that were routed in
    the range, right ones too."""

    decided: str | None
    label: str | None
    sampled: int
    other: int
    sampled_of: int
    other_of: int


class ConfusionReport(AnalyticsRange):
    """The 20 pairs of a label and another decision with the most questions, those of the random
    stream first. Only questions drawn at random measure how often a pair is confused: the others
    were chosen because they are hard."""

    object: Literal["analytics.confusions"] = "analytics.confusions"
    pairs: list[Confusion]


def accuracy_of(right: int, labelled: int) -> AccuracyEstimate:
    """Accuracy with its 95 % Wilson score interval."""
    if labelled == 0:
        return AccuracyEstimate(labelled=0, right=0, accuracy=None, low=None, high=None)
    z = 1.959964
    share = right / labelled
    spread = z * z / labelled
    middle = share + spread / 2
    reach = z * math.sqrt(share * (1 - share) / labelled + spread / labelled / 4)
    return AccuracyEstimate(
        labelled=labelled,
        right=right,
        accuracy=round(share, 6),
        low=round(max(0.0, (middle - reach) / (1 + spread)), 6),
        high=round(min(1.0, (middle + reach) / (1 + spread)), 6),
    )
