"""The table `logs`: one row an answer; read newest first by keyset pages, found by its facts and by
its words, and deleted when its time is over."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from edgeneuro.domain.conversation import PreviousTurn
from edgeneuro.domain.decision import GatewayTrace, StageRecord, Usage
from edgeneuro.domain.log import LogEntry, LogItem, LogRecord, LogsQuery
from edgeneuro.domain.query import near_hash, query_hash
from edgeneuro.store.contexts import (
    StoredQuestion,
    context_from_json,
    context_json,
    question_from_row,
)
from edgeneuro.store.database import Database, Row, Statement, Value, statement
from edgeneuro.store.label_reads import change_from_row, select_history
from edgeneuro.store.log_search import CONFIDENCE_SOURCE, LogSearch
from edgeneuro.store.sql import LOG_KIND, LOG_OUTCOME, rfc3339, unix_ms

_COLUMNS = (
    "id",
    "created_at",
    "request_id",
    "trace_id",
    "key_id",
    "query",
    "query_hash",
    "context",
    "user",
    "session",
    "metadata",
    "candidates",
    "router",
    "rerouted_from",
    "status",
    "agent_id",
    "confidence",
    "threshold",
    "layer",
    "reason",
    "alternatives",
    "model",
    "adapter",
    "cache",
    "attempts",
    "prompt_tokens",
    "completion_tokens",
    "cost_usd",
    "latency_ms",
    "upstream_ms",
    "gateway_log_id",
    "gateway_cache_status",
    "prompt_version",
    "agents_revision",
    "kind",
    "ending",
    "classifier",
    "outcome",
    "confidence_source",
)
# In the column `confidence_source`: there was an answer, and its confidence is unknown. The column
# `confidence` cannot be null.
_UNKNOWN = "none"
# What the column `kind` has for kinds that its CHECK does not know: `other_kind` says which.
_CHECKED_KIND = {"questions": "chat"}
# The same for the column `outcome`, and `other_outcome`.
_CHECKED_OUTCOME = {"agents": "agent", "clarify": "none"}
_NAMES = ", ".join(_COLUMNS)
_WRITTEN = (
    *_COLUMNS,
    "near_hash",
    "previous_hash",
    "stages",
    "other_kind",
    "other_outcome",
)
_INSERT = f"INSERT INTO logs ({', '.join(_WRITTEN)}) VALUES ({', '.join('?' * len(_WRITTEN))})"
_DELETE_CHUNK = 1_000  # rows a statement: D1 ends a query after 30 s
_HISTORY_SHOWN = 100
# Columns that another one goes before.
_READ = {
    "kind": f"{LOG_KIND} AS kind",
    "outcome": f"{LOG_OUTCOME} AS outcome",
    "confidence_source": f"{CONFIDENCE_SOURCE} AS confidence_source",
}
# Beside the row itself: the label in force, and the feedback of each key.
_ITEM = (
    ", ".join(_READ.get(name, f"logs.{name}") for name in _COLUMNS)
    + ", c.agent_id AS label_agent_id, c.labeler, c.created_at AS labelled_at,"
    " (SELECT json_group_array(json_object('id', f.id, 'value', f.value,"
    " 'correct_agent', f.correct_agent, 'comment', f.comment, 'key_id', f.key_id,"
    " 'created_at', f.created_at)) FROM feedback f WHERE f.decision_id = logs.id) AS feedback"
)
_LABEL = "LEFT JOIN current_labels c ON c.query_hash = logs.query_hash"
_JSON_COLUMNS = ("metadata", "candidates", "alternatives", "attempts", "classifier")


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


def insert_log(entry: LogEntry, stages: Sequence[StageRecord] | None = None) -> Statement:
    """`stages` are those that ran; None where nothing was routed."""
    fields = entry.model_dump(exclude={"object", "usage", "gateway"})
    previous = PreviousTurn.of(entry.context)
    values: dict[str, Value] = {
        **fields,
        **{name: _json_or_null(fields[name]) for name in _JSON_COLUMNS},
        "context": context_json(previous),
        "created_at": unix_ms(entry.created_at),
        "kind": _CHECKED_KIND.get(entry.kind, entry.kind),
        "other_kind": entry.kind if entry.kind in _CHECKED_KIND else None,
        "outcome": _CHECKED_OUTCOME.get(entry.outcome or "", entry.outcome),
        "other_outcome": entry.outcome if entry.outcome in _CHECKED_OUTCOME else None,
        "confidence": entry.stated_confidence or 0.0,
        "confidence_source": _UNKNOWN
        if entry.stated_confidence is None
        else entry.confidence_source,
        "prompt_tokens": entry.usage.prompt_tokens,
        "completion_tokens": entry.usage.completion_tokens,
        "gateway_log_id": entry.gateway.log_id,
        "gateway_cache_status": entry.gateway.cache_status,
        # Computed once here, so that the label queue never computes it for a whole window.
        # A row for which nothing was decided has no query hash: an erasure finds it by this one.
        "near_hash": near_hash(entry.query, previous.identity) if entry.query else None,
        "previous_hash": None if previous.user is None else query_hash(previous.user),
        "stages": None if stages is None else _stages_json(stages),
    }
    return Statement(_INSERT, tuple(values[name] for name in _WRITTEN))


async def list_logs(db: Database, query: LogsQuery, *, limit: int) -> FoundLogs:
    """Newest first; a search by words goes by the order in which rows were written."""
    found = await LogSearch(db, query, columns=_ITEM, label=_LABEL).run(limit=limit)
    items = [LogItem.model_validate(_item_fields(row)) for row in found.rows]
    if found.searched_to is None:
        return FoundLogs(items)
    return FoundLogs(items, found.searched_to["id"], rfc3339(found.searched_to["created_at"]))


async def get_log(db: Database, log_id: str) -> LogRecord | None:
    rows = await db.run(
        statement(f"SELECT {_ITEM}, logs.stages FROM logs {_LABEL} WHERE logs.id = ?1", log_id)
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
    """Deletes older rows chunk by chunk, with what belongs to them; returns how many rows."""
    old = "FROM logs WHERE created_at < ?1 ORDER BY created_at, seq LIMIT ?2"
    chunk = [
        *(
            statement(f"{delete} IN (SELECT id {old})", moment_ms, _DELETE_CHUNK)
            for delete in (
                "DELETE FROM feedback WHERE decision_id",
                "DELETE FROM audit_samples WHERE log_id",
                "DELETE FROM challenger_answers WHERE log_id",
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
        **_entry_fields(row),
        "label": label if row["labeler"] is not None else None,
        "feedback": [{**each, "created_at": rfc3339(each["created_at"])} for each in given],
    }


def _entry_fields(row: Row) -> dict[str, object]:
    fields = {name: row[name] for name in _COLUMNS}
    for name in _JSON_COLUMNS:
        fields[name] = None if fields[name] is None else json.loads(fields[name])
    prompt, completion = fields.pop("prompt_tokens"), fields.pop("completion_tokens")
    return {
        **fields,
        **_outcome(row),
        "context": context_from_json(row["context"]).shown(),
        "created_at": rfc3339(row["created_at"]),
        "usage": Usage(
            prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion
        ),
        "gateway": GatewayTrace(
            log_id=fields.pop("gateway_log_id"), cache_status=fields.pop("gateway_cache_status")
        ),
    }


def _outcome(row: Row) -> dict[str, object]:
    """What was decided, and the confidences: the table has what was stated. Rows from before the
    column `outcome` have null there, though they answered."""
    outcome, source = row["outcome"], row["confidence_source"]
    stated = None if source == _UNKNOWN else row["confidence"]
    if outcome is None and row["status"] == 200 and row["agent_id"] is not None:
        outcome = "fallback" if row["layer"] == "fallback" else "agent"
    decided = outcome in ("agent", "agents") or row["layer"] == "direct"
    return {
        "outcome": outcome,
        "confidence": stated if decided else None,
        "stated_confidence": stated,
        "confidence_source": None if source == _UNKNOWN else source,
    }


def _stages_json(stages: Sequence[StageRecord]) -> str:
    """Spelled out: dataclasses.asdict takes ten times as long."""
    records = [
        {
            "name": each.name,
            "outcome": each.outcome,
            "reason": each.reason,
            "ms": each.ms,
            "scores": [
                {"agent_id": score.agent_id, "probability": score.probability}
                for score in each.scores
            ],
            "none_probability": each.none_probability,
            "calibrated": each.calibrated,
            **_of_some_stages(each),
        }
        for each in stages
    ]
    return json.dumps(records, ensure_ascii=False)


def _of_some_stages(stage: StageRecord) -> dict[str, float | list[str]]:
    """Few stages have these fields, so a null is not written."""
    fields = {
        "clarify_probability": stage.clarify_probability,
        "several_probability": stage.several_probability,
        "follow_up_probability": stage.follow_up_probability,
        "agents_left_out": stage.agents_left_out,
        "agents_cut": stage.agents_cut,
        "state_cut": stage.state_cut,
        "rules": stage.rules,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _json_or_null(value: BaseModel | dict[str, object] | list[object] | None) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)
