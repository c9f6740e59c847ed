"""A chat's answer as server-sent events. However the stream ends, its row is written."""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from typing import Any

from edgeneuro.domain.chat_answer import ChatFacts, ChunkDelta, KeptAnswer
from edgeneuro.domain.decision import GatewayTrace, Usage
from edgeneuro.domain.log import Ending
from edgeneuro.errors import EdgeNeuroError, UpstreamError
from edgeneuro.gateway.interface import Delta
from edgeneuro.services import Services
from edgeneuro.store.database import Statement
from edgeneuro.synapsecore.chat_ask import Opened
from edgeneuro.synapsecore.chat_recall import MAX_KEPT_BYTES, remember_chat
from edgeneuro.synapsecore.chat_record import Outcome, record_chat
from edgeneuro.synapsecore.chat_reply import cache_state, chunk, delta_of, facts
from edgeneuro.synapsecore.chat_turn import Turn
from edgeneuro.web.auth import Credential, is_operator
from edgeneuro.web.response import error_content

EVENT_STREAM = "text/event-stream"
# That a client has left shows only when something is sent to it. Clients ignore comments.
COMMENT = b": \n\n"


class ChatStream:
    """One answer on its way out, with a comment after so many seconds of silence. `_ending` is what
    it would be if it ended here."""

    def __init__(self, turn: Turn, opened: Opened) -> None:
        self._turn = turn
        self._opened = opened
        self._ending: Ending = "client_gone"
        self._failure: EdgeNeuroError | None = None
        self._finish_reason = "stop"
        self._usage: Usage | None = None
        self._paid = opened.kept or opened.handoff is not None
        self._pending: asyncio.Future[Delta | None] | None = None
        self._said = ""
        self._calls_tools = False

    async def events(self) -> AsyncGenerator[bytes, None]:
        """The role, the parts as they come, the finish, the usage if it was asked for, [DONE]. A
        failure on the way is an event, and nothing follows it."""
        turn, opened = self._turn, self._opened
        try:
            role = ChunkDelta(role="assistant", content="")
            yield chunk(turn, opened.model, delta=role, facts=self._facts())
            delta: Delta | None = opened.first
            while delta is not None:
                self._note(delta)
                if delta.content or delta.tool_calls:
                    yield chunk(turn, opened.model, delta=delta_of(turn, delta))
                pending = self._pending = asyncio.ensure_future(self._next())
                while await is_silent(pending, turn.services.stream_silence_seconds):
                    yield COMMENT
                delta = pending.result()
            turn.chain.finish()
            self._pay()
            for last in self._last_chunks():
                yield last
            self._ending = "complete"
            yield b"data: [DONE]\n\n"
        except Exception as error:
            yield self._broken_off(error)
        finally:
            await self._close()

    async def _next(self) -> Delta | None:
        started = self._turn.services.monotonic()
        try:
            return await anext(self._opened.deltas, None)
        finally:
            waited = self._turn.services.monotonic() - started
            self._turn.chain.upstream_ms += waited * 1000

    def _note(self, delta: Delta) -> None:
        self._finish_reason = delta.finish_reason or self._finish_reason
        self._usage = delta.usage or self._usage
        self._calls_tools = self._calls_tools or bool(delta.tool_calls)
        # No more than what may be kept, and nothing where nothing is.
        if self._turn.cache_key is not None and len(self._said) <= MAX_KEPT_BYTES:
            self._said += delta.content

    def _pay(self) -> None:
        """The tokens come with the last part. Where they did not come, the cost is not known."""
        if self._paid:
            return
        self._paid = True
        trace = self._opened.trace or GatewayTrace()
        self._turn.chain.record_usage(self._opened.model, self._usage, trace)

    def _last_chunks(self) -> Iterator[bytes]:
        turn, model = self._turn, self._opened.model
        told = self._facts()
        options = turn.request.stream_options
        usage_wanted = options is not None and options.include_usage
        yield chunk(
            turn,
            model,
            delta=ChunkDelta(),
            finish_reason=self._finish_reason,
            facts=None if usage_wanted else told,
        )
        if usage_wanted:
            yield chunk(turn, model, usage=turn.usage, facts=told)

    def _facts(self) -> ChatFacts:
        return facts(self._turn, kept=self._opened.kept, handoff=self._opened.handoff)

    def _broken_off(self, error: Exception) -> bytes:
        asker, known = self._turn.asker, known_error(error, self._turn.services)
        self._ending, self._failure = "cut", known
        if isinstance(known, UpstreamError):
            self._turn.chain.cut(known)
        return error_event(known, asker.request_id, asker.credential)

    async def _close(self) -> None:
        try:
            if self._pending is not None:  # a generator at work cannot be closed
                self._pending.cancel()
                await asyncio.gather(self._pending, return_exceptions=True)
            await self._opened.deltas.aclose()
        except Exception as error:  # of no consequence to the client, and the row is to be written
            self._turn.services.failures.note("stream_close", error)
        self._pay()
        await record_chat(
            self._turn,
            Outcome(
                cache=cache_state(self._turn, kept=self._opened.kept),
                latency_ms=self._turn.stages.total_ms(),
                model=self._opened.model,
                trace=self._opened.trace,
                failure=self._failure,
                streamed=True,
                ending=self._ending,
                new_answer=self._remembered(),
            ),
        )

    def _remembered(self) -> Statement | None:
        """An answer that calls tools is not kept here: its parts would have to be put together."""
        if self._ending != "complete" or self._opened.kept or self._calls_tools:
            return None
        answer = KeptAnswer(content=self._said, finish_reason=self._finish_reason)
        return remember_chat(self._turn, self._opened.model, answer)


async def is_silent(pending: asyncio.Future[Any], seconds: float) -> bool:
    """Whether nothing came for so long; returns as soon as something is there. Waiting never
    cancels: a generator does not go on after that."""
    done, _ = await asyncio.wait([pending], timeout=seconds)
    return not done


def known_error(error: Exception, services: Services) -> EdgeNeuroError:
    """The error itself, or in place of one that is not ours what a client may read."""
    if isinstance(error, EdgeNeuroError):
        return error
    services.failures.note("stream", error)
    return EdgeNeuroError("Something went wrong on our side. Report it with the request id.")


def error_event(error: EdgeNeuroError, request_id: str, credential: Credential) -> bytes:
    content = error_content(error, request_id, for_operator=is_operator(credential))
    return f"data: {json.dumps(content)}\n\n".encode()
