"""Decision models over HTTP against workerd: each way to one, in the format of its provider."""

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.http_client import http_client
from tests.worker.product import LocalProduct

CLEF = "@cf/cloudflare/clef"
LLAMA = "@cf/meta/llama-3.2-1b-instruct"
SYSTEM_ONE = {
    "id": "decider",
    "kind": "systemone",
    "base_url": "https://vendor.example.com/v1",
    "secret": "PROVIDER_KEY",  # scripts/children.py sets it
    "models": ["any-clef"],
    "prices": {"any-clef": {"input_per_million": 1, "output_per_million": 0}},
}
OPENAI = {"id": "oai", "kind": "openai", "secret": "PROVIDER_KEY", "models": ["gpt-6-luna"]}
COMPATIBLE = {
    **SYSTEM_ONE,
    "id": "compatible",
    "kind": "openai-compatible",
    "decision_models": ["any-clef"],
}
PROVIDERS = (SYSTEM_ONE, OPENAI, COMPATIBLE)


@pytest.fixture(scope="module")
def routed(sandbox: LocalProduct) -> Iterator[httpx.Client]:
    with http_client(sandbox.base_url, sandbox.admin_token, timeout=60) as client:
        for provider in PROVIDERS:
            client.post("/v1/providers", json=provider).raise_for_status()
        yield client
        for provider in PROVIDERS:
            client.delete(f"/v1/providers/{provider['id']}").raise_for_status()


@pytest.fixture
def faults(sandbox: LocalProduct) -> Iterator[httpx.Client]:
    assert sandbox.local_ai_url is not None
    with http_client(sandbox.local_ai_url) as emulator:
        yield emulator
        emulator.delete("/_local/faults").raise_for_status()


def route(client: httpx.Client, model: str, **fields: Any) -> dict[str, Any]:
    query = f"My VPN does not connect {uuid.uuid4().hex}"
    body = {"query": query, "model": model, "fallback": False, **fields}
    decision: dict[str, Any] = client.post("/v1/route", json=body).raise_for_status().json()
    return decision


@pytest.mark.parametrize(
    ("model", "price"),
    [(CLEF, 0.24), ("decider/any-clef", 1), ("oai/gpt-6-luna", 0.1), ("compatible/any-clef", 1)],
)
def test_each_way_to_a_decision_model(routed: httpx.Client, model: str, price: float) -> None:
    decision = route(routed, model)
    assert (decision["layer"], decision["confidence_source"]) == ("decision_model",) * 2
    probabilities = [each["probability"] for each in decision["scores"]]
    assert probabilities == sorted(probabilities, reverse=True)
    assert decision["confidence"] == probabilities[0]
    tokens = decision["usage"]["prompt_tokens"]
    assert tokens > 0
    assert decision["cost_usd"] == pytest.approx(tokens * price / 1_000_000)


def test_a_host_that_cannot_be_reached(routed: httpx.Client, faults: httpx.Client) -> None:
    broken = {"host:vendor.example.com": {"kind": "refuse"}}
    faults.put("/_local/faults", json=broken).raise_for_status()
    body = {"query": "My VPN is down", "model": "decider/any-clef", "fallback": False}
    answered = routed.post("/v1/route", json=body)
    assert (answered.status_code, answered.json()["error"]["code"]) == (502, "upstream_error")
    assert "Traceback" not in answered.text


def test_the_list_and_what_is_refused(routed: httpx.Client) -> None:
    listed = routed.get("/v1/models", params={"type": "decision"}).json()["data"]
    names = {each["id"] for each in listed}
    assert {CLEF, "decider/any-clef", "oai/gpt-6-luna", "compatible/any-clef"} <= names
    chat = {"model": CLEF, "messages": [{"role": "user", "content": "hi"}]}
    answered = routed.post("/v1/chat/completions", json=chat)
    assert (answered.status_code, answered.json()["error"]["code"]) == (400, "model_is_decision")


def test_selected_it_routes_and_chats_go_on(routed: httpx.Client) -> None:
    selected = routed.post("/v1/models/select", json={"model_id": CLEF})
    assert selected.status_code == 200, selected.text
    try:
        query = f"My VPN does not connect {uuid.uuid4().hex}"
        decision = routed.post("/v1/route", json={"query": query}).raise_for_status().json()
        assert (decision["model"], decision["layer"]) == (CLEF, "decision_model")
        again = routed.post("/v1/route", json={"query": query}).json()
        assert (again["cache"], again["scores"]) == ("hit", decision["scores"])
        chat = {"model": "auto", "messages": [{"role": "user", "content": query}]}
        answered = routed.post("/v1/chat/completions", json=chat).raise_for_status().json()
        assert answered["choices"][0]["message"]["content"]
        assert answered["model"] != CLEF
    finally:
        routed.post("/v1/models/select", json={"model_id": LLAMA}).raise_for_status()


def test_the_catalogue_says_what_its_new_models_are(routed: httpx.Client) -> None:
    refreshed = routed.post("/v1/models/refresh", json={})
    assert refreshed.status_code == 200, refreshed.text
    listed = routed.get("/v1/models", params={"type": "decision"}).json()["data"]
    clef = next(each for each in listed if each["id"] == CLEF)
    assert clef["pricing"]["input_per_million"] == 0.24
    assert clef["pricing"]["output_per_million"] == 0
