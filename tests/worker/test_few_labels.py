"""A new installation in real workerd: 36 labels of each of three agents, and none that no agent
fits, make a classifier that answers."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.varied_questions import questions
from tests.waiting import until
from tests.worker.product import LocalProduct

AGENTS = ("it_support", "hr", "finance")


@pytest.fixture(scope="module")
def client(sandbox: LocalProduct) -> Iterator[httpx.Client]:
    """It has no label and no classifier afterwards."""
    headers = {"authorization": f"Bearer {sandbox.admin_token}"}
    lines = [
        {"query": query, "agent": agent}
        for agent in AGENTS
        for number, query in enumerate(questions(agent))
        if number % 3
    ]
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    with httpx.Client(base_url=sandbox.base_url, headers=headers, timeout=60) as client:
        report = client.post("/v1/datasets/import", content=body).raise_for_status().json()
        yield client
        client.patch("/v1/config", json={"classifier": None}).raise_for_status()
        client.delete(f"/v1/datasets/imports/{report['id']}").raise_for_status()
        for made in client.get("/v1/classifiers").json()["data"]:
            client.delete(f"/v1/classifiers/{made['id']}").raise_for_status()


def test_three_agents_with_36_labels_each_train_and_answer(client: httpx.Client) -> None:
    stats = client.get("/v1/datasets/stats").json()["training"]
    assert (stats["ready"], stats["out_of_scope"]) == (True, 0)
    created = client.post("/v1/classifiers", json={})
    assert created.status_code == 202, created.text
    path = f"/v1/classifiers/{created.json()['id']}"

    def look() -> dict[str, Any]:
        found: dict[str, Any] = client.get(path).json()
        return found

    made = until(look, lambda it: it["state"] not in ("queued", "running"))
    assert (made["state"], made["error"]) == ("succeeded", None)
    metrics = made["metrics"]
    assert (made["options"]["target"], made["basis"]) == (0.98, "human labels")
    assert metrics["learned_human"] == metrics["held_out"] == metrics["held_out_human"] > 60
    assert metrics["coverage_low"] <= metrics["coverage"] <= metrics["coverage_high"]
    selected = client.post("/v1/models/select", json={"model_id": made["id"], "check": False})
    assert selected.status_code == 200, selected.text

    def answered() -> list[tuple[str, str]]:
        """The agents of queries that it was not taught, and whose the classifier took them for."""
        found = []
        for agent in AGENTS:
            for query in questions(agent)[::3]:
                decision = client.post("/v1/route", json={"query": query}).json()
                if decision["layer"] == "classifier":
                    found.append((agent, decision["agent"]["id"]))
        return found

    # The first one loads it.
    sure = until(answered, lambda found: len(found) >= 5)
    assert sum(agent == decided for agent, decided in sure) >= 0.9 * len(sure)
