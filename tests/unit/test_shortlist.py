"""A shorter question: the model is offered the classifier's best agents first, and all of them if
none of these fits."""

import json
import random
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from edgeneuro.classifier.model import Model
from edgeneuro.classifier.shortlist import MAX_EXAMPLES
from edgeneuro.domain.classifier import ShortlistReport
from edgeneuro.domain.query import query_hash
from edgeneuro.domain.question import Choice
from edgeneuro.errors import UpstreamTimeoutError
from edgeneuro.store.classifier_examples import write_examples
from tests.unit.classifiers import create_agents, install, load, select
from tests.unit.conftest import Product, says
from tests.unit.decision_models import CLEF, chose
from tests.unit.synthetic_labels import labels, question, trained
from tests.unit.trainings import train

COUNT, BEST = 40, 20
AGENTS = tuple(sorted(f"agent_{number}" for number in range(COUNT)))
NEW = f"agent_{COUNT - 1}"  # it has no labels
REPORT = ShortlistReport(
    agents=BEST,
    recalls=[],
    held_out=1_000,
    basis="human labels",
    always=[],
    known=[agent for agent in AGENTS if agent != NEW],
)
TARGET = "agent_7"


@cache
def learned() -> Model:
    """It ranks the agents, and is never sure."""
    model = trained(labels(COUNT - 1, 8)).model()
    thresholds = (None,) * (COUNT - 1)
    return replace(model, calibration=replace(model.calibration, thresholds=thresholds))


async def test_a_training_says_how_many_agents_hold_the_right_one(empty_product: Product) -> None:
    """And which labels stand as examples."""
    product, each = empty_product, 7
    agents = AGENTS[:31]  # more than are ever offered in a shorter question
    await create_agents(product, agents)
    lines = [{"query": asks_for(agent, i), "agent": agent} for agent in agents for i in range(each)]
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    assert (await product.call("POST", "/v1/datasets/import", body)).status == 200
    made = await train(product)
    assert made["state"] == "succeeded", made["error"]
    report = made["shortlist"]
    assert report["agents"] in (20, 25, 30)
    assert (report["basis"], report["known"]) == ("all labels", list(agents))
    assert [each["agents"] for each in report["recalls"]] == [20, 25, 30]
    assert report["recalls"][-1]["recall"] >= report["recalls"][-1]["low"] >= 0.985
    assert made["metrics"]["recall_30_low"] == report["recalls"][-1]["low"]
    shown = product.rows("SELECT agent_id, count(*) AS n FROM classifier_examples GROUP BY 1")
    assert [row["agent_id"] for row in shown] == list(agents)
    assert all(0 < row["n"] <= MAX_EXAMPLES for row in shown)


def asks_for(agent: str, number: int = 1) -> str:
    return question(random.Random(number), agent)


@pytest.fixture
async def product(empty_product: Product) -> Product:
    return await set_up(empty_product)


async def set_up(product: Product, report: ShortlistReport | None = REPORT, **more: Any) -> Product:
    await create_agents(product, AGENTS)
    install(product, "clf_1", learned(), agents=AGENTS, shortlist=report)
    await select(product, "clf_1", **more)
    product.gateway.enqueue(says("agent_0"))
    await load(product)
    product.gateway.requests.clear()
    return product


def offered(product: Product, place: int = -1) -> list[str]:
    """The agents in the prompt of a request to the model."""
    content = product.gateway.requests[place].messages[0]["content"]
    return [line[2:].split(":")[0] for line in content.splitlines() if line.startswith("- ")]


def stages(decision: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["outcome"] for each in decision["explanation"]["stages"]}


async def route(product: Product, query: str, **fields: Any) -> dict[str, Any]:
    answered = await product.route(query, explain=True, **fields)
    assert answered.status == 200, answered.text
    decision: dict[str, Any] = answered.json()
    return decision


async def test_the_best_agents_are_offered(product: Product) -> None:
    product.gateway.enqueue(says(TARGET))
    decision = await route(product, asks_for(TARGET))
    assert (decision["agent"]["id"], decision["layer"]) == (TARGET, "llm")
    shown = offered(product)
    # The best 20, the fallback agent, and the one that the classifier does not know.
    assert TARGET in shown
    assert {"agent_0", NEW} < set(shown)
    assert BEST <= len(shown) <= BEST + 2
    assert shown == [agent for agent in AGENTS if agent in shown]
    stage = next(s for s in decision["explanation"]["stages"] if s["name"] == "shortlist")
    assert (stage["outcome"], stage["offered"]) == ("decided", shown)
    assert "model" not in stages(decision)
    messages = decision["explanation"]["messages"]
    assert messages == product.gateway.requests[0].messages
    row = (await product.call("GET", f"/v1/logs/{decision['id']}")).json()
    assert row["stages"][-1]["offered"] == shown
    assert row["messages"] is None  # its examples are not stored


async def test_if_none_fits_all_are_offered_once(product: Product) -> None:
    product.gateway.enqueue(says("none"), says(NEW))
    decision = await route(product, asks_for(TARGET))
    assert decision["agent"]["id"] == NEW
    assert len(offered(product, 0)) < COUNT
    assert offered(product, 1) == list(AGENTS)
    found = stages(decision)
    assert (found["shortlist"], found["model"]) == ("ranked", "decided")
    assert len(decision["attempts"]) == 2
    reasons = {each["name"]: each["reason"] for each in decision["explanation"]["stages"]}
    assert "so all are offered" in reasons["shortlist"]
    # Both questions count.
    product.gateway.enqueue(says("none"), says("none"))
    nobody = await route(product, asks_for("nobody"))
    assert (nobody["reason"], len(product.gateway.requests)) == ("out_of_scope", 4)


async def test_an_answer_that_is_not_confident_is_not_final(product: Product) -> None:
    product.gateway.enqueue(says(TARGET, 0.2), says(TARGET, 0.8))
    decision = await route(product, asks_for(TARGET))
    assert (decision["agent"]["id"], decision["confidence"]) == (TARGET, 0.8)
    assert len(offered(product)) == COUNT


async def test_a_model_that_fails_is_not_asked_twice(product: Product) -> None:
    timeout = UpstreamTimeoutError("Too slow.")
    product.gateway.enqueue(timeout, timeout)
    decision = await route(product, asks_for(TARGET))
    assert (decision["reason"], len(product.gateway.requests)) == ("timeout", 2)
    assert "model" not in stages(decision)


async def test_both_questions_share_the_time_budget(product: Product) -> None:
    clock, gateway = product.clock, product.gateway
    ask = gateway.run

    async def slow(request: Any, /) -> Any:
        clock.seconds += 2
        return await ask(request)

    gateway.run = slow  # type: ignore[method-assign]
    gateway.enqueue(says("none"), says(TARGET))
    assert (await route(product, asks_for(TARGET)))["agent"]["id"] == TARGET
    first, second = (request.timeout_ms for request in gateway.requests)
    assert second <= first - 2_000 * 0.6
    # What is left for all agents is too little, so that none of the best fits is the decision.
    await product.call("PATCH", "/v1/config", {"time_budget_ms": 2_100})
    gateway.enqueue(says("none"))
    decision = await route(product, asks_for("nobody", 5))
    assert (decision["reason"], len(decision["attempts"])) == ("out_of_scope", 1)


@pytest.mark.parametrize(
    "fields",
    [{"cache": False}, {"model": "@cf/meta/llama-3.2-1b-instruct"}],
    ids=["cache", "model"],
)
async def test_who_wants_the_models_own_decision_gets_it(
    product: Product, fields: dict[str, Any]
) -> None:
    product.gateway.enqueue(says(TARGET))
    await route(product, asks_for(TARGET), **fields)
    assert offered(product) == list(AGENTS)


async def test_few_allowed_agents_are_all_offered(product: Product) -> None:
    product.gateway.enqueue(says(TARGET))
    await route(product, asks_for(TARGET), candidates=list(AGENTS[:30]))
    assert offered(product) == list(AGENTS[:30])


@pytest.mark.parametrize(
    "report", [None, REPORT.model_copy(update={"agents": None, "reason": "too few"})]
)
async def test_without_a_measured_recall_all_are_offered(
    empty_product: Product, report: ShortlistReport | None
) -> None:
    product = await set_up(empty_product, report)
    product.gateway.enqueue(says(TARGET))
    await route(product, asks_for(TARGET))
    assert offered(product) == list(AGENTS)


async def test_the_setting_turns_it_off(product: Product) -> None:
    await product.call("PATCH", "/v1/config", {"model_shortlist": "off"})
    product.gateway.enqueue(says(TARGET))
    await route(product, asks_for(TARGET))
    assert offered(product) == list(AGENTS)


async def test_the_agent_before_is_offered(product: Product) -> None:
    product.gateway.enqueue(says("agent_30"), says(TARGET))
    await route(product, asks_for(TARGET))
    absent = next(agent for agent in AGENTS if agent not in offered(product))
    context = {"previous_agent": absent, "previous_user": "Hello", "previous_assistant": "Hi"}
    await product.call("PATCH", "/v1/config", {"confidence_threshold": 0.999})
    await route(product, asks_for(TARGET), context=context)
    assert absent in offered(product)


async def test_a_decision_is_cached_under_what_may_be_asked(product: Product) -> None:
    product.gateway.enqueue(says(TARGET), says(TARGET))
    await route(product, asks_for(TARGET), cache=False)
    first = await route(product, asks_for(TARGET))
    again = await route(product, asks_for(TARGET))
    assert (again["layer"], again["agent"]["id"]) == ("cache", TARGET)
    assert again["explanation"]["cache_key"] == first["explanation"]["cache_key"]
    other = Product(product.database, product.services.settings, clock=product.clock)
    other.gateway.enqueue(says(TARGET))
    await route(other, asks_for(TARGET))  # nothing is loaded yet: all are offered
    assert len(offered(other)) == COUNT
    assert (await route(other, asks_for(TARGET)))["layer"] == "cache"
    await product.call("PATCH", "/v1/config", {"model_shortlist": "off"})
    product.gateway.enqueue(says(TARGET))
    off = await route(product, asks_for(TARGET))
    assert off["explanation"]["cache_key"] != first["explanation"]["cache_key"]


async def test_the_keys_at_ai_gateway_differ_with_what_is_sent(product: Product) -> None:
    product.gateway.enqueue(says("none"), says(TARGET))
    await route(product, asks_for(TARGET))
    first, second = (request.cache_key for request in product.gateway.requests)
    assert first is not None
    assert first != second


async def test_a_sample_is_offered_all_and_says_what_was_missed(empty_product: Product) -> None:
    product = await set_up(empty_product, audit_sample_share=1.0)
    product.gateway.enqueue(says(TARGET))
    await route(product, asks_for(TARGET))
    assert offered(product) == list(AGENTS)
    text = (await product.call("GET", "/metrics")).text
    assert 'edgeneuro_shortlist_checks_total{kind="sample",held="yes"} 1' in text


async def test_a_decision_that_was_left_open_is_counted(product: Product) -> None:
    product.gateway.enqueue(says("none"), says(TARGET))
    await route(product, asks_for(TARGET))
    text = (await product.call("GET", "/metrics")).text
    assert 'edgeneuro_shortlist_checks_total{kind="left_open",held="yes"} 1' in text


async def put_labels(product: Product, *texts: str) -> None:
    body = [{"query": text, "agent_id": TARGET} for text in texts]
    assert (await product.call("POST", "/v1/labels", body)).status == 200
    chosen = {TARGET: [query_hash(text) for text in texts]}
    await product.database.run(write_examples("clf_1", chosen))


async def examples_of(product: Product, agent: str) -> list[str]:
    """Beside the agent, in the next shorter question."""
    number = len(product.gateway.requests)
    for _ in range(2):  # the first one reads them, behind its answer
        product.gateway.enqueue(says(TARGET))
        product.clock.seconds += 10
        number += 1
        await route(product, f"{asks_for(TARGET)} {number}")
    lines = product.gateway.requests[-1].messages[0]["content"].splitlines()
    at = next(index for index, line in enumerate(lines) if line.startswith(f"- {agent}:"))
    found = lines[at + 1]
    return json.loads(f"[{found.strip()[5:].replace('; ', ', ')}]") if "e.g." in found else []


async def test_the_nearest_labeled_queries_stand_beside_their_agent(product: Product) -> None:
    near = [f"{asks_for(TARGET)} {word}" for word in ("today", "soon")]
    far = ["the moon", "a wall", "twelve o'clock"]
    await put_labels(product, *far, *near)
    found = await examples_of(product, TARGET)
    assert len(found) == 3
    assert set(near) < set(found)


async def test_an_erased_or_corrected_label_stands_nowhere(product: Product) -> None:
    near = [f"{asks_for(TARGET)} {word}" for word in ("today", "soon")]
    await put_labels(product, *near)
    assert set(await examples_of(product, TARGET)) == set(near)
    erased = await product.call("DELETE", f"/v1/labels/{query_hash(near[0])}")
    assert erased.status in (200, 202), erased.text
    assert await examples_of(product, TARGET) == [near[1]]
    rows = product.rows("SELECT query_hash FROM classifier_examples")
    assert [row["query_hash"] for row in rows] == [query_hash(near[1])]
    body = [{"query": near[1], "agent_id": "agent_0"}]
    await product.call("POST", "/v1/labels", body)
    assert await examples_of(product, TARGET) == []


@pytest.mark.parametrize("storage", [{"redact_personal_data": True}, {"log_queries": False}])
async def test_texts_that_may_not_be_stored_are_not_shown(
    product: Product, storage: dict[str, Any]
) -> None:
    await put_labels(product, f"{asks_for(TARGET)} today")
    await product.call("PATCH", "/v1/config", storage)
    assert await examples_of(product, TARGET) == []


async def test_a_challenger_gets_the_same_question(product: Product) -> None:
    body = {"model_id": "@cf/ibm-granite/granite-4.0-h-micro", "challenger": 100}
    selected = await product.call("POST", "/v1/models/select", body)
    assert selected.status == 200, selected.text
    product.gateway.enqueue(says(TARGET), says(TARGET))
    await product.route(asks_for(TARGET))
    assert offered(product, 0) == offered(product, 1)


async def test_savings_count_a_shorter_question_as_a_models_decision(product: Product) -> None:
    product.gateway.enqueue(says(TARGET))
    await route(product, asks_for(TARGET))
    product.clock.seconds += 1
    savings = (await product.call("GET", "/v1/analytics")).json()["savings"]
    assert (savings["calls"], savings["compared_with"]["decisions"]) == (0, 2)  # with the warm-up


async def test_a_decision_model_chooses_among_them(empty_product: Product) -> None:
    product = await set_up(empty_product)
    await product.call("POST", "/v1/models/select", {"model_id": CLEF})
    product.gateway.enqueue(chose({TARGET: 0.9, "none": 0.1}))
    decision = await route(product, asks_for(TARGET))
    assert (decision["agent"]["id"], decision["layer"]) == (TARGET, "decision_model")
    stage = next(s for s in decision["explanation"]["stages"] if s["name"] == "shortlist")
    question = product.gateway.decision_requests[-1].questions["agent"]
    assert isinstance(question, Choice)
    assert list(question.options) == [*stage["offered"], "none"]
    assert stage["agents_left_out"] == COUNT - len(stage["offered"])
    # "none" is an answer of its own: then all are offered.
    product.gateway.enqueue(chose({TARGET: 0.3, "none": 0.7}), chose({NEW: 0.8, "none": 0.2}))
    decision = await route(product, asks_for(TARGET, 2))
    assert (decision["agent"]["id"], len(decision["attempts"])) == (NEW, 2)
    question = product.gateway.decision_requests[-1].questions["agent"]
    assert isinstance(question, Choice)
    assert len(question.options) == COUNT + 1


async def test_an_audit_sample_asks_all_agents(empty_product: Product) -> None:
    sure = replace(learned().calibration, thresholds=(0.0,) * (COUNT - 1))
    await create_agents(empty_product, AGENTS)
    model = replace(learned(), calibration=sure)
    install(empty_product, "clf_1", model, agents=AGENTS, shortlist=REPORT)
    await select(empty_product, "clf_1", audit_sample_share=1.0, confidence_threshold=0.0)
    empty_product.gateway.enqueue(says("agent_0"))
    await load(empty_product)
    empty_product.gateway.enqueue(says(TARGET))
    known = next(one.query for one in labels(COUNT - 1, 8) if one.agent_id == TARGET)
    decision = await route(empty_product, known)
    assert (decision["layer"], decision["agent"]["id"]) == ("classifier", TARGET)
    assert offered(empty_product) == list(AGENTS)
    [sample] = empty_product.rows("SELECT agent_id, layer FROM audit_samples")
    assert (sample["agent_id"], sample["layer"]) == (TARGET, "llm")


async def test_an_adapter_reads_the_question_that_it_was_trained_on(product: Product) -> None:
    await product.call(
        "POST", "/v1/models/select", {"model_id": "intent-routing-v1", "check": False}
    )
    product.gateway.enqueue(says(TARGET))
    await route(product, asks_for(TARGET))
    assert product.gateway.requests[-1].adapter is not None
    assert offered(product) == list(AGENTS)


async def test_a_key_reserves_both_questions(product: Product) -> None:
    made = await product.call(
        "POST",
        "/v1/keys",
        {"name": "k", "scopes": ["route"], "monthly_token_budget": 1_000_000},
    )
    key = made.json()["key"]

    async def reserved() -> int:
        """While the model is asked."""
        used = "SELECT coalesce(sum(tokens), 0) AS tokens FROM key_usage"
        before = product.rows(used)[0]["tokens"]
        found: list[int] = []
        ask = product.gateway.run

        async def looking(request: Any, /) -> Any:
            found.append(product.rows(used)[0]["tokens"] - before)
            return await ask(request)

        product.gateway.run = looking  # type: ignore[method-assign]
        product.gateway.enqueue(says(TARGET))
        number = len(product.gateway.requests)
        body = {"query": f"{asks_for(TARGET)} {number}"}
        assert (await product.call("POST", "/v1/route", body, key=key)).status == 200
        product.gateway.run = ask  # type: ignore[method-assign]
        return found[0]

    shorter = await reserved()
    await product.call("PATCH", "/v1/config", {"model_shortlist": "off"})
    whole = await reserved()
    assert 1.9 * whole < shorter < 2.1 * whole
