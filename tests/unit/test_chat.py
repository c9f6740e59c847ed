"""POST /v1/chat/completions, whole answers: who answers, with what, and the row that stays."""

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletion

from edgeneuro.domain.decision import GatewayTrace
from edgeneuro.errors import (
    InvalidOutputError,
    JsonModeUnmetError,
    UpstreamNotConfiguredError,
    UpstreamQuotaError,
    UpstreamRejectedError,
    UpstreamTimeoutError,
)
from edgeneuro.gateway.interface import ModelAnswer, ModelRequest
from edgeneuro_testing.gateway import ScriptedGateway, Streamed
from tests.unit.chats import CALL, COST, GRANITE, LLAMA, LORA, TOOL, chat, talks, tries, user
from tests.unit.conftest import Product, says


async def test_auto_routes_and_the_chosen_agent_answers(product: Product) -> None:
    await product.call("PATCH", "/v1/agents/hr", {"system_prompt": "You are HR.", "model": GRANITE})
    product.gateway.enqueue(says("hr", 0.9), talks())
    messages = [{"role": "developer", "content": "Be short."}, user("Hello"), user()]
    answered = await chat(product, "auto", messages=messages, temperature=0.7)
    assert answered.status == 200, answered.text
    completion = answered.json()
    ChatCompletion.model_validate(completion)
    assert completion["object"] == "chat.completion"
    assert completion["id"] == "chatcmpl-" + completion["edgeneuro"]["decision_id"][4:]
    assert (completion["created"], completion["model"]) == (1_800_000_000, GRANITE)
    assert completion["system_fingerprint"] is None
    assert completion["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Thirty days.", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert completion["usage"]["total_tokens"] == 40
    facts = completion["edgeneuro"]
    assert facts["agent"] == {
        "id": "hr",
        "name": "Human Resources",
        "endpoint": None,
        "protocol": None,
    }
    assert (facts["confidence"], facts["layer"], facts["reason"]) == (0.9, "llm", None)
    assert (facts["cache"], "explanation" in facts) == ("bypass", False)
    assert tries(facts) == [("route", LLAMA, "ok"), ("chat", GRANITE, "ok")]
    routed, asked = product.gateway.requests
    assert json.loads(routed.messages[1]["content"]) == {
        "previous_turn": {"user": "Hello"},
        "message": "How many days of leave?",
    }
    # The agent's prompt first, then all that the client sent; a developer is a system to models.
    assert asked.messages == [
        {"role": "system", "content": "You are HR."},
        {"role": "system", "content": "Be short."},
        user("Hello"),
        user(),
    ]
    assert (asked.parameters, asked.response_schema) == ({"temperature": 0.7}, None)
    assert list(asked.metadata) == [
        "decision_id",
        "key_id",
        "request_id",
        "agents_revision",
        "agent_id",
    ]
    assert asked.metadata["agent_id"] == "hr"
    assert answered.headers["x-edgeneuro-agent"] == "hr"
    assert answered.headers["x-edgeneuro-layer"] == "llm"
    assert answered.headers["x-edgeneuro-model"] == GRANITE
    assert answered.headers["x-edgeneuro-decision-id"] == facts["decision_id"]
    assert "answer;dur=" in answered.headers["server-timing"]


async def test_one_row_holds_routing_and_answer(product: Product) -> None:
    routed = ModelAnswer(
        content={"agent": "hr", "confidence": 0.9},
        usage=talks().usage,
        trace=GatewayTrace(log_id="log-1", cache_status="MISS"),
    )
    trace = GatewayTrace(log_id="log-2", cache_status="MISS")
    answer = ModelAnswer(content="Thirty.", usage=talks().usage, trace=trace)
    product.gateway.enqueue(routed, answer)
    fields = {"user": "u1", "metadata": {"team": "blue"}, "edgeneuro": {"session": "s1"}}
    completion = (await chat(product, "auto", **fields)).json()
    [entry] = await product.logs()
    assert entry["id"] == completion["edgeneuro"]["decision_id"]
    assert (entry["kind"], entry["ending"], entry["status"]) == ("chat", "complete", 200)
    assert entry["query"] == "How many days of leave?"
    assert entry["query_hash"] is not None
    assert (entry["user"], entry["session"]) == ("u1", "s1")
    assert entry["metadata"] == {"team": "blue"}
    assert (entry["agent_id"], entry["layer"], entry["confidence"]) == ("hr", "llm", 0.9)
    assert (entry["model"], entry["adapter"]) == (LLAMA, None)
    assert entry["attempts"] == completion["edgeneuro"]["attempts"]
    assert entry["usage"] == completion["usage"]
    assert entry["usage"]["total_tokens"] == 80
    assert entry["cost_usd"] == pytest.approx(2 * COST)
    assert completion["edgeneuro"]["cost_usd"] == entry["cost_usd"]
    # What labels say is of the decision, so it is the decision's log.
    assert entry["gateway"]["log_id"] == "log-1"


async def test_an_agent_by_name_is_not_routed(product: Product) -> None:
    trace = GatewayTrace(log_id="log-1", cache_status="MISS")
    product.gateway.enqueue(ModelAnswer(content="Thirty.", trace=trace))
    completion = (await chat(product, "agent:hr")).json()
    facts = completion["edgeneuro"]
    assert (facts["agent"]["id"], facts["layer"], facts["confidence"]) == ("hr", "direct", 1.0)
    assert tries(facts) == [("chat", LLAMA, "ok")]
    [entry] = await product.logs()
    assert (entry["layer"], entry["agent_id"]) == ("direct", "hr")
    assert entry["gateway"]["log_id"] == "log-1"
    assert (entry["query"], entry["query_hash"]) == ("How many days of leave?", None)


async def test_a_model_by_name_gets_no_system_prompt(product: Product) -> None:
    await product.call("PATCH", f"/v1/models/{GRANITE}", {"aliases": ["small"]})
    product.gateway.enqueue(talks(), talks())
    for name in (GRANITE, "small"):
        answered = await chat(product, name)
        assert (answered.json()["model"], answered.json()["edgeneuro"]["agent"]) == (GRANITE, None)
        assert "x-edgeneuro-agent" not in answered.headers
    assert product.gateway.requests[-1].messages == [user()]


async def test_an_adapter_answers_only_where_it_is_named(product: Product) -> None:
    await product.call("POST", "/v1/models/select", {"model_id": LORA})
    product.gateway.enqueue(talks(), talks())
    assert (await chat(product, "agent:hr")).json()["model"] == GRANITE
    await product.call("PATCH", "/v1/config", {"fallback_models": []})
    assert (await chat(product, "agent:hr")).json()["model"] == "@cf/google/gemma-2b-it-lora"
    product.gateway.enqueue(talks())
    assert (await chat(product, LORA)).json()["model"] == LORA
    adapters = [request.adapter for request in product.gateway.requests]
    assert adapters == [None, None, LORA]


async def test_a_stale_model_of_an_agent_gives_way_and_is_counted(product: Product) -> None:
    await product.call("PATCH", "/v1/agents/hr", {"model": GRANITE})
    await product.call("DELETE", f"/v1/models/{GRANITE}")
    product.gateway.enqueue(talks())
    assert (await chat(product, "agent:hr")).json()["model"] == LLAMA
    assert product.failures.counts == {"agent_model": 1}


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("agent:nobody", 404, "model_not_found"),
        ("agent:", 404, "model_not_found"),
        ("gpt-4", 404, "model_not_found"),
        ("openai/gpt-hidden", 404, "model_not_found"),
        ("a-classifier", 404, "model_not_found"),
        ("@cf/openai/gpt-oss-20b", 404, "model_retired"),
        ("@cf/zai-org/glm-4.7-flash", 409, "model_not_ready"),
        ("x\r\nset-cookie: a=b", 404, "model_not_found"),
    ],
)
async def test_who_cannot_answer(product: Product, model: str, status: int, code: str) -> None:
    provider = {"id": "openai", "kind": "openai", "models": ["gpt-hidden"], "enabled": False}
    assert (await product.call("POST", "/v1/providers", provider)).status == 201
    await product.call("DELETE", "/v1/models/@cf/openai/gpt-oss-20b")
    await product.call("PATCH", "/v1/models/@cf/zai-org/glm-4.7-flash", {"status": "not_ready"})
    product.execute(
        "INSERT INTO models SELECT 'a-classifier', 'classifier', base_model, adapter, 'available',"
        " aliases, context_window, input_price, output_price, supports_lora, json_mode,"
        " created_at, updated_at, provider, 0 FROM models LIMIT 1"
    )
    answered = await chat(product, model)
    error = answered.json()["error"]
    assert (answered.status, error["code"], error["param"]) == (status, code, "model")
    assert product.gateway.requests == []
    assert await product.logs() == []


async def test_a_disabled_agent_answers_no_more(product: Product) -> None:
    await product.call("PATCH", "/v1/agents/hr", {"enabled": False})
    answered = await chat(product, "agent:hr")
    assert (answered.status, answered.json()["error"]["code"]) == (404, "model_not_found")


async def test_a_vendors_model_is_asked_through_its_provider(product: Product) -> None:
    provider = {"id": "openai", "kind": "openai", "models": ["gpt-x"]}
    assert (await product.call("POST", "/v1/providers", provider)).status == 201
    product.gateway.enqueue(talks(), talks())
    await chat(product, "openai/gpt-x", reasoning_effort="low")
    await chat(product, LLAMA, reasoning_effort="low")
    vendor, own = product.gateway.requests
    assert vendor.provider is not None
    assert (vendor.provider.id, vendor.model) == ("openai", "gpt-x")
    # Workers AI's models do not know the word.
    assert (vendor.parameters, own.parameters) == ({"reasoning_effort": "low"}, {})


async def test_tools_go_through(product: Product) -> None:
    product.gateway.enqueue(
        ModelAnswer(content=None, tool_calls=(CALL,), finish_reason="tool_calls")
    )
    choice = {"type": "function", "function": {"name": "look_up"}}
    messages = [
        user(),
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "shipped"},
    ]
    fields = {"tools": [TOOL], "tool_choice": choice, "parallel_tool_calls": False}
    answered = await chat(product, "agent:hr", messages=messages, **fields)
    choice_made = answered.json()["choices"][0]
    assert choice_made["finish_reason"] == "tool_calls"
    assert choice_made["message"]["content"] is None
    assert choice_made["message"]["tool_calls"] == [CALL]
    ChatCompletion.model_validate(answered.json())
    [request] = product.gateway.requests
    assert request.parameters == {
        "tools": [TOOL],
        "tool_choice": choice,
        "parallel_tool_calls": False,
    }
    assert request.messages == messages


async def test_parameters_in_openais_words(product: Product) -> None:
    product.gateway.enqueue(ModelAnswer(content={"days": 30}))
    schema = {"type": "object", "properties": {"days": {"type": "integer", "default": None}}}
    form = {"type": "json_schema", "json_schema": {"name": "leave", "schema": schema}}
    given = {
        "temperature": 1,
        "top_p": 0.5,
        "seed": 7,
        "stop": ["END"],
        "presence_penalty": -1.5,
        "frequency_penalty": None,
        "response_format": form,
    }
    options = {
        "max_tokens": 5,
        "max_completion_tokens": 9,
        "store": True,
        "service_tier": "auto",
        "n": 1,
        "logprobs": False,
        "logit_bias": {},
        "prompt_cache_key": "k",
        "safety_identifier": "s",
        "verbosity": "low",
    }
    completion = (await chat(product, LLAMA, **given, **options)).json()
    assert completion["choices"][0]["message"]["content"] == '{"days": 30}'
    del given["frequency_penalty"]
    assert product.gateway.requests[0].parameters == {**given, "max_tokens": 9}


async def test_parts_and_images(product: Product) -> None:
    product.gateway.enqueue(says("hr"), talks())
    parts: list[dict[str, Any]] = [
        {"type": "text", "text": "What is"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "text", "text": "this?"},
    ]
    await chat(product, "auto", messages=[{"role": "user", "content": parts}])
    assert product.gateway.requests[0].messages[1]["content"] == "What is\nthis?"
    assert product.gateway.requests[1].messages[-1]["content"] == parts


async def test_the_first_8000_characters_are_routed(product: Product) -> None:
    product.gateway.enqueue(says("hr"), talks())
    await chat(product, "auto", messages=[user("ä" * 20_000)])
    assert product.gateway.requests[0].messages[1]["content"] == "ä" * 8_000
    assert product.gateway.requests[1].messages[-1]["content"] == "ä" * 20_000


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "system", "content": "Only rules."}],
        [user("  \n ")],
        [user(), user("")],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a"}}]}],
    ],
)
async def test_auto_needs_a_text(product: Product, messages: list[Any]) -> None:
    answered = await chat(product, "auto", messages=messages)
    assert (answered.status, answered.json()["error"]["param"]) == (400, "messages")
    product.gateway.enqueue(talks())
    assert (await chat(product, "agent:hr", messages=messages)).status == 200


async def test_candidates_session_and_explain_of_routing(product: Product) -> None:
    product.gateway.enqueue(says("hr", 0.1), talks())
    options = {"candidates": ["general", "hr"], "explain": True}
    facts = (await chat(product, "auto", edgeneuro=options)).json()["edgeneuro"]
    assert (facts["agent"]["id"], facts["layer"]) == ("general", "fallback")
    assert (facts["reason"], facts["confidence"]) == ("low_confidence", None)
    assert facts["explanation"]["threshold"] == 0.5
    [entry] = await product.logs()
    assert entry["candidates"] == ["general", "hr"]
    answered = await chat(product, "auto", edgeneuro={"candidates": ["ceo"]})
    error = answered.json()["error"]
    assert (error["code"], error["param"]) == ("unknown_agent", "edgeneuro.candidates[0]")


async def test_the_default_agent_stands_in_where_routing_fails(product: Product) -> None:
    product.gateway.enqueue(UpstreamQuotaError("q"), UpstreamQuotaError("q"), talks())
    facts = (await chat(product, "auto")).json()["edgeneuro"]
    assert (facts["agent"]["id"], facts["layer"]) == ("general", "fallback")
    assert facts["reason"] == "quota"


async def test_without_fallback_failed_routing_is_an_error(product: Product) -> None:
    product.gateway.enqueue(UpstreamQuotaError("q"), UpstreamQuotaError("q"))
    answered = await chat(product, "auto", edgeneuro={"fallback": False})
    assert (answered.status, answered.json()["error"]["code"]) == (429, "upstream_quota")
    [entry] = await product.logs()
    assert (entry["kind"], entry["status"], entry["agent_id"]) == ("chat", 429, None)
    assert (entry["reason"], entry["model"]) == ("quota", None)


async def test_failed_routing_is_the_error_also_where_an_answer_would_be_kept(
    product: Product,
) -> None:
    await product.call("PATCH", "/v1/config", {"fallback_models": []})
    product.gateway.enqueue(UpstreamQuotaError("used up"))
    options = {"fallback": False, "cache": True}
    answered = await chat(product, "auto", edgeneuro=options)
    assert (answered.status, answered.json()["error"]["code"]) == (429, "upstream_quota")


async def test_another_model_of_the_chain_stands_in_and_says_so(product: Product) -> None:
    product.gateway.enqueue(UpstreamNotConfiguredError("no"), talks())
    answered = await chat(product, LLAMA)
    assert (answered.status, answered.json()["model"]) == (200, GRANITE)
    assert tries(answered.json()["edgeneuro"]) == [
        ("chat", LLAMA, "not_configured"),
        ("chat", GRANITE, "ok"),
    ]
    assert answered.headers["x-edgeneuro-model"] == GRANITE
    [entry] = await product.logs()
    assert (entry["model"], entry["attempts"][0]["fell_back_to"]) == (GRANITE, GRANITE)


@pytest.mark.parametrize("model", [LLAMA, "agent:hr"])
async def test_without_fallback_nobody_else_answers(product: Product, model: str) -> None:
    product.gateway.enqueue(UpstreamTimeoutError("slow", upstream_code="3007"))
    answered = await chat(product, model, edgeneuro={"fallback": False})
    assert (answered.status, answered.json()["error"]["code"]) == (504, "upstream_timeout")
    assert answered.headers["x-should-retry"] == "false"
    assert len(product.gateway.requests) == 1
    [entry] = await product.logs()
    assert (entry["status"], entry["reason"], entry["ending"]) == (504, "timeout", "complete")
    assert [(one["outcome"], one["code"]) for one in entry["attempts"]] == [("timeout", "3007")]


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (UpstreamRejectedError("images are not possible"), 400, "upstream_rejected"),
        (InvalidOutputError("odd"), 502, "invalid_output"),
        (JsonModeUnmetError("no JSON", upstream_code="5025"), 502, "invalid_output"),
        (ModelAnswer(content=None), 502, "invalid_output"),
        (Streamed([]), 502, "upstream_error"),
    ],
)
async def test_what_a_model_alone_comes_to(
    product: Product, failure: Any, status: int, code: str
) -> None:
    await product.call("PATCH", "/v1/config", {"max_retries": 0})
    product.gateway.enqueue(failure)
    answered = await chat(product, LLAMA, edgeneuro={"fallback": False})
    assert (answered.status, answered.json()["error"]["code"]) == (status, code)
    assert len(product.gateway.requests) == 1


async def test_the_time_is_for_the_whole_answer(product: Product) -> None:
    await product.call("PATCH", "/v1/config", {"chat_timeout_ms": 10_000, "fallback_models": []})
    product.gateway.enqueue(talks())
    await chat(product, LLAMA)
    [request] = product.gateway.requests
    assert (request.timeout_ms, request.idle_ms) == (10_000, 10_000)
    await product.call("PATCH", "/v1/config", {"chat_timeout_ms": 200_000})
    product.gateway.enqueue(talks())
    await chat(product, LLAMA)
    request = product.gateway.requests[-1]
    assert (request.timeout_ms, request.idle_ms) == (200_000, 30_000)


async def test_routing_is_part_of_the_time(product: Product) -> None:
    class Slow(ScriptedGateway):
        async def run(self, request: ModelRequest, /) -> ModelAnswer:
            product.clock.seconds += 4
            return await super().run(request)

    slow = Product(
        product.database,
        product.services.settings,
        gateway=Slow(says("hr"), talks()),
        clock=product.clock,
    )
    options = {"fallback": False}
    facts = (await chat(slow, "auto", edgeneuro=options)).json()["edgeneuro"]
    assert slow.gateway.requests[1].timeout_ms == 56_000
    assert facts["latency_ms"] == 8_000
    [entry] = await slow.logs()
    assert (entry["latency_ms"], entry["upstream_ms"]) == (8_000, 8_000)


async def test_settings_about_texts_hold_for_chats(product: Product) -> None:
    await product.call("PATCH", "/v1/config", {"redact_personal_data": True})
    product.gateway.enqueue(talks(), talks())
    await chat(product, LLAMA, messages=[user("I am ann@a.io")], user="ann@a.io")
    await product.call("PATCH", "/v1/config", {"log_queries": False})
    await chat(product, LLAMA, messages=[user("My secret")], metadata={"a": "secret"})
    assert [request.collect_payload for request in product.gateway.requests] == [False, False]
    newer, older = await product.logs()
    assert (older["query"], older["user"]) == ("I am [email]", "[email]")
    assert (newer["query"], newer["metadata"]) == ("", None)


async def test_metadata_with_line_breaks_stays_in_the_row(product: Product) -> None:
    product.gateway.enqueue(talks())
    metadata = {"a\r\nb": "c\r\nset-cookie: x=1"}
    answered = await chat(product, LLAMA, metadata=metadata)
    assert not any("\r" in value or "\n" in value for value in answered.headers.values())
    assert (await product.logs())[0]["metadata"] == metadata
    assert "cookie" not in str(product.gateway.requests[0].metadata)


async def test_a_models_odd_name_cannot_break_a_header(product: Product) -> None:
    odd = "modèle\r\nx: 1"
    assert (await product.call("POST", "/v1/models", {"id": odd, "type": "base"})).status == 201
    product.gateway.enqueue(talks())
    answered = await chat(product, odd)
    assert answered.json()["model"] == odd
    assert answered.headers["x-edgeneuro-model"] == "mod%C3%A8le%0D%0Ax: 1"


async def test_rows_by_kind(product: Product) -> None:
    product.gateway.enqueue(says("hr"), talks())
    await product.route("Leave?")
    await chat(product, LLAMA)
    for kind in ("route", "chat"):
        page = (await product.call("GET", f"/v1/logs?kind={kind}")).json()
        assert [entry["kind"] for entry in page["data"]] == [kind]
    answered = await product.call("GET", "/v1/logs?kind=talk")
    assert (answered.status, answered.json()["error"]["param"]) == (400, "kind")


async def test_what_was_not_decided_is_not_to_be_labelled(product: Product) -> None:
    product.gateway.enqueue(talks(), says("hr"), talks())
    direct = (await chat(product, "agent:it_support")).json()["edgeneuro"]["decision_id"]
    routed = (await chat(product, "auto")).json()["edgeneuro"]["decision_id"]
    queue = (await product.call("GET", "/v1/labels/queue")).json()["data"]
    assert [item["log_id"] for item in queue] == [routed]
    given = {"agent_id": "hr", "stream": "random"}
    answered = await product.call("PUT", f"/v1/logs/{direct}/label", given)
    assert (answered.status, answered.json()["error"]["code"]) == (409, "no_text")
    answered = await product.call("POST", "/v1/labels", [{"log_id": direct, **given}])
    assert (answered.status, answered.json()["error"]["code"]) == (400, "no_text")
    assert (await product.call("PUT", f"/v1/logs/{routed}/label", given)).status == 200
    # The same words were asked of IT directly; that says nothing of the router.
    product.clock.seconds += 3_600
    analytics = (await product.call("GET", "/v1/analytics?group_by=layer")).json()
    assert analytics["totals"]["accuracy"]["labelled"] == 1
    assert analytics["totals"]["accuracy"]["right"] == 1
    groups = {group["key"]: group["requests"] for group in analytics["groups"]}
    assert groups == {"llm": 1, "direct": 1}


async def test_chats_are_counted(product: Product) -> None:
    product.gateway.enqueue(talks())
    await chat(product, LLAMA)
    metrics = (await product.call("GET", "/metrics")).text
    assert 'edgeneuro_answers_total{layer="direct",reason=""} 1' in metrics
    assert 'edgeneuro_tokens_total{kind="completion"} 10' in metrics


async def test_a_failing_database_takes_no_answer_away(product: Product) -> None:
    product.gateway.enqueue(talks(), talks())
    await chat(product, LLAMA)
    product.database.failing = True
    answered = await chat(product, LLAMA, temperature=0)
    assert answered.json()["choices"][0]["message"]["content"] == "Thirty days."
    assert product.failures.counts.pop("log_write_retry") > 1
    assert product.failures.counts == {"chat_cache_read": 1, "log_write": 1}
