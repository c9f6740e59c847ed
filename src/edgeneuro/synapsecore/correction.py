"""What the feedback of a decision corrects. From a caller who may label it is a label, which
decides from then on. From any other caller it is none; the cached answers of the question are
dropped, so that it is decided again."""

from edgeneuro.call import Call
from edgeneuro.domain.label import LabelEvent, LabelFacts
from edgeneuro.domain.query import query_hash
from edgeneuro.store.answer_cache import DECISIONS
from edgeneuro.store.audit import AuditEntry, insert_audit
from edgeneuro.store.database import Statement
from edgeneuro.store.label_reads import find_facts, find_votes
from edgeneuro.store.labels import raise_labels_revision, record_labels
from edgeneuro.store.logs import DecidedQuestion, find_decided
from edgeneuro.store.sql import rfc3339
from edgeneuro.synapsecore.gateway_feedback import push_labels
from edgeneuro.web.auth import Access


async def correct(call: Call, decision_id: str, agent_id: str) -> bool:
    """Whether the caller's label of the question is now this agent's. A decision whose text was not
    stored cannot be corrected."""
    decided = await find_decided(call.services.db, decision_id)
    if decided is None:
        return False
    if Access.LABEL in call.credential.scopes:
        await _label(call, decision_id, decided, agent_id)
        return True
    if decided.agent_id != agent_id:
        await _write(call, DECISIONS.drop(decided.query_hash), raise_labels_revision())
    return False


async def _label(call: Call, decision_id: str, decided: DecidedQuestion, agent_id: str) -> None:
    """Once: where the caller's label says the same, nothing is written."""
    services = call.services
    now_ms, labeler = services.now_ms(), call.credential.key_id
    for vote in await find_votes(services.db, query_hash(decided.query)):
        if vote.labeler == labeler and vote.agent_id == agent_id:
            return
    before = await find_facts(services.db, query_hash(decided.query))
    event = LabelEvent(
        id=services.new_id("lab"),
        query=decided.query,
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
        resource_id=query_hash(event.query),
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
