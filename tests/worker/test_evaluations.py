"""Evaluations, the promotion check and a challenger of the active model, in real
workerd."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest

from tests.http_client import http_client
from tests.waiting import until
from tests.worker.labels import imported
from tests.worker.product import LocalProduct

ACTIVE = "@cf/meta/llama-3.2-1b-instruct"
OTHER = "@cf/ibm-granite/granite-4.0-h-micro"
BOTH = {"model_ids": [ACTIVE, OTHER]}
EACH = 30
# Words of the demonstration agents, by which the emulated engine chooses.
QUESTIONS = {
    "it_support": "My VPN does not connect and my password is wrong, ticket {}",
    "hr": "How many vacation days and how much parental leave do I have, case {}",
}


def asked(agent: str) -> list[str]:
    """So many that `EACH` of them are in the test part: one of each ten."""
    return [QUESTIONS[agent].format(number) for number in range(10 * EACH)]


@pytest.fixture(scope="module")
def own(sandbox: LocalProduct) -> LocalProduct:
    """What is selected here would answer in other tests of the first product."""
    return sandbox


@pytest.fixture(scope="module")
def labelled(own: LocalProduct) -> Iterator[httpx.Client]:
    """A client of a product with 60 labels of the test part."""
    lines = [{"query": q, "agent": agent} for agent in QUESTIONS for q in asked(agent)]
    with http_client(own.base_url, own.admin_token, timeout=60) as client, imported(client, lines):
        yield client


@pytest.fixture
def engine(own: LocalProduct, labelled: httpx.Client) -> Iterator[httpx.Client]:
    """The control API of local/; after the test the models are well and nothing is selected."""
    assert own.local_ai_url is not None
    with httpx.Client(base_url=own.local_ai_url, timeout=30) as emulator:
        yield emulator
        emulator.delete("/_local/faults").raise_for_status()
    for each in labelled.get("/v1/evaluations").json()["data"]:
        if each["state"] in ("queued", "running"):
            labelled.post(f"/v1/evaluations/{each['id']}/cancel").raise_for_status()
    nothing = {"routing_model": None, "promotion_min_labels": None, "promotion_margin": None}
    labelled.patch("/v1/config", json=nothing).raise_for_status()
    labelled.delete(f"/v1/models/{ACTIVE}/calibration")


def begin(client: httpx.Client, **body: Any) -> str:
    begun = client.post("/v1/evaluations", json=BOTH | body)
    assert begun.status_code == 202, begun.text
    evaluation_id: str = begun.json()["id"]
    return evaluation_id


def look(client: httpx.Client, evaluation_id: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/v1/evaluations/{evaluation_id}").json()
    return found


def ended(own: LocalProduct, client: httpx.Client, evaluation_id: str) -> dict[str, Any]:
    """The evaluation once the cron has ended it."""
    own.finish_jobs()
    return look(client, evaluation_id)


def done(found: dict[str, Any]) -> int:
    return sum(int(each["done"]) for each in found["progress"])


def some_done(client: httpx.Client, evaluation_id: str) -> int:
    return until(lambda: done(look(client, evaluation_id)))


def stored(product: LocalProduct, sql: str, *parameters: str) -> int:
    """Straight from or into the database of the product; the first value there is."""
    with closing(sqlite3.connect(product.database, timeout=10)) as connection, connection:
        row = connection.execute(sql, parameters).fetchone()
    return 0 if row is None else int(row[0])


def select(client: httpx.Client, model_id: str | None, **body: Any) -> httpx.Response:
    return client.post("/v1/models/select", json={"model_id": model_id, **body})


def test_two_models_are_compared_and_the_check_uses_it(
    own: LocalProduct, labelled: httpx.Client, engine: httpx.Client
) -> None:
    closed = select(labelled, OTHER, check=True).json()["error"]
    assert closed["code"] == "promotion_check_failed"
    says = {"kind": "text", "answer": json.dumps({"agent": "finance", "confidence": 0.9})}
    engine.put("/_local/faults", json={OTHER: {**says, "share": 0.5}}).raise_for_status()
    found = ended(own, labelled, begin(labelled))
    assert (found["state"], found["error"], found["labels"]) == ("succeeded", None, 60)
    good, bad = found["results"]["models"]
    assert (good["n"], bad["n"]) == (60, 60)
    assert good["right"] > bad["right"] + 15, found["results"]
    [pair] = found["results"]["pairs"]
    assert pair["p_second_worse"] < 0.001
    assert pair["high"] < 0
    assert sum(sum(row.values()) for row in bad["confusion"].values()) == 60
    [slices, of_bad] = found["slices"]
    lengths = [each for each in of_bad["slices"] if each["by"] == "length"]
    assert sum(each["right"] for each in lengths) == bad["right"]
    assert {each["value"] for each in slices["slices"] if each["by"] == "language"} == {"en"}
    at_half = found["sweep"][1]["points"][50]
    assert at_half["accuracy"] == pytest.approx(bad["right"] / 60)
    exported = labelled.get("/v1/datasets/export", params={"split": "test", "manifest": True})
    manifest = json.loads(exported.text.split("\n", 1)[0])["manifest"]
    assert found["data"]["sha256"] == manifest["label_set_hash"]

    answers = f"/v1/evaluations/{found['id']}/answers"
    wrong = labelled.get(answers, params={"wrong": True, "model": OTHER, "limit": 100}).json()
    assert len(wrong["data"]) == 60 - bad["right"]
    assert {each["right"] for each in wrong["data"]} == {False}

    few = select(labelled, OTHER, check=True).json()["error"]
    assert "60 test labels" in few["message"]
    labelled.patch("/v1/config", json={"promotion_min_labels": 60}).raise_for_status()
    worse = select(labelled, OTHER, check=True).json()["error"]
    assert (worse["code"], "points less accurate" in worse["message"]) == (
        "promotion_check_failed",
        True,
    )

    engine.delete("/_local/faults").raise_for_status()
    assert ended(own, labelled, begin(labelled))["state"] == "succeeded"
    labelled.patch("/v1/config", json={"promotion_margin": 0.05}).raise_for_status()
    opened = select(labelled, OTHER, check=True)
    assert opened.status_code == 200, opened.text
    assert (opened.json()["active"], opened.json()["check"]["n"]) == (OTHER, 60)
    assert labelled.get("/v1/models/select").json()["previous"] == ACTIVE


def test_the_pipeline_is_evaluated_as_it_routes(
    own: LocalProduct, labelled: httpx.Client, engine: httpx.Client
) -> None:
    # No failure that opens the circuit breaker, which the next test would find open.
    engine.put("/_local/faults", json={ACTIVE: {"kind": "invalid_answer"}}).raise_for_status()
    body = {"target": "pipeline", "model_ids": ["pipeline"], "limit": 12}
    found = ended(own, labelled, begin(labelled, **body))
    assert (found["state"], found["error"]) == ("succeeded", None)
    [result] = found["results"]["models"]
    assert (result["failed"], result["layers"]) == (0, {"llm": 12}), "the fallback model answers"


def test_it_goes_on_after_a_restart_and_asks_nothing_twice(
    own: LocalProduct, labelled: httpx.Client, engine: httpx.Client
) -> None:
    engine.put("/_local/faults", json={"*": {"kind": "slow", "delay_ms": 1_000}}).raise_for_status()
    evaluation_id = begin(labelled, limit=30)
    assert 0 < some_done(labelled, evaluation_id) < 60
    own.kill_runtime()
    labelled.base_url = own.base_url
    engine.delete("/_local/faults").raise_for_status()
    engine.delete("/_local/calls").raise_for_status()
    kept = stored(
        own, "SELECT count(*) FROM evaluation_answers WHERE evaluation_id = ?", evaluation_id
    )
    assert 0 < kept < 60
    # The lease of the run that was killed has not ended yet; the test does not wait for that.
    stored(own, "UPDATE jobs SET lease_until = 0 WHERE resource_id = ?", evaluation_id)
    found = ended(own, labelled, evaluation_id)
    assert (found["state"], found["error"]) == ("succeeded", None)
    assert [each["n"] for each in found["results"]["models"]] == [30, 30]
    calls = engine.get("/_local/calls").raise_for_status().json()
    assert len(calls) == 60 - kept


def test_a_cancelled_one_stops_at_once(
    own: LocalProduct, labelled: httpx.Client, engine: httpx.Client
) -> None:
    engine.put("/_local/faults", json={"*": {"kind": "slow", "delay_ms": 400}}).raise_for_status()
    evaluation_id = begin(labelled)
    assert some_done(labelled, evaluation_id) < 120
    refused = labelled.post("/v1/evaluations", json=BOTH)
    assert refused.json()["error"]["code"] == "evaluation_under_way"
    path = f"/v1/evaluations/{evaluation_id}"
    assert labelled.post(f"{path}/cancel").json()["state"] == "cancelled"
    engine.delete("/_local/faults").raise_for_status()
    assert labelled.post(f"{path}/cancel").status_code == 409
    assert ended(own, labelled, begin(labelled, limit=6))["state"] == "succeeded"
    assert done(look(labelled, evaluation_id)) < 120
    assert labelled.delete(path).json()["deleted"] is True
    assert labelled.get(path).status_code == 404


def test_a_model_is_calibrated_from_an_evaluation(
    own: LocalProduct, labelled: httpx.Client, engine: httpx.Client
) -> None:
    """Of the answers that the emulated model gives with its usual confidence all are right, of
    those with another one none is."""
    unsure = {"kind": "text", "answer": json.dumps({"agent": "finance", "confidence": 0.3})}
    engine.put("/_local/faults", json={ACTIVE: {**unsure, "share": 0.4}}).raise_for_status()
    body = {"model_ids": [ACTIVE], "split": "held_out"}
    found = ended(own, labelled, begin(labelled, **body))
    assert (found["state"], found["error"]) == ("succeeded", None)
    engine.delete("/_local/faults").raise_for_status()
    reliability = found["results"]["models"][0]["reliability"]
    assert reliability["n"] == found["labels"] >= 100
    assert (reliability["reason"], reliability["before"]["bins"][0]["confidence"]) == (None, 0.3)
    assert reliability["after"]["ece"] < 0.05 < reliability["before"]["ece"]

    query = {"query": QUESTIONS["hr"].format("of an earlier decision")}
    raw = labelled.post("/v1/route", json=query).json()
    assert (raw["agent"]["id"], raw["calibrated"], raw["cache"]) == ("hr", False, "miss")
    path = f"/v1/evaluations/{found['id']}/calibrate"
    refused = labelled.post(path, json={"model_id": OTHER})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "model_not_evaluated")
    calibration = labelled.post(path, json={"model_id": ACTIVE}).raise_for_status().json()
    assert (calibration["n"], calibration["slope"]) == (reliability["n"], reliability["slope"])
    shown = labelled.get(f"/v1/models/{ACTIVE}").json()["calibration"]
    assert (shown["evaluation_id"], shown["n"]) == (found["id"], reliability["n"])

    cached = labelled.post("/v1/route", json=query).json()
    assert (cached["calibrated"], cached["cache"]) == (True, "hit")
    assert cached["confidence"] > 0.9 > raw["confidence"]
    asked_again = labelled.post("/v1/route", json={**query, "cache": False, "explain": True}).json()
    assert (asked_again["calibrated"], asked_again["confidence"]) == (True, cached["confidence"])
    assert asked_again["explanation"]["stages"][-1]["calibrated"] is True

    gone = labelled.delete(f"/v1/models/{ACTIVE}/calibration")
    assert (gone.status_code, gone.json()["deleted"]) == (200, True)
    again = labelled.post("/v1/route", json=query).json()
    assert (again["calibrated"], again["confidence"]) == (False, raw["confidence"])
    assert labelled.get(f"/v1/models/{ACTIVE}").json()["calibration"] is None


def test_a_challenger_is_compared_with_the_active_model(
    labelled: httpx.Client, engine: httpx.Client
) -> None:
    begun = select(labelled, OTHER, challenger=100)
    assert (begun.json()["active"], begun.json()["challenger"]) == (ACTIVE, OTHER)
    queries = [query for agent in QUESTIONS for query in asked(agent)[:5]]
    for query in queries:
        decision = labelled.post("/v1/route", json={"query": query, "cache": False}).json()
        assert decision["model"] == ACTIVE
    challenger = until(
        lambda: labelled.get("/v1/models/select").json()["challenger"],
        lambda it: it["compared"] == len(queries),
    )
    assert (challenger["compared"], challenger["labelled"]) == (10, 10)
    assert (challenger["agree"], challenger["failed"], challenger["labels_wanted"]) == (10, 0, 190)
    assert (challenger["outdated"], challenger["trained"], challenger["labelers"]) == (0, 0, 1)
    assert challenger["notice"] is None
    assert challenger["active"]["right"] == challenger["challenger"]["right"]
    assert select(labelled, None, type="challenger").json()["challenger"] is None
    assert labelled.get("/v1/models/select").json()["challenger"] is None
