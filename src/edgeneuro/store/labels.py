"""The tables `labels`, the history, and `current_labels`, the label in force of each question. Both
are written together, in this file only."""

import json
from collections.abc import Sequence

from edgeneuro.domain.label import LabelEvent
from edgeneuro.domain.query import query_hash, split_of
from edgeneuro.store.database import Statement, statement

_MOST_EVENTS = 200  # a statement; its one bound JSON text stays far below D1's 2 MB


def record_labels(events: Sequence[LabelEvent]) -> list[Statement]:
    """Adds to the history and brings the labels in force up to date; of several events for one
    question, the last one counts. The events travel as one JSON text a statement, since D1 binds at
    most 100 parameters. Run them in one batch."""
    chunks = [events[at : at + _MOST_EVENTS] for at in range(0, len(events), _MOST_EVENTS)]
    return [each for chunk in chunks for each in _record_chunk(chunk)]


def _record_chunk(events: Sequence[LabelEvent]) -> list[Statement]:
    history = json.dumps([_row(event) for event in events], ensure_ascii=False)
    last = {query_hash(event.query): event for event in events}
    set_now = json.dumps(
        [_row(event) for event in last.values() if not event.removed], ensure_ascii=False
    )
    gone = json.dumps([key for key, event in last.items() if event.removed])
    return [
        statement(
            "INSERT INTO labels (id, query_hash, query, agent_id, removed, log_id, note, labeler,"
            " source, created_at)"
            " SELECT value ->> 'id', value ->> 'query_hash', value ->> 'query',"
            " value ->> 'agent_id', value ->> 'removed', value ->> 'log_id', value ->> 'note',"
            " value ->> 'labeler', value ->> 'source', value ->> 'created_at' FROM json_each(?1)",
            history,
        ),
        statement(
            "INSERT INTO current_labels (query_hash, query, agent_id, label_id, split, labeler,"
            " created_at)"
            " SELECT value ->> 'query_hash', value ->> 'query', value ->> 'agent_id',"
            " value ->> 'id', value ->> 'split', value ->> 'labeler', value ->> 'created_at'"
            " FROM json_each(?1) WHERE true ON CONFLICT (query_hash) DO UPDATE SET"
            " query = excluded.query, agent_id = excluded.agent_id, label_id = excluded.label_id,"
            " labeler = excluded.labeler, created_at = excluded.created_at",
            set_now,
        ),
        statement(
            "DELETE FROM current_labels WHERE query_hash IN (SELECT value FROM json_each(?1))",
            gone,
        ),
    ]


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
        "split": split_of(event.query),
        "created_at": event.created_ms,
    }
