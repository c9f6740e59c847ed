"""The two shapes in which a text generation model streams: Workers AI's own events, and OpenAI's
chunks. Both end with [DONE]."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from local.answers import DONE, BodyEnded, Parts, event
from local.engines import CompletionRequest, Part, ToolCall, ToolCallDelta, Usage
from local.errors import AiError
from local.outputs import native_call

_PADDED_TO = 16  # Workers AI hides the length of a token behind the padding `p`


@dataclass(frozen=True)
class Identity:
    """What all chunks of one answer have in common."""

    id: str
    created: int


def native_events(
    request: CompletionRequest, parts: AsyncGenerator[Part, None], identity: Identity
) -> Parts:
    if request.model.shape == "openai":
        return chat_events(request, parts, identity)
    return _classic_events(request, parts)


async def _classic_events(request: CompletionRequest, parts: AsyncGenerator[Part, None]) -> Parts:
    calls: dict[int, ToolCall] = {}
    usage = Usage(0, 0)
    async with aclosing(parts):
        try:
            async for part in parts:
                if part.text:
                    padding = "abdefghijklmnop"[: -len(part.text) % _PADDED_TO]
                    yield event({"response": part.text, "p": padding})
                for delta in part.tool_calls:
                    _collect(calls, delta)
                usage = part.usage or usage
        except AiError as error:
            yield error_event(error)
            raise BodyEnded from error
    if calls:
        yield event({"response": None, "tool_calls": [native_call(c) for c in calls.values()]})
    yield event({"response": "", "usage": usage.as_dict()})
    yield DONE


def _collect(calls: dict[int, ToolCall], delta: ToolCallDelta) -> None:
    call = calls.get(delta.index) or ToolCall("", "", "")
    calls[delta.index] = replace(
        call,
        id=delta.id or call.id,
        name=delta.name or call.name,
        arguments=call.arguments + delta.arguments,
    )


async def chat_events(
    request: CompletionRequest, parts: AsyncGenerator[Part, None], identity: Identity
) -> Parts:
    head = {
        "id": f"chatcmpl-{identity.id}",
        "object": "chat.completion.chunk",
        "created": identity.created,
        "model": request.model.id,
    }
    nothing_used = {"usage": None} if request.include_usage else {}
    usage: Usage | None = None
    role: dict[str, Any] = {"role": "assistant", "content": ""}
    async with aclosing(parts):
        try:
            async for part in parts:
                usage = part.usage or usage
                delta = {**role, **_delta(part)}
                if not (part.text or part.tool_calls or part.finish_reason):
                    continue
                role = {}
                choice = {"index": 0, "delta": delta, "finish_reason": part.finish_reason}
                yield event({**head, "choices": [choice], **nothing_used})
        except AiError as error:
            yield error_event(error)
            raise BodyEnded from error
    if request.include_usage:
        yield event({**head, "choices": [], "usage": (usage or Usage(0, 0)).as_dict()})
    yield DONE


def _delta(part: Part) -> dict[str, Any]:
    delta: dict[str, Any] = {}
    if part.text:
        delta["content"] = part.text
    if part.tool_calls:
        delta["tool_calls"] = [_call_delta(call) for call in part.tool_calls]
    return delta


def _call_delta(call: ToolCallDelta) -> dict[str, Any]:
    function: dict[str, Any] = {"arguments": call.arguments}
    if call.name is not None:
        function["name"] = call.name
    named = {} if call.id is None else {"id": call.id, "type": "function"}
    return {"index": call.index, **named, "function": function}


def error_event(error: AiError) -> bytes:
    """How a stream that has begun says that it cannot go on."""
    fields = {"message": error.description, "type": "server_error", "code": error.code}
    return event({"error": fields})
