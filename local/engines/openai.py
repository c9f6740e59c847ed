"""The engine for a real model: any OpenAI-compatible server (llama.cpp, Ollama, vLLM)."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import httpx

from local.engines import (
    Completion,
    CompletionRequest,
    FinishReason,
    JsonMode,
    Message,
    Part,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
    Usage,
)
from local.errors import AiError

_SHAPELESS = (KeyError, IndexError, TypeError, AttributeError, ValueError)
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

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Part, None]:
        body = {
            **_body(request, await self._model_name()),
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
        "messages": [_message(message) for message in request.messages],
        "max_tokens": request.max_tokens,
    }
    for name in ("temperature", "top_p", "seed"):
        value = getattr(request, name)
        if value is not None:
            body[name] = value
    if request.json_mode is not None:
        body["response_format"] = _response_format(request.json_mode)
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        body["tool_choice"] = _tool_choice(request.tool_choice)
    return body


def _message(message: Message) -> dict[str, Any]:
    fields: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        fields["content"] = message.content or None
        fields["tool_calls"] = [call.as_dict() for call in message.tool_calls]
    if message.tool_call_id is not None:
        fields["tool_call_id"] = message.tool_call_id
    return fields


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name, "description": tool.description}
    if tool.parameters is not None:
        function["parameters"] = tool.parameters
    return {"type": "function", "function": function}


def _tool_choice(choice: ToolChoice) -> Any:
    if choice.name is None:
        return choice.mode
    return {"type": "function", "function": {"name": choice.name}}


def _response_format(mode: JsonMode) -> dict[str, Any]:
    if mode.schema is None:
        return {"type": "json_object"}
    schema = {"name": "answer", "schema": dict(mode.schema), "strict": True}
    return {"type": "json_schema", "json_schema": schema}


def _completion(answer: Any, metadata: dict[str, str]) -> Completion:
    try:
        choice = answer["choices"][0]
        message = choice["message"]
        text = message.get("content") or ""
        calls = tuple(_call(call) for call in message.get("tool_calls") or ())
        usage = _usage(answer) or Usage(0, 0)
    except _SHAPELESS as exc:
        raise AiError(3043, "Internal server error: upstream sent no completion") from exc
    if not isinstance(text, str):
        raise AiError(3043, "Internal server error: upstream sent no text")
    finish = "tool_calls" if calls else _finish(choice.get("finish_reason"))
    return Completion(text, usage, metadata, finish or "stop", calls)


async def _parts(response: httpx.Response) -> AsyncGenerator[Part, None]:
    async for line in response.aiter_lines():
        data = line.removeprefix("data:").strip()
        if not line.startswith("data:") or not data:
            continue
        if data == "[DONE]":
            return
        try:
            yield _part(json.loads(data))
        except _SHAPELESS as exc:
            raise AiError(3043, "Internal server error: upstream sent no chunk") from exc
    raise AiError(3043, "Internal server error: upstream broke off")


def _part(chunk: Any) -> Part:
    choice = (chunk.get("choices") or [{}])[0]
    delta = choice.get("delta") or {}
    deltas = tuple(_delta(call) for call in delta.get("tool_calls") or ())
    text = delta.get("content") or ""
    return Part(str(text), deltas, _finish(choice.get("finish_reason")), _usage(chunk))


def _call(call: Any) -> ToolCall:
    function = call["function"]
    return ToolCall(str(call.get("id") or "call_0"), function["name"], function["arguments"])


def _delta(call: Any) -> ToolCallDelta:
    function = call.get("function") or {}
    arguments = function.get("arguments") or ""
    return ToolCallDelta(int(call.get("index", 0)), arguments, call.get("id"), function.get("name"))


def _usage(answer: Any) -> Usage | None:
    usage = answer.get("usage")
    if not usage:
        return None
    return Usage(int(usage.get("prompt_tokens", 0)), int(usage.get("completion_tokens", 0)))


def _finish(reason: Any) -> FinishReason | None:
    match reason:
        case None | "stop" | "length" | "tool_calls":
            return reason
    return "stop"


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
