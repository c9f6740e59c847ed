"""POST /v1/decisions and POST /v1/systemone with model "auto": a choice among agents is decided by
the pipeline, and both formats say so."""

from typing import Any

import pytest
from openai.types import Decision

from edgeneuro.domain.decision import Usage
from edgeneuro.errors import UpstreamCapacityError
from edgeneuro.gateway.interface import ModelAnswer
from tests.unit.conftest import Product, says
from tests.unit.decision_models import chose
from tests.unit.decisions import CLEF, FLASH, QUERY, choice, decisions, select, systemone
from tests.unit.test_limits import create

AGENTS = {"it_support": None, "hr": "Leave.", "general": None}


def shares(answer: dict[str, Any]) -> dict[Any, float]:
    return {each["value"]: each["probability"] for each in answer["probabilities"]}


async def test_a_choice_among_agents_is_decided_by_the_pipeline(product: Product) -> None:
    product.gateway.enqueue(says("it_support", 0.9))
    answered = await decisions(product, choice("it_support", "hr", "none", name="who"))
    assert answered.status == 200, answered.text
    body = answered.json()
    [answer] = body["answers"]
    assert (answer["type"], answer["name"], answer["choice"]) == ("choice", "who", "it_support")
    assert shares(answer) == {"it_support": 0.9, "hr": 0.05, "none": 0.05}
    assert answer["confidence"] == pytest.approx((0.9 - 1 / 3) / (1 - 1 / 3), abs=1e-6)
    facts = body["edgeneuro"]
    assert (facts["layer"], facts["outcome"], facts["agent_id"]) == ("llm", "agent", "it_support")
    assert (facts["confidence"], facts["reason"], facts["questions_id"]) == (0.9, None, None)
    assert answered.headers["x-edgeneuro-decision-id"] == facts["decision_id"]
    assert answered.headers["x-edgeneuro-agent"] == "it_support"
    Decision.model_validate(body, strict=True)  # the official client's type


async def test_the_log_row_is_that_of_a_decision(product: Product) -> None:
    product.gateway.enqueue(says("hr"))
    options = {"user": "u1", "session": "s1", "metadata": {"plan": "free"}}
    answered = await decisions(product, choice("it_support", "hr"), edgeneuro=options)
    decision_id = answered.json()["edgeneuro"]["decision_id"]
    [row] = await product.logs()
    assert (row["id"], row["kind"], row["query"]) == (decision_id, "route", QUERY)
    assert (row["agent_id"], row["candidates"]) == ("hr", ["it_support", "hr"])
    assert (row["user"], row["session"], row["metadata"]) == ("u1", "s1", {"plan": "free"})
    given = {"decision_id": decision_id, "value": "up"}
    assert (await product.call("POST", "/v1/feedback", given)).status == 201


async def test_all_agents_as_options_share_the_cache_with_the_router(product: Product) -> None:
    product.gateway.enqueue(says("hr"))
    await product.route(QUERY)
    answered = await decisions(product, choice("general", "it_support", "hr"))
    assert answered.json()["edgeneuro"]["layer"] == "cache"
    assert answered.json()["model"] == "@cf/meta/llama-3.2-1b-instruct"
    assert len(product.gateway.requests) == 1
    product.gateway.enqueue(says("hr"))
    again = await decisions(
        product, choice("general", "it_support", "hr"), edgeneuro={"cache": False}
    )
    assert len(product.gateway.requests) == 2
    assert again.status == 200


async def test_a_label_decides_with_certainty(product: Product) -> None:
    product.gateway.enqueue(says("it_support"))
    decision_id = (await product.route(QUERY)).json()["id"]
    label = {"agent_id": "hr"}
    assert (await product.call("PUT", f"/v1/logs/{decision_id}/label", label)).status == 200
    answered = await decisions(product, choice("it_support", "hr", "none"))
    [answer] = answered.json()["answers"]
    assert answer["choice"] == "hr"
    assert shares(answer) == {"it_support": 0.0, "hr": 1.0, "none": 0.0}
    assert (answered.json()["edgeneuro"]["layer"], answer["confidence"]) == ("label", 1.0)
    assert answered.json()["model"] == "auto"


async def test_the_question_agent_needs_no_options(product: Product) -> None:
    product.gateway.enqueue(says("hr", 0.8))
    answered = await systemone(product, {"agent": {"type": "choice", "instructions": "Who?"}})
    answer = answered.json()["answers"]["agent"]
    assert (answer["type"], answer["choice"]) == ("choice", "hr")
    assert set(answer["probabilities"]) == {"it_support", "hr", "general", "none"}
    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    product.gateway.enqueue(says("hr", 0.8))
    answered = await decisions(product, choice(name="agent"), input="Leave?")
    assert answered.json()["answers"][0]["choice"] == "hr"


async def test_system_one_in_its_own_words(product: Product) -> None:
    product.gateway.enqueue(says("hr", 0.8))
    question = {"type": "choice", "instructions": "Who?", "criteria": AGENTS}
    answered = await systemone(product, {"to.whom": question}, model="auto", unknown=1)
    body = answered.json()
    assert set(body) == {"model", "answers", "usage", "edgeneuro"}
    assert body["answers"]["to.whom"]["probabilities"] == {
        "it_support": 0.1,
        "hr": 0.8,
        "general": 0.1,
    }
    assert set(body["usage"]) == {"input_tokens", "output_tokens"}
    assert answered.headers["x-edgeneuro-decision-id"] == body["edgeneuro"]["decision_id"]


@pytest.mark.parametrize("none", ["none", "None of these", "no-agent"])
async def test_where_no_agent_fits_the_option_that_says_so_is_chosen(
    product: Product, none: str
) -> None:
    product.gateway.enqueue(says("none", 0.7))
    answered = await decisions(product, choice("it_support", "hr", none))
    [answer] = answered.json()["answers"]
    assert (answer["choice"], shares(answer)[none]) == (none, 0.7)
    facts = answered.json()["edgeneuro"]
    assert (facts["outcome"], facts["reason"]) == ("none", "out_of_scope")
    assert (facts["agent_id"], facts["none_probability"]) == (None, 0.7)


async def test_without_such_an_option_the_fallback_agent_is_chosen(product: Product) -> None:
    product.gateway.enqueue(says("none", 0.7), says("none", 0.7))
    answered = await decisions(product, choice("it_support", "general"))
    [answer] = answered.json()["answers"]
    assert (answer["choice"], answered.json()["edgeneuro"]["outcome"]) == ("general", "fallback")
    assert answer["confidence"] == 0
    answered = await decisions(product, choice("it_support", "hr"))  # without the default agent
    [answer] = answered.json()["answers"]
    assert answer["choice"] in ("it_support", "hr")
    assert answered.json()["edgeneuro"]["outcome"] == "none"


async def test_an_agent_that_is_not_sure_enough_is_no_choice(product: Product) -> None:
    product.gateway.enqueue(says("hr", 0.3), says("hr", 0.3))
    answered = await decisions(product, choice("it_support", "hr", "none"))
    assert answered.json()["answers"][0]["choice"] == "none"
    assert answered.json()["edgeneuro"]["reason"] == "low_confidence"
    answered = await decisions(product, choice("it_support", "hr"))
    assert answered.json()["answers"][0]["choice"] == "hr"  # the best of what was offered


async def test_an_adapter_that_gives_no_number_has_probability_one(product: Product) -> None:
    adapter = {"routing_model": "intent-routing-v1"}
    assert (await product.call("PATCH", "/v1/config", adapter)).status == 200
    product.gateway.enqueue(ModelAnswer(content={"agent": "hr"}))
    answered = await decisions(product, choice("it_support", "hr"))
    [answer] = answered.json()["answers"]
    assert (answer["choice"], shares(answer)) == ("hr", {"it_support": 0.0, "hr": 1.0})
    assert answered.json()["edgeneuro"]["confidence"] is None


async def test_a_decision_model_gives_every_probability(product: Product) -> None:
    """In the order of the options; without an option for it, the share of "none" is left out."""
    await select(product, CLEF)
    product.gateway.enqueue(chose({"hr": 0.6, "it_support": 0.15, "none": 0.25}))
    answered = await decisions(product, choice("none", "it_support", "hr"))
    [answer] = answered.json()["answers"]
    found = [(each["value"], each["probability"]) for each in answer["probabilities"]]
    assert found == [("none", 0.25), ("it_support", 0.15), ("hr", 0.6)]
    facts = answered.json()["edgeneuro"]
    assert (facts["layer"], facts["confidence_source"]) == ("decision_model", "decision_model")
    assert facts["none_probability"] == 0.25
    again = await decisions(product, choice("it_support", "hr"))  # the same agents: a cache hit
    assert again.json()["edgeneuro"]["layer"] == "cache"
    assert shares(again.json()["answers"][0]) == {"it_support": 0.2, "hr": 0.8}
    assert answered.json()["model"] == again.json()["model"] == CLEF
    assert len(product.gateway.decision_requests) == 1


async def test_a_failed_upstream(product: Product) -> None:
    """The fallback agent answers; where none may, the request fails: equal probabilities would be
    no decision."""
    product.gateway.enqueue(*[UpstreamCapacityError("no capacity")] * 8)
    answered = await decisions(product, choice("it_support", "general"))
    assert answered.status == 200
    assert answered.json()["answers"][0]["choice"] == "general"
    assert answered.json()["edgeneuro"]["reason"] == "capacity"
    answered = await decisions(product, choice("it_support", "hr", "none"))
    assert (answered.status, answered.json()["error"]["code"]) == (429, "upstream_capacity")
    assert sorted(row["status"] for row in await product.logs()) == [200, 429]


async def test_without_a_fallback(product: Product) -> None:
    """No fallback model is called, and the fallback agent does not answer."""
    await select(product, CLEF, FLASH)
    await product.call("PATCH", "/v1/config", {"max_retries": 0})
    once = {"fallback": False, "cache": False}
    product.gateway.enqueue(UpstreamCapacityError("no capacity"))
    answered = await decisions(product, choice("it_support", "general"), edgeneuro=once)
    assert (answered.status, answered.json()["error"]["code"]) == (429, "upstream_capacity")
    assert [each.model for each in product.gateway.decision_requests] == [CLEF]
    product.gateway.enqueue(chose({"it_support": 0.3, "general": 0.1, "none": 0.6}))
    answered = await decisions(product, choice("it_support", "general"), edgeneuro=once)
    facts = answered.json()["edgeneuro"]
    assert (facts["outcome"], facts["agent_id"], facts["reason"]) == ("none", None, "out_of_scope")
    assert answered.json()["answers"][0]["choice"] == "it_support"


CONVERSATION = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hello"},
    {"type": "function_call", "call_id": "1", "name": "look_up", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "1", "output": "nothing"},
    {"role": "assistant", "content": [{"type": "output_text", "text": "Yes?"}]},
    {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
    {
        "type": "message",
        "role": "user",
        "content": [
            {"type": "input_text", "text": "My VPN", "prompt_cache_breakpoint": {}},
            {"type": "input_json", "data": {"os": "mac"}},
        ],
    },
    {"type": "custom_tool_call", "call_id": "2", "name": "run", "input": "x"},
    {"type": "custom_tool_call_output", "call_id": "2", "output": "y"},
]


async def test_a_conversation_is_routed_by_what_the_user_said_last(product: Product) -> None:
    product.gateway.enqueue(*[says("it_support")] * 4)
    await decisions(product, choice("it_support", "hr"), input=CONVERSATION)
    question = {"who": {"type": "choice", "instructions": "?", "criteria": {"hr": None, "none": 0}}}
    turns = [
        {"role": "user", "content": "Hello"},
        {"role": "user", "content": [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]},
        {"role": "assistant", "content": "C"},
    ]
    await systemone(product, question, state=turns)
    await systemone(product, question, state={"subject": "VPN"})
    queries = [row["query"] for row in reversed(await product.logs())]
    assert queries == ['My VPN\n{"os": "mac"}', "A\nB", '{"subject": "VPN"}']


async def test_a_long_text_is_routed_by_its_first_8000_characters(product: Product) -> None:
    product.gateway.enqueue(says("hr"))
    answered = await decisions(product, choice("it_support", "hr"), input="word " * 10_000)
    assert answered.json()["edgeneuro"]["query_cut"] is True
    assert len((await product.logs())[0]["query"]) in range(7_990, 8_001)


async def test_a_key_offers_its_agents_alone(product: Product) -> None:
    key = (await create(product, agents=["hr", "general"]))["key"]
    answered = await decisions(product, choice("hr", "it_support"), key=key)
    error = answered.json()["error"]
    assert (answered.status, error["code"]) == (403, "agent_not_allowed")
    assert error["param"] == "questions[0].choices[1].value"
    product.gateway.enqueue(says("hr"))
    answered = await decisions(product, choice(name="agent"), key=key)
    assert {*shares(answered.json()["answers"][0])} == {"hr", "general", "none"}


async def test_one_question_of_a_request_is_routed(product: Product) -> None:
    answered = await decisions(product, choice("hr", "none"), choice("it_support", "none"))
    error = answered.json()["error"]
    assert (answered.status, error["param"]) == (400, "questions[1]")
    assert "questions[0]" in error["message"]


async def test_a_budget_is_settled(product: Product) -> None:
    key = (await create(product, monthly_token_budget=1_000_000))["key"]
    usage = Usage(prompt_tokens=200, completion_tokens=20, total_tokens=220)
    product.gateway.enqueue(ModelAnswer(content={"agent": "hr", "confidence": 0.9}, usage=usage))
    answered = await decisions(product, choice("hr", "none"), key=key)
    assert answered.json()["usage"]["total_tokens"] == 220
    assert int(answered.headers["x-ratelimit-remaining-tokens"]) < 1_000_000 - 220
    assert product.rows("SELECT tokens FROM key_usage") == [{"tokens": 220}]
