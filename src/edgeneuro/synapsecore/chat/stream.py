"""A chat's answer as server-sent events. However the stream ends, its log row is written.

If the first part arrives in time, a failure before it is an error response with its own status. If
it does not, the response starts with comments, since proxies and clients drop a response that does
not start; a later failure is an event."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from typing import Any

from edgeneuro.call import Call
from edgeneuro.domain.chat_answer import ChatAnswer, ChatFacts, ChunkDelta
from edgeneuro.domain.decision import GatewayTrace, Usage
from edgeneuro.domain.log import Ending
from edgeneuro.errors import EdgeNeuroError, UpstreamError
from edgeneuro.gateway.interface import Delta
from edgeneuro.services import Services
from edgeneuro.store.additions import Addition, Write
from edgeneuro.synapsecore.chat.answer import MAX_CACHED_BYTES, ChatStreamHandle, cache_chat
from edgeneuro.synapsecore.chat.response import (
    ChatOutcome,
    cache_state,
    chunk,
    delta_of,
    facts,
    record_chat,
)
from edgeneuro.synapsecore.chat.session import ChatSaid, StreamedText, remember_chat
from edgeneuro.synapsecore.chat.turn import ChatTurn
from edgeneuro.web.auth import Credential, is_operator
from edgeneuro.web.response import Response, error_content
from edgeneuro.web.streams import ByteStream, started

EVENT_STREAM = "text/event-stream"
# A client that has disconnected is noticed only when something is sent. Clients ignore comments.
COMMENT = b": \n\n"


class ChatStream:
    """The events of one answer, with a comment after some seconds of silence. `_ending` is how it
    would have ended if it stopped now."""

    def __init__(self, turn: ChatTurn, stream: ChatStreamHandle) -> None:
        self._turn = turn
        self._stream = stream
        self._ending: Ending = "client_gone"
        self._failure: EdgeNeuroError | None = None
        self._finish_reason = "stop"
        self._usage: Usage | None = None
        self._usage_recorded = stream.usage_recorded
        self._pending: asyncio.Future[Delta | None] | None = None
        self._text = ""
        self._said = StreamedText()
        self._remembered = False
        self._in_session: Write | None = None
        self._calls_tools = False

    async def events(self) -> AsyncGenerator[bytes, None]:
        """The role, the parts as they arrive, the finish reason, the usage if it was asked for,
        [DONE]. A failure is an event, and the last one."""
        turn, stream = self._turn, self._stream
        try:
            role = ChunkDelta(role="assistant", content="")
            yield chunk(turn, stream.model, delta=role, facts=self._facts())
            delta: Delta | None = stream.first
            while delta is not None:
                self._note(delta)
                if delta.content or delta.tool_calls:
                    yield chunk(turn, stream.model, delta=delta_of(turn, delta))
                pending = self._pending = asyncio.ensure_future(self._next())
                while await is_silent(pending, turn.services.stream_silence_seconds):
                    yield COMMENT
                delta = pending.result()
            turn.chain.finish()
            self._record_usage()
            self._remember(self._calls_tools)  # the next message may come before this one is closed
            if turn.closing_sentence is not None and not self._calls_tools:
                sentence = ChunkDelta(content=f"\n\n{turn.closing_sentence}")
                yield chunk(turn, stream.model, delta=sentence)
            for last in self._last_chunks():
                yield last
            self._ending = "complete"
            yield b"data: [DONE]\n\n"
        except Exception as error:
            yield self._failed(error)
        finally:
            await self._close()

    async def _next(self) -> Delta | None:
        started = self._turn.services.monotonic()
        try:
            return await anext(self._stream.deltas, None)
        finally:
            waited = self._turn.services.monotonic() - started
            self._turn.chain.upstream_ms += waited * 1000

    def _note(self, delta: Delta) -> None:
        self._finish_reason = delta.finish_reason or self._finish_reason
        self._usage = delta.usage or self._usage
        self._turn.note_state(self._stream.model, delta.agent_state)
        self._calls_tools = self._calls_tools or bool(delta.tool_calls)
        # No more than may be cached, and nothing if nothing is.
        if self._turn.cache_key is not None and len(self._text) <= MAX_CACHED_BYTES:
            self._text += delta.content
        if self._turn.session is not None:
            self._said.add(delta.content)

    def _record_usage(self) -> None:
        """The usage comes with the last part. Without it, the cost is not known."""
        if self._usage_recorded:
            return
        self._usage_recorded = True
        trace = self._stream.trace or GatewayTrace()
        self._turn.chain.record_usage(self._stream.model, self._usage, trace)

    def _last_chunks(self) -> Iterator[bytes]:
        turn, model = self._turn, self._stream.model
        final = self._facts()
        options = turn.request.stream_options
        usage_wanted = options is not None and options.include_usage
        yield chunk(
            turn,
            model,
            delta=ChunkDelta(),
            finish_reason=self._finish_reason,
            facts=None if usage_wanted else final,
        )
        if usage_wanted:
            yield chunk(turn, model, usage=turn.total.usage, facts=final)

    def _facts(self) -> ChatFacts:
        return facts(self._turn, cached=self._stream.cached, handoff=self._stream.handoff)

    def _failed(self, error: Exception) -> bytes:
        caller, known = self._turn.caller, known_error(error, self._turn.services)
        self._ending, self._failure = "cut", known
        if isinstance(known, UpstreamError):
            self._turn.chain.cut(known)
        return error_event(known, caller.request_id, caller.credential)

    async def _close(self) -> None:
        try:
            if self._pending is not None:  # a running generator cannot be closed
                self._pending.cancel()
                await asyncio.gather(self._pending, return_exceptions=True)
            await self._stream.deltas.aclose()
        except Exception as error:  # the client does not notice, and the row must be written
            self._turn.services.failures.note("stream_close", error)
        self._record_usage()
        self._remember(False)
        await record_chat(
            self._turn,
            ChatOutcome(
                cache=cache_state(self._turn, cached=self._stream.cached),
                latency_ms=self._turn.clock.total_ms(),
                model=self._stream.model,
                trace=self._stream.trace,
                failure=self._failure,
                streamed=True,
                ending=self._ending,
                cached_answer=self._cached_answer(),
                in_session=self._in_session,
            ),
        )

    def _remember(self, calls_tools: bool) -> None:
        """Of a stream that was cut, what there is. A cut call of a tool is none."""
        if self._remembered:
            return
        self._remembered, text = True, self._said.text
        said = ChatSaid(text=text or None, calls_tools=calls_tools) if text or calls_tools else None
        if self._stream.handoff is not None:
            said = ChatSaid(text=None)
        self._in_session = remember_chat(self._turn, said, self._failure)

    def _cached_answer(self) -> Addition | None:
        """An answer that calls tools is not cached: its parts would have to be joined first."""
        if self._ending != "complete" or self._stream.cached or self._calls_tools:
            return None
        answer = ChatAnswer(content=self._text, finish_reason=self._finish_reason)
        return cache_chat(self._turn, self._stream.model, answer)


class StreamStart:
    """`has_started` is true once the response is sent, so that its status can no longer change."""

    def __init__(self, call: Call, make: Callable[["StreamStart"], Awaitable[Response]]) -> None:
        self.has_started = False
        self._call = call
        self._making = asyncio.ensure_future(self._started(make))

    async def response(self) -> Response:
        """The response of `make`; after the longest silence, a response that waits for it. Raises
        what `make` raises before that."""
        try:
            late = await is_silent(self._making, self._call.services.stream_silence_seconds)
        except asyncio.CancelledError:
            await self._stop()
            raise
        if not late:
            return self._making.result()
        self.has_started = True
        return Response(200, self._events(), {"content-type": EVENT_STREAM})

    async def _started(self, make: Callable[["StreamStart"], Awaitable[Response]]) -> Response:
        """With its first part: a stream that has not started would close nothing."""
        response = await make(self)
        response.body = await started(_parts(response))
        return response

    async def _events(self) -> AsyncGenerator[bytes, None]:
        parts: ByteStream | None = None
        try:
            yield COMMENT
            while await is_silent(self._making, self._call.services.stream_silence_seconds):
                yield COMMENT
            parts = _parts(self._making.result())
            async for part in parts:
                yield part
        except Exception as error:
            known = known_error(error, self._call.services)
            self._call.facts["error_code"] = known.code
            yield error_event(known, self._call.request_id, self._call.credential)
        finally:
            if parts is None:
                parts = await self._stop()
            if parts is not None:
                await parts.aclose()

    async def _stop(self) -> ByteStream | None:
        """Cancels `make`; returns the parts if they are there already."""
        self._making.cancel()
        [made] = await asyncio.gather(self._making, return_exceptions=True)
        return _parts(made) if isinstance(made, Response) else None


def _parts(response: Response) -> ByteStream:
    assert not isinstance(response.body, str), "a stream has parts"
    return response.body


async def is_silent(pending: asyncio.Future[Any], seconds: float) -> bool:
    """Whether nothing arrived in this time; returns as soon as something does. Waiting never
    cancels: a cancelled generator cannot continue."""
    done, _ = await asyncio.wait([pending], timeout=seconds)
    return not done


def known_error(error: Exception, services: Services) -> EdgeNeuroError:
    """The error itself if it is an EdgeNeuroError, else one that a client may read."""
    if isinstance(error, EdgeNeuroError):
        return error
    services.failures.note("stream", error)
    return EdgeNeuroError("Something went wrong on our side. Report it with the request id.")


def error_event(error: EdgeNeuroError, request_id: str, credential: Credential) -> bytes:
    content = error_content(error, request_id, for_operator=is_operator(credential))
    return f"data: {json.dumps(content)}\n\n".encode()
