"""Feedback on decisions. It decides what is labeled first, and with the right agent it corrects the
decision. Each row has its author and its time, so there is no audit row.

A correction by a caller who may label is a label, which decides from then on. From any other caller
it only drops the cached rankings of the question, so that it is decided again."""

from edgeneuro.access.limits import Estimate, reserve
from edgeneuro.call import Call
from edgeneuro.domain.label import (
    Feedback,
    FeedbackCreate,
    FeedbackDeleted,
    LabelEvent,
    LabelFacts,
)
from edgeneuro.errors import InvalidRequestError, NotFoundError
from edgeneuro.store.agents import list_agent_ids
from edgeneuro.store.answer_cache import DECISIONS
from edgeneuro.store.audit import AuditEntry, insert_audit
from edgeneuro.store.database import Statement
from edgeneuro.store.label_reads import find_facts, find_votes
from edgeneuro.store.labels import delete_feedback, put_feedback, record_labels
from edgeneuro.store.logs import DecidedQuestion, find_decided
from edgeneuro.store.sql import rfc3339
from edgeneuro.synapsecore.gateway_feedback import push_feedback, push_labels
from edgeneuro.synapsecore.stored_text import stored_text
from edgeneuro.web.auth import Access


async def give_feedback(call: Call, body: FeedbackCreate) -> Feedback:
    """Say whether a decision was right, at any time. A second feedback of the same key on the same
    decision replaces the first. The comment is stored as queries are. With `correct_agent` the
    question is decided again: by a label, if the key may label, otherwise by the router."""
    services = call.services
    await _count_request(call)
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
    labelled = await _correct(call, body.decision_id, body.correct_agent)
    return feedback.model_copy(update={"labelled": labelled})


async def take_back_feedback(call: Call, decision_id: str) -> FeedbackDeleted:
    """Take back your feedback on a decision. A label that it gave stays until you remove it."""
    await _count_request(call)
    deleted = await call.services.db.run(delete_feedback(decision_id, call.credential.key_id))
    if not deleted:
        raise NotFoundError(
            "You have given no feedback on such a decision.",
            code="no_feedback",
            param="decision_id",
        )
    return FeedbackDeleted(decision_id=decision_id)


async def _count_request(call: Call) -> None:
    reservation = await reserve(call.services, call.credential, Estimate())
    if reservation is not None:
        call.headers.update(reservation.headers())


async def _correct(call: Call, decision_id: str, agent_id: str) -> bool:
    """Whether the question now has the caller's label for this agent. A decision whose text was not
    stored cannot be corrected."""
    decided = await find_decided(call.services.db, decision_id)
    if decided is None:
        return False
    if Access.LABEL in call.credential.scopes:
        await _label(call, decision_id, decided, agent_id)
        return True
    if decided.agent_id != agent_id:
        config, now_ms = await call.services.routing.current(), call.services.now_ms()
        ttl_seconds = config.cache_ttl_seconds
        await _write(
            call,
            *DECISIONS.drop(decided.query_hash, now_ms=now_ms, ttl_seconds=ttl_seconds),
        )
    return False


async def _label(call: Call, decision_id: str, decided: DecidedQuestion, agent_id: str) -> None:
    """Writes nothing if the caller's label is the same already."""
    services = call.services
    now_ms, labeler = services.now_ms(), call.credential.key_id
    for vote in await find_votes(services.db, decided.query_hash):
        if vote.labeler == labeler and vote.agent_id == agent_id:
            return
    before = await find_facts(services.db, decided.query_hash)
    event = LabelEvent(
        id=services.new_id("lab"),
        query=decided.question.query,
        previous=decided.question.previous,
        agent_id=agent_id,
        labeler=labeler,
        source="feedback",
        created_ms=now_ms,
        log_id=decision_id,
    )
    after = LabelFacts(agent_id=agent_id, labeler=labeler, created_at=rfc3339(now_ms))
    audited = AuditEntry(
        id=services.new_id("aud"),
        created_at=after.created_at,
        actor=call.credential.actor,
        request_id=call.request_id,
        action="label",
        resource="label",
        resource_id=event.hashes.question,
        before=None if before is None else before.model_dump(),
        after=after.model_dump(),
    )
    await _write(call, *record_labels([event]), insert_audit(audited))
    push_labels(call, {decision_id: agent_id})


async def _write(call: Call, *statements: Statement) -> None:
    try:
        await call.services.db.batch(statements)
    finally:
        call.services.routing.forget()
