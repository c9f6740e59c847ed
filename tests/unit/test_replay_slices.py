"""The job of a replay: in slices, killed anywhere, with models that fail, within a budget, and
while log rows disappear."""

from typing import Any

import pytest

from edgeneuro.errors import UpstreamCapacityError
from edgeneuro.gateway.interface import ModelAnswer
from edgeneuro.settings import Settings
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.conftest import SCHEMA, Product
from tests.unit.invocations import run_maintenance
from tests.unit.test_classifier_jobs import Killed, MortalDatabase
from tests.unit.test_evaluations import ACTIVE, OTHER, Models, made
from tests.unit.test_label_layer import put_label
from tests.unit.test_replays import (
    HIGHER,
    REPLAYS,
    begin,
    changed,
    ended,
    log,
    log_and_store,
    replay,
    requests,
    run_slice,
    shown,
    unsure,
)

QUERIES_OF_THE_FREE_PLAN = 50
# What a report has that depends on what was decided alone.
REPORT = ("n", "changed", "matrix", "layers", "labelled", "left_out", "errors")


@pytest.fixture
async def product(database: SqliteDatabase, settings: Settings) -> Product:
    return await made(database, settings, unsure)


def queries(count: int) -> list[str]:
    return [f"{('hr', 'it_support')[n % 2]} number {n} {50 + n % 50}" for n in range(count)]


def report(found: dict[str, Any]) -> dict[str, Any]:
    return {name: found[name] for name in REPORT}


async def queued(product: Product, changes: Any, **fields: Any) -> str:
    begun = await begin(product, changes, **fields)
    assert begun.status == 202, begun.text
    found: str = begun.json()["id"]
    return found


async def test_a_get_starts_no_work_and_there_is_one_at_a_time(product: Product) -> None:
    await log(product, *queries(3))
    begun = await begin(product, HIGHER)
    first = begun.json()
    assert (first["state"], first["progress"]) == ("queued", {"done": 0, "total": 3})
    again = await begin(product, HIGHER)
    assert (again.status, again.json()["error"]["code"]) == (409, "replay_under_way")
    assert len(product.rows("SELECT * FROM replay_items")) == 3
    path = f"{REPLAYS}/{first['id']}"
    assert (await product.call("DELETE", path)).json()["error"]["code"] == "replay_under_way"
    assert (await shown(product, first["id"]))["state"] == "queued"
    assert (await product.call("POST", f"{path}/cancel")).json()["state"] == "cancelled"
    assert (await product.call("POST", f"{path}/cancel")).json()["error"]["code"] == "replay_ended"
    [listed] = (await product.call("GET", REPLAYS)).json()["data"]
    assert (listed["state"], listed["n"]) == ("cancelled", None)
    assert (await product.call("DELETE", path)).json()["deleted"]
    for table in ("replays", "replay_items", "jobs"):
        assert product.rows(f"SELECT * FROM {table}") == []


@pytest.mark.parametrize("baseline", ["logged", "current"])
async def test_killed_anywhere_the_report_is_the_same(settings: Settings, baseline: str) -> None:
    product = await made(MortalDatabase(SCHEMA), settings, unsure)
    await log(product, *queries(30))
    for query in queries(10):
        await put_label(product, query, "hr")
    changes = {**HIGHER, "model": OTHER}
    expected = await replay(product, changes, baseline=baseline)
    assert expected["state"] == "succeeded" and expected["changed"] > 10
    database = product.database
    assert isinstance(database, MortalDatabase)
    await product.call("DELETE", "/v1/cache")
    for first in range(1, 20, 2):
        database.done_first = first % 4 == 1
        replay_id = await queued(product, changes, baseline=baseline)
        killed = 0
        for _ in range(2):
            database.left = first
            try:
                await run_slice(product.services, replay_id)
            except Killed:
                killed += 1
            product.clock.seconds += 200
        database.left = None
        assert killed or first > 8
        found = await ended(product, replay_id)
        assert report(found) == report(expected), first


async def test_a_slice_keeps_within_the_queries_of_the_free_plan(product: Product) -> None:
    await log(product, *queries(240))
    for changes in (HIGHER, {"model": OTHER}):
        replay_id = await queued(product, changes, sample=240)
        slices = []
        while (await shown(product, replay_id))["state"] in ("queued", "running"):
            product.database.statements.clear()
            requests(product).clear()
            product.execute("UPDATE revision SET value = value + 1")  # everything is read again
            await run_slice(product.services, replay_id)
            slices.append((len(requests(product)), len(product.database.statements)))
        assert max(statements for _, statements in slices) <= QUERIES_OF_THE_FREE_PLAN, slices
        assert sum(asked for asked, _ in slices) == (0 if changes is HIGHER else 240)
        assert (await shown(product, replay_id))["n"] == 240


async def test_a_model_that_fails_is_asked_again_later(
    database: SqliteDatabase, settings: Settings
) -> None:
    failing = True

    def answer(model: str, query: str) -> ModelAnswer | Exception:
        away = failing and model == OTHER and "3" in query
        return UpstreamCapacityError("full") if away else unsure(model, query)

    product = await made(database, settings, answer)
    await log(product, *queries(8))
    await product.call("PATCH", "/v1/config", {"fallback_models": [], "max_retries": 0})
    replay_id = await queued(product, {"model": OTHER})
    await run_slice(product.services, replay_id)
    found = await shown(product, replay_id)
    assert (found["state"], found["progress"]["done"]) == ("running", 7)
    failing = False
    found = await ended(product, replay_id)
    assert (found["n"], found["errors"]) == (8, {})


async def test_a_model_that_stays_away_is_left_out_with_its_reason(
    database: SqliteDatabase, settings: Settings
) -> None:
    def answer(model: str, query: str) -> ModelAnswer | Exception:
        away = model == OTHER and "number 3" in query
        return UpstreamCapacityError("full") if away else unsure(model, query)

    product = await made(database, settings, answer)
    await log(product, *queries(8))
    await product.call("PATCH", "/v1/config", {"fallback_models": [], "max_retries": 0})
    found = await replay(product, {"model": OTHER})
    assert (found["n"], found["errors"], found["left_out"]) == (7, {"capacity": 1}, {"failed": 1})
    assert found["progress"] == {"done": 8, "total": 8}


async def test_a_model_that_never_answers_ends_the_replay(
    database: SqliteDatabase, settings: Settings
) -> None:
    product = await made(database, settings, unsure)
    await log(product, *queries(60))
    assert isinstance(product.gateway, Models)
    product.gateway.answer = lambda model, query: UpstreamCapacityError("full")
    replay_id = await queued(product, {"model": OTHER})
    for _ in range(100):
        row = product.rows("SELECT state, run_after FROM jobs")[0]
        if row["state"] not in ("queued", "running"):
            break
        product.clock.seconds = max(product.clock.seconds, row["run_after"] / 1000)
        await run_slice(product.services, replay_id)
    found = await shown(product, replay_id)
    assert found["state"] == "failed"
    assert "no model answered" in found["error"]


async def test_no_call_exceeds_the_budget(product: Product) -> None:
    await log(product, *queries(60))
    found = await replay(product, {"model": OTHER}, max_cost_usd=0)
    assert (found["n"], found["left_out"]) == (0, {"budget": 60})
    assert requests(product) == []
    whole = await replay(product, {"model": OTHER})
    spent = whole["cost"]["spent_usd"]
    assert whole["estimate"]["model_calls"] == 60
    assert 0 < spent <= whole["estimate"]["cost_usd"]
    some = await replay(product, {"model": OTHER}, max_cost_usd=spent)
    assert 0 < some["n"] < 60 and some["left_out"]["budget"] == 60 - some["n"]
    assert some["cost"]["spent_usd"] <= spent
    # What is in the log costs nothing.
    assert (await replay(product, HIGHER, max_cost_usd=0))["n"] == 60


async def test_a_budget_needs_prices(product: Product) -> None:
    body = {"id": "@cf/some/model", "type": "base", "json_mode": True}
    assert (await product.call("POST", "/v1/models", body)).status == 201
    await log(product, *queries(2))
    refused = await begin(product, {"model": "@cf/some/model"}, max_cost_usd=1)
    error = refused.json()["error"]
    assert (refused.status, error["code"], error["param"]) == (
        400,
        "model_unpriced",
        "max_cost_usd",
    )
    begun = (await begin(product, {"model": "@cf/some/model"})).json()
    assert begun["estimate"] == {"model_calls": 2, "cost_usd": None}
    found = await ended(product, begun["id"])
    assert found["cost"]["per_1000_after_usd"] is None


async def test_rows_that_go_meanwhile_are_left_out(product: Product) -> None:
    await log(product, *queries(6))
    await log(product, "hr secret 60", user="joe")
    replay_id = await queued(product, HIGHER)
    erased = await product.call("DELETE", "/v1/logs?user=joe")
    assert erased.status == 200, erased.text
    found = await ended(product, replay_id)
    assert (found["n"], found["left_out"]) == (6, {"deleted": 1})
    listed = await changed(product, replay_id)
    assert len(listed) == 6
    # The report stays, the queries go with their rows.
    await product.call("PATCH", "/v1/config", {"retention_days": 1})
    product.clock.seconds += 3 * 86_400
    await run_maintenance(product.services)
    assert await changed(product, replay_id) == []
    assert product.rows("SELECT * FROM replay_items") == []
    assert report(await shown(product, replay_id)) == report(found)


async def test_a_change_of_the_configuration_ends_it(product: Product) -> None:
    await log(product, *queries(3))
    replay_id = await queued(product, HIGHER)
    await product.call("PATCH", "/v1/agents/hr", {"description": "Something else."})
    found = await ended(product, replay_id)
    assert found["state"] == "failed"
    assert "the configuration has changed" in found["error"]
    # What does not decide may change.
    replay_id = await queued(product, HIGHER)
    await product.call("PATCH", "/v1/config", {"retention_days": 30})
    assert (await ended(product, replay_id))["state"] == "succeeded"


async def test_a_row_that_cannot_be_read_hides_no_other(product: Product) -> None:
    await log(product, *queries(2))
    first = await replay(product, HIGHER)
    second = await replay(product, HIGHER)
    product.execute(f"UPDATE replays SET request = '[' WHERE id = '{first['id']}'")
    listed = (await product.call("GET", REPLAYS)).json()["data"]
    assert [each["id"] for each in listed] == [second["id"], first["id"]]
    assert "cannot be read" in listed[1]["error"]


async def test_the_active_model_is_the_baseline(product: Product) -> None:
    """A fallback model that answered is another model."""
    await log_and_store(product, "hr leave 90")
    product.execute(f"UPDATE logs SET attempts = replace(attempts, '{ACTIVE}', 'other')")
    await replay(product, HIGHER)
    assert len(requests(product)) == 0, "the ranking is in the cache"
    await product.call("DELETE", "/v1/cache")
    await replay(product, HIGHER)
    assert len(requests(product)) == 1


async def test_damaged_rows_and_rows_that_something_else_deleted_end_nothing(
    product: Product,
) -> None:
    await log(product, *queries(6))
    ids = [row["id"] for row in product.rows("SELECT id FROM logs ORDER BY seq")]
    product.execute(f"UPDATE logs SET attempts = '[' WHERE id = '{ids[0]}'")
    product.execute(f"UPDATE logs SET stages = '[{{}}]' WHERE id = '{ids[1]}'")
    replay_id = await queued(product, HIGHER)
    product.execute(f"DELETE FROM logs WHERE id = '{ids[2]}'")
    found = await ended(product, replay_id)
    assert (found["state"], found["n"]) == ("succeeded", 3), found
    assert found["left_out"] == {"deleted": 1, "unreadable": 2}
