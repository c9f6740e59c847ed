"""The AI binding's side: inputs, options, the catalogue, the logs."""

import math
import sys
from typing import Any

import pytest

from edgeneuro.domain.catalogue import BaseModelFacts
from edgeneuro.domain.question import YesNo
from edgeneuro.errors import UpstreamCapacityError, UpstreamError, UpstreamNotConfiguredError
from edgeneuro.gateway.client import GatewayClient, build_gateway
from edgeneuro.gateway.cloudflare_api import read_catalogue
from edgeneuro.gateway.http import HttpResponse
from edgeneuro.gateway.interface import DecisionRequest
from edgeneuro.settings import Settings
from tests.local.emulator import LLAMA
from tests.unit.upstreams import FakeResponse
from tests.unit.ways import NOW, SETTINGS, request

SCHEMA = {"type": "object"}
NAMED = {"name": "answer", "schema": SCHEMA}


class Binding:
    """env.AI with one answer and so many models."""

    def __init__(self, answer: Any = None, *, models: int = 0) -> None:
        self._answer = answer or {"response": "hr"}
        self._entries = [{"name": f"@cf/a/m{n}", "properties": []} for n in range(models)]
        self.called: list[Any] = []

    async def run(
        self, model: str, inputs: dict[str, Any], options: dict[str, Any], /
    ) -> HttpResponse:
        self.called = [model, inputs, options]
        if isinstance(self._answer, Exception):
            raise self._answer
        return FakeResponse(200, self._answer)

    async def models(self, query: dict[str, Any], /) -> Any:
        start = (query["page"] - 1) * query["per_page"]
        return self._entries[start : start + query["per_page"]]

    async def patch_log(self, gateway_id: str, log_id: str, fields: dict[str, int], /) -> None:
        self.called = [gateway_id, log_id, fields]


async def no_internet(method: str, url: str, headers: Any, body: Any, /) -> HttpResponse:
    raise AssertionError(url)


def gateway(binding: Binding | None, settings: Settings = SETTINGS) -> GatewayClient:
    return build_gateway(
        settings, binding=binding, fetch=no_internet, secret=lambda name: None, now=lambda: NOW
    )


async def test_inputs_and_gateway_options() -> None:
    binding = Binding()
    await gateway(binding).run(
        request(adapter="my-lora", response_schema=SCHEMA, cache_key="key", timeout_ms=50)
    )
    assert binding.called == [
        LLAMA,
        {
            "messages": [{"role": "user", "content": "hi"}],
            "max_tokens": 64,
            "temperature": 0,
            "seed": 1,
            "response_format": {"type": "json_schema", "json_schema": SCHEMA},
            "lora": "my-lora",
        },
        {
            "gateway": {
                "id": "edge",
                "metadata": {"decision_id": "dec_1"},
                "requestTimeoutMs": 50,
                "cacheKey": "key",
                "cacheTtl": 3_600,
            },
        },
    ]


PARAMETERS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"max_completion_tokens": 7, "max_tokens": 9}, {"max_tokens": 7}),
    ({"user": "u", "store": True, "n": 1, "metadata": {}, "top_p": 0.5}, {"top_p": 0.5}),
    ({"tools": [{"type": "function"}], "tool_choice": "auto"},
     {"tools": [{"type": "function"}], "tool_choice": "auto"}),
    ({"response_format": {"type": "json_object"}}, {"response_format": {"type": "json_object"}}),
    ({"response_format": {"type": "text"}}, {}),
    ({"seed": 7}, {"seed": 7}),
    ({"seed": 9_999_999_999}, {"seed": 9_999_999_999}),
    ({"seed": 0}, {"seed": 1}),
    ({"seed": -1}, {"seed": 9_999_999_999}),
    ({"seed": 10_000_000_000}, {"seed": 2}),
    ({"reasoning_effort": "low", "verbosity": "low"}, {}),
    (
        {"response_format": {"type": "json_schema", "json_schema": NAMED}},
        {"response_format": {"type": "json_schema", "json_schema": SCHEMA}},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("given", "native"), PARAMETERS, ids=str)
async def test_openais_parameters_in_workers_ais_format(
    given: dict[str, Any], native: dict[str, Any]
) -> None:
    binding = Binding()
    await gateway(binding).run(request(parameters=given))
    assert binding.called[1] == {"messages": [{"role": "user", "content": "hi"}], **native}


TEXTS = [{"type": "text", "text": "hi"}, {"type": "text", "text": "there"}]
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
GEMMA_LORA = "@cf/google/gemma-2b-it-lora"


async def test_texts_in_parts_are_sent_as_one_text() -> None:
    binding = Binding()
    asked = [{"role": role, "content": TEXTS} for role in ("system", "user", "assistant")]
    await gateway(binding).run(request(messages=asked, parameters={}))
    assert [each["content"] for each in binding.called[1]["messages"]] == ["hi\nthere"] * 3
    await gateway(binding).run(
        request(messages=[{"role": "user", "content": [*TEXTS, IMAGE]}], parameters={})
    )
    assert binding.called[1]["messages"][0]["content"] == [*TEXTS, IMAGE]


@pytest.mark.parametrize("adapter", ["my-lora", None])
@pytest.mark.parametrize(
    ("content", "sent"),
    [
        ("hello", "be brief\nbe kind\n\nhello"),
        (TEXTS, "be brief\nbe kind\n\nhi\nthere"),
        ([IMAGE], [{"type": "text", "text": "be brief\nbe kind"}, IMAGE]),
    ],
)
async def test_a_system_message_for_a_template_without_one(
    adapter: str | None, content: Any, sent: Any
) -> None:
    binding = Binding()
    system = [{"type": "text", "text": "be brief"}, {"type": "text", "text": "be kind"}]
    asked = [{"role": "system", "content": system}, {"role": "user", "content": content}]
    await gateway(binding).run(
        request(model=GEMMA_LORA, adapter=adapter, messages=asked, parameters={})
    )
    assert binding.called[1]["messages"] == [{"role": "user", "content": sent}]


async def test_a_message_that_only_calls_tools_has_a_text() -> None:
    binding = Binding()
    calls: dict[str, Any] = {"role": "assistant", "content": None, "tool_calls": []}
    await gateway(binding).run(request(messages=[calls], parameters={}))
    assert binding.called[1] == {"messages": [{**calls, "content": ""}]}


async def test_a_stream_requests_its_usage() -> None:
    binding = Binding()
    with pytest.raises(UpstreamError):
        await gateway(binding).stream(request())
    assert binding.called[1]["stream"] is True
    assert binding.called[1]["stream_options"] == {"include_usage": True}


async def test_without_a_gateway_workers_ai_is_called_directly() -> None:
    binding = Binding()
    client = gateway(binding, Settings())
    await client.run(request(collect_payload=False))
    assert binding.called[2] == {}
    with pytest.raises(UpstreamNotConfiguredError, match="AI_GATEWAY_URL"):
        await client.patch_log("log", feedback=1)


@pytest.mark.parametrize(
    ("thrown", "expected"),
    [
        (OSError("Network connection lost."), UpstreamError),
        (RuntimeError("3040: out of capacity"), UpstreamCapacityError),
    ],
)
async def test_exceptions_of_the_binding(thrown: Exception, expected: type[UpstreamError]) -> None:
    with pytest.raises(UpstreamError) as raised:
        await gateway(Binding(thrown)).run(request())
    assert type(raised.value) is expected


async def test_feedback_goes_to_the_gateways_log() -> None:
    binding = Binding()
    await gateway(binding).patch_log("log-1", feedback=-1, score=20)
    assert binding.called == ["edge", "log-1", {"feedback": -1, "score": 20}]


async def test_without_binding_and_token_it_says_what_to_do() -> None:
    for call in (gateway(None).run(request()), gateway(None).models()):
        with pytest.raises(UpstreamNotConfiguredError, match="CLOUDFLARE_API_TOKEN"):
            await call


async def test_the_catalog_is_read_page_by_page() -> None:
    models = await gateway(Binding(models=250)).models()
    assert [model.id for model in models] == [f"@cf/a/m{n}" for n in range(250)]


def test_an_entry_of_the_catalog() -> None:
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


@pytest.mark.parametrize(
    "large", [2**53 - 1, -(2**53), 2**63, 10**400], ids=lambda large: hex(large)[:10]
)
async def test_an_integer_that_is_no_javascript_number(large: int) -> None:
    """As a BigInt it would make the binding throw, which would count against the model."""
    binding = Binding({"answers": {"sure": {"type": "noul", "noul": 0.5}}})
    state = {"ids": [large, 2**53 - 2, True, 0.5]}
    await gateway(binding).decide(
        DecisionRequest(
            model="@cf/cloudflare/clef",
            state=state,
            questions={"sure": YesNo("Is it?")},
            timeout_ms=50,
            cache_key=None,
            cache_ttl_seconds=3_600,
            metadata={},
        )
    )
    assert binding.called[1]["state"] == {"ids": [str(large), 2**53 - 2, True, 0.5]}
    schema = {"type": "integer", "maximum": large, "minimum": 0}
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    binding = Binding()
    await gateway(binding).run(request(parameters={"tools": [tool]}))
    [sent] = binding.called[1]["tools"]
    bound = sent["function"]["parameters"]["maximum"]
    assert isinstance(bound, float) and math.isfinite(bound)
    assert bound == min(large, sys.float_info.max)
    assert sent["function"]["parameters"]["minimum"] == 0
