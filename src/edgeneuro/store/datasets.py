"""The labels as data sets read them: page by page as of one moment, and counted."""

import json
from collections.abc import AsyncIterator, Sequence

from edgeneuro.domain.dataset import LabelledQuery
from edgeneuro.domain.query import Split
from edgeneuro.store.database import Database, Row, Rows, Statement, statement
from edgeneuro.store.times import rfc3339

PAGE_ROWS = 500


async def newest_label(db: Database) -> int:
    """Names the moment: what has been added to the history up to now. The history only grows, in
    the order of its rowids, so the labels that were in force then can be read at any time."""
    rows = await db.run(statement("SELECT coalesce(max(rowid), 0) AS newest FROM labels"))
    return int(rows[0]["newest"])


async def labels_at(
    db: Database, moment: int, *, by_near_hash: bool
) -> AsyncIterator[LabelledQuery]:
    """The labels that were in force, by query hash or, near-duplicates side by side, by near hash.
    No more than a page of rows is held at a time."""
    near, query = "", ""
    read = PAGE_ROWS
    while read == PAGE_ROWS:
        read = 0
        page = _page_by_near_hash(moment, near, query) if by_near_hash else _page(moment, query)
        for row in await db.run(page):
            read += 1
            near, query = row["near_hash"], row["query_hash"]
            yield _labelled_query(row)


# Given on a question of the stream "hard", and never on one of the stream "random".
_HARD = (
    "(current_labels.sampled = 0 AND EXISTS (SELECT 1 FROM labels"
    " WHERE labels.query_hash = current_labels.query_hash AND labels.stream = 'hard'))"
)


async def training_labels(db: Database, after: str, *, most: int) -> Sequence[Row]:
    """A page of the labels in force that are learned from, by query hash: `query_hash`, `query`,
    `agent_id`, `hard`. The test part stays for evaluations."""
    return await db.run(
        statement(
            f"SELECT query_hash, query, agent_id, {_HARD} AS hard FROM current_labels"
            " WHERE split IN ('train', 'validation') AND query_hash > ?1"
            " ORDER BY query_hash LIMIT ?2",
            after,
            min(most, PAGE_ROWS),
        )
    )


async def count_training_labels(db: Database, after: str) -> int:
    """How many labels come after that query hash, on the pages of `training_labels`."""
    rows = await db.run(
        statement(
            "SELECT count(*) AS labels FROM current_labels"
            " WHERE split IN ('train', 'validation') AND query_hash > ?1",
            after,
        )
    )
    return int(rows[0]["labels"])


async def test_questions(db: Database, agents: Sequence[str], after: str, *, hard: bool) -> Rows:
    """A page of the questions of the test part, by near hash, one of each group of near-duplicates:
    `near_hash`, `query`, `agent_id`. Labels of other agents than `agents` are left out, and without
    `hard` those of questions that were chosen because they are hard."""
    return await db.run(
        statement(
            # With min() SQLite takes the other columns from the row of the minimum.
            "SELECT near_hash, min(query_hash), query, agent_id FROM current_labels"
            f" WHERE split = 'test' AND near_hash > ?1 AND (?4 OR NOT {_HARD})"
            " AND (agent_id IS NULL OR agent_id IN (SELECT value FROM json_each(?2)))"
            " GROUP BY near_hash ORDER BY near_hash LIMIT ?3",
            after,
            json.dumps(agents),
            PAGE_ROWS,
            int(hard),
        )
    )


async def count_test_labels(db: Database) -> tuple[int, str | None, int]:
    """How many labels the test part has, and the newest of them: both name its state. And how many
    of them are for questions that were not chosen because they are hard."""
    rows = await db.run(
        statement(
            "SELECT count(*) AS labels, max(label_id) AS newest,"
            f" coalesce(sum(NOT {_HARD}), 0) AS fair FROM current_labels WHERE split = 'test'"
        )
    )
    return int(rows[0]["labels"]), rows[0]["newest"], int(rows[0]["fair"])


async def newest_label_in_force(db: Database) -> str | None:
    rows = await db.run(statement("SELECT max(label_id) AS id FROM current_labels"))
    newest: str | None = rows[0]["id"]
    return newest


def _page(moment: int, after: str) -> Statement:
    return statement(
        f"{_SELECT_IN_FORCE} AND label.query_hash > ?2 ORDER BY label.query_hash LIMIT ?3",
        moment,
        after,
        PAGE_ROWS,
    )


def _page_by_near_hash(moment: int, near_hash: str, query_hash: str) -> Statement:
    return statement(
        f"{_SELECT_IN_FORCE} AND (label.near_hash, label.query_hash) > (?2, ?3)"
        " ORDER BY label.near_hash, label.query_hash LIMIT ?4",
        moment,
        near_hash,
        query_hash,
        PAGE_ROWS,
    )


_SELECT_IN_FORCE = (
    "SELECT query_hash, near_hash, query, agent_id, split, labeler, created_at"
    # CROSS JOIN holds the plan: pages of labels in their order, each with its split.
    " FROM labels AS label CROSS JOIN splits USING (near_hash) WHERE removed = 0"
    " AND label.rowid = (SELECT max(other.rowid) FROM labels AS other"
    " WHERE other.query_hash = label.query_hash AND other.rowid <= ?1)"
)


def _labelled_query(row: Row) -> LabelledQuery:
    return LabelledQuery(
        query_hash=row["query_hash"],
        near_hash=row["near_hash"],
        query=row["query"],
        agent_id=row["agent_id"],
        split=row["split"],
        labeler=row["labeler"],
        labelled_at=rfc3339(row["created_at"]),
    )


async def count_labels(db: Database) -> list[tuple[str | None, Split, int]]:
    """How many labels are in force, by agent and split."""
    rows = await db.run(
        statement(
            "SELECT agent_id, split, count(*) AS labels FROM current_labels"
            " GROUP BY agent_id, split ORDER BY agent_id, split"
        )
    )
    return [(row["agent_id"], row["split"], int(row["labels"])) for row in rows]


async def count_near_duplicates(db: Database) -> int:
    """How many labels have a near-duplicate with a label before them."""
    rows = await db.run(
        statement("SELECT count(*) - count(DISTINCT near_hash) AS labels FROM current_labels")
    )
    return int(rows[0]["labels"])


async def labels_in_force(
    db: Database, query_hashes: Sequence[str], *, most: int = 5_000
) -> dict[str, str | None]:
    """The agents of those of the questions that have a label."""
    found: dict[str, str | None] = {}
    for at in range(0, len(query_hashes), most):
        rows = await db.run(
            statement(
                "SELECT query_hash, agent_id FROM current_labels"
                " WHERE query_hash IN (SELECT value FROM json_each(?1))",
                json.dumps(query_hashes[at : at + most]),
            )
        )
        found |= {row["query_hash"]: row["agent_id"] for row in rows}
    return found
