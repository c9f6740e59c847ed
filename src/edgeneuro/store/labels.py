"""The tables `labels`, the history, and `current_labels`, the label in force of each question. Both
are written together, in this file only. And the table `feedback`."""

import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from edgeneuro.domain.agent import NO_AGENT
from edgeneuro.domain.label import Feedback, LabelEvent
from edgeneuro.store.contexts import context_json
from edgeneuro.store.database import Database, Statement, Value, statement
from edgeneuro.store.label_reads import COUNTED, in_force, votes
from edgeneuro.store.sql import compact_json, unix_ms

_MAX_BYTES = 1_000_000  # of one bound JSON text; D1 takes 2 MB
_GIVEN = "(SELECT value FROM json_each(?1))"


class _Row(NamedTuple):
    """What is written of a row of `labels`; in JSON an array, which is the shortest."""

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
    final: int
    similar_hash: str
    context: str | None
    previous_hash: str | None


_INSERT = (
    f"INSERT INTO labels ({', '.join(_Row._fields)})"
    f" SELECT {', '.join(f'value ->> {n}' for n in range(len(_Row._fields)))} FROM json_each(?1)"
)


def _assign_splits(condition: str) -> str:
    """A question that is labelled for the first time takes the next place of its agent, and the
    place decides the split: the 4th of each ten is for tests, the 8th for validation. So an agent
    with 4 labels has a test question, and one with 8 a validation question. A near-duplicate or a
    similar question joins the place of the first one, and nothing ever moves: the row stays when
    the label changes or is removed. Within one statement the places go by hash, which no one can
    choose."""
    return (
        "WITH new AS (SELECT near_hash, coalesce(similar_hash, near_hash) AS similar_hash,"
        f" coalesce(agent_id, '{NO_AGENT}') AS agent, min(seq) AS seq"
        f" FROM labels WHERE {condition} AND {COUNTED}"
        " AND NOT EXISTS (SELECT 1 FROM splits WHERE splits.near_hash = labels.near_hash)"
        " GROUP BY near_hash),"
        # By windows: a join of the groups with their rows would be quadratic.
        " grouped AS (SELECT near_hash, similar_hash,"
        " first_value(agent) OVER (PARTITION BY similar_hash ORDER BY seq) AS agent,"
        " (SELECT min(rowid) FROM splits WHERE splits.similar_hash = new.similar_hash) AS known_row"
        " FROM new),"
        " placed AS (SELECT near_hash, similar_hash, agent, known_row,"
        " (SELECT coalesce(max(place), -1) FROM splits WHERE splits.agent = grouped.agent)"
        " + dense_rank() OVER (PARTITION BY known_row IS NULL, agent ORDER BY similar_hash)"
        " AS place FROM grouped)"
        " INSERT INTO splits (near_hash, similar_hash, agent, place, split)"
        " SELECT placed.near_hash, placed.similar_hash, coalesce(known.agent, placed.agent),"
        " coalesce(known.place, placed.place), coalesce(known.split, CASE placed.place % 10"
        " WHEN 3 THEN 'test' WHEN 7 THEN 'validation' ELSE 'train' END)"
        " FROM placed LEFT JOIN splits AS known ON known.rowid = placed.known_row"
    )


def record_labels(events: Sequence[LabelEvent]) -> list[Statement]:
    """Adds to the history in this order, brings the labels in force up to date and has every
    isolate look at them again. The events travel as one JSON text a statement, since D1 binds at
    most 100 parameters. Run them in one batch; the last one always writes."""
    statements = [each for part in _chunks(events) for each in _record_chunk(*part)]
    return [raise_labels_revision(), *statements, _WRITES] if statements else []


def raise_labels_revision() -> Statement:
    """Goes into the batch of whatever changes the labels in force, or drops cached answers; before
    the statements that write labels."""
    return statement("UPDATE revision SET labels = labels + 1")


# The last statement of a change has to write, so that its audit row is written too.
_WRITES = statement("UPDATE revision SET labels = labels")


def settle(condition: str, *parameters: Value) -> list[Statement]:
    """Brings the labels in force of some questions up to date with the history, by the rule, and
    gives new questions their split. `condition` is true of the rows of these questions in `labels`
    and in `current_labels`; it may use `query_hash`, and `parameters` are its own."""
    return [
        statement(
            f"DELETE FROM current_labels WHERE {condition} AND NOT EXISTS (SELECT 1 FROM labels"
            f" WHERE labels.query_hash = current_labels.query_hash AND {COUNTED})",
            *parameters,
        ),
        statement(_assign_splits(condition), *parameters),
        statement(
            "INSERT INTO current_labels (query_hash, query, agent_id, label_id, near_hash, split,"
            " labeler, created_at, sampled, seq, conflict, context)"
            " SELECT label.query_hash, label.query, label.agent_id, label.id, label.near_hash,"
            " splits.split, label.labeler, label.created_at,"
            # A correction of a sampled question's label does not change how the question was
            # chosen.
            " EXISTS (SELECT 1 FROM labels AS any_label WHERE any_label.stream = 'random'"
            " AND any_label.query_hash = label.query_hash AND removed = 0 AND withdrawn IS NULL),"
            " label.seq, decided.conflict, label.context"
            f" FROM ({in_force(votes(condition))}) AS decided"
            " JOIN labels AS label ON label.seq = decided.seq"
            " JOIN splits ON splits.near_hash = label.near_hash"
            " WHERE true ON CONFLICT (query_hash) DO UPDATE SET"
            " query = excluded.query, agent_id = excluded.agent_id, label_id = excluded.label_id,"
            " labeler = excluded.labeler, created_at = excluded.created_at,"
            " sampled = excluded.sampled, seq = excluded.seq, conflict = excluded.conflict,"
            " context = excluded.context",
            *parameters,
        ),
    ]


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


def _chunks(events: Sequence[LabelEvent]) -> Iterator[tuple[list[LabelEvent], str]]:
    """The events in order, with the JSON text of each part's rows."""
    part: list[LabelEvent] = []
    texts: list[str] = []
    size = 0
    for event in events:
        text = compact_json(_row(event))
        size += len(text.encode("utf-8", "surrogatepass")) + 1
        if size > _MAX_BYTES and part:
            yield part, f"[{','.join(texts)}]"
            part, texts, size = [], [], 0
        part.append(event)
        texts.append(text)
    if part:
        yield part, f"[{','.join(texts)}]"


def _record_chunk(events: Sequence[LabelEvent], history: str) -> Iterator[Statement]:
    yield statement(_INSERT, history)
    removals = [event for event in events if event.removed]
    if own := [event.id for event in removals if not event.all_labelers]:
        yield statement(_WITHDRAW_OWN_LAST, json.dumps(own))
    if all_of_them := [event.id for event in removals if event.all_labelers]:
        yield statement(_WITHDRAW_ALL, json.dumps(all_of_them))
    questions = json.dumps(sorted({event.hashes.question for event in events}))
    yield from settle(f"query_hash IN {_GIVEN}", questions)


_WITHDRAW = "UPDATE labels SET withdrawn = (SELECT labels FROM revision) WHERE seq IN"
_WITHDRAW_OWN_LAST = (
    f"{_WITHDRAW} (SELECT (SELECT max(seq) FROM labels AS own WHERE {COUNTED}"
    " AND own.query_hash = removal.query_hash AND own.labeler = removal.labeler"
    f" AND own.seq < removal.seq) FROM labels AS removal WHERE removal.id IN {_GIVEN})"
)
_WITHDRAW_ALL = (
    f"{_WITHDRAW} (SELECT given.seq FROM labels AS removal JOIN labels AS given"
    " ON given.query_hash = removal.query_hash AND given.seq < removal.seq AND given.removed = 0"
    f" AND given.withdrawn IS NULL WHERE removal.id IN {_GIVEN})"
)


async def count_labels_of(db: Database, agent_id: str) -> int:
    """The labels in force that name this agent."""
    rows = await db.run(
        statement("SELECT count(*) AS n FROM current_labels WHERE agent_id = ?1", agent_id)
    )
    return int(rows[0]["n"])


async def count_labels_of_each(db: Database, agent_ids: Sequence[str]) -> dict[str, int]:
    """The labels in force of those of these agents that have some."""
    rows = await db.run(
        statement(
            "SELECT agent_id, count(*) AS n FROM current_labels"
            " WHERE agent_id IN (SELECT value FROM json_each(?1)) GROUP BY agent_id",
            json.dumps(agent_ids),
        )
    )
    return {row["agent_id"]: int(row["n"]) for row in rows}


def set_aside_labels_of(agent_id: str) -> list[Statement]:
    """Withdraws all labels that name this agent, of all labelers."""
    # The number of this change, which the first statement raises, marks what it has withdrawn.
    taken_back = (
        "query_hash IN (SELECT query_hash FROM labels WHERE agent_id = ?1"
        " AND withdrawn = (SELECT labels FROM revision))"
    )
    return [
        raise_labels_revision(),
        statement(
            "UPDATE labels SET withdrawn = (SELECT labels FROM revision)"
            f" WHERE agent_id = ?1 AND {COUNTED}",
            agent_id,
        ),
        *settle(taken_back, agent_id),
    ]


def _row(event: LabelEvent) -> _Row:
    return _Row(
        id=event.id,
        query_hash=event.hashes.question,
        near_hash=event.hashes.near,
        query=event.query,
        agent_id=event.agent_id,
        removed=int(event.removed),
        log_id=event.log_id,
        note=event.note,
        labeler=event.labeler,
        source=event.source,
        created_at=event.created_ms,
        stream=event.stream,
        final=int(event.final),
        similar_hash=event.hashes.similar,
        context=context_json(event.previous),
        previous_hash=event.hashes.previous,
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


# The table `feedback`: one row for each key and decision.


def put_feedback(feedback: Feedback) -> Statement:
    """Replaces what the key said of this decision before. No row comes back if there is no such
    decision."""
    return statement(
        "INSERT INTO feedback (id, decision_id, value, correct_agent, comment, key_id, created_at)"
        " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE EXISTS (SELECT 1 FROM logs WHERE id = ?2)"
        " ON CONFLICT (decision_id, key_id) DO UPDATE SET id = excluded.id,"
        " value = excluded.value, correct_agent = excluded.correct_agent,"
        " comment = excluded.comment, created_at = excluded.created_at"
        " RETURNING id",
        feedback.id,
        feedback.decision_id,
        feedback.value,
        feedback.correct_agent,
        feedback.comment,
        feedback.key_id,
        unix_ms(feedback.created_at),
    )


def delete_feedback(decision_id: str, key_id: str) -> Statement:
    """What the key said of this decision; no row comes back if it has said nothing."""
    return statement(
        "DELETE FROM feedback WHERE decision_id = ?1 AND key_id = ?2 RETURNING id",
        decision_id,
        key_id,
    )
