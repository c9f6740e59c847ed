"""A decision model routes, over HTTP through workerd: the emulator speaks System One for the Clef
models. Its faults become reasons, and never errors."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.http_client import http_client
from tests.worker.product import LocalProduct
from tests.worker.test_route import log_entry, route, unique

CLEF = "@cf/cloudflare/clef"
GRANITE = "@cf/ibm-granite/granite-4.0-h-micro"


@pytest.fixture(scope="module")
def selected(sandbox: LocalProduct) -> Iterator[httpx.Client]:
    """A client of a product whose active model is a decision model, with a text model as its
    fallback."""
    with http_client(sandbox.base_url, sandbox.admin_token) as client:
        client.patch("/v1/config", json={"fallback_models": [GRANITE]}).raise_for_status()
        client.post("/v1/models/select", json={"model_id": CLEF}).raise_for_status()
        yield client
        client.patch(
            "/v1/config", json={"routing_model": None, "fallback_models": None}
        ).raise_for_status()


@pytest.fixture
def engine(sandbox: LocalProduct) -> Iterator[httpx.Client]:
    assert sandbox.local_ai_url is not None
    with http_client(sandbox.local_ai_url) as engine:
        yield engine
        engine.delete("/_local/faults").raise_for_status()


def test_it_routes_with_the_probabilities_of_all_agents(selected: httpx.Client) -> None:
    agents = {each["id"] for each in selected.get("/v1/agents?limit=100").json()["data"]}
    query = unique("My VPN does not connect")
    decision = route(selected, query, top_k=250, explain=True)
    assert decision["agent"]["id"] == "it_support" and decision["outcome"] == "agent"
    assert decision["layer"] == decision["confidence_source"] == "decision_model"
    assert (decision["model"], decision["cache"]) == (CLEF, "miss")
    scores = {each["agent_id"]: each["probability"] for each in decision["scores"]}
    assert set(scores) == agents
    assert sum(scores.values()) + decision["none_probability"] == pytest.approx(1)
    assert decision["confidence"] == max(scores.values()) == scores["it_support"]
    assert decision["usage"]["prompt_tokens"] > 0 and decision["cost_usd"] > 0
    [attempt] = decision["attempts"]
    assert (attempt["model"], attempt["outcome"]) == (CLEF, "ok")
    explained = decision["explanation"]
    assert explained["messages"] is None and explained["state"] == query
    assert set(explained["questions"]["agent"]["criteria"]) == {*agents, "none"}

    again = route(selected, query, top_k=250)
    assert (again["layer"], again["cache"], again["attempts"]) == ("cache", "hit", [])
    assert again["scores"] == decision["scores"]
    assert again["none_probability"] == decision["none_probability"]


def test_it_says_whether_a_message_continues_the_turn_before(selected: httpx.Client) -> None:
    context = {"previous_agent": "hr", "previous_assistant": "From which day?"}
    for query, agent, continues in (("The 1st", "hr", True), ("My VPN", "it_support", False)):
        decision = route(selected, unique(query), context=context, explain=True)
        assert decision["agent"]["id"] == agent
        assert "follow_up" in decision["explanation"]["questions"]
        stage = log_entry(selected, decision["id"])["stages"][-1]
        assert (stage["follow_up_probability"] > 0.5) == continues
    assert (
        "follow_up" not in route(selected, unique("Hi"), explain=True)["explanation"]["questions"]
    )


def test_the_log_row_has_the_stages_and_the_question(selected: httpx.Client) -> None:
    query = unique("How many vacation days do I have left?")
    decision = route(selected, query)
    entry = log_entry(selected, decision["id"])
    assert entry["layer"] == entry["confidence_source"] == "decision_model"
    assert entry["confidence"] == decision["confidence"] and entry["prompt_version"] == "d1"
    stage = entry["stages"][-1]
    assert (stage["name"], stage["outcome"]) == ("model", "decided")
    assert stage["scores"][0]["agent_id"] == "hr"
    assert 0 <= stage["clarify_probability"] <= 1 and 0 <= stage["several_probability"] <= 1
    assert (stage["agents_left_out"], stage["agents_cut"], stage["state_cut"]) == (0, 0, 0)
    assert entry["messages"] is None and entry["state"] == query
    assert entry["questions"]["clarify"]["type"] == "noul"
    found = selected.get("/v1/logs", params={"layer": "decision_model", "limit": 1000}).json()
    assert decision["id"] in {each["id"] for each in found["data"]}


def test_no_agent_fits_a_foreign_question(selected: httpx.Client) -> None:
    decision = route(selected, unique("zxqv wkrt plmn"), on_no_fit="none")
    assert (decision["outcome"], decision["agent"]) == ("none", None)
    assert decision["reason"] in ("out_of_scope", "low_confidence")


INVALID: list[dict[str, Any]] = [
    {"kind": "truncated_json"},
    {"kind": "invalid_answer"},
    {"kind": "wrong_json"},
    {"kind": "empty"},
    {"kind": "unknown_agent"},
    {"kind": "missing_question", "question": "agent"},
    {"kind": "refusal", "question": "agent"},
    {"kind": "wrong_type", "question": "agent"},
    {"kind": "nan_probability", "question": "agent"},
    {"kind": "negative_probability", "question": "agent"},
    {"kind": "wrong_sum", "question": "agent"},
]


@pytest.mark.parametrize("fault", INVALID, ids=lambda fault: fault["kind"])
def test_an_answer_that_cannot_be_used_goes_to_the_next_model(
    selected: httpx.Client, engine: httpx.Client, fault: dict[str, Any]
) -> None:
    engine.put("/_local/faults", json={CLEF: fault}).raise_for_status()
    decision = route(selected, unique("My VPN does not connect"))
    outcomes = [(each["model"], each["outcome"]) for each in decision["attempts"]]
    assert outcomes == [(CLEF, "invalid_output"), (GRANITE, "ok")]
    assert (decision["layer"], decision["agent"]["id"]) == ("llm", "it_support")


@pytest.mark.parametrize(
    ("fault", "missing"),
    [
        ({"kind": "missing_question", "question": "clarify"}, "clarify_probability"),
        ({"kind": "missing_question", "question": "several"}, "several_probability"),
        ({"kind": "unasked_question"}, None),
        ({"kind": "no_output_tokens"}, None),
    ],
)
def test_less_or_more_than_was_asked_is_an_answer(
    selected: httpx.Client, engine: httpx.Client, fault: dict[str, Any], missing: str | None
) -> None:
    engine.put("/_local/faults", json={CLEF: fault}).raise_for_status()
    decision = route(selected, unique("My VPN does not connect"), explain=True)
    assert (decision["layer"], decision["agent"]["id"]) == ("decision_model", "it_support")
    stage = decision["explanation"]["stages"][-1]
    known = {"clarify_probability", "several_probability"} - {missing}
    assert all(stage[name] is not None for name in known)
    assert missing is None or stage[missing] is None


def test_an_unusable_answer_in_ai_gateways_cache_is_asked_for_again(
    selected: httpx.Client, engine: httpx.Client
) -> None:
    query = unique("My VPN does not connect")
    fault = {"kind": "wrong_json", "times": 1}
    engine.put("/_local/faults", json={CLEF: fault}).raise_for_status()
    assert route(selected, query)["layer"] == "llm"
    decision = route(selected, query)
    outcomes = [each["outcome"] for each in decision["attempts"]]
    assert (decision["layer"], outcomes) == ("decision_model", ["invalid_output", "ok"])


# Outcomes: a clarifying question and several agents. The emulator compares words, so a message with
# words of two agents is about as much for one as for the other.

BOTH = "Password and salary payslip"


@pytest.fixture
def loose(selected: httpx.Client) -> Iterator[httpx.Client]:
    """Thresholds that this message passes."""
    settings = {
        "clarify_margin": 1.0,
        "clarify_min_probability": 0.01,
        "several_threshold": 0.0,
        "several_min_probability": 0.01,
    }
    selected.patch("/v1/config", json=settings).raise_for_status()
    yield selected
    unset = dict.fromkeys([*settings, "several_answers"])
    selected.patch("/v1/config", json=unset).raise_for_status()


def test_a_clarifying_question_and_its_reply(loose: httpx.Client) -> None:
    query = unique(BOTH)
    asked = route(loose, query, policy={"clarify": True})
    assert (asked["outcome"], asked["reason"]) == ("clarify", "ambiguous")
    options = asked["clarify"]["options"]
    assert 2 <= len(options) <= 3 and asked["clarify"]["text"].count("\n") == len(options)
    assert log_entry(loose, asked["id"])["agent_id"] is None

    context = {"previous_user": query, "previous_assistant": asked["clarify"]["text"]}
    for reply in ("2", "the second one", f"{options[1]['label']} please"):
        chosen = route(loose, reply, context=context)
        assert (chosen["outcome"], chosen["layer"]) == ("agent", "session")
        assert chosen["agent"]["id"] == options[1]["agent_id"] and chosen["attempts"] == []
    none = route(loose, "neither", context=context, on_no_fit="none")
    assert (none["outcome"], none["reason"]) == ("none", "out_of_scope")
    other = route(loose, "My salary was not paid", context=context, policy={"clarify": True})
    assert other["layer"] != "session" and other["outcome"] != "clarify"


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_asks_and_the_reply_is_answered(loose: httpx.Client, stream: bool) -> None:
    messages: list[dict[str, Any]] = [{"role": "user", "content": unique(BOTH)}]
    policy = {"policy": {"clarify": True}}
    question, facts = chat(loose, messages, stream=stream, edgeneuro=policy)
    assert (facts["outcome"], facts["agent"]) == ("clarify", None)
    assert question == facts["clarify"]["text"]
    messages += [{"role": "assistant", "content": question}, {"role": "user", "content": "1"}]
    answer, facts = chat(loose, messages, stream=stream, edgeneuro=policy)
    assert answer and (facts["outcome"], facts["layer"]) == ("agent", "session")
    assert facts["agent"]["name"] in question


@pytest.mark.parametrize("stream", [False, True])
def test_several_agents_answer_one_after_another(loose: httpx.Client, stream: bool) -> None:
    policy = {"policy": {"several": True}}
    message = [{"role": "user", "content": unique(BOTH)}]
    first, facts = chat(loose, message, stream=stream, edgeneuro=policy)
    assert facts["outcome"] == "agents" and len(facts["agents"]) > 1
    others = ", ".join(each["name"] for each in facts["agents"][1:])
    assert first.endswith(f"{others} can help with the rest of your message.")
    loose.patch("/v1/config", json={"several_answers": "all"}).raise_for_status()
    whole, facts = chat(loose, message, stream=stream, edgeneuro=policy)
    for each in facts["agents"]:
        assert f"**{each['name']}**" in whole
    answers = [each for each in facts["attempts"] if each["purpose"] == "chat"]
    assert len(answers) == len(facts["agents"])


def test_thresholds_are_tried_on_logged_decisions(loose: httpx.Client) -> None:
    decision = route(loose, unique(BOTH))
    log_entry(loose, decision["id"])
    body = {"settings": {"clarify": True}, "limit": 1}
    found = loose.post("/v1/outcomes/preview", json=body).raise_for_status().json()
    assert (found["tested"], found["after"]["outcomes"]["clarify"]) == (1, 1)
    assert [each["log_id"] for each in found["examples"]] == [decision["id"]]


def chat(
    client: httpx.Client, messages: list[dict[str, Any]], *, stream: bool, **fields: Any
) -> tuple[str, Any]:
    """The text of the answer, and the facts at its end."""
    body = {"model": "auto", "messages": messages, "stream": stream, **fields}
    answered = client.post("/v1/chat/completions", json=body).raise_for_status()
    if not stream:
        whole = answered.json()
        return whole["choices"][0]["message"]["content"], whole["edgeneuro"]
    lines = [line.removeprefix("data: ") for line in answered.text.split("\n") if "{" in line]
    chunks = [json.loads(line) for line in lines]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    return "".join(each.get("content") or "" for each in deltas), chunks[-1]["edgeneuro"]
