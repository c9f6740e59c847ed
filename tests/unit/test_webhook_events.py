"""What webhooks receive: decisions of low confidence, counted; drift; budgets; ends of jobs."""

from typing import Any

import pytest

from edgeneuro.controlplane.webhooks.events import LOW_CONFIDENCE_MS
from edgeneuro.store.usage import HOUR
from tests.unit import test_drift as drift
from tests.unit.conftest import Product
from tests.unit.invocations import run_erasures, run_scheduled
from tests.unit.test_limits import create as create_key
from tests.unit.test_limits import route
from tests.unit.test_logs import ask
from tests.unit.test_webhooks import OK, create, deliveries, end_job, minute

WINDOW = LOW_CONFIDENCE_MS / 1000


async def told(product: Product, webhook: dict[str, Any]) -> list[dict[str, Any]]:
    """Oldest first."""
    return [each["data"] for each in reversed(await deliveries(product, webhook))]


async def test_decisions_of_low_confidence_are_counted_in_windows(product: Product) -> None:
    await ask(product, "before", confidence=0.1)
    first = await create(product, events=["decision.low_confidence"])
    product.fetch.enqueue(*[OK] * 9)
    for number in range(3):
        await ask(product, f"unsure {number}", confidence=0.1)
    await ask(product, "sure", confidence=0.9)
    await minute(product)
    assert await told(product, first) == []
    second = await create(product, events=["decision.low_confidence", "job.ended"])
    await minute(product, WINDOW)
    data = {"from": "2027-01-15T08:00:00.000Z", "to": "2027-01-15T08:16:00.000Z"}
    assert await told(product, first) == [{"decisions": 3, **data}]
    assert await told(product, second) == []
    await ask(product, "unsure again", confidence=0.1)
    await minute(product, WINDOW - 60)
    assert len(await told(product, first)) == 1
    await minute(product)
    assert [each["decisions"] for each in await told(product, first)] == [3, 1]
    assert [each["decisions"] for each in await told(product, second)] == [1]
    for _ in range(3):
        await minute(product, WINDOW)
    assert len(await told(product, first)) == 2
    assert "unsure" not in str([sent.body for sent in product.fetch.requests])


async def test_they_are_counted_by_their_index(product: Product) -> None:
    await create(product, events=["decision.low_confidence"])
    product.database.statements.clear()
    await minute(product, WINDOW)
    [counting] = [one for one in product.database.statements if "seen_seq, seen_at" in one.sql]
    steps = product.database._connection.execute(
        f"EXPLAIN QUERY PLAN {counting.sql}", counting.parameters
    ).fetchall()
    assert "INDEX logs_unmatched (seq>?)" in " | ".join(row["detail"] for row in steps)


async def test_without_webhooks_a_minute_is_one_query(product: Product) -> None:
    product.database.statements.clear()
    await minute(product)
    assert sum("webhook" in one.sql for one in product.database.statements) == 1


async def test_drift_is_told_once_a_day(empty_product: Product) -> None:
    product: Product = await drift.product.__wrapped__(empty_product)  # type: ignore[attr-defined]
    webhook = await create(product, events=["classifier.drift"])
    product.fetch.enqueue(*[OK] * 9)
    drift.used(product, drift.NOW - drift.NOW % HOUR - HOUR, answered=40, passed_on=60)
    for _ in range(3):
        await run_scheduled(product.services, "0 * * * *")
        product.clock.seconds += 60
    await minute(product)
    [data] = await told(product, webhook)
    assert data["classifier_id"] == "clf_1"
    assert {alert["figure"] for alert in data["alerts"]} == {"abstained"}
    assert len(product.fetch.requests) == 1


@pytest.mark.parametrize(
    ("budget", "limit"), [("monthly_token_budget", 3_000), ("monthly_budget_usd", 0.0002)]
)
async def test_a_budget_that_refuses_is_told_once_a_month(
    product: Product, budget: str, limit: float
) -> None:
    webhook = await create(product, events=["budget.exhausted"])
    product.fetch.enqueue(*[OK] * 9)
    key = await create_key(product, **{budget: limit})
    product.execute(
        "INSERT INTO key_usage (key_id, minute, minute_requests, month, tokens, cost_usd)"
        f" VALUES ('{key['id']}', 0, 0, 202701, 2999, 0.000199)"
    )
    for _ in range(3):
        assert (await route(product, key)).status == 429
        await minute(product, 3_600)
    used = 2_999 if budget == "monthly_token_budget" else 0.000199
    assert await told(product, webhook) == [
        {
            "key_id": key["id"],
            "budget": budget,
            "month": "2027-01",
            "limit": limit,
            "used": used,
            "resets_at": "2027-02-01T00:00:00.000Z",
        }
    ]
    assert len(product.fetch.requests) == 1


async def test_a_request_larger_than_a_whole_budget_tells_nothing(product: Product) -> None:
    webhook = await create(product, events=["budget.exhausted"])
    key = await create_key(product, monthly_token_budget=10)
    assert (await route(product, key)).status == 429
    assert await told(product, webhook) == []


async def test_an_erasure_covers_what_is_told_of_a_persons_keys(product: Product) -> None:
    webhook = await create(product, events=["budget.exhausted", "job.ended"])
    user = {"email": "ada@example.com", "name": "Ada", "role": "labeler"}
    user_id = (await product.call("POST", "/v1/users", user)).json()["id"]
    key = await create_key(product, monthly_token_budget=3_000, user_id=user_id, scopes=["route"])
    product.execute(
        "INSERT INTO key_usage (key_id, minute, minute_requests, month, tokens, cost_usd)"
        f" VALUES ('{key['id']}', 0, 0, 202701, 2999, 0)"
    )
    assert (await route(product, key)).status == 429
    end_job(product, "j1")
    assert len(await told(product, webhook)) == 2
    await product.call("DELETE", f"/v1/users/{user_id}/data")
    await run_erasures(product.services)
    left = await told(product, webhook)
    assert {data["kind"] for data in left} == {"training", "erasure"}
