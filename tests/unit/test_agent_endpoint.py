"""Agents at endpoints of their own: what they are sent, what they answer, what goes wrong."""

import hashlib
import hmac
import json
from typing import Any

import pytest

from edgeneuro.domain.agent import Agent
from edgeneuro.domain.decision import Usage
from edgeneuro.domain.trace import Trace
from edgeneuro.errors import (
    InvalidOutputError,
    UpstreamCutError,
    UpstreamError,
    UpstreamNotConfiguredError,
    UpstreamRateLimitedError,
    UpstreamRejectedError,
    UpstreamTimeoutError,
)
from edgeneuro.gateway.agents.endpoint import AgentEndpoints
from edgeneuro.gateway.agents.identity import IdentityTokens
from edgeneuro.gateway.interface import AgentState, Delta, ModelRequest
from edgeneuro_testing.fetch import ScriptedFetch, ScriptedResponse
from tests.unit.identity_keys import CryptographySigner

SECRET = "shared words"
NOW = 1_800_000_000
SSE = {"content-type": "text/event-stream; charset=utf-8"}
JSON = {"content-type": "application/json"}
URL = "https://agents.example.com/chat"


def agent(protocol: str = "openai", **changes: Any) -> Agent:
    fields: dict[str, Any] = {
        "id": "travel",
        "name": "Travel",
        "description": "Trips.",
        "examples": [],
        "endpoint": URL,
        "protocol": protocol,
        "system_prompt": None,
        "model": None,
        "enabled": True,
        "default": False,
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
    }
    return Agent(**{**fields, **changes})


def asked(**changes: Any) -> ModelRequest:
    fields: dict[str, Any] = {
        "model": "travel-1",
        "adapter": None,
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Zürich?"},
        ],
        "parameters": {"temperature": 0.5},
        "timeout_ms": 5_000,
        "cache_key": None,
        "cache_ttl_seconds": 0,
        "metadata": {"decision_id": "dec_1", "request_id": "req_1", "user": "ann"},
        "trace": Trace("a" * 32, "b" * 16),
    }
    return ModelRequest(**{**fields, **changes})


def endpoints(
    fetch: ScriptedFetch,
    secret: str | None = SECRET,
    *,
    secrets: dict[str, str] | None = None,
    bound: ScriptedFetch | None = None,
    local: ScriptedFetch | None = None,
) -> AgentEndpoints:
    found = {"AGENT_SIGNING_SECRET": secret, **(secrets or {})}
    return AgentEndpoints(
        fetch,
        secret=found.get,
        now=lambda: NOW + 0.5,
        new_id=lambda prefix: f"{prefix}_1",
        identity=IdentityTokens(
            CryptographySigner(), secret=found.get, issuer="edgeneuro", now=lambda: NOW + 0.5
        ),
        hosts=("agents.example.com",),
        service={"AGENT_HR": bound}.get,
        local=local,
    )


def whole(body: Any, status: int = 200, **headers: str) -> ScriptedResponse:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    cut = len(text) // 2
    return ScriptedResponse(status, [text[:cut], text[cut:]], {**JSON, **headers})


def streamed(*events: Any, end: Any = b"") -> ScriptedResponse:
    written = [each if isinstance(each, str) else json.dumps(each) for each in events]
    return ScriptedResponse(200, [*(f"data: {each}\n\n".encode() for each in written), end], SSE)


def completion(content: str = "By train.") -> dict[str, Any]:
    return {
        "choices": [
            {"message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2},
    }


def chunk(content: str, finish_reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": content}, "finish_reason": finish_reason}]}


def result(fields: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": "msg_1", "result": fields}


def a2a_message(text: str = "By train.") -> dict[str, Any]:
    return result({"kind": "message", "role": "agent", "parts": [{"kind": "text", "text": text}]})


def a2a_artifact(text: str, *, append: bool = False) -> dict[str, Any]:
    artifact = {"artifactId": "a", "parts": [{"kind": "text", "text": text}]}
    return result({"kind": "artifact-update", "artifact": artifact, "append": append})


def a2a_status(state: str) -> dict[str, Any]:
    return result({"kind": "status-update", "status": {"state": state}, "final": True})


def rpc_error(code: int) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": "msg_1", "error": {"code": code, "message": "No."}}


async def stream(fetch: ScriptedFetch, protocol: str = "openai", **changes: Any) -> list[Delta]:
    found = await endpoints(fetch).stream(agent(protocol), asked(**changes))
    return [delta async for delta in found.deltas]


# What is sent


async def test_a_chat_is_forwarded_signed_and_with_our_own_headers_only() -> None:
    fetch = ScriptedFetch(whole(completion()))
    answer = await endpoints(fetch).run(agent(), asked())
    assert (answer.content, answer.finish_reason) == ("By train.", "stop")
    assert answer.usage == Usage(prompt_tokens=5, completion_tokens=2, total_tokens=7)
    (sent,) = fetch.requests
    assert (sent.method, sent.url) == ("POST", URL)
    assert sent.json() == {
        "model": "travel-1",
        "messages": asked().messages,
        "temperature": 0.5,
    }
    digest = hmac.new(b"shared words", b"1800000000.travel." + sent.body, hashlib.sha256)
    assert sent.headers == {
        "content-type": "application/json",
        "accept": "application/json",
        "x-edgeneuro-agent": "travel",
        "x-edgeneuro-decision-id": "dec_1",
        "x-request-id": "req_1",
        "x-edgeneuro-signature": f"t=1800000000,v1={digest.hexdigest()}",
        "traceparent": f"00-{'a' * 32}-{'b' * 16}-01",
    }


async def test_an_a2a_agent_gets_the_last_user_message() -> None:
    fetch = ScriptedFetch(whole(a2a_message()))
    parts = [
        {"type": "text", "text": "And"},
        {"type": "image_url"},
        {"type": "text", "text": "now?"},
    ]
    messages = [
        *asked().messages,
        {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": parts},
        {"role": "assistant", "content": None},
    ]
    answer = await endpoints(fetch).run(agent("a2a"), asked(messages=messages))
    assert (answer.content, answer.usage) == ("By train.", Usage())
    sent = fetch.requests[0]
    assert sent.json()["method"] == "message/send"
    assert sent.json()["params"]["message"]["parts"] == [{"kind": "text", "text": "And\nnow?"}]
    assert "Be brief." not in sent.body.decode()


@pytest.mark.parametrize(
    "value", ["a\r\nset-cookie: x=1", "a\nb", "a\0b", "a b", "é", "", "x" * 129, "a\n"]
)
async def test_only_ids_are_put_into_headers(value: str) -> None:
    fetch = ScriptedFetch(whole(completion()))
    metadata = {"decision_id": value, "request_id": value, value: "x"}
    await endpoints(fetch).run(agent(id=value), asked(metadata=metadata, trace=None))
    assert set(fetch.requests[0].headers) == {
        "content-type",
        "accept",
        "x-edgeneuro-signature",
    }


@pytest.mark.parametrize("secret", [None, ""])
@pytest.mark.parametrize("protocol", ["openai", "a2a", "handoff"])
async def test_without_the_signing_secret_nothing_is_sent(
    secret: str | None, protocol: str
) -> None:
    fetch = ScriptedFetch()
    calls = endpoints(fetch, secret)
    with pytest.raises(UpstreamNotConfiguredError, match="secret put AGENT_SIGNING_SECRET"):
        if protocol == "handoff":
            calls.hand_off(agent(protocol), asked())
        else:
            await calls.run(agent(protocol), asked())
    with pytest.raises(UpstreamNotConfiguredError):
        await calls.stream(agent(protocol), asked())
    assert fetch.requests == []


@pytest.mark.parametrize(
    "url",
    ["https://127.0.0.1/", "https://169.254.169.254/", "http://agents.example.com/", "", None],
)
async def test_the_address_is_checked_again_before_each_call(url: str | None) -> None:
    fetch = ScriptedFetch(whole(completion()))
    with pytest.raises(UpstreamNotConfiguredError, match="'travel' must"):
        await endpoints(fetch).run(agent(endpoint=url), asked())
    with pytest.raises(UpstreamNotConfiguredError, match="'travel' must"):
        await endpoints(fetch).stream(agent("a2a", endpoint=url), asked())
    with pytest.raises(UpstreamNotConfiguredError, match="'travel' must"):
        endpoints(fetch).hand_off(agent("handoff", endpoint=url), asked())
    assert fetch.requests == []


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"role": "system", "content": "x"}],
        [{"role": "user", "content": [{"type": "image_url"}]}],
    ],
)
async def test_an_a2a_agent_needs_text(messages: list[dict[str, Any]]) -> None:
    fetch = ScriptedFetch()
    for protocol in ("a2a", "handoff"):
        with pytest.raises(UpstreamRejectedError, match="last user message"):
            if protocol == "handoff":
                endpoints(fetch).hand_off(agent(protocol), asked(messages=messages))
            else:
                await endpoints(fetch).run(agent(protocol), asked(messages=messages))
    assert fetch.requests == []


def test_a_handoff_calls_no_agent() -> None:
    fetch = ScriptedFetch()
    handoff = endpoints(fetch).hand_off(agent("handoff"), asked())
    assert (handoff.agent.url, handoff.message.messageId) == (URL, "msg_1")
    assert [part.text for part in handoff.message.parts] == ["Zürich?"]
    assert fetch.requests == []


# What is answered, whole or as a stream


async def test_a_stream() -> None:
    usage = {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}
    fetch = ScriptedFetch(streamed(chunk("By "), chunk("train.", "stop"), usage, "[DONE]"))
    deltas = await stream(fetch)
    assert "".join(delta.content for delta in deltas) == "By train."
    assert [delta.finish_reason for delta in deltas if delta.finish_reason] == ["stop"]
    counted = [delta.usage for delta in deltas if delta.usage]
    assert counted == [Usage(prompt_tokens=5, completion_tokens=2, total_tokens=7)]
    sent = fetch.requests[0]
    assert (sent.json()["stream"], sent.headers["accept"]) == (True, "text/event-stream")


async def test_a_stream_of_a2a() -> None:
    events = [
        result({"kind": "task", "contextId": "c", "status": {"state": "submitted"}}),
        a2a_artifact("By "),
        a2a_artifact("train.", append=True),
        a2a_status("completed"),
    ]
    fetch = ScriptedFetch(streamed(*events))
    assert await stream(fetch, "a2a") == [
        Delta(content="By ", agent_state=AgentState(context_id="c")),
        Delta(content="train.", agent_state=AgentState(context_id="c")),
        Delta(finish_reason="stop", agent_state=AgentState(context_id="c")),
    ]
    assert fetch.requests[0].json()["method"] == "message/stream"


@pytest.mark.parametrize(("protocol", "body"), [("openai", completion()), ("a2a", a2a_message())])
async def test_an_agent_that_answers_whole_is_a_stream_of_one_part(
    protocol: str, body: dict[str, Any]
) -> None:
    (delta,) = await stream(ScriptedFetch(whole(body)), protocol)
    assert (delta.content, delta.finish_reason) == ("By train.", "stop")


async def test_tool_calls_of_a_whole_answer_are_numbered() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "book", "arguments": "{}"}}
    message = {"content": None, "tool_calls": [call]}
    body = {"choices": [{"message": message, "finish_reason": "tool_calls"}]}
    (delta,) = await stream(ScriptedFetch(whole(body)))
    assert (delta.content, delta.finish_reason) == ("", "tool_calls")
    assert delta.tool_calls == ({"index": 0, **call},)


@pytest.mark.parametrize("code", [-32004, -32601])
async def test_an_a2a_agent_that_does_not_stream_is_called_for_the_whole_answer(code: int) -> None:
    for refusal in (whole(rpc_error(code)), streamed(rpc_error(code))):
        fetch = ScriptedFetch(refusal, whole(a2a_message()))
        (delta,) = await stream(fetch, "a2a")
        assert (delta.content, delta.finish_reason) == ("By train.", "stop")
        methods = [sent.json()["method"] for sent in fetch.requests]
        assert methods == ["message/stream", "message/send"]


async def test_a_started_stream_is_not_requested_again() -> None:
    fetch = ScriptedFetch(streamed(a2a_artifact("By "), rpc_error(-32601)), whole(a2a_message()))
    with pytest.raises(UpstreamNotConfiguredError):
        await stream(fetch, "a2a")
    assert len(fetch.requests) == 1


@pytest.mark.parametrize(("read", "stopped"), [(0, 1), (1, 1), (2, 1)])
async def test_closing_the_stream_stops_the_agent(read: int, stopped: int) -> None:
    fetch = ScriptedFetch(streamed(chunk("By "), chunk("train."), chunk("."), "[DONE]"))
    deltas = (await endpoints(fetch).stream(agent(), asked())).deltas
    for _ in range(read):
        await anext(deltas)
    await deltas.aclose()
    assert fetch.stopped == stopped


# What goes wrong


@pytest.mark.parametrize("protocol", ["openai", "a2a"])
@pytest.mark.parametrize(
    ("response", "kind", "said"),
    [
        (OSError("no such host 10.0.0.1"), UpstreamError, "could not be reached"),
        (whole({}, 301, location="https://10.0.0.1/"), UpstreamError, "redirects are not followed"),
        (whole({}, 307, location="https://b.example/"), UpstreamError, "redirects are not"),
        (whole({}, 401), UpstreamNotConfiguredError, "AGENT_SIGNING_SECRET"),
        (whole({}, 403), UpstreamNotConfiguredError, "AGENT_SIGNING_SECRET"),
        (whole({}, 400), UpstreamRejectedError, "400"),
        (whole({"error": {"message": "too long"}}, 422), UpstreamRejectedError, "too long"),
        (whole({}, 409), UpstreamRejectedError, "409"),
        (whole(b"x" * 100_000, 413), UpstreamRejectedError, "413"),
        (whole({}, 429, **{"retry-after": "7"}), UpstreamRateLimitedError, "429"),
        (whole(b"<html>", 500), UpstreamError, "500"),
        (whole({}, 503), UpstreamError, "503"),
        (whole(b"<html>"), InvalidOutputError, None),
        (whole(b""), InvalidOutputError, None),
        (whole({"surprise": 1}), InvalidOutputError, None),
        (whole(b"[" * 100_000), InvalidOutputError, None),
        (whole(b" " * 5_000_000), InvalidOutputError, "too large"),
        (ScriptedResponse(200, [b"{", OSError("reset")], JSON), UpstreamError, None),
        (ScriptedResponse(500, [OSError("reset")], JSON), UpstreamError, "500"),
    ],
)
async def test_invalid_answers(
    response: ScriptedResponse | Exception,
    kind: type[UpstreamError],
    said: str | None,
    protocol: str,
) -> None:
    fetch = ScriptedFetch(response, response)
    for call in (endpoints(fetch).run, endpoints(fetch).stream):
        with pytest.raises(UpstreamError, match=said) as raised:
            await call(agent(protocol), asked())
        assert type(raised.value) is kind
        assert "shared words" not in str(vars(raised.value))
        assert "10.0.0.1" not in raised.value.message
        if kind is UpstreamRateLimitedError:
            assert raised.value.headers == {"retry-after": "7"}
    assert len(fetch.requests) == 2


@pytest.mark.parametrize("state", ["failed", "rejected", "canceled"])
async def test_a_task_that_fails(state: str) -> None:
    if state != "rejected":  # before any text the turn is for another agent
        task = result({"kind": "task", "status": {"state": state}})
        with pytest.raises(UpstreamError, match=state):
            await endpoints(ScriptedFetch(whole(task))).run(agent("a2a"), asked())
    with pytest.raises(UpstreamError, match=state):
        await stream(ScriptedFetch(streamed(a2a_artifact("By "), a2a_status(state))), "a2a")


async def test_a_running_task_is_no_answer() -> None:
    task = result({"kind": "task", "status": {"state": "working"}})
    with pytest.raises(InvalidOutputError, match="before its task was finished"):
        await endpoints(ScriptedFetch(whole(task))).run(agent("a2a"), asked())


@pytest.mark.parametrize(
    ("protocol", "first", "end", "kind"),
    [
        ("openai", chunk("By "), b"", UpstreamCutError),
        ("a2a", a2a_artifact("By "), b"", UpstreamCutError),
        ("openai", chunk("By "), OSError("reset"), UpstreamCutError),
        ("openai", chunk("By "), None, UpstreamTimeoutError),
        ("a2a", a2a_artifact("By "), None, UpstreamTimeoutError),
        ("openai", chunk("By "), b"data: {\n\n", InvalidOutputError),
        ("a2a", a2a_artifact("By "), b"data: {\n\n", InvalidOutputError),
        ("openai", chunk("By "), b'data: {"error": {"message": "x"}}\n\n', UpstreamError),
    ],
)
async def test_a_stream_that_breaks_off(
    protocol: str, first: Any, end: Any, kind: type[UpstreamError]
) -> None:
    fetch = ScriptedFetch(streamed(first, end=end))
    found = await endpoints(fetch).stream(agent(protocol), asked(idle_ms=1))
    assert (await anext(found.deltas)).content == "By "
    with pytest.raises(UpstreamError) as raised:
        await anext(found.deltas)
    assert type(raised.value) is kind


@pytest.mark.parametrize("silent", [None, ScriptedResponse(200, [None], SSE)])
async def test_silence_ends_at_the_time_limit(silent: ScriptedResponse | None) -> None:
    fetch = ScriptedFetch(silent, silent)
    with pytest.raises(UpstreamTimeoutError):
        await endpoints(fetch).run(agent(), asked(timeout_ms=1))
    with pytest.raises(UpstreamTimeoutError):
        await endpoints(fetch).stream(agent(), asked(timeout_ms=1))
    assert fetch.stopped == (0 if silent is None else 2)


@pytest.mark.parametrize("protocol", ["openai", "a2a"])
async def test_a_stream_without_an_answer(protocol: str) -> None:
    with pytest.raises(UpstreamCutError):
        await stream(ScriptedFetch(streamed()), protocol)
