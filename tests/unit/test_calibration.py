"""The calibration of models: what it does to a ranking, how it is put in force from an evaluation
and ended, and what it makes outdated."""

from dataclasses import replace
from typing import Any

import pytest

from edgeneuro.domain.calibration import Calibration, ConfidenceMap
from edgeneuro.domain.prompt import PROMPT_VERSION
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.gateway.interface import DecisionAnswer, DecisionRequest, ModelAnswer
from edgeneuro.settings import Settings
from edgeneuro.store.models import upsert_model
from edgeneuro.synapsecore.calibrate import calibrate
from edgeneuro.synapsecore.ranking import Ranking, Source, cached_ranking, partial_ranking
from edgeneuro_testing.gateway import ScriptedGateway
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.conftest import Answered, Product, add_agents, says
from tests.unit.decision_models import CLEF, chose
from tests.unit.test_evaluations import (
    ACTIVE,
    EASY_PROMOTION,
    OTHER,
    Models,
    begin,
    ended,
    evaluate,
    label,
    made,
    refusal,
    select,
    state,
)
from tests.unit.trainings import import_labels, minute, train

SURE, UNSURE = 0.95, 0.6  # what the model states; it is right in 70 % and 40 % of these


def overconfident(model: str, query: str) -> ModelAnswer:
    """Every second answer is sure. The questions end with a number."""
    agent, number = query.split()[0], int(query.split()[-1])
    sure = number % 2 == 0
    right = number // 2 % 10 < (7 if sure else 4)
    named = agent if right else {"hr": "it_support"}.get(agent, "hr")
    return says("none" if named == "nobody" else named, SURE if sure else UNSURE)


@pytest.fixture
async def product(database: SqliteDatabase, settings: Settings) -> Product:
    return await made(database, settings, overconfident)


@pytest.fixture
async def evaluated(product: Product) -> str:
    """The id of an evaluation of the active model on 120 questions."""
    await label(product, 40)
    found = await evaluate(product, model_ids=[ACTIVE])
    assert found["state"] == "succeeded", found
    evaluation_id: str = found["id"]
    return evaluation_id


async def put_in_force(product: Product, evaluation_id: str, model_id: str = ACTIVE) -> Answered:
    path = f"/v1/evaluations/{evaluation_id}/calibrate"
    return await product.call("POST", path, {"model_id": model_id})


async def end(product: Product, model_id: str = ACTIVE) -> Answered:
    return await product.call("DELETE", f"/v1/models/{model_id}/calibration")


async def shown(product: Product, model_id: str = ACTIVE) -> dict[str, Any] | None:
    model = (await product.call("GET", f"/v1/models/{model_id}")).json()
    found: dict[str, Any] | None = model["calibration"]
    return found


# A ranking


def config_with(slope: float, intercept: float, product: RoutingConfig) -> RoutingConfig:
    calibration = Calibration(
        model_id="m",
        evaluation_id="eval_1",
        prompt_version=PROMPT_VERSION,
        n=100,
        slope=slope,
        intercept=intercept,
        ece_before=0.2,
        ece_after=0.1,
        created_at="2027-01-15T08:00:00Z",
    )
    return replace(product, calibrations={"m": calibration})


@pytest.fixture
async def config(product: Product) -> RoutingConfig:
    return await product.services.routing.current()


SOURCE = Source("llm", "@cf/base", None, model_id="m")
WHOLE = Ranking("hr", {"hr": 0.8, "it": 0.12, "fin": 0.04}, SOURCE, none=0.04)


def test_the_best_is_calibrated_and_the_others_share_the_rest(config: RoutingConfig) -> None:
    found = calibrate(config_with(0.5, 0.0, config), WHOLE)
    best = ConfidenceMap(0.5, 0.0).apply(0.8)
    assert best == pytest.approx(2 / 3)
    assert found.probabilities == pytest.approx({"hr": best, "it": 0.2, "fin": 1 / 15})
    assert found.none == pytest.approx(1 / 15)
    assert found.calibrated
    assert found.confidence == best
    assert (found.raw, WHOLE.raw) == (WHOLE, WHOLE)
    assert cached_ranking(found) == cached_ranking(WHOLE)


def test_no_other_exceeds_the_best(config: RoutingConfig) -> None:
    ranking = replace(WHOLE, probabilities={"it": 0.12, "fin": 0.04, "hr": 0.8})
    found = calibrate(config_with(0.5, -2.0, config), ranking)
    best = found.probabilities["hr"]
    assert [each.agent_id for each in found.scores(3)] == ["hr", "it", "fin"]
    assert best < 0.25
    assert found.probabilities["it"] == best == max(found.probabilities.values())
    assert found.probabilities["fin"] == pytest.approx((1 - best) / 5)
    assert found.none is not None and found.none <= best


def test_that_none_fits_is_calibrated_too(config: RoutingConfig) -> None:
    none = replace(WHOLE, best=None, probabilities={"hr": 0.1, "it": 0.1}, none=0.8)
    found = calibrate(config_with(0.5, 0.0, config), none)
    assert found.confidence == found.none == pytest.approx(2 / 3)
    assert found.probabilities == pytest.approx({"hr": 1 / 6, "it": 1 / 6})
    partial = calibrate(config_with(0.5, 0.0, config), partial_ranking(None, 0.8, SOURCE, "stated"))
    assert partial.none == pytest.approx(2 / 3)
    assert not partial.probabilities


def test_a_certain_ranking_leaves_the_others_at_nothing(config: RoutingConfig) -> None:
    certain = replace(WHOLE, probabilities={"hr": 1.0, "it": 0.0}, none=0.0)
    found = calibrate(config_with(0.5, 0.0, config), certain)
    assert found.probabilities == {"hr": pytest.approx(0.9929, abs=1e-3), "it": 0.0}


def test_what_has_no_calibration_or_no_number_stays(config: RoutingConfig) -> None:
    in_force = config_with(0.5, 0.0, config)
    for ranking in (
        replace(WHOLE, source=replace(SOURCE, model_id="another")),
        replace(WHOLE, source=Source("classifier", "clf_1", version="1"), calibrated=True),
        partial_ranking("hr", None, SOURCE, None),
    ):
        assert calibrate(in_force, ranking) is ranking
    assert calibrate(config, WHOLE) is WHOLE


# In force


async def test_a_calibration_is_put_in_force_and_ended(product: Product, evaluated: str) -> None:
    found = (await product.call("GET", f"/v1/evaluations/{evaluated}")).json()
    reliability = found["results"]["models"][0]["reliability"]
    assert (reliability["n"], reliability["reason"]) == (120, None)
    unsure, sure = reliability["before"]["bins"]
    assert (unsure["n"], unsure["confidence"], unsure["accuracy"]["accuracy"]) == (60, 0.6, 0.4)
    assert (sure["n"], sure["confidence"], sure["accuracy"]["accuracy"]) == (60, 0.95, 0.7)
    assert reliability["before"]["ece"] == pytest.approx(0.225)
    assert reliability["after"]["ece"] < 0.1
    assert await shown(product) is None

    answered = await put_in_force(product, evaluated)
    assert answered.status == 200, answered.text
    calibration = answered.json()
    assert (calibration["model_id"], calibration["evaluation_id"]) == (ACTIVE, evaluated)
    assert calibration["slope"] == reliability["slope"]
    assert product.rows("SELECT created_by FROM calibrations") == [{"created_by": "admin_token"}]
    assert await shown(product) == {
        "evaluation_id": evaluated,
        "n": 120,
        "ece_before": reliability["before"]["ece"],
        "ece_after": reliability["after"]["ece"],
        "created_at": calibration["created_at"],
    }

    decision = (await product.route("hr question 100", explain=True)).json()
    assert (decision["agent"]["id"], decision["calibrated"]) == ("hr", True)
    assert decision["confidence"] == pytest.approx(0.7, abs=0.02)
    assert decision["scores"] == [{"agent_id": "hr", "probability": decision["confidence"]}]
    assert decision["confidence_source"] == "stated"
    assert decision["explanation"]["stages"][-1]["calibrated"] is True
    logged = (await product.call("GET", f"/v1/logs/{decision['id']}")).json()
    assert logged["confidence"] == decision["confidence"]
    assert [stage["calibrated"] for stage in logged["stages"]][-1] is True
    # A confidence of 0.6 reaches the threshold, what it is worth does not.
    below = (await product.route("hr question 101")).json()
    assert (below["outcome"], below["reason"]) == ("fallback", "low_confidence")
    assert below["calibrated"] is True

    gone = await end(product)
    assert (gone.status, gone.json()["id"], gone.json()["deleted"]) == (200, ACTIVE, True)
    assert await shown(product) is None
    raw = (await product.route("hr question 102")).json()
    assert (raw["calibrated"], raw["confidence"]) == (False, SURE)
    assert (await end(product)).json()["error"]["code"] == "not_calibrated"

    audit = (await product.call("GET", "/v1/audit?resource=model")).json()["data"]
    assert [each["action"] for each in audit[:2]] == ["end_calibration", "calibrate"]
    assert audit[0]["before"] == audit[1]["after"] == calibration


async def test_a_cached_ranking_gets_the_calibration_in_force(
    product: Product, evaluated: str
) -> None:
    async def cached() -> tuple[str, bool, float]:
        product.services.recent_answers.clear()
        decision = (await product.route("hr question 100")).json()
        again = (await product.route("hr question 100")).json()
        assert again["confidence"] == decision["confidence"]
        assert (decision["cache"], again["cache"]) == ("hit", "hit")
        return decision["layer"], decision["calibrated"], decision["confidence"]

    await product.route("hr question 100", cache=False)
    await product.route("hr question 100")  # the second time, so it is in D1 too
    assert await cached() == ("cache", False, SURE)
    await put_in_force(product, evaluated)
    layer, calibrated, confidence = await cached()
    assert (layer, calibrated) == ("cache", True)
    assert confidence == pytest.approx(0.7, abs=0.02)
    calibrated_first = (await product.route("it_support question 100")).json()
    assert calibrated_first["calibrated"] is True
    await end(product)
    assert await cached() == ("cache", False, SURE)
    assert (await product.route("it_support question 100")).json()["confidence"] == SURE


async def test_another_isolate_learns_of_it(
    product: Product, evaluated: str, settings: Settings
) -> None:
    gateway = Models(overconfident)
    other = Product(product.database, settings, gateway=gateway, clock=product.clock)
    assert (await other.route("hr question 100", cache=False)).json()["calibrated"] is False
    await put_in_force(product, evaluated)
    other.clock.seconds += 6
    assert (await other.route("hr question 100", cache=False)).json()["calibrated"] is True


async def test_the_next_evaluation_measures_the_model_itself(
    product: Product, evaluated: str
) -> None:
    first = (await product.call("GET", f"/v1/evaluations/{evaluated}")).json()
    await put_in_force(product, evaluated)
    second = await evaluate(product, model_ids=[ACTIVE])
    before, after = (each["results"]["models"][0] for each in (first, second))
    assert after["reliability"] == before["reliability"]
    # The threshold was compared with the calibrated confidence.
    assert (before["low_confidence"], after["low_confidence"]) == (0, 52)
    at_half = second["sweep"][0]["points"][50]
    assert at_half["answered"] == 46, "sure, and an agent is named"
    assert (await put_in_force(product, second["id"])).status == 200


async def test_an_evaluation_keeps_the_calibration_of_its_start(
    product: Product, evaluated: str
) -> None:
    await put_in_force(product, evaluated)
    begun = (await begin(product, model_ids=[ACTIVE])).json()
    await end(product)
    found = await ended(product, begun["id"])
    assert (found["state"], found["results"]["models"][0]["low_confidence"]) == ("succeeded", 52)


async def test_a_fallback_models_answer_is_not_mapped_by_the_active_models_calibration(
    product: Product, evaluated: str
) -> None:
    await put_in_force(product, evaluated)
    decision = (await product.route("hr question 100", model=OTHER)).json()
    assert (decision["calibrated"], decision["confidence"]) == (False, SURE)


class Deciders(ScriptedGateway):
    """Decision models that know what the overconfident model knows."""

    async def decide(self, request: DecisionRequest, /) -> DecisionAnswer:
        assert isinstance(request.state, str)
        stated = overconfident(request.model, request.state).content
        assert isinstance(stated, dict)
        best, other = stated["agent"], "general"
        sure = stated["confidence"]
        ids = ("it_support", "hr", "general", "none")
        rest = {each: (1 - sure) / 10 for each in ids if each not in (best, other)}
        return chose({**rest, other: (1 - sure) * 0.8, best: sure})


async def test_a_decision_models_probabilities_are_calibrated(
    database: SqliteDatabase, settings: Settings
) -> None:
    settings = replace(settings, routing_model=CLEF)
    product = Product(database, settings, gateway=Deciders())
    await add_agents(product)
    await label(product, 40)
    found = await evaluate(product, model_ids=[CLEF])
    [result] = found["results"]["models"]
    assert (result["reliability"]["n"], result["reliability"]["before"]["ece"]) == (120, 0.225)
    raw = (await product.route("hr question 100")).json()
    assert (raw["calibrated"], raw["confidence"]) == (False, SURE)
    calibration = (await put_in_force(product, found["id"], CLEF)).json()
    assert calibration["prompt_version"] == "d1"
    decision = (await product.route("hr question 100")).json()
    best = decision["confidence"]
    assert (decision["calibrated"], decision["layer"]) == (True, "cache")
    assert best == pytest.approx(0.7, abs=0.02)
    assert decision["scores"] == [
        {"agent_id": "hr", "probability": best},
        {"agent_id": "general", "probability": pytest.approx((1 - best) * 0.8)},
        {"agent_id": "it_support", "probability": pytest.approx((1 - best) * 0.1)},
    ]
    assert decision["none_probability"] == pytest.approx((1 - best) * 0.1)
    product.execute("UPDATE calibrations SET prompt_version = '2'")
    assert await shown_afresh(product, CLEF) is None, "another prompt"


# What cannot be calibrated


async def test_too_few_answers(product: Product) -> None:
    await label(product, 10)
    found = await evaluate(product, model_ids=[ACTIVE])
    refused = await put_in_force(product, found["id"])
    error = refused.json()["error"]
    assert (refused.status, error["code"], error["param"]) == (409, "cannot_calibrate", "model_id")
    assert "30 answers have a confidence, at least 100 are required" in error["message"]
    assert found["results"]["models"][0]["reliability"]["reason"] == "too_few"


async def test_a_confidence_that_says_the_opposite(product: Product) -> None:
    def backwards(model: str, query: str) -> ModelAnswer:
        stated = overconfident(model, query).content
        assert isinstance(stated, dict)
        return says(stated["agent"], UNSURE if stated["confidence"] == SURE else SURE)

    assert isinstance(product.gateway, Models)
    product.gateway.answer = backwards
    await label(product, 40)
    found = await evaluate(product, model_ids=[ACTIVE])
    error = (await put_in_force(product, found["id"])).json()["error"]
    assert error["code"] == "cannot_calibrate"
    assert "a higher confidence does not mean more right answers" in error["message"]


async def test_what_is_no_evaluation_of_the_model(product: Product, evaluated: str) -> None:
    def code(answered: Answered) -> tuple[int, str]:
        return answered.status, answered.json()["error"]["code"]

    assert code(await put_in_force(product, "eval_none")) == (404, "unknown_evaluation")
    assert code(await put_in_force(product, "rtr_none")) == (409, "not_an_evaluation")
    assert code(await put_in_force(product, evaluated, OTHER)) == (400, "model_not_evaluated")
    assert code(await put_in_force(product, evaluated, "gpt-99")) == (400, "model_not_evaluated")
    assert code(await put_in_force(product, evaluated, "clf_1")) == (400, "model_is_classifier")
    begun = (await begin(product, model_ids=[ACTIVE])).json()["id"]
    assert code(await put_in_force(product, begun)) == (409, "evaluation_not_succeeded")
    await product.call("POST", f"/v1/evaluations/{begun}/cancel", {})
    assert code(await put_in_force(product, begun)) == (409, "evaluation_not_succeeded")
    piped = await evaluate(product, target="pipeline", model_ids=[ACTIVE])
    assert code(await put_in_force(product, piped["id"])) == (409, "evaluation_of_pipeline")
    reliability = piped["results"]["models"][0]["reliability"]
    assert (reliability["reason"], reliability["before"]["ece"]) == ("pipeline", 0.225)
    # What a rule decides is certain, and has nothing to be measured.
    rule = {"when": {"words": ["hr", "it_support"]}, "then": {"agent_id": "hr"}}
    assert (await product.call("POST", "/v1/rules", rule)).status == 201
    ruled = (await evaluate(product, target="pipeline"))["results"]["models"][0]
    assert ruled["layers"]["rule"] == 80 and ruled["reliability"]["n"] == 40
    product.execute("UPDATE evaluations SET measured = replace(measured, '\"2\"', '\"1\"')")
    assert code(await put_in_force(product, evaluated)) == (409, "evaluation_outdated")
    product.execute("UPDATE evaluations SET measured = NULL")
    assert code(await put_in_force(product, evaluated)) == (409, "evaluation_outdated")
    assert code(await end(product, "gpt-99")) == (404, "model_not_found")


async def test_a_classifier_has_a_table_and_no_calibration(product: Product) -> None:
    await import_labels(product)
    classifier = (await train(product))["id"]
    [found] = (await evaluate(product, model_ids=[classifier]))["results"]["models"]
    assert found["reliability"]["reason"] == "classifier"
    assert (
        0
        < found["reliability"]["n"]
        == sum(each["n"] for each in found["reliability"]["before"]["bins"])
    )


# What a model was measured as


async def test_another_model_under_the_same_id_does_not_inherit_it(
    product: Product, evaluated: str
) -> None:
    path = f"/v1/models/{ACTIVE}"
    await put_in_force(product, evaluated)
    assert (await product.call("PATCH", path, {"logprobs": True})).status == 200
    assert await shown(product) is None
    assert (await product.route("hr question 100", cache=False)).json()["calibrated"] is False
    refused = await put_in_force(product, evaluated)
    assert (refused.status, refused.json()["error"]["code"]) == (409, "evaluation_outdated")
    assert refused.json()["error"]["param"] == "model_id"
    await product.call("PATCH", path, {"logprobs": False})
    assert await shown(product) is not None, "it is the model that was measured"
    product.execute(f"UPDATE calibrations SET prompt_version = '{PROMPT_VERSION}0'")
    assert await shown_afresh(product) is None
    assert (await end(product)).status == 200, "what is not in force can be deleted"


async def shown_afresh(product: Product, model_id: str = ACTIVE) -> dict[str, Any] | None:
    """After a change past the product."""
    product.services.routing.forget()
    return await shown(product, model_id)


async def test_an_adapter_that_is_registered_again_is_another_model(product: Product) -> None:
    body = {"id": "mine", "type": "lora", "base_model": "@cf/google/gemma-2b-it-lora"}
    assert (await product.call("POST", "/v1/models", body)).status == 201
    config = await product.services.routing.current()
    first = config.identity_hash(config.models["mine"])
    product.clock.seconds += 60
    again = config.models["mine"].model_copy(update={"created": int(product.clock.seconds)})
    upsert = upsert_model(again, now_ms=0, at_revision=config.revision)
    assert await product.services.db.run(upsert)
    fresh = await product.services.routing.fresh()
    assert fresh.identity_hash(fresh.models["mine"]) != first


async def test_a_model_that_changes_during_an_evaluation_ends_it(
    product: Product, evaluated: str
) -> None:
    begun = (await begin(product, model_ids=[ACTIVE])).json()
    await product.call("PATCH", f"/v1/models/{ACTIVE}", {"logprobs": True})
    found = await ended(product, begun["id"])
    assert (found["state"], "was registered again" in found["error"]) == ("failed", True)


# What it makes outdated


async def test_an_evaluation_before_it_is_no_evidence_for_the_promotion_check(
    product: Product, evaluated: str
) -> None:
    await product.call("PATCH", "/v1/config", EASY_PROMOTION)
    await evaluate(product)
    await put_in_force(product, evaluated)
    assert "no evaluation" in refusal(await select(product, OTHER, check=True))
    await evaluate(product)
    assert (await product.call("GET", f"/v1/models/select?check={OTHER}")).json()["check"]["passed"]
    await end(product)
    assert (await product.call("GET", f"/v1/models/select?check={OTHER}")).json()["check"][
        "passed"
    ], "the first one counts again"
    product.execute("UPDATE evaluations SET measured = NULL")
    assert (await select(product, OTHER, check=True)).status == 200, "an older one had none"


async def test_the_challengers_answers_before_it_are_outdated(
    product: Product, evaluated: str
) -> None:
    await select(product, OTHER, challenger=100)
    await product.route("hr question 100", cache=False)
    assert (await compared(product)) == (1, 0)
    await put_in_force(product, evaluated)
    assert (await compared(product)) == (0, 1)
    await product.route("hr question 100", cache=False)
    assert (await compared(product)) == (1, 1)
    await end(product)
    assert (await compared(product)) == (1, 1), "now the first one"


async def compared(product: Product) -> tuple[int, int]:
    challenger = (await state(product))["challenger"]
    return challenger["compared"], challenger["outdated"]


async def test_an_evaluation_of_the_pipeline_ends_where_it_changes(
    product: Product, evaluated: str
) -> None:
    for change in (put_in_force(product, evaluated), end(product)):
        begun = (await begin(product, target="pipeline", model_ids=["pipeline"])).json()
        assert (await change).status == 200
        found = await ended(product, begun["id"])
        assert (found["state"], "has changed since" in found["error"]) == ("failed", True)


async def test_routing_tests_count_for_the_calibration_they_ran_with(
    product: Product, evaluated: str
) -> None:
    test = b'{"query": "hr question 100", "expect": "hr"}\n'
    assert (await product.call("PUT", "/v1/routing-tests", test)).status == 200
    await product.call("PATCH", "/v1/config", {"routing_tests_required": True})
    body = {"model_id": OTHER}
    measured = await evaluate(product, model_ids=[OTHER])
    run = (await product.call("POST", "/v1/routing-tests/runs", body)).json()
    await minute(product)
    assert (await product.call("GET", f"/v1/routing-tests/runs/{run['id']}")).json()["passed"]
    await put_in_force(product, measured["id"], OTHER)
    refused = await select(product, OTHER)
    assert refused.json()["error"]["code"] == "routing_tests_failed", refused.text
