"""A chat's answer as it is sent: the completion, its chunks, the facts and headers; and its log
row, one for routing and answering together."""

import string
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from edgeneuro.call import Facts
from edgeneuro.domain.chat_answer import (
    AnswerMessage,
    ChatCompletion,
    ChatCompletionChunk,
    ChatFacts,
    Choice,
    ChunkChoice,
    ChunkDelta,
    FunctionCall,
    Reroute,
)
from edgeneuro.domain.decision import CacheState, GatewayTrace, StageRecord, Usage
from edgeneuro.domain.handoff import Handoff
from edgeneuro.domain.log import Ending, LogEntry
from edgeneuro.domain.model import Model
from edgeneuro.domain.prompt import PROMPT_VERSION
from edgeneuro.errors import EdgeNeuroError, UpstreamError
from edgeneuro.gateway.interface import Delta
from edgeneuro.store.additions import Write
from edgeneuro.store.database import Statement
from edgeneuro.store.sql import rfc3339
from edgeneuro.synapsecore.beside import count_beside
from edgeneuro.synapsecore.chat.answer import ChatResult
from edgeneuro.synapsecore.chat.turn import ChatTurn
from edgeneuro.synapsecore.decision_log import stored_texts, write_log
from edgeneuro.synapsecore.implicit_signals import note_reaction
from edgeneuro.synapsecore.misroute import misroute_writes
from edgeneuro.synapsecore.router import explain
from edgeneuro.synapsecore.turn import TurnContext

_VISIBLE = string.punctuation + " "


def cache_state(turn: ChatTurn, *, cached: bool) -> CacheState:
    if turn.cache_key is None:
        return "bypass"
    return "hit" if cached else "miss"


def completion(turn: ChatTurn, result: ChatResult) -> ChatCompletion:
    answer = result.answer
    content, sentence = answer.content, turn.closing_sentence
    if content and sentence is not None and not answer.tool_calls:
        content = f"{content}\n\n{sentence}"
    message = AnswerMessage(content=content, **_calls(turn, answer.tool_calls))
    return ChatCompletion(
        id=_id(turn),
        created=turn.created_ms // 1000,
        model=result.model.id,
        choices=[Choice(message=message, finish_reason=_finish_reason(turn, answer.finish_reason))],
        usage=turn.total.usage,
        edgeneuro=facts(turn, cached=result.cached, handoff=result.handoff),
    )


def chunk(
    turn: ChatTurn,
    model: Model,
    *,
    delta: ChunkDelta | None = None,
    finish_reason: str | None = None,
    usage: Usage | None = None,
    facts: ChatFacts | None = None,
) -> bytes:
    """A chunk as an event. Without a delta it has no choices: that is the one with the usage."""
    reason = None if finish_reason is None else _finish_reason(turn, finish_reason)
    choices = [] if delta is None else [ChunkChoice(delta=delta, finish_reason=reason)]
    made = ChatCompletionChunk(
        id=_id(turn),
        created=turn.created_ms // 1000,
        model=model.id,
        choices=choices,
        usage=usage,
        edgeneuro=facts,
    )
    return f"data: {made.model_dump_json()}\n\n".encode()


def facts(turn: ChatTurn, *, cached: bool, handoff: Handoff | None = None) -> ChatFacts:
    decision = turn.routing.decision if turn.routing else None
    explained = turn.routing if turn.request.edgeneuro.explain else None
    total = turn.total
    return ChatFacts(
        decision_id=turn.id,
        outcome=turn.outcome,
        agent=turn.chosen,
        agents=list(turn.named) or None,
        clarify=turn.clarify,
        confidence=turn.confidence,
        confidence_source=decision.confidence_source if decision else None,
        layer=turn.layer,
        reason=turn.reason,
        cache=cache_state(turn, cached=cached),
        attempts=list(total.attempts),
        cost_usd=total.cost_usd,
        latency_ms=turn.clock.total_ms(),
        rerouted=_rerouted(turn),
        handoff=handoff,
        session=None if turn.session is None else turn.session.id,
        explanation=explain(explained) if explained else None,
    )


def _rerouted(turn: ChatTurn) -> list[Reroute]:
    """Each agent that handed the turn back, and who got it then."""
    after = [each.agent_id for each in turn.earlier[1:]]
    last = None if turn.agent is None else turn.agent.id
    return [
        Reroute(from_=each.agent_id, to=to, reason=each.reason, decision_id=each.id)
        for each, to in zip(turn.earlier, (*after, last), strict=False)
    ]


def headers(turn: ChatTurn, model: Model) -> dict[str, str]:
    """A model's id may be any text: characters that a header cannot hold are percent-encoded."""
    named = {} if turn.agent is None else {"x-edgeneuro-agent": turn.agent.id}
    return {
        **named,
        "x-edgeneuro-layer": turn.layer,
        "x-edgeneuro-decision-id": turn.id,
        "x-edgeneuro-model": quote(model.id, safe=_VISIBLE),
        "server-timing": turn.clock.server_timing(),
    }


def delta_of(turn: ChatTurn, delta: Delta) -> ChunkDelta:
    """A part of the answer in the client's format."""
    return ChunkDelta(content=delta.content or None, **_calls(turn, delta.tool_calls))


def _calls(turn: ChatTurn, calls: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Tool calls in the client's format: a client that uses functions gets one call."""
    if not calls:
        return {}
    if not turn.request.calls_functions:
        return {"tool_calls": list(calls)}
    called = [call.get("function") or {} for call in calls if call.get("index", 0) == 0][:1]
    return {"function_call": FunctionCall.model_validate(called[0])} if called else {}


def _finish_reason(turn: ChatTurn, reason: str) -> str:
    is_call = reason == "tool_calls" and turn.request.calls_functions
    return "function_call" if is_call else reason


def _id(turn: ChatTurn) -> str:
    return f"chatcmpl-{turn.id.removeprefix('dec_')}"


@dataclass(frozen=True, kw_only=True)
class ChatOutcome:
    """How a turn ended. The `failure` of a stream is the error that ended it, and its status stays
    200; `cached_answer` is the write that caches the answer, and `in_session` that of the
    session."""

    cache: CacheState
    latency_ms: float
    model: Model | None = None
    trace: GatewayTrace | None = None
    failure: EdgeNeuroError | None = None
    streamed: bool = False
    ending: Ending = "complete"
    cached_answer: Write | None = None
    in_session: Write | None = None


def record_chat(
    turn: ChatTurn,
    outcome: ChatOutcome,
    *,
    also: Sequence[Write] = (),
    last: bool = True,
) -> Coroutine[Any, Any, None]:
    """Adds the turn to /metrics and to the request's line at once; returns the write of the row.
    `also` goes into the same batch, after what belongs to the routing. A turn that was handed back
    is not the `last` one of its request: that one settles the reservation."""
    entry = _entry(turn, outcome)
    _note(turn.caller.facts, entry)
    if outcome.streamed:
        turn.caller.facts["ending"] = outcome.ending
        turn.services.metrics.streams.add(1, outcome.ending)
    if outcome.failure is not None:
        turn.caller.facts["error_code"] = outcome.failure.code
    stages = turn.routing.stage_records() if turn.routing else None
    writes: list[Write | None] = [*turn.writes, outcome.cached_answer, *also, *_handed_back(turn)]
    if last:
        writes += [turn.settlement(), outcome.in_session]
    return _write(turn, entry, stages, writes)


async def _write(
    turn: ChatTurn,
    entry: LogEntry,
    stages: Sequence[StageRecord] | None,
    writes: Sequence[Write | None],
) -> None:
    beside = None if turn.routing is None else await count_beside(turn.routing)
    await write_log(turn.services, entry, stages, [*writes, beside])
    await note_reaction(turn.services, turn.config, entry)


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


def _entry(turn: ChatTurn, outcome: ChatOutcome) -> LogEntry:
    routing = turn.routing
    decision = routing.decision if routing else None
    failure = outcome.failure
    model = None if turn.clarify is not None else outcome.model  # the router is no model
    context = TurnContext(turn.request.user, turn.request.edgeneuro.session, turn.request.metadata)
    said = turn.request.conversation
    previous = routing.turn.previous if routing else said.previous
    texts = stored_texts(turn.config, said.query, context, previous)
    if decision is None:
        texts["query_hash"] = None  # not routed, so there is no question that could be labeled
    return LogEntry(
        **texts,
        id=turn.id,
        kind="chat",
        ending=outcome.ending,
        created_at=rfc3339(turn.created_ms),
        request_id=turn.caller.request_id,
        trace_id=turn.caller.trace.trace_id,
        key_id=turn.caller.credential.key_id,
        candidates=_candidates(turn),
        rerouted_from=turn.earlier[-1].id if turn.earlier else None,
        router=turn.config.named_router,
        status=200 if failure is None or outcome.streamed else failure.status,
        outcome=turn.outcome,
        agent_id=turn.agent.id if turn.agent else None,
        confidence=turn.confidence,
        stated_confidence=turn.stated_confidence,
        confidence_source=decision.stated_confidence_source if decision else None,
        threshold=turn.config.confidence_threshold,
        layer=turn.layer,
        reason=failure.reason if isinstance(failure, UpstreamError) else turn.reason,
        alternatives=list(decision.alternatives) if decision else [],
        model=model.base_model if model else None,
        adapter=model.adapter if model else None,
        cache=outcome.cache,
        attempts=turn.attempts,
        usage=turn.usage,
        cost_usd=turn.cost_usd,
        routing_cost_usd=routing.call.cost_usd if routing else None,
        classifier=routing.classifier_verdict if routing else None,
        latency_ms=outcome.latency_ms,
        upstream_ms=round(turn.upstream_ms, 2),
        # Labels and feedback are about the decision, so AI Gateway's log of the decision gets them.
        gateway=routing.call.trace if routing else outcome.trace or GatewayTrace(),
        prompt_version=routing.prompt_version if routing else PROMPT_VERSION,
        agents_revision=turn.config.agents_revision,
    )


def _candidates(turn: ChatTurn) -> list[str] | None:
    """The agents that could be chosen, if they were not all: those of the request or the key, after
    a hand-back those that were left."""
    if turn.routing is None:
        return turn.request.edgeneuro.candidates
    narrowed = turn.routing.turn.candidates
    return [*(narrowed or ())] if turn.earlier or narrowed is not None else None


def _handed_back(turn: ChatTurn) -> list[Statement]:
    """The signals on this decision of those of several agents that handed their part back. The
    decision itself was for the others too, so what is cached of it stays."""
    return [
        statement
        for answer in turn.answers
        if turn.routing is not None and answer.agent is not None and answer.handed_back
        for statement in misroute_writes(
            turn.routing.turn,
            "not_mine",
            log_id=turn.id,
            agent_id=answer.agent.id,
            query_hash=None,
            reason=None,
        )
    ]
