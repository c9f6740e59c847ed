"""The record of a chat's turn: one log row for routing and answering together."""

from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from edgeneuro.call import Facts
from edgeneuro.domain.decision import CacheState, GatewayTrace
from edgeneuro.domain.log import Ending, LogEntry
from edgeneuro.domain.model import Model
from edgeneuro.domain.prompt import PROMPT_VERSION
from edgeneuro.errors import EdgeNeuroError, UpstreamError
from edgeneuro.store.database import Statement
from edgeneuro.store.sql import rfc3339
from edgeneuro.synapsecore.chat_turn import Turn
from edgeneuro.synapsecore.record import stored_texts, write


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a turn. `failure` of a stream is what broke it off, and its status stays 200;
    `new_answer` is the write that keeps the answer."""

    cache: CacheState
    latency_ms: float
    model: Model | None = None
    trace: GatewayTrace | None = None
    failure: EdgeNeuroError | None = None
    streamed: bool = False
    ending: Ending = "complete"
    new_answer: Statement | None = None


def record_chat(turn: Turn, outcome: Outcome) -> Coroutine[Any, Any, None]:
    """Notes the turn for /metrics and the request's line at once; returns the write of the row."""
    entry = _entry(turn, outcome)
    _note(turn.asker.facts, entry)
    if outcome.streamed:
        turn.asker.facts["ending"] = outcome.ending
        turn.services.metrics.streams.add(1, outcome.ending)
    if outcome.failure is not None:
        turn.asker.facts["error_code"] = outcome.failure.code
    routing = turn.routed.writes if turn.routed else ()
    return write(turn.services, entry, *routing, outcome.new_answer, turn.settlement())


def _note(facts: Facts, entry: LogEntry) -> None:
    facts.update(
        decision_id=entry.id,
        agent=entry.agent_id,
        layer=entry.layer,
        reason=entry.reason,
        model=entry.model,
        adapter=entry.adapter,
        cache=entry.cache,
        attempts=len(entry.attempts),
        upstream_ms=entry.upstream_ms,
    )


def _entry(turn: Turn, outcome: Outcome) -> LogEntry:
    decision = turn.routed.decision if turn.routed else None
    failure, model = outcome.failure, outcome.model
    reason = decision.reason if decision else None
    texts = stored_texts(
        turn.config,
        query=turn.request.text,
        user=turn.request.user,
        session=turn.request.edgeneuro.session,
        metadata=turn.request.metadata,
    )
    if decision is None:
        texts["query_hash"] = None  # never routed, so no question that could be labelled
    return LogEntry(
        **texts,
        id=turn.id,
        kind="chat",
        ending=outcome.ending,
        created_at=rfc3339(turn.created_ms),
        request_id=turn.asker.request_id,
        trace_id=turn.asker.trace.trace_id,
        key_id=turn.asker.credential.key_id,
        candidates=turn.request.edgeneuro.candidates,
        status=200 if failure is None or outcome.streamed else failure.status,
        outcome=turn.outcome,
        agent_id=turn.agent.id if turn.agent else None,
        confidence=turn.confidence,
        stated_confidence=turn.stated_confidence,
        confidence_source=turn.routed.confidence_source if turn.routed else None,
        threshold=turn.config.confidence_threshold,
        layer=turn.layer,
        reason=failure.reason if isinstance(failure, UpstreamError) else reason,
        alternatives=decision.alternatives if decision else [],
        model=model.base_model if model else None,
        adapter=model.adapter if model else None,
        cache=outcome.cache,
        attempts=turn.attempts,
        usage=turn.usage,
        cost_usd=turn.cost_usd,
        classifier=decision.classifier if decision else None,
        latency_ms=outcome.latency_ms,
        upstream_ms=round(turn.upstream_ms, 2),
        # Labels and feedback are about the decision, and so is the log that hears of them.
        gateway=decision.gateway if decision else outcome.trace or GatewayTrace(),
        prompt_version=PROMPT_VERSION,
        agents_revision=turn.config.agents_revision,
    )
