"""The embedding stage in real workerd, with the emulator's real MiniLM."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.http_client import http_client
from tests.varied_questions import questions
from tests.waiting import until
from tests.worker.labels import imported, without_classifiers
from tests.worker.product import LocalProduct

SMALL = "@cf/baai/bge-small-en-v1.5"
# The labels have none of their words of content.
PARAPHRASES = {
    "it_support": [
        "my laptop cannot reach the office network from home",
        "the computer does not accept my credentials anymore",
        "the wireless connection keeps dropping on my machine",
        "I cannot sign in on my workstation",
    ],
    "hr": [
        "I want to take two weeks off in summer",
        "when will I be able to retire",
        "I am ill and will stay at home today",
        "how much time off do new parents get",
    ],
    "finance": [
        "the supplier says we have not paid them yet",
        "I want my money back for the train ticket",
        "where do I hand in the bill of the hotel",
        "which amount was charged to our cost centre",
    ],
}


@pytest.fixture(scope="module")
def client(sandbox: LocalProduct) -> Iterator[httpx.Client]:
    lines = [
        {"query": query, "agent": agent}
        for agent in (*PARAPHRASES, "none")
        for query in questions(agent)[::2]
    ]
    address = sandbox.base_url, sandbox.admin_token
    with http_client(*address, timeout=60) as client, imported(client, lines):
        client.patch("/v1/config", json={"embedding_model": SMALL}).raise_for_status()
        yield client
        settings = {"embedding_model": None, "classifier": None}
        client.patch("/v1/config", json=settings).raise_for_status()
        without_classifiers(client)


@pytest.fixture
def faults(sandbox: LocalProduct) -> Iterator[httpx.Client]:
    assert sandbox.local_ai_url is not None
    with http_client(sandbox.local_ai_url) as emulator:
        yield emulator
        emulator.delete("/_local/faults").raise_for_status()


def routed(client: httpx.Client, query: str) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The decision, and the record of the stage."""
    body = {"query": query, "explain": True}
    decision: dict[str, Any] = client.post("/v1/route", json=body).raise_for_status().json()
    stages = decision["explanation"]["stages"]
    return decision, next((one for one in stages if one["name"] == "embedding"), None)


def test_from_labels_to_decisions(
    sandbox: LocalProduct, client: httpx.Client, faults: httpx.Client
) -> None:
    models = client.get("/v1/models", params={"type": "embedding"}).json()["data"]
    assert SMALL in {model["id"] for model in models}
    made = client.post("/v1/classifiers", json={"target": 0.75}).raise_for_status().json()

    sandbox.finish_jobs()
    first = client.get(f"/v1/classifiers/{made['id']}").json()
    assert first["state"] == "succeeded", first["error"]
    trained = first["embedding"]
    assert (trained["state"], trained["error"], trained["refusal"]) == ("succeeded", None, None)
    assert trained["width"] == 384
    assert trained["progress"]["made"] > 100
    select = {"model_id": made["id"], "check": False}
    client.post("/v1/models/select", json=select).raise_for_status()

    number = 0

    def loaded() -> str:
        nonlocal number
        number += 1
        _, stage = routed(client, f"is there anybody at the reception number {number}")
        return "" if stage is None else stage["reason"] or stage["outcome"]

    until(loaded, lambda reason: not reason.startswith("not asked"))
    found = [
        (agent, *routed(client, query))
        for agent, queries in PARAPHRASES.items()
        for query in queries
    ]
    decided = [(agent, one) for agent, one, _ in found if one["layer"] == "embedding"]
    assert decided, [stage for *_, stage in found]
    right = [agent for agent, one in decided if one["agent"]["id"] == agent]
    assert len(right) >= 0.75 * len(decided)
    log = client.get(f"/v1/logs/{decided[0][1]['id']}").raise_for_status().json()
    assert log["layer"] == "embedding"
    assert [each["purpose"] for each in log["attempts"]] == ["embedding"]
    assert log["attempts"][0]["engine"] == "minilm"

    faults.put("/_local/faults", json={SMALL: {"kind": "nan_vector"}}).raise_for_status()
    decision, stage = routed(client, "is there anybody who can water the plants")
    assert decision["layer"] not in ("embedding", "classifier")
    assert stage is not None
    assert stage["reason"] == "the embedding model failed: invalid_output"
