"""A model's streamed answer, decoded from the events of both formats: Workers AI's classic
{"response"} and OpenAI's chunks. A stream that ends without an end event was cut off."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Protocol

from edgeneuro import bounded_json
from edgeneuro.domain.decision import Usage
from edgeneuro.domain.query import whole_characters
from edgeneuro.errors import (
    InvalidOutputError,
    UpstreamCutError,
    UpstreamError,
    UpstreamTimeoutError,
)
from edgeneuro.gateway.answers import (
    ToolCalls,
    in_whole_characters,
    openai_tool_calls,
    read_agent_state,
    read_usage,
)
from edgeneuro.gateway.http import HttpResponse
from edgeneuro.gateway.interface import AgentState, Delta, ModelAnswer
from edgeneuro.gateway.sse import SseParser
from edgeneuro.gateway.upstream_errors import error_within

_MAX_BYTES = 8_000_000
_DONE = "[DONE]"


class StreamDecoder(Protocol):
    """Decodes the events of one protocol. `done` is true when no further event is expected,
    `complete` when the events so far are a whole answer."""

    @property
    def done(self) -> bool: ...

    @property
    def complete(self) -> bool: ...

    def feed(self, data: str) -> Delta:
        """The content and the tool calls of the next event."""

    def last(self) -> Delta:
        """The last delta of a complete answer."""


async def read_deltas(
    response: HttpResponse, *, vendor: str, idle_ms: int, decoder: StreamDecoder | None = None
) -> AsyncGenerator[Delta, None]:
    """The first delta is empty and says that the first part has arrived. From then on the generator
    can be closed at any time, and closes the body; a generator that never ran closes nothing."""
    decoder = decoder or OpenAiStreamDecoder(vendor)
    async with aclosing(_parts(response, decoder, vendor=vendor, idle_ms=idle_ms)) as parts:
        first = await anext(parts)
        yield Delta()
        yield first
        async for part in parts:
            yield part


async def as_stream(answer: ModelAnswer) -> AsyncGenerator[Delta, None]:
    """A whole answer as a stream of one part, after the same empty delta."""
    yield Delta()
    content = answer.content
    yield Delta(
        content=json.dumps(content, ensure_ascii=False)
        if isinstance(content, dict)
        else content or "",
        tool_calls=_numbered(answer.tool_calls, 0),
        finish_reason=answer.finish_reason,
        usage=answer.usage,
        agent_state=answer.agent_state,
        not_mine=answer.not_mine,
    )


class _Characters:
    """The texts of a stream in whole characters: a server may cut one in two."""

    def __init__(self) -> None:
        self._half = ""

    def feed(self, text: str) -> str:
        if text.isascii() and not self._half:
            return text
        text, self._half = self._half + text, ""
        if "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return whole_characters(text)


async def _parts(
    response: HttpResponse, decoder: StreamDecoder, *, vendor: str, idle_ms: int
) -> AsyncGenerator[Delta, None]:
    characters = _Characters()
    try:
        async with aclosing(_events(response, idle_ms=idle_ms)) as events:
            async for data in events:
                delta = decoder.feed(data)
                if delta.content:
                    delta = replace(delta, content=characters.feed(delta.content))
                if delta.tool_calls:
                    delta = replace(delta, tool_calls=in_whole_characters(delta.tool_calls))
                if delta.content or delta.tool_calls or delta.not_mine:
                    yield delta
                if decoder.done:
                    break
    except UpstreamError:
        raise
    except TimeoutError as error:
        if not decoder.complete:
            raise UpstreamTimeoutError(f"{vendor} fell silent for {idle_ms} ms.") from error
    except Exception as error:
        if not decoder.complete:
            raise UpstreamCutError(f"{vendor}'s stream broke off.") from error
    if not decoder.complete:
        raise UpstreamCutError(f"{vendor}'s stream ended before the answer did.")
    yield decoder.last()


async def _events(response: HttpResponse, *, idle_ms: int) -> AsyncGenerator[str, None]:
    """Raises TimeoutError if no event arrives for `idle_ms`; a comment is not an event. The caller
    limits the time of the first event."""
    parser, size = SseParser(), 0
    loop = asyncio.get_running_loop()
    deadline: float | None = None
    async with aclosing(response.chunks()) as chunks:
        while True:
            async with asyncio.timeout_at(deadline):
                chunk = await anext(chunks, None)
            if chunk is None:
                break
            size += len(chunk)
            if size > _MAX_BYTES:
                raise InvalidOutputError(f"The stream is too large: more than {_MAX_BYTES} bytes.")
            for data in parser.feed(chunk):
                yield data
                deadline = loop.time() + idle_ms / 1000
    if _DONE in parser.end():  # an event without its end was cut off, but this one is whole
        yield _DONE


class OpenAiStreamDecoder:
    """Decodes both formats: OpenAI's chunks, and Workers AI's classic events."""

    def __init__(self, vendor: str) -> None:
        self._vendor = vendor
        self._finish_reason: str | None = None
        self._calls = 0
        self.done = False
        self._usage: Usage | None = None
        self._agent_state: AgentState | None = None

    @property
    def complete(self) -> bool:
        return self.done or self._finish_reason is not None

    def last(self) -> Delta:
        finish_reason = self._finish_reason or ("tool_calls" if self._calls else "stop")
        return Delta(finish_reason=finish_reason, usage=self._usage, agent_state=self._agent_state)

    def feed(self, data: str) -> Delta:
        if data.strip() == _DONE:
            self.done = True
            return Delta()
        try:
            event = bounded_json.loads(data)
        except bounded_json.InvalidJsonError as error:
            raise InvalidOutputError(
                f"{self._vendor}'s stream holds an event that is not JSON."
            ) from error
        failure = error_within(event, vendor=self._vendor)
        if failure is not None:
            raise failure
        self._usage = read_usage(event) or self._usage
        self._agent_state = read_agent_state(event) or self._agent_state
        return self._read(event)

    def _read(self, event: Any) -> Delta:
        match event:
            case {"choices": [{"delta": dict() as delta} as choice, *_]}:
                self._finish(choice.get("finish_reason"))
                text = delta.get("content") or delta.get("refusal")
                calls = _dicts(delta.get("tool_calls"))
            case {"response": text}:
                self._finish(event.get("finish_reason"))
                calls = _numbered(openai_tool_calls(event.get("tool_calls")), self._calls)
            case _:
                return Delta()  # only the usage, or a ping
        self._calls += len(calls)
        return Delta(content=_text(text), tool_calls=calls)

    def _finish(self, given: Any) -> None:
        if isinstance(given, str):
            self._finish_reason = given


def _text(value: Any) -> str:
    """Workers AI sometimes sends a token of digits as a number."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _dicts(value: Any) -> ToolCalls:
    listed = value if isinstance(value, list) else []
    return tuple(each for each in listed if isinstance(each, dict))


def _numbered(calls: ToolCalls, start: int) -> ToolCalls:
    """Whole tool calls as OpenAI's deltas."""
    return tuple({"index": start + at, **call} for at, call in enumerate(calls))
