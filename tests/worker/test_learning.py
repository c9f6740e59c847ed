"""A router that teaches itself, in real workerd: a classifier is trained by the cron, runs beside
the model, is enabled by itself, and is disabled once the model decides otherwise."""

import json
import uuid
from collections.abc import Iterator
from itertools import count

import httpx
import pytest

from scripts.cron import running_cron_url
from tests.varied_questions import questions
from tests.waiting import until
from tests.worker.labels import imported, without_classifiers
from tests.worker.product import LocalProduct

ANSWERS = 100  # that a classifier gives beside the model before it may be enabled
AGENTS = ("it_support", "hr", "finance")


@pytest.fixture
def own(sandbox: LocalProduct) -> Iterator[LocalProduct]:
    yield sandbox
    with httpx.Client(base_url=sandbox.local_ai_url or "") as emulator:
        emulator.delete("/_local/faults").raise_for_status()


@pytest.fixture
def client(own: LocalProduct) -> Iterator[httpx.Client]:
    """Of a product with 117 labels, where learning is on. Nothing is left afterwards."""
    headers = {"authorization": f"Bearer {own.admin_token}"}
    lines = [
        {"query": query, "agent": agent}
        for agent in (*AGENTS, "none")
        for query in questions(agent)[::2]
    ]
    settings = {
        "learning": "on",
        "classifier_target": 0.9,
        "audit_sample_share": 1,
        # The test part has far fewer labels: too few for the promotion check.
        "promotion_min_labels": 500,
        "machine_labels_per_agent": 0,
    }
    with (
        httpx.Client(base_url=own.base_url, headers=headers, timeout=60) as client,
        imported(client, lines),
    ):
        client.patch("/v1/config", json=settings).raise_for_status()
        yield client
        none = dict.fromkeys([*settings, "classifier", "retrain_after_labels"])
        none["learning"] = "off"
        client.patch("/v1/config", json=none).raise_for_status()
        without_classifiers(client)


def minute(client: httpx.Client, own: LocalProduct) -> None:
    fired = client.get(running_cron_url(own.state, "* * * * *"), timeout=120)
    assert fired.json()["outcome"] == "ok"


def model_says(own: LocalProduct, agent: str) -> None:
    """Whatever it is asked from now on."""
    answer = json.dumps({"agent": agent, "confidence": 0.95})
    fault = {"*": {"kind": "text", "answer": answer}}
    with httpx.Client(base_url=own.local_ai_url or "") as emulator:
        emulator.put("/_local/faults", json=fault).raise_for_status()


def route(client: httpx.Client, query: str) -> dict[str, object]:
    answered = client.post("/v1/route", json={"query": query}).raise_for_status()
    found: dict[str, object] = answered.json()
    return found


def unlike_before(query: str) -> str:
    return f"{query} {uuid.uuid4().hex[:6]}"


def two_at_once(agent: str, look: int) -> list[str]:
    """Nine messages with two questions each: no other look has the same, and the classifier is
    surer of them than of questions with a word that it does not know."""
    asked = questions(agent)
    return [
        f"{asked[at]} {asked[(at + 7 * look + 1) % len(asked)]}" for at in range(0, len(asked), 6)
    ]


def test_a_classifier_is_enabled_by_itself_and_disabled_when_the_model_changes_its_mind(
    own: LocalProduct, client: httpx.Client
) -> None:
    def trained() -> str | None:
        minute(client, own)
        found = client.get("/v1/classifiers").json()["data"]
        done = [each["id"] for each in found if each["state"] == "succeeded"]
        return done[0] if done else None

    made = until(trained, bool)
    # No other training begins, though the decisions below are enough for one.
    client.patch("/v1/config", json={"retrain_after_labels": 1_000_000}).raise_for_status()
    report = client.get("/v1/learning").raise_for_status().json()
    assert (report["state"], report["observed"]) == ("observing", made)

    looks = count()

    def answered_beside() -> int:
        look = next(looks)
        for agent in AGENTS:
            model_says(own, agent)
            for query in two_at_once(agent, look):
                route(client, query)
        found = client.get("/v1/learning").json()["would_have_answered"]
        return int(found["answered"])

    until(answered_beside, lambda answers: answers >= ANSWERS)
    report = client.get("/v1/learning").json()
    assert report["agreement"]["basis"].startswith("agreement with @cf/")
    assert report["agreement"]["share"] > 0.9
    minute(client, own)
    report = until(
        lambda: client.get("/v1/learning").json(), lambda found: found["state"] == "enabled"
    )
    assert report["enabled"] == made
    entry = client.get("/v1/audit", params={"resource": "classifier"}).json()["data"][0]
    assert (entry["actor"], entry["action"], entry["resource_id"]) == ("rule", "select", made)

    model_says(own, "legal")

    def state() -> str:
        for query in questions("hr")[:9]:
            route(client, unlike_before(query))
        return str(client.get("/v1/learning").json()["state"])

    until(state, lambda found: found == "disabled")
    report = client.get("/v1/learning").json()
    assert report["enabled"] is None
    assert report["disabled"]["classifier"] == made
    assert "audit samples since it was selected" in report["disabled"]["reason"]
    assert report["sentence"].startswith(f"{made} was disabled: Of ")
    entry = client.get("/v1/audit", params={"resource": "classifier"}).json()["data"][0]
    assert (entry["actor"], entry["action"], entry["resource_id"]) == ("rule", "disable", made)
    assert entry["after"]["reason"] == report["disabled"]["reason"]
    assert route(client, unlike_before(questions("hr")[0]))["layer"] == "llm"
    assert "edgeneuro_classifiers_disabled_total" in client.get("/metrics").text
