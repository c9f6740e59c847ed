"""Likely label errors: the column `suspects` of the newest training that has looked for them."""

from edgeneuro.domain.label_queue import LabelSuspect
from edgeneuro.store.database import Database, statement


async def list_suspects(db: Database, *, limit: int) -> list[LabelSuspect]:
    """The surest first. A label that was given since, the same one too, is no suspect any more."""
    rows = await db.run(
        statement(
            "WITH newest AS (SELECT id, suspects, last_label_id FROM classifiers"
            " WHERE suspects IS NOT NULL ORDER BY id DESC LIMIT 1)"
            " SELECT newest.id AS classifier_id, label.query_hash, label.query, label.agent_id,"
            " label.labeler, suspect.value ->> 'predicted' AS predicted,"
            " suspect.value ->> 'score' AS score"
            # CROSS JOIN holds the plan: from the suspects to their labels.
            " FROM newest CROSS JOIN json_each(newest.suspects) AS suspect"
            " CROSS JOIN current_labels AS label"
            " ON label.query_hash = suspect.value ->> 'query_hash'"
            " WHERE label.agent_id IS suspect.value ->> 'agent_id'"
            " AND label.seq <= coalesce((SELECT seq FROM labels WHERE id = newest.last_label_id),"
            # It was erased: ids begin with the time.
            " (SELECT max(seq) FROM labels WHERE id < newest.last_label_id), 0)"
            " ORDER BY suspect.key LIMIT ?1",
            limit,
        )
    )
    return [LabelSuspect.model_validate(dict(row)) for row in rows]
