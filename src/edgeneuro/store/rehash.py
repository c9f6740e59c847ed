"""The table `rehashing`: which older rows may have hashes over other forms of their text than the
present ones, so that labels, logs and queries of the same question, or of near-duplicates, would
not meet."""

import json
from collections.abc import Sequence
from typing import NamedTuple

from edgeneuro.domain.conversation import QuestionHashes
from edgeneuro.domain.query import canonical
from edgeneuro.store.contexts import context_from_json
from edgeneuro.store.database import Database, Statement, statement
from edgeneuro.store.labels import raise_labels_revision, settle

WINDOW_ROWS = 500
MAX_QUESTIONS = 30  # 7 statements each, of the 1,000 that a run of the cron may make


class _Moved(NamedTuple):
    """A question whose identity is another one now."""

    old: str
    new: str
    query: str


class _Hashed(NamedTuple):
    """The present hashes of a question; `place` is the row, in `logs`."""

    place: int
    question: str
    near: str
    similar: str


async def rehash_window(
    db: Database, *, max_questions: int = MAX_QUESTIONS, max_rows: int = WINDOW_ROWS
) -> bool:
    """Looks at the next rows of what is left, labels first, and gives their questions the present
    hashes. False once nothing is left."""
    rows = await db.run(statement("SELECT * FROM rehashing ORDER BY source LIMIT 1"))
    if not rows:
        return False
    source, after, until = rows[0]["source"], int(rows[0]["after"]), int(rows[0]["until"])
    table, known = {
        "logs": ("logs", "near_hash IS NOT NULL"),
        "labels": ("labels", "true"),
    }[source]
    stop = min(after + max_rows, until)
    found = await db.run(
        statement(
            f"SELECT rowid AS place, query, query_hash, context FROM {table}"
            f" WHERE rowid > ?1 AND rowid <= ?2 AND {known} ORDER BY rowid",
            after,
            stop,
        )
    )
    moved: dict[str, _Moved] = {}
    hashed: list[_Hashed] = []
    for row in found:
        text, old = canonical(row["query"]), row["query_hash"]
        hashes = QuestionHashes.of(text, context_from_json(row["context"]))
        question = hashes.question
        if old is not None and question != old and old not in moved:
            if len(moved) == max_questions:
                stop = int(row["place"]) - 1
                break
            moved[old] = _Moved(old, question, text)
        hashed.append(_Hashed(int(row["place"]), question, hashes.near, hashes.similar))
    statements = [each for one in moved.values() for each in _move(one)]
    statements += _hash_logs(hashed) if source == "logs" else _hash_labels(hashed)
    if moved or source == "labels":
        statements.append(raise_labels_revision())
    if stop < until:
        statements.append(
            statement("UPDATE rehashing SET after = ?2 WHERE source = ?1", source, stop)
        )
    else:
        statements.append(statement("DELETE FROM rehashing WHERE source = ?1", source))
    await db.batch(statements)
    return True


def _hash_logs(rows: Sequence[_Hashed]) -> list[Statement]:
    return [
        statement(
            "UPDATE logs SET near_hash = given.value ->> 2 FROM json_each(?1) AS given"
            " WHERE logs.seq = given.value ->> 0",
            json.dumps(rows),
        )
    ]


def _hash_labels(rows: Sequence[_Hashed]) -> list[Statement]:
    """A group of similar questions takes the place of the first one that is met: before, they were
    in several parts of the data set."""
    given = json.dumps(rows)
    return [
        statement(
            "INSERT INTO splits (near_hash, similar_hash, agent, place, split)"
            " SELECT given.value ->> 2, given.value ->> 3, old.agent, old.place, old.split"
            " FROM json_each(?1) AS given JOIN labels ON labels.rowid = given.value ->> 0"
            " JOIN splits AS old ON old.near_hash = labels.near_hash WHERE true"
            " ON CONFLICT (near_hash) DO UPDATE SET similar_hash = excluded.similar_hash",
            given,
        ),
        statement(
            "UPDATE splits SET agent = first.agent, place = first.place, split = first.split"
            " FROM (SELECT similar_hash, agent, place, split, min(rowid) FROM splits"
            " WHERE similar_hash IN (SELECT value ->> 3 FROM json_each(?1)) GROUP BY similar_hash)"
            " AS first WHERE splits.similar_hash = first.similar_hash",
            given,
        ),
        statement(
            "DELETE FROM splits WHERE similar_hash IS NULL AND near_hash IN (SELECT near_hash"
            " FROM labels WHERE rowid IN (SELECT value ->> 0 FROM json_each(?1)))"
            " AND NOT EXISTS (SELECT 1 FROM labels WHERE labels.near_hash = splits.near_hash"
            " AND labels.rowid NOT IN (SELECT value ->> 0 FROM json_each(?1)))",
            given,
        ),
        statement(
            "UPDATE labels SET near_hash = given.value ->> 2, similar_hash = given.value ->> 3"
            " FROM json_each(?1) AS given WHERE labels.rowid = given.value ->> 0",
            given,
        ),
        statement(
            "UPDATE current_labels SET near_hash = splits.near_hash, split = splits.split"
            " FROM json_each(?1) AS given JOIN splits ON splits.near_hash = given.value ->> 2"
            " WHERE current_labels.query_hash = given.value ->> 1",
            given,
        ),
        # Of those that joined a group whose first row was met before.
        statement(
            "UPDATE current_labels SET split = splits.split FROM splits"
            " WHERE current_labels.near_hash = splits.near_hash"
            " AND splits.similar_hash IN (SELECT value ->> 3 FROM json_each(?1))"
            " AND current_labels.split <> splits.split",
            given,
        ),
    ]


def _move(one: _Moved) -> list[Statement]:
    """The history of the question under the new hash is that under both; its part of the data set
    stays."""
    return [
        *(
            statement(f"UPDATE {table} SET query_hash = ?2 WHERE query_hash = ?1", one.old, one.new)
            for table in ("logs", "labels")
        ),
        statement("UPDATE labels SET query = ?2 WHERE query_hash = ?1", one.new, one.query),
        statement("DELETE FROM current_labels WHERE query_hash = ?1", one.old),
        *settle("query_hash = ?1", one.new),
    ]
