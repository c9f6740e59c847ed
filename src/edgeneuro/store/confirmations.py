"""Confident decisions for one agent that no label covers, in the window of log rows that the random
stream is drawn from."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from edgeneuro.store.database import Database, Row, Rows, Statement, statement
from edgeneuro.store.label_queue import RECENT_ROWS
from edgeneuro.store.label_reads import COUNTED
from edgeneuro.store.labels import raise_labels_revision, settle
from edgeneuro.store.log_filters import CONFIDENCE_SOURCE
from edgeneuro.store.signals import CONTRADICTED

# Of a stage that has weighed all agents: not of labels, rules or the conversation, which are
# certain by themselves, and not where the caller or a router allowed only some agents.
_CONFIDENT = (
    "logs.agent_id = ?1 AND logs.confidence >= ?2 AND logs.status = 200 AND logs.reason IS NULL"
    " AND logs.outcome = 'agent' AND logs.other_outcome IS NULL AND logs.other_kind IS NULL"
    f" AND coalesce({CONFIDENCE_SOURCE}, 'none') NOT IN ('none', 'label', 'rule', 'session')"
    " AND logs.candidates IS NULL AND logs.router IS NULL AND logs.query <> ''"
)
# Speaks against the agent: another decision, a second opinion on one, a person, a re-route.
_AGAINST = (
    "(logs.reason = 'out_of_scope' OR logs.reason IS NULL AND logs.agent_id <> ?1"
    f" OR logs.agent_id = ?1 AND ({CONTRADICTED} OR logs.rerouted_from IS NOT NULL"
    " OR EXISTS (SELECT 1 FROM logs AS later WHERE later.rerouted_from = logs.id)"
    " OR EXISTS (SELECT 1 FROM audit_samples AS s WHERE s.log_id = logs.id AND s.agrees = 0)"
    " OR EXISTS (SELECT 1 FROM challenger_answers AS c WHERE c.log_id = logs.id"
    " AND c.agrees = 0 AND c.failed = 0)))"
)
_UNLABELLED = (
    "NOT EXISTS (SELECT 1 FROM current_labels c WHERE c.query_hash = kinds.query_hash)"
    " AND NOT EXISTS (SELECT 1 FROM current_labels c WHERE c.near_hash = kinds.near)"
)
_FIND = f"""
WITH recent AS MATERIALIZED (
    SELECT seq FROM logs ORDER BY seq DESC LIMIT {RECENT_ROWS}
), confident AS MATERIALIZED (
    SELECT logs.seq, logs.id, logs.query_hash, coalesce(logs.near_hash, logs.query_hash) AS near,
        logs.confidence, logs.layer
    FROM recent CROSS JOIN logs ON logs.seq = recent.seq
    WHERE logs.query_hash IS NOT NULL AND {_CONFIDENT}
        AND logs.seq <= coalesce((SELECT seq FROM logs AS newest WHERE newest.id = ?3), logs.seq)
), kinds AS MATERIALIZED (
    -- With max() SQLite takes the other columns from the row of the maximum.
    SELECT near, max(seq) AS seq, id, query_hash, confidence, layer, count(*) AS requests
    FROM confident GROUP BY near
), against AS MATERIALIZED (
    SELECT DISTINCT coalesce(logs.near_hash, logs.query_hash) AS near
    FROM recent CROSS JOIN logs ON logs.seq = recent.seq
    WHERE logs.query_hash IS NOT NULL AND {_AGAINST}
)
SELECT kinds.*, near IN (SELECT near FROM against) AS contradicted FROM kinds
WHERE {_UNLABELLED} ORDER BY seq DESC
"""


@dataclass(frozen=True)
class ConfidentDecision:
    """The newest one of a question and its near-duplicates; `requests` asked them."""

    log_id: str
    near_hash: str
    confidence: float
    layer: str
    requests: int
    contradicted: bool


async def find_confident(
    db: Database, agent_id: str, *, least: float, newest_log_id: str | None
) -> list[ConfidentDecision]:
    """Newest first. Rows after `newest_log_id` are left out; None: none are."""
    rows = await db.run(statement(_FIND, agent_id, least, newest_log_id))
    return [_decision(row) for row in rows]


def _decision(row: Row) -> ConfidentDecision:
    return ConfidentDecision(
        log_id=row["id"],
        near_hash=row["near"],
        confidence=row["confidence"],
        layer=row["layer"],
        requests=int(row["requests"]),
        contradicted=bool(row["contradicted"]),
    )


_THESE = "id IN (SELECT value FROM json_each(?1))"


async def count_votes_of(db: Database, label_ids: Sequence[str], labeler: str) -> int:
    """How many of these labels are the labeler's and count."""
    rows: Rows = await db.run(
        statement(
            f"SELECT count(*) AS n FROM labels WHERE {_THESE} AND labeler = ?2 AND {COUNTED}",
            json.dumps(label_ids),
            labeler,
        )
    )
    return int(rows[0]["n"])


def withdraw_labels(label_ids: Collection[str], labeler: str) -> list[Statement]:
    """Withdraws these very labels, as far as they are the labeler's; repeating it changes nothing.
    The last statement always writes."""
    ids = json.dumps(list(label_ids))
    return [
        raise_labels_revision(),
        statement(
            "UPDATE labels SET withdrawn = (SELECT labels FROM revision)"
            f" WHERE {_THESE} AND labeler = ?2 AND {COUNTED}",
            ids,
            labeler,
        ),
        *settle(f"query_hash IN (SELECT query_hash FROM labels WHERE {_THESE})", ids),
        statement("UPDATE revision SET labels = labels"),
    ]
