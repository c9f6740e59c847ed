"""OpenAI-compatible servers of other vendors, asked directly or through AI Gateway."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from local.adapters import no_adapter
from local.answers import Answer, json_answer
from local.calls import Call, Origin
from local.catalogue import Model
from local.completing import chat_answer
from local.decisions.answering import openai_answer, system_one_answer
from local.decisions.faults import cut_body
from local.decisions.openai_format import read_openai_decision
from local.decisions.system_one import read_system_one
from local.embeddings import ENGINE, openai_embeddings
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
GATEWAY_DECISIONS = ("openai", "decisions")
GATEWAY_EMBEDDINGS = ("openai", "embeddings")
# The only decision model of OpenAI's own; any other host takes any name.
OPENAI_DECISION_MODEL = "gpt-6-luna"
_IMAGES = re.compile(r"clef\b")  # in the name of a System One model that reads images

Api = Literal["chat", "embeddings", "decisions", "openai_decisions", "systemone"]


@dataclass
class Vendors:
    """Any model's name will do, and any key."""

    engine: Engine
    serving: Serving

    async def through_gateway(
        self, api: Api, body: Any, headers: Mapping[str, str], origin: Origin
    ) -> Answer:
        model = model_name(body)
        call = self.serving.calls.open(model, body, origin)
        return await self.answer(api, call, self.serving.faults.take(model), headers)

    async def answer(
        self, api: Api, call: Call, fault: Fault | None, headers: Mapping[str, str]
    ) -> Answer:
        async def work() -> Answer:
            if not has_bearer(headers):
                return unauthorized()
            name = model_name(call.inputs)
            if not name:
                raise AiError(5006, "you must provide a model parameter")
            if api == "chat":
                return await self._chat(name, call.inputs, fault)
            if api == "embeddings":
                output = await openai_embeddings(name, call.inputs, None, fault)
                return cut_body(json_answer(200, output), fault)
            return cut_body(json_answer(200, await self._decide(api, name, call, fault)), fault)

        answer = await self.serving.serve(call, fault, work, refusal)
        engine = ENGINE if api == "embeddings" else self.engine.name
        return answer.with_headers({"x-local-engine": engine})

    async def _decide(self, api: Api, name: str, call: Call, fault: Fault | None) -> dict[str, Any]:
        if api == "openai_decisions" and name != OPENAI_DECISION_MODEL:
            raise AiError(5007, f"The model {name!r} does not support this endpoint")
        images = _IMAGES.search(name) is not None
        model = Model(name, "openai", False, False, _CONTEXT_WINDOW, None, True, images)
        if api == "systemone":
            return await system_one_answer(self.engine, read_system_one(model, call.inputs), fault)
        return await openai_answer(self.engine, read_openai_decision(model, call.inputs), fault)

    async def _chat(self, name: str, body: Any, fault: Fault | None) -> Answer:
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
