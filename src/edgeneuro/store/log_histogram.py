"""Log rows counted by time. Rows are counted one by one where the range has few enough of them to
look at; else the sums of analytics are read, where they know the filters."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from edgeneuro.domain.analytics import GroupBy
from edgeneuro.domain.log import LogsFilter
from edgeneuro.store.analytics import read_periods
from edgeneuro.store.database import Database, Rows, statement
from edgeneuro.store.log_filters import in_order
from edgeneuro.store.log_search import WINDOW_ROWS, LogSearch
from edgeneuro.store.sql import unix_ms
from edgeneuro.store.usage import DAY, HOUR

BUCKETS = 60  # at most, but for one more where neither end is that of a bucket
_WIDTHS = (
    *(1_000 * seconds for seconds in (1, 2, 5, 10, 15, 30)),
    *(60_000 * minutes for minutes in (1, 2, 5, 10, 15, 30)),
    *(HOUR * hours for hours in (1, 2, 3, 6, 12)),
    *(DAY * days for days in (1, 2, 7, 14, 28)),
)
_MAX_DAYS_BY_HOUR = 31
# The filters that usage_days knows. A model's name may be that of an adapter too.
_SUMMED: dict[str, GroupBy] = {"agent": "agent", "layer": "layer", "reason": "reason", "key": "key"}
# From which sums a bucket is made: all requests, errors alone, and those that fell back alone.
_ALL = {"requests": "answers", "errors": "errors", "fallback_answers": "fallback_answers"}
_ERRORS = {"requests": "errors", "errors": "errors", "fallback_answers": None}
_FALLBACK = {"requests": "fallback_answers", "errors": None, "fallback_answers": "fallback_answers"}
_RANGE = {"since", "to"}
# The same for a log row.
_IS_ERROR = "logs.status <> 200"
_IS_FALLBACK = "logs.layer = 'fallback' AND logs.status = 200 AND logs.agent_id IS NOT NULL"


@dataclass(frozen=True)
class CountedLogs:
    """From `start` to before `stop`, in unix milliseconds; rows of `buckets` have `start`,
    `requests`, `errors` and `fallback_answers`, and those without requests are not there.
    `searched_from` is the time of the oldest row looked at, if there are older ones."""

    start: int
    stop: int
    width: int
    counted: Literal["rows", "hour", "day"]
    buckets: Rows
    searched_from: int | None = None


async def count_logs(
    db: Database, query: LogsFilter, *, now_ms: int, window: int = WINDOW_ROWS
) -> CountedLogs | None:
    """None if there is no row in the range. No more than `window` rows are looked at."""
    ends = await _ends(db, query)
    if ends is None:
        return None
    oldest, newest = ends
    start = oldest if query.since is None else max(oldest, unix_ms(query.since))
    stop = max(now_ms, newest + 1)
    if query.to is not None:
        stop = min(stop, unix_ms(query.to))
    source = await LogSearch(db, query, window=window).source()
    summed = None if source.edge is None else _summed(query)
    if summed is not None:
        return await _from_sums(db, summed, start=start, stop=stop)
    if source.edge is not None:
        start = max(start, source.edge["created_at"])
    width = _width(stop - start)
    rows = await db.run(
        statement(
            f"SELECT logs.created_at - logs.created_at % {width} AS start, count(*) AS requests,"
            f" sum({_IS_ERROR}) AS errors, sum({_IS_FALLBACK}) AS fallback_answers"
            f" FROM {source.sql} GROUP BY 1",
            *source.values,
        )
    )
    searched_from = None if source.edge is None else start
    return CountedLogs(start, stop, width, "rows", rows, searched_from)


async def _ends(db: Database, query: LogsFilter) -> tuple[int, int] | None:
    """The times of the oldest and the newest row in the range, by an index."""
    ordered = in_order(query)
    ends = [
        statement(
            f"SELECT created_at FROM logs WHERE {ordered.sql} ORDER BY created_at {way} LIMIT 1",
            *ordered.values,
        )
        for way in ("ASC", "DESC")
    ]
    oldest, newest = await db.batch(ends)
    return (oldest[0]["created_at"], newest[0]["created_at"]) if oldest and newest else None


@dataclass(frozen=True)
class _Summed:
    """`where` is the dimension that has the filter's value, if there is one."""

    columns: Mapping[str, str | None]
    where: tuple[GroupBy, str] | None


def _summed(query: LogsFilter) -> _Summed | None:
    """None if sums do not know the filters."""
    filters = query.model_dump(exclude_none=True, exclude=_RANGE)
    columns: Mapping[str, str | None] = _ALL
    if filters.get("error") == "true":
        columns = _ERRORS
        del filters["error"]
    elif filters.get("outcome") == "fallback":
        columns = _FALLBACK
        del filters["outcome"]
    if not filters:
        return _Summed(columns, None)
    [(name, value), *others] = filters.items()
    if others or name not in _SUMMED:
        return None
    return _Summed(columns, (_SUMMED[name], value))


async def _from_sums(db: Database, summed: _Summed, *, start: int, stop: int) -> CountedLogs:
    by_hour = summed.where is None and stop - start <= _MAX_DAYS_BY_HOUR * DAY
    step = HOUR if by_hour else DAY
    start, stop = start // step * step, -(-stop // step) * step
    width = max(step, _width(stop - start))
    periods = await read_periods(
        db,
        start=start,
        stop=stop,
        interval="hour" if by_hour else "day",
        where=summed.where,
    )
    buckets: dict[int, dict[str, int]] = {}
    for period in periods:
        at = period["place"] - period["place"] % width
        bucket = buckets.setdefault(at, {"start": at, **dict.fromkeys(summed.columns, 0)})
        for name, column in summed.columns.items():
            bucket[name] += period[column] if column else 0
    counted: Literal["hour", "day"] = "hour" if by_hour else "day"
    return CountedLogs(start, stop, width, counted, [*buckets.values()])


def _width(span: int) -> int:
    """The smallest one with which so long a range has no more than BUCKETS."""
    longest = _WIDTHS[-1]
    fitting = (width for width in _WIDTHS if width * BUCKETS >= span)
    return next(fitting, -(-span // (BUCKETS * longest)) * longest)
