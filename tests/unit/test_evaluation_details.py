"""Evaluations of the whole pipeline, and results by slice and by threshold."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from edgeneuro.errors import UpstreamCapacityError
from edgeneuro.gateway.interface import ModelAnswer
from edgeneuro.settings import Settings
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.conftest import Product, says
from tests.unit.test_evaluations import (
    ACTIVE,
    LORA,
    OTHER,
    Models,
    begin,
    ended,
    evaluate,
    knows,
    label,
    made,
)
from tests.unit.test_evaluations import select as select_model
from tests.unit.trainings import import_labels, select, train


@pytest.fixture
async def product(database: SqliteDatabase, settings: Settings) -> Product:
    return await made(database, settings)


async def pipeline(product: Product, *model_ids: str, **body: Any) -> dict[str, Any]:
    if model_ids:
        body["model_ids"] = list(model_ids)
    begun = await product.call("POST", "/v1/evaluations", {"target": "pipeline", **body})
    assert begun.status == 202, begun.text
    found = await ended(product, begun.json()["id"])
    assert found["state"] == "succeeded", found
    return found


# The pipeline


async def test_the_configuration_in_force_is_evaluated_and_compared_with_another_model(
    product: Product,
) -> None:
    await label(product, 20)
    found = await pipeline(product)
    assert (found["target"], found["model_ids"]) == ("pipeline", ["pipeline"])
    [result] = found["results"]["models"]
    assert (result["n"], result["right"], result["layers"]) == (60, 60, {"llm": 60})
    assert await product.logs() == []
    compared = await pipeline(product, "pipeline", OTHER)
    [pair] = compared["results"]["pairs"]
    assert (pair["first"], pair["second"], pair["only_first"]) == ("pipeline", OTHER, 2)


async def test_a_failing_model_is_replaced_by_its_fallback_in_a_pipeline_alone(
    database: SqliteDatabase, settings: Settings
) -> None:
    def answer(model: str, query: str) -> ModelAnswer | Exception:
        return UpstreamCapacityError("full") if model == ACTIVE else knows(ACTIVE, query)

    product = await made(database, settings, answer)
    await label(product, 5)
    [result] = (await pipeline(product))["results"]["models"]
    assert (result["right"], result["failed"]) == (15, 0)


async def test_the_classifier_answers_first_and_the_model_what_it_leaves(
    product: Product,
) -> None:
    await import_labels(product)
    classifier = (await train(product))["id"]
    alone = await evaluate(product, model_ids=[classifier])
    [of_classifier] = alone["results"]["models"]
    assert 0 < of_classifier["deferred"] < of_classifier["n"]
    assert isinstance(product.gateway, Models)
    product.gateway.answer = lambda model, query: says("none")
    found = await pipeline(product, "pipeline", classifier)
    without, behind = found["results"]["models"]
    assert without["layers"] == {"llm": without["n"]}
    answered = of_classifier["n"] - of_classifier["deferred"]
    assert behind["layers"] == {"classifier": answered, "llm": of_classifier["deferred"]}
    assert behind["right"] > of_classifier["right"], "the model says none, and some are"
    assert (await select(product, classifier)).status == 200
    [selected] = (await pipeline(product))["results"]["models"]
    assert selected["layers"] == behind["layers"]
    expected = (await estimate(product, model_ids=[classifier, "pipeline"]))["contestants"]
    assert [(each["at_most"], each["basis"]) for each in expected] == [
        (False, "none"),
        (True, "prompt"),
    ]
    assert (expected[0]["calls"], expected[0]["tokens"], expected[0]["cost_usd"]) == (0, 0, 0)


async def test_labels_decide_where_they_are_asked_for(product: Product) -> None:
    await label(product, 5)
    assert isinstance(product.gateway, Models)
    product.gateway.answer = lambda model, query: says("general")
    [result] = (await pipeline(product))["results"]["models"]
    assert (result["right"], result["layers"]) == (0, {"llm": 15})
    [labelled] = (await pipeline(product, label_layer=True))["results"]["models"]
    assert (labelled["right"], labelled["layers"]) == (15, {"label": 15})


async def test_the_router_as_it_runs_is_compared_with_models_alone(product: Product) -> None:
    await label(product, 20)
    found = await evaluate(product, model_ids=["pipeline", ACTIVE, OTHER])
    assert (found["state"], found["target"]) == ("succeeded", "models")
    router, active, other = found["results"]["models"]
    assert (router["right"], router["failed"], router["layers"]) == (60, 0, {"llm": 60})
    assert (active["right"], other["right"]) == (60, 58)
    assert router["reliability"]["reason"] == "pipeline"
    assert [each["model_id"] for each in found["slices"]] == ["pipeline", ACTIVE, OTHER]
    pairs = {(each["first"], each["second"]): each for each in found["results"]["pairs"]}
    assert (pairs["pipeline", OTHER]["only_first"], pairs["pipeline", OTHER]["n"]) == (2, 60)
    assert await product.logs() == []
    await product.call("PATCH", "/v1/config", {"promotion_min_labels": 30, "promotion_margin": 0.4})
    checked = await select_model(product, OTHER, check=True)
    assert checked.json()["check"]["evaluation_id"] == found["id"], "of the models alone"


async def test_the_router_beside_models_ends_where_the_configuration_changes(
    product: Product,
) -> None:
    await label(product, 5)
    begun = (await begin(product, model_ids=["pipeline", OTHER])).json()
    await product.call("PATCH", "/v1/config", {"fallback_models": []})
    found = await ended(product, begun["id"])
    assert (found["state"], "has changed since it began" in found["error"]) == ("failed", True)


# Calls and cost


async def estimate(product: Product, **body: Any) -> dict[str, Any]:
    answered = await product.call("POST", "/v1/evaluations/estimate", body)
    assert answered.status == 200, answered.text
    found: dict[str, Any] = answered.json()
    return found


async def test_calls_and_cost_are_known_before_the_start(product: Product) -> None:
    await label(product, 10)
    priced = {"pricing": {"input_per_million": 2.0, "output_per_million": 4.0}}
    await product.call("PATCH", f"/v1/models/{OTHER}", priced)
    unpriced = {"id": "@cf/acme/unpriced", "type": "base"}
    assert (await product.call("POST", "/v1/models", unpriced)).status == 201
    contestants = [unpriced["id"], OTHER, ACTIVE, "pipeline"]
    before = await estimate(product, model_ids=contestants, limit=7)
    assert (before["questions"], product.rows("SELECT * FROM jobs")) == (7, [])
    without, other, active, router = before["contestants"]
    assert (without["calls"], without["cost_usd"], without["basis"]) == (7, None, "prompt")
    assert (other["calls"], other["at_most"], other["tokens"]) == (7, False, active["tokens"])
    read = other["tokens"] - 7 * 20  # it writes some 20 tokens an answer
    assert other["cost_usd"] == pytest.approx((2 * read + 4 * 7 * 20) / 1e6, rel=0.01)
    assert 7 * 100 < other["tokens"] < 7 * 1_000
    assert (router["calls"], router["cost_usd"]) == (7, active["cost_usd"]), "its active model"
    found = (await evaluate(product))["results"]["models"][1]
    [after] = (await estimate(product, model_ids=[OTHER]))["contestants"]
    assert (after["calls"], after["tokens"], after["basis"]) == (30, found["tokens"], "evaluation")
    assert after["cost_usd"] == pytest.approx(found["cost_usd"])
    await product.call("PATCH", "/v1/agents/hr", {"description": "Something else."})
    [changed] = (await estimate(product, model_ids=[OTHER]))["contestants"]
    assert changed["basis"] == "prompt", "it would be asked something else"


async def test_what_an_emulator_answers_costs_nobody_anything(product: Product) -> None:
    await label(product, 5)
    assert isinstance(product.gateway, Models)

    def answer(model: str, query: str) -> ModelAnswer:
        engine = "emulated: all-MiniLM-L6-v2" if model == OTHER else None
        return replace(knows(model, query), engine=engine)

    product.gateway.answer = answer
    found = await evaluate(product, model_ids=[ACTIVE, OTHER])
    assert [each["emulated"] for each in found["results"]["models"]] == [False, True]
    expected = await estimate(product, model_ids=[ACTIVE, OTHER])
    assert [each["emulated"] for each in expected["contestants"]] == [False, True]


async def test_before_the_first_evaluation_the_log_tells_of_the_emulator(product: Product) -> None:
    await label(product, 5)
    assert isinstance(product.gateway, Models)
    product.gateway.answer = lambda model, query: replace(says("hr"), engine="emulated")
    await product.route("Where is my contract?")
    [expected] = (await estimate(product, model_ids=[OTHER]))["contestants"]
    assert (expected["emulated"], expected["basis"]) == (True, "prompt")


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"model_ids": ["no-such"]}, 400, "model_ids[0]"),
        ({}, 400, "model_ids"),
        ({"model_ids": [ACTIVE], "split": "validation"}, 409, "split"),
        ({"model_ids": [ACTIVE], "router": "no-such"}, 400, "router"),
    ],
)
async def test_an_estimate_refuses_what_an_evaluation_refuses(
    product: Product, body: dict[str, Any], status: int, param: str
) -> None:
    await label(product, 1)
    for path in ("/v1/evaluations", "/v1/evaluations/estimate"):
        refused = await product.call("POST", path, body)
        assert (refused.status, refused.json()["error"]["param"]) == (status, param)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "model_ids"),
        ({"model_ids": [ACTIVE], "label_layer": True}, "label_layer"),
        ({"target": "pipeline", "model_ids": ["pipeline", "pipeline"]}, "model_ids[1]"),
        ({"target": "pipeline", "model_ids": ["no-such"]}, "model_ids[0]"),
        ({"target": "router"}, "target"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    product: Product, body: dict[str, Any], param: str
) -> None:
    await label(product, 1)
    refused = await product.call("POST", "/v1/evaluations", body)
    assert (refused.status, refused.json()["error"]["param"]) == (400, param)


async def test_a_pipeline_is_no_evidence_for_the_promotion_check(product: Product) -> None:
    await label(product, 40)
    await product.call("PATCH", "/v1/config", {"promotion_min_labels": 50})
    await pipeline(product, ACTIVE, OTHER)
    refused = await select_model(product, OTHER, check=True)
    assert "no evaluation has compared" in refused.json()["error"]["message"]


async def test_it_ends_where_the_configuration_changes(product: Product) -> None:
    await label(product, 5)
    body = {"target": "pipeline"}
    begun = (await product.call("POST", "/v1/evaluations", body)).json()
    await product.call("PATCH", "/v1/config", {"fallback_models": []})
    found = await ended(product, begun["id"])
    assert (found["state"], "has changed since it began" in found["error"]) == ("failed", True)


# Differences by agent


async def test_two_contestants_are_compared_by_agent(product: Product) -> None:
    some = await label(product, 30)
    lost = sum(agent == "hr" and query.endswith("0") for query, agent in some)
    assert isinstance(product.gateway, Models)

    def answer(model: str, query: str) -> ModelAnswer:
        worse = model == OTHER and query.split()[0] == "it_support"
        return says("general") if worse else knows(model, query)

    product.gateway.answer = answer
    found = await evaluate(product)
    path = f"/v1/evaluations/{found['id']}/differences"
    compared = (await product.call("GET", f"{path}?first={ACTIVE}&second={OTHER}")).json()
    assert (compared["n"], [each["agent"] for each in compared["agents"]]) == (
        90,
        ["it_support", "hr", "none"],
    )
    worst, some_lost, same = compared["agents"]
    assert (worst["n"], worst["right_first"], worst["right_second"]) == (30, 30, 0)
    assert (worst["difference"], worst["p"]) == (-1, pytest.approx(0.5**29))
    assert (worst["low"], worst["high"]) == (-1, pytest.approx(-0.773, abs=1e-3))
    assert (some_lost["only_first"], some_lost["difference"]) == (lost, pytest.approx(-lost / 30))
    assert some_lost["p"] == pytest.approx(2 * 0.5**lost)
    assert some_lost["p_adjusted"] == pytest.approx(min(1, 2 * some_lost["p"])), "of two left"
    assert (same["difference"], same["p"], same["p_adjusted"]) == (0, 1, 1)
    [pair] = found["results"]["pairs"]
    for name in ("only_first", "only_second", "n"):
        assert sum(each[name] for each in compared["agents"]) == pair[name]
    swapped = (await product.call("GET", f"{path}?first={OTHER}&second={ACTIVE}")).json()
    assert swapped["agents"][0]["difference"] == 1
    for query, param in (
        (f"first={ACTIVE}&second=no-such", "second"),
        (f"first=no-such&second={OTHER}", "first"),
        (f"first={OTHER}&second={OTHER}", "second"),
        (f"first={OTHER}", "second"),
    ):
        refused = await product.call("GET", f"{path}?{query}")
        assert (refused.status, refused.json()["error"]["param"]) == (400, param)


async def test_few_questions_of_an_agent_have_no_interval(product: Product) -> None:
    await label(product, 19)
    found = await evaluate(product)
    path = f"/v1/evaluations/{found['id']}/differences?first={ACTIVE}&second={OTHER}"
    agents = (await product.call("GET", path)).json()["agents"]
    assert {(each["n"], each["low"], each["high"]) for each in agents} == {(19, None, None)}


# Slices


async def asked(product: Product, query: str, agent: str | None, **fields: Any) -> None:
    """Routed and then labelled on its log row."""
    decision = (await product.route(query, cache=False, **fields)).json()
    body = {"agent_id": agent}
    answered = await product.call("PUT", f"/v1/logs/{decision['id']}/label", body)
    assert answered.status == 200, answered.text


def of(found: dict[str, Any], by: str, model: int = 0) -> dict[str, tuple[int, int]]:
    return {
        each["value"]: (each["n"], each["right"])
        for each in found["slices"][model]["slices"]
        if each["by"] == by
    }


async def test_results_by_language_length_session_and_metadata(product: Product) -> None:
    words = "alpha bravo carol delta ember fresh".split()
    for number, word in enumerate(words):
        session, channel = f"s{number % 2}", ("web", "phone")[number % 2]
        await asked(
            product, f"hr how is my {word} 1", "hr", session=session, metadata={"channel": channel}
        )
        await asked(product, f"hr wie ist mein {word} 0", "hr", metadata={"channel": "web"})
    product.execute("UPDATE splits SET split = 'test'")
    product.execute("UPDATE current_labels SET split = 'test'")
    found = await evaluate(product)
    # The other model takes the questions that end with 0 for IT's: those in German.
    assert of(found, "language") == {"en": (6, 6), "de": (6, 6)}
    assert of(found, "language", 1) == {"en": (6, 6), "de": (6, 0)}
    assert of(found, "session", 1) == {"first": (2, 2), "later": (4, 4), "none": (6, 0)}
    assert of(found, "length", 1) == {"1-20": (6, 6), "21-60": (6, 0)}
    assert of(found, "metadata.channel", 1) == {"web": (9, 3)}, "phone has three questions alone"
    [german] = [each for each in found["slices"][1]["slices"] if each["value"] == "de"]
    assert (german["accuracy"]["low"], german["accuracy"]["high"]) == pytest.approx(
        (0, 0.39), abs=0.01
    )
    [listed] = (await product.call("GET", "/v1/evaluations")).json()["data"]
    assert (listed["slices"], listed["sweep"]) == (None, None)


async def test_an_erased_question_leaves_no_metadata(product: Product) -> None:
    await asked(product, "hr my salary", "hr", metadata={"name": "Ann"}, session="s")
    product.execute("UPDATE current_labels SET split = 'test'")
    await evaluate(product)
    [item] = product.rows("SELECT * FROM evaluation_items")
    assert json.loads(item["metadata"]) == {"name": "Ann"}
    assert (await product.call("DELETE", f"/v1/labels/{item['query_hash']}")).status == 200
    [erased] = product.rows("SELECT * FROM evaluation_items")
    assert (erased["query"], erased["metadata"]) == ("[erased]", None)


# The threshold sweep


def by_number(agent: str) -> Callable[[str, str], ModelAnswer]:
    """The question's number in percent is the confidence; the odd ones are wrong."""

    def answer(model: str, query: str) -> ModelAnswer:
        number = int(query.split()[-1])
        return says(agent if number % 2 == 0 else "it_support", number / 100)

    return answer


async def hundred(product: Product, answer: Callable[[str, str], ModelAnswer]) -> None:
    assert isinstance(product.gateway, Models)
    product.gateway.answer = answer
    labels = [
        {"query": f"question of hr number {number}", "agent_id": "hr"} for number in range(101)
    ]
    assert (await product.call("POST", "/v1/labels", labels)).status == 200
    product.execute("UPDATE current_labels SET split = 'test'")


@pytest.mark.parametrize("default", ["general", "hr"])
@pytest.mark.parametrize("on_no_fit", ["fallback", "none"])
async def test_the_sweep_says_what_each_threshold_would_come_to(
    product: Product, on_no_fit: str, default: str
) -> None:
    await hundred(product, by_number("hr"))
    await product.call("PATCH", f"/v1/agents/{default}", {"default": True})
    await product.call("PATCH", "/v1/config", {"on_no_fit": on_no_fit})
    found = await evaluate(product, model_ids=[ACTIVE])
    [sweep] = found["sweep"]
    points = sweep["points"]
    assert [each["threshold"] for each in points] == [number / 100 for number in range(101)]
    for number, point in enumerate(points):
        # Exactly: a confidence that equals the threshold reaches it.
        right = sum(each % 2 == 0 for each in range(number, 101))
        assert (point["answered"], point["right"]) == (101 - number, right), number
        stood_in_rightly = number if (on_no_fit, default) == ("fallback", "hr") else 0
        assert point["accuracy"] == pytest.approx((right + stood_in_rightly) / 101)
        assert point["precision"] == pytest.approx(right / (101 - number))
    # At the threshold that was in force it is the result.
    [result] = found["results"]["models"]
    assert points[50]["accuracy"] == pytest.approx(result["accuracy"]["accuracy"])
    # And at another one, what an evaluation with it comes to.
    await product.call("PATCH", "/v1/config", {"confidence_threshold": 0.29})
    again = await evaluate(product, model_ids=[ACTIVE])
    assert again["results"]["models"][0]["accuracy"]["accuracy"] == pytest.approx(
        points[29]["accuracy"]
    )
    assert again["sweep"] == found["sweep"]


async def test_the_sweep_of_a_classifier_counts_what_it_defers_as_not_right(
    product: Product,
) -> None:
    await import_labels(product)
    classifier = (await train(product))["id"]
    found = await evaluate(product, model_ids=[classifier])
    points = found["sweep"][0]["points"]
    n = found["results"]["models"][0]["n"]
    assert (points[0]["answered"], points[0]["coverage"]) == (n, 1)
    assert all(each["accuracy"] * n == pytest.approx(each["right"]) for each in points)
    answered = [each["answered"] for each in points]
    assert answered == sorted(answered, reverse=True)


async def test_answers_without_an_agent_are_right_at_any_threshold(product: Product) -> None:
    await label(product, 5)
    found = await evaluate(product, model_ids=[ACTIVE])
    last = found["sweep"][0]["points"][-1]
    assert (last["answered"], last["precision"]) == (0, None)
    assert last["accuracy"] == pytest.approx(5 / 15)


async def test_an_unknown_confidence_is_decided_on_at_any_threshold(product: Product) -> None:
    await label(product, 5)
    assert isinstance(product.gateway, Models)
    product.gateway.answer = lambda model, query: ModelAnswer(content={"agent": query.split()[0]})
    await product.call("PATCH", "/v1/config", {"confidence_threshold": 1})
    found = await evaluate(product, model_ids=[ACTIVE])
    last = found["sweep"][0]["points"][-1]
    [result] = found["results"]["models"]
    assert (last["answered"], last["right"]) == (10, 10)
    assert last["accuracy"] == pytest.approx(result["accuracy"]["accuracy"], abs=1e-6)


async def test_older_answers_have_no_sweep(product: Product) -> None:
    await label(product, 2)
    begun = (await begin(product)).json()
    assert begun["sweep"] is None
    await ended(product, begun["id"])
    product.execute(
        "UPDATE evaluation_answers SET confidence = NULL, named_agent = NULL, layer = NULL"
    )
    product.execute("UPDATE jobs SET state = 'queued'")
    assert (await ended(product, begun["id"]))["sweep"] == []


async def test_an_unknown_confidence_reaches_every_threshold(product: Product) -> None:
    await label(product, 5)
    found = await evaluate(product, model_ids=[LORA])
    first, *_, last = found["sweep"][0]["points"]
    assert (first["answered"], last["answered"]) == (10, 10)
    assert first["accuracy"] == last["accuracy"]
