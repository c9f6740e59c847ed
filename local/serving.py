"""Serves every call: applies its fault, adds it to the log of calls, and records how the answer
ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from local.answers import Answer, BodyEnded, ConnectionDropped, Parts, Unresolvable
from local.breaking import MAX_SECONDS, Sleep, broken
from local.calls import Call, CallLog
from local.errors import AiError
from local.faults import Fault, FaultBook

Work = Callable[[], Awaitable[Answer]]


@dataclass
class Serving:
    faults: FaultBook = field(default_factory=FaultBook)
    calls: CallLog = field(default_factory=CallLog)
    sleep: Sleep = asyncio.sleep
    now: Callable[[], float] = time.time

    async def serve(
        self, call: Call, fault: Fault | None, work: Work, refuse: Callable[[AiError], Answer]
    ) -> Answer:
        """`refuse` puts an error into the words of whoever is asked."""
        try:
            answer = await self._answer(fault, work, refuse)
        except ConnectionDropped:
            call.ended = "cut"
            raise
        except asyncio.CancelledError:
            call.ended = "client_gone"
            raise
        call.status = answer.status
        if answer.parts is None:
            call.ended = "complete"
            return answer
        return replace(answer, parts=_recorded(call, answer.parts))

    async def _answer(
        self, fault: Fault | None, work: Work, refuse: Callable[[AiError], Answer]
    ) -> Answer:
        try:
            answer = await self._before(fault) or await work()
        except AiError as error:
            answer = refuse(error).with_headers(retry_after(error.retry_after))
        return answer if fault is None else broken(answer, fault, self.sleep)

    async def _before(self, fault: Fault | None) -> Answer | None:
        """What a fault does before the model is asked; None lets the call go on."""
        match fault:
            case Fault(kind="error", code=int(code)):
                raise AiError(code, retry_after=fault.retry_after)
            case Fault(kind="reject"):
                raise AiError(5006)
            case Fault(kind="status", status=int(status)):
                headers = retry_after(fault.retry_after)
                return Answer(status, f"upstream status {status}\n".encode(), "text/plain", headers)
            case Fault(kind="hang"):
                await self.sleep(MAX_SECONDS)
                raise ConnectionDropped
            case Fault(kind="refuse"):
                raise ConnectionDropped
            case Fault(kind="dns"):
                raise Unresolvable
            case Fault(kind="slow", delay_ms=float() | int() as delay_ms):
                await self.sleep(delay_ms / 1000)
        return None


async def _recorded(call: Call, parts: Parts) -> Parts:
    try:
        async with aclosing(parts):
            async for part in parts:
                yield part
    except BodyEnded:
        call.ended = "cut"
        return
    except ConnectionDropped:
        call.ended = "cut"
        raise
    except (GeneratorExit, asyncio.CancelledError):
        call.ended = "client_gone"
        raise
    call.ended = "complete"


def retry_after(seconds: float | None) -> Mapping[str, str]:
    return {} if seconds is None else {"retry-after": f"{seconds:g}"}
