"""What happens if no agent is decided on: the fallback agent, or nobody."""

from dataclasses import replace
from typing import Any

import pytest

from edgeneuro.domain.decision import Usage
from edgeneuro.errors import UpstreamNotConfiguredError, UpstreamTimeoutError
from tests.unit.chats import chat, talks
from tests.unit.conftest import Product, says

FAILED = [UpstreamNotConfiguredError("gone")] * 2


def decided(decision: dict[str, Any]) -> tuple[Any, ...]:
    agent = decision["agent"]
    return (decision["outcome"], agent and agent["id"], decision["confidence"], decision["reason"])


@pytest.mark.parametrize(
    ("answers", "layer", "reason"),
    [
        ([says("none", 0.85)], "llm", "out_of_scope"),
        ([says("hr", 0.3)], "llm", "low_confidence"),
        (FAILED, "fallback", "not_configured"),
    ],
)
async def test_who_answers_if_no_agent_is_decided_on(
    product: Product, answers: list[Any], layer: str, reason: str
) -> None:
    product.gateway.enqueue(*answers * 3)
    fallback = (await product.route("Mars weather?", cache=False)).json()
    assert decided(fallback) == ("fallback", "general", None, reason)
    assert fallback["layer"] == "fallback"
    answered = await product.route("Mars weather?", cache=False, on_no_fit="none")
    assert answered.status == 200
    assert decided(answered.json()) == ("none", None, None, reason)
    assert answered.json()["layer"] == layer
    assert "x-edgeneuro-agent" not in answered.headers
    # The default agent is not allowed, so it does not answer, whatever the setting says.
    only = (
        await product.route("Mars weather?", cache=False, candidates=["it_support", "hr"])
    ).json()
    assert decided(only) == ("none", None, None, reason)


async def test_the_confidence_is_that_of_the_agent_named(product: Product) -> None:
    product.gateway.enqueue(says("hr", 0.9), says("general", 0.2))
    assert decided((await product.route("Leave?")).json()) == ("agent", "hr", 0.9, None)
    unsure = (await product.route("Hm")).json()
    assert decided(unsure) == ("fallback", "general", None, "low_confidence")
    assert unsure["alternatives"] == [{"agent_id": "general", "score": 0.2}]


async def test_the_field_wins_over_the_setting(product: Product) -> None:
    assert (await product.call("PATCH", "/v1/config", {"on_no_fit": "none"})).status == 200
    product.gateway.enqueue(says("none"))
    assert (await product.route("Mars?")).json()["outcome"] == "none"
    decision = (await product.route("Mars?", on_no_fit="fallback")).json()
    assert (decision["outcome"], decision["cache"]) == ("fallback", "hit")
    wrong = await product.route("Mars?", on_no_fit="first")
    assert (wrong.status, wrong.json()["error"]["param"]) == (400, "on_no_fit")


async def test_the_log_row_says_what_was_decided_and_what_was_stated(product: Product) -> None:
    product.gateway.enqueue(says("none", 0.85), says("hr", 0.3), says("hr", 0.9))
    for query, on_no_fit in (("a", "none"), ("b", "fallback"), ("c", "none")):
        await product.route(query, on_no_fit=on_no_fit)
    rows = [
        (row["outcome"], row["agent_id"], row["confidence"], row["stated_confidence"])
        for row in reversed(await product.logs())
    ]
    assert rows == [
        ("none", None, None, 0.85),
        ("fallback", "general", None, 0.3),
        ("agent", "hr", 0.9, 0.9),
    ]
    unsure = (await product.call("GET", "/v1/logs?max_confidence=0.4")).json()["data"]
    assert [row["query"] for row in unsure] == ["b"]
    product.clock.seconds += 1
    analytics = (await product.call("GET", "/v1/analytics?group_by=agent")).json()
    assert analytics["totals"]["fallback_answers"] == 1
    assert {group["key"]: group["requests"] for group in analytics["groups"]} == {
        None: 1,
        "general": 1,
        "hr": 1,
    }


async def test_rows_of_before_the_outcome_was_logged_are_read(product: Product) -> None:
    product.gateway.enqueue(says("none", 0.85), says("hr", 0.9))
    await product.route("a")
    await product.route("b")
    product.execute("UPDATE logs SET outcome = NULL")
    rows = [(row["outcome"], row["confidence"]) for row in await product.logs()]
    assert rows == [("agent", 0.9), ("fallback", None)]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_chat_that_no_agent_fits_is_sent_to_nobody(product: Product, stream: bool) -> None:
    product.gateway.enqueue(says("none", 0.85))
    answered = await chat(
        product, "auto", stream=stream, edgeneuro={"candidates": ["it_support", "hr"]}
    )
    assert (answered.status, answered.json()["error"]["code"]) == (422, "no_agent_fits")
    assert len(product.gateway.requests) == 1
    [row] = await product.logs()
    assert (row["status"], row["outcome"], row["agent_id"]) == (422, "none", None)
    assert (row["reason"], row["query"]) == ("out_of_scope", "How many days of leave?")


async def test_a_chat_whose_routing_failed_says_so(product: Product) -> None:
    product.gateway.enqueue(*[UpstreamTimeoutError("slow")] * 4)
    answered = await chat(product, "auto", edgeneuro={"on_no_fit": "none"})
    assert (answered.status, answered.json()["error"]["code"]) == (504, "upstream_timeout")
    product.gateway.enqueue(says("none"), talks())
    answered = await chat(product, "auto")
    facts = answered.json()["edgeneuro"]
    assert (facts["outcome"], facts["agent"]["id"], facts["confidence"]) == (
        "fallback",
        "general",
        None,
    )


async def test_a_key_with_limits_pays_the_routing_alone(product: Product) -> None:
    made = await product.call(
        "POST",
        "/v1/keys",
        {"name": "k", "scopes": ["route"], "monthly_token_budget": 100_000},
    )
    usage = Usage(prompt_tokens=30, completion_tokens=10, total_tokens=40)
    product.gateway.enqueue(replace(says("none"), usage=usage))
    key = made.json()["key"]
    answered = await product.call(
        "POST",
        "/v1/chat/completions",
        {
            "model": "auto",
            "messages": [{"role": "user", "content": "Mars?"}],
            "edgeneuro": {"on_no_fit": "none"},
        },
        key=key,
    )
    assert answered.status == 422
    assert product.rows("SELECT tokens FROM key_usage") == [{"tokens": 40}]
