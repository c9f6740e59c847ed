"""The table `feedback`: every word on a decision is kept; who reads takes each key's last."""

from edgeneuro.domain.feedback import Feedback
from edgeneuro.store.database import Statement, statement
from edgeneuro.store.times import unix_ms


def insert_feedback(feedback: Feedback) -> Statement:
    """No row comes back where there is no such decision."""
    return statement(
        "INSERT INTO feedback (id, decision_id, value, correct_agent, comment, key_id, created_at)"
        " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE EXISTS (SELECT 1 FROM logs WHERE id = ?2)"
        " RETURNING id",
        feedback.id,
        feedback.decision_id,
        feedback.value,
        feedback.correct_agent,
        feedback.comment,
        feedback.key_id,
        unix_ms(feedback.created_at),
    )
