"""Logged decisions with their rankings, for trying other thresholds on them."""

import json
from dataclasses import dataclass
from typing import Any

from edgeneuro.domain.decision import ConfidenceSource
from edgeneuro.store.database import Database, Row, Statement
from edgeneuro.store.log_filters import CONFIDENCE_SOURCE
from edgeneuro.store.sql import LOG_OUTCOME, Conditions, rfc3339

_MAX_QUERY = 2_001  # characters: a longer message is not split into parts
_MAX_ASSISTANT = 1_000  # a clarifying question is shorter
_COLUMNS = (
    f"logs.id, logs.created_at, substr(logs.query, 1, {_MAX_QUERY}) AS query,"
    " logs.context ->> '$.previous_agent' AS previous_agent,"
    f" substr(logs.context ->> '$.previous_assistant', 1, {_MAX_ASSISTANT}) AS previous_assistant,"
    f" logs.candidates, logs.agent_id, logs.layer, logs.reason, {LOG_OUTCOME} AS outcome,"
    f" {CONFIDENCE_SOURCE} AS confidence_source, logs.classifier ->> '$.score' AS classifier_score,"
    " logs.stages, c.query_hash IS NOT NULL AS labelled, c.agent_id AS label"
)


@dataclass(frozen=True)
class RankedDecision:
    """A log row. `created_at` is RFC 3339 in UTC; `stages` are as StageRecord has them.
    `classifier_score` is the probability that the classifier gave to its best agent."""

    id: str
    created_at: str
    query: str
    previous_agent: str | None
    previous_assistant: str | None
    candidates: list[str] | None
    agent_id: str | None
    layer: str
    reason: str | None
    outcome: str | None
    confidence_source: ConfidenceSource | None
    classifier_score: float | None
    stages: list[dict[str, Any]]
    labelled: bool
    label: str | None


@dataclass(frozen=True)
class LogsRead:
    """`next` is where the next page begins; None if there are no more rows."""

    decisions: list[RankedDecision]
    next: tuple[int, int] | None


async def read_ranked(
    db: Database,
    *,
    router: str | None,
    since_ms: int | None,
    to_ms: int | None,
    before: tuple[int, int] | None,
    limit: int,
) -> LogsRead:
    """Of the newest `limit` log rows of this time, and older than `before`, those that this router
    decided, with their stages, newest first."""
    window = Conditions()
    if since_ms is not None:
        window.add("created_at >= ?", since_ms)
    if to_ms is not None:
        window.add("created_at < ?", to_ms)
    if before is not None:
        window.add("created_at <= ?", before[0])
        window.add("(created_at, seq) < (?, ?)", *before)
    page = f"(SELECT * FROM logs WHERE {window.sql} ORDER BY created_at DESC, seq DESC LIMIT ?)"
    ends, rows = await db.batch(
        [
            Statement(
                f"SELECT created_at, seq, count(*) OVER () AS n FROM {page}"
                " ORDER BY created_at, seq LIMIT 1",
                (*window.values, limit),
            ),
            Statement(
                f"SELECT {_COLUMNS} FROM {page} AS logs"
                " LEFT JOIN current_labels c ON c.query_hash = logs.query_hash"
                " WHERE logs.status = 200 AND logs.stages IS NOT NULL AND logs.query_hash IS NOT"
                " NULL AND logs.query <> '' AND logs.layer <> 'direct' AND logs.other_kind IS NULL"
                " AND logs.rerouted_from IS NULL AND logs.router IS ?"
                " ORDER BY logs.created_at DESC, logs.seq DESC",
                (*window.values, limit, router),
            ),
        ]
    )
    is_last = not ends or ends[0]["n"] < limit
    cursor = None if is_last else (ends[0]["created_at"], ends[0]["seq"])
    return LogsRead([_decision(row) for row in rows], cursor)


def _decision(row: Row) -> RankedDecision:
    candidates = row["candidates"]
    return RankedDecision(
        **{
            **row,
            "created_at": rfc3339(row["created_at"]),
            "candidates": None if candidates is None else json.loads(candidates),
            "stages": json.loads(row["stages"]),
            "labelled": bool(row["labelled"]),
        }
    )
