"""Data sets of messages in conversations: trainers get what models are sent, and an exported file
can be imported again."""

import json
from typing import Any

import pytest

from edgeneuro.domain.conversation import PreviousTurn, QuestionHashes
from edgeneuro.domain.prompt import build_messages
from tests.unit.conftest import Product, says
from tests.unit.test_import import assert_refused, jsonl
from tests.unit.test_imports import (
    exported,
    imported,
    label_at_random,
    other,  # noqa: F401
    other_database,  # noqa: F401
)

CONTEXT = {
    "previous_agent": "hr",
    "previous_user": "Book a room",
    "previous_assistant": "Which hotel, A or B?",
}
BEFORE = PreviousTurn("hr", "Book a room", "Which hotel, A or B?")
HOTEL = QuestionHashes.of("The second one", BEFORE)
MESSAGES = [
    {"role": "system", "content": "Be kind"},
    {"role": "user", "content": "Book a room"},
    {"role": "assistant", "content": "Which hotel, A or B?"},
    {"role": "user", "content": "The second one"},
]
DONE = {"role": "assistant", "content": "Done."}


def in_force(product: Product) -> set[tuple[str, str | None, str]]:
    rows = product.rows("SELECT query_hash, agent_id, split FROM current_labels")
    return {(row["query_hash"], row["agent_id"], row["split"]) for row in rows}


@pytest.mark.parametrize("shape", ["chat", "prompt", "flat"])
async def test_an_export_of_any_shape_can_be_imported_again(
    product: Product,
    other: Product,  # noqa: F811
    shape: str,
) -> None:
    await label_at_random(product, 60)
    file = await exported(product, f"format={shape}")
    assert (await imported(other, file))["new"] == 60
    labels = [{(key, agent) for key, agent, _ in in_force(each)} for each in (product, other)]
    assert labels[0] == labels[1]
    assert (await imported(product, file))["unchanged"] == 60


async def test_a_trainer_gets_what_a_model_is_sent(product: Product) -> None:
    body = [
        {"query": "The second one", "context": CONTEXT, "agent_id": "general"},
        {"query": "Leave?", "agent_id": "hr"},
    ]
    assert (await product.call("POST", "/v1/labels", body)).status == 200
    lines = [json.loads(line) for line in (await exported(product, "format=chat")).splitlines()]
    prompts = {json.dumps(line["messages"][:2]) for line in lines}
    config = await product.services.routing.current()
    agents = list(config.agents.values())
    assert prompts == {
        json.dumps(build_messages(query, agents, confidence=False, previous=previous))
        for query, previous in (("The second one", BEFORE), ("Leave?", PreviousTurn()))
    }
    flat = [json.loads(line) for line in (await exported(product)).splitlines()]
    assert {each["query"]: each.get("context") for each in flat} == {
        "The second one": CONTEXT,
        "Leave?": None,
    }
    assert "context" not in next(each for each in flat if each["query"] == "Leave?")


@pytest.mark.parametrize(
    "row",
    [
        {"query": "The second one", "context": CONTEXT},
        {"query": "The second one", "context": json.dumps(CONTEXT)},
        {"query": "The second one", "context": {**CONTEXT, "previous_agent": "Human Resources"}},
        {"query": "The second one", **CONTEXT},
        {"messages": MESSAGES, "context": {"previous_agent": "hr"}},
        {"messages": MESSAGES, "previous_agent": "HR"},
        {"messages": [*MESSAGES, DONE], "previous_agent": "hr"},
    ],
)
async def test_the_ways_to_say_what_was_before(product: Product, row: dict[str, Any]) -> None:
    await imported(product, jsonl({**row, "agent": "general"}))
    [(key, agent, _)] = in_force(product)
    assert (key, agent) == (HOTEL.question, "general")
    [stored] = product.rows("SELECT * FROM labels")
    assert (stored["near_hash"], stored["similar_hash"]) == (HOTEL.near, HOTEL.similar)
    assert json.loads(stored["context"]) == CONTEXT
    decided = (await product.route("The second one", context=CONTEXT)).json()
    assert (decided["layer"], decided["agent"]["id"]) == ("label", "general")


async def test_in_csv_the_context_has_columns(product: Product) -> None:
    body = (
        "query,agent,previous_agent,previous_user,previous_assistant\n"
        'The second one,general,hr,Book a room,"Which hotel, A or B?"\n'
        "Leave?,hr,,,\n"
    )
    await imported(product, body.encode())
    keys = {key for key, _, _ in in_force(product)}
    assert keys == {HOTEL.question, QuestionHashes.of("Leave?").question}


async def test_one_text_in_two_contexts_is_two_questions(product: Product) -> None:
    rows: list[dict[str, Any]] = [
        {"query": "yes", "agent": "hr"},
        {"query": "yes", "agent": "general", "context": CONTEXT},
        {"query": "Yes", "agent": "general", "context": CONTEXT},
    ]
    report = await imported(product, jsonl(*rows))
    assert (report["labels"], report["duplicates"]) == (2, 1)
    rows[2]["agent"] = "hr"
    await assert_refused(product, jsonl(*rows), (3, "agent"))


@pytest.mark.parametrize(
    ("row", "param"),
    [
        ({"query": "x", "context": "a text"}, "context"),
        ({"query": "x", "context": 7}, "context"),
        ({"query": "x", "context": [1]}, "context"),
        ({"query": "x", "context": {"previous": "x"}}, "context"),
        ({"query": "x", "context": {"previous_user": 7}}, "context"),
        ({"query": "x", "context": {"previous_user": "a\0b"}}, "context"),
        ({"query": "x", "context": {"previous_agent": "no such ID!"}}, "context"),
        ({"query": "x", "context": "[" * 10_000}, "context"),
        ({"messages": []}, "messages"),
        ({"messages": "x"}, "messages"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": " "}]}, "messages"),
        ({"messages": MESSAGES * 251}, "messages"),
        ({"messages": MESSAGES, "context": CONTEXT}, "context"),
    ],
)
async def test_a_context_at_fault_is_named(
    product: Product, row: dict[str, Any], param: str
) -> None:
    good = {"query": "Leave?", "agent": "hr"}
    await assert_refused(product, jsonl(good, {**row, "agent": "hr"}), (2, param))


@pytest.mark.parametrize(
    "row",
    [
        b'{"query": "x", "agent": "hr", "context": {"previous_user": "a\\ud800b"}}',
        b'{"agent": "hr", "messages": [{"role": "user", "content": "a\\ud800b"},'
        b' {"role": "user", "content": "yes"}]}',
        b'{"messages": [{"role": "user", "content": "{\\"previous_turn\\": {\\"user\\":'
        b' \\"a\\ud800\\"}, \\"message\\": \\"x\\"}"},'
        b' {"role": "assistant", "content": "{\\"agent\\": \\"hr\\"}"}]}',
    ],
)
async def test_half_a_surrogate_pair_is_refused(product: Product, row: bytes) -> None:
    await assert_refused(product, row, (1, "context"))


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"agent": "hr"}, "context.agent: there is no such field; remove it"),
        (
            {"previous_user": "a\0"},
            "context.previous_user: must not hold the character U+0000; remove it",
        ),
    ],
)
async def test_it_says_what_is_wrong_as_the_api_does(
    product: Product, context: dict[str, str], message: str
) -> None:
    file = jsonl({"query": "yes", "agent": "hr", "context": context})
    answered = await assert_refused(product, file, (1, "context"))
    [fault] = answered.json()["errors"]
    assert fault["message"] == message


async def test_an_agent_of_the_turn_before_may_be_gone(product: Product) -> None:
    context = {"previous_agent": "deleted_since", "previous_user": "Hi"}
    await imported(product, jsonl({"query": "yes", "agent": "hr", "context": context}))
    [line] = (await exported(product)).splitlines()
    assert json.loads(line)["context"] == context


async def test_a_long_turn_is_cut_and_stays_the_same_in_a_second_export(
    product: Product,
    other: Product,  # noqa: F811
) -> None:
    context = {"previous_user": "Ask " * 1_000 + "me.", "previous_assistant": "y" * 50_000}
    await imported(product, jsonl({"query": "yes", "agent": "hr", "context": context}))
    file = await exported(product)
    await imported(other, file)
    assert await exported(other) == file
    assert (await product.route("yes", context=context)).json()["layer"] == "label"


async def test_turns_of_one_conversation_are_in_one_part(product: Product) -> None:
    """Their texts differ, and what came before is the same: a test question among them would be
    known from the training part."""
    rows: list[dict[str, Any]] = [
        {"query": f"option {word}", "agent": "hr", "context": CONTEXT}
        for word in ("red", "green", "blue", "black", "white", "brown", "grey", "pink")
    ]
    await imported(product, jsonl(*rows))
    assert len({split for _, _, split in in_force(product)}) == 1


async def test_personal_data_of_a_context_is_not_imported(product: Product) -> None:
    await product.call("PATCH", "/v1/config", {"redact_personal_data": True})
    context = {"previous_user": "I am ann@example.com"}
    await imported(product, jsonl({"query": "yes", "agent": "hr", "context": context}))
    assert "ann@" not in json.dumps(product.rows("SELECT * FROM labels"))
    product.gateway.enqueue(says("general"))
    assert (await product.route("yes", context=context)).json()["layer"] == "label"
