"""The tables `labels`, the history, and `current_labels`, the label in force of each question. Both
are written together, in this file only."""

import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from edgeneuro.domain.label import LabelEvent
from edgeneuro.domain.query import near_hash, query_hash, split_of_near_hash
from edgeneuro.store.database import Statement, statement

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


_INSERT = (
    f"INSERT INTO labels ({', '.join(_Row._fields)})"
    f" SELECT {', '.join(f'value ->> {n}' for n in range(len(_Row._fields)))} FROM json_each(?1)"
)


def record_labels(events: Sequence[LabelEvent]) -> list[Statement]:
    """Adds to the history and brings the labels in force up to date; of several events for one
    question, the last one counts. The events travel as one JSON text a statement, since D1 binds at
    most 100 parameters. Run them in one batch; the last one always writes."""
    return [each for rows, history in _chunks(events) for each in _record_chunk(rows, history)]


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
    set_now = [
        (row.id, split_of_near_hash(row.near_hash)) for row in last.values() if not row.removed
    ]
    gone = [key for key, row in last.items() if row.removed]
    if gone:
        yield statement(
            "DELETE FROM current_labels WHERE query_hash IN (SELECT value FROM json_each(?1))",
            json.dumps(gone),
        )
    yield statement(_INSERT, history)
    if set_now:
        yield statement(
            "INSERT INTO current_labels (query_hash, query, agent_id, label_id, split, labeler,"
            " created_at)"
            " SELECT label.query_hash, label.query, label.agent_id, label.id, given.value ->> 1,"
            " label.labeler, label.created_at"
            " FROM json_each(?1) AS given JOIN labels AS label ON label.id = given.value ->> 0"
            " WHERE true ON CONFLICT (query_hash) DO UPDATE SET"
            " query = excluded.query, agent_id = excluded.agent_id, label_id = excluded.label_id,"
            " labeler = excluded.labeler, created_at = excluded.created_at",
            json.dumps(set_now),
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
    )
