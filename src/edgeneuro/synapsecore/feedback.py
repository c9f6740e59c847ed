"""Feedback on decisions, from those who asked. It says what to label first, and with the right
agent it corrects. Every row says itself who gave it and when, so it has no audit row."""

from edgeneuro.access.limits import Estimate, reserve
from edgeneuro.call import Call
from edgeneuro.domain.label import Feedback, FeedbackCreate
from edgeneuro.errors import InvalidRequestError, NotFoundError
from edgeneuro.store.agents import list_agent_ids
from edgeneuro.store.labels import put_feedback
from edgeneuro.store.sql import rfc3339
from edgeneuro.synapsecore.correction import correct
from edgeneuro.synapsecore.gateway_feedback import push_feedback
from edgeneuro.synapsecore.stored_text import stored_text


async def give_feedback(call: Call, body: FeedbackCreate) -> Feedback:
    """Say whether a decision was right, at any time. A second feedback of the same key on the same
    decision replaces the first. The comment is stored as queries are. With `correct_agent` the
    question is decided again: by a label, if the key may label, otherwise by the router."""
    services = call.services
    reservation = await reserve(services, call.credential, Estimate())
    if reservation is not None:
        call.headers.update(reservation.headers())
    config = await services.routing.current()
    known = body.correct_agent is None or body.correct_agent in config.agents
    if not known and body.correct_agent not in await list_agent_ids(services.db):
        raise InvalidRequestError(
            f"There is no agent {body.correct_agent!r}. GET /v1/agents lists them.",
            code="unknown_agent",
            param="correct_agent",
        )
    comment = body.comment if config.log_queries else None
    feedback = Feedback(
        id=services.new_id("fbk"),
        decision_id=body.decision_id,
        value=body.value,
        correct_agent=body.correct_agent,
        comment=comment and stored_text(config, comment),
        key_id=call.credential.key_id,
        created_at=rfc3339(services.now_ms()),
    )
    if not await services.db.run(put_feedback(feedback)):
        raise NotFoundError(
            "There is no such decision in the logs: its id is wrong, it was made only just now, or"
            " its time there is over.",
            code="unknown_decision",
            param="decision_id",
        )
    push_feedback(call, feedback.decision_id, feedback.value)
    if body.correct_agent is None:
        return feedback
    labelled = await correct(call, body.decision_id, body.correct_agent)
    return feedback.model_copy(update={"labelled": labelled})
