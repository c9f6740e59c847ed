"""The table `feedback`: one row for each key and decision."""

from edgeneuro.domain.label import Feedback
from edgeneuro.store.database import Statement, statement
from edgeneuro.store.times import unix_ms


def put_feedback(feedback: Feedback) -> Statement:
    """Replaces what the key said of this decision before. No row comes back if there is no such
    decision."""
    return statement(
        "INSERT INTO feedback (id, decision_id, value, correct_agent, comment, key_id, created_at)"
        " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE EXISTS (SELECT 1 FROM logs WHERE id = ?2)"
        " ON CONFLICT (decision_id, key_id) DO UPDATE SET id = excluded.id,"
        " value = excluded.value, correct_agent = excluded.correct_agent,"
        " comment = excluded.comment, created_at = excluded.created_at"
        " RETURNING id",
        feedback.id,
        feedback.decision_id,
        feedback.value,
        feedback.correct_agent,
        feedback.comment,
        feedback.key_id,
        unix_ms(feedback.created_at),
    )
