"""`npm run deploy` in an account that has a Worker or a database of the name already."""

import json
from pathlib import Path

import pytest

from scripts.deploy import deploy
from scripts.deployment.config import GATEWAY_URL
from scripts.deployment.record import read_record
from tests.unit.fake_account import (
    ACCOUNT,
    FakeCloudflare,
    FakeTerminal,
    apply_migrations,
    bindings,
    context_of,
    failed,
    forget_variables,
    said,
)


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_variables(monkeypatch)


@pytest.fixture
def api() -> FakeCloudflare:
    return FakeCloudflare()


def test_another_worker_of_the_name_is_not_replaced(api: FakeCloudflare, tmp_path: Path) -> None:
    api.workers["edgeneuro"] = {"bindings": [{"name": "KV", "type": "kv_namespace"}], "secrets": {}}
    assert "--name" in failed(context_of(api, tmp_path))
    deploy(context_of(api, tmp_path, "--name", "router"))
    assert [*api.workers] == ["edgeneuro", "router"]
    assert "is router, and other is named" in failed(context_of(api, tmp_path, "--name", "other"))


def test_a_deployment_of_another_checkout_is_taken_over_when_that_is_confirmed(
    api: FakeCloudflare, tmp_path: Path
) -> None:
    deploy(context_of(api, tmp_path / "one"))
    assert "--adopt" in failed(context_of(api, tmp_path / "two"))
    assert "--adopt" in failed(context_of(api, tmp_path / "two", terminal=FakeTerminal("n")))
    deploy(context_of(api, tmp_path / "two", terminal=FakeTerminal("y", "n")))
    deploy(context_of(api, tmp_path / "three", "--adopt"))
    assert len(api.databases) == 1
    assert read_record("production", tmp_path / "three" / "deployments").admin_token == "set"
    assert not (tmp_path / "three" / "deployments" / "production.admin-token").exists()


def test_what_a_deployment_is_set_up_with_stays_when_it_is_taken_over(
    api: FakeCloudflare, tmp_path: Path
) -> None:
    database = api.add_database("theirs")
    values = {"ACCESS_AUD": "audience", "AI_GATEWAY_URL": f"{GATEWAY_URL}/{ACCOUNT}/own"}
    texts = [{"name": each, "type": "plain_text", "text": text} for each, text in values.items()]
    queue = {"name": "LOG_QUEUE", "type": "queue", "queue_name": "edgeneuro-logs"}
    worker = {"bindings": [*bindings(database.id), *texts, queue], "secrets": {"ADMIN_TOKEN": ""}}
    api.workers["edgeneuro"] = {**worker, "workers_dev": False}
    api.gateways.append("own")
    assert "LOG_QUEUE (queue)" in failed(context_of(api, tmp_path, "--adopt"))

    path = tmp_path / "deployments" / "production.json"
    record = json.loads(path.read_text())
    queues = {"producers": [{"binding": "LOG_QUEUE", "queue": "edgeneuro-logs"}]}
    path.write_text(json.dumps({**record, "config": {"queues": queues}}))
    context = context_of(api, tmp_path, "--adopt")
    deploy(context)
    config = json.loads((tmp_path / "wrangler.production.json").read_text())
    assert config["vars"]["ACCESS_AUD"] == "audience"
    assert config["vars"]["AI_GATEWAY_URL"] == values["AI_GATEWAY_URL"]
    assert config["workers_dev"] is False and config["queues"] == queues
    assert config["d1_databases"][0]["database_id"] == database.id
    assert "not at workers.dev" in said(context)

    api.domains["router.example.com"] = "edgeneuro"
    deploy(context_of(api, tmp_path / "other", "--adopt"))
    config = json.loads((tmp_path / "other" / "wrangler.production.json").read_text())
    assert config["workers_dev"] is False
    assert read_record("production", tmp_path / "other" / "deployments").domain in api.domains


def test_a_database_of_the_name_is_taken_only_if_it_is_empty_or_ours(
    api: FakeCloudflare, tmp_path: Path
) -> None:
    database = api.add_database("edgeneuro")
    database.query("CREATE TABLE orders (id TEXT)")
    assert "--database" in failed(context_of(api, tmp_path))
    database.query("DROP TABLE orders")
    apply_migrations(database)
    assert "--adopt" in failed(context_of(api, tmp_path))
    deploy(context_of(api, tmp_path, "--adopt"))
    assert api.databases == [database]
    empty = api.add_database("made-by-hand")
    deploy(context_of(api, tmp_path, "--env", "staging", "--database", "made-by-hand"))
    assert api.workers["edgeneuro-staging"]["bindings"] == bindings(empty.id)


def test_workers_builds_deploys_to_the_worker_that_it_has_made(
    api: FakeCloudflare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKERS_CI", "1")
    monkeypatch.setenv("WRANGLER_CI_OVERRIDE_NAME", "my-router")
    api.workers["my-router"] = {"bindings": [], "secrets": {}}
    context = context_of(api, tmp_path)
    deploy(context)
    assert [*api.workers] == ["my-router"] and api.workers["my-router"]["secrets"] == {}
    assert "set the secret ADMIN_TOKEN" in said(context)
    deploy(context_of(api, tmp_path / "the next build"))
    assert len(api.databases) == 1


def test_a_pipeline_makes_no_token_that_is_lost_with_it(
    api: FakeCloudflare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    assert "secret variable ADMIN_TOKEN" in failed(context_of(api, tmp_path))
    assert api.workers == {}
