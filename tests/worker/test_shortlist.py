"""A shorter question in real workerd: a model is offered the classifier's best agents first. The
classifier is put in place as tests/unit/test_shortlist.py puts it, where a training makes the
report too."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import httpx
import pytest

from edgeneuro.domain.classifier import ShortlistReport
from edgeneuro.domain.query import query_hash
from tests.http_client import http_client
from tests.unit.classifiers import install_in
from tests.unit.synthetic_labels import labels, trained, words
from tests.waiting import until
from tests.worker.labels import imported
from tests.worker.product import LocalProduct
from tests.worker.test_route import log_entry, route, unique

AGENTS, EACH = 40, 8
MADE = sorted(f"agent_{number}" for number in range(AGENTS))
LABELS = [(one.query, str(one.agent_id)) for one in labels(AGENTS, EACH)]
REPORT = ShortlistReport(
    agents=20, recalls=[], held_out=300, basis="human labels", always=[], known=MADE
)
CLASSIFIER = "clf_shortlist"
SECONDS = 60


@pytest.fixture(scope="module")
def selected(sandbox: LocalProduct) -> Iterator[httpx.Client]:
    """A client of a product with 40 agents more, and a classifier that knows them."""
    address = sandbox.base_url, sandbox.admin_token
    with http_client(*address, timeout=60) as client, ExitStack() as until_the_end:
        for agent in MADE:
            own = list(words(agent))
            body = {
                "id": agent,
                "name": agent,
                "description": f"Everything about {' and '.join(own[:6])}.",
                "examples": [f"Help with {word}" for word in own[:5]],
            }
            client.post("/v1/agents", json=body).raise_for_status()
        lines = [{"query": query, "agent": agent} for query, agent in LABELS]
        until_the_end.enter_context(imported(client, lines))
        install(sandbox)
        # The emulated model is not confident of a question that has words of two agents.
        settings: dict[str, Any] = {"audit_sample_share": 0, "confidence_threshold": 0.1}
        body = {"classifier": CLASSIFIER, **settings}
        client.patch("/v1/config", json=body).raise_for_status()
        yield client
        settings = dict.fromkeys((*settings, "classifier", "model_shortlist"))
        client.patch("/v1/config", json=settings).raise_for_status()
        client.delete(f"/v1/classifiers/{CLASSIFIER}").raise_for_status()
        for agent in MADE:
            client.delete(f"/v1/agents/{agent}").raise_for_status()


def install(product: LocalProduct) -> None:
    """The classifier, and all labels as examples."""
    model = trained(labels(AGENTS, EACH)).model()
    shown = [(CLASSIFIER, query_hash(query), agent) for query, agent in LABELS]
    with closing(sqlite3.connect(product.database, timeout=10)) as connection, connection:
        install_in(connection, CLASSIFIER, model, MADE, shortlist=REPORT)
        connection.executemany("INSERT OR IGNORE INTO classifier_examples VALUES (?, ?, ?)", shown)


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

    texts = [json.dumps(query) for query, _ in LABELS]
    until(examples, lambda content: any(text in content for text in texts), seconds=SECONDS)


def test_the_setting_turns_it_off(selected: httpx.Client) -> None:
    selected.patch("/v1/config", json={"model_shortlist": "off"}).raise_for_status()
    decision = route(selected, unsure(3), explain=True)
    assert stage_of(decision, "shortlist") is None
    selected.patch("/v1/config", json={"model_shortlist": "auto"}).raise_for_status()
