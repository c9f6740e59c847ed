"""A shorter question in real workerd: a training measures the recall, and from then on a model is
offered the classifier's best agents first."""

import json
import random
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.http_client import http_client
from tests.unit.synthetic_labels import question, words
from tests.waiting import until
from tests.worker.product import LocalProduct
from tests.worker.test_classifiers import ended
from tests.worker.test_route import log_entry, route, unique

AGENTS, EACH = 40, 12
SECONDS = 60


def labeled() -> list[tuple[str, str]]:
    """Questions in the words of their agents, and some in those of nobody."""
    own = [
        (question(random.Random(1_000 * number + each), f"agent_{number}"), f"agent_{number}")
        for number in range(AGENTS)
        for each in range(EACH)
    ]
    nobody = [(question(random.Random(each), f"unknown_{each}"), "none") for each in range(60)]
    return own + nobody


@pytest.fixture(scope="module")
def selected(sandbox: LocalProduct) -> Iterator[httpx.Client]:
    """A client of a product with 40 agents more, and the classifier that was trained on them."""
    made = [f"agent_{number}" for number in range(AGENTS)]
    with http_client(sandbox.base_url, sandbox.admin_token, timeout=60) as client:
        for agent in made:
            own = list(words(agent))
            body = {
                "id": agent,
                "name": agent,
                "description": f"Everything about {' and '.join(own[:6])}.",
                "examples": [f"Help with {word}" for word in own[:5]],
            }
            client.post("/v1/agents", json=body).raise_for_status()
        lines = [{"query": query, "agent": agent} for query, agent in labeled()]
        content = "".join(json.dumps(line) + "\n" for line in lines).encode()
        report = client.post("/v1/datasets/import", content=content).raise_for_status().json()
        created = client.post("/v1/classifiers", json={"target": 0.9}).raise_for_status().json()
        classifier = ended(client, f"/v1/classifiers/{created['id']}")
        assert classifier["state"] == "succeeded", classifier["error"]
        # The emulated model is not confident of a question that has words of two agents.
        settings: dict[str, Any] = {"audit_sample_share": 0, "confidence_threshold": 0.1}
        client.patch("/v1/config", json={"classifier": created["id"], **settings})
        yield client
        settings = dict.fromkeys((*settings, "classifier", "model_shortlist"))
        client.patch("/v1/config", json=settings).raise_for_status()
        client.delete(f"/v1/datasets/imports/{report['id']}").raise_for_status()
        client.delete(f"/v1/classifiers/{created['id']}").raise_for_status()
        for agent in made:
            client.delete(f"/v1/agents/{agent}").raise_for_status()


def unsure(number: int) -> str:
    """A word of one agent and one of another: the classifier leaves it to the model."""
    one, other = words(f"agent_{number}"), words(f"agent_{(number + 1) % AGENTS}")
    return unique(f"{one[3]} {other[4]}")


def stage_of(decision: dict[str, Any], name: str) -> dict[str, Any] | None:
    stages: list[dict[str, Any]] = decision["explanation"]["stages"]
    return next((stage for stage in stages if stage["name"] == name), None)


def shortened(client: httpx.Client) -> dict[str, Any]:
    """A decision from a shorter question. The classifier is loaded by the first requests."""
    numbers = iter(range(10_000))

    def look() -> dict[str, Any]:
        decision: dict[str, Any] = route(client, unsure(next(numbers) % AGENTS), explain=True)
        return decision

    return until(look, lambda it: stage_of(it, "shortlist") is not None, seconds=SECONDS)


def test_the_training_says_how_many_agents_hold_the_right_one(selected: httpx.Client) -> None:
    classifier = selected.get("/v1/classifiers").json()["data"][0]
    report = classifier["shortlist"]
    assert report["agents"] in (20, 25, 30)
    assert report["basis"] == "human labels"
    assert report["held_out"] >= 300
    assert [each["agents"] for each in report["recalls"]] == [20, 25, 30]
    assert report["recalls"][-1]["recall"] >= report["recalls"][-1]["low"] >= 0.985
    assert classifier["metrics"]["recall_30_low"] == report["recalls"][-1]["low"]


def test_a_model_reads_fewer_agents_and_more_only_if_none_fits(selected: httpx.Client) -> None:
    decision = shortened(selected)
    stage = stage_of(decision, "shortlist")
    assert stage is not None
    # The demonstration agents have no labels, so they are offered as well.
    assert 20 <= len(stage["offered"]) < AGENTS
    row = log_entry(selected, decision["id"])
    found = selected.get(f"/v1/logs/{row['id']}").json()
    logged = {each["name"]: each for each in found["stages"]}
    assert logged["shortlist"]["offered"] == stage["offered"]
    asked = len([each for each in decision["attempts"] if each["outcome"] == "ok"])
    assert asked == (1 if stage["outcome"] == "decided" else 2)
    assert (stage_of(decision, "model") is None) == (asked == 1)


def test_the_shorter_question_costs_less(selected: httpx.Client) -> None:
    def one() -> dict[str, Any]:
        return shortened(selected)

    decision = until(one, lambda it: len(it["attempts"]) == 1, seconds=SECONDS)
    whole = route(selected, unique("Something else"), cache=False)
    assert decision["usage"]["prompt_tokens"] < 0.7 * whole["usage"]["prompt_tokens"]
    assert decision["cost_usd"] < 0.7 * whole["cost_usd"]


def test_examples_are_labeled_queries(selected: httpx.Client) -> None:
    def examples() -> str:
        messages: list[dict[str, str]] = shortened(selected)["explanation"]["messages"]
        return messages[0]["content"]

    texts = [json.dumps(query) for query, _ in labeled()]
    until(examples, lambda content: any(text in content for text in texts), seconds=SECONDS)


def test_the_setting_turns_it_off(selected: httpx.Client) -> None:
    selected.patch("/v1/config", json={"model_shortlist": "off"}).raise_for_status()
    decision = route(selected, unsure(3), explain=True)
    assert stage_of(decision, "shortlist") is None
    selected.patch("/v1/config", json={"model_shortlist": "auto"}).raise_for_status()
