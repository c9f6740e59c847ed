"""The AI binding's side: inputs, both output shapes, options, Cloudflare's errors in our words."""

import asyncio
import json
from typing import Any

import pytest

from edgeneuro.domain.catalogue import BaseModelFacts
from edgeneuro.domain.decision import Usage
from edgeneuro.errors import (
    InvalidOutputError,
    JsonModeUnmetError,
    UpstreamCapacityError,
    UpstreamError,
    UpstreamNotConfiguredError,
    UpstreamQuotaError,
    UpstreamRateLimitedError,
    UpstreamTimeoutError,
)
from edgeneuro.gateway.binding import BindingGateway
from edgeneuro.gateway.catalogue import read_catalogue
from edgeneuro.gateway.seam import ModelRequest
from edgeneuro.gateway.upstream_errors import raised_error, upstream_error
from edgeneuro.gateway.workers_ai import read_content, read_usage

SCHEMA = {"type": "object"}


def request(**changes: Any) -> ModelRequest:
    fields: dict[str, Any] = {
        "model": "@cf/meta/llama-3.2-1b-instruct",
        "adapter": None,
        "messages": [{"role": "user", "content": "hi"}],
        "response_schema": SCHEMA,
        "parameters": {"max_tokens": 64, "temperature": 0, "seed": 1},
        "timeout_ms": 50,
        "cache_key": "key",
        "cache_ttl_seconds": 3_600,
        "metadata": {"decision_id": "dec_1"},
    }
    return ModelRequest(**{**fields, **changes})


class RawResponse:
    def __init__(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        self.status = status
        self.headers = headers or {}
        self._body = body if isinstance(body, str) else json.dumps(body)

    async def text(self) -> str:
        return self._body


class Binding:
    """env.AI with one answer; None never answers."""

    def __init__(self, answer: RawResponse | Exception | None) -> None:
        self._answer = answer
        self.arguments: tuple[str, dict[str, Any], dict[str, Any]] | None = None

    async def run(self, model: str, inputs: dict[str, Any], options: dict[str, Any]) -> RawResponse:
        self.arguments = (model, inputs, options)
        if self._answer is None:
            await asyncio.Event().wait()
        if isinstance(self._answer, Exception):
            raise self._answer
        assert self._answer is not None
        return self._answer


async def test_inputs_and_gateway_options() -> None:
    binding = Binding(
        RawResponse(
            200,
            {"response": {"agent": "hr"}, "usage": {"prompt_tokens": 5, "completion_tokens": 2}},
            {"cf-aig-log-id": "l1", "cf-aig-cache-status": "MISS"},
        )
    )
    answer = await BindingGateway(binding, gateway_id="edge").run(request(adapter="my-lora"))
    assert answer.content == {"agent": "hr"}
    assert answer.usage == Usage(prompt_tokens=5, completion_tokens=2, total_tokens=7)
    assert (answer.trace.log_id, answer.trace.cache_status) == ("l1", "MISS")
    assert binding.arguments == (
        "@cf/meta/llama-3.2-1b-instruct",
        {
            "messages": [{"role": "user", "content": "hi"}],
            "max_tokens": 64,
            "temperature": 0,
            "seed": 1,
            "response_format": {"type": "json_schema", "json_schema": SCHEMA},
            "lora": "my-lora",
        },
        {
            "returnRawResponse": True,
            "gateway": {
                "id": "edge",
                "metadata": {"decision_id": "dec_1"},
                "requestTimeoutMs": 50,
                "cacheKey": "key",
                "cacheTtl": 3_600,
            },
        },
    )


async def test_without_a_cache_key_the_gateways_cache_is_skipped() -> None:
    binding = Binding(RawResponse(200, {"response": "hr"}))
    await BindingGateway(binding, gateway_id="edge").run(request(cache_key=None))
    assert binding.arguments is not None
    gateway = binding.arguments[2]["gateway"]
    assert gateway["skipCache"] is True
    assert "cacheKey" not in gateway


async def test_without_a_gateway_workers_ai_is_asked_directly() -> None:
    binding = Binding(RawResponse(200, {"response": "hr"}))
    await BindingGateway(binding, gateway_id="").run(request(response_schema=None))
    assert binding.arguments is not None
    _, inputs, options = binding.arguments
    assert options == {"returnRawResponse": True}
    assert "response_format" not in inputs


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (None, UpstreamTimeoutError),
        (OSError("Network connection lost."), UpstreamError),
        (RuntimeError("3040: out of capacity"), UpstreamCapacityError),
        (RawResponse(200, "{cut"), InvalidOutputError),
        (RawResponse(200, ""), InvalidOutputError),
        (RawResponse(200, "[]"), InvalidOutputError),
        (RawResponse(200, {"response": None}), InvalidOutputError),
        (RawResponse(500, "<html>"), UpstreamError),
    ],
)
async def test_whatever_happens_is_an_upstream_error(
    answer: RawResponse | Exception | None, expected: type[UpstreamError]
) -> None:
    with pytest.raises(UpstreamError) as raised:
        await BindingGateway(Binding(answer), gateway_id="edge").run(request())
    assert type(raised.value) is expected


class Catalogue:
    """env.AI with so many models."""

    def __init__(self, count: int) -> None:
        self._entries = [{"name": f"@cf/a/m{n}", "properties": []} for n in range(count)]

    async def models(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        start = (query["page"] - 1) * query["per_page"]
        return self._entries[start : start + query["per_page"]]


async def test_the_catalogue_is_read_page_by_page() -> None:
    models = await BindingGateway(Catalogue(250), gateway_id="").models()
    assert [model.id for model in models] == [f"@cf/a/m{n}" for n in range(250)]


def test_what_a_catalogue_entry_says() -> None:
    properties = [
        {"property_id": "context_window", "value": "24000"},
        {"property_id": "lora", "value": "true"},
        {"property_id": "planned_deprecation_date", "value": "2027-01-31"},
        {
            "property_id": "price",
            "value": [
                {"unit": "per M input tokens", "price": 0.293, "currency": "USD"},
                {"unit": "per M output tokens", "price": 2.253, "currency": "USD"},
            ],
        },
    ]
    entries = [
        {"id": "internal", "name": "@cf/a/b", "properties": properties},
        {"name": "@cf/a/c", "properties": [{"property_id": "context_window", "value": 128000}, 7]},
        {"name": "@cf/a/d", "properties": "?"},
        {"name": 7},
        "?",
    ]
    assert read_catalogue(entries) == [
        BaseModelFacts("@cf/a/b", 0.293, 2.253, 24_000, True, False, "2027-01-31"),
        BaseModelFacts("@cf/a/c", context_window=128_000),
        BaseModelFacts("@cf/a/d"),
    ]


async def test_without_the_binding_it_says_so() -> None:
    with pytest.raises(UpstreamNotConfiguredError, match=r"wrangler\.toml"):
        await BindingGateway(None, gateway_id="edge").run(request())


@pytest.mark.parametrize(
    ("status", "body", "expected", "code"),
    [
        (429, {"internalCode": 3040, "description": "busy"}, UpstreamCapacityError, "3040"),
        (429, {"internalCode": 3036, "description": "quota"}, UpstreamQuotaError, "3036"),
        (408, {"errors": [{"code": 3007, "message": "slow"}]}, UpstreamTimeoutError, "3007"),
        (429, {"error": [{"code": 2003, "message": "limit"}]}, UpstreamRateLimitedError, "2003"),
        (405, {"errors": [{"code": 5005, "message": "x"}]}, UpstreamNotConfiguredError, "5005"),
        (400, {"internalCode": 5025, "description": "x"}, JsonModeUnmetError, "5025"),
        (400, {"internalCode": 5006, "description": "x"}, UpstreamError, "5006"),
        (429, "too many", UpstreamRateLimitedError, "429"),
        (504, "", UpstreamTimeoutError, "504"),
        (503, {"errors": "?"}, UpstreamError, "503"),
        (500, "[" * 10_000, UpstreamError, "500"),
    ],
)
def test_cloudflares_errors_in_our_words(
    status: int, body: Any, expected: type[UpstreamError], code: str
) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    error = upstream_error(status, text, retry_after="7")
    assert (type(error), error.upstream_code) == (expected, code)
    assert error.headers == {"retry-after": "7"}


def test_a_retry_after_that_is_no_number_is_dropped() -> None:
    assert upstream_error(429, "", retry_after="soon\r\nx: y").headers == {}


def test_what_the_binding_throws() -> None:
    assert isinstance(raised_error("3008: aborted"), UpstreamTimeoutError)
    assert isinstance(raised_error("InferenceUpstreamError"), UpstreamError)


def test_both_output_shapes() -> None:
    assert read_content({"response": "text"}) == "text"
    assert read_content({"response": {"agent": "hr"}}) == {"agent": "hr"}
    assert read_content({"choices": [{"message": {"content": "text"}}]}) == "text"
    broken_outputs: list[Any] = [None, {}, {"response": 7}, {"choices": []}, {"choices": [{}]}]
    for broken in broken_outputs:
        with pytest.raises(InvalidOutputError):
            read_content(broken)


def test_usage_is_optional_and_never_trusted() -> None:
    assert read_usage({}) == Usage()
    assert read_usage([]) == Usage()
    assert read_usage({"usage": {"prompt_tokens": "many", "completion_tokens": -1}}) == Usage()
