"""The rule for the label in force of a question, as SQL: the only place where it is written.

Of each labeler the latest label counts that was not taken back, as one vote. A final vote decides
alone, the latest one if there are several; else the agent with most votes wins, and of agents with
equally many the one with the latest vote. Latest is by `seq`, the order in which the rows were
written: times are equal within a millisecond, and ids are random there."""

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
