"""Asking for a chat's answer: the models in their order, for the whole answer or for a stream."""

import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from edgeneuro.domain.chat_answer import KeptAnswer
from edgeneuro.domain.decision import GatewayTrace
from edgeneuro.domain.model import Model
from edgeneuro.errors import InvalidOutputError, JsonModeUnmetError
from edgeneuro.gateway.chain import Try
from edgeneuro.gateway.seam import Delta, ModelRequest
from edgeneuro.synapsecore.chat_turn import Turn

_LONGEST_SILENCE_MS = 30_000
# Words of OpenAI's that Workers AI's models refuse as unknown.
_OF_VENDORS = frozenset({"reasoning_effort", "verbosity"})


@dataclass(frozen=True)
class Given:
    """A whole answer; `kept` tells that it was given before."""

    model: Model
    answer: KeptAnswer
    trace: GatewayTrace | None = None
    kept: bool = False


@dataclass(frozen=True)
class Opened:
    """A stream whose first part is there; `deltas` are the others."""

    model: Model
    first: Delta
    deltas: AsyncGenerator[Delta, None]
    trace: GatewayTrace | None = None
    kept: bool = False


async def ask_whole(turn: Turn) -> Given:
    """Raises the first model's UpstreamError where none answers."""

    async def one_try(this: Try) -> Given:
        try:
            given = await turn.services.gateway.run(_request(turn, this, cached=True))
        except JsonModeUnmetError as error:
            raise _not_in_json(error) from error
        this.engine = given.engine
        turn.chain.pay(this.model, given.usage, given.trace)
        content = given.content
        if isinstance(content, dict):
            content = json.dumps(content, ensure_ascii=False)
        if content is None and not given.tool_calls:
            raise InvalidOutputError("The model said nothing.")
        answer = KeptAnswer(
            content=content, tool_calls=list(given.tool_calls), finish_reason=given.finish_reason
        )
        return Given(this.model, answer, given.trace)

    return await turn.chain.ask(turn.models, one_try)


async def open_stream(turn: Turn) -> Opened:
    """Raises the first model's UpstreamError where none gives a first part."""

    async def one_try(this: Try) -> Opened:
        try:
            stream = await turn.services.gateway.stream(_request(turn, this, cached=False))
            first = await anext(stream.deltas, None)
        except JsonModeUnmetError as error:
            raise _not_in_json(error) from error
        if first is None:
            raise InvalidOutputError("The model's stream holds nothing.")
        return Opened(this.model, first, stream.deltas, stream.trace)

    return await turn.chain.ask(turn.models, one_try)


def _not_in_json(error: JsonModeUnmetError) -> InvalidOutputError:
    # Here it was the client who asked for JSON, so there is no other way to ask the same model.
    return InvalidOutputError(error.message, upstream_code=error.upstream_code)


def _request(turn: Turn, this: Try, *, cached: bool) -> ModelRequest:
    model, config = this.model, turn.config
    provider = config.providers.get(model.provider)
    unknown = _OF_VENDORS if provider is None else frozenset[str]()
    keep = cached and config.stores_texts and turn.cache_key is not None
    return ModelRequest(
        model=model.base_model,
        adapter=model.adapter,
        provider=provider,
        messages=turn.messages,
        parameters={name: v for name, v in turn.parameters.items() if name not in unknown},
        timeout_ms=this.timeout_ms,
        idle_ms=min(config.chat_timeout_ms, _LONGEST_SILENCE_MS),
        cache_key=f"chat:{turn.cache_key}:{model.id}" if keep else None,
        cache_ttl_seconds=config.cache_ttl_seconds,
        metadata=_metadata(turn),
        collect_payload=config.log_queries,
        trace=turn.asker.trace,
    )


def _metadata(turn: Turn) -> dict[str, str]:
    metadata = {"decision_id": turn.id, "key_id": turn.asker.credential.key_id, "purpose": "chat"}
    if turn.agent is not None:
        metadata["agent_id"] = turn.agent.id
    return metadata
