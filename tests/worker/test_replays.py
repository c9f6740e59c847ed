"""Replays in real workerd: a changed rule and threshold on logged queries, run by the cron and
applied; and a model whose calls are made for the replay alone."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.http_client import http_client
from tests.worker.product import LocalProduct
from tests.worker.test_route import log_entry, route, unique

OTHER = "@cf/ibm-granite/granite-4.0-h-micro"


@pytest.fixture
def own(sandbox: LocalProduct) -> Iterator[httpx.Client]:
    with http_client(sandbox.base_url, sandbox.admin_token) as client:
        yield client
        nothing = {"confidence_threshold": None, "routing_model": None}
        client.patch("/v1/config", json=nothing).raise_for_status()
        for rule in client.get("/v1/rules").json()["data"]:
            client.delete(f"/v1/rules/{rule['id']}").raise_for_status()


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def replay(sandbox: LocalProduct, client: httpx.Client, **body: Any) -> dict[str, Any]:
    """A replay once the cron has ended it."""
    begun = client.post("/v1/replays", json=body)
    assert begun.status_code == 202, begun.text
    sandbox.finish_jobs()
    found: dict[str, Any] = client.get(f"/v1/replays/{begun.json()['id']}").json()
    return found


def test_changes_are_replayed_and_applied(sandbox: LocalProduct, own: httpx.Client) -> None:
    since = now()
    queries = [unique("My VPN does not connect"), unique("How much parental leave do I have")]
    decisions = [route(own, query) for query in queries]
    assert [each["agent"]["id"] for each in decisions] == ["it_support", "hr"]
    for each in decisions:
        log_entry(own, each["id"])
    entries = len(own.get("/v1/logs", params={"limit": 1000, "from": since}).json()["data"])
    rule = {"when": {"pattern": r"\bvpn\b"}, "then": {"agent_id": "hr"}}
    changes = {"rules": [rule], "settings": {"confidence_threshold": 1.0}}
    found = replay(sandbox, own, **{"from": since, "changes": changes})
    assert (found["state"], found["n"], found["model_calls"]["made"]) == ("succeeded", 2, 0)
    assert found["from"] == since
    moves = {
        (cell["from"]["agent_id"], cell["to"]["outcome"], cell["to"]["agent_id"])
        for cell in found["matrix"]
    }
    assert ("it_support", "agent", "hr") in moves and found["changed"] == 2
    listed = own.get(f"/v1/replays/{found['id']}/changes").json()["data"]
    assert {each["query"] for each in listed} == set(queries)
    after = len(own.get("/v1/logs", params={"limit": 1000, "from": since}).json()["data"])
    assert after == entries, "a replay is in no log"

    applied = own.post(f"/v1/replays/{found['id']}/apply")
    assert applied.status_code == 200, applied.text
    assert own.post(f"/v1/replays/{found['id']}/apply").json() == applied.json()
    decision = route(own, unique("My VPN does not connect"))
    assert (decision["layer"], decision["agent"]["id"]) == ("rule", "hr")
    assert route(own, queries[1])["outcome"] == "fallback"


def test_another_model_is_asked_and_nothing_of_it_is_kept(
    sandbox: LocalProduct, own: httpx.Client
) -> None:
    since = now()
    decision = route(own, unique("My VPN does not connect"))
    log_entry(own, decision["id"])
    body = {"from": since, "changes": {"model": OTHER}, "baseline": "current"}
    found = replay(sandbox, own, **body)
    assert (found["state"], found["n"], found["model_calls"]["made"]) == ("succeeded", 1, 1)
    assert 0 < found["cost"]["spent_usd"] <= found["estimate"]["cost_usd"]
    again = replay(sandbox, own, **body)
    assert again["model_calls"]["made"] == 1, "the answer was not cached"
    assert own.get("/v1/models/select").json()["active"] != OTHER
    refused = own.post(f"/v1/replays/{again['id']}/apply", json={"check": True})
    assert refused.json()["error"]["code"] == "promotion_check_failed"
    for each in (found, again):
        assert own.delete(f"/v1/replays/{each['id']}").json()["deleted"]
