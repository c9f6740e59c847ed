"""The cost calculator: its sums by hand, and where its inputs come from."""

from dataclasses import replace
from typing import Any

import pytest

from edgeneuro.domain.costs import (
    ANSWER_USE,
    LOG_ROW_BYTES,
    QUERY_TOKENS,
    CostItem,
    MonthlyCosts,
    Workload,
    monthly_costs,
)
from edgeneuro.domain.decision import Usage
from edgeneuro.domain.model import Pricing
from tests.unit.conftest import Product, says
from tests.unit.test_app import assert_error

ONLY_MODEL: dict[Any, float] = {"cache": 0, "classifier": 0, "embedding": 0, "model": 1}
WORK = Workload(
    answers=100_000_000,
    shares=ONLY_MODEL,
    prompt_tokens=500,
    completion_tokens=10,
    pricing=Pricing(input_per_million=0.04, output_per_million=0.5),
    embedding_pricing=None,
    retention_days=30,
)


def items(costs: MonthlyCosts) -> dict[str, CostItem]:
    return {each.item: each for each in costs.items}


def test_each_item_is_what_the_plan_does_not_include() -> None:
    use = ANSWER_USE["model"]
    costs = monthly_costs(WORK)
    found = items(costs)
    assert found["workers_requests"].usd == pytest.approx(90 * 0.30)
    assert found["workers_cpu"].usd == pytest.approx((100 * use.cpu_ms - 30) * 0.02)
    assert found["d1_rows_written"].usd == pytest.approx((100 * use.rows_written - 50) * 1.00)
    assert found["d1_rows_read"].usd == 0  # 25 billion are included
    assert found["d1_storage"].usd == pytest.approx((LOG_ROW_BYTES / 10 - 5) * 0.75)
    assert found["workers_logs"].usd == pytest.approx(80 * 0.60)
    assert found["model_prompt"].usd == pytest.approx(50_000 * 0.04)
    assert found["model_completion"].usd == pytest.approx(1_000 * 0.5)
    platform = 5 + sum(each.usd or 0 for each in costs.items if not each.item.startswith("model"))
    assert costs.platform_usd == pytest.approx(platform)
    assert costs.models_usd == pytest.approx(2_500)
    assert costs.total_usd == pytest.approx(platform + 2_500)
    assert costs.usd_per_million_answers == pytest.approx((platform + 2_500) / 100, abs=1e-4)


def test_a_small_installation_pays_the_subscription_alone() -> None:
    small = replace(WORK, answers=1_000, pricing=Pricing(input_per_million=0, output_per_million=0))
    assert monthly_costs(small).total_usd == 5


def test_what_the_model_decides_was_read_by_the_embedding_model_before() -> None:
    shares: dict[Any, float] = {"cache": 0.5, "classifier": 0, "embedding": 0.3, "model": 0.2}
    price = Pricing(input_per_million=0.01, output_per_million=0)
    found = items(monthly_costs(replace(WORK, shares=shares, embedding_pricing=price)))
    assert found["embedding_prompt"].quantity == 50_000_000 * QUERY_TOKENS
    assert found["model_prompt"].quantity == 20_000_000 * 500
    assert "embedding_prompt" not in items(monthly_costs(WORK))


def test_without_a_price_there_is_no_sum() -> None:
    costs = monthly_costs(replace(WORK, pricing=None))
    assert costs.models_usd is None
    assert costs.total_usd is None
    assert costs.usd_per_million_answers is None
    assert costs.platform_usd > 5
    cached: dict[Any, float] = {"cache": 1, "classifier": 0, "embedding": 0, "model": 0}
    assert monthly_costs(replace(WORK, pricing=None, shares=cached)).models_usd == 0


async def ask(product: Product, query: str = "") -> dict[str, Any]:
    answer = await product.call("GET", f"/v1/costs{query}")
    assert answer.status == 200, answer.json()
    costs: dict[str, Any] = answer.json()
    return costs


async def test_a_new_installation_assumes_everything(product: Product) -> None:
    costs = await ask(product)
    assert costs["measured"] == []
    names = ["answers", "cache", "classifier", "completion_tokens", "embedding", "prompt_tokens"]
    assert costs["assumed"] == names
    assert costs["answers"] == 1_000_000
    assert costs["shares"] == ONLY_MODEL
    assert costs["costs"] == costs["model_only"]
    assert costs["saved_usd"] == 0


async def test_its_own_decisions_are_measured(product: Product) -> None:
    usage = Usage(prompt_tokens=300, completion_tokens=9, total_tokens=309)
    product.gateway.enqueue(*[replace(says("hr"), usage=usage)] * 50)
    for number in range(100):
        # Each question twice: half of the answers come from the cache.
        await product.route(f"question {number // 2}")
    costs = await ask(product)
    assert costs["assumed"] == []
    assert costs["shares"] == {"cache": 0.5, "classifier": 0, "embedding": 0, "model": 0.5}
    assert costs["answers"] == 100 * 30  # in the one day that there is
    assert (costs["prompt_tokens"], costs["completion_tokens"]) == (300, 9)
    stated = await ask(product, "?answers=5000000&cache=0.2&classifier=0.7&prompt_tokens=100")
    assert stated["measured"] == ["completion_tokens", "embedding"]
    assert stated["shares"] == {"cache": 0.2, "classifier": 0.7, "embedding": 0, "model": 0.1}
    # What is measured shares what the stated leaves.
    rest = await ask(product, "?classifier=0.8")
    assert rest["shares"] == {"cache": 0.2, "classifier": 0.8, "embedding": 0, "model": 0}


@pytest.mark.parametrize(
    ("query", "code", "param"),
    [
        ("?answers=0", "invalid_value", "answers"),
        ("?cache=1.1", "invalid_value", "cache"),
        ("?cache=0.6&classifier=0.6", "invalid_value", None),
        ("?model=nobody", "unknown_model", "model"),
        ("?share=1", "unknown_field", "share"),
        ("?prompt_tokens=nan", "invalid_value", "prompt_tokens"),
    ],
)
async def test_bad_input_names_the_field(
    product: Product, query: str, code: str, param: str | None
) -> None:
    answer = await product.call("GET", f"/v1/costs{query}")
    assert_error(answer, 400, code, param)
