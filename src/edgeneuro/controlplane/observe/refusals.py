"""The refused requests of a range, for analytics."""

from collections.abc import Sequence

from edgeneuro.domain.refusal import RefusalPeriod, Refusals, RefusedKey
from edgeneuro.store.analytics import UsageRead
from edgeneuro.store.sql import rfc3339


def refusals_of(read: UsageRead, starts: Sequence[int], first: int) -> Refusals:
    """`starts` are the periods of the range, which begins at `first`; unix milliseconds."""
    periods: dict[int, dict[str, int]] = {start: {} for start in starts}
    reasons: dict[str, int] = {}
    for row in read.refusals:
        reason, requests = row["reason"], row["requests"]
        periods[row["place"]][reason] = requests
        reasons[reason] = reasons.get(reason, 0) + requests
    return Refusals(
        requests=sum(reasons.values()),
        reasons=reasons,
        series=[
            RefusalPeriod.model_construct(start=rfc3339(max(start, first)), reasons=counts)
            for start, counts in periods.items()
        ],
        keys=_keys(read),
    )


def _keys(read: UsageRead) -> list[RefusedKey]:
    """The one with the most first."""
    found: dict[str, RefusedKey] = {}
    for row in read.refused_keys:
        key_id, last_at = row["key_id"], rfc3339(row["last_at"])
        key = found.setdefault(
            key_id, RefusedKey(key=key_id or None, requests=0, reasons={}, last_at=last_at)
        )
        key.requests += row["requests"]
        key.reasons[row["reason"]] = row["requests"]
        key.last_at = max(key.last_at, last_at)
    return sorted(found.values(), key=lambda each: -each.requests)
