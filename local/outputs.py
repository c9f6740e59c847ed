"""The two shapes in which a text generation model answers, before any envelope."""

from __future__ import annotations

import json
from typing import Any

from local.engines import Completion, CompletionRequest, ToolCall
from local.errors import AiError


def native_output(
    request: CompletionRequest, completion: Completion, *, literal: bool, id: str, created: int
) -> dict[str, Any]:
    if request.model.shape == "openai":
        return chat_completion(request, completion, id=id, created=created)
    return {
        "response": _response(request, completion, literal=literal),
        "tool_calls": [native_call(call) for call in completion.tool_calls],
        "usage": completion.usage.as_dict(),
        "metadata": dict(completion.metadata),
    }


def chat_completion(
    request: CompletionRequest, completion: Completion, *, id: str, created: int
) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": completion.text}
    if completion.tool_calls:
        message["content"] = completion.text or None
        message["tool_calls"] = [call.as_dict() for call in completion.tool_calls]
    choice = {"index": 0, "message": message, "finish_reason": completion.finish_reason}
    if completion.tokens:
        choice["logprobs"] = {"content": [token.as_dict() for token in completion.tokens]}
    return {
        "id": f"chatcmpl-{id}",
        "object": "chat.completion",
        "created": created,
        "model": request.model.id,
        "choices": [choice],
        "usage": completion.usage.as_dict(),
        "metadata": dict(completion.metadata),
    }


def native_call(call: ToolCall) -> dict[str, Any]:
    """The arguments as an object; as the text they are, if they are none."""
    try:
        arguments = json.loads(call.arguments)
    except (ValueError, RecursionError):
        arguments = call.arguments
    return {"name": call.name, "arguments": arguments}


def _response(request: CompletionRequest, completion: Completion, *, literal: bool) -> Any:
    """In JSON mode an object, already parsed. `literal` is the text as it is (a fault asked)."""
    if completion.tool_calls:
        return completion.text or None
    if request.json_mode is None or literal:
        return completion.text
    try:
        value = json.loads(completion.text)
    except (ValueError, RecursionError) as exc:
        raise AiError(5024) from exc
    if not isinstance(value, dict):
        raise AiError(5024)
    return value
