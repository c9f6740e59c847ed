"""A decision model wherever a model can be used for routing: evaluations, the promotion check, the
challenger, routing tests, budgets, keys, analytics."""

from typing import Any

import pytest

from edgeneuro.domain.decision import Usage
from edgeneuro.domain.question import Choice, ChoiceAnswer
from edgeneuro.errors import UpstreamQuotaError
from edgeneuro.gateway.interface import DecisionAnswer, DecisionRequest, ModelAnswer
from edgeneuro.settings import Settings
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.conftest import Product, add_agents
from tests.unit.test_evaluations import (
    EASY_PROMOTION,
    Models,
    evaluate,
    knows,
    label,
    questions,
    refusal,
    select,
    state,
)
from tests.unit.test_keys import create as create_key
from tests.unit.test_routing_tests import TESTS, put, run

LLAMA = "@cf/meta/llama-3.2-1b-instruct"
FLASH = "@cf/cloudflare/clef-flash"
COST = 0.038 * 100 / 1_000_000  # of one answer


class WithDecisions(Models):
    """The decision model answers as `knows` says of its name."""

    async def decide(self, request: DecisionRequest, /) -> DecisionAnswer:
        self.decision_requests.append(request)
        said = knows(request.model, request.state)
        assert isinstance(said.content, dict)
        best = said.content["agent"]
        asked = next(each for each in request.questions.values() if isinstance(each, Choice))
        rest = 0.1 / (len(asked.options) - 1)
        shares = {option: 0.9 if option == best else rest for option in asked.options}
        return DecisionAnswer(
            answers={
                id: ChoiceAnswer(best, shares)
                for id, each in request.questions.items()
                if each is asked
            },
            usage=Usage(prompt_tokens=100, total_tokens=100),
        )


@pytest.fixture
async def product(database: SqliteDatabase, settings: Settings) -> Product:
    product = Product(database, settings, gateway=WithDecisions(knows))
    return await add_agents(product)


async def test_an_evaluation_and_the_promotion_check(product: Product) -> None:
    await product.call("PATCH", "/v1/config", EASY_PROMOTION)
    await label(product, 10)
    assert "POST /v1/evaluations" in refusal(await select(product, FLASH, check=True))
    found = await evaluate(product, model_ids=[LLAMA, FLASH])
    assert found["state"] == "succeeded", found
    for each in found["results"]["models"]:
        assert (each["n"], each["right"]) == (30, 30)
    assert found["results"]["models"][1]["cost_usd"] == pytest.approx(30 * COST)
    assert len(product.gateway.decision_requests) == 30
    passed = await select(product, FLASH, check=True)
    assert passed.status == 200, passed.text
    assert (await state(product))["active"] == FLASH
    assert (await product.route("hr question 1")).json()["model"] == FLASH
    back = await select(product, LLAMA, check=True)
    assert back.json()["previous"] == FLASH


async def test_as_challenger_of_a_model_that_writes_text(product: Product) -> None:
    assert (await select(product, FLASH, challenger=100)).status == 200
    for query, _ in questions(4):
        assert (await product.route(query, cache=False)).json()["model"] == LLAMA
    await label(product, 4)
    found = (await state(product))["challenger"]
    assert (found["compared"], found["agree"], found["failed"]) == (12, 12, 0)
    # Workers AI's own decision models have learned nothing of this installation's labels.
    assert (found["labelled"], found["trained"]) == (12, 0)
    assert found["challenger"]["right"] == 12
    assert found["challenger"]["mean_cost_usd"] == pytest.approx(COST)


async def test_as_active_model_with_a_challenger_that_writes_text(product: Product) -> None:
    await select(product, FLASH)
    await select(product, LLAMA, challenger=100)
    await product.route("hr question 1")
    found = (await state(product))["challenger"]
    assert (found["model_id"], found["compared"], found["agree"]) == (LLAMA, 1, 1)


async def test_a_vendors_decision_model_may_have_learned(product: Product) -> None:
    base_url = "https://decisions.example.com/v1"
    fast = {"id": "fast", "kind": "systemone", "base_url": base_url, "models": ["clef"]}
    assert (await product.call("POST", "/v1/providers", fast)).status == 201
    await select(product, "fast/clef", challenger=100)
    for query, _ in questions(2, "train"):
        await product.route(query, cache=False)
    await label(product, 2, "train")
    found = (await state(product))["challenger"]
    assert (found["compared"], found["labelled"], found["trained"]) == (6, 0, 6)


async def test_routing_tests(product: Product) -> None:
    await put(product, TESTS)
    found = await run(product, model_id=FLASH)
    assert found["state"] == "succeeded", found
    assert (found["passed"], found["active"]) == (True, FLASH)
    assert len(product.gateway.decision_requests) == len(TESTS)
    assert (await state(product))["active"] == LLAMA


async def test_a_key_with_a_budget_pays_what_it_costs(product: Product) -> None:
    await select(product, FLASH)
    key = await create_key(product, scopes=["route"], monthly_budget_usd=1)
    answered = await product.call("POST", "/v1/route", {"query": "hr question 1"}, key=key["key"])
    assert answered.status == 200, answered.text
    assert answered.json()["cost_usd"] == pytest.approx(COST)
    [used] = product.rows(f"SELECT cost_usd FROM key_usage WHERE key_id = '{key['id']}'")
    assert used["cost_usd"] == pytest.approx(COST)


async def test_a_key_that_may_use_no_other_model(product: Product) -> None:
    await select(product, FLASH)
    key = await create_key(product, scopes=["route"], models=[LLAMA])
    body: dict[str, Any] = {"query": "hr question 1"}
    # Its view of the chain has the fallback models that it may use; here there are none.
    await product.call("PATCH", "/v1/config", {"fallback_models": []})
    answered = await product.call("POST", "/v1/route", body, key=key["key"])
    error = answered.json()["error"]
    assert (answered.status, error["code"]) == (403, "model_not_allowed")
    allowed = await create_key(product, scopes=["route"], models=[FLASH])
    answered = await product.call("POST", "/v1/route", body, key=allowed["key"])
    assert answered.json()["model"] == FLASH


async def test_a_failed_decision_model_has_text_models_as_fallbacks(product: Product) -> None:
    async def fails(request: DecisionRequest, /) -> DecisionAnswer:
        raise UpstreamQuotaError("used up")

    await product.call("PATCH", "/v1/config", {"fallback_models": [LLAMA]})
    await select(product, FLASH)
    product.gateway.decide = fails  # type: ignore[method-assign]
    decision = (await product.route("hr question 1")).json()
    assert (decision["model"], decision["agent"]["id"]) == (LLAMA, "hr")


async def test_a_named_decision_model_routes_one_question(product: Product) -> None:
    decision = (await product.route("hr question 1", model=FLASH)).json()
    assert (decision["model"], decision["layer"]) == (FLASH, "decision_model")
    assert decision["agent"]["id"] == "hr"


async def test_analytics_count_its_tokens_and_cost(product: Product) -> None:
    await select(product, FLASH)
    await product.route("hr question 1")
    product.clock.seconds += 1
    found = (await product.call("GET", "/v1/analytics?group_by=model")).json()
    assert found["totals"]["cost_usd"] == pytest.approx(COST)
    assert [group["key"] for group in found["groups"]] == [FLASH]
    text = await product.call("GET", "/metrics")
    assert f'model="{FLASH}",outcome="ok"}} 1' in text.text


async def test_a_chat_is_routed_by_it_and_answered_by_another(product: Product) -> None:
    gateway = product.gateway
    assert isinstance(gateway, WithDecisions)
    gateway.answer = lambda model, query: ModelAnswer(content="Gladly.")
    await select(product, FLASH)
    body = {"model": "auto", "messages": [{"role": "user", "content": "hr question 1"}]}
    answered = (await product.call("POST", "/v1/chat/completions", body)).json()
    assert answered["choices"][0]["message"]["content"] == "Gladly."
    assert answered["edgeneuro"]["agent"]["id"] == "hr"
    assert answered["model"] != FLASH


async def test_a_vendor_whose_first_model_decides_is_a_fallback_of_chats_too(
    product: Product,
) -> None:
    vendor = {"id": "here", "kind": "openai-compatible", "base_url": "https://models.example.com"}
    models = {"models": ["decides", "writes", "last"], "decision_models": ["decides"]}
    created = await product.call("POST", "/v1/providers", {**vendor, **models})
    assert created.status == 201, created.text
    chain = (await product.services.routing.current()).chain
    assert [model.id for model in chain][-2:] == ["here/decides", "here/writes"]
