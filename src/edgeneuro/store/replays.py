"""The tables `replays` and `replay_items`. Items hold the ids of log rows; the texts are those of
the log rows, and the items are deleted with them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgeneuro.domain.agent import NO_AGENT
from edgeneuro.domain.decision import StageRecord
from edgeneuro.domain.log import LogEntry
from edgeneuro.domain.replay import Replay, ReplayProgress
from edgeneuro.domain.replay_report import Decided, ReplayReport
from edgeneuro.store.database import Database, Row, Rows, Statement, statement
from edgeneuro.store.jobs import (
    UNFINISHED,
    insert_job,
    message_of,
    read_or_substitute,
    unfinished,
)
from edgeneuro.store.log_rows import ENTRY, entry_from_row, stages_from_row
from edgeneuro.store.replay_selection import Selection, insert_items
from edgeneuro.store.sql import rfc3339

_COLUMNS = (
    "id, state, created_at, created_by, started_at, finished_at, error, done, total, request,"
    " basis, survey, drawn, report, applied_at, applied_by"
)
_ROWS = (
    "(SELECT replays.*, jobs.state, jobs.started_at, jobs.ended_at AS finished_at, jobs.error,"
    " jobs.done, jobs.total FROM replays JOIN jobs ON jobs.resource_id = replays.id)"
)


@dataclass(frozen=True)
class StoredReplay:
    """`basis` has the fingerprints of the `present` and the `proposed` configuration at the start,
    and what the changes touch (`touched`), as it was."""

    replay: Replay
    basis: dict[str, Any]


def insert_replay(
    replay_id: str,
    *,
    created_ms: int,
    created_by: str,
    request: Mapping[str, Any],
    basis: Mapping[str, Any],
    survey: Mapping[str, Any],
    selection: Selection,
    limit: int,
) -> list[Statement]:
    """With the log rows that are drawn and the job that runs it. No row comes back from the last
    statement where another replay is unfinished."""
    begun = statement(
        "INSERT INTO replays (id, created_at, created_by, request, basis, survey, drawn)"
        f" SELECT ?1, ?2, ?3, ?4, ?5, ?6, 0 WHERE NOT {unfinished('replay')}",
        replay_id,
        created_ms,
        created_by,
        json.dumps(request),
        json.dumps(basis),
        json.dumps(survey),
    )
    counted = statement(
        "UPDATE replays SET drawn = (SELECT count(*) FROM replay_items WHERE replay_id = ?1)"
        " WHERE id = ?1",
        replay_id,
    )
    return [
        begun,
        insert_job("replay", replay_id, created_ms=created_ms, total=limit),
        insert_items(replay_id, selection, limit=limit),
        counted,
        statement(f"SELECT {_COLUMNS} FROM {_ROWS} WHERE id = ?1", replay_id),
    ]


async def find_replay(db: Database, replay_id: str) -> StoredReplay | None:
    rows = await db.run(statement(f"SELECT {_COLUMNS} FROM {_ROWS} WHERE id = ?1", replay_id))
    return _readable(rows[0]) if rows else None


async def list_replays(db: Database, *, limit: int, after: str | None = None) -> list[StoredReplay]:
    """Newest first."""
    rows = await db.run(
        statement(
            f"SELECT {_COLUMNS} FROM {_ROWS} WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2",
            after,
            limit,
        )
    )
    return [_readable(row) for row in rows]


def delete_replay(replay_id: str) -> Statement:
    """With its items and its job; no row comes back while that is unfinished."""
    return statement(
        "DELETE FROM replays WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM jobs"
        f" WHERE resource_id = ?1 AND {UNFINISHED}) RETURNING id",
        replay_id,
    )


def store_report(replay_id: str, report: ReplayReport) -> Statement:
    return statement(
        "UPDATE replays SET report = ?2 WHERE id = ?1", replay_id, report.model_dump_json()
    )


def require_unapplied(replay_id: str, *, at_revision: int) -> Statement:
    """Refuses the whole batch that it begins, by a constraint, where the replay was applied or
    deleted, or the configuration has changed."""
    return statement(
        "INSERT INTO replays (id, created_at) SELECT NULL, NULL WHERE NOT EXISTS (SELECT 1"
        " FROM replays WHERE id = ?1 AND applied_at IS NULL"
        " AND (SELECT value FROM revision) = ?2)",
        replay_id,
        at_revision,
    )


def mark_applied(replay_id: str, *, now_ms: int, by: str) -> Statement:
    return statement(
        "UPDATE replays SET applied_at = ?2, applied_by = ?3 WHERE id = ?1 RETURNING id",
        replay_id,
        now_ms,
        by,
    )


# What a slice of the job reads and stores.


@dataclass(frozen=True)
class ReplayItem:
    """A logged query: its row, the stages that ran, and the label in force: an agent's id or
    "none"; None without one."""

    entry: LogEntry
    stages: Sequence[StageRecord]
    label: str | None
    tries: int


@dataclass(frozen=True, kw_only=True)
class ItemResult:
    """`state` as in the table; `tries` are added. `reason` says why there is no decision."""

    log_id: str
    state: str
    tries: int = 0
    reason: str | None = None
    label: str | None = None
    before: Decided | None = None
    after: Decided | None = None
    before_model: bool = False
    after_model: bool = False
    before_cost: float | None = None
    after_cost: float | None = None
    calls: int = 0
    spent_usd: float = 0.0
    origin: str | None = None


async def read_state(db: Database, replay_id: str) -> tuple[int | None, int, float]:
    """The fewest attempts of the open items (None: no item is open), how many are not open, and
    what was spent."""
    rows = await db.run(
        statement(
            "SELECT min(tries) FILTER (WHERE state = 'open') AS tries,"
            " count(*) FILTER (WHERE state <> 'open') AS done,"
            " coalesce(sum(spent_usd), 0.0) AS spent_usd FROM replay_items WHERE replay_id = ?1",
            replay_id,
        )
    )
    return rows[0]["tries"], rows[0]["done"], rows[0]["spent_usd"]


async def next_items(db: Database, replay_id: str, *, tries: int, limit: int) -> Rows:
    """Rows of open items that were tried so often, for item_from_row; `id` is that of the log
    row."""
    return await db.run(
        statement(
            f"SELECT {ENTRY}, logs.stages, item.tries, c.query_hash IS NOT NULL AS labelled,"
            " c.agent_id AS label_agent_id FROM (SELECT log_id, tries, place FROM replay_items"
            " WHERE replay_id = ?1 AND state = 'open' AND tries = ?2 ORDER BY place LIMIT ?3)"
            " AS item CROSS JOIN logs ON logs.id = item.log_id"
            " LEFT JOIN current_labels AS c ON c.query_hash = logs.query_hash ORDER BY item.place",
            replay_id,
            tries,
            limit,
        )
    )


def item_from_row(row: Row) -> ReplayItem:
    """Raises ValueError, TypeError or KeyError for a row that is damaged."""
    label = (row["label_agent_id"] or NO_AGENT) if row["labelled"] else None
    return ReplayItem(entry_from_row(row), stages_from_row(row), label, row["tries"])


def delete_orphans(replay_id: str) -> Statement:
    """Open items whose log row is gone: something else has deleted it."""
    return statement(
        "DELETE FROM replay_items WHERE replay_id = ?1 AND state = 'open' AND NOT EXISTS"
        " (SELECT 1 FROM logs WHERE logs.id = replay_items.log_id)",
        replay_id,
    )


def record_results(replay_id: str, results: Sequence[ItemResult]) -> Statement:
    stored = json.dumps(
        [
            [
                *(each.log_id, each.state, each.tries, each.reason, each.label),
                None if each.before is None else each.before.model_dump_json(),
                None if each.after is None else each.after.model_dump_json(),
                *(int(each.before_model), int(each.after_model)),
                *(each.before_cost, each.after_cost, each.calls, each.spent_usd, each.origin),
            ]
            for each in results
        ]
    )
    columns = (
        "state, tries, reason, label, before, after, before_model, after_model, before_cost,"
        " after_cost, calls, spent_usd, origin"
    )
    return statement(
        # Not UPDATE … FROM, which SQLite plans as a scan of all items for each result. An item that
        # was deleted meanwhile does not come back.
        f"INSERT INTO replay_items (replay_id, log_id, place, {columns})"
        " SELECT item.replay_id, item.log_id, item.place, result.value ->> 1,"
        " item.tries + (result.value ->> 2), result.value ->> 3, result.value ->> 4,"
        " result.value ->> 5, result.value ->> 6, result.value ->> 7, result.value ->> 8,"
        " result.value ->> 9, result.value ->> 10, item.calls + (result.value ->> 11),"
        " item.spent_usd + (result.value ->> 12), result.value ->> 13"
        " FROM json_each(?2) AS result CROSS JOIN replay_items AS item"
        " ON item.replay_id = ?1 AND item.log_id = result.value ->> 0 WHERE true"
        " ON CONFLICT (replay_id, log_id) DO UPDATE SET"
        f" {', '.join(f'{name} = excluded.{name}' for name in columns.split(', '))}",
        replay_id,
        stored,
    )


def _readable(row: Row) -> StoredReplay:
    substitute = {"request": _NO_REQUEST, "basis": "{}", "survey": _NO_SURVEY, "report": None}
    return read_or_substitute(replay_from_row, row, substitute)


_NO_REQUEST = json.dumps(
    {
        "from": "",
        "to": "",
        "sample": 1,
        "seed": 0,
        "filter": {},
        "baseline": "logged",
        "max_cost_usd": None,
        "changes": {},
    }
)
_NO_SURVEY = json.dumps(
    {
        "rows": 0,
        "looked_at": 0,
        "eligible": 0,
        "left_out": {},
        "estimate": {"model_calls": 0, "cost_usd": None},
        "warnings": [],
    }
)


def replay_from_row(row: Row) -> StoredReplay:
    request, survey = json.loads(row["request"]), json.loads(row["survey"])
    report = json.loads(row["report"] or "{}")
    replay = Replay.model_validate(
        {
            **{name: row[name] for name in ("id", "state", "created_by", "drawn", "applied_by")},
            **request,
            "since": request["from"],
            **survey,
            **report,
            **{
                name: None if row[name] is None else rfc3339(row[name])
                for name in ("created_at", "started_at", "finished_at", "applied_at")
            },
            "error": message_of(row["error"]),
            "progress": ReplayProgress(done=row["done"], total=row["total"] or row["drawn"]),
        }
    )
    return StoredReplay(replay, json.loads(row["basis"]))
