"""A model's whole answer, in both formats: Workers AI's classic {"response"} and OpenAI's
{"choices"}."""

import json
import math
from typing import Any

from edgeneuro import bounded_json
from edgeneuro.domain.decision import GatewayTrace, Usage
from edgeneuro.domain.query import whole_characters
from edgeneuro.errors import InvalidOutputError
from edgeneuro.gateway.interface import AgentState, ModelAnswer, Token
from edgeneuro.gateway.upstream_errors import error_within

ToolCalls = tuple[dict[str, Any], ...]


def read_answer(body: bytes, trace: GatewayTrace, *, vendor: str) -> ModelAnswer:
    """Raises InvalidOutputError, or the error that the body contains."""
    try:
        output = bounded_json.loads(body)
    except bounded_json.InvalidJsonError as error:
        raise InvalidOutputError(f"{vendor}'s answer is not JSON.") from error
    output = unwrapped(output, vendor=vendor)
    content, tool_calls, finish_reason = read_output(output)
    return ModelAnswer(
        content=content,
        tool_calls=tool_calls,
        finish_reason=finish_reason,
        usage=read_usage(output) or Usage(),
        trace=trace,
        engine=read_engine(output),
        tokens=_tokens(output),
        agent_state=read_agent_state(output),
    )


def read_agent_state(output: Any) -> AgentState | None:
    """What an agent says in our own field, of an answer, of a chunk, or of A2A's metadata."""
    match output:
        case {"edgeneuro": {"done": True}}:
            return AgentState(done=True)
    return None


def unwrapped(output: Any, *, vendor: str) -> Any:
    """The result: REST wraps it, the binding does not. Raises the error that is in its place."""
    error_inside = error_within(output, vendor=vendor)
    if error_inside is not None:
        raise error_inside
    is_wrapped = isinstance(output, dict) and output.get("success") is True
    return output.get("result") if is_wrapped else output


def read_output(output: Any) -> tuple[str | dict[str, Any] | None, ToolCalls, str]:
    """Content, tool calls and finish reason."""
    match output:
        case {"choices": [{"message": dict() as message} as choice, *_]}:
            content = message.get("content")
            content = message.get("refusal") if content is None else content
            calls = openai_tool_calls(message.get("tool_calls"))
            finish_reason = choice.get("finish_reason")
        case {"response": content}:
            calls = openai_tool_calls(output.get("tool_calls"))
            finish_reason = output.get("finish_reason")
        case _:
            raise InvalidOutputError("The model's output is of a shape that is not known.")
    if not (isinstance(content, str | dict) or (content is None and calls)):
        raise InvalidOutputError("The model's output is of a shape that is not known.")
    if not isinstance(finish_reason, str):
        finish_reason = "tool_calls" if calls else "stop"
    return content, in_whole_characters(calls), finish_reason


def in_whole_characters(calls: ToolCalls) -> ToolCalls:
    """Halves of characters could not be sent on."""
    given = json.dumps(calls, ensure_ascii=False) if calls else ""
    whole = whole_characters(given)
    return calls if whole == given else tuple(bounded_json.loads(whole))


def openai_tool_calls(given: Any) -> ToolCalls:
    """Workers AI's classic [{"name", "arguments"}] in OpenAI's shape; OpenAI's as they are."""
    listed = given if isinstance(given, list) else []
    calls: list[dict[str, Any]] = []
    for index, call in enumerate(listed):
        match call:
            case {"function": {"name": str()}}:
                calls.append({"id": f"call_{index}", "type": "function", **call})
            case {"name": str() as name}:
                calls.append(_called(f"call_{index}", name, call))
            case _:
                raise InvalidOutputError("The model's tool calls are of a shape that is not known.")
    return tuple(calls)


def _called(default_id: str, name: str, call: dict[str, Any]) -> dict[str, Any]:
    arguments = call.get("arguments", {})
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    call_id = call.get("id")
    return {
        "id": call_id if isinstance(call_id, str) and call_id else default_id,
        "type": "function",
        "function": {"name": name, "arguments": text},
    }


def read_usage(output: Any) -> Usage | None:
    """The tokens as the model counts them, under the names of chats or of decisions; None if it
    does not report them."""
    usage = output.get("usage") if isinstance(output, dict) else None
    if not isinstance(usage, dict):
        return None

    def tokens(name: str, decision_name: str) -> int:
        value = usage.get(name, usage.get(decision_name))
        return int(value) if isinstance(value, int | float) and 0 <= value < 1e15 else 0

    prompt = tokens("prompt_tokens", "input_tokens")
    completion = tokens("completion_tokens", "output_tokens")
    return Usage(
        prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion
    )


def _tokens(output: Any) -> tuple[Token, ...]:
    """Empty if the model returns no probabilities, or not one for each token."""
    match output:
        case {"choices": [{"logprobs": {"content": list() as listed}}, *_]}:
            tokens = tuple(token for each in listed if (token := _token(each)) is not None)
            return tokens if len(tokens) == len(listed) else ()
    return ()


def _token(given: Any) -> Token | None:
    match given:
        case {"token": str() as text, "logprob": int() | float() as logprob}:
            # Rounding may bring the logprob of a certain token above 0.
            return Token(text, min(float(logprob), 0.0)) if math.isfinite(logprob) else None
    return None


def read_engine(output: Any) -> str | None:
    """The engine that the emulator names; Cloudflare's models name none."""
    match output:
        case {"metadata": {"engine": str() as engine}}:
            return engine
    return None
