"""Machine labels in a training of the product: counted apart, read in slices, gone with their
texts."""

import random
from collections.abc import Sequence
from typing import Any

import pytest

from edgeneuro.classifier.examples import Examples
from edgeneuro.classifier.model import loads
from edgeneuro.classifier.sources import MODEL
from edgeneuro.store.classifiers import read_model
from edgeneuro.store.parts import CLASSIFIER_PARTS
from tests.unit.conftest import Product, says
from tests.unit.invocations import run_maintenance, run_slice
from tests.unit.synthetic_labels import question
from tests.unit.test_classifier_jobs import queue, slept, state
from tests.unit.trainings import AGENTS, create, import_labels, minute, select, shown, train

SMALL = 40_000  # cost of a slice


async def decide(
    product: Product, each: int, *, agents: Sequence[str] = AGENTS, seed: int = 5, **fields: Any
) -> list[str]:
    """What a model decided for questions of the agents and of nobody; the ids of the decisions."""
    chance = random.Random(seed)
    ids = []
    for _ in range(each):
        for number, agent in enumerate(agents):
            about = "nobody" if agent == "none" else f"agent_{number}"
            product.gateway.enqueue(says(agent))
            answered = await product.route(question(chance, about), **fields)
            assert answered.status == 200, answered.text
            ids.append(answered.json()["id"])
    return ids


async def examples(product: Product) -> Examples:
    """Those of the training under way."""
    return Examples.from_bytes(
        await CLASSIFIER_PARTS.read(product.services.db, "clf_queued", "examples"),
        product.services.word_vectors(),
    )


async def test_they_are_learned_and_counted_apart(product: Product) -> None:
    await import_labels(product, 70)
    labels = len(product.rows("SELECT 1 FROM current_labels WHERE split <> 'test'"))
    await decide(product, 20, agents=(*AGENTS, "none"))
    made = await train(product, seed=1)
    assert made["state"] == "succeeded"
    progress = made["progress"]
    assert progress["machine_labels"] == {"general": 20, "hr": 20, "it_support": 20, "none": 20}
    assert progress["machine_models"] == {"@cf/meta/llama-3.2-1b-instruct": 80}
    assert progress["machine_decided"] == progress["machine_labels"]
    assert (progress["machine_left_out"], progress["machine_labels_off"]) == ({}, None)
    assert made["labels"] == made["data"]["labels"] == progress["prepared"] == labels
    of_agents = {each["agent_id"]: each for each in made["per_agent"]}
    assert sum(each["machine_labels"] for each in of_agents.values()) == 60
    in_force = product.rows(
        "SELECT agent_id, count(*) AS n FROM current_labels WHERE split <> 'test'"
        " AND agent_id IS NOT NULL GROUP BY agent_id"
    )
    assert {name: each["labels"] for name, each in of_agents.items()} == {
        row["agent_id"]: row["n"] for row in in_force
    }


async def test_what_is_held_out_for_tests_is_learned_in_no_form(product: Product) -> None:
    query = "my wobbly gizmo makes noise"
    product.gateway.enqueue(says("it_support"), says("hr"))
    await product.route("noise makes my wobbly gizmo")
    await product.route("the vacation of my cat")
    item = {"query": query, "agent_id": "it_support"}
    assert (await product.call("POST", "/v1/labels", [item])).status == 200
    product.execute("UPDATE splits SET split = 'test'")
    product.execute("UPDATE current_labels SET split = 'test'")
    await run_slice(product.services, queue(product))
    progress = (await shown(product, "clf_queued"))["progress"]
    assert progress["machine_labels"] == {"hr": 1}
    assert progress["machine_left_out"] == {"test_part": 1}


async def test_slices_read_what_one_go_reads(product: Product) -> None:
    await import_labels(product, each=20)
    await decide(product, 40)
    whole = await train(product)
    queue(product)
    slices = 0
    while state(product)["state"] in ("queued", "running"):
        await run_slice(product.services, "clf_queued", cost=SMALL // 2)
        slices += 1
        # A decision that is made once they are chosen belongs to the next training.
        if (await shown(product, "clf_queued"))["progress"]["machine_labels"]:
            await decide(product, 1, agents=("hr",), seed=100 + slices)
    made = await shown(product, "clf_queued")
    assert made["progress"]["prepared_slices"] >= 2
    assert made["progress"]["machine_labels"] == whole["progress"]["machine_labels"]
    first, second = [
        loads(await read_model(product.services.db, each["id"])) for each in (whole, made)
    ]
    assert first.examples == second.examples


async def test_what_is_erased_while_the_slices_read_is_left_out(product: Product) -> None:
    await decide(product, 60, user="ada")
    queue(product)
    await run_slice(product.services, "clf_queued", cost=SMALL // 4)
    before = (await shown(product, "clf_queued"))["progress"]
    assert before["stage"] == "labels" and 0 < sum(before["machine_labels"].values()) < 180
    answered = await product.call("DELETE", "/v1/logs?user=ada")
    assert answered.status < 300
    await run_maintenance(product.services)
    await run_slice(product.services, "clf_queued")
    after = (await shown(product, "clf_queued"))["progress"]
    assert after["machine_labels"] == before["machine_labels"]
    assert after["machine_left_out"] == {"deleted": 180 - sum(before["machine_labels"].values())}


async def test_what_was_erased_is_not_learned_again(product: Product) -> None:
    await import_labels(product, each=20)
    await decide(product, 5, user="ada")
    await decide(product, 5, user="bob", seed=6)
    await product.call("DELETE", "/v1/logs?user=ada")
    made = await train(product)
    assert made["progress"]["machine_labels"] == dict.fromkeys(sorted(AGENTS), 5)


async def test_a_training_goes_on_after_d1_was_away(product: Product) -> None:
    await decide(product, 10)
    queue(product)

    async def fail(_: float) -> None:
        product.database.failing = True

    await run_slice(slept(product, fail), "clf_queued", cost=SMALL)
    product.database.failing = False
    assert state(product)["state"] in ("queued", "running")
    product.clock.seconds += 3_600
    await run_slice(product.services, "clf_queued")
    progress = (await shown(product, "clf_queued"))["progress"]
    assert sum(progress["machine_labels"].values()) == 30


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"learning": "off"}, "learning_off"),
        ({"redact_personal_data": True}, "texts_redacted"),
        ({"log_queries": False}, "texts_not_stored"),
    ],
)
async def test_a_training_says_why_there_are_none(
    product: Product, changes: dict[str, Any], why: str
) -> None:
    await import_labels(product, each=20)
    await decide(product, 3)
    await product.call("PATCH", "/v1/config", changes)
    progress = (await train(product))["progress"]
    assert (progress["machine_labels"], progress["machine_labels_off"]) == ({}, why)


async def test_labels_have_the_room_first(product: Product) -> None:
    await import_labels(product, each=20)
    labels = len(product.rows("SELECT 1 FROM current_labels WHERE split <> 'test'"))
    await decide(product, 10)
    queue(product)
    await run_slice(product.services, "clf_queued", max_labels=labels + 6)
    progress = (await shown(product, "clf_queued"))["progress"]
    assert progress["prepared"] == labels
    assert progress["machine_labels"] == dict.fromkeys(sorted(AGENTS), 2)
    assert progress["machine_left_out"] == {"over_the_limit": 24}


async def test_texts_of_chat_interfaces_and_huge_ones(product: Product) -> None:
    huge = "leave " * 1_300
    product.gateway.enqueue(says("hr"), says("hr"), says("hr"))
    for query in ("### Task:\nGenerate tags <chat_history>", huge, "Urlaub und vacances and 休暇"):
        assert (await product.route(query)).json()["layer"] == "llm"
    await run_slice(product.services, queue(product))
    progress = (await shown(product, "clf_queued"))["progress"]
    assert progress["machine_labels"] == {"hr": 2}
    assert progress["machine_left_out"] == {"background_prompt": 1}
    assert progress["prepared_characters"] > 7_700


async def test_they_measure_nothing_and_start_no_training(product: Product) -> None:
    await product.call("PATCH", "/v1/config", {"retrain_after_labels": 1, "learning": "observe"})
    await import_labels(product)
    made = await train(product)
    await select(product, made["id"])
    before = (await product.call("GET", "/v1/analytics")).json()
    await decide(product, 10, cache=False)
    await minute(product)
    after = (await product.call("GET", "/v1/analytics")).json()
    assert after["totals"]["accuracy"] == before["totals"]["accuracy"]
    stats = (await product.call("GET", "/v1/labels/stats")).json()
    assert stats["labels"] == len(product.rows("SELECT 1 FROM current_labels"))
    queue(product)
    await run_slice(product.services, "clf_queued")
    again = await shown(product, "clf_queued")
    assert sum(again["progress"]["machine_labels"].values()) == 30
    # Not one of them is a suspect: nobody gave it.
    suspects = {row["query_hash"] for row in product.rows("SELECT query_hash FROM current_labels")}
    named = product.rows(
        "SELECT each.value ->> 'query_hash' AS query_hash"
        " FROM classifiers, json_each(suspects) AS each"
    )
    assert {row["query_hash"] for row in named} <= suspects


async def test_examples_know_their_source(product: Product) -> None:
    await import_labels(product, each=20)
    await decide(product, 4)
    queue(product)
    while (await shown(product, "clf_queued"))["progress"]["stage"] == "labels":
        await run_slice(product.services, "clf_queued", cost=SMALL)
    if state(product)["state"] == "running":
        assert (await examples(product)).sources.count(MODEL) == 12
    assert (await create(product)).status in (202, 409)
