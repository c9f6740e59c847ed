"""The two shapes in which a text generation model answers, before any envelope."""

from __future__ import annotations

import json
from typing import Any

from local.engines import Completion, CompletionRequest
from local.errors import AiError


def native_output(
    request: CompletionRequest, completion: Completion, *, literal: bool, id: str, created: int
) -> dict[str, Any]:
    if request.model.shape == "openai":
        return chat_completion(request, completion, id=id, created=created)
    return {
        "response": _response(request, completion, literal=literal),
        "tool_calls": [],
        "usage": completion.usage.as_dict(),
        "metadata": dict(completion.metadata),
    }


def chat_completion(
    request: CompletionRequest, completion: Completion, *, id: str, created: int
) -> dict[str, Any]:
    message = {"role": "assistant", "content": completion.text}
    return {
        "id": f"chatcmpl-{id}",
        "object": "chat.completion",
        "created": created,
        "model": request.model.id,
        "choices": [{"index": 0, "message": message, "finish_reason": completion.finish_reason}],
        "usage": completion.usage.as_dict(),
        "metadata": dict(completion.metadata),
    }


def _response(request: CompletionRequest, completion: Completion, *, literal: bool) -> Any:
    """In JSON mode an object, already parsed. `literal` is the text as it is (a fault asked)."""
    if request.json_mode is None or literal:
        return completion.text
    try:
        value = json.loads(completion.text)
    except ValueError as exc:
        raise AiError(5024) from exc
    if not isinstance(value, dict):
        raise AiError(5024)
    return value
