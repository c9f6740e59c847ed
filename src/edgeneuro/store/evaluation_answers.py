"""The answers of an evaluation: listed, and compared by agent."""

from edgeneuro.domain.agent import NO_AGENT
from edgeneuro.domain.evaluation import (
    DEFERRED,
    FAILED,
    AgentDifference,
    AnswersQuery,
    EvaluationAnswer,
    EvaluationDifferences,
)
from edgeneuro.domain.statistics import difference_interval, holm, mcnemar
from edgeneuro.store.contexts import context_from_json
from edgeneuro.store.database import Database, Row, statement
from edgeneuro.store.sql import Conditions

MIN_FOR_INTERVAL = 20  # questions; with fewer the interval says nothing
_IS_DEFERRED = f"coalesce({{}}.reason = '{DEFERRED}', 0)"


async def list_answers(
    db: Database, evaluation_id: str, query: AnswersQuery, *, limit: int
) -> list[EvaluationAnswer]:
    """By model and question."""
    wanted = Conditions()
    wanted.add("answer.evaluation_id = ?", evaluation_id)
    if query.after is not None:
        model_id, _, query_hash = query.after.rpartition(" ")
        wanted.add("(answer.model_id, answer.query_hash) > (?, ?)", model_id, query_hash)
    if query.model is not None:
        wanted.add("answer.model_id = ?", query.model)
    if query.wrong:
        wanted.add("answer.is_right = 0 AND coalesce(answer.reason, '') <> ?", DEFERRED)
    if query.label is not None:
        wanted.add(f"coalesce(item.agent_id, '{NO_AGENT}') = ?", query.label)
    if query.decided is not None:
        wanted.add(f"{_DECIDED} = ?", query.decided)
    rows = await db.run(
        statement(
            "SELECT answer.*, item.query, item.context, item.agent_id AS label,"
            f" iif(now.query_hash IS NULL, NULL, coalesce(now.agent_id, '{NO_AGENT}'))"
            " AS current_label FROM evaluation_answers AS answer"
            " JOIN evaluation_items AS item USING (evaluation_id, query_hash)"
            " LEFT JOIN current_labels AS now ON now.query_hash = answer.query_hash"
            f" WHERE {wanted.sql} ORDER BY answer.model_id, answer.query_hash LIMIT ?",
            *wanted.values,
            limit,
        )
    )
    return [_answer(row) for row in rows]


# As a column of the confusion matrix.
_DECIDED = (
    f"CASE WHEN answer.failed THEN '{FAILED}' WHEN {_IS_DEFERRED.format('answer')}"
    f" THEN '{DEFERRED}' ELSE coalesce(answer.agent_id, '{NO_AGENT}') END"
)


def _answer(row: Row) -> EvaluationAnswer:
    undecided = row["failed"] or row["reason"] == DEFERRED
    return EvaluationAnswer(
        id=f"{row['model_id']} {row['query_hash']}",
        model_id=row["model_id"],
        query_hash=row["query_hash"],
        query=row["query"],
        context=context_from_json(row["context"]).shown(),
        label=row["label"] or NO_AGENT,
        current_label=row["current_label"],
        decided=None if undecided else row["agent_id"] or NO_AGENT,
        right=bool(row["is_right"]),
        reason=row["reason"],
        ms=row["ms"],
    )


async def read_differences(
    db: Database, evaluation_id: str, first: str, second: str
) -> EvaluationDifferences:
    """Over the questions that both have answered and neither deferred."""
    rows = await db.run(statement(_BY_AGENT, evaluation_id, first, second))
    adjusted = holm([mcnemar(row["only_first"], row["only_second"]) for row in rows])
    agents = [_difference(row, p) for row, p in zip(rows, adjusted, strict=True)]
    return EvaluationDifferences(
        first=first, second=second, n=sum(each.n for each in agents), agents=agents
    )


_BY_AGENT = (
    f"SELECT coalesce(item.agent_id, '{NO_AGENT}') AS agent, count(*) AS n,"
    " sum(one.is_right) AS right_first, sum(other.is_right) AS right_second,"
    " sum(one.is_right > other.is_right) AS only_first,"
    " sum(one.is_right < other.is_right) AS only_second"
    " FROM evaluation_answers AS one CROSS JOIN evaluation_answers AS other"
    " ON other.evaluation_id = one.evaluation_id AND other.model_id = ?3"
    " AND other.query_hash = one.query_hash JOIN evaluation_items AS item"
    " ON item.evaluation_id = one.evaluation_id AND item.query_hash = one.query_hash"
    " WHERE one.evaluation_id = ?1 AND one.model_id = ?2"
    f" AND NOT {_IS_DEFERRED.format('one')} AND NOT {_IS_DEFERRED.format('other')}"
    " GROUP BY agent ORDER BY only_first + only_second DESC, n DESC, agent"
)


def _difference(row: Row, p_adjusted: float) -> AgentDifference:
    n, only_first, only_second = row["n"], row["only_first"], row["only_second"]
    low, high = None, None
    if n >= MIN_FOR_INTERVAL:
        low, high = difference_interval(only_first, only_second, n)
    return AgentDifference(
        agent=row["agent"],
        n=n,
        right_first=row["right_first"],
        right_second=row["right_second"],
        only_first=only_first,
        only_second=only_second,
        difference=(only_second - only_first) / n,
        low=low,
        high=high,
        p=mcnemar(only_first, only_second),
        p_adjusted=p_adjusted,
    )
