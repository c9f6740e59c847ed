"""Where a confidence comes from, and what holds where there is none."""

import math
from typing import Any

from edgeneuro.domain.decision import GatewayTrace
from edgeneuro.gateway.answers import read_answer
from edgeneuro.gateway.interface import ModelAnswer, ModelRequest, Token
from edgeneuro.gateway.request_body import text_generation_inputs
from tests.unit.conftest import Product, says

ADAPTER = "intent-routing-v1"
LLAMA = "@cf/meta/llama-3.2-1b-instruct"


async def select_adapter(product: Product) -> None:
    selected = await product.call("POST", "/v1/models/select", {"model_id": ADAPTER})
    assert selected.status == 200, selected.text


async def config(product: Product, **settings: Any) -> None:
    assert (await product.call("PATCH", "/v1/config", settings)).status == 200


async def route(product: Product, answer: ModelAnswer, query: str = "Leave?") -> dict[str, Any]:
    product.gateway.enqueue(answer)
    decision: dict[str, Any] = (await product.route(query)).json()
    return decision


async def test_an_adapter_is_asked_for_the_agent_alone(product: Product) -> None:
    await route(product, says("hr"))
    await select_adapter(product)
    await route(product, says("hr"))
    base, adapter = product.gateway.requests
    assert '"confidence": <number' in base.messages[0]["content"]
    assert "onfidence" not in adapter.messages[0]["content"]
    assert "logprobs" not in base.parameters | adapter.parameters


async def test_a_reply_without_a_confidence_is_decided_and_marked(product: Product) -> None:
    """The threshold is for known confidences; the number of an adapter is none."""
    await config(product, confidence_threshold=0.9)
    await select_adapter(product)
    contents: tuple[dict[str, Any], ...] = ({"agent": "hr"}, {"agent": "hr", "confidence": 0.1})
    for place, content in enumerate(contents):
        decision = await route(product, ModelAnswer(content=content), f"Leave {place}?")
        assert (decision["outcome"], decision["agent"]["id"]) == ("agent", "hr")
        assert (decision["confidence"], decision["confidence_source"]) == (None, None)
    again = (await product.route("Leave 0?")).json()
    assert (again["layer"], again["outcome"], again["confidence"]) == ("cache", "agent", None)
    rows = await product.logs()
    assert [row["stated_confidence"] for row in rows] == [None] * 3
    for words in ("min_confidence=0", "max_confidence=1"):
        found = (await product.call("GET", f"/v1/logs?{words}")).json()
        assert found["data"] == [], "an unknown confidence is in no range"
    items = (await product.call("GET", "/v1/labels/queue")).json()["data"]
    assert {item["confidence"] for item in items} == {None}
    assert all("uncertain" not in str(item["reasons"]) for item in items)


async def test_a_base_model_that_states_nothing_is_not_certain(product: Product) -> None:
    decision = await route(product, ModelAnswer(content="hr"))
    assert (decision["agent"]["id"], decision["confidence"]) == ("hr", None)


async def test_token_probabilities_are_the_confidence(product: Product) -> None:
    await config(product, confidence_threshold=0.5)
    patched = await product.call("PATCH", f"/v1/models/{ADAPTER}", {"logprobs": True})
    assert patched.json()["logprobs"] is True
    await select_adapter(product)
    named = [Token('{"agent": "', 0.0), Token("h", math.log(0.9)), Token("r", math.log(0.8))]
    sure = ModelAnswer(content='{"agent": "hr"}', tokens=(*named, Token('"}', 0.0)))
    decision = await route(product, sure)
    assert product.gateway.requests[-1].parameters["logprobs"] is True
    assert decision["confidence_source"] == "logprobs"
    assert round(decision["confidence"], 6) == 0.72
    unsure = ModelAnswer(content='{"agent": "hr"}', tokens=(*named, Token('"}', math.log(0.5))))
    decision = await route(product, unsure, "Leave, or pay?")
    assert (decision["outcome"], decision["reason"]) == ("fallback", "low_confidence")
    [row, *_] = await product.logs()
    assert (round(row["stated_confidence"], 6), row["confidence_source"]) == (0.36, "logprobs")


def test_the_upstreams_words_for_it() -> None:
    body = (
        b'{"choices": [{"message": {"content": "hr"}, "finish_reason": "stop", "logprobs":'
        b' {"content": [{"token": "h", "logprob": -0.5, "top_logprobs": []},'
        b' {"token": "r", "logprob": 1e-9}]}}]}'
    )
    answer = read_answer(body, GatewayTrace(), vendor="it")
    assert answer.tokens == (Token("h", -0.5), Token("r", 0.0))
    for broken in (b"null", b'"x"', b"-1e999"):
        damaged = body.replace(b"1e-9", broken)
        assert read_answer(damaged, GatewayTrace(), vendor="it").tokens == ()
    request = ModelRequest(
        model=LLAMA,
        adapter=None,
        messages=[],
        parameters={"logprobs": True},
        timeout_ms=1,
        cache_key=None,
        cache_ttl_seconds=60,
        metadata={},
    )
    assert text_generation_inputs(request)["logprobs"] is True
