"""Workers AI's own words: the inputs of a text generation."""

from typing import Any

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
    inputs: dict[str, Any] = {"messages": request.messages}
    inputs |= {name: value for name, value in given.items() if name in _KNOWN}
    if given.get("max_completion_tokens") is not None:
        inputs["max_tokens"] = given["max_completion_tokens"]
    response_format = _response_format(request)
    if response_format is not None:
        inputs["response_format"] = response_format
    if request.adapter is not None:
        inputs["lora"] = request.adapter
    if stream:
        inputs["stream"] = True
    return inputs


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
