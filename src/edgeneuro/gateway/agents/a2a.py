"""A2A's words (protocol version 0.3, JSON-RPC): a question as `message/send` or `message/stream`,
and what comes back, a message or the course of a task, as the text of an answer."""

from collections.abc import Mapping, Sequence
from typing import Any

from edgeneuro import bounded_json
from edgeneuro.errors import (
    InvalidOutputError,
    UpstreamError,
    UpstreamNotConfiguredError,
    UpstreamRejectedError,
)

VERSION = "0.3"
_METHOD_NOT_FOUND, _UNSUPPORTED_OPERATION = -32601, -32004
_BY_CODE: dict[int, type[UpstreamError]] = {
    -32700: UpstreamRejectedError,
    -32600: UpstreamRejectedError,
    -32602: UpstreamRejectedError,
    -32005: UpstreamRejectedError,  # it takes no text
    _METHOD_NOT_FOUND: UpstreamNotConfiguredError,
    _UNSUPPORTED_OPERATION: UpstreamNotConfiguredError,
}


def question(text: str, *, message_id: str, stream: bool) -> dict[str, Any]:
    return {
        "jsonrpc": "2.0",
        "id": message_id,
        "method": "message/stream" if stream else "message/send",
        "params": {
            "message": {
                "kind": "message",
                "role": "user",
                "messageId": message_id,
                "parts": [{"kind": "text", "text": text}],
            },
            "configuration": {"acceptedOutputModes": ["text/plain"], "blocking": True},
        },
    }


def last_user_text(messages: Sequence[Mapping[str, Any]]) -> str:
    """What the user said last: all that an agent of A2A is told, which keeps its own history."""
    asked = [message for message in messages if message.get("role") == "user"]
    content = asked[-1].get("content") if asked else None
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        content = "\n".join(text for text in texts if isinstance(text, str))
    if not isinstance(content, str) or not content:
        raise UpstreamRejectedError(
            "messages: this agent takes texts alone; let the last user message hold one."
        )
    return content


def cannot_stream(error: UpstreamError) -> bool:
    """The agent knows no `message/stream`; it may still know `message/send`."""
    return error.upstream_code in (str(_METHOD_NOT_FOUND), str(_UNSUPPORTED_OPERATION))


class Reading:
    """What an agent says, part by part. `finished` once no more will come."""

    def __init__(self) -> None:
        self.finished = False
        self._said: dict[str, str] = {}  # by artifact

    def take(self, response: str | bytes) -> str:
        """The new text in the next JSON-RPC response."""
        text = self._take(_result(response))
        if self.finished and not (text or any(self._said.values())):
            raise InvalidOutputError("The agent's answer holds no text.")
        return text

    def _take(self, result: dict[str, Any]) -> str:
        match result:
            case {"kind": "message"}:
                self.finished = True
                return _text(result)
            case {"kind": "artifact-update", "artifact": dict() as artifact}:
                return self._artifact(artifact, append=result.get("append") is True)
            case {"kind": "status-update", "status": dict() as status}:
                return self._status(status)
            case {"kind": "task", "status": dict() as status}:
                artifacts = result.get("artifacts")
                known = artifacts if isinstance(artifacts, list) else []
                text = "".join(self._artifact(each) for each in known if isinstance(each, dict))
                return text + self._status(status)
        raise InvalidOutputError("The agent's answer is neither a message nor a task of A2A.")

    def _artifact(self, artifact: dict[str, Any], *, append: bool = False) -> str:
        name, text = str(artifact.get("artifactId")), _text(artifact)
        said = self._said.get(name)
        if said is None:
            apart = "\n\n" if text and any(self._said.values()) else ""
            self._said[name] = text
            return apart + text
        if append:
            self._said[name] += text
            return text
        # The whole artifact once more, as it stands now.
        if not text.startswith(said):
            raise InvalidOutputError("The agent took back a part of its answer.")
        self._said[name] = text
        return text[len(said) :]

    def _status(self, status: dict[str, Any]) -> str:
        """The words of a status count where they are the answer, not on the way to it."""
        said = _text(status.get("message"))
        match status.get("state"):
            case "completed":
                self.finished = True
                return "" if any(self._said.values()) else said
            case "input-required":
                self.finished = True
                return f"\n\n{said}" if said and any(self._said.values()) else said
            case "auth-required":
                raise UpstreamNotConfiguredError("The agent asks for a sign-in of its own.")
            case "failed" | "rejected" | "canceled" as state:
                raise UpstreamError(f"The agent's task is {state}{_because(said)}")
        return ""


def _result(response: str | bytes) -> dict[str, Any]:
    try:
        envelope = bounded_json.loads(response)
    except bounded_json.InvalidJsonError as error:
        raise InvalidOutputError("The agent's answer is not JSON.") from error
    match envelope:
        case {"error": {"code": int() as code} as refusal}:
            said = refusal.get("message")
            because = _because(said if isinstance(said, str) else "")
            kind = _BY_CODE.get(code, UpstreamError)
            raise kind(f"The agent answered with error {code}{because}", upstream_code=str(code))
        case {"result": dict() as result}:
            return result
    raise InvalidOutputError("The agent's answer is no JSON-RPC response.")


def _text(holder: Any) -> str:
    """The text parts of a message or an artifact. A streamed artifact has one part a piece, so
    nothing goes between them."""
    parts = holder.get("parts") if isinstance(holder, dict) else None
    found = ""
    for part in parts if isinstance(parts, list) else []:
        match part:
            case {"kind": "text", "text": str() as text}:
                found += text
    return found


def _because(said: str) -> str:
    return f": {said[:300]}" if said else "."
