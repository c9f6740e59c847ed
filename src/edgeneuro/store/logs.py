"""The table `logs`: one row an answer; read newest first by keyset pages, found by its facts and by
its words, and deleted when its time is over."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from edgeneuro.domain.log import LogItem, LogRecord, LogsListQuery, LogsQuery
from edgeneuro.store.contexts import (
    StoredQuestion,
    question_from_row,
)
from edgeneuro.store.database import Database, Row, statement
from edgeneuro.store.label_reads import change_from_row, select_history
from edgeneuro.store.log_filters import LABEL, LogPosition
from edgeneuro.store.log_rows import ENTRY, entry_fields
from edgeneuro.store.log_search import LogSearch
from edgeneuro.store.signals import REROUTED_TO, SIGNALS_OF_LOG, signals_from_json
from edgeneuro.store.sql import rfc3339
from edgeneuro.store.usage import add_new_logs

_DELETE_CHUNK = 1_000  # rows a statement: D1 ends a query after 30 s
_HISTORY_SHOWN = 100
# Beside the row itself: the label in force, the feedback of each key, the signals, and the decision
# that replaced it.
_ITEM = (
    ENTRY + ", c.agent_id AS label_agent_id, c.labeler, c.created_at AS labelled_at,"
    " (SELECT json_group_array(json_object('id', f.id, 'value', f.value,"
    " 'correct_agent', f.correct_agent, 'comment', f.comment, 'key_id', f.key_id,"
    " 'created_at', f.created_at)) FROM feedback f WHERE f.decision_id = logs.id) AS feedback,"
    f" {SIGNALS_OF_LOG} AS signals, {REROUTED_TO} AS rerouted_to"
)


@dataclass(frozen=True)
class GatewayLog:
    """A log row whose answer AI Gateway has in a log of its own."""

    id: str
    agent_id: str | None
    reason: str | None
    gateway_log_id: str


@dataclass(frozen=True)
class DecidedQuestion:
    question: StoredQuestion
    query_hash: str
    agent_id: str | None


@dataclass(frozen=True)
class FoundLogs:
    """`searched_id` and `searched_from` are of the last row that was looked at, if there may be
    older ones that fit."""

    items: list[LogItem]
    searched_id: str | None = None
    searched_from: str | None = None


async def list_logs(db: Database, query: LogsListQuery, *, limit: int) -> FoundLogs:
    """Newest first; a search by words goes by the order in which rows were written, and so do those
    that were written after another one."""
    search = LogSearch(db, query, after=query.after, written_after=query.written_after)
    found = await search.run(_ITEM, limit=limit)
    items = [LogItem.model_validate(_item_fields(row)) for row in found.rows]
    if found.searched_to is None:
        return FoundLogs(items)
    return FoundLogs(items, found.searched_to["id"], rfc3339(found.searched_to["created_at"]))


async def find_newest(db: Database) -> str | None:
    """The id of the row that was written last."""
    rows = await db.run(statement("SELECT id FROM logs ORDER BY seq DESC LIMIT 1"))
    return rows[0]["id"] if rows else None


@dataclass(frozen=True)
class LogsPart:
    """`reached` is the last row that was looked at; None if there are no more."""

    items: list[LogItem]
    reached: LogPosition | None


async def find_position(db: Database, log_id: str) -> LogPosition | None:
    rows = await db.run(statement("SELECT id, created_at, seq FROM logs WHERE id = ?1", log_id))
    return _position(rows[0]) if rows else None


async def read_part(
    db: Database, query: LogsQuery, *, after: LogPosition | None, rows: int
) -> LogsPart:
    """What fits among the next `rows` rows, newest first, each looked at once."""
    search = LogSearch(db, query, position=after, window=rows)
    found = await search.run(f"{_ITEM}, logs.seq", limit=rows)
    items = [LogItem.model_validate(_item_fields(row)) for row in found.rows]
    last = found.rows[-1] if len(found.rows) == rows else found.searched_to
    return LogsPart(items, None if last is None else _position(last))


def _position(row: Row) -> LogPosition:
    return LogPosition(row["id"], row["created_at"], row["seq"])


async def read_slice(
    db: Database, after_seq: int, to_seq: int, *, limit: int
) -> tuple[list[LogItem], int | None]:
    """The next rows in the order in which they were logged, and the `seq` of the last one if there
    may be more."""
    rows = await db.run(
        statement(
            f"SELECT {_ITEM}, logs.seq FROM logs {LABEL} WHERE logs.seq > ?1 AND logs.seq <= ?2"
            " ORDER BY logs.seq LIMIT ?3",
            after_seq,
            to_seq,
            limit,
        )
    )
    items = [LogItem.model_validate(_item_fields(row)) for row in rows]
    return items, int(rows[-1]["seq"]) if len(rows) == limit else None


async def get_log(db: Database, log_id: str) -> LogRecord | None:
    rows = await db.run(
        statement(f"SELECT {_ITEM}, logs.stages FROM logs {LABEL} WHERE logs.id = ?1", log_id)
    )
    if not rows:
        return None
    changes: Sequence[Row] = ()
    if rows[0]["query_hash"] is not None:
        changes = await db.run(select_history(rows[0]["query_hash"], limit=_HISTORY_SHOWN))
    history = [change_from_row(each) for each in changes]
    stages = rows[0]["stages"]
    return LogRecord.model_validate(
        {
            **_item_fields(rows[0]),
            "label_history": history,
            "stages": None if stages is None else json.loads(stages),
        }
    )


async def read_questions(db: Database, log_ids: Sequence[str]) -> dict[str, StoredQuestion]:
    """The questions of these rows by id; the text is empty where the row was kept without it, or
    was never routed."""
    rows = await db.run(
        statement(
            "SELECT id, iif(query_hash IS NULL, '', query) AS query, context FROM logs"
            " WHERE id IN (SELECT value FROM json_each(?1))",
            json.dumps(log_ids),
        )
    )
    return {row["id"]: question_from_row(row) for row in rows}


async def find_decided(db: Database, log_id: str) -> DecidedQuestion | None:
    """The question of this row; None where it has no text or was never routed."""
    rows = await db.run(
        statement(
            "SELECT query, context, query_hash, agent_id FROM logs"
            " WHERE id = ?1 AND query_hash IS NOT NULL",
            log_id,
        )
    )
    if not rows:
        return None
    row = rows[0]
    return DecidedQuestion(question_from_row(row), row["query_hash"], row["agent_id"])


async def read_gateway_logs(db: Database, log_ids: Sequence[str]) -> list[GatewayLog]:
    """Those of these rows that AI Gateway has and that are no error, the first ones first."""
    rows = await db.run(
        statement(
            "SELECT id, agent_id, reason, gateway_log_id FROM logs"
            " WHERE id IN (SELECT value FROM json_each(?1))"
            " AND status = 200 AND gateway_log_id IS NOT NULL ORDER BY seq",
            json.dumps(log_ids),
        )
    )
    return [GatewayLog(**row) for row in rows]


async def delete_logs_before(db: Database, moment_ms: int, *, max_chunks: int = 50) -> int:
    """Deletes older rows chunk by chunk, with what belongs to them; returns how many rows. All of
    them are in the sums before."""
    some = statement("SELECT 1 FROM logs WHERE created_at < ?1 LIMIT 1", moment_ms)
    if not await db.run(some):
        return 0
    await add_new_logs(db)
    old = "FROM logs WHERE created_at < ?1 ORDER BY created_at, seq LIMIT ?2"
    chunk = [
        *(
            statement(f"{delete} IN (SELECT id {old})", moment_ms, _DELETE_CHUNK)
            for delete in (
                "DELETE FROM feedback WHERE decision_id",
                "DELETE FROM audit_samples WHERE log_id",
                "DELETE FROM signals WHERE log_id",
                "DELETE FROM challenger_answers WHERE log_id",
                "DELETE FROM replay_items WHERE log_id",
            )
        ),
        statement(f"DELETE FROM logs WHERE seq IN (SELECT seq {old})", moment_ms, _DELETE_CHUNK),
        statement("SELECT changes() AS gone"),
    ]
    deleted = 0
    for _ in range(max_chunks):
        gone = int((await db.batch(chunk))[-1][0]["gone"])
        deleted += gone
        if gone < _DELETE_CHUNK:
            break
    return deleted


def _item_fields(row: Row) -> dict[str, object]:
    label = {
        "agent_id": row["label_agent_id"],
        "labeler": row["labeler"],
        "created_at": rfc3339(row["labelled_at"]) if row["labelled_at"] is not None else None,
    }
    given = sorted(json.loads(row["feedback"]), key=lambda each: str(each["id"]))
    return {
        **entry_fields(row),
        "label": label if row["labeler"] is not None else None,
        "feedback": [{**each, "created_at": rfc3339(each["created_at"])} for each in given],
        "signals": signals_from_json(row["signals"]),
        "rerouted_to": row["rerouted_to"],
    }
