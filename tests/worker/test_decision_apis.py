"""The decision APIs over HTTP: OpenAI's own client, and a plain System One request."""

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from openai.types import Decision
from openai.types.decision_create_params import Question

from tests.worker.product import Product
from tests.worker.test_chat import set_faults
from tests.worker.test_route import log_entry

CLEF = "@cf/cloudflare/clef"
AGENTS: Question = {
    "type": "choice",
    "name": "who",
    "instructions": "Which agent should answer?",
    "choices": [{"value": "it_support"}, {"value": "hr"}, {"value": "none"}],
}
URGENT: Question = {"type": "predicate", "name": "urgent", "instructions": "Is it urgent?"}
TONE: Question = {
    "type": "choice",
    "instructions": "Is the message polite?",
    "choices": [{"value": True}, {"value": False}, {"value": "true"}],
}
MOOD: Question = {
    "type": "score",
    "name": "mood",
    "instructions": "How happy is the writer?",
    "levels": [{"label": "not at all"}, {"label": "somewhat"}, {"label": "very"}],
}


def text(words: str = "My VPN does not connect") -> str:
    """One that no cache has seen."""
    return f"{words} ({uuid.uuid4().hex})"


def facts_of(decision: Decision) -> dict[str, Any]:
    assert decision.model_extra is not None
    facts: dict[str, Any] = decision.model_extra["edgeneuro"]
    return facts


@pytest.fixture
def ask(product: Product) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"{product.base_url}/v1", api_key=product.admin_token, timeout=60
    ) as client:
        yield client


def test_openais_client_routes(ask: openai.OpenAI, client: httpx.Client) -> None:
    raw = ask.decisions.with_raw_response.create(model="auto", input=text(), questions=[AGENTS])
    decision = raw.parse()
    [answer] = decision.answers
    assert answer.type == "choice"
    assert (answer.name, answer.choice) == ("who", "it_support")
    assert {each.value for each in answer.probabilities} == {"it_support", "hr", "none"}
    assert sum(each.probability for each in answer.probabilities) == pytest.approx(1, abs=1e-5)
    assert decision.usage.total_tokens > 0
    decision_id = facts_of(decision)["decision_id"]
    assert raw.headers["x-edgeneuro-decision-id"] == decision_id
    entry = log_entry(client, decision_id)
    assert (entry["kind"], entry["agent_id"], entry["layer"]) == ("route", "it_support", "llm")


def test_a_state_with_integers_that_are_no_javascript_numbers(client: httpx.Client) -> None:
    question = {"type": "noul", "instructions": "Is it urgent?"}
    state = {"message": text(), "order": 2**63 - 1, "user": -(2**53) + 1}
    body = {"model": "clef", "state": state, "questions": {"urgent": question}}
    answered = client.post("/v1/systemone", json=body)
    assert answered.status_code == 200, answered.text
    assert 0 <= answered.json()["answers"]["urgent"]["noul"] <= 1


def test_a_label_decides_the_same_question_from_then_on(
    ask: openai.OpenAI, client: httpx.Client
) -> None:
    question = text()
    first = ask.decisions.create(model="auto", input=question, questions=[AGENTS])
    log_id = facts_of(first)["decision_id"]
    log_entry(client, log_id)
    client.put(f"/v1/logs/{log_id}/label", json={"agent_id": "hr"}).raise_for_status()
    again = ask.decisions.create(model="auto", input=question, questions=[AGENTS])
    [answer] = again.answers
    assert answer.type == "choice"
    assert (answer.choice, facts_of(again)["layer"], answer.confidence) == ("hr", "label", 1)


def test_openais_client_asks_a_decision_model(ask: openai.OpenAI, client: httpx.Client) -> None:
    decision = ask.decisions.create(
        model=CLEF,
        input=[
            {"role": "developer", "content": "A help desk."},
            {"role": "user", "content": [{"type": "input_text", "text": text()}]},
        ],
        questions=[URGENT, TONE, MOOD],
        safety_identifier="user-7",
        prompt_cache_key="k",
    )
    urgent, tone, mood = decision.answers
    assert (urgent.type, urgent.name) == ("predicate", "urgent")
    assert urgent.type == "predicate" and 0 <= urgent.probability <= 1
    assert tone.type == "choice" and tone.name is None
    assert [each.value for each in tone.probabilities] == [True, False, "true"]
    assert mood.type == "score" and 0 <= mood.score <= 2
    assert [each.value for each in mood.probabilities] == [0, 1, 2]
    assert decision.model == CLEF
    entry = log_entry(client, facts_of(decision)["decision_id"])
    assert (entry["kind"], entry["user"], entry["model"]) == ("questions", "user-7", CLEF)
    assert entry["cost_usd"] > 0


def test_a_plain_system_one_request(client: httpx.Client) -> None:
    body = {
        "model": "clef",
        "state": {"subject": "VPN", "body": text()},
        "questions": {
            "urgent": {"type": "noul", "instructions": "Is it urgent?"},
            "topic": {
                "type": "choice",
                "instructions": "What is it about?",
                "criteria": {"network": "VPN, wifi", "leave": None},
            },
            "mood": {"type": "score", "instructions": "How happy?", "criteria": ["low", "high"]},
        },
    }
    answered = client.post("/v1/systemone", json=body)
    assert answered.status_code == 200, answered.text
    answers = answered.json()["answers"]
    assert list(answers) == ["urgent", "topic", "mood"]
    assert set(answers["topic"]["probabilities"]) == {"network", "leave"}
    assert answers["mood"]["legend"] == {"0": "low", "1": "high"}
    assert answered.json()["usage"]["input_tokens"] > 0
    who = {"agent": {"type": "choice", "instructions": "Who?"}}
    answered = client.post("/v1/systemone", json={"state": text(), "questions": who})
    assert answered.json()["answers"]["agent"]["choice"] == "it_support"


def test_a_state_that_has_a_name_twice_reaches_the_model(client: httpx.Client) -> None:
    """JSON does not forbid it, and the binding gets the object all the same."""
    body = (
        '{"model": "clef", "state": {"a": 1, "a": 2}, "questions":'
        ' {"x": {"type": "noul", "instructions": "Is it so?"}}}'
    )
    answered = client.post("/v1/systemone", content=body)
    assert answered.status_code == 200, answered.text


def test_a_state_of_a_megabyte_is_cut(client: httpx.Client) -> None:
    noul = {"type": "noul", "instructions": "Is it long?"}
    body = {"model": "clef-flash", "state": "word " * 200_000, "questions": {"long": noul}}
    answered = client.post("/v1/systemone", json=body)
    assert answered.status_code == 200, answered.text
    assert answered.json()["edgeneuro"]["state_cut"]["left_out"] > 900_000


@pytest.mark.parametrize(
    ("fault", "raised", "status"),
    [
        ({"kind": "reject"}, openai.BadRequestError, 400),
        ({"kind": "error", "code": 3040}, openai.RateLimitError, 429),
        ({"kind": "status", "status": 500}, openai.InternalServerError, 502),
    ],
)
def test_an_upstream_error_is_raised_and_not_sent_again(
    ask: openai.OpenAI,
    emulator: httpx.Client,
    fault: dict[str, Any],
    raised: type[openai.APIStatusError],
    status: int,
) -> None:
    set_faults(emulator, {"*": fault})
    with pytest.raises(raised) as caught:
        ask.decisions.create(model=CLEF, input=text(), questions=[URGENT])
    assert caught.value.status_code == status
    assert caught.value.response.headers["x-should-retry"] == "false"


def test_errors_name_the_field(ask: openai.OpenAI) -> None:
    twice: Question = {
        "type": "choice",
        "instructions": "?",
        "choices": [{"value": "a"}, {"value": "a"}],
    }
    with pytest.raises(openai.BadRequestError) as caught:
        ask.decisions.create(model=CLEF, input=text(), questions=[URGENT, twice])
    assert caught.value.param == "questions[1].choices[1].value"
    with pytest.raises(openai.BadRequestError) as caught:
        ask.decisions.create(model="auto", input=text(), questions=[URGENT])
    assert caught.value.code == "no_decision_model"
    with pytest.raises(openai.NotFoundError):
        ask.decisions.create(model="gpt-6-luna", input=text(), questions=[URGENT])
