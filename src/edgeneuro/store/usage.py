"""The sums of the logs: `usage_hours`, `latency_hours`, `attempt_hours`, `classifier_hours` and
`decision_hours`, the finished days made of the first two, and for the last days `usage_slots` and
`latency_slots` of five minutes each.

A log row is written without its sums. `summed_logs` has the `seq` up to which rows are in them:
`add_new_logs` adds the rows after it and moves the mark in one transaction, so that each row counts
once, whoever wrote it and however often that was tried. The cron does so when many rows wait, at
least every hour, and whatever reads sums does so first, so that they agree with the log rows
whenever somebody looks. One row of sums then stands for many answers.

A rebuild of an hour runs the same statements, so there is one meaning of every sum. Nothing here
reads a log row into memory, and deleting log rows changes no sum."""

import json

from edgeneuro.domain.decision import ANSWERED
from edgeneuro.domain.statistics import FIRST_POWER, LAST_BUCKET, LAST_POWER, STEPS
from edgeneuro.store.database import Database, Statement, statement

SLOT = 300_000
HOUR = 3_600_000
DAY = 24 * HOUR
SLOTS_KEPT = 3 * DAY
# What sums can be grouped by, out of one row of usage_hours or latency_hours.
DIMENSIONS = {
    "all": "''",
    "hour": "CAST(hour AS TEXT)",
    "model": "model",
    "agent": "agent_id",
    "layer": "layer",
    "reason": "reason",
    "adapter": "adapter",
    "key": "key_id",
}
# What is summed, out of one row of usage_hours.
SUMS = {
    "answers": "answers",
    "errors": "(status <> 200) * answers",
    "fallback_answers": "(layer = 'fallback' AND status = 200 AND agent_id <> '') * answers",
    "out_of_scope_answers": "(reason = 'out_of_scope') * answers",
    "classifier_asked": "classifier_asked",
    "classifier_answers": "(layer = 'classifier') * answers",
    "cache_hits": "(cache = 'hit') * answers",
    "without_model": "without_model",
    "attempts": "attempts",
    "failed_attempts": "failed_attempts",
    "prompt_tokens": "prompt_tokens",
    "completion_tokens": "completion_tokens",
    "cost_usd": "cost_usd",
    "unpriced_answers": "unpriced_answers",
}
# Nearest rank: the lowest bucket that so many of a hundred answers do not exceed.
_PERCENTILES = ", ".join(
    f"min(CASE WHEN 100 * reached >= {percent} * total THEN bucket END) AS p{percent}"
    for percent in (50, 95, 99)
)

_HOUR_OF = f"created_at - created_at % {HOUR}"
_LOG_GROUP = {
    "hour": _HOUR_OF,
    "agent_id": "coalesce(agent_id, '')",
    "layer": "layer",
    "reason": "coalesce(reason, '')",
    "model": "coalesce(model, '')",
    "adapter": "coalesce(adapter, '')",
    "key_id": "key_id",
}
_LOG_SUMS = {
    "answers": "count(*)",
    "attempts": "sum(json_array_length(attempts))",
    "failed_attempts": "sum((SELECT count(*) FROM json_each(logs.attempts)"
    f" WHERE json_extract(value, '$.outcome') NOT IN {ANSWERED}))",
    "without_model": "sum(NOT EXISTS (SELECT 1 FROM json_each(logs.attempts)"
    " WHERE coalesce(value ->> 'purpose', '') <> 'embedding'))",
    "prompt_tokens": "sum(prompt_tokens)",
    "completion_tokens": "sum(completion_tokens)",
    "cost_usd": "total(cost_usd)",
    "unpriced_answers": "sum(cost_usd IS NULL)",
    "classifier_asked": "sum(classifier IS NOT NULL)",
}
_SLOT_OF = f"created_at - created_at % {SLOT}"
# As SUMS, out of log rows.
_SLOT_SUMS = {
    **_LOG_SUMS,
    "errors": "sum(status <> 200)",
    "fallback_answers": "sum(layer = 'fallback' AND status = 200 AND agent_id IS NOT NULL)",
    "out_of_scope_answers": "sum(reason IS 'out_of_scope')",
    "classifier_answers": "sum(layer = 'classifier')",
    "cache_hits": "sum(cache = 'hit')",
}
_ATTEMPT_GROUP = {
    "hour": _HOUR_OF,
    "model": "json_extract(value, '$.model')",
    "adapter": "coalesce(json_extract(value, '$.adapter'), '')",
    "outcome": "json_extract(value, '$.outcome')",
}
# Of the questions that a classifier was asked in the default router: in one with fewer agents it
# answers less, which is no drift.
_ASKED_GROUP = {
    "hour": _HOUR_OF,
    "classifier": "classifier ->> 'id'",
    "agent_id": "iif(layer = 'fallback', '', coalesce(agent_id, ''))",
}
_ASKED_SUMS = {
    "asked": "count(*)",
    # By the rule for follow-ups the layer is that of the turn before.
    "answered": "sum(layer IN ('classifier', 'session'))",
    "out_of_scope": "sum(reason IS 'out_of_scope')",
}
# Decisions by the stage that made them; of the model's stage those apart for which another request
# made the call. In old rows attempts have no purpose: they were all made for decisions.
_MODEL_CALLED = (
    "EXISTS (SELECT 1 FROM json_each(logs.attempts)"
    " WHERE coalesce(value ->> 'purpose', 'route') = 'route'"
    " AND value ->> 'outcome' <> 'circuit_open')"
)
_STAGE = "SELECT value ->> 'name' FROM json_each(logs.stages) WHERE value ->> 'outcome' = 'decided'"
_DECISION_GROUP = {
    "hour": _HOUR_OF,
    "stage": f"CASE WHEN decided NOT IN ('model', 'shortlist') THEN decided"
    f" WHEN {_MODEL_CALLED} THEN 'model' ELSE 'single_flight' END",
}
_DECISION_SUMS = {
    "decisions": "count(*)",
    "priced": "count(routing_usd)",
    "cost_usd": "total(routing_usd)",
    "ms": "total((SELECT sum(value ->> 'ms') FROM json_each(logs.stages)))",
    "emulated": "sum(EXISTS (SELECT 1 FROM json_each(logs.attempts)"
    " WHERE coalesce(value ->> 'purpose', 'route') = 'route' AND value ->> 'engine' <> ''))",
}
# Rows from before the column have the cost of the decision alone if they are no chats.
_DECISIONS = (
    f"(SELECT logs.*, ({_STAGE}) AS decided,"
    " coalesce(routing_cost_usd, iif(kind = 'route', cost_usd, NULL)) AS routing_usd"
    f" FROM logs WHERE ({_STAGE}) IS NOT NULL) AS logs"
)


def _bucket() -> str:
    """domain/statistics.py in SQL; without logarithms, which not every build of SQLite has."""
    cases = [f"WHEN latency_ms < {2.0**FIRST_POWER!r} THEN 0"]
    for index, power in enumerate(range(FIRST_POWER, LAST_POWER)):
        step = f"CAST((latency_ms / {2.0**power!r} - 1) * {STEPS} AS INTEGER)"
        cases.append(f"WHEN latency_ms < {2.0 ** (power + 1)!r} THEN {1 + STEPS * index} + {step}")
    return f"CASE {' '.join(cases)} ELSE {LAST_BUCKET} END"


BUCKET = _bucket()


def _add_up(table: str, group: dict[str, str], sums: dict[str, str], source: str) -> str:
    """Adds the rows of `source` to a table of sums; `{where}` is left open."""
    return (
        f"INSERT INTO {table} ({', '.join([*group, *sums])})"
        f" SELECT {', '.join([*group.values(), *sums.values()])} FROM {source} WHERE {{where}}"
        f" GROUP BY {', '.join(str(n + 1) for n in range(len(group)))}"
        f" ON CONFLICT ({', '.join(group)})"
        f" DO UPDATE SET {', '.join(f'{name} = {name} + excluded.{name}' for name in sums)}"
    )


_ADD_UP = (
    _add_up("usage_hours", {**_LOG_GROUP, "cache": "cache", "status": "status"}, _LOG_SUMS, "logs"),
    _add_up("latency_hours", {**_LOG_GROUP, "bucket": BUCKET}, {"answers": "count(*)"}, "logs"),
    _add_up(
        "attempt_hours",
        _ATTEMPT_GROUP,
        {"attempts": "count(*)"},
        "logs CROSS JOIN json_each(logs.attempts)",
    ),
    _add_up(
        "classifier_hours",
        _ASKED_GROUP,
        _ASKED_SUMS,
        "(SELECT * FROM logs WHERE classifier IS NOT NULL AND router IS NULL) AS logs",
    ),
    _add_up("decision_hours", _DECISION_GROUP, _DECISION_SUMS, _DECISIONS),
)
# Of new rows only: a rebuild of hours leaves the slots as they are.
_ADD_SLOTS = (
    _add_up("usage_slots", {"slot": _SLOT_OF, "layer": "layer"}, _SLOT_SUMS, "logs"),
    _add_up("latency_slots", {"slot": _SLOT_OF, "bucket": BUCKET}, {"answers": "count(*)"}, "logs"),
)
_CHUNK_ROWS = 5_000  # rows a transaction: other writes wait for it, some 0.5 s
_MAX_CHUNKS = 20  # of a call
# Rows that were written before `counted_later` are in the sums since they were written.
_NEW = (
    "logs.counted_later = 1 AND logs.seq > (SELECT seq FROM summed_logs)"
    f" AND logs.seq <= (SELECT seq FROM summed_logs) + {_CHUNK_ROWS}"
)
_NEWEST = "(SELECT max(seq) FROM logs)"
_ADD_NEW = (
    *(statement(sql.format(where=_NEW)) for sql in (*_ADD_UP, *_ADD_SLOTS)),
    statement(
        "UPDATE summed_days SET current = 0 WHERE current = 1 AND day IN"
        f" (SELECT created_at - created_at % {DAY} FROM logs WHERE {_NEW})"
    ),
    statement(
        f"UPDATE summed_logs SET seq = min(seq + {_CHUNK_ROWS}, {_NEWEST}) WHERE seq < {_NEWEST}"
        f" RETURNING seq < {_NEWEST} AS more"
    ),
)
# Log rows are deleted oldest first, so an hour has all of its own while an older row is there.
# Where none is, it has them if they are as many as were counted.
_IN_HOUR = (
    "logs.created_at >= ?1 AND logs.created_at < ?2"
    " AND (logs.counted_later IS NULL OR logs.seq <= (SELECT seq FROM summed_logs))"
)
_COMPLETE = (
    "((SELECT min(created_at) FROM logs) < ?1"
    f" OR (SELECT count(*) FROM logs WHERE {_IN_HOUR})"
    " >= (SELECT coalesce(sum(answers), 0) FROM usage_hours WHERE hour = ?1))"
)
_ADD_HOUR = tuple(sql.format(where=f"{_IN_HOUR} AND {_COMPLETE}") for sql in _ADD_UP)


async def add_new_logs(db: Database, *, at_least: int = 1) -> None:
    """Adds the log rows that are in no sum yet, at most 100,000; none if fewer than `at_least`
    wait."""
    for _ in range(_MAX_CHUNKS):
        # Nothing is locked where nothing is new.
        waiting = statement(f"SELECT 1 FROM summed_logs WHERE seq + ?1 <= {_NEWEST}", at_least)
        if not await db.run(waiting):
            return
        moved = (await db.batch(_ADD_NEW))[-1]
        if not moved or not moved[0]["more"]:
            return


async def purge_slots(db: Database, *, now_ms: int) -> None:
    """Deletes the slots that are older than SLOTS_KEPT."""
    tables = ("usage_slots", "latency_slots")
    oldest = now_ms - SLOTS_KEPT
    await db.batch([statement(f"DELETE FROM {each} WHERE slot < ?1", oldest) for each in tables])


def reopen_days(start: int, stop: int) -> Statement:
    """From now on the hours of these days count, not the days, until the days are summed again."""
    days = list(range(start - start % DAY, stop, DAY))
    return statement(
        "INSERT INTO summed_days (day, current) SELECT value, 0 FROM json_each(?1) WHERE true"
        " ON CONFLICT (day) DO UPDATE SET current = 0",
        json.dumps(days),
    )


async def rebuild_hour(db: Database, hour: int) -> bool:
    """Computes an hour's sums again from its log rows, in one batch. Where some of these are
    deleted the sums stay, and the answer is false."""
    await add_new_logs(db)
    span = (hour, hour + HOUR)
    # usage_hours last: it says how many answers were counted.
    tables = ("attempt_hours", "latency_hours", "classifier_hours", "decision_hours", "usage_hours")
    found = await db.batch(
        [
            statement(f"SELECT {_COMPLETE} AS complete", *span),
            reopen_days(*span),
            *(
                statement(f"DELETE FROM {table} WHERE hour = ?1 AND {_COMPLETE}", *span)
                for table in tables
            ),
            *(statement(sql, *span) for sql in _ADD_HOUR),
        ]
    )
    return bool(found[0][0]["complete"])


async def sum_finished_days(db: Database, *, now_ms: int, max_days: int = 14) -> int:
    """Sums the hours of days that are over; one day a batch, the newest days first. Returns how
    many."""
    await add_new_logs(db)
    rows = await db.run(
        statement(
            "WITH RECURSIVE seen (hour) AS (SELECT min(hour) FROM usage_hours UNION ALL"
            f" SELECT (SELECT min(hour) FROM usage_hours WHERE hour >= seen.hour"
            f" - seen.hour % {DAY} + {DAY}) FROM seen WHERE seen.hour IS NOT NULL)"
            f" SELECT hour - hour % {DAY} AS day FROM seen WHERE hour - hour % {DAY} + {DAY} <= ?1"
            f" AND hour - hour % {DAY} NOT IN (SELECT day FROM summed_days WHERE current = 1)"
            " ORDER BY day DESC LIMIT ?2",
            now_ms,
            max_days,
        )
    )
    for row in rows:
        await db.batch(sum_day(row["day"]))
    return len(rows)


def percentiles(place: str, source: str) -> str:
    """A query for the percentiles of each place, as buckets."""
    return (
        f"SELECT place, {_PERCENTILES} FROM (SELECT place, bucket,"
        " sum(answers) OVER (PARTITION BY place ORDER BY bucket) AS reached,"
        " sum(answers) OVER (PARTITION BY place) AS total"
        f" FROM (SELECT {place} AS place, bucket, sum(answers) AS answers FROM {source}"
        " GROUP BY 1, 2)) GROUP BY place"
    )


def sum_day(day: int) -> list[Statement]:
    """Computes a day's sums again from its hours. One statement a dimension, since D1 takes no more
    than five parts in a UNION."""
    hours = f"WHERE hour >= ?1 AND hour < ?1 + {DAY}"
    every = "dimension IN (SELECT value FROM json_each(?2))"
    statements = [
        statement(f"DELETE FROM {table} WHERE {every} AND day = ?1", day, json.dumps([*DIMENSIONS]))
        for table in ("usage_days", "latency_days")
    ]
    for dimension, column in DIMENSIONS.items():
        sums = ", ".join(f"sum({sql}) AS {name}" for name, sql in SUMS.items())
        statements.append(
            statement(
                f"INSERT INTO usage_days (day, dimension, value, {', '.join(SUMS)}, p50, p95, p99)"
                f" SELECT ?1, ?2, place, {', '.join(SUMS)}, p50, p95, p99"
                f" FROM (SELECT {column} AS place, {sums} FROM usage_hours {hours} GROUP BY 1)"
                f" LEFT JOIN ({percentiles(column, f'latency_hours {hours}')}) USING (place)",
                day,
                dimension,
            )
        )
        if dimension != "hour":  # nothing adds hours up: their percentiles above are all they need
            statements.append(
                statement(
                    "INSERT INTO latency_days (day, dimension, value, bucket, answers)"
                    f" SELECT ?1, ?2, {column}, bucket, sum(answers)"
                    f" FROM latency_hours {hours} GROUP BY {column}, bucket",
                    day,
                    dimension,
                )
            )
    statements.append(
        statement(
            "INSERT INTO summed_days (day, current) VALUES (?1, 1)"
            " ON CONFLICT (day) DO UPDATE SET current = 1",
            day,
        )
    )
    return statements
