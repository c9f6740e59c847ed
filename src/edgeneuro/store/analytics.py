"""What analytics read: sums of a range by period and by dimension, in one batch.

Whole days that are summed come from `usage_days` and `latency_days`, everything else from the
hours; both add up to the same. The one look at the logs starts from the labels in force."""

from collections.abc import Sequence
from dataclasses import dataclass

from edgeneuro.domain.analytics import GroupBy, Interval
from edgeneuro.store.comparisons import count_audit_samples
from edgeneuro.store.database import Database, Row, Rows, Statement, statement
from edgeneuro.store.refusals import select_periods, select_refused_keys
from edgeneuro.store.savings import select_decisions
from edgeneuro.store.signals import REPLACING, count_misroutes
from edgeneuro.store.usage import DAY, DIMENSIONS, HOUR, SLOT, SUMS, add_new_logs, percentiles

# ?1 is the range's start and ?2 its end: `whole` are its summed days, `open` the hours of the rest.
SPANS = (
    f"WITH RECURSIVE days (day) AS (SELECT ?1 - ?1 % {DAY} UNION ALL"
    f" SELECT day + {DAY} FROM days WHERE day + {DAY} < ?2),"
    " whole (day) AS (SELECT day FROM summed_days"
    f" WHERE current = 1 AND day >= ?1 AND day + {DAY} <= ?2),"
    f" open (start, stop) AS (SELECT max(day, ?1), min(day + {DAY}, ?2) FROM days"
    " WHERE day NOT IN (SELECT day FROM whole)) "
)
# By interval, the dimension that holds its periods, and the start of one. Five minutes have tables
# of their own.
_PERIODS = {"hour": ("hour", "CAST(value AS INTEGER)"), "day": ("all", "day")}
_COUNTS = ("answers", "errors", "fallback_answers")
STEPS: dict[Interval, int] = {"5m": SLOT, "hour": HOUR, "day": DAY}
_DAY_OF_HOUR = f"hour - hour % {DAY}"


@dataclass(frozen=True)
class UsageRead:
    """Sums have their names from SUMS, percentiles are buckets; `place` is a period's start or a
    group's value, "" where it has none; `period_layers` has a row for each layer of a period."""

    periods: Rows
    period_layers: Rows
    period_latencies: Rows
    groups: Rows
    group_latencies: Rows
    total_latency: Rows
    reasons: Rows
    attempts: Rows
    labelled: Rows
    audit_samples: Rows
    misroutes: Rows
    decisions: Rows
    refusals: Rows
    refused_keys: Rows


async def read_usage(
    db: Database, *, start: int, stop: int, interval: Interval, group_by: GroupBy
) -> UsageRead:
    await add_new_logs(db)
    return UsageRead(
        *await db.batch(
            [
                *_periods(start, stop, interval),
                _spanned(start, stop, _sums("value", _usage(group_by))),
                _spanned(start, stop, percentiles("value", _latencies(group_by))),
                _spanned(start, stop, percentiles("''", _latencies("all"))),
                _spanned(start, stop, _sums("value", _usage("reason"))),
                _attempts(start, stop),
                _labelled(start, stop, group_by),
                count_audit_samples(start, stop),
                count_misroutes(start, stop),
                select_decisions(start, stop),
                select_periods(start, stop, STEPS[interval]),
                select_refused_keys(start, stop),
            ]
        )
    )


@dataclass(frozen=True)
class TotalsRead:
    """As in UsageRead, of the whole range."""

    sums: Rows
    latency: Rows
    decisions: Rows


async def read_totals(db: Database, *, start: int, stop: int) -> TotalsRead:
    """Reads sums alone, so it takes little whatever the number of labels and groups."""
    await add_new_logs(db)
    return TotalsRead(
        *await db.batch(
            [
                _spanned(start, stop, _sums("''", _usage("all"))),
                _spanned(start, stop, percentiles("''", _latencies("all"))),
                select_decisions(start, stop),
            ]
        )
    )


async def read_periods(
    db: Database, *, start: int, stop: int, interval: Interval, where: tuple[GroupBy, str] | None
) -> Rows:
    """`answers`, `errors` and `fallback_answers` of each period (`place`); `where` is a dimension
    and the value that alone counts, which days know and hours do not."""
    await add_new_logs(db)
    dimension, place = _PERIODS[interval]
    sums = ", ".join(f"sum({name}) AS {name}" for name in _COUNTS)
    if where is None:
        return await db.run(
            _spanned(
                start, stop, f"SELECT {place} AS place, {sums} FROM {_usage(dimension)} GROUP BY 1"
            )
        )
    dimension, value = where
    source = f"SELECT day AS place, {sums} FROM {_usage(dimension)} WHERE value = ?3 GROUP BY 1"
    return await db.run(statement(SPANS + source, start, stop, value))


async def read_decisions(db: Database, *, start: int, stop: int) -> dict[str, int]:
    """How often each agent was decided on, without errors and without the fallback agent."""
    await add_new_logs(db)
    decided = "sum(answers - errors - fallback_answers)"
    query = f"SELECT value, {decided} AS decided FROM {_usage('agent')} GROUP BY value"
    rows = await db.run(_spanned(start, stop, query))
    return {row["value"]: int(row["decided"]) for row in rows if row["value"]}


def _periods(start: int, stop: int, interval: Interval) -> list[Statement]:
    """The sums, the layers and the percentiles of the periods."""
    if interval == "5m":
        slots, latencies = (
            f"(SELECT * FROM {table} WHERE slot >= ?1 AND slot < ?2)"
            for table in ("usage_slots", "latency_slots")
        )
        layers = f"SELECT slot AS place, layer, answers FROM {slots}"
        queries = [_sums("slot", slots), layers, percentiles("slot", latencies)]
        return [statement(query, start, stop) for query in queries]
    dimension, place = _PERIODS[interval]
    return [
        _spanned(start, stop, _sums(place, _usage(dimension))),
        _period_layers(start, stop, interval),
        _spanned(start, stop, _period_latencies(dimension, place)),
    ]


def _attempts(start: int, stop: int) -> Statement:
    return statement(
        "SELECT model, adapter, outcome, sum(attempts) AS attempts FROM attempt_hours"
        " WHERE hour >= ?1 AND hour < ?2 GROUP BY model, adapter, outcome",
        start,
        stop,
    )


def _period_layers(start: int, stop: int, interval: Interval) -> Statement:
    if interval == "day":
        source = _usage("layer")
        query = f"SELECT day AS place, value AS layer, sum(answers) AS answers FROM {source}"
        return _spanned(start, stop, f"{query} GROUP BY 1, 2")
    return statement(
        "SELECT hour AS place, layer, sum(answers) AS answers FROM usage_hours"
        " WHERE hour >= ?1 AND hour < ?2 GROUP BY 1, 2",
        start,
        stop,
    )


# The decisions on questions that have a label. Answers that a label decided do not count, for a
# label agrees with itself, and clarifying questions do not, for they name no agent; nor do
# decisions that replaced a refused one, for a wrong agent was out already. A label that no agent
# fits agrees with an answer that chose none. CROSS JOIN and INDEXED BY hold the plan: from the few
# labels to their log rows, never over the logs.
_CORRECT = (
    "CASE WHEN current_labels.agent_id IS NULL"
    " THEN coalesce(logs.reason, '') IN ('out_of_scope', 'low_confidence')"
    " ELSE coalesce(logs.agent_id, '') = current_labels.agent_id END"
)
_LABELLED_LOGS = (
    "current_labels CROSS JOIN logs INDEXED BY logs_query_hash"
    " ON logs.query_hash = current_labels.query_hash"
    " AND logs.created_at >= ?1 AND logs.created_at < ?2"
    " WHERE logs.status = 200 AND logs.layer <> 'label'"
    f" AND coalesce(logs.reason, '') <> 'ambiguous' AND logs.rowid NOT IN ({REPLACING})"
)


def _labelled(start: int, stop: int, group_by: GroupBy) -> Statement:
    """A row for each group, and one for all with `place` null. Each question counts once in each,
    near-duplicates as one, by its newest answer: an interval over repeated answers would claim
    more than was seen. Questions drawn at random count apart from the others."""
    sums = (
        "sum(sampled) AS labelled, sum(sampled AND correct) AS correct,"
        " sum(NOT sampled) AS other_labelled, sum(NOT sampled AND correct) AS other_correct"
    )
    # With max() SQLite takes the other columns from the row of the maximum.
    newest = "SELECT *, max(row) FROM answers"
    return statement(
        f"WITH answers AS (SELECT coalesce(logs.{DIMENSIONS[group_by]}, '') AS place,"
        " logs.rowid AS row, current_labels.near_hash, current_labels.sampled,"
        f" {_CORRECT} AS correct FROM {_LABELLED_LOGS})"
        f" SELECT place, {sums} FROM ({newest} GROUP BY place, near_hash, sampled)"
        " GROUP BY place UNION ALL"
        f" SELECT NULL, {sums} FROM ({newest} GROUP BY near_hash, sampled)",
        start,
        stop,
    )


_MAX_CONFUSIONS = 20


async def read_confusions(db: Database, *, start: int, stop: int) -> Rows:
    """Columns as domain/analytics.Confusion has them. A question counts once, as in accuracy."""
    return await db.run(
        statement(
            "WITH answers AS (SELECT logs.rowid AS row, current_labels.near_hash,"
            " current_labels.sampled, current_labels.agent_id AS label,"
            " CASE WHEN coalesce(logs.reason, '') NOT IN ('out_of_scope', 'low_confidence')"
            f" THEN logs.agent_id END AS decided, {_CORRECT} AS correct FROM {_LABELLED_LOGS}),"
            " questions AS (SELECT *, max(row) FROM answers GROUP BY near_hash, sampled),"
            " totals AS (SELECT label, sum(sampled) AS sampled_of, sum(NOT sampled) AS other_of"
            " FROM questions GROUP BY label)"
            " SELECT decided, questions.label, sum(sampled) AS sampled, sum(NOT sampled) AS other,"
            " sampled_of, other_of FROM questions JOIN totals ON totals.label IS questions.label"
            " WHERE NOT correct GROUP BY 1, 2"
            f" ORDER BY 3 DESC, 4 DESC, 2, 1 LIMIT {_MAX_CONFUSIONS}",
            start,
            stop,
        )
    )


async def read_latencies(db: Database, *, start: int, stop: int) -> tuple[Rows, Rows]:
    """The percentiles of each layer, as buckets, and its answers by `bucket`; `place` is the
    layer."""
    await add_new_logs(db)
    source = _latencies("layer")
    by_bucket = f"SELECT value AS place, bucket, sum(answers) AS answers FROM {source}"
    found, counts = await db.batch(
        [
            _spanned(start, stop, percentiles("value", source)),
            _spanned(start, stop, f"{by_bucket} GROUP BY 1, 2 ORDER BY 1, 2"),
        ]
    )
    return found, counts


def _spanned(start: int, stop: int, query: str) -> Statement:
    return statement(SPANS + query, start, stop)


def _usage(dimension: str) -> str:
    """Rows of `day`, `value` and the sums: of the summed days, and of the open hours."""
    return (
        f"(SELECT day, value, {', '.join(SUMS)} FROM whole CROSS JOIN usage_days USING (day)"
        f" WHERE dimension = '{dimension}' UNION ALL"
        f" SELECT {_DAY_OF_HOUR}, {DIMENSIONS[dimension]}, {', '.join(SUMS.values())}"
        " FROM open CROSS JOIN usage_hours ON hour >= start AND hour < stop)"
    )


def _latencies(dimension: str) -> str:
    return (
        "(SELECT day, value, bucket, answers FROM whole CROSS JOIN latency_days USING (day)"
        f" WHERE dimension = '{dimension}' UNION ALL {_open_latencies(dimension)})"
    )


def _open_latencies(dimension: str) -> str:
    return (
        f"SELECT {_DAY_OF_HOUR} AS day, {DIMENSIONS[dimension]} AS value, bucket, answers"
        " FROM open CROSS JOIN latency_hours ON hour >= start AND hour < stop"
    )


def _period_latencies(dimension: str, place: str) -> str:
    """No period lies in a summed day and in open hours both, so nothing is to be merged."""
    return (
        f"SELECT {place} AS place, p50, p95, p99 FROM whole CROSS JOIN usage_days USING (day)"
        f" WHERE dimension = '{dimension}' AND p50 IS NOT NULL UNION ALL"
        f" SELECT * FROM ({percentiles(place, f'({_open_latencies(dimension)})')})"
    )


def _sums(place: str, source: str) -> str:
    columns = ", ".join(f"sum({name}) AS {name}" for name in SUMS)
    return f"SELECT {place} AS place, {columns} FROM {source} GROUP BY {place}"


def by_place(rows: Sequence[Row]) -> dict[str | int, Row]:
    return {row["place"]: row for row in rows}
