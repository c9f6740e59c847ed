"""Chats that end with a clarifying question, and chats for several agents."""

from typing import Any

import pytest

from edgeneuro.errors import UpstreamCapacityError, UpstreamCutError
from edgeneuro.gateway.interface import Delta
from edgeneuro.settings import Settings
from edgeneuro_testing.gateway import Streamed
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit import classifiers
from tests.unit.chats import TOOL, chat, events, said, streams, talks, user
from tests.unit.conftest import Answered, Product, says
from tests.unit.decision_models import USED, chose, decision_product
from tests.unit.decisions import choice, decisions
from tests.unit.test_chat_stream import opened
from tests.unit.test_outcomes import ASKED, CLEAR, CLOSE

SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
SENTENCE = "IT Support answered this. Human Resources can help with the rest of your message."
BOTH = "My VPN is down, and where is my form?"


@pytest.fixture
async def product(database: SqliteDatabase, settings: Settings) -> Product:
    product = await decision_product(database, settings)
    changes = {"clarify": True, "several": True, "max_retries": 0, "chat_timeout_ms": 10_000}
    assert (await product.call("PATCH", "/v1/config", changes)).status == 200
    return product


async def ask(product: Product, text: str = "Where is my form?", **fields: Any) -> Answered:
    return await chat(product, "auto", messages=[user(text)], **fields)


def content(answered: Answered) -> str:
    text: str = answered.json()["choices"][0]["message"]["content"]
    return text


# A clarifying question.


async def test_the_question_is_the_answer(product: Product) -> None:
    product.gateway.enqueue(chose(CLOSE))
    answered = await ask(product)
    body = answered.json()
    assert (content(answered), body["model"]) == (ASKED, "auto")
    assert body["choices"][0]["finish_reason"] == "stop"
    facts = body["edgeneuro"]
    assert (facts["outcome"], facts["reason"], facts["agent"]) == ("clarify", "ambiguous", None)
    assert [each["agent_id"] for each in facts["clarify"]["options"]] == ["it_support", "hr"]
    assert (facts["cache"], facts["confidence"]) == ("bypass", None)
    assert body["usage"]["total_tokens"] == USED.total_tokens  # of the routing alone
    assert product.gateway.requests == []
    assert "x-edgeneuro-agent" not in answered.headers
    assert answered.headers["x-edgeneuro-model"] == "auto"
    [row] = await product.logs()
    assert (row["outcome"], row["status"], row["agent_id"]) == ("clarify", 200, None)
    assert (row["model"], row["layer"], row["kind"]) == (None, "decision_model", "chat")


async def test_the_question_as_a_stream(product: Product) -> None:
    product.gateway.enqueue(chose(CLOSE))
    *chunks, done = events((await ask(product, stream=True)).text)
    assert (said(chunks), done) == (ASKED, "[DONE]")
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    facts = chunks[-1]["edgeneuro"]
    assert (facts["outcome"], facts["clarify"]["text"]) == ("clarify", ASKED)
    assert facts["cost_usd"] == pytest.approx(0.00024)
    [row] = await product.logs()
    assert (row["ending"], row["outcome"], row["agent_id"]) == ("complete", "clarify", None)


@pytest.mark.parametrize("stream", [False, True])
async def test_the_reply_is_answered_by_the_agent(product: Product, stream: bool) -> None:
    product.gateway.enqueue(streams("In the portal.") if stream else talks("In the portal."))
    messages = [
        user("Where is my form?"),
        {"role": "assistant", "content": ASKED},
        user("the second one"),
    ]
    answered = await chat(product, "auto", messages=messages, stream=stream)
    facts = events(answered.text)[0]["edgeneuro"] if stream else answered.json()["edgeneuro"]
    assert (facts["agent"]["id"], facts["layer"], facts["outcome"]) == ("hr", "session", "agent")
    [request] = product.gateway.requests  # it gets the conversation
    assert [each["content"] for each in request.messages][-3:] == [
        "Where is my form?",
        ASKED,
        "the second one",
    ]
    [row] = await product.logs()
    assert (row["query"], row["context"]["previous_assistant"]) == ("the second one", ASKED)


async def test_a_reply_that_does_not_choose_is_not_asked_about_again(product: Product) -> None:
    product.gateway.enqueue(chose(CLOSE), talks("Sorry?"))
    messages = [user("Form?"), {"role": "assistant", "content": ASKED}, user("I do not know")]
    facts = (await chat(product, "auto", messages=messages)).json()["edgeneuro"]
    assert (facts["outcome"], facts["agent"]["id"]) == ("fallback", "general")


@pytest.mark.parametrize(
    "fields",
    [
        {"response_format": {"type": "json_object"}},
        {"response_format": SCHEMA},
        {"tools": [TOOL], "tool_choice": "required"},
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "look_up"}}},
        {"edgeneuro": {"policy": {"clarify": False}}},
        {"response_format": SCHEMA, "edgeneuro": {"policy": {"clarify": True}}},
    ],
)
async def test_a_client_that_cannot_show_a_question_gets_none(
    product: Product, fields: dict[str, Any]
) -> None:
    product.gateway.enqueue(chose(CLOSE), talks('{"found": true}'))
    facts = (await ask(product, **fields)).json()["edgeneuro"]
    assert (facts["outcome"], facts["agent"]["id"]) == ("fallback", "general")


async def test_a_client_with_tools_may_be_asked(product: Product) -> None:
    product.gateway.enqueue(chose(CLOSE))
    answered = await ask(product, tools=[TOOL])
    assert content(answered) == ASKED


async def test_a_key_pays_for_the_routing_alone(product: Product) -> None:
    body = {"name": "k", "scopes": ["route"], "monthly_token_budget": 200_000}
    key = (await product.call("POST", "/v1/keys", body)).json()["key"]
    product.gateway.enqueue(chose(CLOSE))
    sent = {"model": "auto", "messages": [user("Where is my form?")]}
    answered = await product.call("POST", "/v1/chat/completions", sent, key=key)
    assert content(answered) == ASKED
    assert product.rows("SELECT tokens FROM key_usage") == [{"tokens": USED.total_tokens}]


# Several agents, the first of them answers.


async def test_the_first_agent_answers_and_says_so(product: Product) -> None:
    product.gateway.enqueue(chose(CLOSE, several=0.95), talks("Try it again."))
    answered = await ask(product, BOTH)
    assert content(answered) == f"Try it again.\n\n{SENTENCE}"
    facts = answered.json()["edgeneuro"]
    assert (facts["outcome"], facts["agent"]["id"]) == ("agents", "it_support")
    assert [(each["id"], each["probability"]) for each in facts["agents"]] == [
        ("it_support", 0.45),
        ("hr", 0.4),
    ]
    assert answered.headers["x-edgeneuro-agent"] == "it_support"
    [row] = await product.logs()
    assert (row["outcome"], row["agent_id"]) == ("agents", "it_support")


async def test_the_sentence_ends_the_stream(product: Product) -> None:
    product.gateway.enqueue(chose(CLOSE, several=0.95), streams("Try", " it."))
    *chunks, done = events((await ask(product, BOTH, stream=True)).text)
    assert (said(chunks), done) == (f"Try it.\n\n{SENTENCE}", "[DONE]")


async def test_the_sentence_is_not_cached(product: Product) -> None:
    product.gateway.enqueue(chose(CLOSE, several=0.95), talks("Try it again."))
    await ask(product, BOTH, temperature=0)
    alone = await chat(product, "agent:it_support", messages=[user(BOTH)], temperature=0)
    assert (content(alone), alone.json()["edgeneuro"]["cache"]) == ("Try it again.", "hit")
    again = await ask(product, BOTH, temperature=0)
    assert content(again) == f"Try it again.\n\n{SENTENCE}"


@pytest.mark.parametrize("several_text", ["", "{agent} {agent}: {others}{x}"])
async def test_the_sentence_is_a_setting(product: Product, several_text: str) -> None:
    await product.call("PATCH", "/v1/config", {"several_text": several_text})
    product.gateway.enqueue(chose(CLOSE, several=0.95), talks("Try it again."))
    expected = "\n\nIT Support IT Support: Human Resources{x}" if several_text else ""
    assert content(await ask(product, BOTH)) == f"Try it again.{expected}"


async def test_json_has_no_sentence(product: Product) -> None:
    product.gateway.enqueue(chose(CLOSE, several=0.95), talks("{}"))
    answered = await ask(product, BOTH, response_format={"type": "json_object"})
    assert content(answered) == "{}" and answered.json()["edgeneuro"]["outcome"] == "agents"


# Several agents, all of them answer.


@pytest.fixture
async def all_answer(product: Product) -> Product:
    await product.call("PATCH", "/v1/config", {"several_answers": "all"})
    return product


WHOLE = "**IT Support**\n\nTry it again.\n\n**Human Resources**\n\nIn the portal."


@pytest.mark.parametrize("stream", [False, True])
async def test_all_answer_one_after_another(all_answer: Product, stream: bool) -> None:
    product = all_answer
    answers = ["Try it again.", "In the portal."]
    product.gateway.enqueue(chose(CLOSE, several=0.95))
    product.gateway.enqueue(*[streams(each) if stream else talks(each) for each in answers])
    answered = await ask(product, BOTH, stream=stream)
    if stream:
        *chunks, done = events(answered.text)
        assert (said(chunks), done) == (WHOLE, "[DONE]")
        facts = chunks[-1]["edgeneuro"]
        assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    else:
        assert content(answered) == WHOLE
        facts = answered.json()["edgeneuro"]
        assert answered.json()["usage"]["total_tokens"] == USED.total_tokens + 80
    assert [each["purpose"] for each in facts["attempts"]] == ["route", "chat", "chat"]
    assert (facts["outcome"], facts["agent"]["id"]) == ("agents", "it_support")
    assert facts["cost_usd"] > 0.00024
    [row] = await product.logs()
    assert (row["outcome"], row["agent_id"], row["ending"]) == ("agents", "it_support", "complete")
    assert row["usage"]["total_tokens"] == USED.total_tokens + 80


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fails", [0, 1])
async def test_a_failed_agent_loses_no_other_answer(
    all_answer: Product, stream: bool, fails: int
) -> None:
    product = all_answer
    steps: list[Any] = [streams("Yes.") if stream else talks("Yes.")] * 2
    steps[fails] = UpstreamCapacityError("full")
    product.gateway.enqueue(chose(CLOSE, several=0.95), *steps)
    options = {"fallback": False, "session": "s-1"}
    answered = await ask(product, BOTH, stream=stream, edgeneuro=options)
    text = said(events(answered.text)[:-1]) if stream else content(answered)
    texts = ["Yes.", "Yes."]
    texts[fails] = "(No answer: capacity.)"
    assert text == f"**IT Support**\n\n{texts[0]}\n\n**Human Resources**\n\n{texts[1]}"
    assert (await product.logs())[0]["status"] == 200
    # The next message follows the first answer that there is.
    session = (await product.call("GET", "/v1/sessions/s-1")).json()
    assert session["agent_id"] == ("hr" if fails == 0 else "it_support")


@pytest.mark.parametrize("stream", [False, True])
async def test_if_all_fail_the_request_fails(all_answer: Product, stream: bool) -> None:
    full = UpstreamCapacityError("full")
    all_answer.gateway.enqueue(chose(CLOSE, several=0.95), full, full)
    answered = await ask(all_answer, BOTH, stream=stream, edgeneuro={"fallback": False})
    assert (answered.status, answered.json()["error"]["code"]) == (429, "upstream_capacity")


async def test_a_stream_that_breaks_is_followed_by_the_next_agent(all_answer: Product) -> None:
    product = all_answer
    broken = Streamed([Delta(content="Try"), UpstreamCutError("broken off")])
    product.gateway.enqueue(chose(CLOSE, several=0.95), broken, streams("In the portal."))
    *chunks, done = events((await ask(product, BOTH, stream=True)).text)
    assert done == "[DONE]" and "**Human Resources**\n\nIn the portal." in said(chunks)
    assert said(chunks).startswith("**IT Support**\n\nTry\n\n(No answer:")
    facts = chunks[-1]["edgeneuro"]
    assert [each["outcome"] == "ok" for each in facts["attempts"]] == [True, False, True]
    assert facts["cost_usd"] is None  # the broken stream reported no usage


async def test_all_answers_are_reserved_and_paid(all_answer: Product) -> None:
    product = all_answer
    body = {"name": "k", "scopes": ["route"], "monthly_token_budget": 200_000}
    key = (await product.call("POST", "/v1/keys", body)).json()["key"]
    sent = {"model": "auto", "messages": [user(BOTH)], "edgeneuro": {"fallback": False}}
    remaining = []
    for settings in ({"several_answers": "first"}, {"several_answers": "all"}):
        await product.call("PATCH", "/v1/config", settings)
        product.execute("DELETE FROM key_usage")
        product.gateway.enqueue(chose(CLOSE, several=0.95), talks(), talks())
        sent["edgeneuro"] = {"fallback": False, "cache": False}
        answered = await product.call("POST", "/v1/chat/completions", sent, key=key)
        remaining.append(int(answered.headers["x-ratelimit-remaining-tokens"]))
        if settings["several_answers"] == "first":
            product.gateway._script.clear()
    assert remaining[0] - remaining[1] > 2 * 4_096
    assert product.rows("SELECT tokens FROM key_usage") == [{"tokens": USED.total_tokens + 80}]


async def test_with_tools_the_first_agent_answers(all_answer: Product) -> None:
    all_answer.gateway.enqueue(chose(CLOSE, several=0.95), talks("Try it again."))
    assert content(await ask(all_answer, BOTH, tools=[TOOL])).startswith("Try it again.")


async def test_one_agent_answers_as_ever(all_answer: Product) -> None:
    all_answer.gateway.enqueue(chose(CLEAR), talks("Try it again."))
    answered = await ask(all_answer, BOTH)
    assert content(answered) == "Try it again." and "agents" not in answered.json()["edgeneuro"]


async def test_a_client_that_goes_stops_the_second_stream(all_answer: Product) -> None:
    product = all_answer
    product.gateway.enqueue(chose(CLOSE, several=0.95), streams("One."), streams("Two.", "Three."))
    stream = await opened(product, "auto")
    text = ""
    while "Two." not in text:
        text += (await anext(aiter(stream))).decode()
    await stream.aclose()
    assert product.gateway.stopped == 1
    [row] = await product.logs()
    assert (row["ending"], row["usage"]["total_tokens"]) == ("client_gone", USED.total_tokens + 40)
    assert row["cost_usd"] is None


async def test_a_client_that_goes_at_once_stops_the_first_stream(all_answer: Product) -> None:
    all_answer.gateway.enqueue(chose(CLOSE, several=0.95), streams("One."))
    stream = await opened(all_answer, "auto")
    await anext(aiter(stream))
    await stream.aclose()
    assert all_answer.gateway.stopped == 1


async def test_each_agent_gets_its_part(empty_product: Product) -> None:
    product = empty_product
    await classifiers.create_agents(product)
    classifiers.install(product, "clf_1")
    await classifiers.select(product, "clf_1", several=True, several_answers="all")
    product.gateway.enqueue(says("agent_0"))
    await classifiers.load(product)
    first, second = classifiers.known("agent_1", 3), classifiers.known("agent_2", 4)
    product.gateway.enqueue(says("agent_1"), talks("One."), talks("Two."))
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    parts = [{"type": "text", "text": f"{first}. {second}?"}, image]
    messages = [user("Hello"), {"role": "assistant", "content": "Hi"}]
    messages.append({"role": "user", "content": parts})
    answered = await chat(product, "auto", messages=messages)
    assert answered.status == 200, answered.text
    named = answered.json()["edgeneuro"]["agents"]
    sent = [each.messages for each in product.gateway.requests[-2:]]
    for agent, conversation in zip(named, sent, strict=True):
        text, picture = conversation[-1]["content"]
        assert (text["text"], picture["type"]) == (agent["part"], "image_url")
        assert conversation[0]["content"] == "Hello"


# The decision APIs need a choice.


async def test_a_decision_api_chooses_the_best_of_close_agents(product: Product) -> None:
    product.gateway.enqueue(chose(CLOSE))
    answered = await decisions(product, choice("it_support", "hr", "general", "none"))
    body = answered.json()
    assert body["answers"][0]["choice"] == "it_support"
    facts = body["edgeneuro"]
    assert (facts["outcome"], facts["agent_id"]) == ("clarify", "it_support")
    assert facts["clarify"]["text"] == ASKED
    off = {"policy": {"clarify": False}}
    product.gateway.enqueue(chose({"it_support": 0.45, "hr": 0.4, "none": 0.15}))
    plain = await decisions(product, choice("it_support", "hr", "none"), edgeneuro=off)
    assert plain.json()["edgeneuro"]["outcome"] == "none"
