"""The internet behind OUTBOUND: who is there, who is not, and what is written down."""

from typing import Any

import httpx
import pytest

from tests.local.emulator import HELLO, LLAMA, Emulator, Json
from tests.local.test_streams import events

BEARER = {"authorization": "Bearer sk-12345678"}
GATEWAY_HOST = "gateway.ai.cloudflare.com/v1/acc/gw"
API_HOST = "api.cloudflare.com/client/v4/accounts/acc"
AGENT = "agents.example.com"


async def post(emulator: Emulator, url: str, body: Any = HELLO, **headers: str) -> httpx.Response:
    return await emulator.client.post(f"/_outbound/{url}", json=body, headers=headers)


def a2a(method: str = "message/send", text: str = "hi there", **params: Any) -> Json:
    message = {
        "kind": "message",
        "role": "user",
        "messageId": "m-1",
        "parts": [{"kind": "text", "text": text}],
    }
    return {"jsonrpc": "2.0", "id": 7, "method": method, "params": {"message": message, **params}}


VENDORS = [
    "api.openai.com/v1/chat/completions",
    "api.groq.com/openai/v1/chat/completions",
    "api.anthropic.com/v1/chat/completions",
    "models.example.com/v1/chat/completions",
]


@pytest.mark.parametrize("url", VENDORS)
async def test_vendors_answer_any_model_to_whoever_has_a_key(emulator: Emulator, url: str) -> None:
    body = {"model": "some-model", **HELLO}
    refused = await post(emulator, url, body)
    assert refused.status_code == 401
    assert refused.json()["error"]["code"] == "invalid_api_key"
    answer = await post(emulator, url, body, **BEARER)
    assert answer.json()["model"] == "some-model"
    assert answer.json()["choices"][0]["message"]["role"] == "assistant"
    streamed = await post(emulator, url, {**body, "stream": True}, **BEARER)
    assert events(streamed.content)[-1] == "[DONE]"


async def test_vendors_err_in_their_own_words(emulator: Emulator) -> None:
    missing = await post(emulator, VENDORS[0], HELLO, **BEARER)
    assert missing.status_code == 400
    assert missing.json()["error"]["type"] == "invalid_request_error"
    elsewhere = await post(emulator, "api.openai.com/v1/nothing", **BEARER)
    assert elsewhere.status_code == 404
    await emulator.fault("host:api.openai.com", kind="error", code=3040, retry_after=2)
    limited = await post(emulator, VENDORS[0], {"model": "m", **HELLO}, **BEARER)
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "2")
    assert limited.json()["error"]["type"] == "rate_limit_error"


async def test_ai_gateway_is_there(emulator: Emulator) -> None:
    native = await post(emulator, f"{GATEWAY_HOST}/workers-ai/{LLAMA}")
    assert "response" in native.json()["result"]
    vendor = await post(
        emulator, f"{GATEWAY_HOST}/openai/chat/completions", {"model": "m", **HELLO}, **BEARER
    )
    assert vendor.json()["model"] == "m"
    assert "cf-aig-log-id" in vendor.headers
    universal = await post(
        emulator, GATEWAY_HOST, [{"provider": "workers-ai", "endpoint": LLAMA, "query": HELLO}]
    )
    assert universal.headers["cf-aig-step"] == "0"


async def test_cloudflares_api_is_there_and_wants_a_token(emulator: Emulator) -> None:
    url = f"{API_HOST}/ai/run/{LLAMA}"
    assert (await post(emulator, url)).status_code == 401
    assert (await post(emulator, url, **BEARER)).json()["success"] is True
    searched = await emulator.client.get(
        f"/_outbound/{API_HOST}/ai/models/search?per_page=2", headers=BEARER
    )
    assert len(searched.json()["result"]) == 2
    for host in ("api.cloudflare.com/v1/acc/gw", "gateway.ai.cloudflare.com/client/v4/x"):
        assert (await post(emulator, host, **BEARER)).status_code == 404


async def test_an_agent_of_chat_completions_says_who_it_is(emulator: Emulator) -> None:
    expected = f"I am billing, an agent at {AGENT}. You said: hello"
    for path in ("openai/billing", "openai/billing/v1/chat/completions"):
        answer = await post(emulator, f"{AGENT}/{path}")
        assert answer.json()["choices"][0]["message"]["content"] == expected
    streamed = await post(emulator, f"{AGENT}/openai/billing", {**HELLO, "stream": True})
    *chunks, _, done = events(streamed.content)
    assert "".join(c["choices"][0]["delta"]["content"] for c in chunks) == expected
    assert done == "[DONE]"


async def test_an_a2a_agent_answers_with_a_message(emulator: Emulator) -> None:
    body = (await post(emulator, f"{AGENT}/a2a/message", a2a())).json()
    assert (body["jsonrpc"], body["id"]) == ("2.0", 7)
    assert (body["result"]["kind"], body["result"]["role"]) == ("message", "agent")
    (part,) = body["result"]["parts"]
    assert part["text"] == f"I am message, an agent at {AGENT}. You said: hi there"
    streamed = await post(emulator, f"{AGENT}/a2a/message", a2a("message/stream"))
    (only,) = events(streamed.content)
    assert only["result"]["kind"] == "message"


async def test_an_a2a_agent_answers_with_a_task(emulator: Emulator) -> None:
    task = (await post(emulator, f"{AGENT}/a2a/task", a2a())).json()["result"]
    assert (task["kind"], task["status"]["state"]) == ("task", "completed")
    text = task["artifacts"][0]["parts"][0]["text"]
    assert text == f"I am task, an agent at {AGENT}. You said: hi there"
    streamed = await post(emulator, f"{AGENT}/a2a/task", a2a("message/stream"))
    first, working, *chunks, last = [event["result"] for event in events(streamed.content)]
    assert (first["kind"], first["status"]["state"]) == ("task", "submitted")
    assert (working["status"]["state"], working["final"]) == ("working", False)
    assert "".join(chunk["artifact"]["parts"][0]["text"] for chunk in chunks) == text
    assert [chunk["lastChunk"] for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert {chunk["taskId"] for chunk in chunks} == {first["id"]}
    assert (last["status"]["state"], last["final"]) == ("completed", True)


async def test_an_a2a_agent_that_fails(emulator: Emulator) -> None:
    task = (await post(emulator, f"{AGENT}/a2a/failed", a2a())).json()["result"]
    assert (task["status"]["state"], task["artifacts"]) == ("failed", [])
    assert task["status"]["message"]["parts"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ([], -32600),
        ({"jsonrpc": "1.0", "id": 1, "method": "message/send"}, -32600),
        (a2a("tasks/get"), -32601),
        (a2a(message={}), -32602),
    ],
)
async def test_json_rpc_errors(emulator: Emulator, body: Any, code: int) -> None:
    answer = await post(emulator, f"{AGENT}/a2a/message", body)
    assert answer.status_code == 200
    assert answer.json()["error"]["code"] == code


async def test_json_rpc_that_is_no_json(emulator: Emulator) -> None:
    answer = await emulator.client.post(f"/_outbound/{AGENT}/a2a/message", content="{")
    assert answer.json()["error"]["code"] == -32700


async def test_what_an_agent_has_not(emulator: Emulator) -> None:
    for path in ("a2a/nobody", "openai/", "elsewhere"):
        assert (await post(emulator, f"{AGENT}/{path}")).status_code == 404
    assert (await emulator.client.get(f"/_outbound/{AGENT}/openai/it")).status_code == 404


async def test_a_redirect_leads_to_this_machine(emulator: Emulator) -> None:
    answer = await post(emulator, f"{AGENT}/redirect")
    assert (answer.status_code, answer.headers["location"]) == (302, "http://127.0.0.1/")


@pytest.mark.parametrize("host", ["example.org", "127.0.0.1", "example.com", "openai.com"])
async def test_other_hosts_do_not_resolve(emulator: Emulator, host: str) -> None:
    answer = await post(emulator, f"{host}/v1/chat/completions", **BEARER)
    assert answer.headers["x-local-failure"] == "dns"
    assert (await emulator.calls())[0]["host"] == host


@pytest.mark.parametrize("kind", ["dns", "refuse"])
async def test_a_host_can_be_away(emulator: Emulator, kind: str) -> None:
    await emulator.fault(f"host:{AGENT}", kind=kind, times=1)
    assert (await post(emulator, f"{AGENT}/openai/it")).headers["x-local-failure"] == kind
    assert (await post(emulator, f"{AGENT}/openai/it")).status_code == 200
    assert [call["ended"] for call in await emulator.calls()] == ["cut", "complete"]


async def test_a_hosts_fault_is_its_own(emulator: Emulator) -> None:
    await emulator.fault("host:gateway.ai.cloudflare.com", kind="cut", after=1)
    body = {**HELLO, "stream": True}
    cut = await post(emulator, f"{GATEWAY_HOST}/workers-ai/{LLAMA}", body)
    assert len(events(cut.content)) == 1
    assert events((await emulator.ask(body)).content)[-1] == "[DONE]"


async def test_a_vendors_model_can_fail_wherever_it_is(emulator: Emulator) -> None:
    await emulator.fault("m", kind="text", answer="so it is")
    body = {"model": "m", **HELLO}
    direct = await post(emulator, VENDORS[0], body, **BEARER)
    through = await post(emulator, f"{GATEWAY_HOST}/openai/chat/completions", body, **BEARER)
    for answer in (direct, through):
        assert answer.json()["choices"][0]["message"]["content"] == "so it is"


async def test_every_call_is_written_down_with_headers_and_body(emulator: Emulator) -> None:
    headers = {
        **BEARER,
        "x-api-key": "key-12345678",
        "x-edgeneuro-signature": "t=1,v1=0123456789abcdef",
        "traceparent": "00-abc-def-01",
    }
    await post(emulator, f"{AGENT}:8443/openai/it?x=1", {"a": 1}, **headers)
    (call,) = await emulator.calls()
    assert (call["host"], call["method"]) == (f"{AGENT}:8443", "POST")
    assert (call["path"], call["body"]) == ("/openai/it?x=1", '{"a":1}')
    assert call["inputs"] == {"a": 1}
    assert call["headers"]["x-edgeneuro-signature"] == headers["x-edgeneuro-signature"]
    assert call["headers"]["traceparent"] == headers["traceparent"]
    assert call["headers"]["authorization"] == "Bearer sk-1…"
    assert call["headers"]["x-api-key"] == "key-…"
    assert "host" not in call["headers"]


async def test_an_a2a_agent_that_asks_back(emulator: Emulator) -> None:
    task = (await post(emulator, f"{AGENT}/a2a/asking", a2a())).json()["result"]
    assert task["status"]["state"] == "input-required"
    assert "What exactly?" in task["status"]["message"]["parts"][0]["text"]
    ids = {"taskId": task["id"], "contextId": task["contextId"]}
    reply = a2a("message/stream", "the second")
    reply["params"]["message"] |= ids
    streamed = await post(emulator, f"{AGENT}/a2a/asking", reply)
    assert "hi there / the second" in "".join(
        part["text"]
        for event in events(streamed.content)
        if event["result"]["kind"] == "artifact-update"
        for part in event["result"]["artifact"]["parts"]
    )
    again = (await post(emulator, f"{AGENT}/a2a/asking", reply)).json()
    assert again["error"]["code"] == -32001


async def test_an_a2a_agent_that_forgets_its_task(emulator: Emulator) -> None:
    task = (await post(emulator, f"{AGENT}/a2a/forgetful", a2a())).json()["result"]
    reply = a2a()
    reply["params"]["message"] |= {"taskId": task["id"], "contextId": task["contextId"]}
    answer = (await post(emulator, f"{AGENT}/a2a/forgetful", reply)).json()
    assert answer["error"]["code"] == -32001
