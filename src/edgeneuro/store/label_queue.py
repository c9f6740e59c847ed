"""What the label queue reads: a bounded window of recent answers, and what is known about them.
Of the texts only as much as the classifier looks at is read for the whole window: the longest
queries would not fit."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgeneuro.classifier.features import HEAD, TAIL
from edgeneuro.domain.label_queue import LabelSuspect
from edgeneuro.store.classifiers import OF_ALL_AGENTS
from edgeneuro.store.comparisons import select_differing
from edgeneuro.store.contexts import StoredQuestion, context_from_json, question_from_row
from edgeneuro.store.database import Database, Rows, statement
from edgeneuro.store.log_filters import CONFIDENCE_SOURCE
from edgeneuro.store.signals import select_signals

# The window is filled in turns, one row of each key, so that no key can push out the others.
RECENT_ROWS = 8_000
_WINDOW_ROWS = 2_000
# Feedback may be late, so decisions older than the window are looked at too.
_RECENT_FEEDBACK = 2_000
_WINDOW_FEEDBACK = 500
_MAX_FEEDBACK = 5_000


def _in_turns(wanted: str, table: str, newest: str, *, recent: int, most: int) -> str:
    """The column `wanted` of at most `most` of the recent rows: the newest of each key, then the
    second of each key, and so on. `newest` is the column that grows with time."""
    return (
        f"SELECT row FROM (SELECT row, place,"
        " row_number() OVER (PARTITION BY key_id ORDER BY place DESC) AS turn"
        f" FROM (SELECT {wanted} AS row, {newest} AS place, key_id FROM {table}"
        f" ORDER BY {newest} DESC LIMIT {recent})) ORDER BY turn, place DESC LIMIT {most}"
    )


_JUDGED = _in_turns("decision_id", "feedback", "id", recent=_RECENT_FEEDBACK, most=_WINDOW_FEEDBACK)
_RECENT = _in_turns("seq", "logs", "seq", recent=RECENT_ROWS, most=_WINDOW_ROWS)
_WINDOW = f"""
WITH judged AS (
    SELECT DISTINCT row AS decision_id FROM ({_JUDGED})
), looked_at AS (
    SELECT row AS seq FROM ({_RECENT})
    UNION SELECT logs.seq FROM judged CROSS JOIN logs ON logs.id = judged.decision_id
)
"""

# A row written before near hashes were stored is a near-duplicate of the same question alone.
_UNLABELLED = f"""{_WINDOW}
SELECT logs.id, logs.query_hash, coalesce(logs.near_hash, logs.query_hash) AS near_hash,
    logs.key_id, logs.agent_id, logs.threshold,
    iif({CONFIDENCE_SOURCE} = 'none', NULL, logs.confidence) AS confidence,
    logs.layer, logs.reason,
    iif(logs.reason = 'low_confidence', logs.alternatives ->> '$[0].agent_id', NULL) AS unsure_agent
FROM looked_at CROSS JOIN logs ON logs.seq = looked_at.seq
WHERE logs.query_hash IS NOT NULL AND NOT EXISTS
    (SELECT 1 FROM current_labels c WHERE c.query_hash = logs.query_hash)
AND NOT EXISTS (SELECT 1 FROM current_labels c WHERE c.near_hash = logs.near_hash)
ORDER BY logs.seq DESC
"""


# Each question of the window once, by its first row there, so that its place does not depend on how
# often it is asked again.
_UNSAMPLED = f"""
SELECT min(seq), id, near_hash FROM
    (SELECT seq, id, query_hash, coalesce(near_hash, query_hash) AS near_hash
    FROM logs ORDER BY seq DESC LIMIT {RECENT_ROWS}) AS recent
WHERE query_hash IS NOT NULL AND NOT EXISTS
    (SELECT 1 FROM current_labels c WHERE c.query_hash = recent.query_hash AND c.sampled = 1)
GROUP BY query_hash
"""


async def read_unsampled(db: Database) -> Rows:
    """A log row, `id` and `near_hash`, of each question of the last 8,000 rows that has no label
    from the random stream. Other labels do not matter: they are for hard questions, and without
    these the sample would be one of easy questions."""
    return await db.run(statement(_UNSAMPLED))


async def read_beginnings(db: Database, log_ids: Sequence[str]) -> Rows:
    """Of each of these rows `query_hash`, `context` and the `query`, of a long one the beginning
    and the end: all that the classifier's features are made of."""
    return await db.run(
        statement(
            f"SELECT query_hash, context, iif(length(query) <= {HEAD + TAIL}, query,"
            f" substr(query, 1, {HEAD}) || ' ' || substr(query, -{TAIL})) AS query"
            " FROM json_each(?1) AS wanted CROSS JOIN logs ON logs.id = wanted.value"
            " ORDER BY wanted.key",
            json.dumps(log_ids),
        )
    )


@dataclass(frozen=True)
class ShownRow:
    """`stages` are as GET /v1/logs/{log_id} shows them; empty in rows of version 0.1.0."""

    question: StoredQuestion
    stages: Sequence[Mapping[str, Any]]


async def read_shown(db: Database, log_ids: Sequence[str]) -> dict[str, ShownRow]:
    """What the queue shows of these log rows, by id. Rows that were deleted are missing."""
    rows = await db.run(
        statement(
            "SELECT id, iif(query_hash IS NULL, '', query) AS query, context, stages FROM logs"
            " WHERE id IN (SELECT value FROM json_each(?1))",
            json.dumps(log_ids),
        )
    )
    return {
        row["id"]: ShownRow(question_from_row(row), json.loads(row["stages"] or "[]"))
        for row in rows
    }


async def read_unlabelled(db: Database) -> Rows:
    """The answers of the window to questions without a label, of which no near-duplicate has one,
    newest first."""
    return await db.run(statement(_UNLABELLED))


async def count_unlabelled(db: Database) -> int:
    """The same, each question and its near-duplicates once."""
    [row] = await db.run(
        statement(f"SELECT count(DISTINCT near_hash) AS questions FROM ({_UNLABELLED})")
    )
    return int(row["questions"])


async def read_signals(
    db: Database, decision_ids: Sequence[str], *, most_labels: int
) -> tuple[Rows, Rows, Rows, Rows]:
    """The feedback on these decisions, oldest first; the audit samples that differ; of each agent
    how many labels it has, counted up to `most_labels`; and the signals on these decisions."""
    feedback, audit_samples, labels, signals = await db.batch(
        [
            statement(
                "SELECT * FROM (SELECT id, decision_id, key_id, value, correct_agent FROM feedback"
                " WHERE decision_id IN (SELECT value FROM json_each(?1))"
                " ORDER BY id DESC LIMIT ?2) ORDER BY id",
                json.dumps(decision_ids),
                _MAX_FEEDBACK,
            ),
            select_differing(decision_ids),
            statement(
                "SELECT a.id AS agent_id, (SELECT count(*) FROM (SELECT 1 FROM current_labels c"
                " WHERE c.agent_id = a.id LIMIT ?1)) AS labels FROM agents a",
                most_labels,
            ),
            select_signals(decision_ids),
        ]
    )
    return feedback, audit_samples, labels, signals


# Likely label errors: the column `suspects` of the newest training that has looked for them.


async def list_suspects(db: Database, *, limit: int) -> list[LabelSuspect]:
    """The surest first. A label that was given since, the same one too, is no suspect any more."""
    rows = await db.run(
        statement(
            "WITH newest AS (SELECT id, suspects, last_label_id FROM classifiers"
            f" WHERE suspects IS NOT NULL AND {OF_ALL_AGENTS} ORDER BY id DESC LIMIT 1)"
            " SELECT newest.id AS classifier_id, label.query_hash, label.query, label.context,"
            " label.agent_id, label.labeler, suspect.value ->> 'predicted' AS predicted,"
            " suspect.value ->> 'score' AS score"
            # CROSS JOIN holds the plan: from the suspects to their labels.
            " FROM newest CROSS JOIN json_each(newest.suspects) AS suspect"
            " CROSS JOIN current_labels AS label"
            " ON label.query_hash = suspect.value ->> 'query_hash'"
            " WHERE label.agent_id IS suspect.value ->> 'agent_id'"
            " AND label.seq <= coalesce((SELECT seq FROM labels WHERE id = newest.last_label_id),"
            # It was erased: ids begin with the time.
            " (SELECT max(seq) FROM labels WHERE id < newest.last_label_id), 0)"
            " ORDER BY suspect.key LIMIT ?1",
            limit,
        )
    )
    return [
        LabelSuspect.model_validate({**row, "context": context_from_json(row["context"]).shown()})
        for row in rows
    ]
