"""Labels in force that the active model or classifier contradicts: in its logged decisions, in the
newest evaluation and, held out, in the newest training."""

import json
from typing import Literal

from edgeneuro.domain.label_queue import LabelDisagreement
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.store.contexts import context_from_json
from edgeneuro.store.database import Database, Row, statement
from edgeneuro.store.label_queue import list_suspects
from edgeneuro.store.log_filters import CONFIDENCE_SOURCE
from edgeneuro.store.sql import rfc3339

_NEWEST_LABELS = 10_000
_CLASSIFIERS = "'classifier', 'embedding'"
_MODELS = "'llm', 'decision_model'"
# The row of a chat names the model that wrote the answer, so what was asked is read.
_BY_ACTIVE = (
    f"iif(logs.layer IN ({_CLASSIFIERS}), logs.classifier ->> 'id' IS ?2,"
    " EXISTS (SELECT 1 FROM json_each(logs.attempts) AS attempt"
    " WHERE coalesce(attempt.value ->> 'purpose', 'route') = 'route'"
    " AND attempt.value ->> 'outcome' = 'ok' AND attempt.value ->> 'model' = ?3"
    " AND attempt.value ->> 'adapter' IS ?4))"
)
# Whoever gave the same label again has looked at it.
_NOT_REVIEWED = (
    "(SELECT count(*) FROM labels AS given WHERE given.query_hash = label.query_hash"
    " AND given.agent_id IS label.agent_id AND given.removed = 0) = 1"
)
_LABEL = "label.query_hash, label.query, label.context, label.agent_id, label.labeler"
_IN_LOGS = f"""
WITH newest AS MATERIALIZED (
    SELECT query_hash FROM current_labels ORDER BY seq DESC LIMIT {_NEWEST_LABELS}
), decided AS MATERIALIZED (
    -- With max() SQLite takes the other columns from the row of the maximum.
    SELECT logs.query_hash, max(logs.created_at) AS at, logs.id AS log_id,
        iif(logs.layer = 'fallback', 'llm', logs.layer) AS layer,
        iif(logs.reason = 'out_of_scope', NULL, logs.agent_id) AS predicted, logs.confidence
    FROM newest CROSS JOIN logs ON logs.query_hash = newest.query_hash
    WHERE logs.status = 200
        -- That no agent fits is a model's decision, whoever answers then.
        AND (logs.layer IN ({_CLASSIFIERS}, {_MODELS}) AND logs.reason IS NULL
            AND logs.outcome = 'agent' OR logs.reason = 'out_of_scope')
        AND logs.other_outcome IS NULL AND logs.other_kind IS NULL
        AND logs.candidates IS NULL AND logs.router IS NULL
        AND coalesce({CONFIDENCE_SOURCE}, 'none') <> 'none' AND {_BY_ACTIVE}
    GROUP BY logs.query_hash
)
SELECT {_LABEL}, predicted, confidence, layer, log_id, at
FROM decided CROSS JOIN current_labels AS label ON label.query_hash = decided.query_hash
WHERE label.agent_id IS NOT predicted AND {_NOT_REVIEWED}
ORDER BY confidence DESC, label.query_hash LIMIT ?1
"""
_IN_EVALUATION = f"""
WITH newest AS MATERIALIZED (
    SELECT evaluations.id, jobs.ended_at AS at
    FROM evaluations JOIN jobs ON jobs.resource_id = evaluations.id
    WHERE jobs.state = 'succeeded' AND evaluations.source = 'labels'
        AND EXISTS (SELECT 1 FROM json_each(evaluations.model_ids) AS measured
            WHERE measured.value IN (SELECT value FROM json_each(?2)))
    ORDER BY evaluations.id DESC LIMIT 1
)
SELECT {_LABEL}, answer.agent_id AS predicted, max(answer.confidence) AS confidence,
    coalesce(answer.layer, 'llm') AS layer, newest.at
FROM newest CROSS JOIN evaluation_answers AS answer ON answer.evaluation_id = newest.id
CROSS JOIN current_labels AS label ON label.query_hash = answer.query_hash
WHERE answer.model_id IN (SELECT value FROM json_each(?2)) AND answer.failed = 0
    AND coalesce(answer.reason, 'out_of_scope') = 'out_of_scope'
    AND answer.confidence IS NOT NULL AND label.agent_id IS NOT answer.agent_id AND {_NOT_REVIEWED}
GROUP BY label.query_hash ORDER BY confidence DESC, label.query_hash LIMIT ?1
"""


async def read_disagreements(
    db: Database, config: RoutingConfig, *, limit: int
) -> list[LabelDisagreement]:
    """The most confident first, at most `limit`; each question once."""
    active = config.active
    models = [each for each in (active.id, config.classifier) if each is not None]
    in_logs, in_evaluation = await db.batch(
        [
            statement(_IN_LOGS, limit, config.classifier, active.base_model, active.adapter),
            statement(_IN_EVALUATION, limit, json.dumps(models)),
        ]
    )
    found = [
        *(_found(row, "decision") for row in in_logs),
        *(_found(row, "evaluation") for row in in_evaluation),
    ]
    for suspect in await list_suspects(db, limit=limit):
        fields = suspect.model_dump(exclude={"object", "score", "classifier_id"})
        found.append(
            LabelDisagreement(
                **fields, confidence=suspect.score, layer="classifier", found_in="training"
            )
        )
    best: dict[str, LabelDisagreement] = {}
    for one in sorted(found, key=lambda each: -each.confidence):
        best.setdefault(one.query_hash, one)
    return [*best.values()][:limit]


def _found(row: Row, found_in: Literal["decision", "evaluation"]) -> LabelDisagreement:
    return LabelDisagreement(
        query_hash=row["query_hash"],
        query=row["query"],
        context=context_from_json(row["context"]).shown(),
        agent_id=row["agent_id"],
        labeler=row["labeler"],
        predicted=row["predicted"],
        confidence=row["confidence"],
        layer=row["layer"],
        found_in=found_in,
        log_id=row["log_id"] if found_in == "decision" else None,
        decided_at=rfc3339(row["at"]),
    )
