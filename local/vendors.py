"""OpenAI-compatible servers of other vendors, asked directly or through AI Gateway."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.adapters import no_adapter
from local.answers import Answer, json_answer
from local.calls import Call, Origin
from local.catalogue import Model
from local.completing import chat_answer
from local.engines import Engine
from local.errors import AiError, vendor_error_body
from local.faults import Fault
from local.inputs import native_inputs, read_request
from local.serving import Serving

_CONTEXT_WINDOW = 128_000
_MAX_TOKENS = 4_096
# provider in AI Gateway's URLs -> the path of its chat completions there
GATEWAY_VENDORS = {
    "openai": "chat/completions",
    "groq": "chat/completions",
    "anthropic": "v1/chat/completions",
}


@dataclass
class Vendors:
    """Any model's name will do, and any key."""

    engine: Engine
    serving: Serving

    async def chat(self, body: Any, headers: Mapping[str, str], origin: Origin) -> Answer:
        """A call that came through AI Gateway."""
        model = model_name(body)
        call = self.serving.calls.open(model, body, origin)
        return await self.answer(call, self.serving.faults.take(model), headers)

    async def answer(self, call: Call, fault: Fault | None, headers: Mapping[str, str]) -> Answer:
        async def work() -> Answer:
            return await self._chat(call.inputs, headers, fault)

        answer = await self.serving.serve(call, fault, work, refusal)
        return answer.with_headers({"x-local-engine": self.engine.name})

    async def _chat(self, body: Any, headers: Mapping[str, str], fault: Fault | None) -> Answer:
        if not has_bearer(headers):
            return unauthorized()
        name = model_name(body)
        if not name:
            raise AiError(5006, "you must provide a model parameter")
        inputs = {"max_tokens": _MAX_TOKENS, **native_inputs(body)}
        model = Model(name, "openai", json_mode=True, lora=False, context_window=_CONTEXT_WINDOW)
        request = read_request(model, inputs, no_adapter)
        return await chat_answer(self.engine, request, fault, self.serving.now())


def refusal(error: AiError) -> Answer:
    """An error in OpenAI's words."""
    return json_answer(error.status, vendor_error_body(error))


def not_found(path: str) -> Answer:
    message = f"Invalid URL ({path})"
    fields = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return json_answer(404, {"error": fields})


def unauthorized() -> Answer:
    fields = {
        "message": "You didn't provide an API key. Send it as Authorization: Bearer YOUR_KEY.",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_api_key",
    }
    return json_answer(401, {"error": fields})


def model_name(body: Any) -> str:
    name = body.get("model") if isinstance(body, dict) else None
    return name if isinstance(name, str) else ""


def has_bearer(headers: Mapping[str, str]) -> bool:
    scheme, _, credential = headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and bool(credential.strip())
