"""Asking for a chat's answer: the agent's endpoint or the models, in their order, for the whole
answer or for a stream."""

import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from edgeneuro.domain.agent import Agent
from edgeneuro.domain.chat_answer import KeptAnswer
from edgeneuro.domain.decision import GatewayTrace
from edgeneuro.domain.handoff import Handoff, handoff_text
from edgeneuro.domain.model import Model
from edgeneuro.errors import InvalidOutputError, JsonModeUnmetError
from edgeneuro.gateway.chain import ModelAttempt
from edgeneuro.gateway.interface import Delta, ModelAnswer, ModelRequest, ModelStream
from edgeneuro.synapsecore.chat_turn import Turn

_MAX_SILENCE_MS = 30_000


@dataclass(frozen=True)
class Given:
    """A whole answer; `kept` tells that it was given before."""

    model: Model
    answer: KeptAnswer
    trace: GatewayTrace | None = None
    kept: bool = False
    handoff: Handoff | None = None


@dataclass(frozen=True)
class Opened:
    """A stream whose first part is there; `deltas` are the others."""

    model: Model
    first: Delta
    deltas: AsyncGenerator[Delta, None]
    trace: GatewayTrace | None = None
    kept: bool = False
    handoff: Handoff | None = None


async def ask_whole(turn: Turn) -> Given:
    """Raises the first model's UpstreamError where none answers."""

    async def call(this: ModelAttempt) -> Given:
        try:
            given = await _run(turn, this)
        except JsonModeUnmetError as error:
            raise _not_in_json(error) from error
        this.engine = given.engine
        turn.chain.record_usage(this.model, given.usage, given.trace)
        content = given.content
        if isinstance(content, dict):
            content = json.dumps(content, ensure_ascii=False)
        if content is None and not given.tool_calls:
            raise InvalidOutputError("The model said nothing.")
        answer = KeptAnswer(
            content=content, tool_calls=list(given.tool_calls), finish_reason=given.finish_reason
        )
        return Given(this.model, answer, given.trace)

    return await turn.chain.ask(turn.models, call, once=turn.endpoint)


async def open_stream(turn: Turn) -> Opened:
    """Raises the first model's UpstreamError where none gives a first part."""

    async def call(this: ModelAttempt) -> Opened:
        try:
            stream = await _stream(turn, this)
            first = await anext(stream.deltas, None)
        except JsonModeUnmetError as error:
            raise _not_in_json(error) from error
        if first is None:
            raise InvalidOutputError("The model's stream holds nothing.")
        this.streams = True
        return Opened(this.model, first, stream.deltas, stream.trace)

    return await turn.chain.ask(turn.models, call, once=turn.endpoint)


def hand_off(turn: Turn, agent: Agent) -> Given:
    """Nobody is called. Raises UpstreamNotConfiguredError where nothing can be signed."""
    never = ModelAttempt(turn.models[0], number=0, timeout_ms=0)
    handoff = turn.services.endpoints.hand_off(agent, _request(turn, never, cached=False))
    answer = KeptAnswer(content=handoff_text(handoff), finish_reason="stop")
    return Given(turn.models[0], answer, handoff=handoff)


async def _run(turn: Turn, this: ModelAttempt) -> ModelAnswer:
    request = _request(turn, this, cached=True)
    if turn.agent is not None and this.model is turn.endpoint:
        return await turn.services.endpoints.run(turn.agent, request)
    return await turn.services.gateway.run(request)


async def _stream(turn: Turn, this: ModelAttempt) -> ModelStream:
    request = _request(turn, this, cached=False)
    if turn.agent is not None and this.model is turn.endpoint:
        return await turn.services.endpoints.stream(turn.agent, request)
    return await turn.services.gateway.stream(request)


def _not_in_json(error: JsonModeUnmetError) -> InvalidOutputError:
    # Here it was the client who asked for JSON, so there is no other way to ask the same model.
    return InvalidOutputError(error.message, upstream_code=error.upstream_code)


def _request(turn: Turn, this: ModelAttempt, *, cached: bool) -> ModelRequest:
    model, config = this.model, turn.config
    provider = config.providers.get(model.provider)
    at_endpoint = model is turn.endpoint
    keep = cached and config.stores_texts and turn.cache_key is not None
    return ModelRequest(
        model=turn.agent.id if turn.agent is not None and at_endpoint else model.base_model,
        adapter=model.adapter,
        provider=provider,
        messages=turn.messages(model),
        parameters=turn.parameters(model),
        timeout_ms=this.timeout_ms,
        idle_ms=min(config.chat_timeout_ms, _MAX_SILENCE_MS),
        cache_key=f"chat:{turn.key_for(model)}" if keep else None,
        cache_ttl_seconds=config.cache_ttl_seconds,
        metadata=_metadata(turn),
        collect_payload=config.stores_texts,
        trace=turn.asker.trace,
        images=turn.request.images,
    )


def _metadata(turn: Turn) -> dict[str, str]:
    metadata = {
        "decision_id": turn.id,
        "key_id": turn.asker.credential.key_id,
        "request_id": turn.asker.request_id,
        "agents_revision": turn.config.agents_revision,
    }
    if turn.agent is not None:
        metadata["agent_id"] = turn.agent.id
    return metadata
