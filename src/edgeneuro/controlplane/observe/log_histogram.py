"""Requests over time, for the list of logs: how many of those that fit the filters came when."""

from edgeneuro.call import Call
from edgeneuro.controlplane.observe.logs import require_layer
from edgeneuro.domain.log import LogCount, LogHistogram, LogsFilter
from edgeneuro.store.log_histogram import CountedLogs, count_logs
from edgeneuro.store.sql import rfc3339


async def show_histogram(call: Call, query: LogsFilter) -> LogHistogram:
    """Count log entries over time, with the filters of GET /v1/logs, in at most 61 buckets. The
    range without `from` and `to` begins with the oldest log entry and ends now. One request looks
    at no more than 20,000 rows; `counted` and `searched_from` say what was counted beyond that."""
    require_layer(query)
    now_ms = call.services.now_ms()
    found = await count_logs(call.services.db, query, now_ms=now_ms)
    if found is None:
        found = CountedLogs(now_ms, now_ms, 1_000, "rows", [])
    buckets = _buckets(found)
    return LogHistogram(
        from_=rfc3339(found.start),
        to=rfc3339(found.stop),
        interval_seconds=found.width // 1_000,
        counted=found.counted,
        searched_from=None if found.searched_from is None else rfc3339(found.searched_from),
        total=sum(bucket.requests for bucket in buckets),
        buckets=buckets,
    )


def _buckets(found: CountedLogs) -> list[LogCount]:
    """Those without requests too."""
    rows = {row["start"]: row for row in found.buckets}
    empty = {"requests": 0, "errors": 0, "fallback_answers": 0}
    starts = range(found.start - found.start % found.width, found.stop, found.width)
    return [
        LogCount(**{**empty, **rows.get(start, {}), "start": rfc3339(start)}) for start in starts
    ]
