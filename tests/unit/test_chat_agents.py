"""Chats with agents at endpoints of their own: called, streamed, handed off, and what fails."""

import json
from typing import Any

import pytest

from edgeneuro_testing.fetch import ScriptedResponse
from tests.unit.chats import GRANITE, chat, events, said, streams, talks, tries
from tests.unit.conftest import Product, says

URL = "https://agents.example.com/openai/hr"
JSON = {"content-type": "application/json"}
SSE = {"content-type": "text/event-stream"}
USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
BUSY = ScriptedResponse(503, [b"busy"])


async def at_endpoint(product: Product, protocol: str = "openai", **fields: Any) -> None:
    body = {"endpoint": URL, "protocol": protocol, **fields}
    answered = await product.call("PATCH", "/v1/agents/hr", body)
    assert answered.status == 200, answered.text


def answers(text: str = "From afar.") -> ScriptedResponse:
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    body = json.dumps({"choices": [choice], "usage": USAGE}).encode()
    return ScriptedResponse(200, [body], JSON)


def streamed(*words: str) -> ScriptedResponse:
    chunks: list[Any] = [{"choices": [{"delta": {"content": word}}]} for word in words]
    chunks.append({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    chunks.append({"choices": [], "usage": USAGE})
    parts = [f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks]
    return ScriptedResponse(200, [*parts, b"data: [DONE]\n\n"], SSE)


def by_a2a(text: str = "From afar.") -> ScriptedResponse:
    message = {"kind": "message", "role": "agent", "parts": [{"kind": "text", "text": text}]}
    body = json.dumps({"jsonrpc": "2.0", "id": "1", "result": message}).encode()
    return ScriptedResponse(200, [body], JSON)


@pytest.mark.parametrize("model", ["auto", "agent:hr"])
async def test_an_agent_at_an_endpoint_answers_itself(product: Product, model: str) -> None:
    await at_endpoint(product, system_prompt="You are HR.")
    if model == "auto":
        product.gateway.enqueue(says("hr"))
    product.fetch.enqueue(answers())
    answered = await chat(product, model, temperature=0.5)
    completion = answered.json()
    assert (completion["model"], answered.headers["x-edgeneuro-model"]) == ("agent:hr", "agent:hr")
    assert completion["choices"][0]["message"]["content"] == "From afar."
    facts = completion["edgeneuro"]
    assert (facts["agent"]["endpoint"], facts["agent"]["protocol"]) == (URL, "openai")
    assert tries(facts)[-1] == ("chat", "agent:hr", "ok")
    assert facts["attempts"][-1]["provider"] == "agent"
    assert facts["cost_usd"] is None
    [sent] = product.fetch.requests
    assert sent.url == URL
    assert sent.json()["model"] == "hr"
    assert sent.json()["temperature"] == 0.5
    assert [message["role"] for message in sent.json()["messages"]] == ["system", "user"]
    assert sent.headers["x-edgeneuro-decision-id"] == facts["decision_id"]
    assert sent.headers["x-request-id"] == answered.headers["x-request-id"]
    [entry] = await product.logs()
    assert (entry["model"], entry["agent_id"], entry["cost_usd"]) == ("agent:hr", "hr", None)
    assert entry["usage"]["total_tokens"] == 7
    assert len(product.gateway.requests) == (model == "auto")


async def test_its_stream_is_passed_on(product: Product) -> None:
    await at_endpoint(product)
    product.fetch.enqueue(streamed("From", " afar."))
    *chunks, done = events((await chat(product, stream=True)).text)
    assert (said(chunks), done) == ("From afar.", "[DONE]")
    assert {chunk["model"] for chunk in chunks} == {"agent:hr"}
    [entry] = await product.logs()
    assert (entry["ending"], entry["usage"]["total_tokens"]) == ("complete", 7)


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (streamed("Fine \ud83d", "\ude00."), "Fine \U0001f600."),
        (streamed("Fine \ud83d", "."), "Fine \ufffd."),
        (streamed("Fine ", "\ud83d"), "Fine "),
        (answers("Fine \ud83d."), "Fine \ufffd."),
    ],
)
async def test_a_character_that_is_cut_in_two(
    product: Product, answer: ScriptedResponse, kept: str
) -> None:
    await at_endpoint(product)
    product.fetch.enqueue(answer)
    stream = answer.headers == SSE
    answered = await chat(product, stream=stream, edgeneuro={"session": "s-1"})
    if stream:
        *chunks, done = events(answered.text)
        assert (said(chunks), done) == (kept, "[DONE]")
    else:
        assert answered.json()["choices"][0]["message"]["content"] == kept
    session = (await product.call("GET", "/v1/sessions/s-1")).json()
    assert session["previous_assistant"] == kept.strip()


@pytest.mark.parametrize("stream", [False, True])
async def test_halves_of_characters_in_the_call_of_a_tool(product: Product, stream: bool) -> None:
    await at_endpoint(product)
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\ud83d"}}
    if stream:
        chunks = [
            {"choices": [{"delta": {"tool_calls": [{"index": 0, **call}]}}]},
            {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]},
        ]
        parts = [f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks]
        product.fetch.enqueue(ScriptedResponse(200, [*parts, b"data: [DONE]\n\n"], SSE))
    else:
        choice = {"message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}
        body = json.dumps({"choices": [choice]}).encode()
        product.fetch.enqueue(ScriptedResponse(200, [body], JSON))
    answered = await chat(product, stream=stream)
    assert (answered.status, "{\ufffd" in answered.text) == (200, True)


async def test_half_a_character_in_the_code_of_an_error(product: Product) -> None:
    await at_endpoint(product)
    body = b'{"error": {"message": "no", "code": "c\\ud83d"}}'
    product.fetch.enqueue(ScriptedResponse(400, [body], JSON))
    assert (await chat(product)).status == 400
    [entry] = await product.logs()
    assert entry["attempts"][-1]["code"] == "c\ufffd"


@pytest.mark.parametrize("stream", [False, True])
async def test_an_agent_of_a2a(product: Product, stream: bool) -> None:
    await at_endpoint(product, "a2a")
    product.fetch.enqueue(by_a2a())
    answered = await chat(product, stream=stream)
    if stream:
        assert said(events(answered.text)) == "From afar."
    else:
        assert answered.json()["choices"][0]["message"]["content"] == "From afar."
    method = "message/stream" if stream else "message/send"
    assert product.fetch.requests[0].json()["method"] == method


@pytest.mark.parametrize("stream", [False, True])
async def test_an_endpoint_that_fails_is_an_error_and_is_asked_once(
    product: Product, stream: bool
) -> None:
    await at_endpoint(product)
    product.fetch.enqueue(BUSY)
    answered = await chat(product, stream=stream)
    assert answered.status >= 429
    assert answered.json()["error"]["code"].startswith("upstream_")
    assert (len(product.fetch.requests), product.gateway.requests) == (1, [])
    [entry] = await product.logs()
    assert (entry["status"], len(entry["attempts"])) == (answered.status, 1)


@pytest.mark.parametrize("stream", [False, True])
async def test_the_agents_own_model_stands_in(product: Product, stream: bool) -> None:
    await at_endpoint(product, model=GRANITE)
    product.fetch.enqueue(BUSY)
    product.gateway.enqueue(streams("Thirty.") if stream else talks())
    answered = await chat(product, stream=stream)
    found = events(answered.text)[0] if stream else answered.json()
    assert found["model"] == GRANITE
    [entry] = await product.logs()
    first, second = entry["attempts"]
    assert (first["model"], first["fell_back_to"]) == ("agent:hr", GRANITE)
    assert (second["provider"], second["outcome"]) == ("workers-ai", "ok")


async def test_nobody_stands_in_where_the_caller_says_so(product: Product) -> None:
    await at_endpoint(product, model=GRANITE)
    product.fetch.enqueue(BUSY)
    assert (await chat(product, edgeneuro={"fallback": False})).status >= 429
    assert product.gateway.requests == []


async def test_an_endpoint_that_keeps_failing_is_passed_over(product: Product) -> None:
    await at_endpoint(product)
    product.fetch.enqueue(*[BUSY] * 5)
    for _ in range(6):
        answered = await chat(product)
    assert len(product.fetch.requests) == 5
    assert "circuit breaker of agent:hr is open" in answered.json()["error"]["message"]


@pytest.mark.parametrize(
    ("options", "states"),
    [({}, ["bypass", "bypass"]), ({"edgeneuro": {"cache": True}}, ["miss", "hit"])],
)
async def test_an_agents_answer_is_kept_only_where_the_caller_says_so(
    product: Product, options: dict[str, Any], states: list[str]
) -> None:
    await at_endpoint(product)
    product.fetch.enqueue(answers(), answers())
    found = [await chat(product, temperature=0, **options) for _ in states]
    assert [each.json()["edgeneuro"]["cache"] for each in found] == states


async def test_a_kept_answer_is_of_its_endpoint(product: Product) -> None:
    await at_endpoint(product)
    product.fetch.enqueue(answers("old"), answers("new"))
    await chat(product, edgeneuro={"cache": True})
    await at_endpoint(product, endpoint=f"{URL}-2")
    second = (await chat(product, edgeneuro={"cache": True})).json()
    assert second["choices"][0]["message"]["content"] == "new"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["auto", "agent:hr"])
async def test_a_handoff_calls_nobody(product: Product, model: str, stream: bool) -> None:
    await at_endpoint(product, "handoff", model=GRANITE)
    if model == "auto":
        product.gateway.enqueue(says("hr"))
    options = {"edgeneuro": {"cache": True}}
    answered = await chat(product, model, stream=stream, temperature=0, **options)
    text = f"Handed off to Human Resources: {URL}"
    if stream:
        *chunks, done = events(answered.text)
        assert (said(chunks), done) == (text, "[DONE]")
        facts = chunks[0]["edgeneuro"]
        assert chunks[-1]["edgeneuro"]["handoff"] == facts["handoff"]
    else:
        completion = answered.json()
        assert completion["choices"][0]["message"]["content"] == text
        assert completion["usage"]["total_tokens"] == 0
        facts = completion["edgeneuro"]
    assert facts["agent"]["protocol"] == "handoff"
    assert facts["handoff"]["agent"]["url"] == URL
    assert facts["handoff"]["message"]["parts"][0]["text"] == "How many days of leave?"
    assert facts["handoff"]["signature"].startswith("t=1800000000,v1=")
    assert facts["cache"] == "bypass"
    assert product.fetch.requests == []
    [entry] = await product.logs()
    assert (entry["model"], entry["ending"], entry["cost_usd"]) == ("agent:hr", "complete", 0)


async def test_without_a_handoff_none_is_told(product: Product) -> None:
    product.gateway.enqueue(talks())
    assert "handoff" not in (await chat(product)).json()["edgeneuro"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("protocol", ["openai", "a2a", "handoff"])
async def test_without_the_signing_secret_it_is_told_by_name(
    product: Product, protocol: str, stream: bool
) -> None:
    await at_endpoint(product, protocol)
    del product.secrets["AGENT_SIGNING_SECRET"]
    answered = await chat(product, stream=stream)
    error = answered.json()["error"]
    assert (answered.status, error["code"]) == (502, "upstream_not_configured")
    assert "AGENT_SIGNING_SECRET" in error["message"]
    assert product.fetch.requests == []
    assert [entry["status"] for entry in await product.logs()] == [502]
