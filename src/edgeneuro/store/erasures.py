"""What an erasure deletes. Log rows are deleted in chunks: those of a question by index, those of a
person by windows over the table.

A text also stands in the context of the message after it. There the texts of the turn are removed
from the log row, which is no question any more, and labels of such messages are deleted."""

import json
from collections.abc import Sequence

from edgeneuro.domain.conversation import previous_text
from edgeneuro.domain.erasure import ErasureCounts, ErasureTarget
from edgeneuro.domain.query import near_hash, query_hash
from edgeneuro.store.classifier_examples import erase_examples
from edgeneuro.store.contexts import context_from_json, context_json
from edgeneuro.store.database import Database, Row, Rows, Value, statement
from edgeneuro.store.label_vectors import delete_vectors, delete_vectors_of_logs
from edgeneuro.store.labels import (
    erase_labels,
    raise_labels_revision,
    select_labels_of_logs,
    settle,
)
from edgeneuro.store.unmatched import forget_names
from edgeneuro.store.usage import add_new_logs

CHUNK_ROWS = 250
MAX_RARE = 20  # rows
WINDOW_ROWS = 5_000


async def find_hashes(db: Database, question: str) -> tuple[list[str], list[str]]:
    """Under which near-duplicates of this question are stored, and the messages after it; empty if
    nothing is known of it."""
    rows = await db.run(
        statement(
            "SELECT near_hash, query, context FROM labels WHERE query_hash = ?1 UNION"
            " SELECT near_hash, query, context FROM logs"
            " WHERE query_hash = ?1 AND near_hash IS NOT NULL LIMIT 20",
            question,
        )
    )
    near: set[str] = set()
    for row in rows:
        # While rows are given their present hashes, either may be stored.
        identity = context_from_json(row["context"]).identity
        near |= {row["near_hash"], near_hash(row["query"], identity)}
    return sorted(near), sorted({previous_hash(row["query"]) for row in rows})


def previous_hash(query: str) -> str:
    """Under which the messages after this one are stored."""
    return query_hash(previous_text(query))


async def is_stored(db: Database, question: str) -> bool:
    rows = await db.run(
        statement(
            "SELECT EXISTS (SELECT 1 FROM labels WHERE query_hash = ?1)"
            " OR EXISTS (SELECT 1 FROM logs WHERE query_hash = ?1) AS found",
            question,
        )
    )
    return bool(rows[0]["found"])


async def newest_log(db: Database) -> int:
    rows = await db.run(statement("SELECT coalesce(max(seq), 0) AS seq FROM logs"))
    return int(rows[0]["seq"])


async def erase_question(db: Database, question: str) -> ErasureCounts:
    """Its labels with their history, and its text in evaluations: few rows, in one batch."""
    return await _delete(db, logs=[], questions=[question])


async def erase_question_logs(db: Database, target: ErasureTarget) -> ErasureCounts | None:
    """A chunk of a question's log rows; None if there are none left."""
    rows = await db.run(
        statement(
            "SELECT id, gateway_log_id FROM logs WHERE query_hash = ?1 LIMIT ?2",
            target.query_hash,
            CHUNK_ROWS,
        )
    )
    return await _delete(db, logs=rows, questions=[]) if rows else None


async def erase_contexts(db: Database, previous: Sequence[str]) -> ErasureCounts | None:
    """A chunk of what was said after these messages; None if there is nothing left."""
    hashes = json.dumps(previous)
    rows, labels = await db.batch(
        [
            statement(
                "SELECT seq, query, context FROM logs"
                " WHERE previous_hash IN (SELECT value FROM json_each(?1)) LIMIT ?2",
                hashes,
                CHUNK_ROWS,
            ),
            statement(
                "SELECT DISTINCT query_hash FROM labels"
                " WHERE previous_hash IN (SELECT value FROM json_each(?1)) LIMIT ?2",
                hashes,
                CHUNK_ROWS,
            ),
        ]
    )
    counts = ErasureCounts(contexts=len(rows))
    if labels:
        counts.labels = await _delete_questions(db, [row["query_hash"] for row in labels])
    if rows:
        left = json.dumps([_without_texts(row) for row in rows])
        await db.run(
            statement(
                "UPDATE logs SET context = left.value ->> 1, near_hash = left.value ->> 2,"
                " previous_hash = NULL, query_hash = NULL FROM json_each(?1) AS left"
                " WHERE logs.seq = left.value ->> 0",
                left,
            )
        )
    return counts if rows or labels else None


def _without_texts(row: Row) -> list[Value]:
    """The row, its context and its near hash. Its message must be found by the latter, for an
    erasure of it."""
    previous = context_from_json(row["context"]).shortened(0)
    near = near_hash(row["query"], previous.identity)
    return [row["seq"], context_json(previous), near]


async def find_rare(db: Database, previous: Sequence[str]) -> list[str]:
    """Of these those that stand in the context of few log rows: "yes" and "thanks" are said by
    everybody, and say nothing of a person."""
    rows = await db.run(
        statement(
            "SELECT value FROM json_each(?1) AS given WHERE (SELECT count(*) FROM (SELECT 1"
            " FROM logs WHERE previous_hash = given.value LIMIT ?2)) BETWEEN 1 AND ?2 - 1",
            json.dumps(sorted(set(previous))),
            MAX_RARE + 1,
        )
    )
    return [row["value"] for row in rows]


async def erase_undecided_logs(
    db: Database, target: ErasureTarget, after: int
) -> tuple[int, ErasureCounts] | None:
    """A chunk of the log rows for which nothing was decided, so that they have no query hash: of
    near-duplicates those that are the question. Returns the last row looked at, None at the end."""
    rows = await db.run(
        statement(
            "SELECT seq, id, query, context, gateway_log_id FROM logs WHERE query_hash IS NULL"
            " AND near_hash IN (SELECT value FROM json_each(?1)) AND seq > ?2 UNION"
            # Rows that wait for their present hashes have others.
            " SELECT seq, id, query, context, gateway_log_id FROM rehashing JOIN logs INDEXED BY"
            " logs_undecided ON seq > after AND seq <= until WHERE source = 'logs'"
            " AND query_hash IS NULL AND near_hash IS NOT NULL AND seq > ?2"
            " ORDER BY seq LIMIT ?3",
            json.dumps(target.near_hashes),
            after,
            CHUNK_ROWS,
        )
    )
    if not rows:
        return None
    found = [row for row in rows if _question(row) == target.query_hash]
    return int(rows[-1]["seq"]), await _delete(db, logs=found, questions=[])


def _question(row: Row) -> str:
    return query_hash(row["query"], context_from_json(row["context"]).identity)


async def erase_window(db: Database, target: ErasureTarget, after: int) -> ErasureCounts:
    """What a person sent, in the window of log rows after this one, with the labels that were
    given on these rows, which hold the same text, and what was said after it."""
    rows = await db.run(
        statement(
            "SELECT id, query, gateway_log_id FROM logs WHERE seq > ?1 AND seq <= ?2 AND"
            " (key_id IN (SELECT value FROM json_each(?3)) OR user = ?4 OR session = ?5)",
            after,
            min(after + WINDOW_ROWS, target.until),
            json.dumps(target.key_ids),
            target.user,
            target.session,
        )
    )
    counts = ErasureCounts()
    for at in range(0, len(rows), CHUNK_ROWS):
        chunk = rows[at : at + CHUNK_ROWS]
        labels = await db.run(select_labels_of_logs([row["id"] for row in chunk]))
        questions = [row["query_hash"] for row in labels]
        counts.add(await _delete(db, logs=chunk, questions=questions))
        said = [previous_hash(row["query"]) for row in chunk if row["query"]]
        if rare := await find_rare(db, said):
            while (more := await erase_contexts(db, rare)) is not None:
                counts.add(more)
    return counts


async def erase_person(db: Database, key_ids: Sequence[str], anonymous_id: str) -> ErasureCounts:
    """Deletes the feedback that these gave and takes their ids off what they made: labels, without
    the notes, and jobs. The labels stay."""
    ids = json.dumps(key_ids)
    named = "IN (SELECT value FROM json_each(?1))"
    found = await db.batch(
        [
            statement(f"SELECT count(*) AS n FROM feedback WHERE key_id {named}", ids),
            statement(f"DELETE FROM feedback WHERE key_id {named}", ids),
            statement(f"DELETE FROM signals WHERE key_id {named}", ids),
            statement(
                f"UPDATE labels SET labeler = ?2, note = NULL WHERE labeler {named}",
                ids,
                anonymous_id,
            ),
            statement(
                "UPDATE labels SET origin = json_set(origin, '$.labeler', ?2)"
                f" WHERE origin ->> 'labeler' {named}",
                ids,
                anonymous_id,
            ),
            *(
                statement(
                    f"UPDATE {table} SET {column} = ?2 WHERE {column} {named}", ids, anonymous_id
                )
                for table, column in (
                    ("current_labels", "labeler"),
                    ("imports", "created_by"),
                    ("imports", "rolled_back_by"),
                    ("classifiers", "created_by"),
                    ("loras", "created_by"),
                    ("evaluations", "created_by"),
                    ("calibrations", "created_by"),
                    ("routing_tests", "updated_by"),
                    ("replays", "created_by"),
                    ("replays", "applied_by"),
                    ("clusterings", "created_by"),
                    ("unmatched_clusters", "handled_by"),
                )
            ),
            # The labels of several keys of a person are those of one labeler now.
            raise_labels_revision(),
            *settle(
                "query_hash IN (SELECT query_hash FROM labels WHERE labeler = ?1)", anonymous_id
            ),
        ]
    )
    return ErasureCounts(feedback=int(found[0][0]["n"]))


async def _delete(db: Database, *, logs: Rows, questions: Sequence[str]) -> ErasureCounts:
    await add_new_logs(db)
    ids = json.dumps([row["id"] for row in logs])
    of_logs = "IN (SELECT value FROM json_each(?1))"
    labels = await _delete_questions(db, questions) if questions else 0
    found = await db.batch(
        [
            statement(f"SELECT count(*) AS n FROM feedback WHERE decision_id {of_logs}", ids),
            statement(f"DELETE FROM feedback WHERE decision_id {of_logs}", ids),
            statement(f"DELETE FROM audit_samples WHERE log_id {of_logs}", ids),
            statement(f"DELETE FROM signals WHERE log_id {of_logs}", ids),
            statement(f"DELETE FROM challenger_answers WHERE log_id {of_logs}", ids),
            statement(f"DELETE FROM replay_items WHERE log_id {of_logs}", ids),
            forget_names(ids),
            delete_vectors_of_logs(ids),
            statement(f"DELETE FROM logs WHERE id {of_logs}", ids),
        ]
    )
    gateway_logs = [row["gateway_log_id"] for row in logs if row["gateway_log_id"] is not None]
    return ErasureCounts(
        logs=len(logs),
        feedback=int(found[0][0]["n"]),
        labels=labels,
        gateway_logs=len(gateway_logs),
        gateway_log_ids=gateway_logs,
    )


async def _delete_questions(db: Database, questions: Sequence[str]) -> int:
    """Returns how many entries of the labels' history there were."""
    hashes = json.dumps(sorted(set(questions)))
    of_questions = "query_hash IN (SELECT value FROM json_each(?1))"
    found = await db.batch(
        [
            statement(f"SELECT count(*) AS n FROM labels WHERE {of_questions}", hashes),
            # The results stay; the evaluations come first, so that the primary key is used.
            statement(
                "UPDATE evaluation_items SET query = '[erased]', context = NULL, metadata = NULL"
                f" WHERE evaluation_id IN (SELECT id FROM evaluations) AND {of_questions}",
                hashes,
            ),
            statement(f"DELETE FROM decision_cache WHERE {of_questions}", hashes),
            erase_examples(hashes),
            delete_vectors(hashes),
            *erase_labels(hashes),
        ]
    )
    return int(found[0][0]["n"])
