"""What the label queue reads: a bounded window of recent answers, and what is known around it. The
texts come apart, few at a time: a window of the longest queries would not fit an isolate."""

import json
from collections.abc import Iterable, Sequence

from edgeneuro.store.database import Database, Rows, statement
from edgeneuro.store.shadow import select_differing

_RECENT_ROWS = 2_000
_RECENT_FEEDBACK = 500  # also of decisions that are older than the window: feedback may be late
_MOST_FEEDBACK = 5_000

_UNLABELLED = f"""
WITH told AS (
    SELECT DISTINCT decision_id FROM
    (SELECT decision_id FROM feedback ORDER BY id DESC LIMIT {_RECENT_FEEDBACK})
), looked_at AS (
    SELECT seq FROM (SELECT seq FROM logs ORDER BY seq DESC LIMIT {_RECENT_ROWS})
    UNION SELECT logs.seq FROM told CROSS JOIN logs ON logs.id = told.decision_id
)
SELECT logs.id, logs.query_hash, logs.agent_id, logs.confidence, logs.threshold, logs.layer,
    logs.reason, logs.alternatives
FROM looked_at CROSS JOIN logs ON logs.seq = looked_at.seq
WHERE logs.query_hash IS NOT NULL AND NOT EXISTS
    (SELECT 1 FROM current_labels c WHERE c.query_hash = logs.query_hash)
ORDER BY logs.seq DESC
"""


async def read_unlabelled(db: Database) -> Rows:
    """The recent answers to questions without a label, newest first."""
    return await db.run(statement(_UNLABELLED))


async def read_signals(
    db: Database, decision_ids: Sequence[str], *, most_labels: int
) -> tuple[Rows, Rows, Rows]:
    """The feedback on these decisions, oldest first; the shadows that say something else; and of
    each agent how many labels it has, counted no further than `most_labels`."""
    feedback, shadows, labels = await db.batch(
        [
            statement(
                "SELECT * FROM (SELECT id, decision_id, key_id, value, correct_agent FROM feedback"
                " WHERE decision_id IN (SELECT value FROM json_each(?1))"
                " ORDER BY id DESC LIMIT ?2) ORDER BY id",
                json.dumps(decision_ids),
                _MOST_FEEDBACK,
            ),
            select_differing(decision_ids),
            statement(
                "SELECT a.id AS agent_id, (SELECT count(*) FROM (SELECT 1 FROM current_labels c"
                " WHERE c.agent_id = a.id LIMIT ?1)) AS labels FROM agents a",
                most_labels,
            ),
        ]
    )
    return feedback, shadows, labels


async def find_labelled(db: Database, near_hashes: Iterable[str]) -> set[str]:
    """Those of them that a labelled question has."""
    rows = await db.run(
        statement(
            "SELECT DISTINCT near_hash FROM current_labels"
            " WHERE near_hash IN (SELECT value FROM json_each(?1))",
            json.dumps(sorted(near_hashes)),
        )
    )
    return {row["near_hash"] for row in rows}
