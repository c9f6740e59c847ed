"""The pipeline: any ranker may join it, and a decision shows the rankings that led to it."""

import json
import re
from dataclasses import replace

import pytest

from edgeneuro.classifier.scorer import Scorer
from edgeneuro.domain.decision import Attempt, RouteRequest, Usage
from edgeneuro.domain.trace import continue_trace
from edgeneuro.errors import UpstreamCapacityError
from edgeneuro.synapsecore.decision_log import log_decision
from edgeneuro.synapsecore.observers import observe
from edgeneuro.synapsecore.ranking import (
    ModelCallResult,
    Ranking,
    Skip,
    Source,
    cached_ranking,
    partial_ranking,
    ranking_from_cache,
)
from edgeneuro.synapsecore.router import PIPELINE, run_pipeline
from edgeneuro.synapsecore.stage_clock import StageClock
from edgeneuro.synapsecore.turn import CallerContext, Turn, build_turn
from edgeneuro.web.auth import ADMIN_TOKEN
from tests.unit.classifiers import (
    AGENTS,
    UNKNOWN,
    create_agents,
    install,
    known,
    learned,
    load,
    never_sure,
    select,
)
from tests.unit.conftest import Product, says


class PatternRanker:
    """A new stage: a table of regular expressions."""

    name = "pattern"
    layer = "pattern"

    def __init__(self, table: dict[str, str]) -> None:
        self._table = table

    async def rank(self, turn: Turn) -> Ranking | Skip:
        for pattern, agent_id in self._table.items():
            if re.search(pattern, turn.query):
                return partial_ranking(agent_id, 1.0, Source(self.layer), None)
        return Skip("no pattern matches")


async def turn_of(product: Product, query: str) -> Turn:
    services = product.services
    trace = continue_trace(None, services.new_hex)
    caller = CallerContext("req_1", ADMIN_TOKEN, lambda work: work.close(), {}, trace, {})
    config = await services.routing.current()
    clock = StageClock(services.monotonic)
    request = RouteRequest(query=query)
    return build_turn(services, request, config, caller, id="dec_1", clock=clock)


@pytest.mark.parametrize(
    ("query", "agent", "names"),
    [("Reset my password", "it_support", ["pattern"]), ("Leave?", "hr", ["pattern", "label"])],
)
async def test_a_new_ranker_decides_or_leaves_it_to_the_next(
    product: Product, query: str, agent: str, names: list[str]
) -> None:
    product.gateway.enqueue(says("hr"))
    pipeline = (PatternRanker({"password": "it_support"}), *PIPELINE)
    result = await run_pipeline(await turn_of(product, query), pipeline)
    assert result.decision.agent is not None and result.decision.agent.id == agent
    assert [stage.name for stage in result.stages][: len(names)] == names
    first = result.stages[0].record()
    outcome = ("decided", None) if names == ["pattern"] else ("skipped", "no pattern matches")
    assert (first.outcome, first.reason) == outcome


async def test_a_decision_of_a_new_ranker_is_observed_and_logged(product: Product) -> None:
    turn = await turn_of(product, "Reset my password")
    result = await run_pipeline(turn, (PatternRanker({"password": "it_support"}), *PIPELINE))
    await log_decision(result, observe(result))
    record = (await product.call("GET", f"/v1/logs/{turn.id}")).json()
    assert (record["layer"], record["agent_id"]) == ("pattern", "it_support")
    assert [stage["name"] for stage in record["stages"]] == ["pattern"]
    assert (record["confidence"], record["confidence_source"]) == (1.0, None)


async def test_an_agent_that_is_not_allowed_is_not_decided_on(product: Product) -> None:
    product.gateway.enqueue(says("hr"))
    pipeline = (PatternRanker({"Leave": "payroll"}), *PIPELINE)
    result = await run_pipeline(await turn_of(product, "Leave?"), pipeline)
    first = result.stages[0].record()
    assert (first.outcome, result.decision.layer) == ("ranked", "llm")
    assert first.reason == "its agent 'payroll' is not enabled, or not among the candidates"


async def test_calls_of_two_stages_add_up(product: Product) -> None:
    attempt = Attempt(model="m", adapter=None, provider="p", outcome="ok", ms=1.0)
    usage = Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3)
    first = ModelCallResult(
        failure=UpstreamCapacityError("full"), attempts=(attempt,), usage=usage, spent_usd=1.0
    )
    both = first + ModelCallResult(attempts=(attempt,), usage=usage, cost_usd=0.5, spent_usd=0.5)
    assert (both.failure, len(both.attempts), both.usage.total_tokens) == (first.failure, 2, 6)
    assert (both.cost_usd, both.spent_usd) == (1.5, 1.5)
    assert (both + replace(first, cost_usd=None)).cost_usd is None


def test_a_cached_ranking_keeps_its_scores() -> None:
    source = Source("llm", "@cf/model", None, model_id="@cf/model")
    whole = Ranking("hr", {"hr": 0.7, "it": 0.2}, source, none=0.1, confidence_source="logprobs")
    for ranking in (whole, partial_ranking("hr", 0.7, source, "stated")):
        again = ranking_from_cache(cached_ranking(ranking), "@cf/model")
        assert again == replace(ranking, source=replace(source, layer="cache"), cached=True)


# scores


async def test_a_model_that_names_one_agent_gives_one_score(product: Product) -> None:
    product.gateway.enqueue(says("hr", 0.9))
    decision = (await product.route("Leave?")).json()
    assert decision["scores"] == [{"agent_id": "hr", "probability": 0.9}]
    assert (decision["none_probability"], decision["alternatives"]) == (None, [])
    again = (await product.route("Leave?")).json()
    assert (again["layer"], again["scores"]) == ("cache", decision["scores"])


async def test_an_answer_that_no_agent_fits_has_its_probability(product: Product) -> None:
    product.gateway.enqueue(says("none", 0.8))
    decision = (await product.route("Leave?")).json()
    assert (decision["scores"], decision["none_probability"]) == ([], 0.8)


async def test_a_failed_model_gives_no_scores(product: Product) -> None:
    product.gateway.enqueue(*[UpstreamCapacityError("full")] * 9)
    decision = (await product.route("Leave?")).json()
    assert (decision["outcome"], decision["scores"]) == ("fallback", [])
    assert decision["none_probability"] is None


@pytest.mark.parametrize("top_k", [0, 251, "3", 1.5])
async def test_top_k_is_a_number_of_agents(product: Product, top_k: object) -> None:
    answered = await product.call("POST", "/v1/route", {"query": "a", "top_k": top_k})
    assert (answered.status, answered.json()["error"]["param"]) == (400, "top_k")


@pytest.fixture
async def classifying(empty_product: Product) -> Product:
    empty_product.gateway.enqueue(*[says("agent_0")] * 3)
    await create_agents(empty_product)
    install(empty_product, "clf_1")
    install(empty_product, "clf_unsure", never_sure())
    await select(empty_product, "clf_1")
    await load(empty_product)
    return empty_product


async def test_the_classifier_gives_the_scores_of_all_agents(classifying: Product) -> None:
    body = {"query": known("agent_2"), "top_k": 250}
    decision = (await classifying.call("POST", "/v1/route", body)).json()
    scores = {each["agent_id"]: each["probability"] for each in decision["scores"]}
    assert decision["layer"] == "classifier" and set(scores) == {"agent_0", "agent_1", "agent_2"}
    assert list(scores.values()) == sorted(scores.values(), reverse=True)
    assert scores["agent_2"] == decision["confidence"] == decision["classifier"]["score"]
    assert sum(scores.values()) + decision["none_probability"] == pytest.approx(1)
    top = (await classifying.call("POST", "/v1/route", {**body, "top_k": 1})).json()
    assert top["scores"] == decision["scores"][:1]


@pytest.mark.parametrize("scale", [1.0, 0.2, 400.0])
def test_the_classifiers_probabilities_are_a_distribution(scale: float) -> None:
    """Also if many scores are near the best one, and if they are too high for exp()."""
    model = learned()
    scorer = Scorer(replace(model, scale=model.scale * scale))
    texts = [known(agent, number) for agent in AGENTS for number in range(9)]
    for text in [*texts, UNKNOWN, " ".join(texts), "?"]:
        ranking = scorer.rank(text)
        assert ranking.prediction == scorer.predict(text)
        probabilities = ranking.probabilities
        assert set(probabilities) == set(AGENTS) and ranking.none >= 0
        assert max(probabilities.values()) == probabilities[ranking.prediction.agent_id]
        assert sum(probabilities.values()) + ranking.none == pytest.approx(1)


# stages


async def test_explain_and_the_log_row_have_the_stages(classifying: Product) -> None:
    await select(classifying, "clf_unsure")
    await classifying.route("warm up")
    decision = (await classifying.route(known("agent_2"), explain=True)).json()
    stages = decision["explanation"]["stages"]
    assert [(each["name"], each["outcome"]) for each in stages] == [
        ("label", "skipped"),
        ("memory_cache", "skipped"),
        ("classifier", "ranked"),
        ("stored_cache", "skipped"),
        ("model", "decided"),
    ]
    assert stages[2]["reason"] == "it is not sure"
    assert stages[2]["scores"][0]["agent_id"] == "agent_2"
    assert stages[4]["scores"] == [{"agent_id": "agent_0", "probability": 0.9}]
    assert {each["name"]: each["ms"] for each in stages}.items() <= (
        decision["explanation"]["stages_ms"].items()
    )
    record = (await classifying.call("GET", f"/v1/logs/{decision['id']}")).json()
    assert record["stages"] == stages
    [row] = classifying.rows(f"SELECT stages FROM logs WHERE id = '{decision['id']}'")
    assert len(row["stages"]) < 2_000
    assert "stages" not in (await classifying.logs())[0]


async def test_a_failed_model_is_a_skipped_stage(product: Product) -> None:
    product.gateway.enqueue(*[UpstreamCapacityError("full")] * 9)
    decision = (await product.route("Leave?", explain=True)).json()
    last = decision["explanation"]["stages"][-1]
    assert (last["name"], last["outcome"], last["reason"]) == ("model", "skipped", "capacity")


async def test_a_chat_logs_the_stages_of_its_routing(product: Product) -> None:
    product.gateway.enqueue(says("hr"), says("hr"), says("hr"))
    for model, names in (("auto", ["label", "model"]), ("agent:hr", None)):
        body = {"model": model, "messages": [{"role": "user", "content": "Leave?"}]}
        answered = await product.call("POST", "/v1/chat/completions", body)
        chat = answered.json()["edgeneuro"]["decision_id"]
        stages = (await product.call("GET", f"/v1/logs/{chat}")).json()["stages"]
        found = None if stages is None else [stages[0]["name"], stages[-1]["name"]]
        assert found == names


async def test_a_row_of_an_older_version_has_no_stages(product: Product) -> None:
    product.gateway.enqueue(says("hr"))
    decision = (await product.route("Leave?")).json()
    [row] = product.rows("SELECT stages FROM logs")
    assert json.loads(row["stages"])[-1]["name"] == "model"
    product.execute("UPDATE logs SET stages = NULL")
    assert (await product.call("GET", f"/v1/logs/{decision['id']}")).json()["stages"] is None
