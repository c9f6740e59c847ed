"""The table `audit_samples`: what the layer that did not answer would have decided."""

import json
from collections.abc import Sequence
from typing import Literal

from edgeneuro.store.database import Statement, statement


def insert_audit_sample(
    log_id: str,
    *,
    created_ms: int,
    layer: Literal["classifier", "llm"],
    agent_id: str | None,
    confidence: float | None,
    agrees: bool,
) -> Statement:
    """`created_ms` is the answer's time, so that both belong to the same hour. The column
    `confidence` cannot be null: 0 stands for one that is unknown."""
    return statement(
        "INSERT INTO audit_samples (log_id, created_at, layer, agent_id, confidence, agrees)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (log_id) DO NOTHING",
        log_id,
        created_ms,
        layer,
        agent_id,
        confidence or 0.0,
        int(agrees),
    )


def select_differing(log_ids: Sequence[str]) -> Statement:
    """The audit samples and the challenger's answers that differ from these decisions."""
    return statement(
        "SELECT log_id, agent_id FROM audit_samples WHERE agrees = 0"
        " AND log_id IN (SELECT value FROM json_each(?1)) UNION ALL"
        " SELECT log_id, agent_id FROM challenger_answers WHERE agrees = 0 AND failed = 0"
        " AND log_id IN (SELECT value FROM json_each(?1))",
        json.dumps(log_ids),
    )


def count_audit_samples(start: int, stop: int) -> Statement:
    """How many of the classifier's decisions the model was asked about, and how often it differed.
    The classifier's second opinions on the model are not counted: of these all that differ are
    stored, so they are not a random sample."""
    return statement(
        "SELECT count(*) AS compared, coalesce(sum(agrees = 0), 0) AS differing"
        " FROM audit_samples WHERE created_at >= ?1 AND created_at < ?2 AND layer = 'llm'",
        start,
        stop,
    )
