"""Machine labels in real workerd: what the model decided, counted, exported and learned apart from
the labels."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.http_client import http_client
from tests.varied_questions import TOPICS, questions
from tests.waiting import until
from tests.worker.labels import imported
from tests.worker.product import LocalProduct

EACH = 6


@pytest.fixture(scope="module")
def routed(sandbox: LocalProduct) -> Iterator[httpx.Client]:
    """A client of a product that has routed some questions of each topic by its model, and has
    labels of others."""
    lines = [
        {"query": query, "agent": agent}
        for agent in TOPICS
        for query in questions(agent)[EACH : EACH + 3]
    ]
    address = sandbox.base_url, sandbox.admin_token
    with http_client(*address) as client, imported(client, lines):
        settings = {
            "machine_label_confidence": 0.3,  # the emulated model matches words: it is never sure
            "learning": "observe",
            "retrain_after_labels": 1_000_000,  # never: no training begins by itself
        }
        client.patch("/v1/config", json=settings).raise_for_status()
        ids = [
            client.post("/v1/route", json={"query": query, "user": "machine-labels"})
            .raise_for_status()
            .json()["id"]
            for agent in TOPICS
            for query in questions(agent)[:EACH]
        ]
        until(lambda: client.get(f"/v1/logs/{ids[-1]}").status_code, lambda code: code == 200)
        yield client
        client.delete("/v1/logs", params={"user": "machine-labels"}).raise_for_status()
        none = {**dict.fromkeys(settings), "learning": "off"}
        client.patch("/v1/config", json=none).raise_for_status()


def stats(client: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/v1/datasets/stats").raise_for_status().json()
    return found


def exported(client: httpx.Client, source: str) -> list[dict[str, Any]]:
    params = {"format": "flat", "source": source}
    text = client.get("/v1/datasets/export", params=params).raise_for_status().text
    return [json.loads(line) for line in text.splitlines()]


def test_they_are_counted_and_exported_apart_from_labels(routed: httpx.Client) -> None:
    counted = stats(routed)
    machine = counted["machine_labels"]
    assert machine["off"] is None and machine["total"] >= EACH
    in_all = sum(each["machine_labels"] for each in machine["agents"]) + machine["out_of_scope"]
    assert in_all == machine["total"]
    lines = exported(routed, "machine")
    assert len(lines) == machine["total"] + machine["in_conversations"]
    assert {(line["source"], line["split"]) for line in lines} == {("machine", "train")}
    labels = exported(routed, "human")
    assert len(labels) == counted["total"]["labels"]
    assert not any(line["source"] == "machine" for line in labels)
    assert len(exported(routed, "all")) == len(labels) + len(lines)
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    refused = routed.post("/v1/datasets/import", content=body)
    assert (refused.status_code, refused.json()["errors"][0]["param"]) == (400, "source")


def test_a_training_learns_from_them_and_feedback_takes_one_away(routed: httpx.Client) -> None:
    before = stats(routed)
    line = exported(routed, "machine")[0]
    [entry] = [
        each
        for each in routed.get("/v1/logs", params={"limit": 100}).json()["data"]
        if each["query"] == line["query"]
    ]
    body = {"decision_id": entry["id"], "value": "down"}
    routed.post("/v1/feedback", json=body).raise_for_status()
    after = stats(routed)["machine_labels"]
    assert after["total"] == before["machine_labels"]["total"] - 1
    assert after["left_out"]["contradicted"] >= 1
    created = routed.post("/v1/classifiers", json={"target": 0.9}).raise_for_status()
    path = f"/v1/classifiers/{created.json()['id']}"
    made = until(lambda: routed.get(path).json(), lambda it: it["progress"]["stage"] != "labels")
    progress = made["progress"]
    assert sum(progress["machine_labels"].values()) == after["total"]
    assert set(progress["machine_models"]) == set(after["models"])
    in_training = before["total"]["train"] + before["total"]["validation"]
    assert made["labels"] == progress["prepared"] == in_training
    assert stats(routed)["total"] == before["total"]
    routed.post(f"{path}/cancel")  # tests/unit/test_machine_label_training.py has its end
    routed.delete(path).raise_for_status()
