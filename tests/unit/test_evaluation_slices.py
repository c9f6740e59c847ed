"""Slices of an evaluation where models and isolates are not at their best, and what a challenger's
comparison may not count."""

import json
import sqlite3
from typing import Any

import pytest

from edgeneuro.domain.query import query_hash
from edgeneuro.errors import UpstreamCapacityError, UpstreamRejectedError, UpstreamTimeoutError
from edgeneuro.gateway.interface import ModelAnswer
from edgeneuro.settings import Settings
from edgeneuro.store.evaluation_results import read_results
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.conftest import Product, says
from tests.unit.invocations import run_evaluation, run_maintenance
from tests.unit.test_evaluations import (
    ACTIVE,
    LORA,
    OTHER,
    Models,
    begin,
    find,
    knows,
    label,
    made,
    select,
    shown,
    state,
)
from tests.unit.trainings import minute

QUERIES_OF_THE_FREE_PLAN = 50  # of D1, in one request


@pytest.fixture
async def product(database: SqliteDatabase, settings: Settings) -> Product:
    return await made(database, settings)


async def queued(product: Product, **body: Any) -> str:
    """An evaluation of which nothing is done yet."""
    found: str = (await begin(product, **body)).json()["id"]
    return found


async def run_out(product: Product, evaluation_id: str, *, most: int = 200) -> int:
    """Slice after slice as soon as one may be made; how many it took."""
    for number in range(most):
        row = await find(product, evaluation_id)
        if row["state"] not in ("queued", "running"):
            return number
        product.clock.seconds = max(product.clock.seconds, row["run_after"] / 1000)
        await run_evaluation(product.services, evaluation_id)
    raise AssertionError(await find(product, evaluation_id))


async def test_another_isolate_knows_the_agents_and_models_that_are_new(
    product: Product, database: SqliteDatabase, settings: Settings
) -> None:
    await label(product, 2)
    other = Product(database, settings, gateway=Models(knows), clock=product.clock)
    await other.route("hr question 1")  # keeps the configuration as it is now
    await product.call("PATCH", "/v1/agents/hr", {"description": "Something else."})
    lora = {"id": "new-lora", "type": "lora", "base_model": "@cf/google/gemma-2b-it-lora"}
    assert (await product.call("POST", "/v1/models", lora)).status == 201
    evaluation_id = await queued(product, model_ids=[ACTIVE, "new-lora"])
    await run_evaluation(other.services, evaluation_id)
    found = await shown(product, evaluation_id)
    assert (found["state"], found["error"]) == ("succeeded", None)


async def test_a_model_that_talks_nonsense_is_asked_once_and_nobody_waits(
    database: SqliteDatabase, settings: Settings
) -> None:
    def answer(model: str, query: str) -> ModelAnswer | Exception:
        return ModelAnswer(content="Elephants.") if model == OTHER else knows(model, query)

    product = await made(database, settings, answer)
    await label(product, 5)
    evaluation_id = await queued(product)
    assert await run_out(product, evaluation_id) == 1
    asked = [r.messages[-1]["content"] for r in product.gateway.requests if r.model == OTHER]
    assert len(asked) == len(set(asked)) == 15
    result = (await shown(product, evaluation_id))["results"]["models"][1]
    assert (result["n"], result["right"], result["failed"]) == (15, 0, 15)


async def test_a_question_that_the_model_refuses_is_not_asked_again(
    database: SqliteDatabase, settings: Settings
) -> None:
    def answer(model: str, query: str) -> ModelAnswer | Exception:
        return UpstreamRejectedError("too long") if "hr" in query else knows(model, query)

    product = await made(database, settings, answer)
    await label(product, 3)
    evaluation_id = await queued(product, model_ids=[ACTIVE])
    assert await run_out(product, evaluation_id) == 1
    assert (await shown(product, evaluation_id))["results"]["models"][0]["failed"] == 3


async def test_what_failed_is_asked_again_in_a_later_slice_alone(
    database: SqliteDatabase, settings: Settings
) -> None:
    failing = True

    def answer(model: str, query: str) -> ModelAnswer | Exception:
        slow = failing and query.startswith("hr")
        return UpstreamTimeoutError("slow") if slow else knows(model, query)

    product = await made(database, settings, answer)
    await label(product, 4)
    evaluation_id = await queued(product, model_ids=[ACTIVE])
    await run_evaluation(product.services, evaluation_id)
    asked = [each.messages[-1]["content"] for each in product.gateway.requests]
    assert len(asked) == len(set(asked)) == 12
    row = await find(product, evaluation_id)
    assert (row["state"], row["run_after"] > product.services.now_ms()) == ("running", True)
    failing = False
    assert await run_out(product, evaluation_id) == 1
    result = (await shown(product, evaluation_id))["results"]["models"][0]
    assert (result["right"], result["failed"]) == (12, 0)
    assert len(product.gateway.requests) == 16


async def test_a_model_that_stays_away_ends_it_honestly(
    database: SqliteDatabase, settings: Settings
) -> None:
    product = await made(database, settings, lambda model, query: UpstreamCapacityError("full"))
    await label(product, 100)
    evaluation_id = await queued(product, model_ids=[ACTIVE])
    started = product.clock.seconds
    slices = await run_out(product, evaluation_id)
    row = await find(product, evaluation_id)
    assert (row["state"], slices) == ("failed", 31)
    assert "30 slices in a row came to nothing" in row["error"]
    assert 3_600 < product.clock.seconds - started < 4 * 3_600
    burnt = product.rows("SELECT * FROM evaluation_answers")
    assert len(burnt) == 30 * 6, "six questions a slice, however many there are"


async def test_an_outage_in_the_middle_costs_no_answer(
    database: SqliteDatabase, settings: Settings
) -> None:
    up = 20
    product = await made(database, settings)

    def answer(model: str, query: str) -> ModelAnswer | Exception:
        away = up <= len(product.gateway.requests) < up + 30
        return UpstreamCapacityError("full") if away else knows(model, query)

    assert isinstance(product.gateway, Models)
    await label(product, 20)
    evaluation_id = await queued(product, model_ids=[ACTIVE])
    product.gateway.answer = answer
    await run_out(product, evaluation_id)
    result = (await shown(product, evaluation_id))["results"]["models"][0]
    assert (result["right"], result["failed"]) == (60, 0)


async def test_a_slice_keeps_within_the_queries_of_the_free_plan(product: Product) -> None:
    await label(product, 60)
    evaluation_id = await queued(product, model_ids=[ACTIVE, OTHER, LORA])
    slices = []
    while (await find(product, evaluation_id))["state"] in ("queued", "running"):
        product.database.statements.clear()
        product.gateway.requests.clear()
        product.services.routing.forget()
        product.execute("UPDATE revision SET value = value + 1")  # everything is read again
        await run_evaluation(product.services, evaluation_id)
        slices.append((len(product.gateway.requests), len(product.database.statements)))
    assert sum(asked for asked, _ in slices) == 3 * 180
    assert max(asked for asked, _ in slices) == 72
    assert max(queries for _, queries in slices) <= QUERIES_OF_THE_FREE_PLAN, slices


async def test_only_what_is_known_of_the_progress_is_shown(product: Product) -> None:
    await label(product, 2)
    begun = (await begin(product)).json()
    none = [{"model_id": each, "done": 0, "total": 6} for each in (ACTIVE, OTHER)]
    assert begun["progress"] == none
    await minute(product)
    [listed] = (await product.call("GET", "/v1/evaluations")).json()["data"]
    assert (listed["state"], listed["progress"]) == ("succeeded", [])


async def test_answers_of_a_model_with_the_longest_name_are_paged(product: Product) -> None:
    name = "@cf/" + "m" * 196
    body = {"id": name, "type": "base", "json_mode": True}
    assert (await product.call("POST", "/v1/models", body)).status == 201
    await label(product, 2)
    evaluation_id = (await begin(product, model_ids=[name, ACTIVE])).json()["id"]
    await minute(product)
    path, after, seen = f"/v1/evaluations/{evaluation_id}/answers?limit=5", "", []
    while True:
        answered = await product.call("GET", path + after)
        assert answered.status == 200, answered.text
        page = answered.json()
        seen += [each["id"] for each in page["data"]]
        if not page["has_more"]:
            break
        after = f"&after={page['last_id'].replace(' ', '%20')}"
    assert len(seen) == len(set(seen)) == 12


async def test_times_of_many_answers_fit_d1(product: Product) -> None:
    """An array of all of them would pass the size that a value may have: here 50 KB, in D1 2 MB."""
    await label(product, 2)
    evaluation_id = await queued(product, model_ids=[ACTIVE])
    await run_evaluation(product.services, evaluation_id)
    await select(product, OTHER, challenger=100)
    await product.route("hr question 1", cache=False)
    numbers = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000)"
    columns = [row["name"] for row in product.rows("SELECT name FROM pragma_table_info('logs')")]
    others = ", ".join(name for name in columns if name not in ("seq", "id"))
    product.execute("DROP TRIGGER logs_insert_fts")
    product.execute(
        f"{numbers} INSERT INTO logs (id, {others}) SELECT 'l' || i, {others} FROM n, logs"
    )
    product.execute(
        f"{numbers} INSERT INTO challenger_answers"
        " (log_id, created_at, model_id, failed, agrees, ms)"
        f" SELECT 'l' || i, 2e12, '{OTHER}', 0, 1, 1000.0 + i / 7.0 FROM n"
    )
    product.execute("UPDATE logs SET upstream_ms = 2000.0 + seq / 7.0")
    product.execute(
        f"{numbers} INSERT INTO evaluation_answers (evaluation_id, model_id, query_hash, is_right,"
        " failed, tries, tokens, cost_usd, ms, layer) SELECT evaluation_id, model_id, 'h' || i,"
        " 1, 0, 1, 0, 0, 1000.0 + i / 7.0, 'llm'"
        " FROM n, (SELECT * FROM evaluation_answers LIMIT 1)"
    )
    connection = product.database._connection
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 50_000)
    found = (await state(product))["challenger"]
    assert found["challenger"]["p50_ms"] == pytest.approx(1000 + 2_000 / 7, abs=2)
    assert found["active"]["p95_ms"] == pytest.approx(2000 + 3_800 / 7, abs=2)
    results = await read_results(product.database, evaluation_id, [ACTIVE])
    assert results.models[0].p95_ms == pytest.approx(1000 + 3_800 / 7, abs=2)


# What a comparison may not count


async def test_the_active_model_has_no_merit_where_another_agent_stood_in_for_it(
    product: Product,
) -> None:
    """The default agent is the right one by luck; both models failed."""
    assert isinstance(product.gateway, Models)
    await select(product, OTHER, challenger=100)
    await product.call("PATCH", "/v1/config", {"fallback_models": []})
    product.gateway.answer = lambda model, query: UpstreamTimeoutError("slow")
    await product.route("anything else", cache=False)
    item = [{"query": "anything else", "agent_id": "general"}]
    assert (await product.call("POST", "/v1/labels", item)).status == 200
    found = (await state(product))["challenger"]
    assert (found["compared"], found["failed"], found["labelled"]) == (1, 1, 1)
    assert (found["active"]["right"], found["challenger"]["right"]) == (0, 0)


async def test_an_adapter_is_not_taken_for_its_base(product: Product) -> None:
    """The active adapter fails and its base model answers: that is no answer of the active one."""
    base = "@cf/google/gemma-2b-it-lora"
    await product.call("PATCH", "/v1/config", {"fallback_models": [base]})
    await select(product, LORA)
    await select(product, OTHER, challenger=100)
    product.gateway = product.services.gateway  # type: ignore[assignment]
    assert isinstance(product.gateway, Models)
    first = True

    def answer(model: str, query: str) -> ModelAnswer | Exception:
        nonlocal first
        first, was_first = False, first
        return UpstreamTimeoutError("slow") if was_first else says("hr")

    product.gateway.answer = answer
    decision = (await product.route("hr question 1", cache=False)).json()
    assert (decision["model"], decision["adapter"]) == (base, None)
    assert product.rows("SELECT * FROM challenger_answers") == []


async def test_the_gateways_log_names_the_decision_of_a_challenger(product: Product) -> None:
    await select(product, OTHER, challenger=100)
    decision = (await product.route("hr question 1", cache=False)).json()
    output = [each.metadata for each in product.gateway.requests]
    assert [each["purpose"] for each in output] == ["route", "challenger"]
    assert {each["decision_id"] for each in output} == {decision["id"]}


async def test_the_time_of_a_chats_answer_is_not_that_of_routing(product: Product) -> None:
    await select(product, OTHER, challenger=100)
    await product.route("hr question 1", cache=False)
    path = "UPDATE logs SET upstream_ms = "
    product.execute(f"{path} 7")
    chat = {"model": "auto", "messages": [{"role": "user", "content": "hr question 2"}]}
    assert (await product.call("POST", "/v1/chat/completions", chat)).status == 200
    product.execute(f"{path} 9000 WHERE kind = 'chat'")
    found = (await state(product))["challenger"]
    assert (found["compared"], found["active"]["p95_ms"]) == (2, 7)


async def test_selecting_by_the_settings_ends_the_challenger_too(product: Product) -> None:
    await select(product, OTHER, challenger=10)
    await product.call("PATCH", "/v1/config", {"promotion_min_labels": 5})
    assert (await state(product))["challenger"] is not None
    patched = await product.call("PATCH", "/v1/config", {"routing_model": OTHER})
    assert patched.status == 200, patched.text
    found = await state(product)
    assert (found["active"], found["challenger"]) == (OTHER, None)


async def test_a_challengers_answers_hold_no_text_and_go_with_their_log_rows(
    product: Product,
) -> None:
    await select(product, OTHER, challenger=100)
    await product.route("hr question 1", cache=False)
    [row] = product.rows("SELECT * FROM challenger_answers")
    assert "hr question" not in json.dumps(row)
    assert query_hash("hr question 1") not in json.dumps(row)
    await product.call("PATCH", "/v1/config", {"retention_days": 1})
    product.clock.seconds += 2 * 86_400
    await run_maintenance(product.services)
    assert product.rows("SELECT * FROM challenger_answers") == []
