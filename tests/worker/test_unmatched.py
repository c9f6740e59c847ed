"""Unmatched queries in real workerd: clustered by the cron, made an agent, labelled whole."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.http_client import http_client
from tests.worker.product import LocalProduct
from tests.worker.test_route import log_entry, route

FLIGHTS = [f"Zylophon quark {word} to Zanzibar" for word in ("aba", "cede", "fighi", "jokulo")]
RECIPES = [f"Mumble frobnicate {word} with gravy" for word in ("aba", "cede", "fighi", "jokulo")]


@pytest.fixture
def own(sandbox: LocalProduct) -> Iterator[httpx.Client]:
    with http_client(sandbox.base_url, sandbox.admin_token) as client:
        yield client
        client.patch("/v1/config", json={"confidence_threshold": None}).raise_for_status()
        client.delete("/v1/agents/zanzibar")


def unmatched(client: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/v1/unmatched").raise_for_status().json()
    return found


def test_unmatched_queries_become_an_agent_and_labels(
    sandbox: LocalProduct, own: httpx.Client
) -> None:
    own.patch("/v1/config", json={"confidence_threshold": 1.0}).raise_for_status()
    for query in (*FLIGHTS, *RECIPES):
        decision = route(own, query)
        assert decision["outcome"] == "fallback", decision
        log_entry(own, decision["id"])
    begun = own.post("/v1/unmatched")
    assert begun.status_code == 202, begun.text
    sandbox.finish_jobs()
    found = unmatched(own)
    assert found["clustering"]["state"] == "succeeded", found["clustering"]
    by_query = {each["queries"][0].split()[0]: each for each in found["clusters"]}
    flights, recipes = by_query["Zylophon"], by_query["Mumble"]
    assert (flights["size"], recipes["size"]) == (4, 4)
    assert flights["suggested_name"].lower() == "zylophon quark zanzibar"

    made = own.post(f"/v1/unmatched/{flights['id']}/agent", json={"name": "Zanzibar"})
    assert made.status_code == 201, made.text
    assert (made.json()["labels"], made.json()["agent"]["id"]) == (4, "zanzibar")
    decision = route(own, FLIGHTS[0])
    assert (decision["layer"], decision["agent"]["id"]) == ("label", "zanzibar")
    path = f"/v1/unmatched/{recipes['id']}/labels"
    assert own.post(path, json={"agent_id": None}).json()["labels"] == 4
    again = own.post(path, json={"agent_id": None})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "cluster_handled")
    left = {each["id"] for each in unmatched(own)["clusters"]}
    assert not left & {flights["id"], recipes["id"]}
