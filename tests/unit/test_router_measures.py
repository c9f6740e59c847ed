"""What measures decisions, where there are several routers: evaluations and drift."""

import pytest

from edgeneuro.settings import Settings
from edgeneuro.store.usage import add_new_logs
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.classifiers import create_agents, install, known, load, select
from tests.unit.conftest import Product, says
from tests.unit.test_evaluations import ACTIVE, begin, ended, evaluate, made, shown
from tests.unit.test_evaluations import label as label_questions
from tests.unit.test_routers import create, message, refused


@pytest.fixture
async def evaluated(database: SqliteDatabase, settings: Settings) -> Product:
    """Models that know the answers, and labels of three agents."""
    product = await made(database, settings)
    await label_questions(product, 20)
    await create(product, "people", agents=["hr", "general"], confidence_threshold=0.95)
    return product


@pytest.mark.parametrize("target", ["models", "pipeline"])
async def test_an_evaluation_of_a_router_is_about_its_agents(
    evaluated: Product, target: str
) -> None:
    whole = await evaluate(evaluated, target=target)
    found = await evaluate(evaluated, target=target, router="people")
    assert (found["state"], found["router"], whole["router"]) == ("succeeded", "people", None)
    assert 0 < found["labels"] < whole["labels"]
    assert found["left_out"] == whole["labels"] - found["labels"] > 0
    assert found["threshold"] == 0.95
    assert found["agents_revision"] != whole["agents_revision"]
    for model in found["results"]["models"]:
        assert "it_support" not in model["confusion"]


async def test_an_evaluation_of_a_router_calibrates_and_promotes_nothing(
    evaluated: Product,
) -> None:
    await evaluated.call("PATCH", "/v1/routers/people", {"agents": None})
    found = await evaluate(evaluated, router="people")
    path = f"/v1/evaluations/{found['id']}/calibrate"
    answered = await evaluated.call("POST", path, {"model_id": ACTIVE})
    assert refused(answered) == (409, "evaluation_of_router", "evaluation_id")
    assert "'people'" in message(answered)


async def test_an_evaluation_ends_with_its_router(evaluated: Product) -> None:
    begun = (await begin(evaluated, router="people")).json()
    await evaluated.call("DELETE", "/v1/routers/people")
    found = await ended(evaluated, begun["id"])
    assert found["state"] == "failed"
    assert "the router 'people' was deleted" in found["error"]


async def test_an_evaluation_of_the_pipeline_ends_if_the_router_changes(
    evaluated: Product,
) -> None:
    begun = (await begin(evaluated, target="pipeline", router="people")).json()
    await evaluated.call("PATCH", "/v1/config", {"confidence_threshold": 0.1})  # it has its own
    await evaluated.call("PATCH", "/v1/routers/people", {"confidence_threshold": 0.2})
    found = await ended(evaluated, begun["id"])
    assert "the configuration has changed" in found["error"]


async def test_an_unknown_router_is_not_evaluated(evaluated: Product) -> None:
    answered = await begin(evaluated, router="nobody")
    assert refused(answered) == (400, "unknown_router", "router")
    assert (await shown(evaluated, "eval_none"))["error"]["code"] == "unknown_evaluation"


async def test_drift_is_about_the_default_router(empty_product: Product) -> None:
    """In a router with fewer agents the classifier answers less, which is no drift."""
    product = empty_product
    product.gateway.enqueue(*[says("agent_0")] * 10)
    await create_agents(product)
    install(product, "clf_1")
    await select(product, "clf_1", audit_sample_share=1.0)
    await load(product)
    await create(product, "few", agents=["agent_0", "agent_1"])
    await product.route(known("agent_1"))
    for agent in ("agent_1", "agent_2"):
        await product.route(known(agent), router="few")
    await add_new_logs(product.database)
    asked = product.rows(
        "SELECT sum(asked) AS asked, sum(answered) AS answered FROM classifier_hours"
    )
    assert asked == [{"asked": 1, "answered": 1}]
    product.clock.seconds += 3600
    windows = (await product.call("GET", "/v1/analytics")).json()["classifier"]["drift"]["windows"]
    assert {each["disagreement"]["compared"] for each in windows} == {1}
