"""What goes out over HTTPS: addresses, credentials, bodies; several requests in one call."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from edgeneuro.domain.provider import Provider
from edgeneuro.domain.trace import Trace
from edgeneuro.errors import (
    InvalidOutputError,
    UpstreamCapacityError,
    UpstreamError,
    UpstreamNotConfiguredError,
)
from edgeneuro.gateway.client import GatewayClient, build_gateway
from edgeneuro.gateway.http import HttpResponse
from edgeneuro.settings import Settings
from local.app import build_app
from tests.local.emulator import GLM, LLAMA, build_emulator
from tests.unit.upstreams import AsgiFetch, FakeResponse
from tests.unit.ways import NOW, SECRETS, SETTINGS, request

GATEWAY = "https://gateway.ai.cloudflare.com/v1/account/edge"
API = "https://api.cloudflare.com/client/v4/accounts/acc"
ANSWER = {"choices": [{"message": {"content": "x"}}]}
KEYS = {**SECRETS, "PROVIDER_VENDOR_KEY": "vendor-key", "ADMIN_TOKEN": "admin"}
SCHEMA = {"type": "object"}


def provider(
    kind: Any, base_url: str | None = None, secret: str | None = "PROVIDER_VENDOR_KEY"
) -> Provider:
    return Provider(
        id="vendor",
        kind=kind,
        base_url=base_url,
        secret=secret,
        models=[],
        priority=1,
        enabled=True,
        created_at="",
        updated_at="",
    )


class Internet:
    """Keeps what was sent, and answers everything alike."""

    def __init__(self, answer: HttpResponse | None = None) -> None:
        self._answer = answer or FakeResponse(200, ANSWER)
        self.method, self.url = "", ""
        self.headers: dict[str, str] = {}
        self.body: Any = None

    async def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: Any, /
    ) -> HttpResponse:
        self.method, self.url, self.headers = method, url, dict(headers)
        self.body = json.loads(body) if body else None
        return self._answer


def client(fetch: Any, settings: Settings = SETTINGS, keys: Any = None) -> GatewayClient:
    secret = (KEYS if keys is None else keys).get
    return build_gateway(settings, binding=None, fetch=fetch, secret=secret, now=lambda: NOW)


@pytest.mark.parametrize(
    ("of", "url", "credential"),
    [
        (None, f"{GATEWAY}/workers-ai/@cf/a/b%3F", "cloudflare-token"),
        (provider("workers-ai"), f"{GATEWAY}/workers-ai/@cf/a/b%3F", "vendor-key"),
        (provider("openai"), f"{GATEWAY}/openai/chat/completions", "vendor-key"),
        (provider("groq"), f"{GATEWAY}/groq/chat/completions", "vendor-key"),
        (provider("anthropic"), f"{GATEWAY}/anthropic/v1/chat/completions", "vendor-key"),
    ],
)
async def test_through_ai_gateway(of: Provider | None, url: str, credential: str) -> None:
    internet = Internet()
    trace = Trace("a" * 32, "b" * 16)
    await client(internet).run(request(model="@cf/a/b?", provider=of, trace=trace))
    assert (internet.method, internet.url) == ("POST", url)
    assert internet.headers["authorization"] == f"Bearer {credential}"
    assert internet.headers["cf-aig-authorization"] == "Bearer gateway-token"
    assert internet.headers["cf-aig-otel-trace-id"] == "a" * 32
    assert "traceparent" not in internet.headers


@pytest.mark.parametrize(
    ("of", "url"),
    [
        (provider("openai-compatible", "https://llm.example/v1/"), "https://llm.example/v1"),
        (provider("openai", "https://eu.example/v1"), "https://eu.example/v1"),
        (provider("workers-ai", "https://api.example/ai/v1"), "https://api.example/ai/v1"),
    ],
)
async def test_a_providers_own_host_gets_no_gateway_headers(of: Provider, url: str) -> None:
    internet = Internet()
    trace = Trace("a" * 32, "b" * 16)
    asked = request(provider=of, trace=trace, collect_payload=False)
    await client(internet, Settings(provider_hosts=SETTINGS.provider_hosts)).run(asked)
    assert internet.url == f"{url}/chat/completions"
    assert internet.headers == {
        "content-type": "application/json",
        "authorization": "Bearer vendor-key",
        "traceparent": trace.traceparent,
    }


async def test_a_provider_without_a_secret_sends_no_credential() -> None:
    internet = Internet()
    asked = request(provider=provider("openai-compatible", "https://llm.example/v1", None))
    await client(internet).run(asked)
    assert "authorization" not in internet.headers


@pytest.mark.parametrize(
    ("kind", "parameters", "expected"),
    [
        ("openai", {"max_tokens": 5, "seed": 1}, {"max_completion_tokens": 5, "seed": 1}),
        ("groq", {"max_completion_tokens": 5}, {"max_tokens": 5}),
        ("groq", {"user": "u"}, {"user": "u"}),
        ("anthropic", {}, {"max_tokens": 1024}),
        ("anthropic", {"max_tokens": 5}, {"max_tokens": 5}),
    ],
)
async def test_the_body_of_a_chat(
    kind: str, parameters: dict[str, Any], expected: dict[str, Any]
) -> None:
    internet = Internet()
    asked = request(provider=provider(kind), parameters=parameters)
    await client(internet).run(asked)
    assert internet.body == {"model": LLAMA, "messages": asked.messages, **expected}


async def test_json_mode_and_usage_of_a_chat() -> None:
    internet = Internet()
    asked = request(provider=provider("openai"), parameters={}, response_schema=SCHEMA)
    with pytest.raises(UpstreamError):
        await client(internet).stream(asked)
    named = {"name": "answer", "strict": True, "schema": SCHEMA}
    assert internet.body["response_format"] == {"type": "json_schema", "json_schema": named}
    assert internet.body["stream"] is True
    assert internet.body["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    ("of", "keys", "words"),
    [
        (provider("openai"), {}, "secret PROVIDER_VENDOR_KEY"),
        (provider("openai", None, "ADMIN_TOKEN"), KEYS, "ADMIN_TOKEN.*begin with PROVIDER_"),
        (provider("openai", None, "AI_GATEWAY_TOKEN"), KEYS, "put PROVIDER_AI_GATEWAY_TOKEN"),
        (provider("openai", None, "GROQ_KEY"), {"GROQ_KEY": "k"}, "put PROVIDER_GROQ_KEY"),
        (provider("openai", None, "PROVIDER_HOSTS"), {"PROVIDER_HOSTS": "k"}, "begin with"),
        (provider("openai", "https://evil.example/v1"), KEYS, "PROVIDER_HOSTS of wrangler.toml"),
        (provider("openai", "https://llm.example:8443/v1"), KEYS, "PROVIDER_HOSTS"),
        (provider("openai", "https://llm.example.evil.example/v1"), KEYS, "PROVIDER_HOSTS"),
        (provider("openai-compatible", "http://llm.example"), KEYS, "https://"),
        (provider("openai-compatible", "https://10.0.0.1/v1", None), KEYS, "public host"),
        (provider("openai-compatible", "https://10.0.0.1/v1"), KEYS, "PROVIDER_HOSTS"),
        (provider("openai-compatible"), KEYS, "base_url"),
    ],
)
async def test_a_missing_configuration_is_an_error_and_nothing_is_sent(
    of: Provider, keys: dict[str, str], words: str
) -> None:
    internet = Internet()
    with pytest.raises(UpstreamNotConfiguredError, match=words):
        await client(internet, keys=keys).run(request(provider=of))
    assert internet.url == ""


async def test_an_adapter_is_not_dropped_silently() -> None:
    with pytest.raises(UpstreamNotConfiguredError, match="adapters"):
        await client(Internet()).run(request(provider=provider("openai"), adapter="a"))


async def test_no_model_reaches_another_path() -> None:
    with pytest.raises(UpstreamNotConfiguredError):
        await client(Internet()).run(request(model="@cf/../../openai"))


async def test_without_a_gateway_the_error_says_so() -> None:
    with pytest.raises(UpstreamNotConfiguredError, match="AI_GATEWAY_URL"):
        await client(Internet(), Settings()).run(request())


async def test_a_redirect_is_not_an_answer() -> None:
    elsewhere = FakeResponse(302, b"", {"location": "https://elsewhere.example"})
    with pytest.raises(UpstreamError, match="302"):
        await client(Internet(elsewhere)).run(request())


async def test_one_call_for_several_requests() -> None:
    internet = Internet(FakeResponse(200, ANSWER, {"cf-aig-step": "1", "cf-aig-log-id": "l"}))
    second = request(provider=provider("groq"), model="llama", cache_key="k", timeout_ms=70)
    index, answer = await client(internet).run_any([request(parameters={}), second])
    assert (index, answer.content, answer.trace.log_id) == (1, "x", "l")
    assert internet.url == GATEWAY
    assert "authorization" not in internet.headers
    assert internet.headers["cf-aig-metadata"] == '{"decision_id":"dec_1"}'
    messages = request().messages
    assert internet.body == [
        {
            "provider": "workers-ai",
            "endpoint": LLAMA,
            "headers": {
                "content-type": "application/json",
                "authorization": "Bearer cloudflare-token",
                "cf-aig-skip-cache": "true",
            },
            "query": {"messages": messages},
            "config": {"requestTimeout": 5_000},
        },
        {
            "provider": "groq",
            "endpoint": "chat/completions",
            "headers": {
                "content-type": "application/json",
                "authorization": "Bearer vendor-key",
                "cf-aig-cache-key": "k",
                "cf-aig-cache-ttl": "3600",
            },
            "query": {"model": "llama", "messages": messages, "max_tokens": 64,
                      "temperature": 0, "seed": 1},
            "config": {"requestTimeout": 70},
        },
    ]  # fmt: skip


async def test_one_call_for_several_requests_at_the_emulator() -> None:
    emulator = build_emulator()
    gateway = client(AsgiFetch(build_app(emulator.gateway), outbound=True))
    asked = [request(), request(model=GLM)]
    await emulator.fault(LLAMA, kind="error", code=3040)
    index, answer = await gateway.run_any(asked)
    assert (index, isinstance(answer.content, str)) == (1, True)
    await emulator.fault(kind="error", code=3040)
    with pytest.raises(UpstreamCapacityError):
        await gateway.run_any(asked)


@pytest.mark.parametrize("step", [None, "2", "one"])
async def test_the_model_that_answered_must_be_known(step: str | None) -> None:
    internet = Internet(FakeResponse(200, ANSWER, {"cf-aig-step": step} if step else {}))
    with pytest.raises(InvalidOutputError):
        await client(internet).run_any([request(), request()])


def test_which_requests_may_share_a_call() -> None:
    gateway = client(Internet())
    assert gateway.supports_batch_fallback(request())
    assert gateway.supports_batch_fallback(request(provider=provider("anthropic")))
    own_host = request(provider=provider("openai-compatible", "https://llm.example"))
    assert not gateway.supports_batch_fallback(own_host)
    without_its_secret = client(Internet(), keys={})
    assert not without_its_secret.supports_batch_fallback(request(provider=provider("anthropic")))


ACCOUNT = Settings(ai_gateway_url=GATEWAY, cloudflare_account_id="acc")


async def test_the_gateways_log_over_the_rest_api() -> None:
    internet = Internet(FakeResponse(200, {"success": True}))
    await client(internet, ACCOUNT).patch_log("log/1", feedback=1)
    assert (internet.method, internet.url, internet.body) == (
        "PATCH",
        f"{API}/ai-gateway/gateways/edge/logs/log%2F1",
        {"feedback": 1},
    )
    assert internet.headers["authorization"] == "Bearer cloudflare-token"
    with pytest.raises(UpstreamNotConfiguredError, match="CLOUDFLARE_ACCOUNT_ID"):
        await client(internet).patch_log("log", feedback=1)


async def test_a_missing_log() -> None:
    with pytest.raises(UpstreamNotConfiguredError):
        await client(Internet(FakeResponse(404, b"")), ACCOUNT).patch_log("log", feedback=1)


async def test_the_catalog_over_the_rest_api() -> None:
    internet = Internet(FakeResponse(200, {"result": [{"name": "@cf/a/b"}], "success": True}))
    [model] = await client(internet, ACCOUNT).models()
    assert model.id == "@cf/a/b"
    assert internet.url.startswith(f"{API}/ai/models/search?task=Text+Embeddings&page=1&")
    with pytest.raises(InvalidOutputError):
        await client(Internet(FakeResponse(200, {"result": "?"})), ACCOUNT).models()
