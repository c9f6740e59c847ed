"""Workers AI: one call to one model, with the fault it was told to have, wrapped as over REST."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from local.answers import Answer, ConnectionDropped, json_answer
from local.calls import Call, CallLog, Origin
from local.engines import Completion, CompletionRequest, Engine
from local.errors import AiError, ai_error_body
from local.faults import Fault, FaultBook
from local.inputs import find_model, native_inputs, read_request
from local.outputs import chat_completion, native_output

HANG_SECONDS = 120.0

Sleep = Callable[[float], Awaitable[None]]


@dataclass
class WorkersAi:
    engine: Engine
    adapters: frozenset[str] = frozenset()
    faults: FaultBook = field(default_factory=FaultBook)
    calls: CallLog = field(default_factory=CallLog)
    sleep: Sleep = asyncio.sleep
    now: Callable[[], float] = time.time

    async def run(self, model_id: str, inputs: Any, origin: Origin) -> Answer:
        """The native endpoint: /ai/run/{model}, and the gateway's workers-ai/{model}."""
        call = self.calls.open(model_id, inputs, origin)
        return await self._answer(call, self._native)

    async def chat(self, body: Any, origin: Origin) -> Answer:
        """The OpenAI-compatible endpoint: the model is named in the body."""
        model_id = body.get("model") if isinstance(body, dict) else None
        call = self.calls.open(str(model_id), body, origin)
        return await self._answer(call, self._chat)

    async def _answer(
        self, call: Call, work: Callable[[Call, Fault | None], Awaitable[dict[str, Any]]]
    ) -> Answer:
        fault = self.faults.take(call.model)
        try:
            answer = await self._before(fault)
            if answer is None:
                answer = json_answer(200, await work(call, fault))
        except AiError as error:
            answer = _error_answer(error)
        if fault is not None and fault.kind == "malformed_json":
            answer = replace(answer, content=answer.content[: len(answer.content) // 2])
        call.status = answer.status
        return answer.with_headers({"x-local-engine": self.engine.name})

    async def _before(self, fault: Fault | None) -> Answer | None:
        """What a fault does before the model is asked; None lets the call go on."""
        match fault:
            case Fault(kind="error", code=int(code)):
                raise AiError(code, retry_after=fault.retry_after)
            case Fault(kind="status", status=int(status)):
                headers = _retry_after(fault.retry_after)
                return Answer(status, f"upstream status {status}\n".encode(), "text/plain", headers)
            case Fault(kind="hang"):
                await self.sleep(HANG_SECONDS)
                raise ConnectionDropped
            case Fault(kind="refuse"):
                raise ConnectionDropped
            case Fault(kind="slow", delay_ms=float() | int() as delay_ms):
                await self.sleep(delay_ms / 1000)
        return None

    async def _native(self, call: Call, fault: Fault | None) -> dict[str, Any]:
        request = read_request(find_model(call.model), call.inputs, self.adapters)
        completion = await self._complete(request, fault)
        output = native_output(
            request,
            completion,
            literal=fault is not None and fault.literal,
            id=uuid.uuid4().hex,
            created=int(self.now()),
        )
        return {"result": output, "success": True, "errors": [], "messages": []}

    async def _chat(self, call: Call, fault: Fault | None) -> dict[str, Any]:
        model = find_model(call.model)
        request = read_request(model, native_inputs(call.inputs), self.adapters)
        completion = await self._complete(request, fault)
        return chat_completion(request, completion, id=uuid.uuid4().hex, created=int(self.now()))

    async def _complete(self, request: CompletionRequest, fault: Fault | None) -> Completion:
        completion = await self.engine.complete(request)
        if fault is None or fault.said is None:
            return completion
        return replace(completion, text=fault.said, finish_reason="stop")


def _error_answer(error: AiError) -> Answer:
    body = ai_error_body(error, str(uuid.uuid4()))
    return json_answer(error.status, body, _retry_after(error.retry_after))


def _retry_after(seconds: float | None) -> Mapping[str, str]:
    return {} if seconds is None else {"retry-after": f"{seconds:g}"}
