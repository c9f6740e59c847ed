"""Questions that a decision model answers: the model that is called, what it is sent, its answers
in both formats, failures, limits and the log row."""

from typing import Any

import pytest
from openai.types import Decision

from edgeneuro.domain.question import Answer, Choice, Level, Refusal, Score, YesNo
from edgeneuro.errors import (
    InvalidOutputError,
    StaleAnswerError,
    UpstreamCapacityError,
    UpstreamError,
    UpstreamTimeoutError,
)
from edgeneuro.store.usage import add_new_logs
from tests.unit.conftest import Product, says
from tests.unit.decisions import (
    CLEF,
    FLASH,
    MOOD,
    QUERY,
    TONE,
    URGENT,
    choice,
    chosen,
    decided,
    decisions,
    scored,
    select,
    systemone,
    yes,
)
from tests.unit.test_limits import create

LLAMA = "@cf/meta/llama-3.2-1b-instruct"
GRANITE = "@cf/ibm-granite/granite-4.0-h-micro"


THREE: dict[str, Answer] = {
    "urgent": yes(0.75),
    "tone": chosen(calm=0.3, angry=0.7),
    "q2": scored([0.5, 0.25, 0.25]),
}


def called(product: Product) -> list[str]:
    return [request.model for request in product.gateway.decision_requests]


async def test_three_kinds_of_questions_to_a_named_model(product: Product) -> None:
    product.gateway.enqueue(decided(THREE))
    answered = await decisions(product, URGENT, TONE, MOOD, model=CLEF)
    assert answered.status == 200, answered.text
    body = answered.json()
    assert body["model"] == CLEF
    assert body["answers"] == [
        {"type": "predicate", "name": "urgent", "probability": 0.75},
        {
            "type": "choice",
            "name": "tone",
            "choice": "angry",
            "probabilities": [
                {"value": "calm", "probability": 0.3},
                {"value": "angry", "probability": 0.7},
            ],
            "confidence": 0.4,
        },
        {
            "type": "score",
            "name": None,
            "score": 0.75,
            "probabilities": [
                {"label": "low", "value": 0, "probability": 0.5},
                {"label": "middle", "value": 1, "probability": 0.25},
                {"label": "high", "value": 2, "probability": 0.25},
            ],
            "confidence": 0.25,
        },
    ]
    assert (body["usage"]["input_tokens"], body["usage"]["output_tokens"]) == (100, 0)
    Decision.model_validate(body, strict=True)
    [request] = product.gateway.decision_requests
    assert (request.model, request.state) == (CLEF, QUERY)
    assert request.questions == {
        "urgent": YesNo("Is it urgent?"),
        "tone": Choice("What is the tone?", {"calm": None, "angry": "Shouts."}),
        "q2": Score("How happy?", (Level("low"), Level("middle"), Level("high"))),
    }
    assert answered.headers["x-edgeneuro-model"] == CLEF
    assert product.gateway.requests == []


async def test_the_same_in_system_ones_format(product: Product) -> None:
    answers: dict[str, Answer] = {
        "urgent": yes(0.75),
        "tone": chosen(calm=0.3, angry=0.7),
        "mood": scored([0.5, 0.5]),
    }
    product.gateway.enqueue(decided(answers))
    questions = {
        "urgent": {"type": "noul", "instructions": "?", "criteria": {"true": "now", "false": None}},
        "tone": {
            "type": "choice",
            "instructions": {"ask": 1},
            "criteria": {"calm": 1, "angry": ""},
        },
        "mood": {"type": "score", "instructions": "?", "criteria": ["low", "high"]},
    }
    answered = await systemone(product, questions, model="clef")
    assert answered.status == 200, answered.text
    assert answered.json()["answers"] == {
        "urgent": {"type": "noul", "noul": 0.75},
        "tone": {
            "type": "choice",
            "choice": "angry",
            "probabilities": {"calm": 0.3, "angry": 0.7},
            "confidence": 0.4,
        },
        "mood": {
            "type": "score",
            "score": 0.5,
            "legend": {"0": "low", "1": "high"},
            "probabilities": {"0": 0.5, "1": 0.5},
            "confidence": 0.0,
        },
    }
    assert answered.json()["usage"] == {"input_tokens": 100, "output_tokens": 0}
    assert product.gateway.decision_requests[0].questions == {
        "urgent": YesNo("?", yes="now"),
        "tone": Choice('{"ask": 1}', {"calm": "1", "angry": ""}),
        "mood": Score("?", (Level("low"), Level("high"))),
    }


async def test_booleans_and_texts_are_different_options(product: Product) -> None:
    answer = chosen(**{"true": 0.1, "true (boolean)": 0.6, "false": 0.3})
    product.gateway.enqueue(decided({"q0": answer}))
    answered = await decisions(product, choice("true", True, False), model=CLEF)
    [answer_] = answered.json()["answers"]
    assert answer_["choice"] is True
    assert [each["value"] for each in answer_["probabilities"]] == ["true", True, False]


async def test_a_conversation_with_calls_of_tools(product: Product) -> None:
    product.gateway.enqueue(decided({"urgent": yes()}))
    said = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "input_text", "text": "A"}]},
        {"type": "function_call", "call_id": "1", "name": "look_up", "arguments": '{"id": 7}'},
        {"type": "function_call_output", "call_id": "1", "output": "nothing"},
    ]
    await decisions(product, URGENT, model=CLEF, input=said)
    assert product.gateway.decision_requests[0].state == [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "A"},
        {"role": "assistant", "content": 'Calls the tool look_up with: {"id": 7}'},
        {"role": "assistant", "content": "The tool's output: nothing"},
    ]


async def test_the_row_of_the_log(product: Product) -> None:
    product.gateway.enqueue(decided({"urgent": yes()}))
    answered = await decisions(product, URGENT, model=CLEF)
    facts = answered.json()["edgeneuro"]
    assert answered.headers["x-edgeneuro-decision-id"] == facts["decision_id"]
    assert (facts["layer"], facts["outcome"], facts["model"]) == ("direct", None, CLEF)
    assert facts["cost_usd"] == pytest.approx(100 * 0.240 / 1e6)
    [row] = await product.logs()
    assert (row["id"], row["kind"], row["query"]) == (facts["decision_id"], "questions", QUERY)
    assert (row["layer"], row["outcome"], row["agent_id"]) == ("direct", None, None)
    assert (row["query_hash"], row["confidence"], row["model"]) == (None, None, CLEF)
    assert row["attempts"][0]["purpose"] == "questions"
    assert row["gateway"]["log_id"] == "log-1"
    for kind, count in (("questions", 1), ("route", 0), ("chat", 0)):
        page = (await product.call("GET", f"/v1/logs?kind={kind}")).json()
        assert len(page["data"]) == count
    queue = (await product.call("GET", "/v1/labels/queue")).json()
    assert queue["data"] == []
    await add_new_logs(product.database)
    [summed] = product.rows("SELECT answers, layer, model, cost_usd FROM usage_hours")
    assert (summed["answers"], summed["layer"], summed["model"]) == (1, "direct", CLEF)
    assert summed["cost_usd"] == pytest.approx(100 * 0.240 / 1e6)
    label = await product.call("PUT", f"/v1/logs/{row['id']}/label", {"agent_id": "hr"})
    assert label.status in (404, 409)


@pytest.mark.parametrize(
    ("stored", "query"),
    [({"log_queries": False}, ""), ({"redact_personal_data": True}, "write to [email]")],
)
async def test_texts_are_stored_as_the_settings_say(
    product: Product, stored: dict[str, Any], query: str
) -> None:
    await product.call("PATCH", "/v1/config", stored)
    product.gateway.enqueue(decided({"urgent": yes()}))
    await decisions(product, URGENT, model=CLEF, input="write to me@example.com")
    assert (await product.logs())[0]["query"] == query
    [request] = product.gateway.decision_requests
    assert (request.cache_key, request.collect_payload) == (None, False)


async def test_ai_gateways_cache_is_by_everything_that_is_sent(product: Product) -> None:
    sent: tuple[dict[str, Any], ...] = (
        {},
        {"input": "Other"},
        {"model": FLASH},
        {"edgeneuro": {"cache": False}},
        {},
    )
    for fields in sent:
        product.gateway.enqueue(decided({"urgent": yes()}, cache_status="HIT"))
        await decisions(product, URGENT, **{"model": CLEF, **fields})
    product.gateway.enqueue(decided({"tone": chosen(calm=0.5, angry=0.5)}))
    await decisions(product, TONE, model=CLEF)
    first, *others, again, other = [r.cache_key for r in product.gateway.decision_requests]
    assert first is not None and first == again
    assert len({first, *others, other}) == 5
    assert others[-1] is None
    assert (await product.logs())[1]["cost_usd"] == 0  # a hit


async def test_a_cached_answer_of_no_use_is_asked_for_again(product: Product) -> None:
    product.gateway.enqueue(decided({"urgent": yes()}, cache_status="HIT"), decided(THREE))
    answered = await decisions(product, URGENT, TONE, MOOD, model=CLEF)
    assert answered.status == 200, answered.text
    product.gateway.enqueue(StaleAnswerError("unreadable"), decided(THREE))
    assert (await decisions(product, URGENT, TONE, MOOD, model=CLEF)).status == 200
    keys = [request.cache_key is None for request in product.gateway.decision_requests]
    assert keys == [False, True, False, True]


async def test_auto_asks_the_active_model_if_it_is_a_decision_model(product: Product) -> None:
    await select(product, FLASH, LLAMA, CLEF)
    product.gateway.enqueue(decided({"urgent": yes()}))
    assert (await decisions(product, URGENT)).json()["model"] == FLASH
    product.gateway.enqueue(UpstreamCapacityError("full"), UpstreamCapacityError("full"))
    product.gateway.enqueue(decided({"urgent": yes()}))
    answered = await decisions(product, URGENT)
    assert answered.json()["model"] == CLEF
    assert called(product) == [FLASH, FLASH, FLASH, CLEF]
    outcomes = [each["outcome"] for each in answered.json()["edgeneuro"]["attempts"]]
    assert outcomes == ["capacity", "capacity", "ok"]


async def test_auto_asks_the_first_decision_model_of_the_fallbacks(product: Product) -> None:
    await select(product, LLAMA, GRANITE, CLEF, FLASH)
    product.gateway.enqueue(decided({"urgent": yes()}))
    assert (await decisions(product, URGENT, model=None)).json()["model"] == CLEF
    product.gateway.enqueue(UpstreamError("broken"), UpstreamError("broken"))
    answered = await decisions(product, URGENT, edgeneuro={"fallback": False})
    assert (answered.status, called(product)) == (502, [CLEF, CLEF, CLEF])


async def test_auto_without_a_decision_model_says_which_there_are(product: Product) -> None:
    answered = await decisions(product, URGENT)
    error = answered.json()["error"]
    assert (answered.status, error["code"]) == (400, "no_decision_model")
    assert error["param"] == "questions[0]"
    assert FLASH in error["message"] and "/v1/models/select" in error["message"]
    answered = await decisions(product, choice("hr", "it_suport"))
    assert "it_suport" in answered.json()["error"]["message"]
    assert await product.logs() == []


async def test_a_named_model_falls_back_to_decision_models_alone(product: Product) -> None:
    await select(product, LLAMA, FLASH)
    product.gateway.enqueue(UpstreamTimeoutError("late"), decided({"urgent": yes()}))
    assert (await decisions(product, URGENT, model=CLEF)).json()["model"] == FLASH
    product.gateway.enqueue(UpstreamTimeoutError("late"))
    answered = await decisions(product, URGENT, model=CLEF, edgeneuro={"fallback": False})
    assert (answered.status, called(product)) == (504, [CLEF, FLASH, CLEF])
    row = (await product.logs())[0]
    assert (row["status"], row["reason"], row["kind"]) == (504, "timeout", "questions")


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        (LLAMA, 400, "not_a_decision_model"),
        ("no-such-model", 404, "model_not_found"),
        ("auto:sales", 404, "unknown_router"),
        ("agent:hr", 400, "invalid_value"),
        ("intent-routing-v1", 400, "not_a_decision_model"),
    ],
)
async def test_names_that_are_no_decision_model(
    product: Product, model: str, status: int, code: str
) -> None:
    answered = await decisions(product, URGENT, choice("hr", "none"), model=model)
    error = answered.json()["error"]
    assert (answered.status, error["code"], error["param"]) == (status, code, "model")
    if status == 400:
        assert "/v1/chat/completions" in error["message"]


async def test_with_a_models_id_a_choice_among_agents_is_a_question_like_any_other(
    product: Product,
) -> None:
    product.gateway.enqueue(decided({"q0": chosen(hr=0.9, none=0.1)}))
    answered = await decisions(product, choice("hr", "none"), model=CLEF)
    assert (answered.json()["answers"][0]["choice"], called(product)) == ("hr", [CLEF])
    answered = await decisions(product, choice(name="agent"), model=CLEF)
    assert answered.json()["error"]["param"] == "questions[0].choices"


async def test_a_routing_question_among_others(product: Product) -> None:
    await select(product, LLAMA, CLEF)
    product.gateway.enqueue(decided({"urgent": yes(), "q2": scored([0.2, 0.3, 0.5])}), says("hr"))
    answered = await decisions(product, URGENT, choice("hr", "none"), MOOD)
    body = answered.json()
    assert [each["type"] for each in body["answers"]] == ["predicate", "choice", "score"]
    assert body["answers"][1]["choice"] == "hr"
    facts = body["edgeneuro"]
    assert (body["model"], facts["model"], facts["agent_id"]) == (CLEF, CLEF, "hr")
    assert [each["purpose"] for each in facts["attempts"]] == ["questions", "route"]
    rows = {row["id"]: row["kind"] for row in await product.logs()}
    assert rows == {facts["questions_id"]: "questions", facts["decision_id"]: "route"}
    [request] = product.gateway.decision_requests
    assert set(request.questions) == {"urgent", "q2"}


async def test_questions_that_fail_leave_no_decision(product: Product) -> None:
    await select(product, LLAMA, CLEF)
    product.gateway.enqueue(UpstreamTimeoutError("late"))
    answered = await decisions(product, URGENT, choice("hr", "none"))
    assert (answered.status, product.gateway.requests) == (504, [])
    assert [row["kind"] for row in await product.logs()] == ["questions"]


async def test_a_missing_answer_is_an_invalid_output(product: Product) -> None:
    product.gateway.enqueue(decided({"urgent": yes()}))
    answered = await decisions(product, URGENT, MOOD, model=CLEF)
    assert (answered.status, answered.json()["error"]["code"]) == (502, "invalid_output")
    [row] = await product.logs()
    assert (row["reason"], row["usage"]["total_tokens"]) == ("invalid_output", 100)
    product.gateway.enqueue(InvalidOutputError("Not an answer to these questions."))
    assert (await decisions(product, URGENT, model=CLEF)).status == 502


async def test_a_refusal_is_passed_on(product: Product) -> None:
    product.gateway.enqueue(decided({"urgent": Refusal(), "second": yes()}))
    answered = await decisions(product, URGENT, {**URGENT, "name": "second"}, model=CLEF)
    assert answered.json()["answers"][0] == {"type": "refusal", "name": "urgent"}
    assert answered.json()["edgeneuro"]["refused"] == ["urgent"]
    product.gateway.enqueue(decided({"a": Refusal(), "b": yes()}))
    noul = {"type": "noul", "instructions": "?"}
    answered = await systemone(product, {"a": noul, "b": noul}, model=CLEF)
    assert set(answered.json()["answers"]) == {"b"}
    assert answered.json()["edgeneuro"]["refused"] == ["a"]


async def test_a_slow_part_after_others_opens_no_circuit_breaker(product: Product) -> None:
    """One caller with many questions must not take the model from all others."""
    many = [{**URGENT, "name": f"q{at}"} for at in range(65)]
    first = decided({f"q{at}": yes() for at in range(64)})
    for _ in range(6):
        product.gateway.enqueue(first, UpstreamTimeoutError("No answer."))
        answered = await decisions(product, *many, model=CLEF, edgeneuro={"fallback": False})
        assert answered.json()["error"]["code"] == "upstream_timeout"
    product.gateway.enqueue(decided({"urgent": yes()}))
    assert (await decisions(product, URGENT, model=CLEF)).status == 200


async def test_more_than_64_questions_are_asked_in_parts(product: Product) -> None:
    """System One takes 64 in a call, OpenAI's format has 400."""
    for first, last in ((0, 64), (64, 128), (128, 130)):
        product.gateway.enqueue(decided({f"q{at}": yes(at / 200) for at in range(first, last)}))
    answered = await decisions(product, *[URGENT] * 130, model=CLEF)
    shares = [each["probability"] for each in answered.json()["answers"]]
    assert shares == [at / 200 for at in range(130)]
    assert answered.json()["usage"]["input_tokens"] == 300
    sizes = [len(request.questions) for request in product.gateway.decision_requests]
    assert sizes == [64, 64, 2]


async def test_a_long_state_is_cut_to_the_models_context(product: Product) -> None:
    state = "A" * 500_000 + "middle" + "Z" * 500_000
    product.gateway.enqueue(decided({"urgent": yes()}), decided({"x": yes()}))
    answered = await decisions(product, URGENT, model=FLASH, input=state)
    cut = answered.json()["edgeneuro"]["state_cut"]
    assert cut["characters"] == 1_000_006
    [request] = product.gateway.decision_requests
    assert len(request.state) < 24_000 * 3
    assert cut["left_out"] > 900_000
    assert f"[{cut['left_out']} characters left out]" in request.state
    assert request.state.startswith("AAAA") and request.state.endswith("ZZZZ")
    assert "middle" not in request.state
    noul = {"type": "noul", "instructions": "?"}
    answered = await systemone(product, {"x": noul}, state={"text": state}, model=FLASH)
    assert answered.json()["edgeneuro"]["state_cut"]["characters"] > 1_000_000
    assert product.gateway.decision_requests[1].state.startswith('{"text": "AAAA')


async def test_a_keys_models_and_budget(product: Product) -> None:
    await select(product, LLAMA, CLEF)
    key = (await create(product, models=[LLAMA, FLASH], monthly_token_budget=40_000))["key"]
    for model in (CLEF, "clef", "auto"):
        answered = await decisions(product, URGENT, model=model, key=key)
        assert (answered.status, answered.json()["error"]["code"]) == (403, "model_not_allowed")
    product.gateway.enqueue(decided({"urgent": yes()}, tokens=70))
    assert (await decisions(product, URGENT, model=FLASH, key=key)).status == 200
    assert product.rows("SELECT tokens FROM key_usage") == [{"tokens": 70}]
    answered = await decisions(product, URGENT, model=FLASH, input="x" * 900_000, key=key)
    assert answered.status == 429
    assert answered.json()["error"]["code"] == "key_token_budget_exceeded"
    # Both parts of a request are settled together.
    key = (await create(product, monthly_token_budget=1_000_000))["key"]
    product.execute("DELETE FROM key_usage")
    product.gateway.enqueue(decided({"urgent": yes()}, tokens=70), says("hr"))
    answered = await decisions(product, URGENT, choice("hr", "none"), key=key)
    assert answered.status == 200
    [used] = product.rows("SELECT tokens FROM key_usage")
    assert used["tokens"] > 70  # the text model reports no usage, so its upper bound counts


async def test_the_list_of_models_marks_what_can_be_named(product: Product) -> None:
    models = (await product.call("GET", "/v1/models")).json()["data"]
    marked = {model["id"] for model in models if model["decisions"]}
    assert {"auto", CLEF, FLASH} <= marked
    assert not {LLAMA, "agent:hr", "intent-routing-v1"} & marked
