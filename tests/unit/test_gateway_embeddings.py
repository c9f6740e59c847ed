"""Each way to an embedding model against the emulator's real MiniLM, and what is no vector."""

import json
from dataclasses import replace
from typing import Any

import pytest

from edgeneuro.domain.decision import GatewayTrace
from edgeneuro.domain.provider import Provider
from edgeneuro.errors import (
    InvalidOutputError,
    StaleAnswerError,
    UpstreamError,
    UpstreamNotConfiguredError,
    UpstreamRejectedError,
)
from edgeneuro.gateway.client import GatewayClient, build_gateway
from edgeneuro.gateway.embeddings import read_embeddings
from edgeneuro.gateway.interface import EmbeddingRequest
from local.app import build_app
from tests.local.emulator import Emulator, build_emulator
from tests.unit.test_gateway_https import KEYS, provider
from tests.unit.upstreams import AsgiFetch, FetchedAi
from tests.unit.ways import NOW, SETTINGS

SMALL = "@cf/baai/bge-small-en-v1.5"
VENDOR = "https://vendor.example.com/v1"
TEXTS = ("how do i reset my password", "I forgot my login credentials", "is it raining?")
# name -> provider, model, whether over the binding
WAYS: dict[str, tuple[Provider | None, str, bool]] = {
    "binding": (None, SMALL, True),
    "REST": (None, SMALL, False),
    "openai": (provider("openai"), "text-embedding-3-small", False),
    "openai-compatible": (provider("openai-compatible", VENDOR), "any", False),
    "another account": (provider("workers-ai", VENDOR), SMALL, False),
}
CACHED = ["binding", "REST", "openai"]  # through AI Gateway, which has a cache


class Way:
    def __init__(self, name: str) -> None:
        self.emulator: Emulator = build_emulator()
        self.provider, self.model, bound = WAYS[name]
        app = build_app(self.emulator.gateway)
        self.gateway: GatewayClient = build_gateway(
            replace(SETTINGS, provider_hosts=("vendor.example.com",)),
            binding=FetchedAi(AsgiFetch(app)) if bound else None,
            fetch=AsgiFetch(app, outbound=True),
            secret=KEYS.get,
            now=lambda: NOW,
        )

    def request(self, **changes: Any) -> EmbeddingRequest:
        return request(**{"model": self.model, "provider": self.provider, **changes})


def request(**changes: Any) -> EmbeddingRequest:
    fields: dict[str, Any] = {
        "model": SMALL,
        "texts": TEXTS,
        "timeout_ms": 20_000,
        "cache_key": None,
        "cache_ttl_seconds": 3_600,
        "metadata": {"purpose": "embedding"},
    }
    return EmbeddingRequest(**{**fields, **changes})


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    return Way(request.param)


async def test_every_way_has_the_same_vectors(way: Way) -> None:
    answer = await way.gateway.embed(way.request())
    assert [len(vector) for vector in answer.vectors] == [384, 384, 384]
    asked, alike, other = answer.vectors
    assert _dot(asked, alike) > 0.4 > _dot(asked, other)
    assert 20 <= answer.usage.prompt_tokens <= 40
    assert answer.usage.completion_tokens == 0
    assert answer.engine == "minilm"


@pytest.mark.parametrize("name", CACHED)
async def test_ai_gateways_cache(name: str) -> None:
    way = Way(name)
    asked = way.request(cache_key="key", texts=TEXTS[:1])
    first, second = await way.gateway.embed(asked), await way.gateway.embed(asked)
    assert (first.trace.cache_status, second.trace.cache_status) == ("MISS", "HIT")
    assert first.vectors == second.vectors
    assert first.trace.log_id is not None


async def test_a_cached_answer_of_no_use_says_so() -> None:
    way = Way("binding")
    await way.emulator.fault(SMALL, kind="nan_vector", times=1)
    asked = way.request(cache_key="key")
    with pytest.raises(InvalidOutputError):
        await way.gateway.embed(asked)
    with pytest.raises(StaleAnswerError):
        await way.gateway.embed(asked)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "zero_vector"}, InvalidOutputError),
        ({"kind": "missing_vector"}, InvalidOutputError),
        ({"kind": "wrong_json"}, InvalidOutputError),
        ({"kind": "truncated_json"}, InvalidOutputError),
        ({"kind": "malformed_json"}, InvalidOutputError),
        ({"kind": "error", "code": 5028}, UpstreamError),
        ({"kind": "reject"}, UpstreamRejectedError),
        ({"kind": "status", "status": 503}, UpstreamError),
        ({"kind": "refuse"}, UpstreamError),
    ],
)
async def test_failures(fault: dict[str, Any], error: type[Exception]) -> None:
    way = Way("binding")
    await way.emulator.fault(SMALL, **fault)
    with pytest.raises(error):
        await way.gateway.embed(way.request())


async def test_another_width_is_the_callers_to_judge() -> None:
    way = Way("binding")
    await way.emulator.fault(SMALL, kind="wrong_width")
    answer = await way.gateway.embed(way.request())
    assert {len(vector) for vector in answer.vectors} == {192}


@pytest.mark.parametrize("kind", ["anthropic", "systemone"])
async def test_a_vendor_without_embedding_models(kind: Any) -> None:
    other = provider(kind, VENDOR)
    with pytest.raises(UpstreamNotConfiguredError, match="no embedding models"):
        await Way("REST").gateway.embed(request(provider=other))


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"data": []},
        {"data": [[]]},
        {"data": [[1.0, True]]},
        {"data": [[1.0, "2"]]},
        {"data": [[0, 0]]},
        {"data": [[1.0], [1.0]]},
        {"data": [[1.0] * 5_000]},
        {"data": [{"embedding": [1.0], "index": 1}]},
        {"data": [{"embedding": None}]},
        {"data": [{"embedding": [1e400]}]},
        {"data": {"embedding": [1.0]}},
        [],
    ],
)
def test_what_is_no_vector(body: Any) -> None:
    with pytest.raises(InvalidOutputError):
        read_embeddings(
            json.dumps(body).encode(), request(texts=("a",)), GatewayTrace(), vendor="It"
        )


def test_vectors_are_in_the_order_of_their_index() -> None:
    listed = [{"embedding": [2.0], "index": 1}, {"embedding": [1], "index": 0}]
    body = json.dumps({"data": listed, "usage": {"prompt_tokens": 7}}).encode()
    answer = read_embeddings(body, request(texts=("a", "b")), GatewayTrace(), vendor="It")
    assert answer.vectors == ([1.0], [2.0])
    assert answer.usage.total_tokens == 7


def _dot(one: Any, other: Any) -> float:
    return float(sum(x * y for x, y in zip(one, other, strict=True)))
