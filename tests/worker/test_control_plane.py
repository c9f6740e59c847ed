"""The control plane over HTTP, with the official clients."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest

from edgeneuro import __version__
from edgeneuro.app.routes import ROUTES
from edgeneuro.web.openapi import openapi_document
from edgeneuro.web.routing import RouteTable
from scripts.backups.databases import LocalDatabase
from scripts.backups.dump import read_dump
from scripts.backups.taking import take_backup
from scripts.cron import running_cron_url
from tests.http_client import http_client
from tests.waiting import until
from tests.worker.product import LocalProduct, Product


@pytest.fixture
def client(product: Product) -> Iterator[httpx.Client]:
    """Through wrangler's proxy, which has addresses of its own."""
    with http_client(product.public_url, product.admin_token) as client:
        yield client


@pytest.fixture
def anonymous(product: Product) -> Iterator[httpx.Client]:
    with http_client(product.public_url) as client:
        yield client


LLAMA = "@cf/meta/llama-3.2-1b-instruct"
LORA = "intent-routing-v1"


@pytest.fixture
def selection(client: httpx.Client) -> Iterator[None]:
    """Whatever a test selects, the next one finds the base model active."""
    yield
    client.post("/v1/models/select", json={"model_id": LLAMA}).raise_for_status()


def test_the_official_openai_client_lists_models(product: Product) -> None:
    with openai.OpenAI(
        base_url=f"{product.base_url}/v1", api_key=product.admin_token, max_retries=0
    ) as sdk:
        models = {model.id: model for model in sdk.models.list()}
        assert models[LLAMA].owned_by == "meta"
        assert sdk.models.retrieve(LLAMA).id == LLAMA
        with pytest.raises(openai.NotFoundError) as raised:
            sdk.models.retrieve("no-such-model")
        assert raised.value.code == "model_not_found"


def test_the_official_openai_client_understands_a_wrong_key(product: Product) -> None:
    with (
        openai.OpenAI(base_url=f"{product.base_url}/v1", api_key="wrong", max_retries=0) as sdk,
        pytest.raises(openai.AuthenticationError) as raised,
    ):
        sdk.models.list()
    assert raised.value.code == "invalid_api_key"


@pytest.mark.usefixtures("selection")
def test_a_selected_model_is_used_by_the_very_next_request(
    client: httpx.Client, emulator: httpx.Client
) -> None:
    selected = client.post("/v1/models/select", json={"model_id": LORA}).json()
    assert (selected["active"], selected["previous"]) == (LORA, LLAMA)
    decision = client.post("/v1/route", json={"query": "VPN broken", "cache": False}).json()
    assert decision["model"] == "@cf/google/gemma-2b-it-lora"
    assert decision["adapter"] == LORA
    assert decision["agent"]["id"] == "it_support"
    call = emulator.get("/_local/calls").json()[-1]
    assert call["inputs"]["lora"] == LORA


def test_logs_are_found_by_more_words_than_d1_binds_values(client: httpx.Client) -> None:
    asked = client.post("/v1/route", json={"query": "我的密码忘记了", "cache": False}).json()
    until(lambda: client.get(f"/v1/logs/{asked['id']}").status_code == 200)
    found = client.get("/v1/logs", params={"q": " ".join("密码忘记" * 60)})
    assert found.status_code == 200, found.text
    assert asked["id"] in [entry["id"] for entry in found.json()["data"]]


def test_an_agent_lives_its_life(client: httpx.Client) -> None:
    body = {
        "id": "travel",
        "name": "Travel emulator",
        "description": "Flights, hotels, rental cars and visas for business trips.",
        "examples": ["Book a flight to Lisbon", "I need a hotel near the office in Oslo"],
    }
    created = client.post("/v1/agents", json=body)
    assert created.status_code == 201, created.text
    query = {"query": "Please book me a flight to Oslo and a hotel"}
    assert client.post("/v1/route", json=query).json()["agent"]["id"] == "travel"

    patched = client.patch("/v1/agents/travel", json={"enabled": False}).json()
    assert (patched["enabled"], patched["name"]) == (False, "Travel emulator")
    assert client.post("/v1/route", json=query).json()["agent"]["id"] != "travel"
    candidates = client.post("/v1/route", json={**query, "candidates": ["travel"]})
    assert candidates.json()["error"]["code"] == "unknown_agent"

    taken = client.post("/v1/agents", json=body)
    assert (taken.status_code, taken.json()["error"]["code"]) == (409, "agent_exists")
    assert client.delete("/v1/agents/travel").json()["deleted"] is True
    assert client.get("/v1/agents/travel").status_code == 404


def test_an_agent_that_is_created_again_is_asked_about_its_labels(client: httpx.Client) -> None:
    body = {"id": "harbour", "name": "Harbour", "description": "Berths and pilots."}
    client.post("/v1/agents", json=body).raise_for_status()
    label = {"query": "Which berth is free at the quay tonight?", "agent_id": "harbour"}
    client.post("/v1/labels", json=[label]).raise_for_status()
    client.delete("/v1/agents/harbour").raise_for_status()
    refused = client.post("/v1/agents", json=body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "agent_has_labels")
    made = client.post("/v1/agents", json={**body, "labels": "set_aside"})
    assert made.status_code == 201, made.text
    assert made.json()["labels"] == {"kept": 0, "set_aside": 1, "warning": None}
    assert client.get("/v1/labels", params={"agent": "harbour"}).json()["data"] == []
    audit = client.get("/v1/audit", params={"resource_id": "harbour"}).json()["data"]
    assert [each["action"] for each in audit[:2]] == ["create", "delete"]
    client.delete("/v1/agents/harbour").raise_for_status()


def test_the_default_agent_moves_and_stays_one(client: httpx.Client) -> None:
    assert client.delete("/v1/agents/general").json()["error"]["code"] == "default_agent"
    for agent_id in ("hr", "general"):
        client.patch(f"/v1/agents/{agent_id}", json={"default": True}).raise_for_status()
        agents = client.get("/v1/agents").json()["data"]
        assert [agent["id"] for agent in agents if agent["default"]] == [agent_id]


def test_health_and_openapi_are_public(anonymous: httpx.Client) -> None:
    assert anonymous.get("/healthz").json()["status"] == "ok"
    document = anonymous.get("/openapi.json")
    assert document.text == openapi_document(RouteTable(ROUTES), __version__)
    present = {"if-none-match": document.headers["etag"]}
    assert anonymous.get("/openapi.json", headers=present).status_code == 304
    head = anonymous.head("/openapi.json")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["etag"] == document.headers["etag"]


def test_a_backup_is_taken_beside_the_running_product(product: Product, tmp_path: Path) -> None:
    if not isinstance(product, LocalProduct):
        pytest.skip("the database of a deployment is D1's")
    with http_client(product.public_url) as anonymous:
        schema = anonymous.get("/healthz").json()["schema"]
    dump = read_dump(take_backup(LocalDatabase(product.state), tmp_path / "backup.sql"))
    assert schema["state"] == "same"
    assert (dump.version, dump.rows["agents"] > 0) == (schema["database"], True)


def test_cron_runs(anonymous: httpx.Client, product: Product) -> None:
    if not isinstance(product, LocalProduct):
        pytest.skip("only the local runtime fires a cron on request")
    assert anonymous.get(running_cron_url(product.state)).json()["outcome"] == "ok"
    for event in ("", "0 * * * *", "0 * * * * wrong"):
        fired = anonymous.get("/cdn-cgi/local/scheduled", params={"format": "json", "cron": event})
        assert fired.status_code == 500
        assert fired.json()["outcome"] == "exception"


def test_the_local_runtime_opens_no_way_around_the_keys(
    anonymous: httpx.Client, product: Product
) -> None:
    if not isinstance(product, LocalProduct):
        pytest.skip("a deployment has no such addresses")
    sql = {"sql": "SELECT 1", "queries": [{"sql": "SELECT 1"}]}
    for path in ("", "/api", "/api/d1/database", "/api/local/workers"):
        url = f"/cdn-cgi/local/explorer{path}"
        assert anonymous.get(url).status_code == 404
        assert anonymous.post(url, json=sql).status_code in (404, 405)
    databases = "/cdn-cgi/local/explorer/api/d1/database"
    for name in ("DB", "edgeneuro", "00000000-0000-0000-0000-000000000000"):
        assert anonymous.post(f"{databases}/{name}/raw", json=sql).status_code in (404, 405)


def test_a_host_that_is_not_this_machine_is_refused(client: httpx.Client, product: Product) -> None:
    if not isinstance(product, LocalProduct):
        pytest.skip("a deployment is called by the names that Cloudflare routes to it")
    for host in ("rebound.example", "localhost.example", f"rebound.example:{product.port}"):
        for method, path in (("GET", "/healthz"), ("GET", "/v1/agents"), ("OPTIONS", "/v1/route")):
            refused = client.request(method, path, headers={"host": host})
            assert refused.status_code == 403, (host, refused.text)
            assert refused.json()["error"]["code"] == "host_not_allowed"
    for host in ("localhost", "LOCALHOST:1", "127.0.0.1", f"[::1]:{product.port}"):
        assert client.get("/v1/agents", headers={"host": host}).status_code == 200


def test_the_data_is_for_this_user_alone(product: Product) -> None:
    if not isinstance(product, LocalProduct):
        pytest.skip("the files of a deployment are Cloudflare's")
    for path in (product.database, *(product.state / "edgeneuro").iterdir()):
        assert path.stat().st_mode & 0o077 == 0, path
    assert (product.state / "v3").stat().st_mode & 0o777 == 0o700
    assert product.admin_token not in "".join(product.output)


def test_a_change_and_its_audit_row_are_one(client: httpx.Client) -> None:
    body = {"id": "audited", "name": "Audited", "description": "Watched."}
    client.post("/v1/agents", json=body).raise_for_status()
    assert client.post("/v1/agents", json=body).status_code == 409
    client.delete("/v1/agents/audited").raise_for_status()
    query = {"resource": "agent", "resource_id": "audited"}
    entries = client.get("/v1/audit", params=query).json()["data"]
    assert [entry["action"] for entry in entries] == ["delete", "create"]
    assert entries[1]["after"]["name"] == "Audited"


def test_a_caller_that_reads_replicas_sees_its_own_changes(client: httpx.Client) -> None:
    header = "x-edgeneuro-bookmark"
    first = client.get("/v1/agents", headers={header: "first-unconstrained"}).raise_for_status()
    change = client.patch(
        "/v1/agents/hr", json={"name": "People"}, headers={header: first.headers[header]}
    ).raise_for_status()
    assert change.headers[header] > first.headers[header]
    again = client.get("/v1/agents/hr", headers={header: change.headers[header]})
    assert again.raise_for_status().json()["name"] == "People"
    client.patch("/v1/agents/hr", json={"name": "Human Resources"}).raise_for_status()
    assert header not in client.get("/v1/agents").headers
    refused = client.get("/v1/agents", headers={header: "'; DROP"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, header)


def test_the_installation_as_one_document(client: httpx.Client) -> None:
    path = "/v1/installation"
    read = client.get(path).raise_for_status()
    before = read.json()
    boats = {"id": "boats", "name": "Boats", "description": "Ships, sails and anchors."}
    rule = {"id": "anchor", "when": {"words": ["anchor"]}, "then": {"agent_id": "boats"}}
    wanted = {"agents": [*before["agents"], boats], "rules": [*before["rules"], rule]}
    plan = client.put(path, params={"plan": "true"}, json=wanted).raise_for_status()
    assert [each["id"] for each in plan.json()["changes"]] == ["boats", "anchor"]
    match = {"if-match": plan.headers["etag"]}
    applied = client.put(path, json=wanted, headers=match).raise_for_status()
    assert applied.json()["counts"] == {"create": 2, "update": 0, "delete": 0}
    answer = client.post("/v1/route", json={"query": "Where is the anchor?"}).json()
    assert (answer["agent"]["id"], answer["layer"]) == ("boats", "rule")
    assert client.put(path, json=before, headers=match).status_code == 412
    assert client.put(path, json=before).json()["error"]["code"] == "deletes_not_confirmed"
    client.put(path, params={"delete": "true"}, json=before).raise_for_status()
    after = client.get(path)
    assert (after.json(), after.headers["etag"]) == (before, read.headers["etag"])
