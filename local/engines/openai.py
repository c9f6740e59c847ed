"""The engine for a real model: any OpenAI-compatible server (llama.cpp, Ollama, vLLM)."""

from __future__ import annotations

from typing import Any

import httpx

from local.engines import Completion, CompletionRequest, JsonMode, Usage
from local.errors import AiError

_TIMEOUT = httpx.Timeout(120.0, connect=5.0)


class OpenAi:
    name = "openai"

    def __init__(
        self,
        url: str,
        *,
        model: str = "",
        key: str = "",
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self._model = model
        self._client = httpx.AsyncClient(
            base_url=url.rstrip("/") + "/", headers=headers, timeout=_TIMEOUT, transport=transport
        )

    async def complete(self, request: CompletionRequest) -> Completion:
        model = await self._model_name()
        answer = await self._ask("POST", "chat/completions", _body(request, model))
        metadata = {"engine": self.name, "model": model}
        if request.lora:
            metadata["lora"] = "not applied: the server was asked for its own model"
        return _completion(answer, metadata)

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


def _body(request: CompletionRequest, model: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": m.role, "content": m.content} for m in request.messages],
        "max_tokens": request.max_tokens,
    }
    for name in ("temperature", "top_p", "seed"):
        value = getattr(request, name)
        if value is not None:
            body[name] = value
    if request.json_mode is not None:
        body["response_format"] = _response_format(request.json_mode)
    return body


def _response_format(mode: JsonMode) -> dict[str, Any]:
    if mode.schema is None:
        return {"type": "json_object"}
    schema = {"name": "answer", "schema": dict(mode.schema), "strict": True}
    return {"type": "json_schema", "json_schema": schema}


def _completion(answer: Any, metadata: dict[str, str]) -> Completion:
    try:
        choice = answer["choices"][0]
        text = choice["message"].get("content") or ""
        usage = answer.get("usage") or {}
        tokens = Usage(int(usage.get("prompt_tokens", 0)), int(usage.get("completion_tokens", 0)))
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as exc:
        raise AiError(3043, "Internal server error: upstream sent no completion") from exc
    if not isinstance(text, str):
        raise AiError(3043, "Internal server error: upstream sent no text")
    cut = choice.get("finish_reason") == "length"
    return Completion(text, tokens, metadata, finish_reason="length" if cut else "stop")


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
