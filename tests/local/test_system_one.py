"""System One on Workers AI: the Clef models, on every way to them, and what they refuse."""

from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator

from tests.local.decision_requests import (
    AGENT,
    AGENTS,
    CLARIFY,
    CLEF,
    CLEF_FLASH,
    CLEF_OMNI,
    IMAGE,
    QUESTIONS,
    SEVERITY,
    VPN,
    asked,
    decide,
)
from tests.local.emulator import GATEWAY, HELLO, LLAMA, RUN, Emulator, Json

SCHEMA = "/client/v4/accounts/acc/ai/models/schema"


async def test_an_answer_has_the_form_of_system_one(emulator: Emulator) -> None:
    answer = await emulator.client.post(f"{RUN}/{CLEF}", json=asked())
    body = answer.json()
    assert (answer.status_code, body["success"], body["errors"]) == (200, True, [])
    assert answer.headers["x-local-engine"] == "emulated"
    result = body["result"]
    assert result["model"] == "clef"
    assert result["metadata"]["engine"] == "emulated"
    assert "not a language model" in result["metadata"]["notice"]
    assert result["usage"]["input_tokens"] > 10
    assert result["usage"]["output_tokens"] == 0
    agent = result["answers"]["agent"]
    assert list(agent) == ["type", "choice", "probabilities", "confidence"]
    assert (agent["type"], agent["choice"]) == ("choice", "it_support")
    assert list(agent["probabilities"]) == list(AGENTS)
    assert sum(agent["probabilities"].values()) == pytest.approx(1, abs=0.02)
    top = agent["probabilities"]["it_support"]
    assert agent["confidence"] == pytest.approx((top - 1 / 4) / (3 / 4), abs=1e-3)
    severity = result["answers"]["severity"]
    assert severity["type"] == "score"
    assert severity["legend"] == dict(zip("012", SEVERITY["criteria"], strict=True))
    shares = severity["probabilities"]
    assert severity["score"] == pytest.approx(shares["1"] + 2 * shares["2"], abs=1e-3)
    assert max(shares, key=lambda level: shares[level]) == "2"
    assert 0 <= severity["confidence"] <= 1
    clarify = result["answers"]["clarify"]
    assert set(clarify) == {"type", "noul"}
    numbers = [*agent["probabilities"].values(), *shares.values(), clarify["noul"]]
    assert all(number == round(number, 4) for number in numbers)


async def test_every_way_to_workers_ai_answers_the_same(emulator: Emulator) -> None:
    direct = await decide(emulator)
    through = await emulator.ask(asked(), CLEF)
    assert through.json()["result"] == direct
    assert "cf-aig-log-id" in through.headers
    steps: list[Json] = [
        {"provider": "workers-ai", "endpoint": "@cf/no/such", "query": asked()},
        {"provider": "workers-ai", "endpoint": CLEF, "query": asked()},
    ]
    universal = await emulator.client.post(GATEWAY, json=steps)
    assert universal.headers["cf-aig-step"] == "1"
    assert universal.json()["result"] == direct
    outbound = await emulator.client.post(
        f"/_outbound/api.cloudflare.com{RUN}/{CLEF}",
        json=asked(),
        headers={"authorization": "Bearer t"},
    )
    assert outbound.json()["result"] == direct
    logs = f"/client/v4/accounts/acc/ai-gateway/gateways/gw/logs/{through.headers['cf-aig-log-id']}"
    log = (await emulator.client.get(logs)).json()["result"]
    assert log["tokens_in"] == direct["usage"]["input_tokens"]
    assert log["tokens_out"] == 0


@pytest.mark.parametrize(
    ("model", "name"), [(CLEF, "clef"), (CLEF_FLASH, "clef-flash"), (CLEF_OMNI, "clef-omni")]
)
async def test_each_model_answers_to_its_own_name(
    emulator: Emulator, model: str, name: str
) -> None:
    assert (await decide(emulator, asked(model=name), model))["model"] == name
    other = "clef" if name != "clef" else "clef-flash"
    for wrong in (other, model):
        refused = await emulator.run(asked(model=wrong), model)
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (400, 5006)


def choice(options: int) -> Json:
    return {"q": {**AGENT, "criteria": {f"option{at}": None for at in range(options)}}}


def score(levels: int) -> Json:
    return {"q": {**SEVERITY, "criteria": [f"level {at}" for at in range(levels)]}}


def without(name: str) -> Json:
    return {key: value for key, value in asked().items() if key != name}


REFUSED: list[tuple[Json, int, int, str]] = [
    (without("model"), 400, 5006, "'model'"),
    (without("state"), 400, 5006, "'state'"),
    (without("questions"), 400, 5006, "'questions'"),
    (HELLO, 400, 5006, "'model,state,questions'"),
    ({"model": "clef", "prompt": "hi"}, 400, 5006, "'state'"),
    (asked(state=7), 400, 5006, "'/state'"),
    (asked(state=""), 422, 5012, "state"),
    (asked(state={}), 422, 5012, "state"),
    (asked(questions={}), 400, 5006, "'/questions'"),
    (asked(questions=[AGENT]), 400, 5006, "'/questions'"),
    (asked(questions={f"q{at}": CLARIFY for at in range(65)}), 422, 5012, "at most 64"),
    (asked(questions={"a b": CLARIFY}), 422, 5012, "an id has 1 to 100"),
    (asked(questions={"": CLARIFY}), 422, 5012, "an id has 1 to 100"),
    (asked(questions={"q\n": CLARIFY}), 422, 5012, "an id has 1 to 100"),
    (asked(questions={"q" * 101: CLARIFY}), 422, 5012, "an id has 1 to 100"),
    (asked(questions={"q": "yes?"}), 400, 5006, "'/questions/q'"),
    (asked(questions={"q": {**CLARIFY, "type": "text"}}), 400, 5006, "'/questions/q/type'"),
    (asked(questions={"q": {**CLARIFY, "type": ["noul"]}}), 400, 5006, "'/questions/q/type'"),
    (asked(questions={"q": {"type": "noul"}}), 400, 5006, "'type,instructions'"),
    (asked(questions={"q": {**CLARIFY, "instructions": ""}}), 422, 5012, "instructions"),
    (asked(questions={"q": {**CLARIFY, "criteria": ["yes"]}}), 400, 5006, "criteria"),
    (asked(questions={"q": {**CLARIFY, "criteria": {"maybe": "x"}}}), 422, 5012, "maybe"),
    (asked(questions={"q": {**CLARIFY, "weight": 1}}), 422, 5012, "weight"),
    (asked(questions={"q": {**AGENT, "criteria": ["a", "b"]}}), 400, 5006, "criteria"),
    (asked(questions={"q": {**AGENT, "criteria": {"a": 1, "b": 2}}}), 400, 5006, "criteria"),
    (asked(questions={"q": {**SEVERITY, "criteria": {"a": "b"}}}), 400, 5006, "criteria"),
    (asked(questions={"q": {**SEVERITY, "criteria": ["a", None]}}), 400, 5006, "criteria"),
    (asked(questions=choice(1)), 422, 5012, "2 to 255 options"),
    (asked(questions=choice(256)), 422, 5012, "2 to 255 options"),
    (asked(questions=score(1)), 422, 5012, "2 to 10 levels"),
    (asked(questions=score(11)), 422, 5012, "2 to 10 levels"),
    (asked(images=[IMAGE] * 5), 422, 5012, "at most 4"),
    (asked(images=IMAGE), 400, 5006, "'/images'"),
    (asked(images=["https://example.com/a.png"]), 422, 5012, "images.0"),
    (asked(stream=True), 422, 5012, "stream"),
    (asked(lora="intent-routing-v1"), 405, 5005, "does not support LoRA"),
    (asked(state="x" * 520_000), 413, 5021, "(64000)"),
]


@pytest.mark.parametrize(("inputs", "status", "code", "words"), REFUSED)
async def test_refusals(
    emulator: Emulator, inputs: Json, status: int, code: int, words: str
) -> None:
    answer = await emulator.run(inputs, CLEF)
    error = answer.json()["errors"][0]
    assert (answer.status_code, error["code"]) == (status, code), answer.text
    assert words in error["message"]
    assert answer.json()["success"] is False


@pytest.mark.parametrize(
    "inputs",
    [
        asked(questions={f"q{at}": CLARIFY for at in range(64)}),
        asked(questions={"A-b_c.9" + "x" * 93: CLARIFY}),
        asked(questions=choice(2)),
        asked(questions=choice(255)),
        asked(questions=score(2)),
        asked(questions=score(10)),
        asked(questions={"q": {**CLARIFY, "criteria": {"true": "two fit", "false": None}}}),
        asked(questions={"q": {**AGENT, "instructions": {"ask": "Which?"}}}),
        asked(questions={"q": {**AGENT, "criteria": {"a": {"about": "x"}, "b": ["y"]}}}),
        asked(images=[IMAGE] * 4),
        asked(state={"message": VPN}),
        asked(state=[VPN]),
    ],
)
async def test_what_is_within_the_limits_is_answered(emulator: Emulator, inputs: Json) -> None:
    result = await decide(emulator, inputs)
    assert result["answers"].keys() == inputs["questions"].keys()
    schema = (await emulator.client.get(SCHEMA, params={"model": CLEF})).json()["result"]
    OAS31Validator(schema["input"]).validate(inputs)
    OAS31Validator(schema["output"]).validate(result)


async def test_a_long_state_is_cut_without_a_word(emulator: Emulator) -> None:
    result = await decide(emulator, asked(state="vpn " * 90_000))
    assert result["usage"]["input_tokens"] == 64_000


async def test_a_chat_with_a_decision_model_is_refused(emulator: Emulator) -> None:
    for url in (
        "/client/v4/accounts/acc/ai/v1/chat/completions",
        f"{GATEWAY}/compat/chat/completions",
    ):
        prefix = "workers-ai/" if "compat" in url else ""
        body = {"model": prefix + CLEF, **HELLO}
        answer = await emulator.client.post(url, json=body)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, 5006)


async def test_a_text_model_takes_no_questions(emulator: Emulator) -> None:
    answer = await emulator.run({**HELLO, "questions": QUESTIONS}, LLAMA)
    assert answer.json()["errors"][0]["code"] == 5006


async def test_the_catalogue_does_not_say_decision_but_the_schema_has_questions(
    emulator: Emulator,
) -> None:
    search = "/client/v4/accounts/acc/ai/models/search"
    entries = (await emulator.client.get(search)).json()["result"]
    listed = {entry["name"]: entry for entry in entries}
    for model, price, window in (
        (CLEF_FLASH, 0.038, "24000"),
        (CLEF_OMNI, 0.150, "64000"),
        (CLEF, 0.240, "64000"),
    ):
        entry = listed[model]
        assert entry["task"] == {"name": "Text Generation"}
        prices = [{"unit": "per M input tokens", "price": price, "currency": "USD"}]
        assert entry["properties"] == [
            {"property_id": "context_window", "value": window},
            {"property_id": "price", "value": prices},
        ]
        assert "decision" not in str(entry)
    kinds = {}
    for model in (CLEF, LLAMA):
        got = await emulator.client.get(SCHEMA, params={"model": model})
        schema: Any = got.json()["result"]
        kinds[model] = "questions" in schema["input"].get("properties", {})
        OAS31Validator.check_schema(schema["input"])
        OAS31Validator.check_schema(schema["output"])
    assert kinds == {CLEF: True, LLAMA: False}
    unknown = await emulator.client.get(SCHEMA, params={"model": "@cf/no/such"})
    assert (unknown.status_code, unknown.json()["success"]) == (400, False)
