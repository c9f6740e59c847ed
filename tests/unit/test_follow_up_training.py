"""Follow-ups in a training of the product: from labels with a turn before them, and from what
models decided in conversations."""

import json
import random
from collections.abc import Sequence
from typing import Any

import pytest

from edgeneuro.classifier.examples import Labelled
from edgeneuro.classifier.model import loads
from edgeneuro.store.classifiers import read_model
from tests.unit.conftest import Product, says
from tests.unit.synthetic_dialogues import dialogues
from tests.unit.trainings import AGENTS, import_labels, train

NAMES = {f"agent_{number}": name for number, name in enumerate(AGENTS)}


def context_of(labelled: Labelled) -> dict[str, Any] | None:
    previous = labelled.previous
    if not previous:
        return None
    return {
        "previous_agent": NAMES[previous.agent or ""],
        "previous_user": previous.user,
        "previous_assistant": previous.assistant,
    }


async def label(product: Product, given: Sequence[Labelled], **changes: Any) -> None:
    lines = []
    for each in given:
        context = context_of(each)
        line = {"query": each.query, "agent": NAMES[each.agent_id or ""]}
        lines.append(line | ({"context": context | changes} if context else {}))
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    answered = await product.call("POST", "/v1/datasets/import", body)
    assert answered.status == 200, answered.text


async def decide(product: Product, given: Sequence[Labelled], **fields: Any) -> list[str]:
    """What a model decided in these conversations; the ids of the decisions."""
    ids = []
    for each in given:
        product.gateway.enqueue(says(NAMES[each.agent_id or ""]))
        answered = await product.route(each.query, context=context_of(each), **fields)
        assert answered.json()["layer"] == "llm", answered.text
        ids.append(answered.json()["id"])
    return ids


async def trained(product: Product, **body: Any) -> dict[str, Any]:
    """What a training that succeeds says of follow-ups, with its `id` and all that was `made`."""
    made = await train(product, **body)
    assert (made["state"], made["error"]) == ("succeeded", None)
    report: dict[str, Any] = made["follow_ups"] | {"id": made["id"], "made": made}
    return report


async def learned(product: Product) -> dict[str, Any]:
    """What a training says of follow-ups, with labels of conversations and after one without."""
    await import_labels(product)
    before = await trained(product)
    assert not before["learned"] and "(there are 0 and 0)" in before["reason"]
    await label(product, dialogues(3, 80))
    return await trained(product)


async def test_labels_of_conversations_are_learned_as_such(product: Product) -> None:
    found = await learned(product)
    learned_from = product.rows(
        "SELECT agent_id, context FROM current_labels WHERE context IS NOT NULL AND split <> 'test'"
    )
    assert (found["learned"], found["reason"], found["basis"]) == (True, None, "labels")
    assert (found["labels"], found["decisions"]) == (len(learned_from), 0)
    leaving = sum(
        json.loads(each["context"])["previous_agent"] != each["agent_id"] for each in learned_from
    )
    assert (found["leaving"], found["keeping"]) == (leaving, len(learned_from) - leaving)
    assert found["keeping_right"] >= 0.9 * found["keeping"]
    assert found["leaving_right"] >= 0.8 * found["leaving"]
    assert found["coverage"] >= 0.7 and found["precision"] >= 0.9
    # The replies are not learned as messages that stand alone.
    messages = product.rows(
        "SELECT 1 FROM current_labels WHERE context IS NULL AND split <> 'test'"
    )
    assert found["made"]["labels"] == len(messages) + len(learned_from)
    model = loads(await read_model(product.services.db, found["id"]))
    assert model.labels == len(messages) + leaving
    assert model.follow_ups is not None and model.follow_ups.labels == found["labels"]


async def test_the_test_part_is_asked_with_its_context(product: Product) -> None:
    found = await learned(product)
    score = found["made"]["test_score"]
    tests = product.rows("SELECT context FROM current_labels WHERE split = 'test'")
    in_conversations = [each for each in tests if each["context"]]
    assert len(in_conversations) >= 30
    assert score["n"] == len(tests) and score["precision"] >= 0.9
    # Without their context hardly any of the replies could be answered.
    assert score["answered"] >= 0.6 * len(tests)


async def test_decisions_of_models_fill_up_what_labels_lack(product: Product) -> None:
    await import_labels(product)
    turns = [each for each in dialogues(3, 25, seed=5) if each.previous]
    ids = await decide(product, turns)
    await product.call("POST", "/v1/feedback", {"decision_id": ids[0], "value": "down"})
    await product.call("PUT", f"/v1/logs/{ids[1]}/label", {"agent_id": "hr"})
    report = await trained(product, seed=101)
    split = product.rows("SELECT split FROM current_labels WHERE context IS NOT NULL")[0]["split"]
    assert report["labels"] == (split != "test")
    assert (report["decisions"], report["basis"]) == (len(turns) - 2, "labels and decisions")
    assert report["learned"] and report["made"]["progress"]["decisions"] == len(turns) - 2
    # Decisions are no labels: they count nowhere else.
    labels = product.rows("SELECT 1 FROM current_labels WHERE split <> 'test'")
    assert report["made"]["labels"] == report["made"]["data"]["labels"] == len(labels)


@pytest.mark.parametrize(("wanted", "decisions"), [(0, 0), (10, 10)])
async def test_a_setting_bounds_them(product: Product, wanted: int, decisions: int) -> None:
    await import_labels(product)
    turns = [each for each in dialogues(3, 5, seed=6) if each.previous]
    await decide(product, turns)
    await product.call("PATCH", "/v1/config", {"follow_up_decisions": wanted})
    report = await trained(product, seed=200 + wanted)
    assert (report["labels"], report["decisions"], report["learned"]) == (0, decisions, False)


async def test_fallbacks_caches_and_unknown_agents_are_no_decisions(product: Product) -> None:
    await import_labels(product)
    [turn] = random.Random(1).sample([each for each in dialogues(3, 2) if each.previous], 1)
    await decide(product, [turn])
    again = await product.route(turn.query, context=context_of(turn))
    assert again.json()["layer"] == "cache"
    product.gateway.enqueue(says("none"))
    await product.route("something else", context=context_of(turn))
    product.gateway.enqueue(says("hr"))
    await product.route("and then?", context={"previous_user": "Hello"})
    report = await trained(product, seed=300)
    assert report["decisions"] == 1


async def test_what_follows_an_unknown_agent_teaches_nothing(product: Product) -> None:
    await import_labels(product)
    given = [each for each in dialogues(3, 30, seed=8) if each.previous]
    await label(product, given, previous_agent="it_support")
    await product.call("PATCH", "/v1/agents/it_support", {"enabled": False})
    report = await trained(product)
    left_out = report["made"]["progress"]["left_out"]
    of_others = product.rows(
        "SELECT 1 FROM current_labels WHERE context IS NOT NULL AND split <> 'test'"
        " AND agent_id <> 'it_support'"
    )
    assert left_out["agent_before_unknown"] == len(of_others)
    assert (report["labels"], report["learned"]) == (0, False)
