"""What goes out to decision models: addresses, credentials, bodies, in both wire formats."""

import json
from dataclasses import replace
from typing import Any

import pytest

from edgeneuro.domain.images import set_images_aside
from edgeneuro.domain.provider import Provider
from edgeneuro.domain.question import Choice, Level, Score, YesNo
from edgeneuro.domain.trace import Trace
from edgeneuro.errors import UpstreamNotConfiguredError, UpstreamRejectedError
from edgeneuro.gateway.client import GatewayClient, build_gateway
from edgeneuro.gateway.cloudflare_api import read_catalogue
from edgeneuro.gateway.decisions import openai, systemone
from edgeneuro.gateway.interface import DecisionRequest
from edgeneuro_testing.fetch import ScriptedFetch, ScriptedResponse
from tests.unit.test_gateway_https import API, GATEWAY, KEYS, provider
from tests.unit.upstreams import FakeResponse
from tests.unit.ways import NOW, SETTINGS

CLEF = "@cf/cloudflare/clef-flash"
AGENT = Choice("Which agent?", {"it": "Computers", "hr": None})
SURE = YesNo("Is it clear?", yes="One meaning.", no="Several.")
BAD_MOOD = Score("How angry?", (Level("calm"), Level("angry", "shouts")))
QUESTIONS = {"agent": AGENT, "sure": SURE, "mood": BAD_MOOD}
SYSTEM_ONE = {
    "agent": {
        "type": "choice",
        "instructions": "Which agent?",
        "criteria": {"it": "Computers", "hr": None},
    },
    "sure": {
        "type": "noul",
        "instructions": "Is it clear?",
        "criteria": {"true": "One meaning.", "false": "Several."},
    },
    "mood": {"type": "score", "instructions": "How angry?", "criteria": ["calm", "angry: shouts"]},
}
OPENAI = [
    {
        "type": "choice",
        "name": "agent",
        "instructions": "Which agent?",
        "choices": [{"value": "it", "description": "Computers"}, {"value": "hr"}],
    },
    {
        "type": "predicate",
        "name": "sure",
        "instructions": "Is it clear?\nYes: One meaning.\nNo: Several.",
    },
    {
        "type": "score",
        "name": "mood",
        "instructions": "How angry?",
        "levels": [{"label": "calm"}, {"label": "angry", "description": "shouts"}],
    },
]
IMAGE = "data:image/png;base64,AAAA"
ANSWER = {"answers": {"sure": {"type": "noul", "noul": 0.5}}}
ANSWERED = [{"type": "predicate", "name": "sure", "probability": 0.5}]
TURNS = [
    {"role": "user", "content": "my laptop"},
    {"role": "assistant", "content": [{"type": "text", "text": "which one?"}]},
]


def request(**changes: Any) -> DecisionRequest:
    fields: dict[str, Any] = {
        "model": CLEF,
        "state": "my laptop is broken",
        "questions": QUESTIONS,
        "timeout_ms": 5_000,
        "cache_key": None,
        "cache_ttl_seconds": 3_600,
        "metadata": {"decision_id": "dec_1"},
    }
    return DecisionRequest(**{**fields, **changes})


def answering(body: Any) -> ScriptedFetch:
    return ScriptedFetch(ScriptedResponse(parts=[json.dumps(body).encode()]))


def client(fetch: ScriptedFetch) -> GatewayClient:
    return build_gateway(SETTINGS, binding=None, fetch=fetch, secret=KEYS.get, now=lambda: NOW)


class Binding:
    """env.AI that keeps its last call."""

    def __init__(self) -> None:
        self.model = ""
        self.inputs: dict[str, Any] = {}
        self.options: dict[str, Any] = {}

    async def run(
        self, model: str, inputs: dict[str, Any], options: dict[str, Any], /
    ) -> FakeResponse:
        self.model, self.inputs, self.options = model, inputs, options
        return FakeResponse(200, ANSWER, {"cf-aig-log-id": "log_1"})

    async def models(self, query: dict[str, Any], /) -> Any: ...

    async def patch_log(self, gateway_id: str, log_id: str, fields: dict[str, int], /) -> None: ...


def bound(binding: Binding) -> GatewayClient:
    return build_gateway(
        SETTINGS, binding=binding, fetch=ScriptedFetch(), secret=KEYS.get, now=lambda: NOW
    )


async def test_the_binding_gets_system_one_with_the_bare_name() -> None:
    binding = Binding()
    trace = Trace("a" * 32, "b" * 16)
    asked = request(cache_key="key", collect_payload=False, trace=trace)
    answer = await bound(binding).decide(asked)
    assert binding.model == CLEF
    assert binding.inputs == {
        "model": "clef-flash",
        "state": "my laptop is broken",
        "questions": SYSTEM_ONE,
    }
    assert binding.options == {
        "gateway": {
            "id": "edge",
            "metadata": {"decision_id": "dec_1"},
            "requestTimeoutMs": 5_000,
            "cacheKey": "key",
            "cacheTtl": 3_600,
        },
        "extraHeaders": {
            "cf-aig-collect-log-payload": "false",
            "cf-aig-otel-trace-id": "a" * 32,
            "cf-aig-otel-parent-span-id": "b" * 16,
        },
    }
    assert answer.trace.log_id == "log_1"


async def test_without_a_cache_key_the_cache_is_skipped() -> None:
    binding = Binding()
    await bound(binding).decide(request())
    assert binding.options["gateway"]["skipCache"] is True


@pytest.mark.parametrize(
    ("of", "model", "url", "credential"),
    [
        (None, CLEF, f"{GATEWAY}/workers-ai/{CLEF}", "cloudflare-token"),
        (provider("workers-ai"), CLEF, f"{GATEWAY}/workers-ai/{CLEF}", "vendor-key"),
        (
            provider("workers-ai", "https://api.example/accounts/b/ai/v1"),
            CLEF,
            f"https://api.example/accounts/b/ai/run/{CLEF}",
            "vendor-key",
        ),
    ],
)
async def test_workers_ai_over_https(
    of: Provider | None, model: str, url: str, credential: str
) -> None:
    fetch = answering({"success": True, "result": ANSWER})
    await client(fetch).decide(request(provider=of, model=model))
    (sent,) = fetch.requests
    assert (sent.method, sent.url) == ("POST", url)
    assert sent.headers["authorization"] == f"Bearer {credential}"
    assert sent.json() == {
        "model": "clef-flash",
        "state": "my laptop is broken",
        "questions": SYSTEM_ONE,
    }


async def test_the_headers_of_ai_gateway() -> None:
    fetch = answering(ANSWER)
    await client(fetch).decide(request(cache_key="ü"))
    headers = fetch.requests[0].headers
    assert headers["cf-aig-authorization"] == "Bearer gateway-token"
    assert headers["cf-aig-cache-key"] == "\\u00fc"
    assert headers["cf-aig-metadata"] == '{"decision_id":"dec_1"}'
    assert headers["cf-aig-request-timeout"] == "5000"


@pytest.mark.parametrize("base_url", ["https://llm.example/v1", "https://llm.example/v1/"])
async def test_a_provider_of_the_kind_systemone(base_url: str) -> None:
    fetch = answering(ANSWER)
    trace = Trace("a" * 32, "b" * 16)
    of = provider("systemone", base_url)
    await client(fetch).decide(request(provider=of, model="accounts/me/models/clef", trace=trace))
    (sent,) = fetch.requests
    assert sent.url == "https://llm.example/v1/systemone"
    assert sent.json()["model"] == "accounts/me/models/clef"
    assert sent.headers == {
        "content-type": "application/json",
        "authorization": "Bearer vendor-key",
        "traceparent": trace.traceparent,
    }


@pytest.mark.parametrize(
    ("of", "url"),
    [
        (provider("openai"), f"{GATEWAY}/openai/decisions"),
        (provider("openai", "https://eu.example/v1"), "https://eu.example/v1/decisions"),
        (
            provider("openai-compatible", "https://llm.example/v1/"),
            "https://llm.example/v1/decisions",
        ),
    ],
)
async def test_openais_format(of: Provider, url: str) -> None:
    fetch = answering({"answers": ANSWERED})
    await client(fetch).decide(request(provider=of, model="gpt-6-luna"))
    (sent,) = fetch.requests
    assert sent.url == url
    assert sent.headers["authorization"] == "Bearer vendor-key"
    assert sent.json() == {
        "model": "gpt-6-luna",
        "input": "my laptop is broken",
        "questions": OPENAI,
    }


@pytest.mark.parametrize("kind", ["groq", "anthropic"])
async def test_a_kind_without_decision_models(kind: str) -> None:
    fetch = ScriptedFetch()
    with pytest.raises(UpstreamNotConfiguredError, match=f"'{kind}' has no decision models"):
        await client(fetch).decide(request(provider=provider(kind)))
    assert fetch.requests == []


async def test_systemone_without_an_address() -> None:
    with pytest.raises(UpstreamNotConfiguredError, match="has no base_url"):
        await client(ScriptedFetch()).decide(request(provider=provider("systemone")))


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (TURNS, TURNS),
        ({"a": ["ü"]}, {"a": ["ü"]}),
        ([1], [1]),
        ("", ""),
    ],
)
def test_system_one_takes_any_state(state: Any, expected: Any) -> None:
    assert systemone.encode(request(state=state), model="clef")["state"] == expected


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (
            TURNS,
            [
                {"role": "user", "content": "my laptop"},
                {
                    "role": "assistant",
                    "content": [{"type": "output_text", "text": "which one?"}],
                },
            ],
        ),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": IMAGE}}]}],
            [{"role": "user", "content": [{"type": "input_image", "image_url": IMAGE}]}],
        ),
        ({"a": ["ü"]}, '{"a": ["ü"]}'),
        ([], "[]"),
        ([{"role": "tool", "content": "x"}], '[{"role": "tool", "content": "x"}]'),
        ([{"role": "user", "content": None}], '[{"role": "user", "content": null}]'),
        ([{"role": "user", "content": [{"type": "video"}]}], None),
    ],
)
def test_openais_input(state: Any, expected: Any) -> None:
    if expected is None:
        expected = json.dumps(state)
    assert openai.encode(request(state=state))["input"] == expected


async def test_images_of_the_state() -> None:
    assert systemone.encode(request(image_urls=(IMAGE,)), model="clef")["images"] == [IMAGE]
    part = {"type": "input_image", "image_url": IMAGE}
    text = {"type": "input_text", "text": "my laptop is broken"}
    sent = openai.encode(request(image_urls=(IMAGE,)))["input"]
    assert sent == [{"role": "user", "content": [text, part]}]
    turns = openai.encode(request(state=TURNS, image_urls=(IMAGE,)))["input"]
    assert [turn["role"] for turn in turns] == ["user", "assistant"]
    assert turns[0]["content"] == [{"type": "input_text", "text": "my laptop"}, part]
    alone = openai.encode(request(state=TURNS[1:], image_urls=(IMAGE,)))["input"]
    assert alone[1] == {"role": "user", "content": [part]}


@pytest.mark.parametrize("of", [None, provider("systemone", "https://llm.example/v1")])
async def test_images_come_back_for_their_placeholders(of: Provider | None) -> None:
    url = "data:image/png;base64," + "A" * 8_000
    _, images = set_images_aside(json.dumps({"url": url}).encode())
    asked = request(provider=of, images=images, image_urls=tuple(images.placeholders))
    if of is None:
        binding = Binding()
        await bound(binding).decide(asked)
        assert binding.inputs["images"] == [url]
    else:
        fetch = answering(ANSWER)
        await client(fetch).decide(asked)
        assert fetch.requests[0].json()["images"] == [url]


@pytest.mark.parametrize("of", [None, provider("openai")])
async def test_an_image_elsewhere_is_refused(of: Provider | None) -> None:
    fetch = ScriptedFetch()
    with pytest.raises(UpstreamRejectedError, match="data URLs only"):
        await client(fetch).decide(
            request(provider=of, image_urls=("https://images.example/1.png",))
        )
    assert fetch.requests == []


def test_names_that_system_one_does_not_allow() -> None:
    ids = ("q0", "is it?", "ü", "a" * 101, "fine.id-1_")
    asked = request(questions=dict.fromkeys(ids, SURE))
    names = list(systemone.encode(asked, model="clef")["questions"])
    assert names == ["q0", "q1", "q2", "q3", "fine.id-1_"]
    given = {
        name: {"type": "noul", "noul": place / 10} for place, name in enumerate(names, start=1)
    }
    answers = systemone.decode({"answers": given}, asked.questions)
    assert {id: answer.probability for id, answer in answers.items()} == pytest.approx(  # type: ignore[union-attr]
        {id: place / 10 for place, id in enumerate(ids, start=1)}
    )


def test_ids_of_options_cannot_break_the_format() -> None:
    hostile = 'a", "b": {"\n\u2028\x00'
    asked = request(questions={"agent": Choice("Which?", {hostile: "}]", "b": None})})
    for sent in (systemone.encode(asked, model="clef"), openai.encode(asked)):
        assert json.loads(json.dumps(sent)) == sent
    criteria = systemone.encode(asked, model="clef")["questions"]["agent"]["criteria"]
    assert list(criteria) == [hostile, "b"]


QUESTIONS_SCHEMA = {"input": {"type": "object", "properties": {"state": {}, "questions": {}}}}
TEXT_SCHEMA = {"input": {"type": "object", "oneOf": [{"properties": {"prompt": {}}}]}}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [(QUESTIONS_SCHEMA, True), (TEXT_SCHEMA, False), ({}, False), ([], False)],
)
async def test_a_models_schema_says_what_it_is(schema: Any, expected: bool) -> None:
    fetch = answering({"success": True, "result": schema})
    settings = replace(SETTINGS, cloudflare_account_id="acc")
    gateway = build_gateway(
        settings, binding=Binding(), fetch=fetch, secret=KEYS.get, now=lambda: NOW
    )
    assert await gateway.is_decision_model("@cf/acme/a?b") is expected
    (sent,) = fetch.requests
    assert sent.url == f"{API}/ai/models/schema?model=%40cf%2Facme%2Fa%3Fb"
    assert sent.headers["authorization"] == "Bearer cloudflare-token"


async def test_without_cloudflares_credentials_no_schema_is_read() -> None:
    assert await bound(Binding()).is_decision_model("@cf/acme/a") is None


async def test_a_schema_that_is_refused() -> None:
    fetch = ScriptedFetch(ScriptedResponse(400, [b'{"errors": [{"code": 5007, "message": "x"}]}']))
    settings = replace(SETTINGS, cloudflare_account_id="acc")
    gateway = build_gateway(settings, binding=None, fetch=fetch, secret=KEYS.get, now=lambda: NOW)
    with pytest.raises(UpstreamNotConfiguredError):
        await gateway.is_decision_model("@cf/acme/a")


def test_an_entry_of_the_catalogue_may_have_its_schema() -> None:
    entries = [
        {"name": "a", "schema": QUESTIONS_SCHEMA},
        {"name": "b", "schema": TEXT_SCHEMA},
        {"name": "c", "schema": "?"},
    ]
    assert [each.decision for each in read_catalogue(entries)] == [True, False, False]
