"""Reading labels: the rule for the label in force, labels with their votes, the history, sums."""

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from edgeneuro.domain.agent import NO_AGENT
from edgeneuro.domain.label import Label, LabelChange, LabelFacts, LabelsQuery, Vote
from edgeneuro.store.contexts import StoredQuestion, context_from_json, question_from_row
from edgeneuro.store.database import Database, Row, Rows, Statement, statement
from edgeneuro.store.sql import Conditions, rfc3339

# The rule for the label in force of a question, as SQL: the only place where it is written.
#
# The latest label of each labeler that was not withdrawn is one vote. A final vote decides alone,
# the latest one if there are several; else the agent with most votes wins, and of agents with
# equally many the one with the latest vote. Latest is by `seq`, the order in which the rows were
# written: times are equal within a millisecond, and ids are random there.

COUNTED = "removed = 0 AND withdrawn IS NULL"


def votes(condition: str, *, counted: str = COUNTED) -> str:
    """The votes on the questions whose rows of `labels` meet the condition: `query_hash`,
    `labeler`, `agent_id`, `final`, `created_at`, `seq`."""
    return (
        # With max() SQLite takes the other columns from the row of the maximum.
        "SELECT query_hash, labeler, agent_id, final, created_at, max(seq) AS seq FROM labels"
        f" WHERE {condition} AND {counted} GROUP BY query_hash, labeler"
    )


def in_force(of_votes: str) -> str:
    """The label in force of each question that has one: `query_hash`, its `seq`, and `conflict`, 1
    where the votes differ and none is final."""
    by_agent = (
        "SELECT query_hash, max(iif(final, seq, 0)) AS final_seq, count(*) AS votes,"
        f" max(seq) AS last_seq FROM ({of_votes}) GROUP BY query_hash, agent_id"
    )
    return (
        "SELECT query_hash, seq, conflict FROM (SELECT query_hash,"
        " iif(final_seq > 0, final_seq, last_seq) AS seq,"
        " count(*) OVER question > 1 AND max(final_seq) OVER question = 0 AS conflict,"
        " row_number() OVER (PARTITION BY query_hash"
        " ORDER BY final_seq DESC, votes DESC, last_seq DESC) AS place"
        f" FROM ({by_agent}) WINDOW question AS (PARTITION BY query_hash)) WHERE place = 1"
    )


_NAMES = (
    "c.label_id AS id, c.query_hash, c.query, c.context, c.agent_id, c.split, c.labeler, l.source,"
    " l.log_id, l.note, l.stream, l.final, l.import_id, l.origin, c.conflict, c.created_at"
)
_CHANGE_NAMES = (
    "id, agent_id, removed, withdrawn IS NOT NULL AS withdrawn, final, labeler, source, log_id,"
    " note, stream, import_id, origin, created_at"
)
_FROM = "FROM current_labels c JOIN labels l ON l.id = c.label_id"


async def find_facts(db: Database, query_hash: str) -> LabelFacts | None:
    """The label in force of a question, without its text."""
    rows = await db.run(
        statement(
            "SELECT agent_id, labeler, created_at FROM current_labels WHERE query_hash = ?1",
            query_hash,
        )
    )
    return LabelFacts.model_validate(_with_time(rows[0])) if rows else None


async def find_votes(db: Database, query_hash: str) -> list[Vote]:
    """The votes on a question, in the order in which they were given."""
    return (await _read_votes(db, [query_hash]))[query_hash]


async def find_label(db: Database, query_hash: str) -> Label | None:
    """The label in force of a question."""
    rows = await db.run(statement(f"SELECT {_NAMES} {_FROM} WHERE c.query_hash = ?1", query_hash))
    found = await _with_votes(db, rows)
    return found[0] if found else None


async def find_question(db: Database, query_hash: str) -> StoredQuestion | None:
    """A question that was labelled, or logged with its text."""
    rows = await db.run(
        statement(
            "SELECT * FROM (SELECT query, context FROM labels WHERE query_hash = ?1 LIMIT 1)"
            " UNION ALL SELECT * FROM (SELECT query, context FROM logs WHERE query_hash = ?1"
            " AND query <> '' LIMIT 1)",
            query_hash,
        )
    )
    return question_from_row(rows[0]) if rows else None


async def list_labels(db: Database, query: LabelsQuery, *, limit: int) -> list[Label]:
    """The labels in force, newest first."""
    wanted = Conditions()
    if query.after is not None:
        wanted.add("c.seq < (SELECT seq FROM labels WHERE id = ?)", query.after)
    if query.agent == NO_AGENT:
        wanted.add("c.agent_id IS NULL")
    elif query.agent is not None:
        wanted.add("c.agent_id = ?", query.agent)
    if query.split is not None:
        wanted.add("c.split = ?", query.split)
    if query.labeler is not None:
        wanted.add("c.labeler = ?", query.labeler)
    if query.conflicts is not None:
        wanted.add("c.conflict = 1" if query.conflicts else "c.conflict = 0")
    if query.q is not None:
        wanted.add("instr(lower(c.query), lower(?)) > 0", query.q)
    rows = await db.run(
        statement(
            f"SELECT {_NAMES} {_FROM} WHERE {wanted.sql} ORDER BY c.seq DESC LIMIT ?",
            *wanted.values,
            limit,
        )
    )
    return await _with_votes(db, rows)


def select_history(key: str, *, limit: int, after: str | None = None) -> Statement:
    """Newest first, by the order in which the entries were written."""
    return statement(
        f"SELECT {_CHANGE_NAMES} FROM labels WHERE query_hash = ?1"
        " AND (?2 IS NULL OR seq < (SELECT seq FROM labels WHERE id = ?2))"
        " ORDER BY seq DESC LIMIT ?3",
        key,
        after,
        limit,
    )


def change_from_row(row: Row) -> LabelChange:
    flags = {name: bool(row[name]) for name in ("removed", "withdrawn", "final")}
    return LabelChange.model_validate({**_with_time(row), **flags, "origin": _origin(row)})


async def _with_votes(db: Database, rows: Rows) -> list[Label]:
    found = await _read_votes(db, [row["query_hash"] for row in rows]) if rows else {}
    return [
        Label.model_validate(
            {
                **_with_time(row),
                "origin": _origin(row),
                "context": context_from_json(row["context"]).shown(),
                "final": bool(row["final"]),
                "conflict": bool(row["conflict"]),
                "votes": found[row["query_hash"]],
            }
        )
        for row in rows
    ]


async def _read_votes(db: Database, query_hashes: Sequence[str]) -> dict[str, list[Vote]]:
    given = "query_hash IN (SELECT value FROM json_each(?1))"
    rows = await db.run(
        statement(f"SELECT * FROM ({votes(given)}) ORDER BY seq", json.dumps(query_hashes))
    )
    found: dict[str, list[Vote]] = defaultdict(list)
    for row in rows:
        found[row["query_hash"]].append(
            Vote(
                labeler=row["labeler"],
                agent_id=row["agent_id"],
                final=bool(row["final"]),
                created_at=rfc3339(row["created_at"]),
            )
        )
    return found


def _origin(row: Row) -> Any:
    return None if row["origin"] is None else json.loads(row["origin"])


def _with_time(row: Row) -> dict[str, Any]:
    return {**row, "created_at": rfc3339(row["created_at"])}


# Of each question that several labelers saw, the votes.
_SEEN_BY_SEVERAL = (
    "query_hash IN (SELECT query_hash FROM labels GROUP BY query_hash"
    " HAVING min(labeler) < max(labeler))"
)
_PAIRS = (
    f"WITH vote AS ({votes(_SEEN_BY_SEVERAL)})"
    " SELECT one.agent_id AS one, other.agent_id AS other, count(*) AS pairs"
    " FROM vote one JOIN vote other"
    " ON other.query_hash = one.query_hash AND one.labeler < other.labeler"
    " GROUP BY one.agent_id, other.agent_id"
)


async def read_label_sums(db: Database) -> list[Rows]:
    """Eight sets of rows: labels in force by agent, by labeler, by split; the history by agent
    (without removals) and by labeler; the pairs of votes of two labelers on one question; the
    labels of sampled questions; those in conflict."""
    return await db.batch(
        [
            statement("SELECT agent_id AS name, count(*) AS n FROM current_labels GROUP BY 1"),
            statement("SELECT labeler AS name, count(*) AS n FROM current_labels GROUP BY 1"),
            statement("SELECT split AS name, count(*) AS n FROM current_labels GROUP BY 1"),
            statement(
                "SELECT agent_id AS name, count(*) AS n FROM labels WHERE removed = 0 GROUP BY 1"
            ),
            statement("SELECT labeler AS name, count(*) AS n FROM labels GROUP BY 1"),
            statement(_PAIRS),
            statement("SELECT count(*) AS n FROM current_labels WHERE sampled = 1"),
            statement("SELECT count(*) AS n FROM current_labels WHERE conflict = 1"),
        ]
    )
