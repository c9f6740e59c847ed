"""Limits of keys in chats: what is reserved, what it is settled to, and that a budget holds."""

import asyncio
import json
from typing import Any

import pytest

from edgeneuro.access.limits import estimate
from edgeneuro.domain.catalogue import base_model, facts_of
from edgeneuro.domain.decision import GatewayTrace
from edgeneuro.errors import UpstreamCutError, UpstreamError
from edgeneuro.gateway.interface import Delta, ModelAnswer, ModelRequest
from edgeneuro.synapsecore.rankers.model import MAX_TOKENS
from edgeneuro.web.request import Request
from edgeneuro_testing.gateway import ScriptedGateway, Streamed
from tests.unit.chats import COST, LLAMA, TOOL, chat, streams, talks, user
from tests.unit.conftest import Answered, Product, no_chunks, says
from tests.unit.test_chat_agents import answers, at_endpoint, by_a2a
from tests.unit.test_limits import NO_TOKENS, NO_USD, create, limits, refused, usage

ALONE: dict[str, Any] = {"edgeneuro": {"fallback": False}}


async def ask(product: Product, key: Any, model: str = LLAMA, **fields: Any) -> Answered:
    body = {"model": model, "messages": [user()], **fields}
    return await product.call("POST", "/v1/chat/completions", body, key=key["key"])


async def used(product: Product, key: Any) -> int:
    return int((await usage(product, key))["tokens"])


def left(answered: Answered) -> int:
    return int(limits(answered)["remaining-tokens"])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["auto", LLAMA])
async def test_a_chat_is_settled_to_what_it_took(
    product: Product, model: str, stream: bool
) -> None:
    key = await create(product, monthly_token_budget=100_000, monthly_budget_usd=1)
    if model == "auto":
        routed = says("hr")
        product.gateway.enqueue(ModelAnswer(content=routed.content, usage=talks().usage))
    product.gateway.enqueue(streams("Thirty.") if stream else talks())
    answered = await ask(product, key, model, stream=stream)
    assert answered.status == 200
    assert limits(answered)["limit-tokens"] == "100000"
    assert left(answered) < 100_000 - 2 * 4_096
    found = await usage(product, key)
    count = 2 if model == "auto" else 1
    assert (found["minute_requests"], found["tokens"]) == (1, 40 * count)
    assert found["cost_usd"] == pytest.approx(COST * count)


async def test_a_budget_that_is_too_small_asks_nobody(product: Product) -> None:
    key = await create(product, monthly_token_budget=5_000)
    for stream in (False, True):
        answered = await ask(product, key, stream=stream)
        assert refused(answered) == NO_TOKENS
        assert limits(answered)["remaining-tokens"] == "5000"
    assert product.gateway.requests == []
    assert await product.logs() == []


async def test_an_answer_without_a_bound_gets_one_where_there_is_a_budget(
    product: Product,
) -> None:
    key = await create(product, monthly_token_budget=100_000)
    minutes = await create(product, requests_per_minute=9)
    small = "@cf/google/gemma-7b-it-lora"  # its context is 3,500
    product.gateway.enqueue(*[talks()] * 5)
    await ask(product, key)
    await ask(product, key, small)
    await ask(product, key, max_completion_tokens=7)
    await ask(product, minutes)
    await chat(product, LLAMA)
    shown = [asked.parameters.get("max_tokens") for asked in product.gateway.requests]
    assert shown == [4_096, 1_750, 7, None, None]


async def test_what_is_reserved_grows_with_all_that_is_sent(product: Product) -> None:
    key = await create(product, monthly_token_budget=10_000_000)
    image = {"type": "image_url", "image_url": {"url": "https://pictures.example.com/1.png"}}
    await product.call("PATCH", "/v1/agents/hr", {"system_prompt": "x" * 4_000})
    asked: list[tuple[str, dict[str, Any]]] = [
        (LLAMA, {}),
        (LLAMA, {"tools": [TOOL]}),
        (LLAMA, {"messages": [user("x" * 4_000)]}),
        (LLAMA, {"messages": [{"role": "user", "content": [image]}]}),
        ("agent:hr", ALONE),
        (LLAMA, {"edgeneuro": {}}),
    ]
    reserved = []
    for model, fields in asked:
        product.gateway.enqueue(talks())
        before = await used(product, key)
        fields = {**ALONE, "max_tokens": 10, **fields}
        answered = await ask(product, key, model, **fields)
        reserved.append(10_000_000 - before - left(answered))
    plain, tools, text, picture, prompt, chain = reserved
    assert plain < tools < text
    assert min(text, prompt) - plain > 2 * 1_900
    assert picture - plain > 2 * 4_000
    assert chain >= 2 * plain


async def test_auto_reserves_for_the_dearest_agent(product: Product) -> None:
    key = await create(product, monthly_token_budget=1_000_000)
    await product.call("PATCH", "/v1/agents/it_support", {"system_prompt": "x" * 8_000})
    reserved = []
    for candidates in (["hr"], ["hr", "it_support"]):
        product.gateway.enqueue(says("hr"), talks())
        before = await used(product, key)
        options = {"candidates": candidates, "fallback": False}
        answered = await ask(product, key, "auto", edgeneuro=options)
        reserved.append(1_000_000 - before - left(answered))
    assert reserved[1] - reserved[0] > 2 * 3_900


@pytest.mark.parametrize(
    "script",
    [
        streams("Thirty.", usage=None),
        Streamed([Delta(content="Thir"), UpstreamCutError("broken off")]),
    ],
)
async def test_a_stream_that_does_not_tell_its_usage_keeps_what_was_reserved(
    product: Product, script: Any
) -> None:
    key = await create(product, monthly_token_budget=100_000, monthly_budget_usd=1)
    product.gateway.enqueue(script)
    answered = await ask(product, key, stream=True, **ALONE)
    assert 0 < left(answered) < 100_000
    assert await used(product, key) == 100_000 - left(answered)
    assert (await usage(product, key))["cost_usd"] > 4_096 * 0.201 / 1e6


async def test_a_stream_that_is_left_keeps_what_was_reserved(product: Product) -> None:
    key = await create(product, monthly_token_budget=100_000)
    product.gateway.enqueue(streams("a", "b", "c"))
    body = json.dumps({"model": LLAMA, "messages": [user()], "stream": True, **ALONE}).encode()

    async def read_body(limit: int) -> bytes:
        return body

    headers = {"authorization": f"Bearer {key['key']}"}
    request = Request("POST", "/v1/chat/completions", "", headers.get, read_body, no_chunks)
    response = await product.app.handle(request, lambda work: work.close())
    assert not isinstance(response.body, str)
    reserved = 100_000 - int(response.headers["x-ratelimit-remaining-tokens"])
    await response.body.aclose()
    assert [entry["ending"] for entry in await product.logs()] == ["client_gone"]
    assert await used(product, key) == reserved > 2 * 4_096


async def test_routing_is_settled_also_where_the_answers_usage_is_not_known(
    product: Product,
) -> None:
    key = await create(product, monthly_token_budget=100_000)
    counted = await create(product, monthly_token_budget=100_000)
    for each, model in ((key, "auto"), (counted, "agent:hr")):
        if model == "auto":
            product.gateway.enqueue(ModelAnswer(content=says("hr").content, usage=talks().usage))
        product.gateway.enqueue(streams("Thirty.", usage=None))
        await ask(product, each, model, stream=True, **ALONE)
    assert await used(product, key) == await used(product, counted) + 40


async def test_a_kept_answer_costs_nothing(product: Product) -> None:
    key = await create(product, monthly_token_budget=100_000, requests_per_minute=9)
    product.gateway.enqueue(talks())
    for stream in (False, False, True):
        await ask(product, key, temperature=0, stream=stream)
    found = await usage(product, key)
    assert (found["minute_requests"], found["tokens"]) == (3, 40)


async def test_ai_gateways_cache_costs_nothing(product: Product) -> None:
    key = await create(product, monthly_token_budget=100_000)
    trace = GatewayTrace(cache_status="HIT")
    product.gateway.enqueue(ModelAnswer(content="Thirty.", trace=trace))
    await ask(product, key)
    assert await used(product, key) == 0


async def test_failures_and_internal_errors_refund(product: Product) -> None:
    key = await create(product, monthly_token_budget=100_000)
    for failure, status in ((UpstreamError("No."), 502), (RuntimeError("a bug"), 500)):
        for stream in (False, True):
            product.gateway.enqueue(failure, failure)
            answered = await ask(product, key, stream=stream, **ALONE)
            assert answered.status == status
            assert "remaining-tokens" in limits(answered)
            assert await used(product, key) == 0


async def test_bad_requests_count_as_requests_alone(product: Product) -> None:
    key = await create(product, requests_per_minute=2, monthly_token_budget=100_000)
    for model, fields in (("gpt-4", {}), ("auto", {"edgeneuro": {"candidates": ["ceo"]}})):
        assert (await ask(product, key, model, **fields)).status in (400, 404)
    found = await usage(product, key)
    assert (found["minute_requests"], found["tokens"]) == (2, 0)


async def test_agents_at_endpoints(product: Product) -> None:
    key = await create(product, monthly_token_budget=100_000)
    await at_endpoint(product)
    product.fetch.enqueue(answers())
    assert left(await ask(product, key, "agent:hr")) < 100_000 - 2 * 4_096
    assert product.fetch.requests[0].json()["max_tokens"] == 4_096
    assert await used(product, key) == 7
    for protocol in ("a2a", "handoff"):  # they tell no usage
        await at_endpoint(product, protocol)
        product.fetch.enqueue(by_a2a())
        answered = await ask(product, key, "agent:hr")
        assert (answered.status, left(answered)) == (200, 100_000 - 7)
    assert await used(product, key) == 7


async def test_fifty_chats_at_once_never_pass_a_budget(product: Product) -> None:
    class Late(ScriptedGateway):
        async def run(self, request: ModelRequest, /) -> ModelAnswer:
            await asyncio.sleep(0)
            return await super().run(request)

    late = Product(product.database, product.services.settings, gateway=Late())
    late.gateway.enqueue(*[talks()] * 50)
    bound = (2 * 4_096 * 0.201) / 1e6
    key = await create(late, monthly_budget_usd=bound * 5.5)
    answered = await asyncio.gather(*(ask(late, key, **ALONE) for _ in range(50)))
    answers = [each for each in answered if each.status == 200]
    assert len(answers) == len(late.gateway.requests) == 5
    assert {refused(each) for each in answered if each.status != 200} == {NO_USD}
    found = await usage(late, key)
    assert found["cost_usd"] == pytest.approx(5 * COST)


async def test_a_whole_answer_that_does_not_tell_its_usage(product: Product) -> None:
    key = await create(product, monthly_token_budget=100_000)
    product.gateway.enqueue(ModelAnswer(content="Thirty."))
    answered = await ask(product, key, **ALONE)
    assert await used(product, key) == 100_000 - left(answered) > 2 * 4_096


async def test_routing_that_tells_no_usage_counts_as_reserved(product: Product) -> None:
    key = await create(product, monthly_token_budget=1_000_000)
    product.gateway.enqueue(says("hr"), talks())
    assert (await ask(product, key, "auto", **ALONE)).status == 200
    routing = product.gateway.requests[0]
    size = sum(len(message["content"].encode()) for message in routing.messages)
    bound = estimate([base_model(facts_of(LLAMA))], size, MAX_TOKENS).tokens
    assert await used(product, key) == 40 + bound
