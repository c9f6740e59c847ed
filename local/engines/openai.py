"""The engine for a real model: any OpenAI-compatible server (llama.cpp, Ollama, vLLM)."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import httpx

from local.catalogue import Model
from local.decisions import Decided, DecisionRequest
from local.engines import Completion, CompletionRequest, Part
from local.engines.openai_chat import SHAPELESS, read_completion, read_part, request_body
from local.engines.openai_decisions import (
    openai_request,
    read_openai_answer,
    read_system_one_answer,
    system_one_request,
)
from local.errors import AiError
from local.settings import DecisionsApi

_TIMEOUT = httpx.Timeout(120.0, connect=5.0)


class OpenAi:
    name = "openai"
    models: tuple[Model, ...] = ()

    def __init__(
        self,
        url: str,
        *,
        model: str = "",
        key: str = "",
        decisions: DecisionsApi = "systemone",
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self._model = model
        self._decisions = decisions
        self._client = httpx.AsyncClient(
            base_url=url.rstrip("/") + "/", headers=headers, timeout=_TIMEOUT, transport=transport
        )

    async def complete(self, request: CompletionRequest) -> Completion:
        model = await self._model_name()
        answer = await self._ask("POST", "chat/completions", request_body(request, model))
        metadata = {"engine": self.name, "model": model}
        if request.lora:
            metadata["lora"] = "not applied: the server was asked for its own model"
        return read_completion(answer, metadata)

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Part, None]:
        body = {
            **request_body(request, await self._model_name()),
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        try:
            async with self._client.stream("POST", "chat/completions", json=body) as response:
                if not response.is_success:
                    await response.aread()
                    _checked(response)
                async with aclosing(_parts(response)) as parts:
                    async for part in parts:
                        yield part
        except httpx.TimeoutException as exc:
            raise AiError(3007) from exc
        except httpx.HTTPError as exc:
            raise AiError(3043, "Internal server error: the connection to LOCAL_AI_URL") from exc

    async def decide(self, request: DecisionRequest) -> Decided:
        """By POST {url}/systemone or {url}/decisions."""
        model = await self._model_name()
        metadata = {"engine": self.name, "model": model}
        if self._decisions == "systemone":
            answer = await self._ask("POST", "systemone", system_one_request(request, model))
            return read_system_one_answer(answer, metadata)
        answer = await self._ask("POST", "decisions", openai_request(request, model))
        return read_openai_answer(answer, request, metadata)

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _model_name(self) -> str:
        if not self._model:
            listed = await self._ask("GET", "models")
            self._model = _first_id(listed)
        return self._model

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        try:
            response = await self._client.request(method, path, json=body)
        except httpx.TimeoutException as exc:
            raise AiError(3007) from exc
        except httpx.HTTPError as exc:
            raise AiError(3043, "Internal server error: no connection to LOCAL_AI_URL") from exc
        return _checked(response)


def _checked(response: httpx.Response) -> Any:
    if response.status_code == 429:
        raise AiError(3040, retry_after=_seconds(response.headers.get("retry-after")))
    if response.status_code in (408, 504):
        raise AiError(3007)
    if not response.is_success:
        raise AiError(3043, f"Internal server error: upstream status {response.status_code}")
    try:
        return response.json()
    except ValueError as exc:
        raise AiError(3043, "Internal server error: upstream sent no JSON") from exc


def _first_id(listed: Any) -> str:
    try:
        return str(listed["data"][0]["id"])
    except (KeyError, IndexError, TypeError) as exc:
        raise AiError(3043, "Internal server error: LOCAL_AI_URL lists no models") from exc


def _seconds(value: str | None) -> float | None:
    try:
        return float(value) if value else None
    except ValueError:  # an HTTP date, which a local server does not send
        return None


async def _parts(response: httpx.Response) -> AsyncGenerator[Part, None]:
    async for line in response.aiter_lines():
        data = line.removeprefix("data:").strip()
        if not line.startswith("data:") or not data:
            continue
        if data == "[DONE]":
            return
        try:
            yield read_part(json.loads(data))
        except SHAPELESS as exc:
            raise AiError(3043, "Internal server error: upstream sent no chunk") from exc
    raise AiError(3043, "Internal server error: upstream broke off")
