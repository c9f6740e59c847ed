"""What an estimate of an evaluation reads: how many questions there are, and what earlier
evaluations took."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from edgeneuro.domain.evaluation import PIPELINE, EvaluatedPart, Target
from edgeneuro.store.database import Database, Row, statement
from edgeneuro.store.evaluations import ROWS, SPLITS

_EARLIER = 10  # evaluations that are looked at
_NEWEST_ROWS = 50  # of the log


@dataclass(frozen=True)
class Questions:
    """`mean_bytes` is the length of a question with the turn before it."""

    count: int
    mean_bytes: float


@dataclass(frozen=True)
class Spent:
    """By one contestant for one question, on average. `cost_usd` is None if a price was not
    known."""

    tokens: float
    cost_usd: float | None
    emulated: bool


async def read_questions(
    db: Database, split: EvaluatedPart, agents: Sequence[str], limit: int
) -> Questions:
    """Those that an evaluation would have: one of each group of near-duplicates."""
    [row] = await db.run(
        statement(
            "SELECT count(DISTINCT near_hash) AS n, coalesce(avg(length(CAST(query AS BLOB))"
            " + coalesce(length(CAST(context AS BLOB)), 0)), 0) AS bytes FROM current_labels"
            " WHERE split IN (SELECT value FROM json_each(?1))"
            " AND (agent_id IS NULL OR agent_id IN (SELECT value FROM json_each(?2)))",
            json.dumps(SPLITS[split]),
            json.dumps(agents),
        )
    )
    return Questions(min(row["n"], limit), row["bytes"])


async def read_spent(
    db: Database,
    *,
    target: Target,
    agents_revision: str,
    router: str | None,
    fingerprint: str,
) -> dict[str, Spent]:
    """By contestant, from the newest evaluation with it that has succeeded with these agents, and
    for a pipeline with the configuration of this `fingerprint`."""
    rows = await db.run(
        statement(
            "SELECT earlier.fingerprint, value ->> 'model_id' AS model_id, value ->> 'n' AS n,"
            " value ->> 'tokens' AS tokens, value ->> 'cost_usd' AS cost_usd,"
            " coalesce(value ->> 'emulated', 0) AS emulated FROM"
            " (SELECT id, results, proposal ->> 'fingerprint' AS fingerprint"
            f" FROM {ROWS} WHERE state = 'succeeded' AND source = 'labels' AND target = ?1"
            " AND agents_revision = ?2 AND proposal ->> 'router' IS ?3"
            f" ORDER BY id DESC LIMIT {_EARLIER}) AS earlier,"
            " json_each(earlier.results, '$.models') ORDER BY earlier.id",
            target,
            agents_revision,
            router,
        )
    )
    return {
        row["model_id"]: Spent(
            row["tokens"] / row["n"],
            None if row["cost_usd"] is None else row["cost_usd"] / row["n"],
            bool(row["emulated"]),
        )
        for row in rows
        if row["n"] and (_is_alone(row, target) or row["fingerprint"] == fingerprint)
    }


def _is_alone(row: Row, target: Target) -> bool:
    """Whether it is a model alone, for which the rest of the configuration is no matter."""
    return target != PIPELINE and row["model_id"] != PIPELINE


async def is_emulated(db: Database) -> bool:
    """Whether an emulator has answered one of the newest requests."""
    [row] = await db.run(
        statement(
            "SELECT EXISTS (SELECT 1 FROM (SELECT attempts FROM logs ORDER BY seq DESC"
            f" LIMIT {_NEWEST_ROWS}) AS newest, json_each(newest.attempts)"
            " WHERE value ->> 'engine' <> '') AS emulated"
        )
    )
    return bool(row["emulated"])
