"""The classifier's part of GET /v1/analytics: its shares by day, where the model differs, and the
alert where the questions are no longer those that it was learned for."""

from typing import Any

import pytest

from edgeneuro.store.usage import DAY, HOUR, sum_finished_days
from tests.unit.classifiers import (
    UNKNOWN,
    create_agents,
    install,
    known,
    load,
    select,
)
from tests.unit.conftest import Product, says

NOW = 1_800_000_000_000
TODAY = NOW - NOW % DAY


@pytest.fixture
async def product(empty_product: Product) -> Product:
    """The selected classifier answered 90 % of its held-out labels, and of its labels 10 % had no
    agent: at the training it passed on 19 %."""
    empty_product.gateway.enqueue(*[says("agent_0")] * 3)
    await create_agents(empty_product)
    install(empty_product, "clf_1")
    await select(empty_product, "clf_1")
    empty_product.clock.seconds += 60  # analytics end with the current hour, which has begun
    return empty_product


async def shown(product: Product, query: str = "") -> dict[str, Any]:
    answered = await product.call("GET", f"/v1/analytics{query}")
    assert answered.status == 200, answered.text
    block: dict[str, Any] = answered.json()["classifier"]
    return block


def used(
    product: Product, hour: int, *, answered: int, passed_on: int, out_of_scope: int = 0
) -> None:
    """So many answers in this hour's sums; those out of scope are among those passed on."""
    llm = passed_on - out_of_scope
    for layer, reason, count in (
        ("classifier", "", answered),
        ("llm", "", llm),
        ("fallback", "out_of_scope", out_of_scope),
    ):
        product.execute(
            "INSERT INTO usage_hours (hour, agent_id, layer, reason, model, adapter, key_id, cache,"
            " status, answers, attempts, failed_attempts, without_model, prompt_tokens,"
            " completion_tokens, cost_usd, unpriced_answers, classifier_asked) VALUES"
            f" ({hour}, 'a', '{layer}', '{reason}', '', '', 'k', 'miss', 200, {count}, 0, 0, 0, 0,"
            f" 0, 0, 0, {count})"
        )


async def test_it_counts_what_was_asked_answered_and_passed_on(product: Product) -> None:
    await load(product)  # which no classifier was asked
    await product.route(known("agent_1"))
    await product.route(known("agent_2"))
    await product.route(UNKNOWN)
    await product.route(UNKNOWN)  # still in the isolate: not asked
    block = await shown(product)
    counts = {name: block[name] for name in ("requests", "asked", "answered", "abstained")}
    assert counts == {"requests": 5, "asked": 3, "answered": 2, "abstained": 1}
    assert block["answered_share"] == pytest.approx(2 / 3, abs=1e-6)
    assert (block["drift"]["asked"], block["alert"]) == (3, None)


async def test_a_rebuild_counts_the_same(product: Product) -> None:
    await load(product)
    await product.route(known("agent_1"))
    before = await shown(product)
    body = {"from": "2027-01-15T08:00:00Z", "to": "2027-01-15T09:00:00Z"}
    assert (await product.call("POST", "/v1/analytics/rebuild", body)).status == 200
    assert await shown(product) == before
    assert before["answered"] == 1


@pytest.mark.parametrize("interval", ["hour", "day"])
@pytest.mark.parametrize("summed", [False, True])
async def test_the_shares_are_by_day(product: Product, interval: str, summed: bool) -> None:
    used(product, TODAY - 2 * DAY + HOUR, answered=30, passed_on=10, out_of_scope=4)
    used(product, TODAY - 2 * DAY + 9 * HOUR, answered=30, passed_on=30, out_of_scope=6)
    used(product, TODAY, answered=1, passed_on=0)
    if summed:
        assert await sum_finished_days(product.database, now_ms=NOW) == 1
    block = await shown(product, f"?from=2027-01-13T00:00:00Z&interval={interval}")
    days = [(day["start"][:10], day["asked"], day["answered_share"]) for day in block["days"]]
    assert days == [("2027-01-13", 100, 0.6), ("2027-01-14", 0, None), ("2027-01-15", 1, 1.0)]
    assert [day["out_of_scope_share"] for day in block["days"]] == [0.1, None, 0.0]
    assert (block["asked"], block["answered"], block["out_of_scope"]) == (101, 61, 10)


async def test_what_it_was_like_at_the_training_stands_beside(product: Product) -> None:
    drift = (await shown(product))["drift"]
    assert drift["classifier"] == "clf_1"
    assert drift["training_out_of_scope_share"] == 0.1
    assert drift["training_abstained_share"] == pytest.approx(0.19)
    assert drift["abstained_share"] is None


@pytest.mark.parametrize(
    ("answered", "passed_on", "alerts"),
    [
        (150, 50, False),  # 25 % of 200: more by more than 5 points, but within 3 standard errors
        (130, 70, True),  # 35 %
        (129, 70, False),  # 35 % of fewer than 200
        (7_700, 2_300, False),  # 23 %: no chance, but within 5 points
        (10_000, 500, False),  # 5 %: it passes on less than it did
    ],
)
async def test_it_alerts_where_more_is_passed_on_than_chance_explains(
    product: Product, answered: int, passed_on: int, alerts: bool
) -> None:
    used(product, NOW - NOW % HOUR, answered=answered, passed_on=passed_on)
    alert = (await shown(product))["alert"]
    assert (alert is not None) == alerts
    if alerts:
        assert alert.startswith("It passes on 35.0% of the questions, at its training 19.0%")


async def test_it_alerts_where_more_questions_have_no_agent(product: Product) -> None:
    used(product, NOW - NOW % HOUR, answered=1_700, passed_on=300, out_of_scope=90)
    assert (await shown(product))["alert"] is None
    used(product, NOW - NOW % HOUR - HOUR, answered=0, passed_on=0, out_of_scope=0)
    product.execute("UPDATE usage_hours SET reason = 'out_of_scope' WHERE layer = 'classifier'")
    alert = (await shown(product))["alert"]
    assert alert.startswith("No agent fits 89.5% of the questions, at its training 10.0%")


async def test_what_was_before_the_training_is_no_drift(product: Product) -> None:
    used(product, NOW - NOW % HOUR - 2 * HOUR, answered=100, passed_on=900)
    assert (await shown(product))["alert"] is not None
    product.execute(f"UPDATE classifiers SET finished_at = {NOW - HOUR}")
    block = await shown(product)
    assert (block["alert"], block["drift"]["asked"], block["asked"]) == (None, 0, 1_000)


async def test_without_a_classifier_there_is_no_drift(product: Product) -> None:
    await select(product, None)
    block = await shown(product)
    assert (block["drift"], block["alert"], block["asked"]) == (None, None, 0)


async def test_disagreement_is_that_of_the_sampled_answers_alone(product: Product) -> None:
    for number in range(50):
        layer = "llm" if number < 40 else "classifier"
        agrees = int(number >= 4 and number < 40)
        product.execute(
            "INSERT INTO shadow_answers VALUES"
            f" ('dec_{number}', {NOW}, '{layer}', 'a', 1, {agrees})"
        )
    found = (await shown(product))["disagreement"]
    assert (found["compared"], found["differing"], found["rate"]) == (40, 4, 0.1)
    assert 0.03 < found["low"] < 0.1 < found["high"] < 0.24
    [row] = product.rows(
        "EXPLAIN QUERY PLAN SELECT count(*) FROM shadow_answers"
        " WHERE created_at >= 1 AND created_at < 2 AND layer = 'llm'"
    )
    assert "USING INDEX shadow_answers_created_at" in row["detail"]
