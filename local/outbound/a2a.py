"""An agent that speaks A2A: JSON-RPC 2.0 with message/send and message/stream.

Agent "message" answers with a Message, "task" with a Task and its artifact, "failed" with a Task
that has failed, "rejected" with one that it rejects. Agent "asking" asks back: its Task waits for
a reply, which completes it. Agent "forgetful" asks back too, and does not know its task when the
reply comes.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from local.answers import Answer, Parts, event, json_answer
from local.completing import event_stream
from local.engines.parts import pieces
from local.faults import Fault
from local.outbound.agents import words_of

A2A_AGENTS = frozenset({"message", "task", "failed", "rejected", "asking", "forgetful"})
_UNSUCCESSFUL = ("failed", "rejected")  # the agents with these names end in these states
_PARSE_ERROR, _INVALID_REQUEST, _NO_METHOD, _INVALID_PARAMS = -32700, -32600, -32601, -32602
_NO_TASK = -32001
_MAX_TASKS = 1_000
_ASKS_BACK = ("asking", "forgetful")


class WaitingTasks:
    """The tasks of the agent "asking" that wait for a reply: what was said first, by context and
    task."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, str], str] = {}

    def add(self, context_id: str, task_id: str, said: str) -> None:
        if len(self._said) >= _MAX_TASKS:
            del self._said[next(iter(self._said))]
        self._said[context_id, task_id] = said

    def take(self, message: dict[str, Any]) -> str | None:
        key = str(message.get("contextId")), str(message.get("taskId"))
        return self._said.pop(key, None)


def answer_a2a(
    agent: str, body: Any, fault: Fault | None, now: float, *, waiting: WaitingTasks
) -> Answer:
    match body:
        case {"jsonrpc": "2.0", "id": str() | int() as id, "method": str() as method}:
            pass
        case _:
            return _error(None, _INVALID_REQUEST, "Request payload validation error")
    if method not in ("message/send", "message/stream"):
        return _error(id, _NO_METHOD, "Method not found")
    message = _message_of(body.get("params"))
    if message is None:
        return _error(id, _INVALID_PARAMS, "Invalid parameters")
    text, asks = _text(message), agent in _ASKS_BACK
    if message.get("taskId") is not None:
        first = waiting.take(message)
        if first is None:
            return _error(id, _NO_TASK, "Task not found")
        text, asks = f"{first} / {text}", False
    said = None if fault is None else fault.said
    reply = _Reply(agent, message, words_of(agent, text) if said is None else said, now, asks=asks)
    if agent == "asking" and asks:
        waiting.add(reply.context_id, reply.task_id, text)
    if method == "message/stream":
        return event_stream(_events(id, reply.steps()))
    return json_answer(200, _response(id, reply.whole()))


def parse_error() -> Answer:
    return _error(None, _PARSE_ERROR, "Invalid JSON payload")


async def _events(id: str | int, results: list[dict[str, Any]]) -> Parts:
    for result in results:
        yield event(_response(id, result))


def _response(id: str | int, result: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "result": result}


def _error(id: str | int | None, code: int, message: str) -> Answer:
    return json_answer(
        200, {"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}}
    )


def _message_of(params: Any) -> dict[str, Any] | None:
    match params:
        case {"message": {"role": "user", "messageId": str(), "parts": [_, *_]} as message}:
            return dict(message)
    return None


def _text(message: dict[str, Any]) -> str:
    parts = (part for part in message["parts"] if isinstance(part, dict))
    return "".join(str(part["text"]) for part in parts if "text" in part)


class _Reply:
    """`asks`: the task waits for a reply, and the text is the question."""

    def __init__(
        self, agent: str, message: dict[str, Any], text: str, now: float, *, asks: bool
    ) -> None:
        self._agent = agent
        self._message = message
        self._text = f"{text} What exactly?" if asks else text
        self._asks = asks
        self.task_id = str(message.get("taskId") or uuid.uuid4())
        self.context_id = str(message.get("contextId") or uuid.uuid4())
        self._time = datetime.fromtimestamp(now, UTC).isoformat()

    def whole(self) -> dict[str, Any]:
        if self._agent == "message":
            return self._agent_message()
        artifacts = [self._artifact(self._text)] if self._completes else []
        return self._task(self._last_state(), artifacts=artifacts)

    def steps(self) -> list[dict[str, Any]]:
        """What a stream says one after the other."""
        if self._agent == "message":
            return [self._agent_message()]
        of_task = {"taskId": self.task_id, "contextId": self.context_id}
        status: dict[str, Any] = {"kind": "status-update", **of_task}
        chunks = list(pieces(self._text)) if self._completes else []
        return [
            self._task("submitted", artifacts=[]),
            {**status, "status": self._status("working"), "final": False},
            *(
                {
                    "kind": "artifact-update",
                    **of_task,
                    "artifact": self._artifact(chunk),
                    "append": at > 0,
                    "lastChunk": at == len(chunks) - 1,
                }
                for at, chunk in enumerate(chunks)
            ),
            {**status, "status": self._status(self._last_state()), "final": True},
        ]

    @property
    def _completes(self) -> bool:
        return self._agent not in _UNSUCCESSFUL and not self._asks

    def _last_state(self) -> str:
        if self._agent in _UNSUCCESSFUL:
            return self._agent
        return "input-required" if self._asks else "completed"

    def _task(self, state: str, *, artifacts: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "kind": "task",
            "id": self.task_id,
            "contextId": self.context_id,
            "status": self._status(state),
            "artifacts": artifacts,
            "history": [self._message],
        }

    def _status(self, state: str) -> dict[str, Any]:
        status: dict[str, Any] = {"state": state, "timestamp": self._time}
        if state in (*_UNSUCCESSFUL, "input-required"):
            status["message"] = self._agent_message()
        return status

    def _artifact(self, text: str) -> dict[str, Any]:
        return {"artifactId": f"{self.task_id}-answer", "name": "answer", "parts": _parts(text)}

    def _agent_message(self) -> dict[str, Any]:
        return {
            "kind": "message",
            "role": "agent",
            "messageId": str(uuid.uuid4()),
            "contextId": self.context_id,
            "parts": _parts(self._text),
        }


def _parts(text: str) -> list[dict[str, Any]]:
    return [{"kind": "text", "text": text}]
