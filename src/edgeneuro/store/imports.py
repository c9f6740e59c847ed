"""The tables `imports` and `import_rows`. The rows of a file are staged while it is read, counted
part by part, and become labels in one transaction."""

import json
from collections.abc import Sequence
from typing import NamedTuple

from edgeneuro.domain.agent import NO_AGENT
from edgeneuro.domain.dataset import DatasetImport, Import
from edgeneuro.store.database import Database, Row, Statement, statement
from edgeneuro.store.label_reads import COUNTED, in_force, votes
from edgeneuro.store.labels import raise_labels_revision, settle
from edgeneuro.store.sql import rfc3339

# Rows of a statement that makes labels of them: some seconds of the 30 that D1 gives a statement.
SLICE_ROWS = 25_000
_PURGE_ROWS = 50_000


class StagedRow(NamedTuple):
    """A row of a file; in JSON an array. `place` counts the questions of the file from 1 on;
    `origin` is JSON, as in `labels`."""

    place: int
    query_hash: str
    near_hash: str
    query: str
    agent_id: str | None
    split: str | None
    origin: str | None
    similar_hash: str
    context: str | None
    previous_hash: str | None


def stage_rows(import_id: str, rows: str, *, now_ms: int) -> Statement:
    """`rows` is a JSON array of StagedRow."""
    return statement(
        f"INSERT INTO import_rows (import_id, {', '.join(StagedRow._fields)}, staged_at)"
        f" SELECT ?1, {', '.join(f'value ->> {n}' for n in range(len(StagedRow._fields)))}, ?3"
        " FROM json_each(?2)",
        import_id,
        rows,
        now_ms,
    )


_ITS_OWN = 1 << 53  # the place in the history that a label would have
_GIVEN = (
    "SELECT value ->> 1 AS query_hash, value ->> 2 AS near_hash, value ->> 4 AS agent_id,"
    " value ->> 5 AS split, value ->> 7 AS similar_hash FROM json_each(?1)"
)
_OTHERS = votes("query_hash IN (SELECT query_hash FROM differing) AND labeler <> ?2")
_COUNT = (
    f"WITH given AS MATERIALIZED ({_GIVEN}),"
    " differing AS MATERIALIZED (SELECT given.query_hash, given.agent_id FROM given"
    " JOIN current_labels AS label USING (query_hash) WHERE label.agent_id IS NOT given.agent_id),"
    f" vote AS ({_OTHERS} UNION ALL SELECT query_hash, ?2, agent_id, 0, 0, {_ITS_OWN}"
    f" FROM differing), decided AS ({in_force('SELECT * FROM vote')})"
    " SELECT (SELECT count(*) FROM given) AS labels,"
    " (SELECT count(*) FROM given WHERE NOT EXISTS (SELECT 1 FROM current_labels AS label"
    " WHERE label.query_hash = given.query_hash)) AS new,"
    " (SELECT count(*) FROM differing) AS differing,"
    f" (SELECT count(*) FROM decided WHERE seq = {_ITS_OWN}) AS changed,"
    " (SELECT count(*) FROM given WHERE EXISTS (SELECT 1 FROM splits"
    " WHERE splits.split <> given.split AND (splits.near_hash = given.near_hash"
    " OR splits.similar_hash = given.similar_hash)))"
    " AS other_split"
)


def count_rows(rows: str, labeler: str) -> Statement:
    """One row: how many `labels` the rows are, and what they would come to as votes of the labeler:
    `new` questions, `differing` from the label in force, of which `changed` would be another one,
    and those whose question is in another part of the data set, `other_split`."""
    return statement(_COUNT, rows, labeler)


def apply_rows(
    import_id: str, *, labeler: str, now_ms: int, rows: int, report: DatasetImport
) -> list[Statement]:
    """Makes labels of the staged rows that are not what is in force or what the labeler says
    already, in one batch. The last statement writes if there is a label."""
    slices = [(first, first + SLICE_ROWS - 1) for first in range(1, max(rows, 1) + 1, SLICE_ROWS)]
    return [
        raise_labels_revision(),
        statement(_KEEP_SPLITS, import_id),
        *(each for part in slices for each in _apply_slice(import_id, labeler, now_ms, *part)),
        delete_staged(import_id),
        statement(
            "INSERT INTO imports (id, created_at, created_by, report, labels)"
            " SELECT ?1, ?2, ?3, ?4, count(*) FROM labels WHERE import_id = ?1 HAVING count(*) > 0",
            import_id,
            now_ms,
            labeler,
            report.model_dump_json(),
        ),
    ]


# The part of the data set that the file names holds for questions that have none yet; they take the
# next places of their agent. Of similar questions the first one says it.
_KEEP_SPLITS = (
    "WITH new AS (SELECT near_hash, similar_hash, split,"
    f" coalesce(agent_id, '{NO_AGENT}') AS agent, min(place) AS line"
    " FROM import_rows WHERE import_id = ?1 AND split IS NOT NULL AND NOT EXISTS"
    " (SELECT 1 FROM splits WHERE splits.near_hash = import_rows.near_hash"
    " OR splits.similar_hash = import_rows.similar_hash) GROUP BY near_hash),"
    " grouped AS (SELECT near_hash, similar_hash, first_value(agent) OVER line AS agent,"
    " first_value(split) OVER line AS split FROM new"
    " WINDOW line AS (PARTITION BY similar_hash ORDER BY line))"
    " INSERT INTO splits (near_hash, similar_hash, agent, place, split)"
    " SELECT near_hash, similar_hash, agent,"
    " (SELECT coalesce(max(place), -1) FROM splits WHERE splits.agent = grouped.agent)"
    " + dense_rank() OVER (PARTITION BY agent ORDER BY similar_hash), split FROM grouped"
)


def _apply_slice(
    import_id: str, labeler: str, now_ms: int, first: int, last: int
) -> list[Statement]:
    return [
        statement(
            "INSERT INTO labels (id, query_hash, near_hash, similar_hash, query, agent_id, removed,"
            " labeler, source, created_at, import_id, origin, context, previous_hash)"
            " SELECT 'lab_' || substr(?1, 5) || '_' || place, query_hash, near_hash, similar_hash,"
            " query, agent_id, 0, ?2, 'import', ?3, ?1, origin, context, previous_hash"
            " FROM import_rows AS given"
            " WHERE import_id = ?1 AND place BETWEEN ?4 AND ?5"
            " AND NOT EXISTS (SELECT 1 FROM current_labels AS label"
            " WHERE label.query_hash = given.query_hash AND label.agent_id IS given.agent_id)"
            " AND NOT coalesce((SELECT own.agent_id IS given.agent_id FROM labels AS own"
            f" WHERE own.query_hash = given.query_hash AND own.labeler = ?2 AND {COUNTED}"
            " ORDER BY own.seq DESC LIMIT 1), 0) ORDER BY place",
            import_id,
            labeler,
            now_ms,
            first,
            last,
        ),
        *settle(
            "query_hash IN (SELECT query_hash FROM import_rows WHERE import_id = ?1"
            " AND place BETWEEN ?2 AND ?3)",
            import_id,
            first,
            last,
        ),
    ]


def delete_staged(import_id: str) -> Statement:
    return statement("DELETE FROM import_rows WHERE import_id = ?1", import_id)


async def purge_staged(db: Database, *, before_ms: int) -> None:
    """Deletes the rows of files whose reading did not end."""
    await db.run(
        statement(
            "DELETE FROM import_rows WHERE (import_id, place) IN (SELECT import_id, place"
            " FROM import_rows WHERE staged_at < ?1 LIMIT ?2)",
            before_ms,
            _PURGE_ROWS,
        )
    )


async def list_imports(db: Database, *, limit: int, after: str | None) -> list[Import]:
    """Newest first."""
    rows = await db.run(
        statement(
            "SELECT * FROM imports WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2",
            after,
            limit,
        )
    )
    return [_import(row) for row in rows]


async def find_import(db: Database, import_id: str) -> Import | None:
    rows = await db.run(statement("SELECT * FROM imports WHERE id = ?1", import_id))
    return _import(rows[0]) if rows else None


def roll_back(import_id: str, *, now_ms: int, by: str) -> Sequence[Statement]:
    """Withdraws the labels of an import that were not withdrawn before. The last statement writes
    unless that was done before."""
    return [
        raise_labels_revision(),
        statement(
            "UPDATE labels SET withdrawn = (SELECT labels FROM revision)"
            f" WHERE import_id = ?1 AND {COUNTED}",
            import_id,
        ),
        *settle("query_hash IN (SELECT query_hash FROM labels WHERE import_id = ?1)", import_id),
        statement(
            "UPDATE imports SET rolled_back_at = ?2, rolled_back_by = ?3"
            " WHERE id = ?1 AND rolled_back_at IS NULL RETURNING *",
            import_id,
            now_ms,
            by,
        ),
    ]


def import_from_row(row: Row) -> Import:
    return _import(row)


def _import(row: Row) -> Import:
    rolled_back_at = row["rolled_back_at"]
    return Import(
        id=row["id"],
        created_at=rfc3339(row["created_at"]),
        created_by=row["created_by"],
        labels=row["labels"],
        report=json.loads(row["report"]),
        rolled_back_at=None if rolled_back_at is None else rfc3339(rolled_back_at),
        rolled_back_by=row["rolled_back_by"],
    )
