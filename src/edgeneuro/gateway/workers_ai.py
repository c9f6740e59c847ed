"""Workers AI's own words: the inputs of a text generation."""

from typing import Any

from edgeneuro.adapter.bases import find_base
from edgeneuro.adapter.messages import fold_system
from edgeneuro.gateway.seam import ModelRequest

# What text generation models take; anything else of OpenAI's (user, store, n, …) is left out.
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
        "reasoning_effort",
    }
)


def text_generation_inputs(request: ModelRequest, *, stream: bool = False) -> dict[str, Any]:
    given = request.parameters
    inputs: dict[str, Any] = {"messages": [_message(message) for message in _messages(request)]}
    inputs |= {name: value for name, value in given.items() if name in _KNOWN}
    if given.get("max_completion_tokens") is not None:
        inputs["max_tokens"] = given["max_completion_tokens"]
    response_format = _response_format(request)
    if response_format is not None:
        inputs["response_format"] = response_format
    if request.adapter is not None:
        inputs["lora"] = request.adapter
    if stream:
        # Models of the older kind tell their usage anyway, and pass over what they do not know.
        inputs |= {"stream": True, "stream_options": {"include_usage": True}}
    return inputs


def _messages(request: ModelRequest) -> list[dict[str, Any]]:
    """As the adapter was trained: some bases' chat templates have no place for a system message."""
    base = None if request.adapter is None else find_base(request.model)
    if base is None or base.system_role:
        return request.messages
    return fold_system(request.messages)


def _message(message: dict[str, Any]) -> dict[str, Any]:
    """Workers AI wants a text also where the assistant only called tools."""
    return message if message.get("content") is not None else {**message, "content": ""}


def _response_format(request: ModelRequest) -> Any:
    """Workers AI takes the schema bare, where OpenAI wraps it in {"name", "schema"}."""
    if request.response_schema is not None:
        return {"type": "json_schema", "json_schema": request.response_schema}
    given = request.parameters.get("response_format")
    match given:
        case {"type": "json_schema", "json_schema": {"schema": dict() as schema}}:
            return {"type": "json_schema", "json_schema": schema}
        case {"type": "text"}:
            return None
    return given
