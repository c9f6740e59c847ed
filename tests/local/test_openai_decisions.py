"""OpenAI's decisions, and both formats at other hosts: the official client, AI Gateway, hosts."""

from typing import Any

import httpx2
import openai
import pytest

from local.app import build_app
from tests.local.decision_requests import AGENTS, BEARER, CLEF, IMAGE, QUESTIONS, VPN, asked, decide
from tests.local.emulator import GATEWAY, Emulator, Json

CHOICES: list[Json] = [{"value": key, "description": text} for key, text in AGENTS.items()]
LEVELS: list[Json] = [{"label": "low"}, {"label": "high", "description": "does not connect"}]
BODY: Json = {
    "model": "gpt-6-luna",
    "input": [{"role": "user", "content": VPN}],
    "questions": [
        {"type": "choice", "name": "agent", "instructions": "Which agent?", "choices": CHOICES},
        {"type": "predicate", "instructions": "Is a clarifying question needed?"},
        {"type": "score", "name": "severity", "instructions": "How severe?", "levels": LEVELS},
    ],
}


def changed(**fields: Any) -> Json:
    return {**BODY, **fields}


def asking(question: Json) -> Json:
    return changed(questions=[question])


def client(emulator: Emulator, host: str) -> openai.AsyncOpenAI:
    """The official one, as if it called that host."""

    async def move(request: httpx2.Request) -> None:
        request.url = request.url.copy_with(
            scheme="http", host="localhost", path=f"/_outbound/{host}{request.url.path}"
        )

    http = httpx2.AsyncClient(
        transport=httpx2.ASGITransport(build_app(emulator.gateway), client=("127.0.0.1", 1)),
        event_hooks={"request": [move]},
    )
    return openai.AsyncOpenAI(
        api_key="sk-12345678", base_url=f"https://{host}/v1", http_client=http, max_retries=0
    )


@pytest.mark.parametrize("host", ["api.openai.com", "models.example.com"])
async def test_the_official_client_asks_and_reads(emulator: Emulator, host: str) -> None:
    async with client(emulator, host) as official:
        decision = await official.decisions.create(**BODY)
    assert decision.model == "gpt-6-luna"
    agent, clarify, severity = decision.answers
    assert agent.type == "choice"
    assert (agent.name, agent.choice) == ("agent", "it_support")
    shares = {each.value: each.probability for each in agent.probabilities}
    same = (await decide(emulator, asked(VPN, {"agent": QUESTIONS["agent"]})))["answers"]["agent"]
    assert shares == same["probabilities"]
    assert agent.confidence == same["confidence"]
    assert clarify.type == "predicate"
    assert (clarify.name, 0 <= clarify.probability < 0.5) == (None, True)
    assert severity.type == "score"
    assert [(each.label, each.value) for each in severity.probabilities] == [
        ("low", 0),
        ("high", 1),
    ]
    assert severity.score == severity.probabilities[1].probability
    assert severity.score > 0.5
    usage = decision.usage
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens > 0


async def test_through_ai_gateway(emulator: Emulator) -> None:
    url = f"{GATEWAY}/openai/decisions"
    refused = await emulator.client.post(url, json=BODY)
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
    answer = await emulator.client.post(url, json=BODY, headers=BEARER)
    assert answer.json()["answers"][0]["choice"] == "it_support"
    assert answer.json()["metadata"]["engine"] == "emulated"
    assert answer.headers["x-local-engine"] == "emulated"
    assert "cf-aig-log-id" in answer.headers
    steps = [
        {"provider": "workers-ai", "endpoint": CLEF, "query": {"model": "clef"}},
        {"provider": "openai", "endpoint": "decisions", "query": BODY, "headers": BEARER},
    ]
    universal = await emulator.client.post(GATEWAY, json=steps)
    assert universal.headers["cf-aig-step"] == "1"
    assert universal.json()["answers"] == answer.json()["answers"]
    elsewhere = await emulator.client.post(f"{GATEWAY}/groq/decisions", json=BODY, headers=BEARER)
    assert elsewhere.json()["internalCode"] == 2008


@pytest.mark.parametrize(
    ("url", "model"),
    [
        ("api.typesafe.ai/v1/systemone", "jev-latest"),
        ("api.fireworks.ai/inference/v1/systemone", "accounts/me/models/clef"),
        ("models.example.com/v1/systemone", "any-model"),
    ],
)
async def test_system_one_at_other_hosts(emulator: Emulator, url: str, model: str) -> None:
    body = asked(model=model)
    refused = await emulator.client.post(f"/_outbound/{url}", json=body)
    assert refused.status_code == 401
    answer = await emulator.client.post(f"/_outbound/{url}", json=body, headers=BEARER)
    assert answer.json()["model"] == model
    assert answer.json()["answers"] == (await decide(emulator))["answers"]
    bad = await emulator.client.post(
        f"/_outbound/{url}", json={**body, "questions": {}}, headers=BEARER
    )
    assert bad.status_code == 400
    assert "'/questions'" in bad.json()["error"]["message"]
    pictured = await emulator.client.post(
        f"/_outbound/{url}", json={**body, "images": [IMAGE]}, headers=BEARER
    )
    assert pictured.status_code == (200 if "clef" in model else 422)
    await emulator.fault(model, kind="missing_question")
    spoilt = await emulator.client.post(f"/_outbound/{url}", json=body, headers=BEARER)
    assert "agent" not in spoilt.json()["answers"]


async def test_decisions_at_fireworks_take_any_model(emulator: Emulator) -> None:
    url = "/_outbound/api.fireworks.ai/inference/v1/decisions"
    answer = await emulator.client.post(url, json=changed(model="mine"), headers=BEARER)
    assert answer.json()["model"] == "mine"
    elsewhere = await emulator.client.post(
        "/_outbound/api.openai.com/v1/systemone", json=asked(), headers=BEARER
    )
    assert elsewhere.status_code == 404


async def test_a_boolean_is_not_the_text_of_it(emulator: Emulator) -> None:
    choices: list[Json] = [
        {"value": True, "description": "vpn"},
        {"value": "true", "description": "salary"},
        {"value": False},
    ]
    question = {"type": "choice", "instructions": "Which?", "choices": choices}
    answer = await emulator.client.post(
        f"{GATEWAY}/openai/decisions", json=asking(question), headers=BEARER
    )
    (only,) = answer.json()["answers"]
    assert only["choice"] is True
    assert [each["value"] for each in only["probabilities"]] == [True, "true", False]


async def test_every_form_of_input(emulator: Emulator) -> None:
    def content(*parts: Json) -> list[Json]:
        return [{"type": "message", "role": "user", "content": list(parts)}]

    text: Json = {"type": "input_text", "text": VPN}
    forms: list[Any] = [
        VPN,
        content(text),
        content(text, {"type": "input_image", "image_url": IMAGE}),
        content({"type": "input_json", "data": {"message": VPN}}),
        [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "My salary"},
            {"role": "assistant", "content": [{"type": "output_text", "text": "Yes?"}]},
            {"type": "function_call", "call_id": "1", "name": "look", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "1", "output": "nothing"},
            {"role": "user", "content": VPN},
        ],
    ]
    for form in forms:
        answer = await emulator.client.post(
            f"{GATEWAY}/openai/decisions", json=changed(input=form), headers=BEARER
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["answers"][0]["choice"] == "it_support"


CHOICE: Json = BODY["questions"][0]
PREDICATE: Json = BODY["questions"][1]
SCORE: Json = BODY["questions"][2]
REFUSED: list[tuple[Any, str]] = [
    (changed(model=""), "model"),
    (changed(model="gpt-5"), "gpt-5"),
    ({"model": "gpt-6-luna", "questions": [PREDICATE]}, "'input'"),
    ({"model": "gpt-6-luna", "input": "x"}, "'questions'"),
    (changed(state="x"), "'state'"),
    (changed(input=""), "'input'"),
    (changed(input=[]), "'input'"),
    (changed(input=7), "'input'"),
    (changed(input=[{"role": "king", "content": "x"}]), "'input[0]'"),
    (changed(input=[{"role": "user", "content": 7}]), "'input[0].content'"),
    (changed(input=[{"role": "user", "content": [{"type": "audio"}]}]), "'input[0].content[0]'"),
    (changed(questions=[]), "1 to 400"),
    (changed(questions=[PREDICATE] * 401), "1 to 400"),
    (changed(questions={"q": PREDICATE}), "1 to 400"),
    (changed(questions=["yes?"]), "'questions[0].type'"),
    (asking({"type": "noul", "instructions": "x"}), "'questions[0].type'"),
    (asking({"type": "predicate"}), "'questions[0].instructions'"),
    (asking({**PREDICATE, "name": 7}), "'questions[0].name'"),
    (asking({**CHOICE, "choices": CHOICES[:1]}), "2 to 255"),
    (asking({**CHOICE, "choices": [{"value": str(at)} for at in range(256)]}), "2 to 255"),
    (asking({**CHOICE, "choices": [{"value": "a"}, {"value": "a"}]}), "there twice"),
    (asking({**CHOICE, "choices": [{"value": True}, {"value": True}]}), "there twice"),
    (asking({**CHOICE, "choices": [{"value": 1}, {"value": 2}]}), "choices[0].value"),
    (asking({**CHOICE, "choices": ["a", "b"]}), "choices[0].value"),
    (asking({**CHOICE, "choices": [{"value": "a", "description": 1}, {"value": "b"}]}), "descrip"),
    (asking({**SCORE, "levels": LEVELS[:1]}), "2 to 10"),
    (asking({**SCORE, "levels": LEVELS * 6}), "2 to 10"),
    (asking({**SCORE, "levels": [{"label": ""}, {"label": "b"}]}), "levels[0].label"),
    ([], "model"),
]


@pytest.mark.parametrize(("body", "words"), REFUSED)
async def test_refusals(emulator: Emulator, body: Any, words: str) -> None:
    url = f"{GATEWAY}/openai/decisions"
    answer = await emulator.client.post(url, json=body, headers=BEARER)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert words in answer.json()["error"]["message"]


async def test_four_hundred_questions_and_255_choices(emulator: Emulator) -> None:
    many = {**CHOICE, "choices": [{"value": f"v{at}"} for at in range(255)]}
    body = changed(questions=[many, *([PREDICATE] * 399)])
    answer = await emulator.client.post(f"{GATEWAY}/openai/decisions", json=body, headers=BEARER)
    assert len(answer.json()["answers"]) == 400
    assert len(answer.json()["answers"][0]["probabilities"]) == 255
