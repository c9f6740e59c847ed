"""The reliability of the confidences in an evaluation, from its stored answers."""

from edgeneuro.domain.calibration import Reliability
from edgeneuro.domain.evaluation import Target
from edgeneuro.domain.reliability import Answer, confidence_table, fold_of, refused, reliability
from edgeneuro.store.database import Database, statement


async def read_reliability(
    db: Database, evaluation_id: str, model_id: str, *, target: Target, classifier: bool
) -> Reliability:
    """That of one model. For a model alone the confidences are its own, whatever calibration was in
    force. A pipeline and a classifier get a table and no calibration; labels and rules, which
    decide in a pipeline, have no confidence to measure."""
    alone = target == "models"
    confidence = "coalesce(raw_confidence, answer.confidence)" if alone else "answer.confidence"
    rows = await db.run(
        statement(
            f"SELECT query_hash, {confidence} AS confidence,"
            " named_agent IS item.agent_id AS is_right"
            " FROM evaluation_answers AS answer JOIN evaluation_items AS item"
            " USING (evaluation_id, query_hash) WHERE evaluation_id = ?1 AND model_id = ?2"
            " AND NOT failed AND answer.confidence IS NOT NULL"
            " AND coalesce(layer, '') NOT IN ('label', 'rule')",
            evaluation_id,
            model_id,
        )
    )
    answers = [
        Answer(row["confidence"], bool(row["is_right"]), fold_of(row["query_hash"])) for row in rows
    ]
    if alone and not classifier:
        return reliability(answers)
    return refused(
        len(answers), confidence_table(answers), "classifier" if classifier else "pipeline"
    )
