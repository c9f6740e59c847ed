"""Classifiers of several routers: each router has its own, trained on its agents."""

from typing import Any

import pytest

from edgeneuro.isolate.classifier_cache import MAX_LOADED
from edgeneuro.store.classifiers import newest_model
from tests.unit.classifiers import AGENTS, create_agents, install, known, load, never_sure, select
from tests.unit.conftest import Product, says
from tests.unit.test_classifier_jobs import queue
from tests.unit.test_routers import create, message, refused
from tests.unit.trainings import import_labels, shown, train
from tests.unit.trainings import minute as cron_minute


@pytest.fixture
async def routed(empty_product: Product) -> Product:
    """Three agents, and a classifier that knows them, selected and loaded."""
    product = empty_product
    product.gateway.enqueue(*[says("agent_0")] * 30)
    await create_agents(product)
    install(product, "clf_1")
    await select(product, "clf_1")
    await load(product)
    return product


async def decide(product: Product, agent: str, router: str, number: int = 0) -> dict[str, Any]:
    answered = await product.route(known(agent, number), router=router, explain=True)
    assert answered.status == 200, answered.text
    decision: dict[str, Any] = answered.json()
    return decision


def loads(product: Product) -> list[str]:
    return [each.id for each in product.services.classifier.loaded]


# the way of a query


async def test_the_installations_classifier_answers_for_a_routers_agents(routed: Product) -> None:
    await create(routed, "few", agents=["agent_0", "agent_1"])
    assert (await decide(routed, "agent_1", "few"))["layer"] == "classifier"
    outside = await decide(routed, "agent_2", "few")
    assert (outside["layer"], outside["classifier"]["sure"]) == ("llm", False)
    assert outside["classifier"]["agent_id"] in ("agent_0", "agent_1")


async def test_a_router_may_have_no_classifier(routed: Product) -> None:
    await create(routed, "few", classifier="none")
    decision = await decide(routed, "agent_1", "few")
    assert (decision["layer"], decision["classifier"]) == ("llm", None)
    assert decision["explanation"]["classifier"] == "not asked: none is selected"
    assert (await decide(routed, "agent_1", "default"))["layer"] == "classifier"


async def test_routers_with_classifiers_of_their_own_do_not_evict_each_other(
    routed: Product,
) -> None:
    install(routed, "clf_2", never_sure())
    await create(routed, "careful", classifier="clf_2")
    await decide(routed, "agent_1", "careful")  # starts the load
    for number in range(3):
        assert (await decide(routed, "agent_1", "careful", number))["layer"] != "classifier"
        assert (await decide(routed, "agent_1", "default", number))["layer"] == "classifier"
    assert sorted(loads(routed)) == ["clf_1", "clf_2"]


async def test_so_many_classifiers_are_kept_in_memory(routed: Product) -> None:
    for number in range(MAX_LOADED + 2):
        install(routed, f"clf_r{number}", never_sure())
        await create(routed, f"r{number}", classifier=f"clf_r{number}")
        await decide(routed, "agent_1", f"r{number}")
    assert loads(routed) == [f"clf_r{number}" for number in range(2, MAX_LOADED + 2)]
    # One that was evicted is loaded again, not more often than every 30 s.
    assert (await decide(routed, "agent_1", "default", 1))["classifier"] is None
    assert "clf_1" not in loads(routed)
    routed.clock.seconds += 31
    await decide(routed, "agent_1", "default", 2)
    assert (await decide(routed, "agent_1", "default", 3))["layer"] == "classifier"


async def test_a_deselected_classifier_leaves_the_memory(routed: Product) -> None:
    install(routed, "clf_2", never_sure())
    await create(routed, "careful", classifier="clf_2")
    await decide(routed, "agent_1", "careful")
    await decide(routed, "agent_1", "careful", 1)
    await routed.call("PATCH", "/v1/routers/careful", {"classifier": None})
    assert (await decide(routed, "agent_1", "careful", 2))["layer"] == "classifier"
    assert loads(routed) == ["clf_1"]


async def test_a_threshold_of_a_router_holds_for_the_classifier(routed: Product) -> None:
    await create(routed, "careful", confidence_threshold=1)
    decision = await decide(routed, "agent_1", "careful")
    assert (decision["outcome"], decision["classifier"]["sure"]) == ("fallback", False)
    assert (await decide(routed, "agent_1", "careful"))["cache"] == "hit"
    # What was cached after the doubt of another threshold does not hide the classifier.
    assert (await decide(routed, "agent_1", "default"))["layer"] == "classifier"


async def test_a_router_gets_other_agents_and_its_classifier_serves_these(routed: Product) -> None:
    install(routed, "clf_few", agents=AGENTS[:2])
    await create(routed, "few", agents=["agent_0", "agent_1"], classifier="clf_few")
    await decide(routed, "agent_1", "few")
    assert (await decide(routed, "agent_1", "few", 1))["layer"] == "classifier"
    listed = {
        each["id"]: each for each in (await routed.call("GET", "/v1/classifiers")).json()["data"]
    }
    few = listed["clf_few"]
    assert (few["active"], few["selected_in"], few["agents_joined"]) == (False, ["few"], [])
    assert listed["clf_1"]["selected_in"] == ["default"]
    await routed.call("PATCH", "/v1/routers/few", {"agents": ["agent_1", "agent_2"]})
    few = await shown(routed, "clf_few")
    assert (few["suspended"], few["agents_joined"]) == (None, ["agent_2"])
    assert (await shown(routed, "clf_1"))["agents_joined"] == []
    gone = await decide(routed, "agent_0", "few", 2)
    assert gone["layer"] != "classifier" and not gone["classifier"]["sure"]
    assert (await decide(routed, "agent_1", "few", 3))["layer"] == "classifier"
    assert (await decide(routed, "agent_0", "default", 3))["layer"] == "classifier"


async def test_a_selected_classifier_cannot_be_deleted(routed: Product) -> None:
    install(routed, "clf_2")
    await create(routed, "few", classifier="clf_2")
    answered = await routed.call("DELETE", "/v1/classifiers/clf_2")
    assert refused(answered)[:2] == (409, "classifier_selected")
    await routed.call("PATCH", "/v1/routers/few", {"classifier": None})
    assert (await routed.call("DELETE", "/v1/classifiers/clf_2")).status == 200


# trainings


async def test_a_training_for_a_router_knows_its_agents_alone(product: Product) -> None:
    await create(product, "people", agents=["hr", "general"])
    await import_labels(product)
    made = await train(product, router="people")
    assert made["state"] == "succeeded", made["error"]
    assert (made["agents"], made["options"]["router"]) == (["general", "hr"], "people")
    assert made["progress"]["left_out"]["agent_not_enabled"] > 0
    tested = {each["agent_id"] for each in made["test_score"]["agents"]}
    assert tested == {"general", "hr", None}
    assert (made["suspended"], made["active"], made["selected_in"]) == (None, False, [])
    product.services.routing.forget()
    model = (await product.call("GET", f"/v1/models/{made['id']}")).json()
    assert (model["router"], model["suspended"]) == ("people", None)
    # The label queue is ordered by trainings on all agents.
    assert await newest_model(product.services.db) is None
    await product.call("DELETE", "/v1/routers/people")
    assert (await shown(product, made["id"]))["suspended"] == "its router 'people' was deleted"


async def test_a_training_for_a_router_does_not_delay_the_retraining(product: Product) -> None:
    await create(product, "people", agents=["hr", "general"])
    await import_labels(product)
    await train(product, router="people")
    settings = {"retrain_after_labels": 10, "classifier_target": 0.9}
    assert (await product.call("PATCH", "/v1/config", settings)).status == 200
    await cron_minute(product)
    page = (await product.call("GET", "/v1/classifiers")).json()
    newest = page["data"][0]
    assert (newest["created_by"], newest["options"]["router"]) == ("rule", None)


async def test_a_training_for_an_unknown_router_is_refused(product: Product) -> None:
    answered = await product.call("POST", "/v1/classifiers", {"router": "nobody"})
    assert refused(answered) == (400, "unknown_router", "router")
    assert "GET /v1/routers" in message(answered)


async def test_a_training_whose_router_was_deleted_fails_and_says_so(product: Product) -> None:
    await import_labels(product)
    classifier_id = queue(product)
    options = '{"target": 0.9, "min_labels": 5, "seed": 0, "router": "gone"}'
    product.execute(f"UPDATE classifiers SET options = '{options}'")
    for _ in range(5):
        await cron_minute(product)
        product.clock.seconds += 60
    made = await shown(product, classifier_id)
    assert made["state"] == "failed"
    assert "the router 'gone' was deleted" in made["error"]
