"""OpenAI's chat completions: a question written; a whole answer or a chunk of a stream read."""

from __future__ import annotations

from typing import Any

from local.engines import (
    Completion,
    CompletionRequest,
    FinishReason,
    JsonMode,
    Message,
    Part,
    Token,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
    Usage,
)
from local.errors import AiError

# What reading something of another shape raises.
SHAPELESS = (KeyError, IndexError, TypeError, AttributeError, ValueError)


def request_body(request: CompletionRequest, model: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": model,
        "messages": [_message(message) for message in request.messages],
        "max_tokens": request.max_tokens,
    }
    for name in ("temperature", "top_p", "seed"):
        value = getattr(request, name)
        if value is not None:
            body[name] = value
    if request.logprobs:
        body["logprobs"] = True
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


def read_completion(answer: Any, metadata: dict[str, str]) -> Completion:
    try:
        choice = answer["choices"][0]
        message = choice["message"]
        text = message.get("content") or ""
        calls = tuple(_call(call) for call in message.get("tool_calls") or ())
        usage = _usage(answer) or Usage(0, 0)
        tokens = tuple(_token(each) for each in (choice.get("logprobs") or {}).get("content") or ())
    except SHAPELESS as exc:
        raise AiError(3043, "Internal server error: upstream sent no completion") from exc
    if not isinstance(text, str):
        raise AiError(3043, "Internal server error: upstream sent no text")
    finish = "tool_calls" if calls else _finish(choice.get("finish_reason"))
    return Completion(text, usage, metadata, finish or "stop", calls, tokens)


def read_part(chunk: Any) -> Part:
    choice = (chunk.get("choices") or [{}])[0]
    delta = choice.get("delta") or {}
    deltas = tuple(_delta(call) for call in delta.get("tool_calls") or ())
    text = delta.get("content") or ""
    return Part(str(text), deltas, _finish(choice.get("finish_reason")), _usage(chunk))


def _token(given: Any) -> Token:
    return Token(str(given["token"]), float(given["logprob"]))


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
