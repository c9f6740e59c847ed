"""The table `rehashing`: which older rows may have a hash over another form of their text than the
canonical one, so that labels, logs and queries of the same question would not meet."""

from typing import NamedTuple

from edgeneuro.domain.canonical import canonical
from edgeneuro.domain.query import near_hash, query_hash
from edgeneuro.store.database import Database, Statement, statement
from edgeneuro.store.labels import raise_labels_revision, settle

WINDOW_ROWS = 2_000
MAX_QUESTIONS = 30  # 8 statements each, of the 1,000 that a run of the cron may make
# Only a text that is not ASCII, or that holds control characters, has another canonical form that
# counts for its hash.
_ODD = (
    "(length(CAST(query AS BLOB)) <> length(query) OR query GLOB '*[' || char(1) || '-' || char(8)"
    " || char(14) || '-' || char(31) || char(127) || ']*')"
)


class _Moved(NamedTuple):
    old: str
    new: str
    near: str
    query: str


async def rehash_window(db: Database, *, max_questions: int = MAX_QUESTIONS) -> bool:
    """Looks at the next rows of what is left, and gives their questions the present hashes, in all
    tables. False once nothing is left."""
    rows = await db.run(statement("SELECT * FROM rehashing ORDER BY source LIMIT 1"))
    if not rows:
        return False
    source, after, until = rows[0]["source"], int(rows[0]["after"]), int(rows[0]["until"])
    table = {"logs": "logs", "labels": "labels"}[source]
    found = await db.run(
        statement(
            f"SELECT rowid AS place, query, query_hash FROM {table} WHERE rowid > ?1 AND"
            f" rowid <= ?2 AND query_hash IS NOT NULL AND {_ODD} ORDER BY rowid",
            after,
            min(after + WINDOW_ROWS, until),
        )
    )
    moved: dict[str, _Moved] = {}
    stop = min(after + WINDOW_ROWS, until)
    for row in found:
        text = canonical(row["query"])
        if query_hash(text) == row["query_hash"]:
            continue
        if len(moved) == max_questions:
            stop = int(row["place"]) - 1
            break
        moved[row["query_hash"]] = _Moved(
            row["query_hash"], query_hash(text), near_hash(text), text
        )
    statements = [each for one in moved.values() for each in _move(one)]
    if moved:
        statements.append(raise_labels_revision())
    if stop < until:
        statements.append(
            statement("UPDATE rehashing SET after = ?2 WHERE source = ?1", source, stop)
        )
    else:
        statements.append(statement("DELETE FROM rehashing WHERE source = ?1", source))
    await db.batch(statements)
    return True


def _move(one: _Moved) -> list[Statement]:
    """The history of the question under the new hash is that under both; its part of the data set
    stays."""
    return [
        statement(
            "INSERT INTO splits (near_hash, agent, place, split) SELECT ?2, known.agent,"
            " (SELECT max(place) + 1 FROM splits WHERE splits.agent = known.agent), known.split"
            " FROM current_labels JOIN splits AS known USING (near_hash) WHERE query_hash = ?1"
            " AND NOT EXISTS (SELECT 1 FROM splits WHERE splits.near_hash = ?2)",
            one.old,
            one.near,
        ),
        *(
            statement(
                f"UPDATE {table} SET query_hash = ?2, near_hash = ?3 WHERE query_hash = ?1",
                one.old,
                one.new,
                one.near,
            )
            for table in ("logs", "labels")
        ),
        statement("UPDATE labels SET query = ?2 WHERE query_hash = ?1", one.new, one.query),
        statement("DELETE FROM current_labels WHERE query_hash = ?1", one.old),
        *settle("query_hash = ?1", one.new),
    ]
