"""Sums over the tables of labels."""

from edgeneuro.store.database import Database, Rows, statement
from edgeneuro.store.label_rule import votes

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
