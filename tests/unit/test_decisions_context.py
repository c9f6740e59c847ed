"""The decision APIs route the last message of the conversation that they are sent, after the turn
before it."""

from typing import Any

import pytest

from edgeneuro.domain.conversation import PreviousTurn
from edgeneuro.domain.query import query_hash
from tests.unit.conftest import Answered, Product, says
from tests.unit.decisions import choice, decisions, systemone
from tests.unit.test_app import assert_error

ASK = {"role": "user", "content": "Book a room"}
ANSWER = {"role": "assistant", "content": "Which hotel, A or B?"}
REPLY = {"role": "user", "content": "The second one"}
CALL = {"type": "function_call", "name": "find", "arguments": "{}", "call_id": "1"}
OUTPUT = {"type": "function_call_output", "call_id": "1", "output": "B is free"}
BEFORE = PreviousTurn("hr", "Book a room", "Which hotel, A or B?")
AGENT = {"context": {"previous_agent": "hr"}}
FORMATS = ["decisions", "systemone"]


async def send(product: Product, form: str, conversation: Any, **options: Any) -> Answered:
    if form == "decisions":
        return await decisions(
            product, choice("hr", "it_support"), input=conversation, edgeneuro=options
        )
    question = {
        "type": "choice",
        "instructions": "Which agent?",
        "criteria": {"hr": None, "it_support": None},
    }
    return await systemone(product, {"who": question}, state=conversation, edgeneuro=options)


@pytest.mark.parametrize("form", FORMATS)
async def test_a_conversation_is_routed_by_its_last_turn(product: Product, form: str) -> None:
    product.gateway.enqueue(says("hr"))
    answered = await send(product, form, [ASK, ANSWER, REPLY], **AGENT)
    assert answered.status == 200, answered.text
    [row] = await product.logs()
    assert row["query"] == "The second one"
    assert row["context"] == {
        "previous_agent": "hr",
        "previous_user": "Book a room",
        "previous_assistant": "Which hotel, A or B?",
    }
    assert row["query_hash"] == query_hash("The second one", BEFORE.identity)


async def test_calls_of_tools_are_not_what_was_said(product: Product) -> None:
    product.gateway.enqueue(says("hr"))
    conversation = [ASK, CALL, OUTPUT, ANSWER, REPLY, CALL, OUTPUT]
    await send(product, "decisions", conversation, **AGENT)
    [row] = await product.logs()
    assert row["query_hash"] == query_hash("The second one", BEFORE.identity)


async def test_parts_of_messages_are_read(product: Product) -> None:
    product.gateway.enqueue(says("hr"), says("hr"))
    parts = [{"type": "input_text", "text": "Book a room"}]
    said = [{"type": "output_text", "text": "Which hotel, A or B?"}]
    conversation = [
        {"role": "user", "content": parts},
        {"role": "assistant", "content": said},
        REPLY,
    ]
    await send(product, "decisions", conversation, **AGENT)
    await send(product, "systemone", conversation, **AGENT, cache=False)
    rows = await product.logs()
    assert [row["query_hash"] for row in rows] == [
        query_hash("The second one", BEFORE.identity)
    ] * 2


@pytest.mark.parametrize("form", FORMATS)
async def test_a_text_has_the_context_of_its_options(product: Product, form: str) -> None:
    product.gateway.enqueue(says("hr"))
    context = {**AGENT["context"], "previous_user": "Book a room"}
    await send(product, form, "yes", context=context)
    [row] = await product.logs()
    assert (row["query"], row["context"]["previous_user"]) == ("yes", "Book a room")


@pytest.mark.parametrize("form", FORMATS)
async def test_the_same_message_alone_is_another_question(product: Product, form: str) -> None:
    product.gateway.enqueue(says("hr"), says("it_support"))
    first = await send(product, form, [ASK, ANSWER, REPLY])
    second = await send(product, form, [REPLY])
    third = await send(product, form, [ASK, ANSWER, REPLY])
    layers = [each.json()["edgeneuro"]["layer"] for each in (first, second, third)]
    assert layers == ["llm", "llm", "cache"]


@pytest.mark.parametrize("form", FORMATS)
async def test_the_messages_say_the_context(product: Product, form: str) -> None:
    context = {"previous_user": "another one"}
    answered = await send(product, form, [ASK, ANSWER, REPLY], context=context)
    assert_error(answered, 400, "invalid_value", "edgeneuro.context")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("agent", ["gone", "general"])
async def test_an_agent_that_may_not_answer_is_ignored(
    product: Product, form: str, agent: str
) -> None:
    product.gateway.enqueue(says("hr"))
    answered = await send(product, form, "yes", context={"previous_agent": agent})
    assert answered.status == 200
    [row] = await product.logs()
    assert row["context"] is None


async def test_a_nul_in_what_was_said_is_a_blank(product: Product) -> None:
    product.gateway.enqueue(says("hr"))
    asked = {"role": "user", "content": "Book\0a room"}
    answered = await send(product, "systemone", [asked, ANSWER, REPLY], **AGENT)
    assert answered.status == 200, answered.text
    [row] = await product.logs()
    assert row["query_hash"] == query_hash("The second one", BEFORE.identity)


async def test_a_chat_names_the_agent_of_the_turn_before(product: Product) -> None:
    product.gateway.enqueue(says("hr"), says("hr"))
    body = {"model": "auto", "messages": [ASK, ANSWER, REPLY]}
    answered = await product.call("POST", "/v1/chat/completions", {**body, "edgeneuro": AGENT})
    assert answered.status == 200, answered.text
    [row] = await product.logs()
    assert row["query_hash"] == query_hash("The second one", BEFORE.identity)
    texts = {"context": {"previous_assistant": "x"}}
    refused = await product.call("POST", "/v1/chat/completions", {**body, "edgeneuro": texts})
    assert_error(refused, 400, "invalid_value", "edgeneuro.context")
