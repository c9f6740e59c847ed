"""What an evaluation's answers add up to, and by whom only each question was answered rightly."""

import json
from collections.abc import Sequence
from itertools import combinations

from edgeneuro.domain.agent import NO_AGENT
from edgeneuro.domain.analytics import wilson
from edgeneuro.domain.evaluation import (
    FAILED,
    AgentScore,
    EvaluationResults,
    ModelResult,
    PairResult,
)
from edgeneuro.domain.statistics import (
    difference_interval,
    macro_f1,
    mcnemar,
    mcnemar_worse,
    per_label,
    percentile,
)
from edgeneuro.store.database import Database, Rows, statement


async def read_results(
    db: Database, evaluation_id: str, model_ids: Sequence[str]
) -> EvaluationResults:
    models = [await _model_result(db, evaluation_id, each) for each in model_ids]
    pairs = [
        await _pair_result(db, evaluation_id, first, second)
        for first, second in combinations(model_ids, 2)
    ]
    return EvaluationResults(models=models, pairs=pairs)


async def _model_result(db: Database, evaluation_id: str, model_id: str) -> ModelResult:
    counts, sums = await db.batch(
        [
            statement(
                "SELECT coalesce(item.agent_id, ?3) AS label, CASE WHEN failed THEN ?4"
                " ELSE coalesce(answer.agent_id, ?3) END AS decided, is_right, count(*) AS answers"
                " FROM evaluation_answers AS answer"
                " JOIN evaluation_items AS item USING (evaluation_id, query_hash)"
                " WHERE evaluation_id = ?1 AND model_id = ?2 GROUP BY 1, 2, 3",
                evaluation_id,
                model_id,
                NO_AGENT,
                FAILED,
            ),
            statement(
                "SELECT sum(failed) AS failed, sum(reason = 'low_confidence') AS low_confidence,"
                " sum(tokens) AS tokens, sum(cost_usd) AS cost_usd,"
                " sum(cost_usd IS NULL) AS unpriced, json_group_array(ms) AS ms"
                " FROM evaluation_answers WHERE evaluation_id = ?1 AND model_id = ?2",
                evaluation_id,
                model_id,
            ),
        ]
    )
    confusion = _confusion(counts)
    right = sum(row["answers"] for row in counts if row["is_right"])
    n = sum(row["answers"] for row in counts)
    [told] = sums
    times: list[float] = json.loads(told["ms"])
    return ModelResult(
        model_id=model_id,
        n=n,
        right=right,
        accuracy=wilson(right, n),
        macro_f1=macro_f1(confusion),
        failed=told["failed"] or 0,
        low_confidence=told["low_confidence"] or 0,
        tokens=told["tokens"] or 0,
        cost_usd=None if told["unpriced"] else told["cost_usd"],
        p50_ms=percentile(times, 50),
        p95_ms=percentile(times, 95),
        agents=[
            AgentScore(
                agent=agent,
                support=score.support,
                precision=score.precision,
                recall=score.recall,
                f1=score.f1,
            )
            for agent, score in per_label(confusion).items()
        ],
        confusion=confusion,
    )


def _confusion(counts: Rows) -> dict[str, dict[str, int]]:
    confusion: dict[str, dict[str, int]] = {}
    for row in counts:
        of_label = confusion.setdefault(row["label"], {})
        of_label[row["decided"]] = of_label.get(row["decided"], 0) + row["answers"]
    return confusion


async def _pair_result(db: Database, evaluation_id: str, first: str, second: str) -> PairResult:
    rows = await db.run(
        statement(
            "SELECT count(*) AS n, coalesce(sum(one.is_right > other.is_right), 0) AS only_first,"
            " coalesce(sum(one.is_right < other.is_right), 0) AS only_second"
            " FROM evaluation_answers AS one JOIN evaluation_answers AS other"
            " USING (evaluation_id, query_hash)"
            " WHERE evaluation_id = ?1 AND one.model_id = ?2 AND other.model_id = ?3",
            evaluation_id,
            first,
            second,
        )
    )
    [row] = rows
    return compared(
        first, second, n=row["n"], only_first=row["only_first"], only_second=row["only_second"]
    )


def compared(first: str, second: str, *, n: int, only_first: int, only_second: int) -> PairResult:
    low, high = difference_interval(only_first, only_second, n)
    return PairResult(
        first=first,
        second=second,
        n=n,
        only_first=only_first,
        only_second=only_second,
        difference=(only_second - only_first) / n if n else 0.0,
        low=low,
        high=high,
        p=mcnemar(only_first, only_second),
        p_second_worse=mcnemar_worse(only_first, only_second),
    )
