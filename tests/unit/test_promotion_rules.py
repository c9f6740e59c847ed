"""What counts as evidence for the rules that select a model by themselves, and what they refuse."""

from typing import Any

import pytest

from edgeneuro.domain.decision import Usage
from edgeneuro.gateway.interface import ModelAnswer
from edgeneuro.settings import Settings
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.conftest import Product
from tests.unit.test_evaluations import (
    ACTIVE,
    LORA,
    OTHER,
    Models,
    compare,
    knows,
    label,
    made,
    questions,
    select,
    state,
    swapped,
)
from tests.unit.trainings import minute

RULES = {"promotion_min_labels": 50, "auto_promote": True}
TOKENS = Usage(prompt_tokens=1_000, completion_tokens=100, total_tokens=1_100)


async def begun(product: Product, challenger: str, **settings: Any) -> Product:
    patched = await product.call("PATCH", "/v1/config", RULES | settings)
    assert patched.status == 200, patched.text
    assert (await select(product, challenger, challenger=100)).status == 200
    return product


async def refusals(product: Product) -> list[dict[str, Any]]:
    audit = (await product.call("GET", "/v1/audit")).json()["data"]
    return [each["after"] for each in audit if each["action"] == "refuse"]


def learned_by_heart(model: str, query: str) -> ModelAnswer:
    """The adapter knows what it was trained on, and less of all else than the active model."""
    right, number = query.split()[0], int(query.rsplit(" ", 1)[1])
    missed = number % 2 if " train " in query else number % 10 == 0
    if model != ACTIVE:
        missed = " train " not in query and number % 5 == 0
    right = "general" if missed else right
    return ModelAnswer(content={"agent": "none" if right == "nobody" else right, "confidence": 1})


async def test_what_an_adapter_was_trained_on_does_not_count(
    database: SqliteDatabase, settings: Settings
) -> None:
    """It wins 90 of the 180 questions of the training part, and loses 12 of the 120 others."""
    product = await begun(await made(database, settings, learned_by_heart), LORA)
    for split, each in (("train", 60), ("test", 40)):
        for query, _ in questions(each, split):
            await product.route(query, cache=False)
        await label(product, each, split)
    await minute(product)
    found = await state(product)
    assert (found["active"], found["challenger"]["model_id"]) == (ACTIVE, LORA)
    challenger = found["challenger"]
    assert (challenger["compared"], challenger["labelled"], challenger["trained"]) == (
        300,
        120,
        180,
    )
    assert challenger["difference"] == pytest.approx(-0.1)
    assert challenger["notice"]["code"] == "not_better"
    assert (
        "On 120 labelled questions it is not shown to be better" in challenger["notice"]["message"]
    )
    assert [each["code"] for each in await refusals(product)] == ["not_better"]
    await minute(product)
    assert len(await refusals(product)) == 1, "once a look"


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("/v1/agents/hr", {"description": "Everything about people."}),
        ("/v1/config", {"confidence_threshold": 0.4}),
    ],
)
async def test_what_was_decided_under_other_conditions_does_not_count(
    database: SqliteDatabase, settings: Settings, path: str, change: dict[str, Any]
) -> None:
    product = await begun(await made(database, settings, swapped), OTHER)
    await compare(product, 60)
    assert (await product.call("PATCH", path, change)).status == 200
    await minute(product)
    found = await state(product)
    assert found["active"] == ACTIVE
    challenger = found["challenger"]
    assert (challenger["compared"], challenger["outdated"], challenger["labelled"]) == (0, 180, 0)
    assert challenger["labels_wanted"] == 100


async def test_one_persons_labels_must_be_twice_as_many(
    database: SqliteDatabase, settings: Settings
) -> None:
    product = await begun(await made(database, settings, mostly_wrong), OTHER)
    await compare(product, 30)
    await minute(product)
    challenger = (await state(product))["challenger"]
    assert (challenger["labelled"], challenger["labelers"], challenger["labels_wanted"]) == (
        90,
        1,
        10,
    )
    assert challenger["notice"] is None
    product.execute("UPDATE current_labels SET labeler = 'usr_2' WHERE query LIKE '%7'")
    await minute(product)
    assert (await state(product))["active"] == OTHER


def mostly_wrong(model: str, query: str) -> ModelAnswer:
    """The active model knows HR alone."""
    if model == ACTIVE and not query.startswith("hr"):
        return ModelAnswer(content={"agent": "hr", "confidence": 1}, usage=TOKENS)
    answer = knows(ACTIVE, query)
    return ModelAnswer(content=answer.content, usage=TOKENS)


@pytest.mark.parametrize(
    ("price", "ratio", "code"),
    [(10.0, 2.0, "cost"), (10.0, 1_000.0, None), (0.01, 1.0, None)],
)
async def test_a_model_that_costs_much_more_is_not_promoted(
    database: SqliteDatabase,
    settings: Settings,
    price: float,
    ratio: float,
    code: str | None,
) -> None:
    product = await made(database, settings, mostly_wrong)
    pricing = {"input_per_million": price, "output_per_million": price}
    patched = await product.call("PATCH", f"/v1/models/{OTHER}", {"pricing": pricing})
    assert patched.status == 200, patched.text
    await begun(product, OTHER, promotion_max_cost_ratio=ratio)
    await compare(product, 40)
    await minute(product)
    found = await state(product)
    assert found["active"] == (ACTIVE if code else OTHER)
    if code:
        challenger = found["challenger"]
        assert challenger["notice"]["code"] == code
        assert challenger["challenger"]["mean_cost_usd"] == pytest.approx(1_100 * price / 1e6)
        assert "promotion_max_cost_ratio" in challenger["notice"]["message"]
        assert [each["code"] for each in await refusals(product)] == [code]


async def test_a_model_of_unknown_cost_is_not_promoted(
    database: SqliteDatabase, settings: Settings
) -> None:
    product = await begun(await made(database, settings, mostly_wrong), LORA)
    await compare(product, 40)
    await minute(product)
    found = await state(product)
    assert (found["active"], found["challenger"]["notice"]["code"]) == (ACTIVE, "cost_unknown")


async def test_a_model_that_takes_much_longer_is_not_promoted(
    database: SqliteDatabase, settings: Settings
) -> None:
    product = await made(database, settings)

    def answer(model: str, query: str) -> ModelAnswer:
        product.clock.seconds += 0.1 if model == ACTIVE else 0.25
        return mostly_wrong(model, query)

    assert isinstance(product.services.gateway, Models)
    product.services.gateway.answer = answer
    await begun(product, OTHER)
    await compare(product, 40)
    await minute(product)
    found = await state(product)
    assert (found["active"], found["challenger"]["notice"]["code"]) == (ACTIVE, "latency")
    assert "its p50 latency is 250 ms, and 100 ms" in found["challenger"]["notice"]["message"]
