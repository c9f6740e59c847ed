"""Workers AI's words: the inputs of a text generation, and both shapes that its output comes in."""

from typing import Any

from edgeneuro.domain.decision import Usage
from edgeneuro.errors import InvalidOutputError
from edgeneuro.gateway.seam import ModelRequest


def text_generation_inputs(request: ModelRequest) -> dict[str, Any]:
    inputs: dict[str, Any] = {"messages": request.messages, **request.parameters}
    if request.response_schema is not None:
        inputs["response_format"] = {"type": "json_schema", "json_schema": request.response_schema}
    if request.adapter is not None:
        inputs["lora"] = request.adapter
    return inputs


def read_content(output: Any) -> str | dict[str, Any]:
    """The answer in the classic shape {"response"} or in OpenAI's {"choices"}."""
    match output:
        case {"response": str() | dict() as content}:
            return content
        case {"choices": [{"message": {"content": str() as content}}, *_]}:
            return content
    raise InvalidOutputError("The model's output is of a shape that is not known.")


def read_usage(output: Any) -> Usage:
    """Tokens as the model counts them; zeros where it does not say."""
    usage = output.get("usage") if isinstance(output, dict) else None
    if not isinstance(usage, dict):
        return Usage()

    def tokens(name: str) -> int:
        value = usage.get(name)
        return int(value) if isinstance(value, int | float) and value >= 0 else 0

    prompt, completion = tokens("prompt_tokens"), tokens("completion_tokens")
    return Usage(
        prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion
    )


def read_engine(output: Any) -> str | None:
    """What a development stand-in says it is; Cloudflare's models say nothing of the kind."""
    match output:
        case {"metadata": {"engine": str() as engine}}:
            return engine
    return None
