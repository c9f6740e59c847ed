"""Routing tests in real workerd: stored, run by the cron, and required before a selection."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.worker.product import LocalProduct

ACTIVE = "@cf/meta/llama-3.2-1b-instruct"
OTHER = "@cf/ibm-granite/granite-4.0-h-micro"
# Words of the demonstration agents, by which the emulated engine chooses.
TESTS = [
    {"query": "My VPN does not connect, case 1", "expect": "it_support"},
    {"query": "How much parental leave do I have?", "expect": "hr", "must_not": ["it_support"]},
]


@pytest.fixture
def own(sandbox: LocalProduct) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {sandbox.admin_token}"}
    with httpx.Client(base_url=sandbox.base_url, headers=headers, timeout=60) as client:
        yield client
        nothing = {"routing_tests_required": None, "routing_model": None}
        client.patch("/v1/config", json=nothing).raise_for_status()
        client.put("/v1/routing-tests", content=b"[]").raise_for_status()
    httpx.delete(f"{sandbox.local_ai_url}/_local/faults").raise_for_status()


def run(sandbox: LocalProduct, client: httpx.Client, **body: Any) -> dict[str, Any]:
    """A run once the cron has ended it."""
    begun = client.post("/v1/routing-tests/runs", json=body)
    assert begun.status_code == 202, begun.text
    sandbox.finish_jobs()
    found: dict[str, Any] = client.get(f"/v1/routing-tests/runs/{begun.json()['id']}").json()
    return found


def test_a_model_is_tried_by_the_tests_before_it_is_selected(
    own: httpx.Client, sandbox: LocalProduct
) -> None:
    file = "".join(json.dumps(each) + "\n" for each in TESTS).encode()
    stored = own.put("/v1/routing-tests", content=file)
    assert stored.status_code == 200, stored.text
    assert own.get("/v1/routing-tests", params={"format": "jsonl"}).content == file
    own.patch("/v1/config", json={"routing_tests_required": True}).raise_for_status()
    refused = own.post("/v1/models/select", json={"model_id": OTHER}).json()["error"]
    assert refused["code"] == "routing_tests_failed"

    says = {"kind": "text", "answer": json.dumps({"agent": "it_support", "confidence": 0.9})}
    faults = f"{sandbox.local_ai_url}/_local/faults"
    httpx.put(faults, json={OTHER: says}).raise_for_status()
    assert run(sandbox, own)["passed"] is True
    tried = run(sandbox, own, model_id=OTHER)
    assert (tried["state"], tried["passed"], tried["active"]) == ("succeeded", False, OTHER)
    assert tried["flips"]["broken"] == 1
    path = f"/v1/routing-tests/runs/{tried['id']}/results"
    [broken] = own.get(path, params={"only": "flips"}).json()["data"]
    assert (broken["before_agent"], broken["agent"]) == ("hr", "it_support")
    assert own.post("/v1/models/select", json={"model_id": OTHER}).status_code == 409

    httpx.delete(faults).raise_for_status()
    assert run(sandbox, own, model_id=OTHER)["flips"]["fixed"] == 1
    selected = own.post("/v1/models/select", json={"model_id": OTHER})
    assert selected.json()["active"] == OTHER, selected.text
