"""Jobs of all kinds: who runs them, and what one that fails does to itself and to the others."""

import json
from dataclasses import replace
from typing import Any

import pytest

from edgeneuro.gateway.interface import ModelAnswer
from edgeneuro.settings import Settings
from edgeneuro.store.jobs import MAX_FAILURES
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.conftest import Product, add_agents, says
from tests.unit.finetune_api import GEMMA, FinetuneApi
from tests.unit.invocations import run_scheduled
from tests.unit.test_evaluations import ACTIVE, OTHER, Models, label
from tests.unit.trainings import minute

PATHS = {"classifiers": "/v1/classifiers", "evaluations": "/v1/evaluations", "loras": "/v1/loras"}
KINDS = {"classifiers": "training", "evaluations": "evaluation", "loras": "adapter_upload"}
EVENTS = {"classifiers": "classifier_training", "evaluations": "evaluation", "loras": "lora_upload"}
# There are too few labels to learn from, so that a training ends at once.
DONE = {"classifiers": "succeeded", "evaluations": "succeeded", "loras": "succeeded"}
# Rows that cannot be read.
POISONS = [
    ("classifiers", "options = '[]'"),
    ("classifiers", "agents = '3'"),
    ("jobs", "checkpoint = 'no json'"),
    ("evaluations", "model_ids = 'no json'"),
    ("evaluations", "split = 'unknown'"),
    ("loras", 'steps = \'[{"name": "unknown"}]\''),
    ("loras", "preflight = 'no json'"),
]


def answers(model: str, query: str) -> ModelAnswer | Exception:
    return says("hr")


@pytest.fixture
async def product(database: SqliteDatabase, settings: Settings) -> Product:
    api = FinetuneApi()
    api.finetunes.append({"id": "ft-9", "name": "intents-v1", "model": GEMMA, "description": ""})
    settings = replace(settings, cloudflare_account_id="account")
    product = Product(database, settings, gateway=Models(answers), cloudflare=api)
    product.secrets["CLOUDFLARE_API_TOKEN"] = "a-token"
    await add_agents(product)
    await label(product, 2, "train")
    await label(product, 2)
    return product


async def begin(product: Product, kind: str) -> str:
    """A job of which nothing is done yet."""
    bodies: dict[str, dict[str, Any]] = {
        "classifiers": {"target": 0.9},
        "evaluations": {"model_ids": [ACTIVE]},
        "loras": {"name": "intents-v1", "base_model": GEMMA},
    }
    answered = await product.call("POST", PATHS[kind], bodies[kind])
    assert answered.status == 202, answered.text
    job_id: str = answered.json()["id"]
    if kind == "classifiers":
        product.execute(
            "UPDATE jobs SET state = 'queued', lease_until = 0, ended_at = NULL, error = NULL,"
            " attempts = 0, checkpoint = '{}' WHERE kind = 'training'"
        )
    return job_id


async def begin_all(product: Product) -> dict[str, str]:
    return {kind: await begin(product, kind) for kind in PATHS}


def row(product: Product, kind: str) -> dict[str, Any]:
    return product.rows(f"SELECT * FROM jobs WHERE kind = '{KINDS[kind]}'")[0]


def poison_row(product: Product, kind: str, poison: str) -> str:
    """Damages the resource or the job; returns whose."""
    if kind == "jobs":
        product.execute(f"UPDATE jobs SET {poison} WHERE kind = 'training'")
        return "classifiers"
    product.execute(f"UPDATE {kind} SET {poison}")
    return kind


@pytest.mark.parametrize("kind", ["evaluations", "loras"])
async def test_what_costs_money_is_run_by_the_cron_alone(product: Product, kind: str) -> None:
    job_id = await begin(product, kind)
    for path in (PATHS[kind], f"{PATHS[kind]}/{job_id}"):
        assert (await product.call("GET", path)).status == 200
    assert product.gateway.requests == []
    assert (row(product, kind)["state"], row(product, kind)["lease_until"]) == ("queued", 0)
    await minute(product)
    assert row(product, kind)["state"] == DONE[kind]


@pytest.mark.parametrize(("kind", "poison"), POISONS)
async def test_a_poisoned_row_stops_no_other_job_and_is_set_aside(
    product: Product, kind: str, poison: str
) -> None:
    ids = await begin_all(product)
    kind = poison_row(product, kind, poison)
    await minute(product)
    for other in PATHS:
        if other != kind:
            assert row(product, other)["state"] == DONE[other], row(product, other)
    assert product.failures.counts[EVENTS[kind]] == 1
    pauses = []
    while row(product, kind)["state"] != "failed":
        assert row(product, kind)["failures"] < MAX_FAILURES
        # The jobs after it take some milliseconds of the clock.
        pauses.append(round(row(product, kind)["run_after"] - product.services.now_ms(), -3))
        await minute(product)
        assert product.failures.counts[EVENTS[kind]] == len(pauses), "not before its time"
        product.clock.seconds += pauses[-1] / 1000
        await minute(product)
    assert pauses == [60_000, 120_000, 240_000, 480_000]
    assert product.failures.counts[EVENTS[kind]] == MAX_FAILURES
    found = await product.call("GET", f"{PATHS[kind]}/{ids[kind]}")
    assert (found.status, found.json()["state"]) == (200, "failed"), found.text
    assert "cannot be read" in json.dumps(found.json()["error"])
    assert found.json()["finished_at"]
    [listed] = (await product.call("GET", PATHS[kind])).json()["data"]
    assert listed["error"] == found.json()["error"]
    if kind != "loras":
        await begin(product, kind)


@pytest.mark.parametrize(("kind", "poison"), POISONS)
async def test_a_row_that_cannot_be_read_hides_no_other_in_a_list(
    product: Product, kind: str, poison: str
) -> None:
    damaged = "classifiers" if kind == "jobs" else kind
    await begin(product, damaged)
    kind = poison_row(product, kind, poison)
    [listed] = (await product.call("GET", PATHS[kind])).json()["data"]
    assert (listed["state"], "cannot be read" in json.dumps(listed["error"])) == ("failed", True)


async def test_an_error_that_nobody_expected_is_counted_shown_and_forgotten(
    product: Product,
) -> None:
    """A fault of our own in the middle of a slice, which is gone a minute later."""
    await begin_all(product)
    models = product.gateway
    assert isinstance(models, Models)

    def broken(model: str, query: str) -> Exception:
        return ZeroDivisionError("division by zero")

    models.answer = broken
    await minute(product)
    for kind in ("evaluations", "loras"):
        assert (row(product, kind)["state"], row(product, kind)["failures"]) == ("running", 1)
        assert "ZeroDivisionError: division by zero" in row(product, kind)["error"]
    assert row(product, "classifiers")["state"] == DONE["classifiers"]
    models.answer = answers
    product.clock.seconds += 60
    await minute(product)
    for kind in ("evaluations", "loras"):
        found = row(product, kind)
        assert (found["state"], found["failures"], found["error"]) == (DONE[kind], 0, None)


async def test_an_adapter_that_was_set_aside_can_be_tried_again(product: Product) -> None:
    lora_id = await begin(product, "loras")
    assert isinstance(product.gateway, Models)
    product.gateway.answer = lambda model, query: ZeroDivisionError("division by zero")
    for _ in range(MAX_FAILURES):
        await minute(product)
        product.clock.seconds += 3_600
    assert row(product, "loras")["state"] == "failed"
    product.gateway.answer = answers
    assert (await product.call("POST", f"/v1/loras/{lora_id}/retry", {})).status == 202
    await minute(product)
    assert (row(product, "loras")["state"], row(product, "loras")["failures"]) == ("succeeded", 0)


@pytest.mark.parametrize(
    ("cron", "table", "events"),
    [
        # A training reads the traffic's mix of agents there: it waits for its next try.
        ("0 * * * *", "summed_days", {"day_sums", "classifier_training"}),
        ("* * * * *", "challenger_answers", {"promotion"}),
    ],
)
async def test_a_task_of_the_cron_that_fails_stops_no_job(
    product: Product, cron: str, table: str, events: set[str]
) -> None:
    await begin_all(product)
    challenger = {"model_id": OTHER, "percent": 10, "since_ms": 0}
    product.execute(
        "INSERT INTO config VALUES ('auto_promote', 'true', 0),"
        f" ('challenger', '{json.dumps(challenger)}', 0)"
    )
    product.execute(f"DROP TABLE {table}")
    await run_scheduled(product.services, cron)
    assert product.failures.counts == dict.fromkeys(events, 1)
    assert {kind: row(product, kind)["state"] for kind in PATHS} == {
        kind: "running" if EVENTS[kind] in events else state for kind, state in DONE.items()
    }


async def test_a_run_that_was_overtaken_notes_no_failure(product: Product) -> None:
    """Its lease ended, another run has acquired the job, then it fails."""
    await begin(product, "evaluations")
    assert isinstance(product.gateway, Models)

    def overtaken(model: str, query: str) -> Exception:
        later = product.services.now_ms() + 10_000_000
        product.execute(f"UPDATE jobs SET lease_until = {later}")
        return ZeroDivisionError("division by zero")

    product.gateway.answer = overtaken
    await minute(product)
    assert row(product, "evaluations")["failures"] == 0
    assert row(product, "evaluations")["error"] is None
