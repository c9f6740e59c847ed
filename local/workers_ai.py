"""Workers AI: one call to one model, wrapped as over REST."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from local.adapters import Adapters
from local.answers import Answer, json_answer
from local.calls import Call, Origin
from local.catalogue import MODELS, Model
from local.completing import chat_answer, completed, event_stream, new_identity, started
from local.decisions.answering import system_one_answer
from local.decisions.faults import cut_body
from local.decisions.system_one import read_system_one
from local.embeddings import (
    EMBEDDING_MODELS,
    ENGINE,
    EmbeddingModel,
    native_embeddings,
    openai_embeddings,
)
from local.engines import Engine
from local.errors import AiError, ai_error_body, bad_input
from local.faults import Fault
from local.inputs import find_model, native_inputs, read_request
from local.outputs import native_output
from local.serving import Serving, Work
from local.streams import native_events


@dataclass
class WorkersAi:
    engine: Engine
    adapters: Adapters
    serving: Serving = field(default_factory=Serving)

    def __post_init__(self) -> None:
        self.models: Mapping[str, Model] = MODELS | {each.id: each for each in self.engine.models}

    async def run(self, model_id: str, inputs: Any, origin: Origin) -> Answer:
        """The native endpoint: /ai/run/{model}, and the gateway's workers-ai/{model}."""
        call = self.serving.calls.open(model_id, inputs, origin)
        fault = self.serving.faults.take(model_id)
        return await self._serve(call, fault, lambda: self._native(model_id, inputs, fault))

    async def chat(self, body: Any, origin: Origin) -> Answer:
        """The OpenAI-compatible endpoint: the model is named in the body."""
        model_id = str(body.get("model") if isinstance(body, dict) else None)
        call = self.serving.calls.open(model_id, body, origin)
        fault = self.serving.faults.take(model_id)
        return await self._serve(call, fault, lambda: self._chat(model_id, body, fault))

    async def embeddings(self, body: Any, origin: Origin) -> Answer:
        """The OpenAI-compatible endpoint of embedding models."""
        model_id = str(body.get("model") if isinstance(body, dict) else None)
        call = self.serving.calls.open(model_id, body, origin)
        fault = self.serving.faults.take(model_id)

        async def work() -> Answer:
            model = EMBEDDING_MODELS.get(model_id)
            if model is None:
                raise AiError(5007, f"No such model {model_id} or task")
            output = await openai_embeddings(model_id, body, model.width, fault)
            return cut_body(json_answer(200, output), fault)

        return await self._serve(call, fault, work)

    async def _serve(self, call: Call, fault: Fault | None, work: Work) -> Answer:
        answer = await self.serving.serve(call, fault, work, refusal)
        engine = ENGINE if call.model in EMBEDDING_MODELS else self.engine.name
        return answer.with_headers({"x-local-engine": engine})

    async def _embedding(self, model: EmbeddingModel, inputs: Any, fault: Fault | None) -> Answer:
        return cut_body(_wrapped(await native_embeddings(model, inputs, fault)), fault)

    async def _native(self, model_id: str, inputs: Any, fault: Fault | None) -> Answer:
        if model_id in EMBEDDING_MODELS:
            return await self._embedding(EMBEDDING_MODELS[model_id], inputs, fault)
        model = find_model(self.models, model_id)
        if model.decision:
            return await self._decision(model, inputs, fault)
        request = read_request(model, inputs, self.adapters.find, strict=True)
        identity = new_identity(self.serving.now())
        if request.stream:
            parts = await started(self.engine, request, fault)
            return event_stream(native_events(request, parts, identity))
        output = native_output(
            request,
            await completed(self.engine, request, fault),
            literal=fault is not None and fault.literal,
            id=identity.id,
            created=identity.created,
        )
        return _wrapped(output)

    async def _decision(self, model: Model, inputs: Any, fault: Fault | None) -> Answer:
        """The input names the model once more, without its owner."""
        request = read_system_one(model, inputs, name=model.id.rpartition("/")[2])
        return cut_body(_wrapped(await system_one_answer(self.engine, request, fault)), fault)

    async def _chat(self, model_id: str, body: Any, fault: Fault | None) -> Answer:
        if model_id in EMBEDDING_MODELS:
            raise bad_input(f"{model_id} writes no text: it takes 'text'")
        model = find_model(self.models, model_id)
        if model.decision:
            raise bad_input(f"{model.id} writes no text: it takes 'state' and 'questions'")
        request = read_request(model, native_inputs(body), self.adapters.find)
        return await chat_answer(self.engine, request, fault, self.serving.now())


def _wrapped(output: Any) -> Answer:
    return json_answer(200, {"result": output, "success": True, "errors": [], "messages": []})


def refusal(error: AiError) -> Answer:
    """An error in Workers AI's words."""
    return json_answer(error.status, ai_error_body(error, str(uuid.uuid4())))
