"""A2A's answers as text: messages, tasks, the course of a task, errors."""

import json
from dataclasses import replace
from typing import Any

import pytest

from edgeneuro.domain.session import AgentMemory
from edgeneuro.errors import (
    InvalidOutputError,
    UpstreamError,
    UpstreamNotConfiguredError,
    UpstreamRejectedError,
)
from edgeneuro.gateway.agents.a2a import A2aResponseParser, cannot_stream, question
from edgeneuro.gateway.interface import AgentState, NotMine


def parts(*texts: str) -> dict[str, Any]:
    return {"parts": [{"kind": "text", "text": text} for text in texts]}


def message(*texts: str) -> dict[str, Any]:
    return {"kind": "message", "role": "agent", "messageId": "m", **parts(*texts)}


def status(state: str, *texts: str, kind: str = "status-update") -> dict[str, Any]:
    said = {"message": message(*texts)} if texts else {}
    return {"kind": kind, "id": "t", "contextId": "c", "status": {"state": state, **said}}


def artifact(name: str, *texts: str) -> dict[str, Any]:
    return {"artifactId": name, **parts(*texts)}


def update(name: str, *texts: str, append: bool = False) -> dict[str, Any]:
    return {"kind": "artifact-update", "artifact": artifact(name, *texts), "append": append}


def task(state: str, *artifacts: Any, said: str = "") -> dict[str, Any]:
    return {**status(state, *([said] if said else []), kind="task"), "artifacts": list(artifacts)}


def read(*results: dict[str, Any]) -> tuple[str, bool]:
    parser = A2aResponseParser()
    text = "".join(
        parser.feed(json.dumps({"jsonrpc": "2.0", "id": "1", "result": each})) for each in results
    )
    return text, parser.finished


def test_a_question() -> None:
    asked = question("My VPN is down", message_id="msg_1", stream=False)
    assert (asked["jsonrpc"], asked["id"], asked["method"]) == ("2.0", "msg_1", "message/send")
    assert asked["params"]["message"] == {
        "kind": "message",
        "role": "user",
        "messageId": "msg_1",
        "parts": [{"kind": "text", "text": "My VPN is down"}],
    }
    assert question("x", message_id="m", stream=True)["method"] == "message/stream"


@pytest.mark.parametrize(
    ("memory", "ids"),
    [
        (AgentMemory(), {}),
        (AgentMemory(context_id="c", endpoint="e"), {"contextId": "c"}),
        (AgentMemory(context_id="c", task_id="t"), {"contextId": "c", "taskId": "t"}),
    ],
)
def test_a_question_in_a_conversation(memory: AgentMemory, ids: dict[str, str]) -> None:
    asked = question("x", message_id="m", stream=False, memory=memory)["params"]["message"]
    assert {name: asked[name] for name in asked if name in ("contextId", "taskId")} == ids


WAITS = AgentState(context_id="c", task_id="t", waits=True)
OVER = AgentState(context_id="c")
LONG = "x" * 257


@pytest.mark.parametrize(
    ("results", "state"),
    [
        ([task("input-required", said="Which?")], WAITS),
        ([task("completed", artifact("a", "Done."))], OVER),
        ([task("submitted"), {**status("input-required", "Which?"), "taskId": "t"}], WAITS),
        ([task("working"), {**update("a", "x"), "contextId": "c"}, status("completed")], OVER),
        ([{**message("Hi."), "contextId": "c"}], OVER),
        ([{**message("Hi."), "contextId": "c", "taskId": "t"}], OVER),
        ([message("Hi.")], AgentState()),
        ([{**message("Hi."), "contextId": 7}], AgentState()),
        ([{**message("Hi."), "contextId": LONG}], AgentState()),
        ([{**message("Hi."), "contextId": "a\0b"}], AgentState()),
        ([{**task("input-required", said="Which?"), "id": LONG}], replace(WAITS, task_id=None)),
        (
            [{**message("Bye."), "metadata": {"edgeneuro": {"done": True}}}],
            AgentState(done=True),
        ),
        ([{**message("Bye."), "metadata": {"edgeneuro": {"done": "yes"}}}], AgentState()),
        ([{**message("Bye."), "metadata": [7]}], AgentState()),
    ],
)
def test_what_an_agent_says_of_itself(results: list[dict[str, Any]], state: AgentState) -> None:
    parser = A2aResponseParser()
    for each in results:
        parser.feed(json.dumps({"jsonrpc": "2.0", "id": "1", "result": each}))
    assert (parser.finished, parser.state) == (True, state)


@pytest.mark.parametrize(
    ("results", "text"),
    [
        ([message("Restart ", "it.")], "Restart it."),
        ([task("completed", artifact("a", "Restart it."))], "Restart it."),
        ([task("completed", artifact("a", "One", "."), artifact("b", "Two."))], "One.\n\nTwo."),
        ([task("completed", said="Restart it.")], "Restart it."),
        ([task("completed", artifact("a", "Restart it."), said="Done.")], "Restart it."),
        ([task("input-required", said="Which laptop?")], "Which laptop?"),
        (
            [task("input-required", artifact("a", "So far."), said="And now?")],
            "So far.\n\nAnd now?",
        ),
        (
            [
                task("submitted"),
                status("working", "Thinking …"),
                update("a", "Rest"),
                update("a", "art it.", append=True),
                status("completed", "Done."),
            ],
            "Restart it.",
        ),
        # The last event is the whole task once more.
        (
            [update("a", "Rest"), task("completed", artifact("a", "Restart it."))],
            "Restart it.",
        ),
        ([task("working"), status("working"), message("Restart it.")], "Restart it."),
        ([status("working"), status("completed", "Restart it.")], "Restart it."),
        ([task("submitted"), status("input-required", "Which?")], "Which?"),
        ([update("file"), update("a", "Here."), status("completed")], "Here."),
    ],
)
def test_the_text_of_responses(results: list[dict[str, Any]], text: str) -> None:
    assert read(*results) == (text, True)


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (task("rejected"), None),
        (task("rejected", said=" I do\u200b pay. "), "I do pay."),
        (status("rejected", "x" * 999), "x" * 200),
    ],
)
def test_a_task_that_is_rejected_before_any_text_is_not_mine(
    result: dict[str, Any], reason: str | None
) -> None:
    parser = A2aResponseParser()
    text = parser.feed(json.dumps({"jsonrpc": "2.0", "id": "1", "result": result}))
    assert (text, parser.finished, parser.not_mine) == ("", True, NotMine(reason))


@pytest.mark.parametrize("state", ["submitted", "working", "unknown", "of another version"])
def test_a_running_task_is_not_finished(state: str) -> None:
    assert read(task(state, said="Thinking …")) == ("", False)


@pytest.mark.parametrize(
    ("results", "kind", "said"),
    [
        ([task("failed", said="The disk is full")], UpstreamError, "failed: The disk is full"),
        ([update("a", "x"), task("rejected")], UpstreamError, r"rejected\."),
        ([update("a", "x"), status("canceled")], UpstreamError, "canceled"),
        ([task("auth-required")], UpstreamNotConfiguredError, "sign-in"),
        ([task("completed")], InvalidOutputError, "no text"),
        ([message()], InvalidOutputError, "no text"),
        ([task("input-required")], InvalidOutputError, "no text"),
        ([update("a", "One"), update("a", "Two")], InvalidOutputError, "took back"),
        ([{"kind": "surprise"}], InvalidOutputError, "neither"),
        ([{}], InvalidOutputError, "neither"),
        ([{"kind": "task", "status": None}], InvalidOutputError, "neither"),
    ],
)
def test_invalid_answers(
    results: list[dict[str, Any]], kind: type[UpstreamError], said: str
) -> None:
    with pytest.raises(UpstreamError, match=said) as raised:
        read(*results)
    assert type(raised.value) is kind


@pytest.mark.parametrize(
    "holder",
    [
        None,
        7,
        [],
        {"parts": None},
        {"parts": {"kind": "text"}},
        {"parts": [None, {"kind": "text"}]},
    ],
)
def test_parts_are_never_trusted(holder: Any) -> None:
    with pytest.raises(InvalidOutputError):
        read({"kind": "task", "status": {"state": "completed", "message": holder}})
    with pytest.raises(InvalidOutputError):
        read({**task("completed"), "artifacts": [holder]})
    with pytest.raises(InvalidOutputError):
        read({**task("completed"), "artifacts": holder})


@pytest.mark.parametrize(
    "body", [b"", b"{", b"null", b"[]", b'"x"', b"{}", b'{"result": 7}', b"\xff", b"[" * 100_000]
)
def test_invalid_responses(body: bytes) -> None:
    with pytest.raises(InvalidOutputError):
        A2aResponseParser().feed(body)


@pytest.mark.parametrize(
    ("code", "kind", "streams"),
    [
        (-32603, UpstreamError, True),
        (-32602, UpstreamRejectedError, True),
        (-32601, UpstreamNotConfiguredError, False),
        (-32004, UpstreamNotConfiguredError, False),
        (-1, UpstreamError, True),
    ],
)
def test_errors(code: int, kind: type[UpstreamError], streams: bool) -> None:
    for error in ({"code": code, "message": "x" * 1_000}, {"code": code, "message": None}):
        with pytest.raises(UpstreamError) as raised:
            A2aResponseParser().feed(json.dumps({"jsonrpc": "2.0", "id": None, "error": error}))
        assert (type(raised.value), raised.value.upstream_code) == (kind, str(code))
        assert cannot_stream(raised.value) is not streams
        assert len(raised.value.message) < 400
