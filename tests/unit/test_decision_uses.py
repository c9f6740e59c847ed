"""Decision models wherever models decide: evaluations, challengers, audit samples, routing tests,
chats, requests that name the model, keys, the label queue and the analytics."""

import json
from dataclasses import replace
from typing import Any

import pytest

from edgeneuro.gateway.interface import DecisionAnswer, DecisionRequest
from edgeneuro.settings import Settings
from edgeneuro_testing.gateway import ScriptedGateway
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.chats import chat, talks
from tests.unit.classifiers import create_agents, install, known, load, never_sure
from tests.unit.classifiers import select as select_classifier
from tests.unit.conftest import Product, add_agents
from tests.unit.decision_models import CLEF, chose, decision_product
from tests.unit.test_audit_sample import samples
from tests.unit.test_evaluations import (
    ACTIVE,
    OTHER,
    Models,
    evaluate,
    knows,
    label,
    refusal,
    select,
    state,
)
from tests.unit.test_keys import create as create_key
from tests.unit.test_routing_tests import put, run

LLAMA_TEXT = "Thirty days."


class AllModels(Models):
    """Text models that know the answer, and a decision model that knows it too."""

    def __init__(self) -> None:
        super().__init__(knows)

    async def decide(self, request: DecisionRequest, /) -> DecisionAnswer:
        self.decision_requests.append(request)
        right = request.state.split()[0]
        best = "none" if right == "nobody" else right
        others = {"it_support": 0.1, "hr": 0.1, "general": 0.05, "none": 0.05}
        return chose({**others, best: 0.7 + others[best]})


async def both_kinds(database: SqliteDatabase, settings: Settings, active: str) -> Product:
    changed = replace(settings, routing_model=active)
    product = Product(database, changed, gateway=AllModels())
    return await add_agents(product)


@pytest.fixture
async def product(database: SqliteDatabase, settings: Settings) -> Product:
    """A text model is the active one."""
    return await both_kinds(database, settings, ACTIVE)


EASY = {"promotion_min_labels": 30, "promotion_margin": 0.4}


async def test_an_evaluation_measures_it_and_the_check_selects_it(product: Product) -> None:
    await product.call("PATCH", "/v1/config", EASY)
    await label(product, 10)
    found = await evaluate(product, model_ids=[ACTIVE, OTHER, CLEF])
    assert (found["state"], found["prompt_version"]) == ("succeeded", "2 d1"), found
    of_clef = found["results"]["models"][2]
    assert (of_clef["n"], of_clef["right"], of_clef["failed"]) == (30, 30, 0)
    assert of_clef["tokens"] == 30_000
    asked = product.gateway.decision_requests
    assert len(asked) == 30 and {each.cache_key for each in asked} == {None}
    assert {each.metadata["purpose"] for each in asked} == {"evaluation"}
    assert (await select(product, CLEF, check=True)).status == 200
    decision = (await product.route("hr question")).json()
    assert decision["layer"] == "decision_model"


async def test_an_evaluation_of_an_older_question_counts_for_text_models_alone(
    product: Product,
) -> None:
    await product.call("PATCH", "/v1/config", EASY)
    await label(product, 10)
    await evaluate(product, model_ids=[ACTIVE, OTHER, CLEF])
    product.execute("UPDATE evaluations SET prompt_version = '2 d0'")
    assert "no evaluation" in refusal(await select(product, CLEF, check=True))
    assert (await select(product, OTHER, check=True)).status == 200


async def test_an_evaluation_of_text_models_has_the_version_of_the_prompt(
    product: Product,
) -> None:
    await label(product, 2)
    assert (await evaluate(product))["prompt_version"] == "2"
    assert (await evaluate(product, model_ids=[CLEF]))["prompt_version"] == "d1"
    whole = await evaluate(product, model_ids=None, target="pipeline")
    assert whole["prompt_version"] == "2"
    proposed = await evaluate(product, model_ids=["pipeline", CLEF], target="pipeline")
    assert proposed["prompt_version"] == "2 d1"
    assert proposed["results"]["models"][1]["layers"] == {"decision_model": 6}


async def test_as_a_challenger_its_answers_are_compared(product: Product) -> None:
    assert (await select(product, CLEF, challenger=100)).status == 200
    for number in range(6):
        decision = (await product.route(f"hr question {number}", cache=False)).json()
        assert decision["layer"] == "llm"
    found = (await state(product))["challenger"]
    assert (found["compared"], found["agree"], found["outdated"]) == (6, 6, 0)
    stored = product.rows("SELECT DISTINCT prompt_version FROM challenger_answers")
    assert stored == [{"prompt_version": "d1"}]
    assert {each["prompt_version"] for each in await product.logs()} == {"2"}
    product.execute("UPDATE challenger_answers SET prompt_version = 'd0'")
    found = (await state(product))["challenger"]
    assert (found["compared"], found["outdated"]) == (0, 6)


async def test_a_challengers_older_answers_are_of_the_prompt(product: Product) -> None:
    """They were stored without a version, while all models had the prompt."""
    await select(product, OTHER, challenger=100)
    await product.route("hr question 1", cache=False)
    product.execute("UPDATE challenger_answers SET prompt_version = NULL")
    assert (await state(product))["challenger"]["compared"] == 1


async def test_beside_an_active_decision_model_a_text_model_is_the_challenger(
    database: SqliteDatabase, settings: Settings
) -> None:
    product = await both_kinds(database, settings, CLEF)
    await select(product, OTHER, challenger=100)
    await product.route("hr question 1", cache=False)
    found = (await state(product))["challenger"]
    assert (found["compared"], found["agree"]) == (1, 1)


async def test_it_gives_a_second_opinion_on_the_classifier(
    database: SqliteDatabase, settings: Settings
) -> None:
    gateway = ScriptedGateway(chose({"agent_0": 1.0}), chose({"agent_2": 0.8, "none": 0.2}))
    product = Product(database, replace(settings, routing_model=CLEF), gateway=gateway)
    await create_agents(product)
    install(product, "clf_1")
    await select_classifier(product, "clf_1", audit_sample_share=1)
    await load(product)
    decision = (await product.route(known("agent_2"))).json()
    assert decision["layer"] == "classifier"
    [sample] = samples(product)
    assert (sample["layer"], sample["agent_id"]) == ("llm", "agent_2")
    assert (sample["confidence"], sample["agrees"]) == (0.8, 1)


async def test_the_classifiers_opinion_on_its_decisions_is_kept_and_queued(
    database: SqliteDatabase, settings: Settings
) -> None:
    gateway = ScriptedGateway(chose({"agent_0": 1.0}), chose({"agent_1": 0.9, "none": 0.1}))
    product = Product(database, replace(settings, routing_model=CLEF), gateway=gateway)
    await create_agents(product)
    install(product, "clf_unsure", never_sure())
    await select_classifier(product, "clf_unsure")
    await load(product)
    decision = (await product.route(known("agent_2"))).json()
    assert decision["layer"] == "decision_model" and decision["classifier"]["agent_id"] == "agent_2"
    [sample] = samples(product)
    assert (sample["layer"], sample["agrees"]) == ("classifier", 0)
    queue = (await product.call("GET", "/v1/labels/queue")).json()["data"]
    assert "disagreement" in {reason["code"] for reason in queue[0]["reasons"]}


async def test_the_label_queue_knows_its_confidence(
    database: SqliteDatabase, settings: Settings
) -> None:
    product = await decision_product(database, settings)
    shares = {"it_support": 0.4, "hr": 0.3, "general": 0.2, "none": 0.1}
    product.gateway.enqueue(chose(shares))
    await product.route("Something unclear")
    [item] = (await product.call("GET", "/v1/labels/queue")).json()["data"]
    assert "low_confidence" in {reason["code"] for reason in item["reasons"]}


async def test_a_routing_test_tries_it(product: Product) -> None:
    assert (await put(product, [{"query": "hr question 1", "expect": "hr"}])).status == 200
    found = await run(product, model_id=CLEF)
    assert (found["passed"], found["prompt_version"]) == (True, "2 d1"), found
    assert {each.metadata["purpose"] for each in product.gateway.decision_requests} == {
        "evaluation"
    }


async def test_a_chat_is_routed_by_it(database: SqliteDatabase, settings: Settings) -> None:
    product = await decision_product(database, settings, fallbacks=(OTHER,))
    product.gateway.enqueue(
        chose({"hr": 0.9, "it_support": 0.05, "general": 0.03, "none": 0.02}), talks(LLAMA_TEXT)
    )
    answered = await chat(product, "auto", edgeneuro={"explain": True})
    assert answered.status == 200, answered.text
    body = answered.json()
    assert body["choices"][0]["message"]["content"] == LLAMA_TEXT
    facts = body["edgeneuro"]
    assert (facts["layer"], facts["agent"]["id"], facts["confidence"]) == (
        "decision_model",
        "hr",
        0.9,
    )
    assert facts["explanation"]["questions"]["agent"]["type"] == "choice"
    [row] = await product.logs()
    assert (row["layer"], row["confidence_source"], row["prompt_version"]) == (
        "decision_model",
        "decision_model",
        "d1",
    )
    record = (await product.call("GET", f"/v1/logs/{row['id']}")).json()
    assert record["stages"][-1]["several_probability"] == 0.1
    assert record["messages"] is None and record["state"] == "How many days of leave?"


async def test_a_request_may_name_it(product: Product) -> None:
    decision = (await product.route("hr question", model=CLEF)).json()
    assert (decision["layer"], decision["model"]) == ("decision_model", CLEF)
    record = (await product.call("GET", f"/v1/logs/{decision['id']}")).json()
    assert record["prompt_version"] == "d1" and record["questions"] is not None


async def test_a_key_with_a_budget_pays_for_its_tokens(product: Product) -> None:
    key = await create_key(product, scopes=["route"], monthly_token_budget=10_000)
    sent = {"query": "hr question", "model": CLEF, "fallback": False}
    answered = await product.call("POST", "/v1/route", sent, key=key["key"])
    assert answered.status == 200, answered.text
    [used] = product.rows("SELECT tokens FROM key_usage")
    assert used["tokens"] == 1_000
    small = await create_key(product, scopes=["route"], monthly_token_budget=100)
    refused = await product.call("POST", "/v1/route", sent, key=small["key"])
    assert (refused.status, refused.json()["error"]["code"]) == (429, "key_token_budget_exceeded")


async def test_the_analytics_count_its_layer(database: SqliteDatabase, settings: Settings) -> None:
    product = await decision_product(database, settings)
    product.gateway.enqueue(chose({"hr": 0.9, "it_support": 0.1, "general": 0.0, "none": 0.0}))
    await product.route("hr question")
    product.clock.seconds += 60
    found = (await product.call("GET", "/v1/analytics?group_by=layer")).json()
    groups: dict[str, Any] = {each["key"]: each for each in found["groups"]}
    assert groups["decision_model"]["requests"] == 1
    assert found["totals"]["answered_without_model"] == 0, json.dumps(found["totals"])
    text = (await product.call("GET", "/metrics")).text
    assert 'edgeneuro_answers_total{layer="decision_model",reason=""} 1' in text
