"""Faults on the way: the body of an answer cut, dripped, stalled or broken.

A part is one event of a stream. A whole answer counts as two halves, or, dripping, as bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace

from local.answers import Answer, BodyEnded, ConnectionDropped, Parts
from local.errors import AiError
from local.faults import Fault
from local.streams import error_event

# A reader without a bound on the depth does not survive it.
NESTED = b'{"a":' * 20_000 + b"1" + b"}" * 20_000

MAX_SECONDS = 120.0  # no fault keeps a client any longer

Sleep = Callable[[float], Awaitable[None]]


def broken(answer: Answer, fault: Fault, sleep: Sleep = asyncio.sleep) -> Answer:
    """The answer as it leaves under this fault; most faults leave the body alone."""
    if answer.parts is not None:
        return replace(answer, parts=_broken_stream(answer.parts, fault, sleep))
    content = answer.content
    half = len(content) // 2
    if fault.kind == "malformed_json":
        return replace(answer, content=content[:half])
    if fault.kind == "nested_json":
        return replace(answer, content=NESTED)
    if fault.kind not in ("cut", "drip", "stall"):
        return answer
    if fault.kind == "drip":
        parts = _dripping(_bytewise(content), fault, sleep)
    else:
        parts = _halfway(content[:half], fault, sleep)
    sized = answer.with_headers({"content-length": str(len(content))})
    return replace(sized, content=b"", parts=parts)


def _broken_stream(parts: Parts, fault: Fault, sleep: Sleep) -> Parts:
    match fault.kind:
        case "cut" | "stream_error" | "stall":
            return _stopping(parts, fault, sleep)
        case "drip":
            return _dripping(parts, fault, sleep)
        case "malformed_json":
            return _malformed(parts)
        case "nested_json":
            return _nested(parts)
    return parts


async def _stopping(parts: Parts, fault: Fault, sleep: Sleep) -> Parts:
    left = fault.after or 1
    async with aclosing(parts):
        async for part in parts:
            yield part
            left -= 1
            if left == 0:
                break
    if fault.kind == "stall":
        await sleep(MAX_SECONDS)
    if fault.kind == "stream_error":
        yield error_event(AiError(3043))
    if fault.kind == "stall" or fault.abrupt:
        raise ConnectionDropped
    raise BodyEnded


async def _halfway(content: bytes, fault: Fault, sleep: Sleep) -> Parts:
    yield content
    if fault.kind == "stall":
        await sleep(MAX_SECONDS)
    raise ConnectionDropped


async def _dripping(parts: Parts, fault: Fault, sleep: Sleep) -> Parts:
    delay = (fault.delay_ms or 0) / 1000
    waited = 0.0
    async with aclosing(parts):
        async for part in parts:
            yield part
            if waited < MAX_SECONDS:  # what is left after that comes at once
                waited += delay
                await sleep(delay)


async def _bytewise(content: bytes) -> Parts:
    for at in range(len(content)):
        yield content[at : at + 1]


async def _malformed(parts: Parts) -> Parts:
    """The first event's JSON is broken, in events that are sound."""
    async with aclosing(parts):
        first = await anext(parts)
        yield first[: len(first) // 2] + b"\n\n"
        async for part in parts:
            yield part


async def _nested(parts: Parts) -> Parts:
    """One such event before the others."""
    yield b"data: " + NESTED + b"\n\n"
    async with aclosing(parts):
        async for part in parts:
            yield part
