"""From a request body to a CompletionRequest, refusing what Workers AI refuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local.adapters import FindAdapter
from local.catalogue import Model
from local.engines import Adapter, CompletionRequest, JsonMode, Message
from local.errors import AiError, bad_input
from local.tools import read_tool_calls, read_tool_choice, read_tools

DEFAULT_MAX_TOKENS = 256
_CHARACTERS_PER_TOKEN = 4
# What the classic models' schemas hold, and words of OpenAI's that they are known to take.
_FIELDS = frozenset(
    {
        *("prompt", "messages", "raw", "stream", "stream_options", "max_tokens", "temperature"),
        *("top_p", "top_k", "seed", "repetition_penalty", "frequency_penalty", "presence_penalty"),
        *("tools", "functions", "response_format", "lora", "stop", "tool_choice"),
        "parallel_tool_calls",
    }
)
# Beside them, those of the newer models.
_NEWER_FIELDS = frozenset(
    {"reasoning_effort", "chat_template_kwargs", "max_completion_tokens", "logprobs"}
)
_ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})


def find_model(models: Mapping[str, Model], model_id: str) -> Model:
    model = models.get(model_id)
    if model is None:
        raise AiError(5007, f"No such model {model_id} or task")
    return model


def read_request(
    model: Model, inputs: Any, find_adapter: FindAdapter, *, strict: bool = False
) -> CompletionRequest:
    """The native input of a text generation model. With `strict`, fields that its schema does not
    have are refused, as the native endpoint does."""
    if not isinstance(inputs, dict):
        raise bad_input("Type mismatch of '/', 'object' expected")
    if strict:
        _refuse_unknown(model, inputs)
    tools, stream = read_tools(inputs.get("tools")), _flag(inputs, "stream")
    request = CompletionRequest(
        model=model,
        messages=_messages(model, inputs),
        max_tokens=int(_number(inputs, "max_tokens", 1, 1_000_000, whole=True, default=256) or 256),
        temperature=_number(inputs, "temperature", 0, 5),
        top_p=_number(inputs, "top_p", 0, 2),
        seed=_seed(inputs),
        json_mode=_json_mode(model, inputs.get("response_format"), stream=stream),
        lora=_lora(model, inputs.get("lora"), find_adapter),
        tools=tools,
        tool_choice=read_tool_choice(inputs.get("tool_choice"), tools),
        stream=stream,
        include_usage=_include_usage(inputs.get("stream_options")),
        logprobs=_flag(inputs, "logprobs"),
    )
    _check_context(request)
    return request


def native_inputs(body: Mapping[str, Any]) -> dict[str, Any]:
    """The native input that says the same as an OpenAI chat request."""
    inputs = {name: value for name, value in body.items() if name != "model"}
    limit = inputs.pop("max_completion_tokens", None)
    if limit is not None:
        inputs.setdefault("max_tokens", limit)
    return inputs


def _refuse_unknown(model: Model, inputs: Mapping[str, Any]) -> None:
    known = _FIELDS if model.shape == "classic" else _FIELDS | _NEWER_FIELDS
    unknown = sorted(set(inputs) - known)
    if unknown:
        raise bad_input(f"additional property '{unknown[0]}' found at '/', 'false' expected")


def _messages(model: Model, inputs: Mapping[str, Any]) -> tuple[Message, ...]:
    if inputs.get("messages") is not None:
        given = inputs["messages"]
        if not isinstance(given, list) or not given:
            raise bad_input("Type mismatch of '/messages', non-empty 'array' expected")
        return tuple(_message(model, message, at) for at, message in enumerate(given))
    prompt = inputs.get("prompt")
    if not isinstance(prompt, str) or not prompt:
        raise bad_input(
            "oneOf at '/' not met, 0 matches: required properties at '/' are 'prompt', "
            "required properties at '/' are 'messages'"
        )
    return (Message("user", prompt),)


def _message(model: Model, message: Any, at: int) -> Message:
    if not isinstance(message, dict) or message.get("role") not in _ROLES:
        raise bad_input(f"required properties at '/messages/{at}' are 'role,content'")
    calls = read_tool_calls(message.get("tool_calls"), at)
    content = message.get("content")
    text = "" if content is None and calls else _text(model, content, at)
    call_id = message.get("tool_call_id")
    return Message(message["role"], text, calls, None if call_id is None else str(call_id))


def _text(model: Model, content: Any, at: int) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        if not model.content_parts:
            raise bad_input(
                "oneOf at '/' not met, 0 matches: required properties at '/' are 'prompt', "
                f"Type mismatch of '/messages/{at}/content', 'array' not in 'string'"
            )
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    raise bad_input(f"Type mismatch of '/messages/{at}/content', 'string' or 'array' expected")


def _number(
    inputs: Mapping[str, Any],
    name: str,
    low: float,
    high: float,
    *,
    whole: bool = False,
    default: float | None = None,
) -> float | None:
    value = inputs.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        raise bad_input(
            f"Type mismatch of '/{name}', {'integer' if whole else 'number'!r} expected"
        )
    if not low <= value <= high:
        raise bad_input(f"'/{name}' must be between {low} and {high}")
    return float(value)


def _flag(inputs: Mapping[str, Any], name: str) -> bool:
    value = inputs.get(name, False)
    if not isinstance(value, bool) and value is not None:
        raise bad_input(f"Type mismatch of '/{name}', 'boolean' expected")
    return bool(value)


def _include_usage(stream_options: Any) -> bool:
    if stream_options is not None and not isinstance(stream_options, dict):
        raise bad_input("Type mismatch of '/stream_options', 'object' expected")
    return _flag(stream_options or {}, "include_usage")


def _seed(inputs: Mapping[str, Any]) -> int | None:
    seed = _number(inputs, "seed", 1, 9_999_999_999, whole=True)
    return None if seed is None else int(seed)


def _json_mode(model: Model, response_format: Any, *, stream: bool) -> JsonMode | None:
    if response_format is None:
        return None
    kind = response_format.get("type") if isinstance(response_format, dict) else None
    if kind == "text":
        return None
    if kind not in ("json_schema", "json_object"):
        raise bad_input("'/response_format/type' must be one of 'json_object', 'json_schema'")
    if not model.json_mode:
        raise AiError(5025)
    if stream and model.shape == "classic":
        raise AiError(5023)
    return (
        JsonMode(_schema(response_format.get("json_schema")))
        if kind[5:] == "schema"
        else JsonMode()
    )


def _schema(given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise bad_input("Type mismatch of '/response_format/json_schema', 'object' expected")
    # OpenAI wraps the schema in {"name", "schema"}; Workers AI's own form is the schema itself.
    inner = given.get("schema")
    return inner if isinstance(inner, dict) and "type" not in given else given


def _lora(model: Model, lora: Any, find_adapter: FindAdapter) -> Adapter | None:
    if lora is None:
        return None
    if not model.lora:
        raise AiError(5005, f"Model {model.id} does not support LoRA")
    return find_adapter(model, str(lora))


def _check_context(request: CompletionRequest) -> None:
    length = sum(len(message.content) for message in request.messages)
    tokens = length // _CHARACTERS_PER_TOKEN + request.max_tokens
    window = request.model.context_window
    if tokens > window:
        raise AiError(
            5021,
            f"The estimated number of input and maximum output tokens ({tokens}) "
            f"exceeded this model context window limit ({window}).",
        )
