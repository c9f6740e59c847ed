"""The tables `labels`, the history, and `current_labels`, the label in force of each question. Both
are written together, in this file only."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from edgeneuro.domain.agent import NO_AGENT
from edgeneuro.domain.label import (
    Label,
    LabelChange,
    LabelEvent,
    LabelFacts,
    LabelsQuery,
)
from edgeneuro.domain.query import Split, near_hash, query_hash
from edgeneuro.store.conditions import Conditions
from edgeneuro.store.database import Database, Row, Statement, statement
from edgeneuro.store.times import rfc3339

_NAMES = (
    "c.label_id AS id, c.query_hash, c.query, c.agent_id, c.split, c.labeler, l.source, l.log_id,"
    " l.note, l.stream, c.created_at"
)
_CHANGE_NAMES = "id, agent_id, removed, labeler, source, log_id, note, stream, created_at"
_MOST_BYTES = 1_000_000  # of one bound JSON text; D1 takes 2 MB


class _Row(NamedTuple):
    """A row of `labels`, its columns in order; in JSON an array, which is the shortest."""

    id: str
    query_hash: str
    near_hash: str
    query: str
    agent_id: str | None
    removed: int
    log_id: str | None
    note: str | None
    labeler: str
    source: str
    created_at: int
    stream: str | None


_INSERT = (
    f"INSERT INTO labels ({', '.join(_Row._fields)})"
    f" SELECT {', '.join(f'value ->> {n}' for n in range(len(_Row._fields)))} FROM json_each(?1)"
)


# A question that is labelled for the first time takes the next place of its agent, and the place
# decides the split: the 4th of each ten is for tests, the 8th for validation. So an agent with 4
# labels has a test question, and one with 8 a validation question. A near-duplicate joins the split
# of the first one, and nothing ever moves: the row stays when the label changes or is removed.
# Within one statement the places go by near hash, which no one can choose.
_ASSIGN_SPLITS = (
    "INSERT INTO splits (near_hash, agent, place, split) SELECT near_hash, agent, place,"
    " CASE place % 10 WHEN 3 THEN 'test' WHEN 7 THEN 'validation' ELSE 'train' END"
    " FROM (SELECT near_hash, agent,"
    " (SELECT coalesce(max(place), -1) FROM splits WHERE splits.agent = new.agent)"
    " + row_number() OVER (PARTITION BY agent ORDER BY near_hash) AS place"
    f" FROM (SELECT label.near_hash, coalesce(label.agent_id, '{NO_AGENT}') AS agent, min(label.id)"
    " FROM json_each(?1) AS given JOIN labels AS label ON label.id = given.value"
    " WHERE NOT EXISTS (SELECT 1 FROM splits WHERE splits.near_hash = label.near_hash)"
    " GROUP BY label.near_hash) AS new)"
)


def record_labels(events: Sequence[LabelEvent]) -> list[Statement]:
    """Adds to the history, brings the labels in force up to date and has every isolate look at them
    again; of several events for one question, the last one counts. The events travel as one JSON
    text a statement, since D1 binds at most 100 parameters. Run them in one batch; the last one
    always writes."""
    statements = [each for part in _chunks(events) for each in _record_chunk(*part)]
    return [raise_labels_revision(), *statements] if statements else []


def raise_labels_revision() -> Statement:
    """Goes into the batch of whatever changes the labels in force, or drops cached answers."""
    return statement("UPDATE revision SET labels = labels + 1")


def select_current(query_hash: str) -> Statement:
    """The label in force of a question: one row or none."""
    return statement("SELECT agent_id FROM current_labels WHERE query_hash = ?1", query_hash)


async def read_current(db: Database, query_hashes: Sequence[str]) -> dict[str, str | None]:
    """The labels in force of these questions; null: no agent fits."""
    rows = await db.run(
        statement(
            "SELECT query_hash, agent_id FROM current_labels"
            " WHERE query_hash IN (SELECT value FROM json_each(?1))",
            json.dumps(list(query_hashes)),
        )
    )
    return {row["query_hash"]: row["agent_id"] for row in rows}


async def find_current(db: Database, query_hash: str) -> LabelFacts | None:
    rows = await db.run(
        statement(
            "SELECT agent_id, labeler, created_at FROM current_labels WHERE query_hash = ?1",
            query_hash,
        )
    )
    return LabelFacts.model_validate(_with_time(rows[0])) if rows else None


def _chunks(events: Sequence[LabelEvent]) -> Iterator[tuple[list[_Row], str]]:
    """The events' rows in order, with the JSON text of each part."""
    rows: list[_Row] = []
    texts: list[str] = []
    size = 0
    for event in events:
        row = _row(event)
        text = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
        size += len(text.encode("utf-8", "surrogatepass")) + 1
        if size > _MOST_BYTES and rows:
            yield rows, f"[{','.join(texts)}]"
            rows, texts, size = [], [], 0
        rows.append(row)
        texts.append(text)
    if rows:
        yield rows, f"[{','.join(texts)}]"


def _record_chunk(rows: Sequence[_Row], history: str) -> Iterator[Statement]:
    last = {row.query_hash: row for row in rows}
    set_now = json.dumps([row.id for row in last.values() if not row.removed])
    gone = [key for key, row in last.items() if row.removed]
    if gone:
        yield statement(
            "DELETE FROM current_labels WHERE query_hash IN (SELECT value FROM json_each(?1))",
            json.dumps(gone),
        )
    yield statement(_INSERT, history)
    if set_now != "[]":
        yield statement(_ASSIGN_SPLITS, set_now)
        yield statement(
            "INSERT INTO current_labels (query_hash, query, agent_id, label_id, near_hash, split,"
            " labeler, created_at, sampled)"
            " SELECT label.query_hash, label.query, label.agent_id, label.id, label.near_hash,"
            " splits.split, label.labeler, label.created_at, label.stream IS 'random'"
            " FROM json_each(?1) AS given JOIN labels AS label ON label.id = given.value"
            " JOIN splits ON splits.near_hash = label.near_hash"
            " WHERE true ON CONFLICT (query_hash) DO UPDATE SET"
            " query = excluded.query, agent_id = excluded.agent_id, label_id = excluded.label_id,"
            " labeler = excluded.labeler, created_at = excluded.created_at,"
            # Whoever corrects the label of a sampled question does not change how it was chosen.
            " sampled = max(sampled, excluded.sampled)",
            set_now,
        )


def _row(event: LabelEvent) -> _Row:
    return _Row(
        id=event.id,
        query_hash=query_hash(event.query),
        near_hash=near_hash(event.query),
        query=event.query,
        agent_id=event.agent_id,
        removed=int(event.removed),
        log_id=event.log_id,
        note=event.note,
        labeler=event.labeler,
        source=event.source,
        created_at=event.created_ms,
        stream=event.stream,
    )


async def read_split(db: Database, query: str) -> Split:
    """The split of a question that has been labelled."""
    rows = await db.run(
        statement("SELECT split FROM splits WHERE near_hash = ?1", near_hash(query))
    )
    split: Split = rows[0]["split"]
    return split


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


def select_labels_of_logs(log_ids: Sequence[str]) -> Statement:
    """The questions that were labelled on these log rows."""
    return statement(
        "SELECT DISTINCT query_hash FROM labels WHERE log_id IN (SELECT value FROM json_each(?1))",
        json.dumps(log_ids),
    )


def erase_labels(query_hashes: str) -> list[Statement]:
    """Deletes labels with their history; `query_hashes` is a JSON array."""
    deletions = [
        statement(
            f"DELETE FROM {table} WHERE query_hash IN (SELECT value FROM json_each(?1))",
            query_hashes,
        )
        for table in ("current_labels", "labels")
    ]
    return [raise_labels_revision(), *deletions]


def change_from_row(row: Row) -> LabelChange:
    return LabelChange.model_validate({**_with_time(row), "removed": bool(row["removed"])})


def _with_time(row: Row) -> dict[str, Any]:
    return {**row, "created_at": rfc3339(row["created_at"])}
