"""What is routed of a conversation, and which question a message in one is."""

from typing import Any

import pytest

from edgeneuro.domain.chat_message import Message
from edgeneuro.domain.conversation import (
    MAX_PREVIOUS_CHARACTERS,
    Conversation,
    PreviousTurn,
    RouteContext,
    previous_text,
    read_conversation,
)
from edgeneuro.domain.query import near_hash, query_hash, similar_hash
from tests.unit.conftest import Product, says
from tests.unit.test_app import assert_error

ASK = {"role": "user", "content": "Book a room"}
ANSWER = {"role": "assistant", "content": "Which hotel, A or B?"}
REPLY = {"role": "user", "content": "The second one"}
CALLS = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}
RESULT = {"role": "tool", "tool_call_id": "c", "content": "B is free"}
NOTE = {"role": "system", "content": "The time is 12:00"}
BEFORE = PreviousTurn(None, "Book a room", "Which hotel, A or B?")


def read(*messages: dict[str, Any]) -> Conversation:
    return read_conversation([Message.model_validate(message) for message in messages])


def test_the_first_message_has_no_context() -> None:
    assert read(ASK) == Conversation("Book a room")
    assert not read(NOTE, ASK).previous


@pytest.mark.parametrize("after", [[], [CALLS, RESULT], [NOTE], [CALLS, RESULT, NOTE, ANSWER]])
def test_what_stands_after_the_users_message_does_not_count(after: list[dict[str, Any]]) -> None:
    continues = CALLS in after
    assert read(ASK, ANSWER, REPLY, *after) == Conversation("The second one", BEFORE, continues)


def test_one_whole_turn_counts() -> None:
    earlier = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    assert read(*earlier, ASK, ANSWER, REPLY).previous == BEFORE


def test_an_answer_in_several_messages_is_one() -> None:
    asks = {"role": "assistant", "content": "For how many?"}
    assert read(ASK, CALLS, RESULT, ANSWER, asks, REPLY).previous == PreviousTurn(
        None, "Book a room", "Which hotel, A or B?\nFor how many?"
    )


def test_a_greeting_of_the_assistant_is_context() -> None:
    assert read(ANSWER, REPLY).previous == PreviousTurn(None, None, "Which hotel, A or B?")


@pytest.mark.parametrize("messages", [[NOTE], [ANSWER], [CALLS, RESULT]])
def test_without_a_message_of_the_user_there_is_no_query(messages: list[dict[str, Any]]) -> None:
    assert read(*messages).query == ""


def test_a_long_text_keeps_its_beginning_and_its_end() -> None:
    text = previous_text("Start " + "x " * 50_000 + " Which one?")
    assert len(text) <= MAX_PREVIOUS_CHARACTERS
    assert text.startswith("Start x") and text.endswith("Which one?")
    assert len(previous_text("x" * 50_000)) <= MAX_PREVIOUS_CHARACTERS
    assert previous_text(text) == text


def test_the_context_is_a_part_of_the_identity() -> None:
    context = BEFORE.identity
    for hashed in (query_hash, near_hash, similar_hash):
        assert hashed("yes") == hashed("yes", PreviousTurn().identity)
        assert hashed("yes", context) != hashed("yes")
        assert hashed("yes", context) != hashed("yes", PreviousTurn("hr").identity)
    spelled = PreviousTurn(None, "book A  room", "WHICH hotel, a or b?")
    assert query_hash("YES ", spelled.identity) == query_hash("yes", context)


def test_context_as_the_api_has_it() -> None:
    given = RouteContext(previous_agent="hr", previous_user=" a ", previous_assistant="")
    assert PreviousTurn.of(given) == PreviousTurn("hr", "a", None)
    assert PreviousTurn.of(PreviousTurn("hr", "a").shown()) == PreviousTurn("hr", "a")
    assert PreviousTurn().shown() is None


async def route(product: Product, **body: Any) -> Any:
    return await product.call("POST", "/v1/route", body)


async def test_messages_are_routed_by_the_last_one_of_the_user(product: Product) -> None:
    product.gateway.enqueue(says("hr"))
    answered = await route(
        product, messages=[ASK, ANSWER, REPLY, NOTE], context={"previous_agent": "hr"}
    )
    assert answered.status == 200
    [entry] = await product.logs()
    assert entry["query"] == "The second one"
    assert entry["context"] == {
        "previous_agent": "hr",
        "previous_user": "Book a room",
        "previous_assistant": "Which hotel, A or B?",
    }
    previous = PreviousTurn("hr", "Book a room", "Which hotel, A or B?")
    assert entry["query_hash"] == query_hash("The second one", previous.identity)


async def test_a_cached_answer_belongs_to_its_context(product: Product) -> None:
    product.gateway.enqueue(says("hr"), says("it_support"))
    first = await route(product, query="yes", context={"previous_agent": "hr"})
    other = await route(product, query="yes", context={"previous_agent": "it_support"})
    again = await route(product, query="yes", context={"previous_agent": "hr"})
    assert [each.json()["agent"]["id"] for each in (first, other, again)] == [
        "hr",
        "it_support",
        "hr",
    ]
    assert [each.json()["cache"] for each in (first, other, again)] == ["miss", "miss", "hit"]


async def test_an_agent_that_is_not_there_is_ignored(product: Product) -> None:
    product.gateway.enqueue(says("hr"))
    answered = await route(product, query="yes", context={"previous_agent": "gone"})
    assert answered.status == 200
    [entry] = await product.logs()
    assert entry["context"] is None


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, "missing_field", "query"),
        ({"query": "a", "messages": [ASK]}, "invalid_value", "messages"),
        ({"messages": []}, "invalid_value", "messages"),
        ({"messages": [ASK] * 1_001}, "invalid_value", "messages"),
        ({"messages": [ANSWER, CALLS, RESULT]}, "invalid_value", "messages"),
        ({"messages": [{"role": "user", "content": " "}]}, "invalid_value", "messages"),
        ({"messages": [ASK], "context": {"previous_user": "a"}}, "invalid_value", "context"),
        ({"query": "a", "context": {"agent": "hr"}}, "unknown_field", "context.agent"),
        ({"query": "a", "context": {"previous_agent": "A b"}}, "invalid_value", None),
        ({"query": "a", "context": {"previous_user": "\0"}}, "invalid_value", None),
    ],
)
async def test_what_cannot_be_routed(
    product: Product, body: dict[str, Any], code: str, param: str | None
) -> None:
    answered = await route(product, **body)
    assert_error(answered, 400, code, param or answered.json()["error"]["param"])
    assert await product.logs() == []


async def test_a_thousand_messages(product: Product) -> None:
    product.gateway.enqueue(says("hr"))
    assert (await route(product, messages=[ASK, ANSWER] * 499 + [ASK, REPLY])).status == 200


async def test_no_text_of_the_context_is_stored_while_queries_are_not(product: Product) -> None:
    await product.call("PATCH", "/v1/config", {"log_queries": False})
    product.gateway.enqueue(says("hr"))
    context = {"previous_agent": "hr", "previous_user": "secret", "previous_assistant": "secret"}
    assert (await route(product, query="yes", context=context)).status == 200
    [entry] = await product.logs()
    assert (entry["query"], entry["query_hash"]) == ("", None)
    assert entry["context"]["previous_agent"] == "hr"
    assert "secret" not in str(entry)


async def test_personal_data_is_removed_from_the_context(product: Product) -> None:
    await product.call("PATCH", "/v1/config", {"redact_personal_data": True})
    product.gateway.enqueue(says("hr"))
    context = {"previous_user": "I am ann@example.com", "previous_assistant": "Hi ann@example.com"}
    assert (await route(product, query="yes", context=context)).status == 200
    [entry] = await product.logs()
    assert entry["context"]["previous_user"] == "I am [email]"
    assert "ann@example.com" not in str(entry)
