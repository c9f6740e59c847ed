"""The body of a request to a model: the inputs of Workers AI's text generation, within the limits
of its schemas, and OpenAI's chat completion, as the vendors accept it."""

from typing import Any

from edgeneuro.adapter.bases import find_base
from edgeneuro.adapter.messages import flatten_content, fold_system
from edgeneuro.domain.provider import Kind
from edgeneuro.gateway.interface import ModelRequest

_ANTHROPIC_MAX_TOKENS = 1_024  # Anthropic requires a limit
# The parameters that all text generation models accept. Others of OpenAI's (user,
# reasoning_effort, …) are left out, because models that do not know them refuse the request.
_KNOWN = frozenset(
    {
        "max_tokens",
        "temperature",
        "top_p",
        "top_k",
        "seed",
        "repetition_penalty",
        "frequency_penalty",
        "presence_penalty",
        "stop",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
    }
)


_MAX_SEED = 9_999_999_999  # from 1 on; 0 is refused


def text_generation_inputs(request: ModelRequest, *, stream: bool = False) -> dict[str, Any]:
    given = request.parameters
    inputs: dict[str, Any] = {"messages": text_generation_messages(request)}
    inputs |= {name: value for name, value in given.items() if name in _KNOWN}
    if isinstance(given.get("seed"), int):
        inputs["seed"] = seed_in_range(given["seed"])
    if given.get("logprobs") is True:  # set only for models that are configured to support it
        inputs["logprobs"] = True
    if given.get("max_completion_tokens") is not None:
        inputs["max_tokens"] = given["max_completion_tokens"]
    response_format = _response_format(request)
    if response_format is not None:
        inputs["response_format"] = response_format
    if request.adapter is not None:
        inputs["lora"] = request.adapter
    if stream:
        # Older models always report their usage, and ignore options that they do not know.
        inputs |= {"stream": True, "stream_options": {"include_usage": True}}
    return inputs


def text_generation_messages(request: ModelRequest) -> list[dict[str, Any]]:
    """Contents with only text become strings: classic models refuse lists. The chat templates of
    some base models have no place for a system message."""
    messages = [_message(message) for message in request.messages]
    base = find_base(request.model)
    return messages if base is None or base.system_role else fold_system(messages)


def seed_in_range(seed: int) -> int:
    """Maps a seed into Workers AI's range; a seed in the range stays the same."""
    return seed if 1 <= seed <= _MAX_SEED else 1 + seed % _MAX_SEED


def _message(message: dict[str, Any]) -> dict[str, Any]:
    """Workers AI requires a text even if the assistant only called tools."""
    content = message.get("content")
    return {**message, "content": "" if content is None else flatten_content(content)}


def _response_format(request: ModelRequest) -> Any:
    """Workers AI expects the bare schema; OpenAI wraps it in {"name", "schema"}."""
    if request.response_schema is not None:
        return {"type": "json_schema", "json_schema": request.response_schema}
    given = request.parameters.get("response_format")
    match given:
        case {"type": "json_schema", "json_schema": {"schema": dict() as schema}}:
            return {"type": "json_schema", "json_schema": schema}
        case {"type": "text"}:
            return None
    return given


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
    """Under the name that all models of the vendor accept."""
    given = body.pop("max_tokens", None)
    newer = body.pop("max_completion_tokens", None)
    limit = given if newer is None else newer
    if limit is None and kind == "anthropic":
        limit = _ANTHROPIC_MAX_TOKENS
    if limit is not None:
        body["max_completion_tokens" if kind == "openai" else "max_tokens"] = limit
