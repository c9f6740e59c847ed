"""The classifier's part of the analytics. The shares come from the sums by period that analytics
read anyway; drift compares them with what the labels were like at the training."""

import math
from collections.abc import Iterable, Mapping

from edgeneuro.domain.analytics import wilson
from edgeneuro.domain.classifier import Classifier
from edgeneuro.domain.drift import (
    ClassifierAnalytics,
    ClassifierDay,
    ClassifierShares,
    Disagreement,
    Drift,
)
from edgeneuro.store.analytics import UsageRead
from edgeneuro.store.database import Row
from edgeneuro.store.times import rfc3339, unix_ms
from edgeneuro.store.usage import DAY

# A share has drifted where it is higher than at the training by more than chance and by enough to
# matter. A lower one is none: less of what is not known is no harm.
_ENOUGH_ANSWERS = 200
_STANDARD_ERRORS = 3
_POINTS = 0.05
_COUNTED = {
    "requests": "answers",
    "asked": "classifier_asked",
    "answered": "classifier_answers",
    "out_of_scope": "out_of_scope_answers",
}


def classifier_analytics(
    read: UsageRead, selected: Classifier | None, *, start: int, stop: int
) -> ClassifierAnalytics:
    days: dict[int, list[Row]] = {day: [] for day in range(start - start % DAY, stop, DAY)}
    for row in read.periods:
        days[row["place"] - row["place"] % DAY].append(row)
    drift = None if selected is None else _drift(read.periods, selected)
    return ClassifierAnalytics(
        **_shares(read.periods).model_dump(),
        days=[
            ClassifierDay(start=rfc3339(max(day, start)), **_shares(rows).model_dump())
            for day, rows in days.items()
        ],
        disagreement=_disagreement(read.shadows[0]),
        drift=drift,
        alert=None if selected is None or drift is None else _alert(drift, selected),
    )


def _shares(rows: Iterable[Row]) -> ClassifierShares:
    found = list(rows)
    counts = {name: sum(row[column] for row in found) for name, column in _COUNTED.items()}
    return ClassifierShares(
        **counts,
        abstained=counts["asked"] - counts["answered"],
        answered_share=_share(counts["answered"], counts["asked"]),
        out_of_scope_share=_share(counts["out_of_scope"], counts["requests"]),
    )


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 6) if whole else None


def _disagreement(row: Row) -> Disagreement:
    found = wilson(row["differing"], row["compared"])
    return Disagreement(
        compared=found.labelled,
        differing=found.right,
        rate=found.accuracy,
        low=found.low,
        high=found.high,
    )


def _drift(periods: Iterable[Row], selected: Classifier) -> Drift:
    """Periods that begin before the training ended show another classifier."""
    learned_ms = unix_ms(selected.finished_at or selected.created_at)
    used = _shares(row for row in periods if row["place"] >= learned_ms)
    out_of_scope = _out_of_scope(selected)
    return Drift(
        classifier=selected.id,
        asked=used.asked,
        abstained_share=_share(used.abstained, used.asked),
        training_abstained_share=_abstained(selected.metrics or {}, out_of_scope),
        requests=used.requests,
        out_of_scope_share=used.out_of_scope_share,
        training_out_of_scope_share=out_of_scope,
    )


def _out_of_scope(selected: Classifier) -> float | None:
    """Of the labels that it has learned from, those that no agent fits."""
    if selected.per_agent is None:
        return None
    of_agents = sum(agent.labels for agent in selected.per_agent)
    return _share(max(selected.labels - of_agents, 0), selected.labels)


def _abstained(
    metrics: Mapping[str, float | int | None], out_of_scope: float | None
) -> float | None:
    """Of held-out labels, those of agents and those that no agent fits in the training's
    proportions, what it would have passed on."""
    coverage, accepted = metrics.get("coverage"), metrics.get("false_accept_rate") or 0.0
    if coverage is None or out_of_scope is None:
        return None
    return round(1 - coverage * (1 - out_of_scope) - accepted * out_of_scope, 6)


def _alert(drift: Drift, selected: Classifier) -> str | None:
    held_out = int((selected.metrics or {}).get("held_out") or 0)
    if _rose(drift.abstained_share, drift.asked, drift.training_abstained_share, held_out):
        return (
            f"It passes on {drift.abstained_share:.1%} of the questions, at its training"
            f" {drift.training_abstained_share:.1%}: label recent ones and train it anew."
        )
    if _rose(
        drift.out_of_scope_share,
        drift.requests,
        drift.training_out_of_scope_share,
        selected.labels,
    ):
        return (
            f"No agent fits {drift.out_of_scope_share:.1%} of the questions, at its training"
            f" {drift.training_out_of_scope_share:.1%}: label recent ones, or add an agent."
        )
    return None


def _rose(now: float | None, count: int, before: float | None, count_before: int) -> bool:
    if now is None or before is None or count < _ENOUGH_ANSWERS or not count_before:
        return False
    both = (now * count + before * count_before) / (count + count_before)
    error = math.sqrt(both * (1 - both) * (1 / count + 1 / count_before))
    return now - before > max(_STANDARD_ERRORS * error, _POINTS)
