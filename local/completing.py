"""The answer of a model, whole or in parts, after its fault was applied."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from local.answers import EVENT_STREAM, Answer, Parts, json_answer
from local.engines import Completion, CompletionRequest, Part, TextEngine
from local.engines.parts import parts_of
from local.faults import Fault
from local.outputs import chat_completion
from local.streams import Identity, chat_events


async def chat_answer(
    engine: TextEngine, request: CompletionRequest, fault: Fault | None, now: float
) -> Answer:
    """OpenAI's chat completion."""
    identity = new_identity(now)
    if request.stream:
        parts = await started(engine, request, fault)
        return event_stream(chat_events(request, parts, identity))
    completion = await completed(engine, request, fault)
    body = chat_completion(request, completion, id=identity.id, created=identity.created)
    return json_answer(200, body)


def new_identity(now: float) -> Identity:
    return Identity(uuid.uuid4().hex, int(now))


def event_stream(parts: Parts) -> Answer:
    return Answer(200, media_type=EVENT_STREAM, parts=parts)


async def completed(
    engine: TextEngine, request: CompletionRequest, fault: Fault | None
) -> Completion:
    completion = await engine.complete(request)
    if fault is None:
        return completion
    if fault.kind == "truncated_json":
        return _truncated(completion)
    if fault.said is None:
        return completion
    return replace(completion, text=fault.said, finish_reason="stop", tool_calls=(), tokens=())


async def started(
    engine: TextEngine, request: CompletionRequest, fault: Fault | None
) -> AsyncGenerator[Part, None]:
    """The stream with its first part: an error before that part still gets an HTTP status."""
    if fault is not None and (fault.kind == "truncated_json" or fault.said is not None):
        return parts_of(await completed(engine, request, fault))
    parts = engine.stream(request)
    try:
        first = await anext(parts, Part())
    except BaseException:
        await parts.aclose()
        raise
    return _resumed(first, parts)


async def _resumed(first: Part, parts: AsyncGenerator[Part, None]) -> AsyncGenerator[Part, None]:
    async with aclosing(parts):
        yield first
        async for part in parts:
            yield part


def _truncated(completion: Completion) -> Completion:
    """As a model leaves it that runs out of tokens."""
    calls = tuple(replace(c, arguments=_half(c.arguments)) for c in completion.tool_calls)
    text = _half(completion.text)
    return replace(completion, text=text, tool_calls=calls, finish_reason="length", tokens=())


def _half(text: str) -> str:
    return text[: len(text) // 2]
