"""The tables `labels`, the history, and `current_labels`, the label in force of each question. Both
are written together, in this file only."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from edgeneuro.domain.agent import NO_AGENT
from edgeneuro.domain.label import Label, LabelChange, LabelEvent, LabelsQuery
from edgeneuro.domain.query import near_hash, query_hash, split_of
from edgeneuro.store.conditions import Conditions
from edgeneuro.store.database import Database, Row, Statement, statement
from edgeneuro.store.times import rfc3339

# Limits of a statement: its bound JSON text stays below D1's 2 MB.
_MOST_EVENTS = 200
_MOST_BYTES = 1_900_000
_NAMES = (
    "c.label_id AS id, c.query_hash, c.query, c.agent_id, c.split, c.labeler, l.source, l.log_id,"
    " l.note, c.created_at"
)
_CHANGE_NAMES = "id, agent_id, removed, labeler, source, log_id, note, created_at"


def record_labels(events: Sequence[LabelEvent]) -> list[Statement]:
    """Adds to the history and brings the labels in force up to date; of several events for one
    question, the last one counts. The events travel as one JSON text a statement, since D1 binds at
    most 100 parameters. Run them in one batch; the last one, the history's, always writes."""
    return [each for chunk in _chunks(events) for each in _record_chunk(chunk)]


def _chunks(events: Sequence[LabelEvent]) -> Iterator[list[LabelEvent]]:
    chunk: list[LabelEvent] = []
    size = 0
    for event in events:
        # A character takes at most six bytes of JSON; the other fields are short.
        bytes_at_most = 6 * (len(event.query) + len(event.note or "")) + 1_000
        if chunk and (len(chunk) == _MOST_EVENTS or size + bytes_at_most > _MOST_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(event)
        size += bytes_at_most
    if chunk:
        yield chunk


def _record_chunk(events: Sequence[LabelEvent]) -> list[Statement]:
    rows = [_row(event) for event in events]
    last = {row["query_hash"]: row for row in rows}
    set_now = [row for row in last.values() if not row["removed"]]
    gone = [key for key, row in last.items() if row["removed"]]
    return [
        statement(
            "INSERT INTO current_labels (query_hash, query, agent_id, label_id, near_hash, split,"
            " labeler, created_at)"
            " SELECT value ->> 'query_hash', value ->> 'query', value ->> 'agent_id',"
            " value ->> 'id', value ->> 'near_hash', value ->> 'split', value ->> 'labeler',"
            " value ->> 'created_at'"
            " FROM json_each(?1) WHERE true ON CONFLICT (query_hash) DO UPDATE SET"
            " query = excluded.query, agent_id = excluded.agent_id, label_id = excluded.label_id,"
            " labeler = excluded.labeler, created_at = excluded.created_at",
            json.dumps(set_now, ensure_ascii=False),
        ),
        statement(
            "DELETE FROM current_labels WHERE query_hash IN (SELECT value FROM json_each(?1))",
            json.dumps(gone),
        ),
        statement(
            "INSERT INTO labels (id, query_hash, query, agent_id, removed, log_id, note, labeler,"
            " source, created_at)"
            " SELECT value ->> 'id', value ->> 'query_hash', value ->> 'query',"
            " value ->> 'agent_id', value ->> 'removed', value ->> 'log_id', value ->> 'note',"
            " value ->> 'labeler', value ->> 'source', value ->> 'created_at' FROM json_each(?1)",
            json.dumps(rows, ensure_ascii=False),
        ),
    ]


async def list_labels(db: Database, query: LabelsQuery, *, limit: int) -> list[Label]:
    """The labels in force, newest first."""
    wanted = Conditions()
    if query.after is not None:
        wanted.add("c.label_id < ?", query.after)
    if query.agent == NO_AGENT:
        wanted.add("c.agent_id IS NULL")
    elif query.agent is not None:
        wanted.add("c.agent_id = ?", query.agent)
    if query.split is not None:
        wanted.add("c.split = ?", query.split)
    if query.labeler is not None:
        wanted.add("c.labeler = ?", query.labeler)
    rows = await db.run(
        statement(
            f"SELECT {_NAMES} FROM current_labels c JOIN labels l ON l.id = c.label_id"
            f" WHERE {wanted.sql} ORDER BY c.label_id DESC LIMIT ?",
            *wanted.values,
            limit,
        )
    )
    return [Label.model_validate(_with_time(row)) for row in rows]


def select_history(key: str, *, limit: int, after: str | None = None) -> Statement:
    return statement(
        f"SELECT {_CHANGE_NAMES} FROM labels WHERE query_hash = ?1 AND (?2 IS NULL OR id < ?2)"
        " ORDER BY id DESC LIMIT ?3",
        key,
        after,
        limit,
    )


def change_from_row(row: Row) -> LabelChange:
    return LabelChange.model_validate({**_with_time(row), "removed": bool(row["removed"])})


def _with_time(row: Row) -> dict[str, Any]:
    return {**row, "created_at": rfc3339(row["created_at"])}


def _row(event: LabelEvent) -> dict[str, str | int | None]:
    return {
        "id": event.id,
        "query_hash": query_hash(event.query),
        "query": event.query,
        "agent_id": event.agent_id,
        "removed": int(event.removed),
        "log_id": event.log_id,
        "note": event.note,
        "labeler": event.labeler,
        "source": event.source,
        "near_hash": near_hash(event.query),
        "split": split_of(event.query),
        "created_at": event.created_ms,
    }
