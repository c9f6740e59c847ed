"""A classifier from labels to the list of models, in real workerd."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from edgeneuro.classifier.model import loads
from scripts.classifier import main
from tests.varied_questions import TOPICS, conversations, questions
from tests.waiting import until
from tests.worker.labels import imported, without_classifiers
from tests.worker.product import LocalProduct


@pytest.fixture(scope="module")
def own(sandbox: LocalProduct) -> LocalProduct:
    """What is selected here would answer in other tests of the first product."""
    return sandbox


@pytest.fixture(scope="module")
def labelled(own: LocalProduct) -> Iterator[httpx.Client]:
    """A client of a product with 171 labels of messages and 90 of turns in conversations. It has no
    label and no classifier afterwards."""
    headers = {"authorization": f"Bearer {own.admin_token}"}
    lines: list[dict[str, object]] = [
        {"query": query, "agent": agent} for agent in TOPICS for query in questions(agent)[::2]
    ]
    lines += conversations(30)
    with (
        httpx.Client(base_url=own.base_url, headers=headers, timeout=60) as client,
        imported(client, lines),
    ):
        yield client
        # Also after a failure: it would answer in the tests that come next.
        client.patch("/v1/config", json={"classifier": None}).raise_for_status()
        without_classifiers(client)


def asked_of(client: httpx.Client, classifier_id: str) -> int:
    """Routes a dozen more questions; how many this classifier was asked in the last hour."""
    for number in range(12):
        query = f"{uuid.uuid4().hex} is about the {'VPN' if number % 2 else 'pension'}"
        client.post("/v1/route", json={"query": query}).raise_for_status()
    drift = client.get("/v1/analytics").json()["classifier"]["drift"]
    assert drift["classifier"] == classifier_id
    last_hour: int = drift["windows"][0]["asked"]
    return last_hour


def routed(client: httpx.Client, query: str, context: dict[str, str] | None) -> dict[str, Any]:
    body = {"query": query, "context": context} if context else {"query": query}
    found: dict[str, Any] = client.post("/v1/route", json=body).raise_for_status().json()
    return found


def test_from_labels_to_the_selected_classifier(
    own: LocalProduct,
    labelled: httpx.Client,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The script has the running product train."""
    monkeypatch.setenv("ADMIN_TOKEN", own.admin_token)
    main(["train", "--target", "0.9", "--base-url", own.base_url])
    said = capsys.readouterr().out
    assert "answered_accuracy" in said
    [found] = labelled.get("/v1/classifiers").json()["data"]
    assert found["id"] in said
    made = labelled.get(f"/v1/classifiers/{found['id']}").json()
    assert (made["state"], made["error"]) == ("succeeded", None)
    metrics = made["metrics"]
    assert metrics["answered_accuracy"] >= 0.9
    assert metrics["coverage_low"] <= metrics["coverage"] <= metrics["coverage_high"]
    assert (made["basis"], metrics["held_out"]) == ("human labels", metrics["held_out_human"])
    assert (made["mix"]["source"], made["rule_outcome"]) == ("labels", None)
    suspects = labelled.get("/v1/labels/suspects").raise_for_status().json()
    assert (suspects["object"], suspects["has_more"]) == ("list", False)
    assert all(each["classifier_id"] == made["id"] for each in suspects["data"])
    listed = labelled.get("/v1/classifiers").json()["data"]
    assert [each["id"] for each in listed] == [made["id"]]

    assert 0 < made["test_score"]["n"] < 100
    robustness = {each["perturbation"]: each for each in made["robustness"]}
    assert set(robustness) == {"plain", "greeting", "signature", "please", "typo", "all"}
    assert robustness["plain"]["answered"] == made["test_score"]["answered"]
    assert robustness["greeting"]["n"] == made["test_score"]["n"]
    refused = labelled.post("/v1/models/select", json={"model_id": made["id"]}).json()["error"]
    assert refused["code"] == "promotion_check_failed"
    assert f"{100 - made['test_score']['n']} are missing" in refused["message"]
    select = {"model_id": made["id"], "check": False}
    selection = labelled.post("/v1/models/select", json=select).json()
    assert (selection["active"], selection["previous"]) == (made["id"], None)
    model = labelled.get(f"/v1/models/{made['id']}").json()
    assert (model["type"], model["active"], model["size"]) == ("classifier", True, made["size"])
    models = labelled.get("/v1/models").json()["data"]
    assert sum(each["active"] for each in models) == 2

    asked = until(lambda: asked_of(labelled, made["id"]), lambda count: count > 0)
    assert asked >= 1

    assert made["follow_ups"]["learned"], made["follow_ups"]
    before = {"previous_agent": "hr", "previous_assistant": "There are Alpha and Echo. Which?"}
    follows = routed(labelled, "yes please, the Alpha one", before)
    assert (follows["agent"]["id"], follows["layer"]) == ("hr", "classifier")
    assert follows["follow_up"] and follows["calibrated"]
    leaves = routed(labelled, "Who helps me with the invoice and the refund?", before)
    assert (leaves["agent"]["id"], leaves["layer"]) == ("finance", "classifier")
    assert not leaves["follow_up"]
    assert routed(labelled, "yes please, the Alpha one", None)["layer"] != "classifier"

    queue = labelled.get("/v1/labels/queue", params={"limit": 100}).json()["data"]
    reasons = {reason["code"] for item in queue for reason in item["reasons"]}
    assert "classifier_unsure" in reasons
    assert sum(item["stream"] == "random" for item in queue) == len(queue) // 10

    refused = labelled.delete(f"/v1/classifiers/{made['id']}")
    assert refused.json()["error"]["code"] == "classifier_selected"
    none = {"model_id": None, "type": "classifier"}
    assert labelled.post("/v1/models/select", json=none).json()["previous"] == made["id"]


def test_this_machine_learns_the_same_bytes(labelled: httpx.Client, tmp_path: Path) -> None:
    """The whole way from the labels, by CPython here and by Pyodide there."""
    [made] = labelled.get("/v1/classifiers").json()["data"]
    exported = labelled.get("/v1/datasets/export", params={"format": "flat"}).raise_for_status()
    data, out = tmp_path / "labels.jsonl", tmp_path / "model.bin"
    data.write_bytes(exported.content)
    agents = tmp_path / "agents.json"
    agents.write_bytes(labelled.get("/v1/agents").raise_for_status().content)
    words = ["train", "--data", str(data), "--out", str(out), "--target", "0.9"]
    main([*words, "--agents", str(agents)])
    assert out.read_bytes()[-32:].hex() == made["checksum"]
    assert loads(out.read_bytes()).dense is not None  # the table is there in workerd too
    assert made["warnings"] == [each for each in made["warnings"] if "word vectors" not in each]


GARDEN = {
    "id": "garden",
    "name": "Garden",
    "description": "Flowers, trees, hedges. Not for the parking lot.",
    "examples": [
        "When are the roses cut back?",
        "Who waters the plants on the terrace?",
        "The hedge grows over the fence",
        "There are weeds in the flower bed again",
        "please plant new trees in front of the entrance",
    ],
}


def test_a_new_agent_joins_the_classifier_at_once_and_a_deleted_one_leaves(
    labelled: httpx.Client,
) -> None:
    [made] = labelled.get("/v1/classifiers").json()["data"]
    path = f"/v1/classifiers/{made['id']}"
    labelled.patch("/v1/config", json={"classifier": made["id"]}).raise_for_status()
    old, new = "Who helps me with the invoice and the refund?", "Who waters the roses, the hedge?"

    def answers_the_old() -> None:
        asked = until(lambda: routed(labelled, old, None), lambda it: it["layer"] == "classifier")
        assert asked["agent"]["id"] == "finance"

    answers_the_old()
    labelled.post("/v1/agents", json=GARDEN).raise_for_status()
    try:
        answers_the_old()
        shown = labelled.get(path).json()
        assert (shown["suspended"], shown["agents_joined"]) == (None, ["garden"])
        found = routed(labelled, new, None)
        assert found["classifier"]["agent_id"] == "garden"
        assert found["layer"] != "classifier" or found["agent"]["id"] == "garden"
    finally:
        labelled.delete("/v1/agents/garden").raise_for_status()
    answers_the_old()
    assert labelled.get(path).json()["agents_joined"] == []
    gone = routed(labelled, "Who waters the roses, the hedge and the trees?", None)
    assert gone["classifier"]["agent_id"] != "garden" and not gone["classifier"]["sure"]

    labelled.patch("/v1/agents/finance", json={"enabled": False}).raise_for_status()
    try:
        left = routed(labelled, old, None)
        assert left["layer"] != "classifier"
        assert left["classifier"]["agent_id"] != "finance"
    finally:
        labelled.patch("/v1/agents/finance", json={"enabled": True}).raise_for_status()
        labelled.patch("/v1/config", json={"classifier": None}).raise_for_status()


def test_a_classifier_is_evaluated_beside_a_model(
    own: LocalProduct, labelled: httpx.Client
) -> None:
    classifier_id = labelled.get("/v1/classifiers").json()["data"][0]["id"]
    body = {"model_ids": ["@cf/meta/llama-3.2-1b-instruct", classifier_id], "limit": 20}
    begun = labelled.post("/v1/evaluations", json=body).json()
    own.finish_jobs()
    found = labelled.get(f"/v1/evaluations/{begun['id']}").json()
    assert (found["state"], found["error"]) == ("succeeded", None)
    _, classifier = found["results"]["models"]
    assert (classifier["model_id"], classifier["n"]) == (classifier_id, 20)
    [pair] = found["results"]["pairs"]
    assert pair["n"] == 20 - classifier["deferred"]
