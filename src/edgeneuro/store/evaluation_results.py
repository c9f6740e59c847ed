"""What an evaluation's answers add up to, and by whom only each question was answered rightly."""

import json
from collections.abc import Sequence
from itertools import combinations

from edgeneuro.domain.agent import NO_AGENT
from edgeneuro.domain.analytics import accuracy_of
from edgeneuro.domain.evaluation import (
    DEFERRED,
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
)
from edgeneuro.store.database import Database, Row, Rows, statement
from edgeneuro.store.sql import exact_percentiles


async def read_results(
    db: Database, evaluation_id: str, model_ids: Sequence[str]
) -> EvaluationResults:
    counts, sums, times, layers, pairs = await db.batch(
        [
            *(statement(sql, evaluation_id) for sql in (_COUNTS, _SUMS, _TIMES, _LAYERS)),
            statement(_PAIRS, evaluation_id, json.dumps(model_ids)),
        ]
    )
    by_pair = {(row["first"], row["second"]): row for row in pairs}
    return EvaluationResults(
        models=[
            _model_result(
                each,
                [row for row in counts if row["model_id"] == each],
                [row for row in sums if row["model_id"] == each],
                [row for row in times if row["place"] == each],
                {row["layer"]: row["answers"] for row in layers if row["model_id"] == each},
            )
            for each in model_ids
        ],
        pairs=[
            _pair_result(first, second, by_pair.get((first, second)))
            for first, second in combinations(model_ids, 2)
        ],
    )


_DEFERRED = f"coalesce({{}}.reason = '{DEFERRED}', 0)"
_COUNTS = (
    f"SELECT model_id, coalesce(item.agent_id, '{NO_AGENT}') AS label, CASE WHEN failed"
    f" THEN '{FAILED}' WHEN {_DEFERRED.format('answer')} THEN '{DEFERRED}'"
    f" ELSE coalesce(answer.agent_id, '{NO_AGENT}') END AS decided, is_right,"
    " count(*) AS answers FROM evaluation_answers AS answer"
    " JOIN evaluation_items AS item USING (evaluation_id, query_hash)"
    " WHERE evaluation_id = ?1 GROUP BY 1, 2, 3, 4"
)
_SUMS = (
    "SELECT model_id, sum(failed) AS failed, coalesce(sum(reason = 'low_confidence'), 0)"
    " AS low_confidence, sum(tokens) AS tokens, sum(cost_usd) AS cost_usd,"
    " sum(cost_usd IS NULL) AS unpriced, max(emulated) AS emulated"
    " FROM evaluation_answers WHERE evaluation_id = ?1 GROUP BY 1"
)
_TIMES = exact_percentiles(
    "ms", "(SELECT * FROM evaluation_answers WHERE evaluation_id = ?1)", group="model_id"
)
_LAYERS = (
    "SELECT model_id, layer, count(*) AS answers FROM evaluation_answers"
    " WHERE evaluation_id = ?1 AND layer IS NOT NULL AND NOT failed GROUP BY 1, 2"
)
_PAIRS = (
    "SELECT one.model_id AS first, other.model_id AS second, count(*) AS n,"
    " sum(one.is_right > other.is_right) AS only_first,"
    " sum(one.is_right < other.is_right) AS only_second"
    # By the models' names, so that the primary key finds the other answer to each question.
    " FROM evaluation_answers AS one CROSS JOIN json_each(?2) AS name"
    " CROSS JOIN evaluation_answers AS other ON other.evaluation_id = one.evaluation_id"
    " AND other.model_id = name.value AND other.query_hash = one.query_hash"
    f" WHERE one.evaluation_id = ?1 AND one.model_id <> other.model_id"
    f" AND NOT {_DEFERRED.format('one')} AND NOT {_DEFERRED.format('other')} GROUP BY 1, 2"
)


def _model_result(
    model_id: str, counts: Rows, sums: Rows, times: Rows, layers: dict[str, int]
) -> ModelResult:
    confusion = _confusion(counts)
    right = sum(row["answers"] for row in counts if row["is_right"])
    n = sum(row["answers"] for row in counts)
    deferred = sum(row.get(DEFERRED, 0) for row in confusion.values())
    [summed] = sums
    [of_times] = times
    return ModelResult(
        model_id=model_id,
        n=n,
        right=right,
        accuracy=accuracy_of(right, n),
        deferred=deferred,
        precision=accuracy_of(right, n - deferred),
        macro_f1=macro_f1(confusion),
        failed=summed["failed"],
        low_confidence=summed["low_confidence"],
        layers=layers,
        tokens=summed["tokens"],
        cost_usd=None if summed["unpriced"] else summed["cost_usd"],
        emulated=bool(summed["emulated"]),
        p50_ms=of_times["p50"],
        p95_ms=of_times["p95"],
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


def _pair_result(first: str, second: str, row: Row | None) -> PairResult:
    counts = row or {"n": 0, "only_first": 0, "only_second": 0}
    return compared(
        first,
        second,
        n=counts["n"],
        only_first=counts["only_first"],
        only_second=counts["only_second"],
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
