"""Labels of messages in a conversation: each is for a message after one turn, and no other."""

import json
from typing import Any

import pytest

from edgeneuro.domain.conversation import MAX_PREVIOUS_CHARACTERS, PreviousTurn, QuestionHashes
from edgeneuro.domain.query import query_hash
from tests.unit.conftest import Product, says

CONTEXT = {
    "previous_agent": "hr",
    "previous_user": "Book a room",
    "previous_assistant": "Which hotel, A or B?",
}
BEFORE = PreviousTurn("hr", "Book a room", "Which hotel, A or B?")
YES = QuestionHashes.of("yes", BEFORE)


async def ask(product: Product, query: str = "yes", context: Any = CONTEXT) -> str:
    product.gateway.enqueue(says("hr"))
    answered = await product.route(query, context=context, cache=False)
    assert answered.status == 200, answered.text
    log_id: str = answered.json()["id"]
    return log_id


def stored(product: Product, table: str) -> list[Any]:
    rows = product.rows(f"SELECT query, query_hash, near_hash, context FROM {table}")
    return [
        (each["query"], each["query_hash"], each["near_hash"], each["context"]) for each in rows
    ]


async def test_a_label_of_a_log_row_is_for_its_context(product: Product) -> None:
    log_id = await ask(product)
    label = (await product.call("PUT", f"/v1/logs/{log_id}/label", {"agent_id": "general"})).json()
    assert (label["query"], label["context"], label["query_hash"]) == (
        "yes",
        CONTEXT,
        YES.question,
    )
    for table in ("labels", "current_labels"):
        [(query, question, near, context)] = stored(product, table)
        assert (query, question, near) == ("yes", YES.question, YES.near)
        assert json.loads(context) == CONTEXT
    [listed] = (await product.call("GET", "/v1/labels")).json()["data"]
    assert listed == label


async def test_a_label_decides_in_its_own_context_alone(product: Product) -> None:
    log_id = await ask(product)
    await product.call("PUT", f"/v1/logs/{log_id}/label", {"agent_id": "general"})
    labelled = (await product.route("YES", context=CONTEXT)).json()
    assert (labelled["layer"], labelled["agent"]["id"]) == ("label", "general")
    for other in (None, {**CONTEXT, "previous_agent": "it_support"}, {"previous_user": "Hi"}):
        product.gateway.enqueue(says("hr"))
        assert (await product.route("yes", context=other)).json()["layer"] == "llm"


async def test_a_label_without_context_does_not_decide_in_a_conversation(product: Product) -> None:
    body = [{"query": "yes", "agent_id": "general"}]
    assert (await product.call("POST", "/v1/labels", body)).status == 200
    product.gateway.enqueue(says("hr"))
    assert (await product.route("yes", context=CONTEXT)).json()["layer"] == "llm"
    assert (await product.route("yes")).json()["layer"] == "label"


async def test_a_text_is_labelled_with_its_context(product: Product) -> None:
    spelled = {**CONTEXT, "previous_user": "book  a ROOM"}
    body = [
        {"query": "yes", "agent_id": "hr"},
        {"query": "Yes", "context": CONTEXT, "agent_id": "general"},
        {"query": "yes", "context": spelled, "agent_id": "it_support"},
    ]
    written = (await product.call("POST", "/v1/labels", body)).json()
    assert (written["labels"], written["questions"]) == (3, 2)
    labels = (await product.call("GET", "/v1/labels")).json()["data"]
    assert {each["query_hash"]: each["agent_id"] for each in labels} == {
        query_hash("yes"): "hr",
        YES.question: "it_support",
    }


async def test_a_question_that_is_known_is_labelled_by_its_hash(product: Product) -> None:
    await ask(product)
    path = f"/v1/labels/{YES.question}/label"
    label = (await product.call("PUT", path, {"agent_id": "hr"})).json()
    assert (label["context"], label["query_hash"]) == (CONTEXT, YES.question)
    removed = (await product.call("DELETE", path)).json()
    assert (removed["query_hash"], removed["label"]) == (YES.question, None)


@pytest.mark.parametrize("extra", [{}, {"context": None}])
async def test_a_log_row_has_its_own_context(product: Product, extra: dict[str, Any]) -> None:
    log_id = await ask(product)
    item = {"log_id": log_id, "agent_id": "hr"}
    assert (await product.call("POST", "/v1/labels", [{**item, **extra}])).status == 200
    refused = await product.call("POST", "/v1/labels", [{**item, "context": CONTEXT}])
    assert refused.status == 400
    assert "a log row has its own" in refused.text


async def test_feedback_labels_the_question_in_its_context(product: Product) -> None:
    log_id = await ask(product)
    body = {"decision_id": log_id, "value": "down", "correct_agent": "general"}
    for _ in range(2):  # the same label again is not written again
        assert (await product.call("POST", "/v1/feedback", body)).json()["labelled"]
    assert [row[1] for row in stored(product, "labels")] == [YES.question]
    assert (await product.route("yes", context=CONTEXT)).json()["layer"] == "label"


async def test_personal_data_of_the_context_is_not_stored_with_a_label(product: Product) -> None:
    await product.call("PATCH", "/v1/config", {"redact_personal_data": True})
    context = {"previous_user": "I am ann@example.com"}
    body = [{"query": "yes", "context": context, "agent_id": "hr"}]
    assert (await product.call("POST", "/v1/labels", body)).status == 200
    [label] = (await product.call("GET", "/v1/labels")).json()["data"]
    assert label["context"]["previous_user"] == "I am [email]"
    assert (await product.route("yes", context=context)).json()["layer"] == "label"


async def test_a_text_that_became_longer_as_it_was_stored_keeps_its_identity(
    product: Product,
) -> None:
    """`[email]` is longer than what it replaces: without it the text is cut later than with it."""
    await product.call("PATCH", "/v1/config", {"redact_personal_data": True})
    context = {"previous_user": "a@b.co, " * 120}
    log_id = await ask(product, context=context)
    label = (await product.call("PUT", f"/v1/logs/{log_id}/label", {"agent_id": "hr"})).json()
    assert " ... " in label["context"]["previous_user"]
    assert len(label["context"]["previous_user"]) <= MAX_PREVIOUS_CHARACTERS
    assert (await product.route("yes", context=context)).json()["layer"] == "label"


def test_messages_after_the_same_turn_are_similar() -> None:
    turns = [QuestionHashes.of(text, BEFORE) for text in ("yes", "the second one")]
    assert len({each.question for each in turns}) == len({each.near for each in turns}) == 2
    assert len({each.similar for each in turns}) == 1
    other = PreviousTurn("general", "Book a room", "which hotel: A or B")
    assert QuestionHashes.of("no", other).similar == YES.similar


def test_messages_after_a_greeting_or_a_common_reply_are_not_similar() -> None:
    for before in (PreviousTurn(assistant="How can I help?"), PreviousTurn(user="yes")):
        one, other = (QuestionHashes.of(text, before) for text in ("my pay", "a room"))
        assert one.similar != other.similar


async def test_the_queue_shows_the_context(product: Product) -> None:
    await ask(product)
    await ask(product, context=None)
    await ask(product, context={**CONTEXT, "previous_agent": "it_support"})
    items = (await product.call("GET", "/v1/labels/queue")).json()["data"]
    assert len(items) == 3  # three questions of one text
    drawn = (await product.call("GET", "/v1/labels/queue?stream=random")).json()["data"]
    for page in (items, drawn):
        assert CONTEXT in [each["context"] for each in page]
    await product.call(
        "POST", "/v1/labels", [{"query": "yes", "context": CONTEXT, "agent_id": "hr"}]
    )
    left = (await product.call("GET", "/v1/labels/queue")).json()["data"]
    assert CONTEXT not in [each["context"] for each in left]
    assert len(left) == 2
