"""The A2A protocol (version 0.3, JSON-RPC): a question as `message/send` or `message/stream`, and
the response, a message or the updates of a task, as the text of an answer."""

from collections.abc import Mapping, Sequence
from typing import Any

from edgeneuro import bounded_json
from edgeneuro.domain.query import whole_characters
from edgeneuro.domain.session import MAX_AGENT_ID_CHARACTERS, AgentMemory
from edgeneuro.domain.signal import reason_text
from edgeneuro.errors import (
    InvalidOutputError,
    UpstreamError,
    UpstreamNotConfiguredError,
    UpstreamRejectedError,
)
from edgeneuro.gateway.answers import read_agent_state
from edgeneuro.gateway.interface import AgentState, NotMine

_METHOD_NOT_FOUND, _UNSUPPORTED_OPERATION = -32601, -32004
_TASK_NOT_FOUND, _INVALID_REQUEST, _INVALID_PARAMS = -32001, -32600, -32602
_BY_CODE: dict[int, type[UpstreamError]] = {
    -32700: UpstreamRejectedError,
    _INVALID_REQUEST: UpstreamRejectedError,
    _INVALID_PARAMS: UpstreamRejectedError,
    -32005: UpstreamRejectedError,  # the agent accepts no text
    _METHOD_NOT_FOUND: UpstreamNotConfiguredError,
    _UNSUPPORTED_OPERATION: UpstreamNotConfiguredError,
}


def question(
    text: str, *, message_id: str, stream: bool, memory: AgentMemory | None = None
) -> dict[str, Any]:
    ids = {} if memory is None else {"contextId": memory.context_id, "taskId": memory.task_id}
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
                **{name: each for name, each in ids.items() if each is not None},
            },
            "configuration": {"acceptedOutputModes": ["text/plain"], "blocking": True},
        },
    }


def last_user_text(messages: Sequence[Mapping[str, Any]]) -> str:
    """The last message of the user. An A2A agent gets only this: it stores the history itself."""
    from_user = [message for message in messages if message.get("role") == "user"]
    content = from_user[-1].get("content") if from_user else None
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        content = "\n".join(text for text in texts if isinstance(text, str))
    if not isinstance(content, str) or not content:
        raise UpstreamRejectedError(
            "messages: this agent accepts only text; put text into the last user message."
        )
    return content


def cannot_stream(error: UpstreamError) -> bool:
    """The agent does not support `message/stream`; it may support `message/send`."""
    return error.upstream_code in (str(_METHOD_NOT_FOUND), str(_UNSUPPORTED_OPERATION))


def refuses_task(error: UpstreamError) -> bool:
    """The agent does not know the task that the message continues, or the task has ended. Agents
    answer the latter as an invalid request, or as invalid parameters."""
    codes = (_TASK_NOT_FOUND, _INVALID_REQUEST, _INVALID_PARAMS)
    return error.upstream_code in [str(code) for code in codes]


class A2aResponseParser:
    """Collects the text of an answer, response by response. `finished` is true when no further
    response is expected, `state` what the agent has said of itself so far. `not_mine` is set if the
    agent rejects the task before any text: it is for another agent."""

    def __init__(self) -> None:
        self.finished = False
        self.state = AgentState()
        self.not_mine: NotMine | None = None
        self._texts: dict[str, str] = {}  # by artifact

    def feed(self, response: str | bytes) -> str:
        """The new text in the next JSON-RPC response."""
        result = _result(response)
        text = self._result_text(result)
        self._note_state(result)
        answered = text or any(self._texts.values()) or self.not_mine is not None
        if self.finished and not answered:
            raise InvalidOutputError("The agent's answer has no text.")
        return text

    def _result_text(self, result: dict[str, Any]) -> str:
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

    def _note_state(self, result: dict[str, Any]) -> None:
        """A message ends the wait for a reply, and so does every state of a task but that one."""
        state = self.state
        task_id = result.get("id" if result.get("kind") == "task" else "taskId")
        waits = state.waits
        match result:
            case {"kind": "message"}:
                waits = False
            case {"status": {"state": named}}:
                waits = named == "input-required"
        metadata = read_agent_state(result.get("metadata"))
        self.state = AgentState(
            context_id=_id(result.get("contextId")) or state.context_id,
            task_id=(_id(task_id) or state.task_id) if waits else None,
            waits=waits,
            done=state.done or (metadata is not None and metadata.done),
        )

    def _artifact(self, artifact: dict[str, Any], *, append: bool = False) -> str:
        name, text = str(artifact.get("artifactId")), _text(artifact)
        before = self._texts.get(name)
        if before is None:
            separator = "\n\n" if text and any(self._texts.values()) else ""
            self._texts[name] = text
            return separator + text
        if append:
            self._texts[name] += text
            return text
        # Not appended: the whole artifact again, with the new text at its end.
        if not text.startswith(before):
            raise InvalidOutputError("The agent took back a part of its answer.")
        self._texts[name] = text
        return text[len(before) :]

    def _status(self, status: dict[str, Any]) -> str:
        """The text of a status counts only if it is the answer, not if it reports progress."""
        text = _text(status.get("message"))
        match status.get("state"):
            case "completed":
                self.finished = True
                return "" if any(self._texts.values()) else text
            case "input-required":
                self.finished = True
                return f"\n\n{text}" if text and any(self._texts.values()) else text
            case "rejected" if not any(self._texts.values()):
                self.finished = True
                self.not_mine = NotMine(reason_text(text))
                return ""
            case "auth-required":
                raise UpstreamNotConfiguredError("The agent requires its own sign-in.")
            case "failed" | "rejected" | "canceled" as state:
                raise UpstreamError(f"The agent's task is {state}{_because(text)}")
        return ""


def _result(response: str | bytes) -> dict[str, Any]:
    try:
        envelope = bounded_json.loads(response)
    except bounded_json.InvalidJsonError as error:
        raise InvalidOutputError("The agent's answer is not JSON.") from error
    match envelope:
        case {"error": {"code": int() as code} as refusal}:
            message = refusal.get("message")
            because = _because(message if isinstance(message, str) else "")
            kind = _BY_CODE.get(code, UpstreamError)
            raise kind(f"The agent answered with error {code}{because}", upstream_code=str(code))
        case {"result": dict() as result}:
            return result
    raise InvalidOutputError("The agent's answer is no JSON-RPC response.")


def _text(holder: Any) -> str:
    """The text parts of a message or an artifact, joined without a separator: a streamed artifact
    has one part for each piece of text."""
    parts = holder.get("parts") if isinstance(holder, dict) else None
    found = ""
    for part in parts if isinstance(parts, list) else []:
        match part:
            case {"kind": "text", "text": str() as text}:
                found += text
    return found


def _id(given: Any) -> str | None:
    """An id that can be stored and sent back."""
    if not isinstance(given, str) or not 0 < len(given) <= MAX_AGENT_ID_CHARACTERS:
        return None
    return None if "\0" in given or whole_characters(given) != given else given


def _because(text: str) -> str:
    return f": {text[:300]}" if text else "."
