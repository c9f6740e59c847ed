"""Evaluations under way: what a slice of the job reads and stores."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgeneuro.domain.evaluation import Evaluation, MeasuredModel
from edgeneuro.store.database import Database, Rows, Statement, statement
from edgeneuro.store.evaluations import (
    COLUMNS,
    MAX_TRIES,
    ROWS,
    evaluation_from_row,
    measured_from_row,
)


@dataclass(frozen=True)
class EvaluationJob:
    """`proposal` is that of the row, if there is one; it is of routing tests if `of_tests`.
    `measured` are the models as they were at the start, by id."""

    evaluation: Evaluation
    proposal: dict[str, Any]
    of_tests: bool
    measured: dict[str, MeasuredModel]


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What the router decided for a question with a model. `tries` is for how many it counts: one
    that failed for good counts for all. A stage named `named_agent` with this `confidence`;
    `raw_confidence` is the model's own, None if no calibration has changed it. `emulated`: an
    emulator answered."""

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
    raw_confidence: float | None = None
    emulated: bool = False


async def read_job(db: Database, evaluation_id: str) -> EvaluationJob:
    """Raises ValueError or TypeError where its row cannot be read."""
    rows = await db.run(
        statement(
            f"SELECT {COLUMNS}, source, proposal, measured FROM {ROWS} WHERE id = ?1", evaluation_id
        )
    )
    proposal = json.loads(rows[0]["proposal"] or "{}")
    of_tests = rows[0]["source"] == "routing_tests"
    # A run of tests has results of another shape, and here none yet.
    evaluation = evaluation_from_row({**rows[0], "results": None})
    return EvaluationJob(evaluation, proposal, of_tests, measured_from_row(rows[0]))


async def next_items(db: Database, evaluation_id: str, model_id: str, *, limit: int) -> Rows:
    """Questions that the model has not answered yet, those never asked first."""
    return await db.run(
        statement(
            "SELECT item.query_hash, item.query, item.context, item.agent_id, item.test"
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


async def count_done(db: Database, evaluation_id: str) -> int:
    """How many answers there are, of all models."""
    rows = await db.run(
        statement(
            "SELECT count(*) AS done FROM evaluation_answers WHERE evaluation_id = ?1"
            f" AND (failed = 0 OR tries >= {MAX_TRIES})",
            evaluation_id,
        )
    )
    return int(rows[0]["done"])


def record_answers(evaluation_id: str, answers: Sequence[Answered]) -> Statement:
    stored = json.dumps(
        [
            [
                *(a.model_id, a.query_hash, a.agent_id, int(a.is_right), a.reason),
                *(int(a.failed), a.tries, a.tokens, a.cost_usd, a.ms),
                *(a.named_agent, a.confidence, a.layer, a.raw_confidence, int(a.emulated)),
            ]
            for a in answers
        ]
    )
    return statement(
        "INSERT INTO evaluation_answers (evaluation_id, model_id, query_hash, agent_id, is_right,"
        " reason, failed, tries, tokens, cost_usd, ms, named_agent, confidence, layer,"
        " raw_confidence, emulated)"
        " SELECT ?1, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5,"
        " value ->> 6, value ->> 7, value ->> 8, value ->> 9,"
        " value ->> 10, value ->> 11, value ->> 12, value ->> 13, value ->> 14"
        " FROM json_each(?2) WHERE true"
        " ON CONFLICT (evaluation_id, model_id, query_hash) DO UPDATE SET"
        " agent_id = excluded.agent_id, is_right = excluded.is_right, reason = excluded.reason,"
        " failed = excluded.failed, tries = tries + excluded.tries,"
        " tokens = tokens + excluded.tokens, cost_usd = cost_usd + excluded.cost_usd,"
        " ms = excluded.ms, named_agent = excluded.named_agent, confidence = excluded.confidence,"
        " layer = excluded.layer, raw_confidence = excluded.raw_confidence,"
        " emulated = max(emulated, excluded.emulated)",
        evaluation_id,
        stored,
    )


def store_results(
    evaluation_id: str, *, results: str, details: str | None, label_set: str | None
) -> Statement:
    """`label_set` is the hash of the labels that the evaluation had."""
    return statement(
        "UPDATE evaluations SET results = ?2, details = ?3,"
        " data = iif(?4 IS NULL, data, json_set(data, '$.sha256', ?4)) WHERE id = ?1",
        evaluation_id,
        results,
        details,
        label_set,
    )
