"""A decision model decides: its ranking, its caches, its failures, and what is shown and logged."""

import json
from dataclasses import replace
from typing import Any

import pytest

from edgeneuro.access.limits import Estimate, estimate
from edgeneuro.domain.decision import GatewayTrace
from edgeneuro.domain.question import Refusal, YesNoAnswer
from edgeneuro.errors import (
    InvalidOutputError,
    StaleAnswerError,
    UpstreamCapacityError,
    UpstreamQuotaError,
)
from edgeneuro.gateway.interface import DecisionAnswer, ModelAnswer
from edgeneuro.settings import Settings
from edgeneuro.synapsecore.decision_log import log_decision
from edgeneuro.synapsecore.observers import observe
from edgeneuro.synapsecore.rankers.routing_question import routing_question
from edgeneuro.synapsecore.router import estimate_routing, explain, run_pipeline
from edgeneuro.synapsecore.turn import Turn
from edgeneuro_testing.gateway import Step
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.conftest import Product, says
from tests.unit.decision_models import CLEF, FLASH, chose, decision_product
from tests.unit.test_pipeline import turn_of

VPN = "My VPN is down"
SURE = {"it_support": 0.8, "hr": 0.05, "general": 0.05, "none": 0.1}
GRANITE = "@cf/ibm-granite/granite-4.0-h-micro"


@pytest.fixture
async def product(database: SqliteDatabase, settings: Settings) -> Product:
    return await decision_product(database, settings)


async def test_the_ranking_has_all_agents(product: Product) -> None:
    product.gateway.enqueue(chose(SURE))
    decision = (await product.route(VPN)).json()
    assert decision["agent"]["id"] == "it_support" and decision["outcome"] == "agent"
    assert decision["layer"] == decision["confidence_source"] == "decision_model"
    assert (decision["confidence"], decision["none_probability"]) == (0.8, 0.1)
    assert decision["scores"] == [
        {"agent_id": "it_support", "probability": 0.8},
        {"agent_id": "general", "probability": 0.05},
        {"agent_id": "hr", "probability": 0.05},
    ]
    assert (decision["model"], decision["cache"]) == (CLEF, "miss")
    assert decision["usage"]["total_tokens"] == 1_000
    assert decision["cost_usd"] == pytest.approx(0.00024)


async def test_what_is_asked(product: Product) -> None:
    product.gateway.enqueue(chose(SURE))
    await product.route(VPN)
    [request] = product.gateway.decision_requests
    assert product.gateway.requests == []
    assert (request.model, request.provider, request.state) == (CLEF, None, VPN)
    assert list(request.questions) == ["agent", "clarify", "several"]
    assert request.cache_key is not None and request.cache_key.endswith(":decision")
    assert request.metadata["prompt_version"] == "d1"
    assert request.metadata["purpose"] == "route"


@pytest.mark.parametrize(
    ("probabilities", "outcome", "reason"),
    [
        ({**SURE, "none": 0.9}, "fallback", "out_of_scope"),
        ({"it_support": 0.4, "hr": 0.3, "general": 0.2, "none": 0.1}, "fallback", "low_confidence"),
    ],
)
async def test_none_and_the_threshold(
    product: Product, probabilities: dict[str, float], outcome: str, reason: str
) -> None:
    product.gateway.enqueue(chose(probabilities))
    decision = (await product.route(VPN)).json()
    assert (decision["outcome"], decision["reason"]) == (outcome, reason)
    assert decision["layer"] == "fallback" and len(decision["scores"]) == 3


async def test_the_second_request_is_a_cache_hit_with_the_same_scores(product: Product) -> None:
    product.gateway.enqueue(*[chose(SURE, clarify=0.25, several=0.75)] * 2)
    await product.route(VPN, cache=False)
    first = (await product.route(VPN, top_k=250)).json()
    in_memory = (await product.route(VPN, top_k=250)).json()
    product.services.recent_answers.clear()
    stored = (await product.route(VPN, top_k=250)).json()
    for again in (in_memory, stored):
        assert (again["layer"], again["cache"]) == ("cache", "hit")
        for name in ("scores", "none_probability", "confidence", "confidence_source", "model"):
            assert again[name] == first[name], name
    assert len(product.gateway.decision_requests) == 2
    for row in await product.logs():
        stages = (await product.call("GET", f"/v1/logs/{row['id']}")).json()["stages"]
        decided = stages[-1]
        assert decided["outcome"] == "decided"
        assert (decided["clarify_probability"], decided["several_probability"]) == (0.25, 0.75)


async def test_a_ranking_that_was_cached_before_is_still_read(product: Product) -> None:
    product.gateway.enqueue(chose(SURE), chose(SURE))
    await product.route(VPN, cache=False)
    await product.route(VPN)
    [row] = product.rows("SELECT * FROM decision_cache")
    answer = json.loads(row["answer"])
    assert answer.pop("clarify_probability") == 0.2 and answer.pop("several_probability") == 0.1
    product.execute(f"UPDATE decision_cache SET answer = '{json.dumps(answer)}'")
    product.services.recent_answers.clear()
    again = (await product.route(VPN)).json()
    assert (again["cache"], again["confidence"]) == ("hit", 0.8)


async def test_the_log_row_has_the_stage_and_the_question(product: Product) -> None:
    product.gateway.enqueue(chose(SURE))
    decision = (await product.route(VPN)).json()
    record = (await product.call("GET", f"/v1/logs/{decision['id']}")).json()
    assert (record["layer"], record["confidence_source"]) == ("decision_model",) * 2
    assert (record["confidence"], record["prompt_version"]) == (0.8, "d1")
    stage = record["stages"][-1]
    assert (stage["name"], stage["outcome"], stage["none_probability"]) == ("model", "decided", 0.1)
    assert [each["agent_id"] for each in stage["scores"]] == ["it_support", "general", "hr"]
    assert (stage["clarify_probability"], stage["several_probability"]) == (0.2, 0.1)
    assert (stage["agents_left_out"], stage["agents_cut"], stage["state_cut"]) == (0, 0, 0)
    assert record["messages"] is None and record["state"] == VPN
    [request] = product.gateway.decision_requests
    shown = record["questions"]["agent"]
    assert shown["instructions"] == request.questions["agent"].instructions
    assert shown["criteria"]["it_support"] == (
        'IT Support. Laptops, VPN, passwords. e.g. "My VPN is down"'
    )
    listed = (await product.call("GET", "/v1/logs?layer=decision_model&min_confidence=0.5")).json()
    assert [each["id"] for each in listed["data"]] == [decision["id"]]


async def test_the_log_row_of_another_version_shows_no_question(product: Product) -> None:
    product.gateway.enqueue(chose(SURE))
    decision = (await product.route(VPN)).json()
    product.execute("UPDATE logs SET prompt_version = 'd0'")
    record = (await product.call("GET", f"/v1/logs/{decision['id']}")).json()
    assert record["messages"] is record["questions"] is record["state"] is None


async def test_explain_shows_the_question_and_no_messages(product: Product) -> None:
    product.gateway.enqueue(chose(SURE))
    shown = (await product.route(VPN, explain=True)).json()["explanation"]
    assert shown["messages"] is None and shown["state"] == VPN
    assert list(shown["questions"]) == ["agent", "clarify", "several"]
    assert list(shown["questions"]["agent"]["criteria"]) == ["general", "hr", "it_support", "none"]
    assert shown["prompt_version"] == "d1"
    assert shown["stages"][-1]["clarify_probability"] == 0.2


async def test_a_text_model_has_messages_and_no_questions(
    database: SqliteDatabase, settings: Settings
) -> None:
    product = await decision_product(database, settings, model=GRANITE)
    product.gateway.enqueue(says("hr"))
    decision = (await product.route(VPN, explain=True)).json()
    shown = decision["explanation"]
    assert len(shown["messages"]) == 2 and shown["questions"] is shown["state"] is None
    record = (await product.call("GET", f"/v1/logs/{decision['id']}")).json()
    assert record["messages"] == shown["messages"] and record["questions"] is None
    assert record["prompt_version"] == "2"
    assert record["stages"][-1]["clarify_probability"] is None
    assert "clarify" not in product.rows("SELECT stages FROM logs")[0]["stages"]


NO_CHOICE = {"clarify": YesNoAnswer(0.5)}


@pytest.mark.parametrize(
    "step",
    [
        DecisionAnswer(answers=NO_CHOICE),
        DecisionAnswer(answers={**NO_CHOICE, "agent": Refusal()}),
        InvalidOutputError("The probabilities sum to 0.400, not to 1."),
        chose({"payroll": 1.0}),
    ],
    ids=["missing", "refusal", "gateway", "not-offered"],
)
async def test_an_output_that_cannot_be_used(product: Product, step: Step) -> None:
    product.gateway.enqueue(step)
    decision = (await product.route(VPN)).json()
    assert (decision["outcome"], decision["reason"]) == ("fallback", "invalid_output")
    assert [each["outcome"] for each in decision["attempts"]] == ["invalid_output"]
    assert decision["scores"] == [] and decision["none_probability"] is None


@pytest.mark.parametrize("name", ["clarify", "several"])
async def test_a_missing_yes_no_answer_is_null(product: Product, name: str) -> None:
    missing: dict[str, Any] = {name: None}
    product.gateway.enqueue(chose(SURE, **missing))
    decision = (await product.route(VPN, explain=True)).json()
    stage = decision["explanation"]["stages"][-1]
    assert decision["outcome"] == "agent" and stage[f"{name}_probability"] is None


def of_old_cache(answer: DecisionAnswer) -> DecisionAnswer:
    return replace(answer, trace=GatewayTrace(cache_status="HIT"))


@pytest.mark.parametrize(
    "stale",
    [of_old_cache(DecisionAnswer(answers=NO_CHOICE)), StaleAnswerError("No known shape.")],
    ids=["ranker", "gateway"],
)
async def test_a_cached_answer_that_cannot_be_read_is_asked_again_past_the_cache(
    product: Product, stale: Step
) -> None:
    product.gateway.enqueue(stale, chose(SURE))
    decision = (await product.route(VPN)).json()
    assert decision["layer"] == "decision_model"
    first, second = product.gateway.decision_requests
    assert first.cache_key is not None and second.cache_key is None
    product.gateway.enqueue(stale, of_old_cache(DecisionAnswer(answers=NO_CHOICE)))
    assert (await product.route("once only")).json()["reason"] == "invalid_output"


async def test_an_answer_of_the_cache_costs_nothing(product: Product) -> None:
    product.gateway.enqueue(of_old_cache(chose(SURE)))
    decision = (await product.route(VPN)).json()
    assert (decision["usage"]["total_tokens"], decision["cost_usd"]) == (0, 0)


async def test_a_failed_call_is_retried_and_then_the_next_model_asked(
    database: SqliteDatabase, settings: Settings
) -> None:
    product = await decision_product(database, settings, fallbacks=(FLASH, GRANITE))
    failure = UpstreamCapacityError("full")
    product.gateway.enqueue(failure, failure, UpstreamQuotaError("used up"), says("hr"))
    decision = (await product.route(VPN)).json()
    assert (decision["layer"], decision["agent"]["id"]) == ("llm", "hr")
    attempts = [(each["model"], each["outcome"]) for each in decision["attempts"]]
    assert attempts == [(CLEF, "capacity"), (CLEF, "capacity"), (FLASH, "quota"), (GRANITE, "ok")]
    row = (await product.logs())[0]
    assert (row["prompt_version"], row["confidence_source"]) == ("2", "stated")


async def test_a_decision_model_is_the_fallback_of_a_text_model(
    database: SqliteDatabase, settings: Settings
) -> None:
    product = await decision_product(database, settings, model=GRANITE, fallbacks=(CLEF,))
    product.gateway.enqueue(ModelAnswer(content="I cannot say."), chose(SURE))
    decision = (await product.route(VPN)).json()
    assert decision["layer"] == "decision_model" and decision["agent"]["id"] == "it_support"
    assert product.rows("SELECT * FROM decision_cache") == []
    record = (await product.call("GET", f"/v1/logs/{decision['id']}")).json()
    assert record["prompt_version"] == "d1" and record["questions"] is not None


async def test_an_open_circuit_breaker_skips_the_call(
    database: SqliteDatabase, settings: Settings
) -> None:
    product = await decision_product(database, settings, fallbacks=(GRANITE,))
    for number in range(5):
        product.gateway.enqueue(UpstreamQuotaError("used up"), says("hr"))
        await product.route(f"query {number}")
    product.gateway.enqueue(says("hr"))
    decision = (await product.route(VPN)).json()
    assert decision["attempts"][0]["outcome"] == "circuit_open"
    assert len(product.gateway.decision_requests) == 5


async def test_a_decision_model_is_never_part_of_the_universal_call(
    database: SqliteDatabase, settings: Settings
) -> None:
    """Two vendors' models share one call; the decision model before them is asked alone."""
    product = await decision_product(database, settings, model=GRANITE, fallbacks=(CLEF,))
    for name in ("a", "b"):
        body = {
            "id": name,
            "kind": "openai",
            "models": ["gpt-5-nano"],
            "secret": "PROVIDER_OPENAI_KEY",
        }
        assert (await product.call("POST", "/v1/providers", body)).status == 201
    failure = UpstreamQuotaError("used up")
    product.gateway.enqueue(failure, failure, failure)
    decision = (await product.route(VPN)).json()
    models = [each["model"] for each in decision["attempts"]]
    assert models[:2] == [GRANITE, CLEF] and len(product.gateway.decision_requests) == 1
    assert len(product.gateway.requests) == 3  # two of them in one call


def many_agents(product: Product, count: int) -> None:
    """Past the product, which takes 250."""
    for number in range(count):
        product.execute(
            "INSERT INTO agents (id, name, description, examples, enabled, is_default, created_at,"
            f" updated_at) VALUES ('topic_{number:03}', 'Topic {number}', 'Topic {number}', '[]',"
            " 1, 0, 0, 0)"
        )


async def test_of_more_than_254_agents_the_best_are_offered(product: Product) -> None:
    many_agents(product, 260)
    product.gateway.enqueue(chose({"topic_259": 0.9, "none": 0.1}))
    decision = (await product.route("A question on topic 259", explain=True, top_k=250)).json()
    assert decision["agent"]["id"] == "topic_259"
    [stage] = [each for each in decision["explanation"]["stages"] if each["name"] == "model"]
    assert stage["agents_left_out"] == 263 - 254
    criteria = decision["explanation"]["questions"]["agent"]["criteria"]
    assert len(criteria) == 255 and "general" in criteria and "topic_259" in criteria
    scored = {each["agent_id"] for each in decision["scores"]}
    assert scored < {*criteria} and "hr" not in scored
    record = (await product.call("GET", f"/v1/logs/{decision['id']}")).json()
    assert record["stages"][-1]["agents_left_out"] == 9 and record["questions"] is None


async def turn_with_window(product: Product, query: str, context_window: int) -> Turn:
    """Of a model that was registered with another context window."""
    turn = await turn_of(product, query)
    model = turn.models[0].model_copy(update={"context_window": context_window})
    return turn.variant(models=(model,), cache=True)


async def test_another_context_window_is_another_cache_key(product: Product) -> None:
    small, large = [await turn_with_window(product, VPN, size) for size in (2_000, 64_000)]
    assert small.cache_key != large.cache_key
    assert large.cache_key == (await turn_of(product, VPN)).cache_key


async def test_a_question_that_is_too_long_is_cut_and_the_cut_is_recorded(
    product: Product,
) -> None:
    product.gateway.enqueue(chose(SURE))
    query = f"begin {'x' * 7_900} end"
    result = await run_pipeline(await turn_with_window(product, query, 1_000))
    [request] = product.gateway.decision_requests
    stage, shown = result.stages[-1].record(), explain(result)
    assert (stage.state_cut or 0) > 6_000 and (stage.agents_cut or 0) > 0
    assert request.state == shown.state != query
    assert request.state.startswith("begin xx") and request.state.endswith("xx end")
    await log_decision(result, observe(result))
    record = (await product.call("GET", f"/v1/logs/{result.turn.id}")).json()
    assert record["query"] == query and record["stages"][-1]["state_cut"] == stage.state_cut


async def test_the_size_of_the_question_is_reserved_and_no_output(product: Product) -> None:
    turn = await turn_of(product, VPN)
    [clef] = turn.models
    size = routing_question(turn, clef).size
    assert estimate_routing(turn) == estimate([clef], size, 0)
    text = turn.config.models[GRANITE]
    both = turn.variant(models=(clef, text))
    assert estimate_routing(both) == estimate_routing(turn) + estimate_routing(turn, [text])
    assert estimate_routing(turn, []) == Estimate()
