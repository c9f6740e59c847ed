"""Chats whose agent hands the turn back ("not mine"): the next best agent answers within the same
request, a bounded number of times, and the decisions form a chain."""

import json
from dataclasses import replace
from typing import Any

import pytest

from edgeneuro.settings import Settings
from edgeneuro_testing.fetch import ScriptedResponse
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.chats import COST, USAGE, chat, events, said, streams, talks, tries, user
from tests.unit.conftest import Answered, Product, says
from tests.unit.decision_models import chose, decision_product
from tests.unit.test_chat_agents import JSON, SSE, answers, streamed
from tests.unit.test_chat_outcomes import content
from tests.unit.test_keys import create
from tests.unit.test_outcomes import CLOSE

HOST = "https://agents.example.com/"
MARK = {"edgeneuro": {"not_mine": True, "reason": "That is\u200b about pay."}}
REASON = "That is about pay."
BY_HEADER = ScriptedResponse(200, [b"{}"], {**JSON, "x-edgeneuro-not-mine": "1"})
BY_BODY = ScriptedResponse(200, [json.dumps(MARK).encode()], JSON)


def event(body: Any) -> bytes:
    return f"data: {json.dumps(body)}\n\n".encode()


def result(state: str, text: str = "") -> dict[str, Any]:
    message = {"kind": "message", "role": "agent", "parts": [{"kind": "text", "text": text}]}
    task = {"kind": "task", "id": "t", "status": {"state": state, "message": message}}
    return {"jsonrpc": "2.0", "id": "1", "result": task}


REJECTED = ScriptedResponse(200, [json.dumps(result("rejected", REASON)).encode()], JSON)


@pytest.fixture
async def product(product: Product) -> Product:
    """it_support and hr are at endpoints."""
    for agent in ("it_support", "hr"):
        await at_endpoint(product, agent)
    return product


async def at_endpoint(product: Product, agent: str, protocol: str = "openai") -> None:
    body = {"endpoint": HOST + agent, "protocol": protocol}
    assert (await product.call("PATCH", f"/v1/agents/{agent}", body)).status == 200


async def ask(product: Product, **fields: Any) -> Answered:
    return await chat(product, "auto", **fields)


async def chain(product: Product) -> list[dict[str, Any]]:
    """The log rows, oldest first."""
    return sorted(await product.logs(), key=lambda each: str(each["id"]))


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        (BY_HEADER, None),
        (ScriptedResponse(422, [b"no"], {"x-edgeneuro-not-mine": "true"}), None),
        (
            ScriptedResponse(409, BY_BODY.parts, {**JSON, "x-edgeneuro-not-mine": "1"}),
            REASON,
        ),
        (BY_BODY, REASON),
        (
            ScriptedResponse(
                200, [b'{"edgeneuro": {"not_mine": true, "reason": "Pay \\ud83d"}}'], JSON
            ),
            "Pay \ufffd",
        ),
    ],
)
async def test_the_next_best_agent_answers(
    product: Product, refusal: ScriptedResponse, reason: str | None
) -> None:
    product.gateway.enqueue(says("it_support"), says("hr"))
    product.fetch.enqueue(refusal, answers("Thirty days."))
    answered = await ask(product, user="ann")
    completion = answered.json()
    facts = completion["edgeneuro"]
    assert completion["choices"][0]["message"]["content"] == "Thirty days."
    assert (facts["agent"]["id"], answered.headers["x-edgeneuro-agent"]) == ("hr", "hr")
    [rerouted] = facts["rerouted"]
    first_id = rerouted.pop("decision_id")
    assert rerouted == {"from": "it_support", "to": "hr", "reason": reason}
    assert [each[::2] for each in tries(facts)] == [
        ("route", "ok"),
        ("chat", "not_mine"),
        ("route", "ok"),
        ("chat", "ok"),
    ]
    assert [each.url for each in product.fetch.requests] == [HOST + "it_support", HOST + "hr"]
    ids = [each.headers["x-edgeneuro-decision-id"] for each in product.fetch.requests]
    assert ids == [first_id, facts["decision_id"]]

    first, second = await chain(product)
    assert (first["id"], first["rerouted_to"]) == (first_id, facts["decision_id"])
    assert (second["id"], second["rerouted_from"]) == (facts["decision_id"], first_id)
    assert [each["agent_id"] for each in (first, second)] == ["it_support", "hr"]
    assert [each["status"] for each in (first, second)] == [200, 200]
    assert [each["kind"] for each in (first, second)] == ["chat", "chat"]
    assert first["query_hash"] == second["query_hash"]
    assert (first["candidates"], second["candidates"]) == (None, ["general", "hr"])
    assert [len(each["attempts"]) for each in (first, second)] == [2, 2]
    [signal] = first["signals"]
    assert (signal["kind"], signal["agent_id"], signal["reason"]) == (
        "not_mine",
        "it_support",
        reason,
    )
    assert second["signals"] == []


@pytest.mark.parametrize(
    ("protocol", "refusal"),
    [
        ("openai", BY_HEADER),
        ("openai", BY_BODY),
        (
            "openai",
            ScriptedResponse(
                200, [event({"choices": [{"delta": {"role": "assistant"}}]}), event(MARK)], SSE
            ),
        ),
        ("a2a", REJECTED),
        (
            "a2a",
            ScriptedResponse(
                200, [event(result("working", "Hm.")), event(result("rejected", REASON))], SSE
            ),
        ),
    ],
)
async def test_a_stream_shows_nothing_of_the_refused_answer(
    product: Product, protocol: str, refusal: ScriptedResponse
) -> None:
    await at_endpoint(product, "it_support", protocol)
    product.gateway.enqueue(says("it_support"), says("hr"))
    product.fetch.enqueue(refusal, streamed("Thirty", " days."))
    *chunks, done = events((await ask(product, stream=True)).text)
    assert (said(chunks), done) == ("Thirty days.", "[DONE]")
    facts = [chunk["edgeneuro"] for chunk in chunks if "edgeneuro" in chunk]
    assert {each["rerouted"][0]["to"] for each in facts} == {"hr"}
    assert {chunk["model"] for chunk in chunks} == {"agent:hr"}
    first, second = await chain(product)
    assert (first["ending"], second["ending"]) == ("complete", "complete")
    assert first["attempts"][-1]["outcome"] == "not_mine"


async def test_a_mark_after_the_first_content_is_too_late(product: Product) -> None:
    product.gateway.enqueue(says("it_support"))
    begun = event({"choices": [{"delta": {"content": "Well, "}}]})
    ends = event({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    product.fetch.enqueue(ScriptedResponse(200, [begun, event(MARK), ends], SSE))
    *chunks, _ = events((await ask(product, stream=True)).text)
    assert said(chunks) == "Well, "
    [entry] = await product.logs()
    assert (entry["agent_id"], entry["signals"]) == ("it_support", [])


@pytest.mark.parametrize(
    "answer",
    [
        b'{"choices": [{"message": {"content": "not_mine"}}]}',
        b'{"choices": [{"message": {"content": "x"}}], "edgeneuro": {"not_mine": false}}',
        b'{"choices": [{"message": {"content": "x"}}], "edgeneuro": "not_mine"}',
    ],
)
async def test_what_is_no_mark(product: Product, answer: bytes) -> None:
    product.gateway.enqueue(says("it_support"))
    product.fetch.enqueue(ScriptedResponse(200, [answer], {**JSON, "x-edgeneuro-not-mine": "0"}))
    facts = (await ask(product)).json()["edgeneuro"]
    assert facts["agent"]["id"] == "it_support" and "rerouted" not in facts


@pytest.mark.parametrize("stream", [False, True])
async def test_after_two_hand_backs_the_fallback_agent_answers(
    product: Product, stream: bool
) -> None:
    more = {"id": "more", "name": "More", "description": "More."}
    assert (await product.call("POST", "/v1/agents", more)).status == 201
    product.gateway.enqueue(says("it_support"), says("hr"))
    product.fetch.enqueue(BY_BODY, BY_HEADER)
    product.gateway.enqueue(streams("I can", " try.") if stream else talks("I can try."))
    answered = await ask(product, stream=stream)
    facts = events(answered.text)[0]["edgeneuro"] if stream else answered.json()["edgeneuro"]
    assert (facts["agent"]["id"], facts["outcome"]) == ("general", "fallback")
    assert [(each["from"], each["to"]) for each in facts["rerouted"]] == [
        ("it_support", "hr"),
        ("hr", "general"),
    ]
    entries = await chain(product)
    assert [each["agent_id"] for each in entries] == ["it_support", "hr", "general"]
    assert [each["rerouted_from"] for each in entries] == [
        None,
        entries[0]["id"],
        entries[1]["id"],
    ]
    assert [each["kind"] for entry in entries for each in entry["signals"]] == ["not_mine"] * 2


async def test_nobody_answers_if_the_fallback_agent_may_not_or_hands_back(
    product: Product,
) -> None:
    product.gateway.enqueue(says("it_support"), says("hr"))
    product.fetch.enqueue(BY_BODY, BY_HEADER)
    answered = await ask(product, edgeneuro={"on_no_fit": "none"})
    error = answered.json()["error"]
    assert (answered.status, error["code"]) == (422, "no_agent_fits")
    assert error["message"].startswith("'it_support' and 'hr' handed this conversation back.")
    entries = await chain(product)
    assert [each["status"] for each in entries] == [200, 200, 422]
    assert entries[-1]["outcome"] == "none"
    await at_endpoint(product, "general")
    product.gateway.enqueue(says("it_support"), says("general"))
    product.fetch.enqueue(BY_HEADER, BY_HEADER)
    answered = await ask(product, messages=[user("Another question")])
    assert answered.status == 422
    assert len(product.fetch.requests) == 4


async def test_an_agent_that_the_caller_named(product: Product) -> None:
    product.fetch.enqueue(BY_BODY)
    answered = await chat(product, "agent:hr")
    error = answered.json()["error"]
    assert (answered.status, error["code"]) == (422, "no_agent_fits")
    assert "model 'auto'" in error["message"]
    [entry] = await product.logs()
    assert (entry["signals"], entry["attempts"][0]["outcome"]) == ([], "not_mine")


async def test_a_whole_ranking_names_the_next_agent_without_another_call(
    database: SqliteDatabase, settings: Settings
) -> None:
    product = await decision_product(database, settings)
    await at_endpoint(product, "it_support")
    ranking = {"it_support": 0.7, "hr": 0.2, "general": 0.05, "none": 0.05}
    product.gateway.enqueue(chose(ranking), talks("Thirty days."))
    product.fetch.enqueue(BY_BODY)
    facts = (await ask(product)).json()["edgeneuro"]
    assert (facts["agent"]["id"], facts["layer"]) == ("hr", "cache")
    assert facts["confidence"] == pytest.approx(0.2 / 0.3)
    assert len(product.gateway.decision_requests) == 1


async def test_a_hand_back_is_no_failure(product: Product) -> None:
    """No circuit breaker opens, and no analytics count it as a failed attempt."""
    for number in range(6):
        product.gateway.enqueue(says("it_support"), says("hr"))
        product.fetch.enqueue(BY_HEADER, answers())
        answered = await ask(product, messages=[user(f"Question {number}")])
        assert answered.json()["edgeneuro"]["agent"]["id"] == "hr"
    assert len(product.fetch.requests) == 12
    product.clock.seconds += 3_600
    analytics = (await product.call("GET", "/v1/analytics?group_by=agent")).json()
    assert analytics["totals"]["failed_attempts"] == 0
    models = {each["model"]: each for each in analytics["models"]}
    assert models["agent:it_support"]["outcomes"] == {"not_mine": 6}
    assert models["agent:it_support"]["failed_attempts"] == 0


async def test_the_next_caller_is_routed_again(product: Product) -> None:
    product.gateway.enqueue(says("it_support"), says("hr"), says("hr"))
    product.fetch.enqueue(BY_HEADER, answers(), answers())
    await ask(product)
    facts = (await ask(product)).json()["edgeneuro"]
    assert (facts["agent"]["id"], facts["layer"]) == ("hr", "llm")


async def test_a_budget_covers_all_of_it_and_is_settled_once(product: Product) -> None:
    made = await create(product, monthly_budget_usd=1, monthly_token_budget=100_000)
    product.gateway.enqueue(says("it_support"), says("hr", 0.1), talks("I can try.", USAGE))
    product.fetch.enqueue(BY_HEADER)
    body = {"model": "auto", "messages": [user()]}
    answered = await product.call("POST", "/v1/chat/completions", body, key=made["key"])
    assert answered.json()["edgeneuro"]["agent"]["id"] == "general"
    assert answered.json()["usage"]["total_tokens"] == USAGE.total_tokens
    [used] = product.rows("SELECT tokens, cost_usd FROM key_usage")
    assert used["cost_usd"] >= COST
    first, second = await chain(product)
    assert first["usage"]["total_tokens"] + second["usage"]["total_tokens"] == USAGE.total_tokens
    left = int(answered.headers["x-ratelimit-remaining-tokens"])
    assert 0 <= 100_000 - used["tokens"] and left < 100_000 - used["tokens"]


@pytest.mark.parametrize("stream", [False, True])
async def test_what_an_agent_has_used_to_hand_back_counts(product: Product, stream: bool) -> None:
    made = await create(product, monthly_token_budget=100_000)
    for agent in ("it_support", "hr"):
        product.gateway.enqueue(replace(says(agent), usage=USAGE))
    usage = {"prompt_tokens": 900, "completion_tokens": 7}
    mark = {**MARK, "usage": usage}
    refusal = (
        ScriptedResponse(200, [event(mark)], SSE)
        if stream
        else ScriptedResponse(200, [json.dumps(mark).encode()], JSON)
    )
    product.fetch.enqueue(refusal, streamed("Thirty.") if stream else answers())
    body = {"model": "auto", "messages": [user()], "stream": stream}
    answered = await product.call("POST", "/v1/chat/completions", body, key=made["key"])
    assert answered.status == 200
    first, second = await chain(product)
    assert first["usage"]["total_tokens"] == USAGE.total_tokens + 907
    [used] = product.rows("SELECT tokens FROM key_usage")
    assert used["tokens"] == sum(each["usage"]["total_tokens"] for each in (first, second))


async def test_time_that_is_used_up_ends_it(product: Product) -> None:
    await product.call("PATCH", "/v1/config", {"chat_timeout_ms": 100})
    product.gateway.enqueue(says("it_support"), says("hr"))
    product.fetch.enqueue(BY_HEADER, None)
    answered = await ask(product)
    assert answered.status == 504
    assert [each["status"] for each in await chain(product)] == [200, 504]


@pytest.mark.parametrize("stream", [False, True])
async def test_one_of_several_agents_hands_its_part_back(
    database: SqliteDatabase, settings: Settings, stream: bool
) -> None:
    product = await decision_product(database, settings)
    await at_endpoint(product, "it_support")
    changes = {"several": True, "several_answers": "all"}
    assert (await product.call("PATCH", "/v1/config", changes)).status == 200
    product.gateway.enqueue(chose(CLOSE, several=0.95))
    product.gateway.enqueue(streams("In the portal.") if stream else talks("In the portal."))
    product.fetch.enqueue(BY_HEADER)
    message = user("My VPN is down, and where is my form?")
    answered = await ask(product, messages=[message], stream=stream)
    text = said(events(answered.text)[:-1]) if stream else content(answered)
    assert text.split("\n\n") == [
        "**IT Support**",
        "(No answer: not for this agent.)",
        "**Human Resources**",
        "In the portal.",
    ]
    [entry] = await product.logs()
    assert [(each["kind"], each["agent_id"]) for each in entry["signals"]] == [
        ("not_mine", "it_support")
    ]


@pytest.mark.parametrize("stream", [False, True])
async def test_of_several_agents_one_hands_back_and_the_other_fails(
    database: SqliteDatabase, settings: Settings, stream: bool
) -> None:
    product = await decision_product(database, settings)
    for agent in ("it_support", "hr"):
        await at_endpoint(product, agent)
    changes = {"several": True, "several_answers": "all"}
    assert (await product.call("PATCH", "/v1/config", changes)).status == 200
    product.gateway.enqueue(chose(CLOSE, several=0.95))
    product.fetch.enqueue(BY_HEADER, ScriptedResponse(503, [b"busy"], {}))
    answered = await ask(product, stream=stream)
    assert (answered.status, answered.json()["error"]["code"]) == (502, "upstream_error")


async def test_the_session_remembers_the_agent_that_answered(product: Product) -> None:
    product.gateway.enqueue(says("it_support"), says("hr"))
    product.fetch.enqueue(BY_HEADER, answers("Thirty days."))
    await ask(product, edgeneuro={"session": "s1"})
    session = (await product.call("GET", "/v1/sessions/s1")).json()
    assert (session["agent_id"], session["turns"]) == ("hr", 1)
