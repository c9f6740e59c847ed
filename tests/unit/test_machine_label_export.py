"""Machine labels are counted beside the labels, exported on request alone, and never imported as
labels by mistake."""

import hashlib
import json
from typing import Any

import pytest

from edgeneuro.domain.label import label_line, label_set_sha256
from edgeneuro.domain.query import query_hash
from tests.unit.conftest import Product, says
from tests.unit.test_export import export

VPN, LEAVE, WEATHER = "My VPN is down", "How many days of leave?", "Is it going to rain?"
MODEL = "@cf/meta/llama-3.2-1b-instruct"


@pytest.fixture
async def product(product: Product) -> Product:
    """With a label, and machine labels of single messages and of one in a conversation."""
    item = {"query": VPN, "agent_id": "it_support"}
    assert (await product.call("POST", "/v1/labels", [item])).status == 200
    context = {"previous_agent": "hr", "previous_user": LEAVE, "previous_assistant": "Thirty."}
    for query, agent, confidence, before in (
        (LEAVE, "hr", 0.9, None),
        (WEATHER, "none", 0.9, None),
        ("And half days?", "hr", 0.9, context),
        ("Perhaps a contract?", "hr", 0.6, None),
    ):
        product.gateway.enqueue(says(agent, confidence))
        assert (await product.route(query, context=before)).status == 200
    return product


async def test_without_asking_for_them_an_export_has_labels_alone(product: Product) -> None:
    for shape in ("chat", "prompt", "flat"):
        lines = await export(product, f"format={shape}")
        assert len(lines) == 1 and lines == await export(product, f"format={shape}&source=human")
        assert lines[0].get("source") == ("bulk" if shape == "flat" else None)


async def test_on_request_they_follow_the_labels(product: Product) -> None:
    flat = await export(product, "format=flat&source=all")
    facts = [(line["query"], line["agent"], line["source"], line["split"]) for line in flat]
    split = facts[0][3]
    assert facts == [
        (VPN, "it_support", "bulk", split),
        (WEATHER, "none", "machine", "train"),
        (LEAVE, "hr", "machine", "train"),
        ("And half days?", "hr", "machine", "train"),
    ]
    assert {line["labeler"] for line in flat[1:]} == {MODEL}
    assert flat[-1]["context"]["previous_user"] == LEAVE
    assert flat[1:] == await export(product, "format=flat&source=machine")
    for shape in ("chat", "prompt"):
        lines = await export(product, f"format={shape}&source=all")
        assert [line.get("source") for line in lines] == [None, *["machine"] * 3]


@pytest.mark.parametrize(
    ("words", "queries"),
    [
        ("agent=hr", [LEAVE, "And half days?"]),
        ("agent=none", [WEATHER]),
        ("agent=it_support", []),
        ("split=train", [WEATHER, LEAVE, "And half days?"]),
        ("split=validation", []),
        ("split=test", []),
        ("dedupe=near", [WEATHER, LEAVE, "And half days?"]),
    ],
)
async def test_filters_hold_for_them(product: Product, words: str, queries: list[str]) -> None:
    lines = await export(product, f"format=flat&source=machine&{words}")
    assert [line["query"] for line in lines] == queries


async def test_the_manifest_counts_them_apart(product: Product) -> None:
    answered = await product.call("GET", "/v1/datasets/export?format=flat&source=all&manifest=true")
    head, _, rest = answered.text.partition("\n")
    manifest = json.loads(head)["manifest"]
    assert (manifest["source"], manifest["rows"]) == ("all", 4)
    assert (manifest["agents"], sum(manifest["splits"].values())) == ({"it_support": 1}, 1)
    assert manifest["machine_agents"] == {"hr": 2, "none": 1}
    assert manifest["sha256"] == hashlib.sha256(rest.encode()).hexdigest()
    of_labels = label_set_sha256([label_line(query_hash(VPN), "it_support")])
    assert manifest["label_set_hash"] == of_labels


async def test_another_source_is_refused(product: Product) -> None:
    answered = await product.call("GET", "/v1/datasets/export?source=robots")
    assert (answered.status, answered.json()["error"]["param"]) == (400, "source")


async def test_stats_count_them_apart(product: Product) -> None:
    stats = (await product.call("GET", "/v1/datasets/stats")).json()
    assert (stats["total"]["labels"], stats["out_of_scope"]["labels"]) == (1, 0)
    assert {each["agent_id"]: each["labels"] for each in stats["agents"]} == {
        "general": 0,
        "hr": 0,
        "it_support": 1,
    }
    assert stats["machine_labels"] == {
        "total": 2,
        "agents": [
            {"agent_id": "general", "machine_labels": 0},
            {"agent_id": "hr", "machine_labels": 1},
            {"agent_id": "it_support", "machine_labels": 0},
        ],
        "out_of_scope": 1,
        "in_conversations": 1,
        "models": {MODEL: 3},
        "left_out": {"low_confidence": 1},
        "one_sided": None,
        "off": None,
    }
    # A training counts what it learns from.
    needs = {each["agent_id"]: each["labels"] for each in stats["training"]["agents"]}
    in_training = int(stats["agents"][2]["test"] == 0)
    assert needs == {"general": 0, "hr": 1, "it_support": in_training}
    assert stats["training"]["out_of_scope"] == 1
    labels = (await product.call("GET", "/v1/labels/stats")).json()
    assert labels["labels"] == 1 and len(labels["labelers"]) == 1
    await product.call("PATCH", "/v1/config", {"learning": "off"})
    stats = (await product.call("GET", "/v1/datasets/stats")).json()["machine_labels"]
    assert (stats["total"], stats["off"], stats["models"]) == (0, "learning_off", {})
    assert await export(product, "format=flat&source=machine") == []


async def test_feedback_takes_one_out_of_everything(product: Product) -> None:
    entry: dict[str, Any] = next(each for each in await product.logs() if each["query"] == LEAVE)
    body = {"decision_id": entry["id"], "value": "down"}
    assert (await product.call("POST", "/v1/feedback", body)).status in (200, 201)
    lines = await export(product, "format=flat&source=machine")
    assert [line["query"] for line in lines] == [WEATHER, "And half days?"]


@pytest.mark.parametrize("shape", ["flat", "chat", "prompt"])
async def test_an_import_refuses_them_as_labels(product: Product, shape: str) -> None:
    words = f"/v1/datasets/export?format={shape}&source=all"
    body = (await product.call("GET", words)).text.encode()
    answered = await product.call("POST", "/v1/datasets/import", body)
    assert answered.status == 400
    errors = answered.json()["errors"]
    assert [(each["line"], each["param"]) for each in errors] == [
        (2, "source"),
        (3, "source"),
        (4, "source"),
    ]
    assert "source=human" in errors[0]["message"]
    assert len(product.rows("SELECT 1 FROM current_labels")) == 1
    answered = await product.call("POST", "/v1/datasets/import?metadata=ignore", body)
    assert answered.json()["new"] == 3, answered.text
    assert (await product.call("GET", "/v1/datasets/stats")).json()["machine_labels"]["total"] == 0
