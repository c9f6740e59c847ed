"""OpenAI's words: the body of a chat completion, as the vendors take it."""

from typing import Any

from edgeneuro.domain.provider import Kind
from edgeneuro.gateway.seam import ModelRequest

_ANTHROPIC_MAX_TOKENS = 1_024  # Anthropic demands a limit


def chat_body(request: ModelRequest, kind: Kind, *, stream: bool = False) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": request.model,
        "messages": request.messages,
        **request.parameters,
    }
    if request.response_schema is not None:
        named = {"name": "answer", "strict": True, "schema": request.response_schema}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    if request.adapter is not None:
        body["lora"] = request.adapter
    _limit_tokens(body, kind)
    return body


def _limit_tokens(body: dict[str, Any], kind: Kind) -> None:
    """Under the name that the vendor takes for all its models."""
    given = body.pop("max_tokens", None)
    newer = body.pop("max_completion_tokens", None)
    limit = given if newer is None else newer
    if limit is None and kind == "anthropic":
        limit = _ANTHROPIC_MAX_TOKENS
    if limit is not None:
        body["max_completion_tokens" if kind == "openai" else "max_tokens"] = limit
