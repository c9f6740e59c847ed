"""The classifier's part of the analytics: shares by day from the sums by period that analytics read
anyway, and the selected classifier's drift."""

from collections.abc import Iterable, Mapping

from edgeneuro.controlplane.learning.drift_windows import compare_windows, disagreement, share
from edgeneuro.domain.classifier import Classifier
from edgeneuro.domain.drift import ClassifierAnalytics, ClassifierDay, ClassifierShares, Drift
from edgeneuro.store.analytics import UsageRead
from edgeneuro.store.database import Row
from edgeneuro.store.drift import WindowRead
from edgeneuro.store.times import rfc3339
from edgeneuro.store.usage import DAY

_COUNTED = {
    "requests": "answers",
    "asked": "classifier_asked",
    "answered": "classifier_answers",
    "out_of_scope": "out_of_scope_answers",
}


def classifier_analytics(
    read: UsageRead,
    selected: Classifier | None,
    windows: Mapping[str, WindowRead],
    *,
    start: int,
    stop: int,
) -> ClassifierAnalytics:
    """`windows` are those of the selected classifier, up to `stop`."""
    days: dict[int, list[Row]] = {day: [] for day in range(start - start % DAY, stop, DAY)}
    for row in read.periods:
        days[row["place"] - row["place"] % DAY].append(row)
    drift = None if selected is None else compare_windows(selected, windows)
    return ClassifierAnalytics(
        **_shares(read.periods).model_dump(),
        days=[
            ClassifierDay(start=rfc3339(max(day, start)), **_shares(rows).model_dump())
            for day, rows in days.items()
        ],
        disagreement=disagreement(
            read.audit_samples[0]["compared"], read.audit_samples[0]["differing"]
        ),
        drift=drift,
        alert=_first_alert(drift),
    )


def _first_alert(drift: Drift | None) -> str | None:
    return drift.alerts[0].text if drift is not None and drift.alerts else None


def _shares(rows: Iterable[Row]) -> ClassifierShares:
    found = list(rows)
    counts = {name: sum(row[column] for row in found) for name, column in _COUNTED.items()}
    return ClassifierShares(
        **counts,
        abstained=counts["asked"] - counts["answered"],
        answered_share=share(counts["answered"], counts["asked"]),
        out_of_scope_share=share(counts["out_of_scope"], counts["requests"]),
    )
