"""The policy's outcomes beside one agent: a clarifying question, and several agents."""

from dataclasses import replace
from typing import Any

import pytest

from edgeneuro.domain.conversation import PreviousTurn
from edgeneuro.settings import Settings
from edgeneuro.synapsecore import policy
from edgeneuro.synapsecore.decision_log import log_decision
from edgeneuro.synapsecore.policy import Decision
from edgeneuro.synapsecore.ranking import Ranking, Source, partial_ranking
from edgeneuro.synapsecore.router import MODEL, run_pipeline
from edgeneuro.synapsecore.turn import Turn
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit import classifiers
from tests.unit.conftest import Product, says
from tests.unit.decision_models import chose, decision_product
from tests.unit.test_pipeline import turn_of

CLOSE = {"it_support": 0.45, "hr": 0.4, "general": 0.05, "none": 0.1}
CLEAR = {"it_support": 0.8, "hr": 0.1, "general": 0.05, "none": 0.05}
THREE = {"it_support": 0.33, "hr": 0.31, "general": 0.3, "none": 0.06}
SPREAD = {"it_support": 0.26, "hr": 0.24, "general": 0.1, "none": 0.2}
VAGUE = {"it_support": 0.5, "hr": 0.25, "general": 0.2, "none": 0.05}
ASKED = "Which of these should help you?\n1. IT Support\n2. Human Resources"


@pytest.fixture
async def product(database: SqliteDatabase, settings: Settings) -> Product:
    return await decision_product(database, settings)


def ranking_of(probabilities: dict[str, float], **fields: Any) -> Ranking:
    known = dict(probabilities)
    none = known.pop("none", None)
    best = max(known, key=known.__getitem__)
    best_or_none = None if none is not None and none > known[best] else best
    source = Source("decision_model", "clef")
    defaults = {"none": none, "confidence_source": "decision_model"}
    return Ranking(best_or_none, known, source, **(defaults | fields))


def shown(decision: Decision) -> tuple[Any, ...]:
    """The outcome, and whom it names."""
    if decision.clarify is not None:
        return ("clarify", *(option.agent_id for option in decision.clarify.options))
    if decision.agents:
        return ("agents", *(each.id for each in decision.agents))
    return (decision.outcome, None if decision.agent is None else decision.agent.id)


async def decide(
    product: Product, ranking: Ranking, changes: dict[str, Any], **turn: Any
) -> Decision:
    before = await turn_of(product, "Where is my form?")
    config = replace(before.config, **changes)
    switches = {name: changes.get(name, False) for name in ("clarify", "several")}
    changed: Turn = replace(before, config=config, **(switches | turn))
    return policy.decide(changed, ranking)


CLARIFY = {"clarify": True}
TABLE: list[tuple[str, Ranking, dict[str, Any], tuple[Any, ...]]] = [
    ("off", ranking_of(CLOSE), {}, ("fallback", "general")),
    ("two are close", ranking_of(CLOSE), CLARIFY, ("clarify", "it_support", "hr")),
    ("one is clear", ranking_of(CLEAR), CLARIFY, ("agent", "it_support")),
    ("three are close", ranking_of(THREE), CLARIFY, ("clarify", "it_support", "hr", "general")),
    (
        "a smaller margin",
        ranking_of(CLOSE),
        {"clarify": True, "clarify_margin": 0.04, "confidence_threshold": 0.4},
        ("agent", "it_support"),
    ),
    ("they have too little together", ranking_of(SPREAD), CLARIFY, ("fallback", "general")),
    (
        "too improbable to be named",
        ranking_of(CLOSE),
        {"clarify": True, "clarify_min_probability": 0.42},
        ("fallback", "general"),
    ),
    (
        "none is best",
        ranking_of({"it_support": 0.3, "hr": 0.3, "none": 0.4}),
        CLARIFY,
        ("fallback", "general"),
    ),
    (
        "the model says that a question is needed",
        ranking_of(VAGUE, clarify_probability=0.9),
        CLARIFY,
        ("clarify", "it_support", "hr", "general"),
    ),
    (
        "it says so below the threshold",
        ranking_of(VAGUE, clarify_probability=0.7),
        CLARIFY,
        ("agent", "it_support"),
    ),
    (
        "a question is needed, but there is one agent to name",
        ranking_of(CLEAR, clarify_probability=0.9),
        CLARIFY,
        ("agent", "it_support"),
    ),
    (
        "a model that names one agent",
        partial_ranking("hr", 0.4, Source("llm"), "stated"),
        CLARIFY,
        ("fallback", "general"),
    ),
    (
        "a model against a classifier that is not sure",
        partial_ranking("hr", 0.9, Source("llm"), "stated"),
        CLARIFY,
        ("agent", "hr"),
    ),
    (
        "the same with its ranking",
        replace(
            partial_ranking("hr", 0.9, Source("llm"), "stated"),
            unsure=ranking_of(CLOSE, sure=False),
        ),
        CLARIFY,
        ("clarify", "hr", "it_support"),
    ),
    (
        "a model and a classifier that agree",
        replace(
            partial_ranking("it_support", 0.9, Source("llm"), "stated"),
            unsure=ranking_of(CLOSE, sure=False),
        ),
        CLARIFY,
        ("agent", "it_support"),
    ),
    (
        "a model that names neither of the close ones",
        replace(
            partial_ranking("general", 0.9, Source("llm"), "stated"),
            unsure=ranking_of(CLOSE, sure=False),
        ),
        CLARIFY,
        ("agent", "general"),
    ),
    (
        "a label",
        ranking_of({"hr": 1.0, "it_support": 1.0}, confidence_source="label"),
        CLARIFY,
        ("agent", "hr"),
    ),
    ("several, off", ranking_of(CLOSE, several_probability=0.95), {}, ("fallback", "general")),
    (
        "several",
        ranking_of(CLOSE, several_probability=0.95),
        {"several": True},
        ("agents", "it_support", "hr"),
    ),
    (
        "several before a question",
        ranking_of(CLOSE, several_probability=0.95),
        {"several": True, "clarify": True},
        ("agents", "it_support", "hr"),
    ),
    (
        "several below the threshold",
        ranking_of(CLOSE, several_probability=0.5),
        {"several": True, "clarify": True},
        ("clarify", "it_support", "hr"),
    ),
    (
        "several, but the others are improbable",
        ranking_of(CLEAR, several_probability=0.95),
        {"several": True},
        ("agent", "it_support"),
    ),
    (
        "a lower probability for each",
        ranking_of(CLEAR, several_probability=0.95),
        {"several": True, "several_min_probability": 0.05},
        ("agents", "it_support", "hr", "general"),
    ),
]


@pytest.mark.parametrize(
    ("ranking", "changes", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
async def test_the_outcome_of_a_ranking(
    product: Product, ranking: Ranking, changes: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    assert shown(await decide(product, ranking, changes)) == expected


async def test_who_answers_if_nobody_can_be_asked(product: Product) -> None:
    unsure = await decide(product, ranking_of(CLOSE), CLARIFY)
    assert (unsure.agent and unsure.agent.id, unsure.answering) == ("general", None)
    sure = await decide(product, ranking_of(CLOSE), {**CLARIFY, "confidence_threshold": 0.4})
    assert (sure.agent and sure.agent.id, sure.agent_id) == ("it_support", None)
    assert (sure.reason, sure.layer, sure.confidence) == ("ambiguous", "decision_model", None)


@pytest.mark.parametrize("agent_id", ["it_support", "hr"])
async def test_the_conversation_answers_the_question(product: Product, agent_id: str) -> None:
    previous = PreviousTurn(agent_id, "My VPN?", "Please try it again.")
    decision = await decide(product, ranking_of(CLOSE), CLARIFY, previous=previous)
    assert shown(decision) == ("agent", agent_id)
    assert decision.reason == "previous_agent" and decision.confidence == CLOSE[agent_id]
    other = PreviousTurn("general", "My VPN?", "Please try it again.")
    assert shown(await decide(product, ranking_of(CLOSE), CLARIFY, previous=other))[0] == "clarify"


async def test_it_never_asks_twice_in_a_row(product: Product) -> None:
    asked = PreviousTurn(None, "Where is my form?", ASKED)
    decision = await decide(product, ranking_of(CLOSE), CLARIFY, previous=asked)
    assert shown(decision) == ("fallback", "general")


async def test_a_rule_that_prefers_an_agent_answers_the_question(product: Product) -> None:
    turn = await turn_of(product, "Where is my form?")
    hr = turn.agent("hr")
    assert hr is not None
    decision = await decide(product, ranking_of(CLOSE), CLARIFY, preferred_agent=hr)
    assert (shown(decision), decision.reason) == (("agent", "hr"), "preferred_by_rule")


async def test_nothing_is_asked_about_one_allowed_agent(product: Product) -> None:
    turn = await turn_of(product, "Where is my form?")
    only = tuple(agent for agent in turn.agents if agent.id == "hr")
    ranking = ranking_of({"hr": 0.6, "it_support": 0.5})
    assert shown(await decide(product, ranking, CLARIFY, agents=only)) == ("agent", "hr")


# Over the API.


async def test_a_request_asks_for_the_question(product: Product) -> None:
    product.gateway.enqueue(chose(CLOSE))
    plain = (await product.route("Where is my form?")).json()
    assert (plain["outcome"], "clarify" in plain, "agents" in plain) == ("fallback", False, False)
    decision = (await product.route("Where is my form?", policy={"clarify": True})).json()
    assert decision["outcome"] == "clarify" and decision["cache"] == "hit"
    assert decision["clarify"] == {
        "text": ASKED,
        "options": [
            {"agent_id": "it_support", "label": "IT Support"},
            {"agent_id": "hr", "label": "Human Resources"},
        ],
    }
    assert (decision["agent"]["id"], decision["confidence"]) == ("general", None)
    assert decision["reason"] == "ambiguous"
    row = (await product.logs())[0]
    assert (row["outcome"], row["agent_id"], row["reason"]) == ("clarify", None, "ambiguous")
    found = (await product.call("GET", "/v1/logs?outcome=clarify")).json()["data"]
    assert [each["id"] for each in found] == [decision["id"]]


async def test_the_setting_applies_until_the_request_forbids_it(product: Product) -> None:
    settings = {"clarify": True, "clarify_text": "  Wer soll\nhelfen? "}
    assert (await product.call("PATCH", "/v1/config", settings)).status == 200
    product.gateway.enqueue(chose(CLOSE))
    decision = (await product.route("Where is my form?")).json()
    assert decision["clarify"]["text"].startswith("Wer soll helfen?\n1. IT Support")
    forbidden = (await product.route("Where is my form?", policy={"clarify": False})).json()
    assert forbidden["outcome"] == "fallback"
    unknown = await product.route("Hm", policy={"ask": True})
    assert (unknown.status, unknown.json()["error"]["param"]) == (400, "policy.ask")


@pytest.mark.parametrize(
    ("reply", "outcome", "agent"),
    [
        ("2", "agent", "hr"),
        ("IT please", "agent", "it_support"),
        ("neither", "fallback", "general"),
    ],
)
async def test_the_reply_decides_without_a_model(
    product: Product, reply: str, outcome: str, agent: str
) -> None:
    context = {"previous_user": "Where is my form?", "previous_assistant": ASKED}
    for _ in range(2):  # two answers to one question are two decisions
        decision = (await product.route(reply, context=context, cache=False)).json()
        assert (decision["outcome"], decision["agent"]["id"]) == (outcome, agent)
        assert decision["attempts"] == [] and decision["cache"] == "bypass"
    row = (await product.logs())[0]
    assert row["query"] == reply and row["context"]["previous_assistant"] == ASKED
    if outcome == "agent":
        assert (row["layer"], row["confidence_source"]) == ("session", "session")
    assert product.gateway.decision_requests == []


async def test_a_reply_that_chooses_an_excluded_agent_is_routed(product: Product) -> None:
    product.gateway.enqueue(chose({"it_support": 0.9, "general": 0.05, "none": 0.05}))
    decision = (
        await product.route(
            "2",
            context={"previous_assistant": ASKED},
            candidates=["it_support", "general"],
            explain=True,
        )
    ).json()
    assert decision["layer"] == "decision_model"
    stage = decision["explanation"]["stages"][0]
    assert (stage["name"], stage["outcome"]) == ("clarified", "skipped")


async def test_a_new_message_instead_of_a_reply_is_routed(product: Product) -> None:
    product.gateway.enqueue(chose(CLEAR))
    context = {"previous_user": "Where is my form?", "previous_assistant": ASKED}
    decision = (await product.route("My VPN is down again", context=context)).json()
    assert (decision["layer"], decision["agent"]["id"]) == ("decision_model", "it_support")


async def test_both_is_for_several_if_they_are_allowed(product: Product) -> None:
    context = {"previous_assistant": ASKED}
    one = (await product.route("both", context=context)).json()
    assert (one["outcome"], one["agent"]["id"]) == ("agent", "it_support")
    two = (await product.route("both", context=context, policy={"several": True})).json()
    assert [each["id"] for each in two["agents"]] == ["it_support", "hr"]


async def test_the_stage_is_not_there_for_other_messages(product: Product) -> None:
    product.gateway.enqueue(chose(CLEAR))
    context = {"previous_assistant": "Please restart it."}
    decision = (await product.route("Done", context=context, explain=True)).json()
    assert "clarified" not in {each["name"] for each in decision["explanation"]["stages"]}


async def test_several_agents_have_their_probabilities(product: Product) -> None:
    product.gateway.enqueue(chose(CLOSE, several=0.9))
    decision = (await product.route("VPN and leave", policy={"several": True})).json()
    assert decision["outcome"] == "agents" and decision["reason"] == "several_requests"
    assert decision["agent"]["id"] == "it_support" and decision["confidence"] == 0.45
    assert decision["agents"] == [
        {
            "id": "it_support",
            "name": "IT Support",
            "endpoint": None,
            "protocol": None,
            "probability": 0.45,
        },
        {
            "id": "hr",
            "name": "Human Resources",
            "endpoint": None,
            "protocol": None,
            "probability": 0.4,
        },
    ]
    row = (await product.logs())[0]
    assert (row["outcome"], row["agent_id"], row["confidence"]) == ("agents", "it_support", 0.45)


async def test_the_classifier_finds_the_parts(empty_product: Product) -> None:
    await classifiers.create_agents(empty_product)
    classifiers.install(empty_product, "clf_1")
    await classifiers.select(empty_product, "clf_1", several=True)
    empty_product.gateway.enqueue(says("agent_0"))
    await classifiers.load(empty_product)
    first, second = classifiers.known("agent_1", 3), classifiers.known("agent_2", 4)
    empty_product.gateway.enqueue(says("agent_1"))
    decision = (await empty_product.route(f"{first}. {second}?")).json()
    assert decision["outcome"] == "agents"
    parts = {each["id"]: each["part"] for each in decision["agents"]}
    assert parts == {"agent_1": f"{first}.", "agent_2": f"{second}?"}
    shares = [each["probability"] for each in decision["agents"]]
    assert shares == sorted(shares, reverse=True) and decision["confidence"] == shares[0]
    one = (await empty_product.route(f"{first}. {classifiers.known('agent_1', 5)}")).json()
    assert one["outcome"] == "agent"


class UnsureRanker:
    """A classifier that has two close agents."""

    name = "classifier"
    layer = "classifier"

    async def rank(self, turn: Turn) -> Ranking:
        return ranking_of(CLOSE, sure=False, confidence_source="classifier")


@pytest.mark.parametrize(
    ("named", "expected"),
    [("hr", ("clarify", "hr", "it_support")), ("it_support", ("agent", "it_support"))],
)
async def test_a_model_and_an_unsure_classifier(
    product: Product, named: str, expected: tuple[Any, ...]
) -> None:
    llama = {"routing_model": "@cf/meta/llama-3.2-1b-instruct", "clarify": True}
    await product.call("PATCH", "/v1/config", llama)
    product.gateway.enqueue(says(named))
    result = await run_pipeline(await turn_of(product, "Form?"), (UnsureRanker(), MODEL))
    assert shown(result.decision) == expected
    assert result.decision.ranking is not None and result.decision.ranking.best == named
    await log_decision(result, [])
    found = (await product.call("POST", "/v1/outcomes/preview", {})).json()
    assert found["now"]["outcomes"][expected[0]] == 1


async def test_a_cached_answer_is_weighed_against_the_classifier_too(
    empty_product: Product,
) -> None:
    product = empty_product
    await classifiers.create_agents(product)
    classifiers.install(product, "clf_1", classifiers.never_sure())
    await classifiers.select(product, "clf_1")
    product.gateway.enqueue(says("agent_0"))
    await classifiers.load(product)
    product.gateway.enqueue(says("agent_1"), says("agent_1"))
    stages = {}
    for clarify in (False, True):
        fields = {"policy": {"clarify": clarify}, "explain": True}
        for _ in range(2):
            decision = (await product.route("Form?", **fields)).json()
        found = decision["explanation"]["stages"]
        stages[clarify] = [each["name"] for each in found if each["outcome"] != "skipped"]
        assert decision["cache"] == "hit"
    assert stages == {False: ["memory_cache"], True: ["classifier", "stored_cache"]}


async def test_a_label_of_a_question_says_nothing_of_the_model(product: Product) -> None:
    product.gateway.enqueue(chose(CLOSE))
    for clarify in (True, False):
        decision = (await product.route("Form?", cache=False, policy={"clarify": clarify})).json()
        label = await product.call("PUT", f"/v1/logs/{decision['id']}/label", {"agent_id": "hr"})
        assert label.status == 200
        assert bool(product.gateway.patched) is not clarify
        product.gateway.enqueue(chose(CLOSE))


async def test_a_question_is_not_counted_as_a_wrong_answer(product: Product) -> None:
    product.gateway.enqueue(chose(CLOSE), chose(CLEAR))
    await product.route("Where is my form?", policy={"clarify": True})
    await product.route("My VPN is down")
    product.clock.seconds += 1
    for row in await product.logs():
        label = {"agent_id": "it_support"}
        assert (await product.call("PUT", f"/v1/logs/{row['id']}/label", label)).status == 200
    analytics = (await product.call("GET", "/v1/analytics?group_by=reason")).json()
    accuracy = analytics["totals"]["accuracy"]
    assert (accuracy["other_labelled"], accuracy["other_right"]) == (1, 1)
    assert {each["key"]: each["requests"] for each in analytics["groups"]} == {
        None: 1,
        "ambiguous": 1,
    }
