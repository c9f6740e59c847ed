"""A chat's answer as it goes out: the completion, its chunks, our facts and headers."""

import string
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from edgeneuro.domain.chat_answer import (
    AnswerMessage,
    ChatCompletion,
    ChatCompletionChunk,
    ChatFacts,
    Choice,
    ChunkChoice,
    ChunkDelta,
    FunctionCall,
)
from edgeneuro.domain.decision import CacheState, Usage
from edgeneuro.domain.handoff import Handoff
from edgeneuro.domain.model import Model
from edgeneuro.gateway.interface import Delta
from edgeneuro.synapsecore.chat_ask import Given
from edgeneuro.synapsecore.chat_turn import Turn
from edgeneuro.synapsecore.router import explain

_VISIBLE = string.punctuation + " "


def cache_state(turn: Turn, *, kept: bool) -> CacheState:
    if turn.cache_key is None:
        return "bypass"
    return "hit" if kept else "miss"


def completion(turn: Turn, given: Given) -> ChatCompletion:
    answer = given.answer
    message = AnswerMessage(content=answer.content, **_calls(turn, answer.tool_calls))
    return ChatCompletion(
        id=_id(turn),
        created=turn.created_ms // 1000,
        model=given.model.id,
        choices=[Choice(message=message, finish_reason=_finish_reason(turn, answer.finish_reason))],
        usage=turn.usage,
        edgeneuro=facts(turn, kept=given.kept, handoff=given.handoff),
    )


def chunk(
    turn: Turn,
    model: Model,
    *,
    delta: ChunkDelta | None = None,
    finish_reason: str | None = None,
    usage: Usage | None = None,
    facts: ChatFacts | None = None,
) -> bytes:
    """A chunk as an event. Without a delta it has no choice: the one that tells the usage."""
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


def facts(turn: Turn, *, kept: bool, handoff: Handoff | None = None) -> ChatFacts:
    decision = turn.routed.decision if turn.routed else None
    explained = turn.routed if turn.request.edgeneuro.explain else None
    return ChatFacts(
        decision_id=turn.id,
        outcome=turn.outcome,
        agent=turn.chosen,
        confidence=turn.confidence,
        confidence_source=decision.confidence_source if decision else None,
        layer=turn.layer,
        reason=decision.reason if decision else None,
        cache=cache_state(turn, kept=kept),
        attempts=turn.attempts,
        cost_usd=turn.cost_usd,
        latency_ms=turn.stages.total_ms(),
        handoff=handoff,
        explanation=explain(explained) if explained else None,
    )


def headers(turn: Turn, model: Model) -> dict[str, str]:
    """A model's id may be any text, so what a header cannot hold is percent-encoded."""
    named = {} if turn.agent is None else {"x-edgeneuro-agent": turn.agent.id}
    return {
        **named,
        "x-edgeneuro-layer": turn.layer,
        "x-edgeneuro-decision-id": turn.id,
        "x-edgeneuro-model": quote(model.id, safe=_VISIBLE),
        "server-timing": turn.stages.server_timing(),
    }


def delta_of(turn: Turn, delta: Delta) -> ChunkDelta:
    """A part of the answer, in the client's words."""
    return ChunkDelta(content=delta.content or None, **_calls(turn, delta.tool_calls))


def _calls(turn: Turn, calls: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Tool calls as the client's words for them: one that knows functions only has one call."""
    if not calls:
        return {}
    if not turn.request.calls_functions:
        return {"tool_calls": list(calls)}
    called = [call.get("function") or {} for call in calls if call.get("index", 0) == 0][:1]
    return {"function_call": FunctionCall.model_validate(called[0])} if called else {}


def _finish_reason(turn: Turn, reason: str) -> str:
    is_call = reason == "tool_calls" and turn.request.calls_functions
    return "function_call" if is_call else reason


def _id(turn: Turn) -> str:
    return f"chatcmpl-{turn.id.removeprefix('dec_')}"
