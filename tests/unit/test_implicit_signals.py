"""Implicit signals: what a person writes next speaks for or against the answer before."""

from typing import Any

import pytest

from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.chats import talks, user
from tests.unit.conftest import Product, says
from tests.unit.test_keys import create

LEAVE = "How many days of leave do I have?"


@pytest.fixture
async def product(product: Product) -> Product:
    answered = await product.call("PATCH", "/v1/config", {"implicit_signals": True})
    assert answered.status == 200
    return product


async def say(
    product: Product, query: str, agent: str = "hr", *, after: float = 5, **fields: Any
) -> str:
    product.clock.seconds += after
    product.gateway.enqueue(says(agent))
    fields = {"session": "s1", "cache": False, **fields}
    key = {"key": fields.pop("key")} if "key" in fields else {}
    answered = await product.call("POST", "/v1/route", {"query": query, **fields}, **key)
    assert answered.status == 200, answered.text
    found: str = answered.json()["id"]
    return found


def signals(product: Product) -> list[tuple[str, str, str]]:
    rows = product.rows("SELECT log_id, kind, agent_id, reason FROM signals ORDER BY created_at")
    assert all(row["reason"] is None for row in rows)
    return [(row["log_id"], row["kind"], row["agent_id"]) for row in rows]


async def test_the_same_question_in_other_words_within_a_minute(product: Product) -> None:
    first = await say(product, LEAVE)
    await say(product, "please tell me how many leave days I have")
    assert signals(product) == [(first, "rephrased", "hr")]
    [entry] = [each for each in await product.logs() if each["id"] == first]
    [signal] = entry["signals"]
    assert (signal["kind"], signal["key_id"]) == ("rephrased", "admin_token")
    page = (await product.call("GET", "/v1/logs?misrouted=true")).json()
    assert page["data"] == []  # too weak for that


@pytest.mark.parametrize(
    ("second", "agent", "fields"),
    [
        (LEAVE, "hr", {}),  # the client may have tried twice
        ("how many days of LEAVE do I have", "hr", {"after": 61}),
        ("leave days: how many do I have?", "hr", {"after": 61}),
        ("leave days: how many do I have?", "hr", {"session": "s2"}),
        ("leave days: how many do I have?", "hr", {"session": None}),
        ("What is the weather in Rome?", "hr", {}),
        ("How many days of parental leave do I have?", "hr", {}),  # alike, and the same agent
    ],
)
async def test_what_is_no_rephrased_question(
    product: Product, second: str, agent: str, fields: dict[str, Any]
) -> None:
    await say(product, LEAVE)
    await say(product, second, agent, **fields)
    assert signals(product) == []


async def test_a_question_that_is_alike_and_goes_to_another_agent(product: Product) -> None:
    first = await say(product, "How many days of leave do I have?", "it_support")
    await say(product, "How many days of parental leave do I have?", "hr")
    assert signals(product) == [(first, "rephrased", "it_support")]


@pytest.mark.parametrize(
    ("reaction", "kind"), [("A human please!", "human_wanted"), ("thank you so much", "thanks")]
)
async def test_reactions_within_ten_minutes(product: Product, reaction: str, kind: str) -> None:
    first = await say(product, LEAVE)
    await say(product, reaction, "general", after=599)
    assert signals(product) == [(first, kind, "hr")]
    await say(product, LEAVE, after=700)
    await say(product, reaction, "general", after=601)
    assert len(signals(product)) == 1


async def test_it_is_of_one_person(product: Product) -> None:
    """The same key in the same session, or of the same user: a service key stands for many."""
    first = await say(product, LEAVE, session=None, user="ann")
    await say(product, "thanks", "general", session=None, user="bob")
    await say(product, "thanks", "general", session=None)
    assert signals(product) == []
    other = (await create(product))["key"]
    await say(product, "thanks", "general", session=None, user="ann", key=other)
    assert signals(product) == []
    # The key's last message of ann is the question.
    await say(product, "thanks", "general", session=None, user="ann")
    assert signals(product) == [(first, "thanks", "hr")]


async def test_off_by_default_nothing_is_read_or_written(product: Product) -> None:
    await product.call("PATCH", "/v1/config", {"implicit_signals": None})
    await say(product, LEAVE)
    product.database.statements.clear()
    await say(product, "a human please", "general")
    assert signals(product) == []
    assert not [each for each in product.database.statements if "signals" in each.sql]


async def test_without_texts_there_is_nothing_to_compare(product: Product) -> None:
    await product.call("PATCH", "/v1/config", {"log_queries": False})
    await say(product, LEAVE)
    await say(product, "a human please", "general")
    assert signals(product) == []


async def test_chats_too_and_a_turn_that_is_handed_on_only_once(product: Product) -> None:
    first = await say(product, LEAVE)
    product.gateway.enqueue(says("general"), talks("A colleague will call you."))
    body = {"model": "auto", "messages": [user("a human please")], "edgeneuro": {"session": "s1"}}
    chat = await product.call("POST", "/v1/chat/completions", body)
    assert signals(product) == [(first, "human_wanted", "hr")]
    chat_id = chat.json()["edgeneuro"]["decision_id"]
    product.gateway.enqueue(says("hr"))
    await product.call("POST", f"/v1/decisions/{chat_id}/reroute", {})
    assert [kind for _, kind, _ in signals(product)] == ["human_wanted", "rerouted"]


async def test_a_database_that_fails_is_counted(product: Product, database: SqliteDatabase) -> None:
    await say(product, LEAVE)
    product.execute("DROP TABLE signals")
    await say(product, "a human please", "general")
    metrics = (await product.call("GET", "/metrics")).text
    assert 'signal_write"} 1' in metrics


async def test_the_label_queue_counts_them_less_than_feedback(product: Product) -> None:
    unhappy = await say(product, "unhappy question")
    await say(product, "a human please", "general")
    misrouted = await say(product, "misrouted question", session=None)
    product.gateway.enqueue(says("general"))
    await product.call("POST", f"/v1/decisions/{misrouted}/reroute", {})
    down = await say(product, "wrong answer", session=None)
    await product.call("POST", "/v1/feedback", {"decision_id": down, "value": "down"})
    page = (await product.call("GET", "/v1/labels/queue?stream=hard")).json()["data"]
    items = [each for each in page if each["stream"] == "hard"]
    first = {each["query"]: each["reasons"][0]["code"] for each in items}
    assert [each["query"] for each in items][:2] == ["wrong answer", "misrouted question"]
    assert first["misrouted question"] == "misrouted"
    assert first["unhappy question"] == "reaction"
    assert unhappy in {each["log_id"] for each in items}


async def test_analytics_have_a_rate_by_agent(product: Product) -> None:
    for _ in range(3):
        await say(product, LEAVE, "it_support", session=None)
    last = await say(product, LEAVE, "it_support", session=None)
    product.gateway.enqueue(says("hr"))
    await product.call("POST", f"/v1/decisions/{last}/reroute", {})
    product.clock.seconds += 3_600
    by_agent = (await product.call("GET", "/v1/analytics?group_by=agent")).json()
    groups = {each["key"]: each for each in by_agent["groups"]}
    assert (groups["it_support"]["misrouted"], groups["it_support"]["misroute_rate"]) == (1, 0.25)
    assert (groups["hr"]["misrouted"], groups["hr"]["misroute_rate"]) == (0, 0.0)
    assert (by_agent["totals"]["misrouted"], by_agent["totals"]["misroute_rate"]) == (1, 0.2)
    by_model = (await product.call("GET", "/v1/analytics")).json()
    assert {each["misrouted"] for each in by_model["groups"]} == {None}
