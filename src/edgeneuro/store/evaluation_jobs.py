"""Evaluations under way. Whoever works at one holds it by `claimed_until`, and writes only while
that is still his."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgeneuro.domain.evaluation import Evaluation
from edgeneuro.store.database import Database, Rows, Statement, statement
from edgeneuro.store.evaluations import COLUMNS, MAX_TRIES, UNDER_WAY, evaluation_from_row

_HELD = "id = ?1 AND state = 'running' AND claimed_until = ?2"


@dataclass(frozen=True)
class Claim:
    """An evaluation that is ours until `until` (unix ms), which no other claim of it has.
    `proposal` is that of the row, if there is one; it is of routing tests if `of_tests`."""

    evaluation: Evaluation
    until: int
    proposal: dict[str, Any]
    of_tests: bool


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What the router decided for a question with a model. `tries` is for how many it counts: one
    that failed for good counts for all. A stage named `named_agent` with this `confidence`."""

    model_id: str
    query_hash: str
    agent_id: str | None
    is_right: bool
    reason: str | None
    failed: bool
    tries: int
    tokens: int
    cost_usd: float | None
    ms: float
    named_agent: str | None = None
    confidence: float | None = None
    layer: str | None = None


async def claim(db: Database, evaluation_id: str, *, now_ms: int, until_ms: int) -> Claim | None:
    """Ours until then; None where it is not under way, another's, or not to be tried again yet."""
    rows = await db.run(
        statement(
            "UPDATE evaluations SET state = 'running', claimed_until = ?3, tries = tries + 1,"
            f" started_at = coalesce(started_at, ?2) WHERE id = ?1 AND {UNDER_WAY}"
            f" AND claimed_until <= ?2 RETURNING {COLUMNS}, source, proposal",
            evaluation_id,
            now_ms,
            until_ms,
        )
    )
    if not rows:
        return None
    proposal = json.loads(rows[0]["proposal"] or "{}")
    of_tests = rows[0]["source"] == "routing_tests"
    # A run of tests has results of another shape, and here none yet.
    evaluation = evaluation_from_row({**rows[0], "results": None})
    return Claim(evaluation, until_ms, proposal, of_tests)


async def next_items(db: Database, evaluation_id: str, model_id: str, *, limit: int) -> Rows:
    """Questions that the model has not answered yet, those never asked first."""
    return await db.run(
        statement(
            "SELECT item.query_hash, item.query, item.agent_id, item.test"
            " FROM evaluation_items AS item"
            " LEFT JOIN evaluation_answers AS answer ON answer.evaluation_id = item.evaluation_id"
            " AND answer.model_id = ?2 AND answer.query_hash = item.query_hash"
            " WHERE item.evaluation_id = ?1 AND (answer.query_hash IS NULL"
            f" OR (answer.failed = 1 AND answer.tries < {MAX_TRIES}))"
            " ORDER BY coalesce(answer.tries, 0), item.query_hash LIMIT ?3",
            evaluation_id,
            model_id,
            limit,
        )
    )


def record_answers(held: Claim, answers: Sequence[Answered], *, got_on: bool) -> list[Statement]:
    """Only while the evaluation is ours: else no row comes back from the last statement. The slices
    that come to nothing are counted until one `got_on`."""
    told = json.dumps(
        [
            [
                *(a.model_id, a.query_hash, a.agent_id, int(a.is_right), a.reason),
                *(int(a.failed), a.tries, a.tokens, a.cost_usd, a.ms),
                *(a.named_agent, a.confidence, a.layer),
            ]
            for a in answers
        ]
    )
    written = statement(
        "INSERT INTO evaluation_answers (evaluation_id, model_id, query_hash, agent_id, is_right,"
        " reason, failed, tries, tokens, cost_usd, ms, named_agent, confidence, layer)"
        " SELECT ?1, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5,"
        " value ->> 6, value ->> 7, value ->> 8, value ->> 9,"
        " value ->> 10, value ->> 11, value ->> 12 FROM json_each(?3)"
        f" WHERE EXISTS (SELECT 1 FROM evaluations WHERE {_HELD})"
        " ON CONFLICT (evaluation_id, model_id, query_hash) DO UPDATE SET"
        " agent_id = excluded.agent_id, is_right = excluded.is_right, reason = excluded.reason,"
        " failed = excluded.failed, tries = tries + excluded.tries,"
        " tokens = tokens + excluded.tokens, cost_usd = cost_usd + excluded.cost_usd,"
        " ms = excluded.ms, named_agent = excluded.named_agent, confidence = excluded.confidence,"
        " layer = excluded.layer",
        held.evaluation.id,
        held.until,
        told,
    )
    counted = statement(
        "UPDATE evaluations SET tries = iif(?3, 0, tries), failures = 0, error = NULL"
        f" WHERE {_HELD} RETURNING id",
        held.evaluation.id,
        held.until,
        int(got_on),
    )
    return [written, counted]


def let_go(held: Claim, *, until_ms: int) -> Statement:
    """Nobody goes on before `until_ms`."""
    return statement(
        f"UPDATE evaluations SET claimed_until = ?3 WHERE {_HELD} RETURNING id",
        held.evaluation.id,
        held.until,
        until_ms,
    )


def finish(
    held: Claim,
    state: str,
    *,
    now_ms: int,
    error: str | None = None,
    results: str | None = None,
    details: str | None = None,
    label_set: str | None = None,
) -> Statement:
    """`label_set` is the hash of the labels that the evaluation had."""
    return statement(
        "UPDATE evaluations SET state = ?3, finished_at = ?4, error = ?5, results = ?6,"
        " details = ?7, data = iif(?8 IS NULL, data, json_set(data, '$.sha256', ?8))"
        f" WHERE {_HELD} RETURNING id",
        held.evaluation.id,
        held.until,
        state,
        now_ms,
        error,
        results,
        details,
        label_set,
    )
