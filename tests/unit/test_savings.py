"""Savings: each decision is counted with the stage that made it, and the estimate says what it is
not sure of."""

import json
import math
from typing import Any

import pytest

from edgeneuro.domain.savings import MIN_MODEL_DECISIONS, DecisionSums, savings_of
from edgeneuro.errors import UpstreamTimeoutError
from edgeneuro.gateway.interface import ModelAnswer
from edgeneuro.store.usage import DAY, HOUR
from tests.unit.chats import chat, talks
from tests.unit.conftest import Product
from tests.unit.test_analytics import NOW, ask

MANY = MIN_MODEL_DECISIONS


def chooses(agent_id: str, confidence: float = 0.9) -> ModelAnswer:
    """Unlike `says`, with the tokens that the decision took."""
    return talks(json.dumps({"agent": agent_id, "confidence": confidence}))


def sums(decisions: int, *, usd: float = 0.0, ms: float = 0.0, priced: int = -1) -> DecisionSums:
    """`usd` and `ms` are those of one decision."""
    known = decisions if priced < 0 else priced
    return DecisionSums(decisions, known, usd * known, ms * decisions)


def test_a_call_is_worth_the_mean_of_the_models_decisions_less_its_own_time() -> None:
    day = {"model": sums(MANY, usd=0.002, ms=400), "classifier": sums(100, ms=2)}
    said = savings_of([("monday", day)])
    assert said.calls == 100
    assert said.cost_usd == pytest.approx(0.2)
    assert said.time_ms == pytest.approx(100 * 398)
    assert said.stages["classifier"].calls == said.by_day[0].stages["classifier"].calls == 100
    assert said.compared_with.decisions == MANY
    assert said.estimate
    assert not said.emulated


def test_a_stage_that_pays_has_saved_less() -> None:
    day = {"model": sums(MANY, usd=0.002), "embedding": sums(10, usd=0.0005)}
    assert savings_of([("monday", day)]).cost_usd == pytest.approx(10 * 0.0015)


def test_a_day_has_its_own_averages_if_it_has_enough_decisions_of_models() -> None:
    days = [
        ("cheap", {"model": sums(MANY, usd=0.001), "label": sums(10)}),
        ("dear", {"model": sums(MANY, usd=0.003), "label": sums(10)}),
        ("few", {"model": sums(MANY - 1, usd=9.0), "label": sums(10)}),
        ("none", {"label": sums(10)}),
    ]
    said = savings_of(days)
    mean = (MANY * 0.004 + (MANY - 1) * 9.0) / (3 * MANY - 1)
    costs = [day.cost_usd for day in said.by_day]
    assert costs == pytest.approx([0.01, 0.03, 10 * mean, 10 * mean])
    assert said.cost_usd == pytest.approx(sum(cost for cost in costs if cost is not None))


def test_an_unknown_price_is_null_and_time_is_known_all_the_same() -> None:
    day = {"model": sums(MANY, ms=300, priced=0), "memory_cache": sums(10, ms=1)}
    said = savings_of([("monday", day)])
    assert (said.calls, said.cost_usd) == (10, None)
    assert said.time_ms == pytest.approx(2990)
    assert said.compared_with.mean_cost_usd is None


def test_the_known_prices_of_a_day_count() -> None:
    day = {"model": sums(2 * MANY, usd=0.002, priced=MANY), "memory_cache": sums(10)}
    assert savings_of([("monday", day)]).cost_usd == pytest.approx(0.02)


def test_without_a_models_decision_nothing_is_known_but_the_calls() -> None:
    said = savings_of([("monday", {"rule": sums(7, ms=1)})])
    assert (said.calls, said.cost_usd, said.time_ms) == (7, None, None)


def test_an_empty_range_has_saved_nothing() -> None:
    said = savings_of([("monday", {})])
    assert (said.calls, said.cost_usd, said.time_ms, said.stages) == (0, 0.0, 0.0, {})


async def analytics(product: Product, **query: str) -> Any:
    product.clock.seconds += 1
    return (await ask(product, NOW - DAY, NOW + HOUR, **query))["savings"]


async def test_decisions_are_counted_with_their_stage(product: Product) -> None:
    await product.call("POST", "/v1/labels", [{"query": "Laptop?", "agent_id": "it_support"}])
    product.gateway.enqueue(chooses("hr"), chooses("hr"), chooses("it_support", 0.1))
    await product.route("Leave?", cache=False)
    model = (await product.route("Leave?")).json()
    await product.route("VPN?")  # the model is not sure: its decision all the same
    await product.route("Leave?")
    await product.route("Laptop?")
    other = Product(product.database, product.services.settings, clock=product.clock)
    await other.route("Leave?")
    said = await analytics(product)
    found = {name: stage["calls"] for name, stage in said["stages"].items()}
    assert found == {"memory_cache": 1, "stored_cache": 1, "label": 1}
    assert said["calls"] == 3
    assert said["compared_with"]["decisions"] == 3
    assert said["by_day"][-1]["calls"] == 3
    assert model["cost_usd"] > 0
    mean = said["compared_with"]["mean_cost_usd"]
    assert math.isclose(said["cost_usd"], 3 * mean, rel_tol=1e-6)
    row = (await product.call("GET", f"/v1/logs/{model['id']}")).json()
    assert row["routing_cost_usd"] == row["cost_usd"] == model["cost_usd"]


async def test_of_a_chat_the_decision_alone_counts(product: Product) -> None:
    product.gateway.enqueue(chooses("hr"), talks("Twenty days."), talks("Twenty days."))
    await chat(product, "auto")
    await chat(product, "auto")
    said = await analytics(product)
    rows = await product.logs()
    assert [len(row["attempts"]) for row in rows] == [1, 2]
    assert said["stages"]["memory_cache"]["calls"] == 1
    assert rows[1]["cost_usd"] > rows[1]["routing_cost_usd"] > 0
    assert rows[0]["cost_usd"] > rows[0]["routing_cost_usd"] == 0
    assert said["cost_usd"] == pytest.approx(rows[1]["routing_cost_usd"])


async def test_an_answer_without_a_decision_has_saved_nothing(product: Product) -> None:
    timeout = UpstreamTimeoutError("Too slow.")
    product.gateway.enqueue(timeout, timeout, talks("Hello."))
    assert (await product.route("Leave?")).json()["reason"] == "timeout"
    await chat(product)
    said = await analytics(product)
    assert (said["calls"], said["compared_with"]["decisions"]) == (0, 0)


async def test_a_rebuild_makes_the_same_sums(product: Product) -> None:
    product.gateway.enqueue(chooses("hr"))
    await product.route("Leave?")
    await product.route("Leave?")
    before = await analytics(product)
    assert before["calls"] == 1
    product.execute("DELETE FROM decision_hours")
    assert (await analytics(product))["calls"] == 0
    body = {"from": "2027-01-15T08:00:00Z", "to": "2027-01-15T09:00:00Z"}
    assert (await product.call("POST", "/v1/analytics/rebuild", body)).status == 200
    assert await analytics(product) == before
