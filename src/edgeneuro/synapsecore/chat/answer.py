"""The answer of a chat: from the cache, or from the agent's endpoint or the models in their order,
as a whole or as a stream.

If the settings do not allow to store texts, or only with changes, answers are cached in the
isolate's memory alone."""

import json
import re
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from edgeneuro.domain.agent import Agent
from edgeneuro.domain.caller import CallerIdentity, caller_identity
from edgeneuro.domain.chat_answer import ChatAnswer
from edgeneuro.domain.clarification import Clarification
from edgeneuro.domain.decision import GatewayTrace
from edgeneuro.domain.handoff import Handoff, handoff_text
from edgeneuro.domain.model import Model
from edgeneuro.domain.query import whole_characters
from edgeneuro.errors import DatabaseError, InvalidOutputError, JsonModeUnmetError
from edgeneuro.gateway.chain import ModelAttempt
from edgeneuro.gateway.interface import Delta, ModelAnswer, ModelRequest, ModelStream, NotMine
from edgeneuro.store.additions import Addition
from edgeneuro.store.answer_cache import CHATS, add_chat
from edgeneuro.synapsecore.chat.models import router_model
from edgeneuro.synapsecore.chat.turn import ChatTurn
from edgeneuro.synapsecore.stored_text import gateway_session

MAX_CACHED_BYTES = 64 * 1024
_MAX_SILENCE_MS = 30_000
_COMPLETE = ("stop", "tool_calls")
_PART_CHARACTERS = 40  # of a cached answer that is sent as a stream


@dataclass(frozen=True)
class ChatResult:
    """A whole answer; `cached` is true if it was made for an earlier request."""

    model: Model
    answer: ChatAnswer
    trace: GatewayTrace | None = None
    cached: bool = False
    handoff: Handoff | None = None


@dataclass(frozen=True)
class ChatStreamHandle:
    """A stream whose first part has arrived; `deltas` are the other parts. `usage_recorded` is true
    if they record the usage themselves."""

    model: Model
    first: Delta
    deltas: AsyncGenerator[Delta, None]
    trace: GatewayTrace | None = None
    cached: bool = False
    handoff: Handoff | None = None
    usage_recorded: bool = False


@dataclass(frozen=True)
class HandedBack:
    """The agent's endpoint says that the turn is not for it, with its reason, if it gives one.
    There is no answer, and nothing was shown to the client."""

    model: Model
    reason: str | None


async def answer_whole(turn: ChatTurn) -> ChatResult | HandedBack:
    """Raises the first model's UpstreamError if none answers."""

    async def call(attempt: ModelAttempt) -> ChatResult | HandedBack:
        try:
            output = await _run(turn, attempt)
        except JsonModeUnmetError as error:
            raise _not_in_json(error) from error
        if output.not_mine is not None:
            return _handed_back(turn, attempt, output.not_mine)
        attempt.engine = output.engine
        turn.chain.record_usage(attempt.model, output.usage, output.trace)
        content = output.content
        if isinstance(content, dict):
            content = json.dumps(content, ensure_ascii=False)
        content = content and whole_characters(content)
        if content is None and not output.tool_calls:
            raise InvalidOutputError("The model's answer is empty.")
        answer = ChatAnswer(
            content=content, tool_calls=list(output.tool_calls), finish_reason=output.finish_reason
        )
        turn.note_state(attempt.model, output.agent_state)
        return ChatResult(attempt.model, answer, output.trace)

    return await turn.chain.ask(turn.models, call, once=turn.endpoint)


async def open_stream(turn: ChatTurn) -> ChatStreamHandle | HandedBack:
    """Raises the first model's UpstreamError if none sends a first part."""

    async def call(attempt: ModelAttempt) -> ChatStreamHandle | HandedBack:
        try:
            stream = await _stream(turn, attempt)
            first = await anext(stream.deltas, None)
        except JsonModeUnmetError as error:
            raise _not_in_json(error) from error
        if first is None:
            raise InvalidOutputError("The model's stream is empty.")
        if first.not_mine is not None:
            await stream.deltas.aclose()
            return _handed_back(turn, attempt, first.not_mine)
        attempt.streams = True
        return ChatStreamHandle(attempt.model, first, stream.deltas, stream.trace)

    return await turn.chain.ask(turn.models, call, once=turn.endpoint)


def _handed_back(turn: ChatTurn, attempt: ModelAttempt, refusal: NotMine) -> HandedBack:
    """What the agent has used for it counts if it says so; otherwise it is not known, and not
    charged."""
    attempt.outcome = "not_mine"
    if refusal.usage is not None and refusal.usage.total_tokens:
        turn.chain.record_usage(attempt.model, refusal.usage, GatewayTrace())
    return HandedBack(attempt.model, refusal.reason)


def hand_off(turn: ChatTurn, agent: Agent) -> ChatResult:
    """No model is called. Raises UpstreamNotConfiguredError if nothing can be signed."""
    attempt = ModelAttempt(turn.models[0], number=0, timeout_ms=0)
    handoff = turn.services.endpoints.hand_off(agent, _request(turn, attempt, cached=False))
    answer = ChatAnswer(content=handoff_text(handoff), finish_reason="stop")
    return ChatResult(turn.models[0], answer, handoff=handoff)


def ask(turn: ChatTurn, question: Clarification) -> ChatResult:
    """The router itself answers with a clarifying question; no model is called."""
    answer = ChatAnswer(content=question.text, finish_reason="stop")
    return ChatResult(router_model(turn.request.model), answer)


async def cached_chat(turn: ChatTurn) -> ChatResult | None:
    """A cache that fails, or holds damaged rows, has no entry."""
    key, services = turn.cache_key, turn.services
    if key is None:
        return None
    now_ms = services.now_ms()
    answer = services.recent_chats.get(key, now_ms=now_ms)
    if answer is None and turn.config.stores_texts:
        try:
            found = await CHATS.read(services.db, key, now_ms=now_ms)
        except (DatabaseError, ValidationError) as error:
            services.failures.note("chat_cache_read", error)
            return None
        if found is not None:
            answer, expires_at_ms = found
            services.recent_chats.put(key, answer, expires_at_ms=expires_at_ms)
    return None if answer is None else ChatResult(turn.models[0], answer, cached=True)


def cache_chat(turn: ChatTurn, model: Model, answer: ChatAnswer) -> Addition | None:
    """Caches an answer in the isolate; returns the write that caches it in D1. Only complete
    answers of the first model are cached: another model's would still be used when the first one
    works again."""
    key = turn.cache_key
    if key is None or model is not turn.models[0] or answer.finish_reason not in _COMPLETE:
        return None
    if not (answer.content or answer.tool_calls):
        return None
    text = answer.model_dump_json()
    if len(text.encode()) > MAX_CACHED_BYTES:
        return None
    expires_at_ms = turn.services.now_ms() + turn.config.cache_ttl_seconds * 1000
    turn.services.recent_chats.put(key, answer, expires_at_ms=expires_at_ms)
    return add_chat(key, text, expires_at_ms=expires_at_ms) if turn.config.stores_texts else None


def as_stream(result: ChatResult) -> ChatStreamHandle:
    """A whole answer as a stream."""
    first, *others = _deltas(result.answer)

    async def deltas() -> AsyncGenerator[Delta, None]:
        for delta in others:
            yield delta

    return ChatStreamHandle(
        result.model,
        first,
        deltas(),
        cached=result.cached,
        handoff=result.handoff,
        usage_recorded=True,
    )


def _deltas(answer: ChatAnswer) -> Iterator[Delta]:
    for part in _parts(answer.content or ""):
        yield Delta(content=part)
    calls = tuple({"index": at, **call} for at, call in enumerate(answer.tool_calls))
    yield Delta(tool_calls=calls, finish_reason=answer.finish_reason)


def _parts(text: str) -> Iterator[str]:
    """A text in parts that end before a word."""
    part = ""
    for word in re.findall(r"\s*\S+|\s+$", text):
        if len(part) >= _PART_CHARACTERS:
            yield part
            part = ""
        part += word
    if part:
        yield part


async def _run(turn: ChatTurn, attempt: ModelAttempt) -> ModelAnswer:
    request = _request(turn, attempt, cached=True)
    if turn.agent is not None and attempt.model is turn.endpoint:
        return await turn.services.endpoints.run(turn.agent, request)
    return await turn.services.gateway.run(request)


async def _stream(turn: ChatTurn, attempt: ModelAttempt) -> ModelStream:
    request = _request(turn, attempt, cached=False)
    if turn.agent is not None and attempt.model is turn.endpoint:
        return await turn.services.endpoints.stream(turn.agent, request)
    return await turn.services.gateway.stream(request)


def _not_in_json(error: JsonModeUnmetError) -> InvalidOutputError:
    # The client itself asked for JSON, so another attempt without it is of no use.
    return InvalidOutputError(error.message, upstream_code=error.upstream_code)


def _request(turn: ChatTurn, attempt: ModelAttempt, *, cached: bool) -> ModelRequest:
    model, config = attempt.model, turn.config
    provider = config.providers.get(model.provider)
    at_endpoint = model is turn.endpoint
    caches = cached and config.stores_texts and turn.cache_key is not None
    return ModelRequest(
        model=turn.agent.id if turn.agent is not None and at_endpoint else model.base_model,
        adapter=model.adapter,
        provider=provider,
        messages=turn.messages(model),
        parameters=turn.parameters(model),
        timeout_ms=attempt.timeout_ms,
        idle_ms=min(config.chat_timeout_ms, _MAX_SILENCE_MS),
        cache_key=f"chat:{turn.key_for(model)}" if caches else None,
        cache_ttl_seconds=config.cache_ttl_seconds,
        metadata=_metadata(turn),
        collect_payload=config.stores_texts,
        trace=turn.caller.trace,
        images=turn.request.images,
        session=gateway_session(config, turn.request.edgeneuro.session),
        memory=turn.memory if at_endpoint else None,
        caller=_caller(turn) if at_endpoint else None,
    )


def _caller(turn: ChatTurn) -> CallerIdentity:
    credential, user = turn.caller.credential, turn.caller.credential.user
    return caller_identity(
        credential.key_id,
        user_id=None if user is None else user.id,
        email=None if user is None else user.email,
        groups=credential.groups,
        says=turn.request.user,
    )


def _metadata(turn: ChatTurn) -> dict[str, str]:
    metadata = {
        "decision_id": turn.id,
        "key_id": turn.caller.credential.key_id,
        "request_id": turn.caller.request_id,
        "agents_revision": turn.config.agents_revision,
    }
    if turn.agent is not None:
        metadata["agent_id"] = turn.agent.id
    return metadata
