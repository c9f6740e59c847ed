"""The labels as data sets read them: page by page as of one state, and counted."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from edgeneuro.domain.dataset import LabelledQuery
from edgeneuro.domain.query import Split
from edgeneuro.store.contexts import context_from_json
from edgeneuro.store.database import Database, Row, Rows, Statement, statement
from edgeneuro.store.label_reads import in_force, votes
from edgeneuro.store.sql import rfc3339

PAGE_ROWS = 500


@dataclass(frozen=True)
class LabelState:
    """A state of the labels: what was in the history up to the row `seq`, and was not withdrawn up
    to the labels `revision`. Rows are only added, and marked as withdrawn with a later revision, so
    the labels that were in force then can be read at any time."""

    seq: int
    revision: int


async def current_label_state(db: Database) -> LabelState:
    rows = await db.run(
        statement(
            "SELECT (SELECT coalesce(max(seq), 0) FROM labels) AS seq,"
            " (SELECT labels FROM revision) AS revision"
        )
    )
    return LabelState(int(rows[0]["seq"]), int(rows[0]["revision"]))


async def labels_at(
    db: Database, state: LabelState, *, by_near_hash: bool
) -> AsyncIterator[LabelledQuery]:
    """The labels that were in force, by query hash or, near-duplicates side by side, by near hash.
    No more than a page of rows is held at a time."""
    near, query = "", ""
    questions = PAGE_ROWS
    while questions == PAGE_ROWS:
        questions = 0
        page = _page_by_near_hash(state, near, query) if by_near_hash else _page(state, query)
        for row in await db.run(page):
            if row["questions"] is None:
                yield _labelled_query(row)
            else:
                questions, near, query = row["questions"], row["near_hash"], row["query_hash"]


# Given on a question of the stream "hard", and never on one of the stream "random".
_HARD = (
    "(current_labels.sampled = 0 AND EXISTS (SELECT 1 FROM labels"
    " WHERE labels.query_hash = current_labels.query_hash AND labels.stream = 'hard'))"
)


async def training_labels(db: Database, after: str, *, most: int) -> Sequence[Row]:
    """A page of the labels in force that are learned from, by query hash: `query_hash`, `query`,
    `context`, `agent_id`, `hard`, and in conversations the `session`, if it is known. The test part
    stays for evaluations."""
    return await db.run(
        statement(
            f"SELECT query_hash, query, context, agent_id, {_HARD} AS hard,"
            " CASE WHEN context IS NOT NULL THEN (SELECT logs.session FROM labels"
            " JOIN logs ON logs.id = labels.log_id WHERE labels.id = current_labels.label_id) END"
            " AS session FROM current_labels"
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
    `near_hash`, `query`, `context`, `agent_id`. Labels of other agents than `agents` are left out,
    and without `hard` those of questions that were chosen because they are hard."""
    return await db.run(
        statement(
            # With min() SQLite takes the other columns from the row of the minimum.
            "SELECT near_hash, min(query_hash), query, context, agent_id FROM current_labels"
            f" WHERE split = 'test' AND near_hash > ?1 AND (?4 OR NOT {_HARD})"
            " AND (agent_id IS NULL OR agent_id IN (SELECT value FROM json_each(?2)))"
            " GROUP BY near_hash ORDER BY near_hash LIMIT ?3",
            after,
            json.dumps(agents),
            PAGE_ROWS,
            int(hard),
        )
    )


async def count_test_labels(db: Database) -> tuple[int, str, int]:
    """How many labels the test part has, and a text that is another one whenever another label is
    in force there: of the places in the history the last and the sum. And how many of the labels
    are for questions that were not chosen because they are hard."""
    rows = await db.run(
        statement(
            "SELECT count(*) AS labels, max(seq) || ' ' || sum(seq) AS state,"
            f" coalesce(sum(NOT {_HARD}), 0) AS fair FROM current_labels WHERE split = 'test'"
        )
    )
    return int(rows[0]["labels"]), str(rows[0]["state"]), int(rows[0]["fair"])


async def newest_label_in_force(db: Database) -> str | None:
    rows = await db.run(statement("SELECT label_id FROM current_labels ORDER BY seq DESC LIMIT 1"))
    return rows[0]["label_id"] if rows else None


def _page(state: LabelState, after: str) -> Statement:
    return statement(
        _labels_of("query_hash", "query_hash > ?4", order="query_hash"),
        state.seq,
        state.revision,
        PAGE_ROWS,
        after,
    )


def _page_by_near_hash(state: LabelState, near_hash: str, query_hash: str) -> Statement:
    return statement(
        _labels_of(
            "near_hash, query_hash",
            "(near_hash, query_hash) > (?4, ?5)",
            order="near_hash, query_hash",
        ),
        state.seq,
        state.revision,
        PAGE_ROWS,
        near_hash,
        query_hash,
    )


_COUNTED_THEN = "removed = 0 AND seq <= ?1 AND (withdrawn IS NULL OR withdrawn > ?2)"


def _labels_of(names: str, after: str, *, order: str) -> str:
    """The labels in force of a page of questions, and last a row for the page itself: how many
    `questions` it has, with a label in force or without, and the hashes of the last one."""
    of_page = votes("query_hash IN (SELECT query_hash FROM page)", counted=_COUNTED_THEN)
    backwards = order.replace(",", " DESC,") + " DESC"
    return (
        f"WITH page AS MATERIALIZED (SELECT DISTINCT {names} FROM labels WHERE {after}"
        f" ORDER BY {order} LIMIT ?3), decided AS MATERIALIZED ({in_force(of_page)})"
        " SELECT NULL AS questions, label.near_hash, label.query_hash, label.query,"
        " label.agent_id, splits.split, label.labeler, label.created_at, label.source,"
        " label.origin, label.context"
        " FROM decided CROSS JOIN labels AS label ON label.seq = decided.seq"
        " CROSS JOIN splits ON splits.near_hash = label.near_hash"
        " UNION ALL SELECT * FROM (SELECT (SELECT count(*) FROM page),"
        f" {'near_hash' if 'near' in names else 'NULL'}, query_hash{', NULL' * 8}"
        f" FROM page ORDER BY {backwards} LIMIT 1) ORDER BY {order}, questions"
    )


def _labelled_query(row: Row) -> LabelledQuery:
    origin = json.loads(row["origin"]) if row["origin"] else {}
    return LabelledQuery(
        query_hash=row["query_hash"],
        near_hash=row["near_hash"],
        query=row["query"],
        previous=context_from_json(row["context"]),
        agent_id=row["agent_id"],
        split=row["split"],
        labeler=origin.get("labeler") or row["labeler"],
        labelled_at=origin.get("labelled_at") or rfc3339(row["created_at"]),
        source=origin.get("source") or row["source"],
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
