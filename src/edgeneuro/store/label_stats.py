"""Sums over the tables of labels."""

from edgeneuro.store.database import Database, Rows, statement

# Of each question that several labelers saw: the last that each of them said.
_LAST_WORDS = """
WITH last AS (
    SELECT query_hash, labeler, agent_id, removed, max(id) FROM labels
    WHERE query_hash IN (
        SELECT query_hash FROM labels GROUP BY query_hash HAVING min(labeler) < max(labeler)
    )
    GROUP BY query_hash, labeler
)
SELECT one.agent_id AS one, other.agent_id AS other, count(*) AS pairs
FROM last one JOIN last other ON other.query_hash = one.query_hash AND one.labeler < other.labeler
WHERE one.removed = 0 AND other.removed = 0 GROUP BY one.agent_id, other.agent_id
"""


async def read_label_sums(db: Database) -> list[Rows]:
    """Seven sets of rows: labels in force by agent, by labeler, by split; the history by agent
    (without removals) and by labeler; the pairs of answers of two labelers to one question; the
    labels of sampled questions."""
    return await db.batch(
        [
            statement("SELECT agent_id AS name, count(*) AS n FROM current_labels GROUP BY 1"),
            statement("SELECT labeler AS name, count(*) AS n FROM current_labels GROUP BY 1"),
            statement("SELECT split AS name, count(*) AS n FROM current_labels GROUP BY 1"),
            statement(
                "SELECT agent_id AS name, count(*) AS n FROM labels WHERE removed = 0 GROUP BY 1"
            ),
            statement("SELECT labeler AS name, count(*) AS n FROM labels GROUP BY 1"),
            statement(_LAST_WORDS),
            statement("SELECT count(*) AS n FROM current_labels WHERE sampled = 1"),
        ]
    )
