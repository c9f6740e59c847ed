"""Audit samples: the model's opinion on a sample of the classifier's decisions, the classifier's on
the model's answers, and what both are used for."""

from typing import Any

import pytest

from edgeneuro.domain.decision import Usage
from edgeneuro.errors import UpstreamCapacityError
from edgeneuro.gateway.interface import ModelAnswer
from edgeneuro.synapsecore.sampling import sampled
from tests.unit.classifiers import create_agents, install, known, load, never_sure, select
from tests.unit.conftest import Product, says
from tests.unit.invocations import run_maintenance


@pytest.fixture
async def product(empty_product: Product) -> Product:
    empty_product.gateway.enqueue(says("agent_0"))
    await create_agents(empty_product)
    install(empty_product, "clf_1")
    install(empty_product, "clf_unsure", never_sure())
    await select(empty_product, "clf_1", audit_sample_share=1)
    await load(empty_product)
    empty_product.gateway.requests.clear()
    return empty_product


def samples(product: Product) -> list[dict[str, Any]]:
    return product.rows("SELECT * FROM audit_samples ORDER BY log_id")


async def unsure(product: Product) -> None:
    """From now on the model answers."""
    product.gateway.enqueue(says("agent_0"))
    await select(product, "clf_unsure", audit_sample_share=0)
    await product.route("warm up again")
    product.gateway.requests.clear()
    product.execute("DELETE FROM audit_samples")


def test_the_sample_is_a_share_that_the_decisions_name_alone_draws() -> None:
    names = [f"dec_{number:08}" for number in range(20_000)]
    drawn = [name for name in names if sampled(name, 0.02)]
    assert 320 < len(drawn) < 480
    assert drawn == [name for name in names if sampled(name, 0.02)]
    assert set(drawn) < {name for name in names if sampled(name, 0.1)}
    assert not any(sampled(name, 0) for name in names)
    assert all(sampled(name, 1) for name in names)


async def test_the_model_looks_at_a_sampled_answer_of_the_classifier(product: Product) -> None:
    product.gateway.enqueue(says("agent_2", 0.8))
    decision = (await product.route(known("agent_2"))).json()
    assert (decision["layer"], decision["attempts"]) == ("classifier", [])
    [request] = product.gateway.requests
    assert request.metadata["purpose"] == "audit_sample"
    assert request.metadata["decision_id"] == decision["id"]
    [sample] = samples(product)
    assert sample == {
        "log_id": decision["id"],
        "created_at": 1_800_000_000_000,
        "layer": "llm",
        "agent_id": "agent_2",
        "confidence": 0.8,
        "agrees": 1,
    }


async def test_nothing_is_asked_outside_the_sample(product: Product) -> None:
    await select(product, "clf_1", audit_sample_share=0)
    await product.route(known("agent_2"))
    assert product.gateway.requests == [] and samples(product) == []


async def test_the_model_is_asked_once_and_its_failure_reaches_no_caller(product: Product) -> None:
    product.gateway.enqueue(UpstreamCapacityError("full"))
    assert (await product.route(known("agent_2"))).status == 200
    assert len(product.gateway.requests) == 1
    assert samples(product) == []


async def test_a_sample_that_cannot_be_written_is_counted(product: Product) -> None:
    product.gateway.enqueue(says("agent_2"))
    product.execute("DROP TABLE audit_samples")
    assert (await product.route(known("agent_2"))).status == 200
    assert product.failures.counts["audit_sample_write"] == 1


async def test_the_metrics_count_what_it_costs_and_the_answer_does_not(product: Product) -> None:
    usage = Usage(prompt_tokens=70_000, completion_tokens=7, total_tokens=70_007)
    content = {"agent": "agent_2", "confidence": 0.9}
    product.gateway.enqueue(ModelAnswer(content=content, usage=usage))
    await product.route(known("agent_2"))
    row = (await product.logs())[0]
    assert (row["usage"]["total_tokens"], row["cost_usd"], row["attempts"]) == (0, 0, [])
    text = (await product.call("GET", "/metrics")).text
    assert 'edgeneuro_tokens_total{kind="prompt"} 70000' in text


@pytest.mark.parametrize(
    ("limits", "asked"),
    [
        ({"monthly_budget_usd": 10.0}, 0),
        ({"monthly_token_budget": 10_000_000}, 0),
        ({"requests_per_minute": 100}, 1),
    ],
)
async def test_a_key_with_a_budget_has_no_samples(
    product: Product, limits: dict[str, Any], asked: int
) -> None:
    product.gateway.enqueue(says("agent_2"))
    body = {"name": "k", "scopes": ["route"], **limits}
    made = (await product.call("POST", "/v1/keys", body)).json()
    sent = {"query": known("agent_2")}
    answered = await product.call("POST", "/v1/route", sent, key=made["key"])
    assert answered.json()["layer"] == "classifier"
    assert len(product.gateway.requests) == len(samples(product)) == asked


async def test_an_answer_of_the_model_is_compared_where_they_differ(product: Product) -> None:
    await unsure(product)
    product.gateway.enqueue(says("agent_1"), says("agent_2"), says("none"))
    differs = (await product.route(known("agent_2", 1))).json()["id"]
    await product.route(known("agent_2", 2))
    none = (await product.route(known("agent_2", 3))).json()["id"]
    assert len(product.gateway.requests) == 3
    rows = [(row["log_id"], row["layer"], row["agent_id"]) for row in samples(product)]
    assert rows == [(differs, "classifier", "agent_2"), (none, "classifier", "agent_2")]
    assert {row["agrees"] for row in samples(product)} == {0}


async def test_a_sample_of_those_that_agree_is_kept_too(product: Product) -> None:
    await unsure(product)
    await select(product, "clf_unsure", audit_sample_share=1)
    product.gateway.enqueue(says("agent_2"))
    await product.route(known("agent_2", 1))
    assert [(row["layer"], row["agrees"]) for row in samples(product)] == [("classifier", 1)]


async def test_who_leans_to_no_agent_is_not_compared(product: Product) -> None:
    product.gateway.enqueue(says("agent_1"))
    decision = (await product.route("what else is there")).json()
    assert decision["classifier"]["score"] < 0.5
    assert samples(product) == []


async def test_differences_are_sampled_up_to_a_bound(product: Product) -> None:
    budget = product.services.differing_samples
    while budget.take():
        pass
    product.gateway.enqueue(says("agent_1"), says("agent_1"))
    await select(product, "clf_1", confidence_threshold=1.0, audit_sample_share=0)
    await product.route(known("agent_2", 1))
    assert samples(product) == []
    product.clock.seconds += 60
    await product.route(known("agent_2", 2))
    assert len(samples(product)) == 1


async def test_a_difference_puts_the_question_at_the_head_of_the_queue(product: Product) -> None:
    product.gateway.enqueue(says("agent_0"), says("agent_2"))
    await product.route(known("agent_2", 1))
    await product.route(known("agent_2", 2))
    queue = (await product.call("GET", "/v1/labels/queue")).json()["data"]
    assert queue[0]["query"] == known("agent_2", 1)
    texts = {reason["code"]: reason["text"] for reason in queue[0]["reasons"]}
    assert texts["disagreement"] == (
        "it was answered with agent_2; the layer that did not answer chose agent_0"
    )
    assert "disagreement" not in {reason["code"] for reason in queue[1]["reasons"]}


async def test_samples_are_deleted_with_their_log_rows(product: Product) -> None:
    product.gateway.enqueue(says("agent_0"))
    await product.route(known("agent_2", 1))
    await product.call("PATCH", "/v1/config", {"retention_days": 1})
    product.clock.seconds += 2 * 86_400
    await run_maintenance(product.services)
    assert samples(product) == []
