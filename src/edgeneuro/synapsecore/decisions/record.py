"""The log row of questions that a decision model answered. Nothing was routed, so the row has no
query hash: it is in no label queue and no accuracy, and counts in usage and costs."""

from collections.abc import Coroutine
from typing import Any

from edgeneuro.domain.decision import GatewayTrace
from edgeneuro.domain.log import LogEntry
from edgeneuro.domain.prompt import PROMPT_VERSION
from edgeneuro.errors import UpstreamError
from edgeneuro.store.additions import Addition
from edgeneuro.store.sql import rfc3339
from edgeneuro.synapsecore.decision_log import stored_texts, write_log
from edgeneuro.synapsecore.decisions.model import ModelAnswers, ModelQuestions
from edgeneuro.synapsecore.turn import TurnContext


def record_questions(
    questions: ModelQuestions,
    answered: ModelAnswers | UpstreamError,
    *,
    latency_ms: float,
    settlement: Addition | None,
) -> Coroutine[Any, Any, None]:
    """Adds the questions to the request's line at once; returns the write of the row."""
    entry = _entry(questions, answered, latency_ms)
    questions.caller.facts.update(
        decision_id=entry.id,
        layer=entry.layer,
        reason=entry.reason,
        model=entry.model,
        attempts=len(entry.attempts),
        upstream_ms=entry.upstream_ms,
    )
    return write_log(questions.services, entry, None, [settlement])


def _entry(
    questions: ModelQuestions, answered: ModelAnswers | UpstreamError, latency_ms: float
) -> LogEntry:
    caller, config, chain = questions.caller, questions.config, questions.chain
    options = questions.asked.options
    context = TurnContext(options.user, options.session, options.metadata)
    failure = answered if isinstance(answered, UpstreamError) else None
    texts = stored_texts(config, questions.asked.logged_text, context)
    return LogEntry(
        **texts | {"query_hash": None},
        id=questions.id,
        kind="questions",
        created_at=rfc3339(questions.created_ms),
        request_id=caller.request_id,
        trace_id=caller.trace.trace_id,
        key_id=caller.credential.key_id,
        candidates=None,
        router=config.named_router,
        status=200 if failure is None else failure.status,
        agent_id=None,
        confidence=None,
        stated_confidence=None,
        threshold=config.confidence_threshold,
        layer="direct",
        reason=None if failure is None else failure.reason,
        alternatives=[],
        model=None if isinstance(answered, UpstreamError) else answered.model.base_model,
        adapter=None,
        cache="bypass",
        attempts=chain.attempts,
        usage=chain.usage,
        cost_usd=chain.cost_usd,
        latency_ms=latency_ms,
        upstream_ms=round(chain.upstream_ms, 2),
        gateway=GatewayTrace() if isinstance(answered, UpstreamError) else answered.trace,
        prompt_version=PROMPT_VERSION,
        agents_revision=config.agents_revision,
    )
