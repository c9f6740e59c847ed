"""Settings, models and providers over HTTP against real workerd and real D1."""

from collections.abc import Iterator

import httpx
import pytest

GRANITE = "@cf/ibm-granite/granite-4.0-h-micro"


@pytest.fixture
def restored(client: httpx.Client) -> Iterator[None]:
    """Whatever a test stores, the next one finds the defaults."""
    yield
    nulls = dict.fromkeys(("routing_model", "fallback_models", "confidence_threshold"))
    client.patch("/v1/config", json=nulls).raise_for_status()


@pytest.mark.usefixtures("restored")
def test_a_setting_holds_for_the_very_next_request(client: httpx.Client) -> None:
    query = {"query": "My VPN does not connect", "cache": False}
    assert client.post("/v1/route", json=query).json()["reason"] is None
    changes = {"confidence_threshold": 1, "routing_model": GRANITE}
    patched = client.patch("/v1/config", json=changes).json()
    assert patched["routing_model"] == {"value": GRANITE, "source": "stored"}
    decision = client.post("/v1/route", json=query).json()
    assert (decision["reason"], decision["model"]) == ("low_confidence", GRANITE)
    nulls = dict.fromkeys(changes)
    assert client.patch("/v1/config", json=nulls).json()["routing_model"]["source"] == "var"


def test_a_bad_setting_is_refused_and_nothing_is_written(client: httpx.Client) -> None:
    before = client.get("/v1/config").json()
    refused = client.patch("/v1/config", json={"retention_days": 7, "routing_model": "no-such"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "routing_model")
    assert client.get("/v1/config").json() == before


@pytest.mark.usefixtures("restored")
def test_models_come_from_workers_ais_own_catalogue(
    client: httpx.Client, emulator: httpx.Client
) -> None:
    refreshed = client.post("/v1/models/refresh").json()
    assert refreshed["models"] >= 15
    model = client.get("/v1/models/@cf/meta/llama-3.2-11b-vision-instruct").json()
    assert (model["supports_lora"], model["context_window"]) == (True, 128_000)


@pytest.mark.usefixtures("restored")
def test_a_registered_adapter_is_selected_by_its_alias_and_retired(
    client: httpx.Client, emulator: httpx.Client
) -> None:
    body = {
        "id": "intent-v2",
        "type": "lora",
        "base_model": "@cf/mistral/mistral-7b-instruct-v0.2-lora",
        "adapter": "intent-routing-v1",
        "aliases": ["best"],
    }
    created = client.post("/v1/models", json=body)
    assert created.status_code == 201, created.text
    selected = client.post("/v1/models/select", json={"model_id": "best"}).json()
    assert selected["active"] == "intent-v2"
    query = {"query": "My VPN does not connect", "cache": False}
    decision = client.post("/v1/route", json=query).json()
    assert (decision["adapter"], decision["agent"]["id"]) == ("intent-routing-v1", "it_support")
    assert client.delete("/v1/models/intent-v2").json()["error"]["code"] == "model_active"
    client.post("/v1/models/select", json={"model_id": selected["previous"]}).raise_for_status()
    assert client.delete("/v1/models/intent-v2").json()["status"] == "retired"


def test_a_provider_names_its_secret(client: httpx.Client) -> None:
    body = {"id": "groq", "kind": "groq", "secret": "PROVIDER_GROQ_KEY", "models": ["llama"]}
    created = client.post("/v1/providers", json=body)
    assert (created.status_code, created.json()["secret_set"]) == (201, False)
    patched = client.patch("/v1/providers/groq", json={"priority": 1}).json()
    assert (patched["priority"], patched["secret"]) == (1, "PROVIDER_GROQ_KEY")
    elsewhere = {"base_url": "https://evil.example.net/v1"}
    moved = client.patch("/v1/providers/groq", json=elsewhere).json()
    assert (moved["base_url"], moved["secret"]) == (elsewhere["base_url"], None)
    again = client.patch("/v1/providers/groq", json={"secret": "PROVIDER_GROQ_KEY"})
    assert (again.status_code, again.json()["error"]["code"]) == (400, "secret_host_not_allowed")
    client.delete("/v1/providers/groq").raise_for_status()
    assert client.get("/v1/providers").json()["data"] == []
