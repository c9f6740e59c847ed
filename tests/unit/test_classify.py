"""The classifier in the way of a query: where it answers, where it passes on, and how it is loaded
and swapped behind the answers' back."""

from collections.abc import Coroutine
from typing import Any

import pytest

from edgeneuro.classifier.model import dumps
from edgeneuro.domain.agent import MAX_NEW_AGENTS
from edgeneuro.gateway.interface import ModelAnswer
from edgeneuro.settings import Settings
from edgeneuro.web.request import Request
from edgeneuro_testing.gateway import ScriptedGateway
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.classifiers import (
    AGENTS,
    UNKNOWN,
    create_agents,
    install,
    known,
    learned,
    load,
    never_sure,
    select,
)
from tests.unit.conftest import ADMIN_TOKEN, Product, no_chunks, says

LLAMA = "@cf/meta/llama-3.2-1b-instruct"


@pytest.fixture
async def product(empty_product: Product) -> Product:
    """Three agents, and a classifier that knows them, loaded."""
    empty_product.gateway.enqueue(*[says("agent_0")] * 10)
    await set_up(empty_product)
    return empty_product


async def set_up(product: Product) -> None:
    await create_agents(product)
    install(product, "clf_1")
    await select(product, "clf_1")
    await load(product)
    product.gateway.requests.clear()


async def explained(product: Product, query: str, **fields: Any) -> dict[str, Any]:
    answered = await product.route(query, explain=True, **fields)
    assert answered.status == 200, answered.text
    decision: dict[str, Any] = answered.json()
    return decision


async def test_it_answers_where_it_is_sure_and_no_model_is_asked(product: Product) -> None:
    answered = await product.route(known("agent_2"))
    decision = answered.json()
    shown = decision["classifier"]
    assert (decision["agent"]["id"], decision["layer"]) == ("agent_2", "classifier")
    assert (decision["model"], decision["adapter"], decision["cost_usd"]) == ("clf_1", None, 0)
    assert decision["confidence"] == shown["score"] >= shown["threshold"]
    assert (shown["id"], shown["agent_id"], shown["sure"]) == ("clf_1", "agent_2", True)
    assert answered.headers["x-edgeneuro-layer"] == "classifier"
    assert list(timing(answered.headers)) == [
        "label",
        "memory_cache",
        "classifier",
        "decide",
        "total",
    ]
    assert product.gateway.requests == []
    row = (await product.logs())[0]
    assert (row["layer"], row["classifier"]) == ("classifier", shown)


def timing(headers: dict[str, str]) -> dict[str, float]:
    metrics = headers["server-timing"].split(", ")
    return {name: float(ms) for name, _, ms in (metric.partition(";dur=") for metric in metrics)}


async def test_it_passes_on_what_it_does_not_know(product: Product) -> None:
    decision = await explained(product, UNKNOWN)
    assert (decision["layer"], decision["classifier"]["sure"]) == ("llm", False)
    assert decision["explanation"]["classifier"] == "it is not sure"
    assert list(decision["explanation"]["stages_ms"]) == [
        "label",
        "memory_cache",
        "classifier",
        "stored_cache",
        "model",
        "decide",
    ]
    row = (await product.logs())[0]
    assert row["classifier"] == decision["classifier"]


async def test_its_answers_are_neither_kept_nor_taken_from_what_is_kept(product: Product) -> None:
    product.execute("DELETE FROM decision_cache")
    first = (await product.route(known("agent_1"))).json()
    second = (await product.route(known("agent_1"))).json()
    assert [each["layer"] for each in (first, second)] == ["classifier"] * 2
    assert [each["cache"] for each in (first, second)] == ["miss"] * 2
    assert product.rows("SELECT * FROM decision_cache") == []


async def test_the_same_question_has_the_same_answer_however_it_is_written(
    product: Product,
) -> None:
    query = known("agent_1")
    asked = [query, f"  {query.upper()}\n", query.replace(" ", "  ")]
    answers = [(await product.route(each)).json()["classifier"] for each in asked]
    assert answers[0]["sure"] and answers[1:] == [answers[0]] * 2


async def test_what_it_passes_on_is_answered_from_what_is_kept(
    product: Product, database: SqliteDatabase, settings: Settings
) -> None:
    await product.route(UNKNOWN, cache=False)
    await product.route(UNKNOWN)
    other = Product(database, settings, gateway=ScriptedGateway())
    await load_anew(other)
    decision = await explained(other, UNKNOWN)
    assert (decision["layer"], decision["cache"]) == ("cache", "hit")
    assert decision["classifier"]["sure"] is False
    again = await explained(other, UNKNOWN)
    assert (again["layer"], again["classifier"]) == ("cache", None)
    assert again["explanation"]["classifier"].startswith("not asked: the answer was still")


async def load_anew(other: Product) -> None:
    """In a second isolate, with what the first one has kept."""
    await other.route("warm up")
    assert loaded_ids(other) == ["clf_1"]


async def test_a_disabled_agent_is_never_its_answer(product: Product) -> None:
    await product.call("PATCH", "/v1/agents/agent_2", {"enabled": False})
    decision = await explained(product, known("agent_2"))
    assert (decision["agent"]["id"], decision["layer"]) == ("agent_0", "llm")
    [stage] = [each for each in decision["explanation"]["stages"] if each["name"] == "classifier"]
    assert stage["reason"] == "it is not sure; agent 'agent_2', which is not enabled, may be meant"
    assert "agent_2" not in {each["agent_id"] for each in stage["scores"]}
    other = (await product.route(known("agent_1"))).json()
    assert other["layer"] == "classifier"


async def test_a_deleted_agent_is_never_its_answer(product: Product) -> None:
    assert (await product.call("DELETE", "/v1/agents/agent_2")).status < 300
    assert (await product.route(known("agent_2"))).json()["agent"]["id"] == "agent_0"


async def test_only_candidates_are_its_answer(product: Product) -> None:
    narrow = await explained(product, known("agent_2"), candidates=["agent_0", "agent_1"])
    assert (narrow["layer"], narrow["classifier"]["agent_id"]) == ("llm", "agent_2")
    wide = await explained(product, known("agent_2"), candidates=["agent_2", "agent_1"])
    assert (wide["layer"], wide["explanation"]["classifier"]) == ("classifier", None)


async def test_an_agent_that_it_never_saw_joins_it_at_once(product: Product) -> None:
    new = {"id": "agent_new", "name": "New", "description": "New", "examples": [UNKNOWN]}
    await product.call("POST", "/v1/agents", new)
    await product.route("warm up")  # joins it behind the answer
    assert (await product.route(known("agent_2"))).json()["layer"] == "classifier"
    decision = await explained(product, UNKNOWN)
    assert (decision["layer"], decision["agent"]["id"]) == ("classifier", "agent_new")
    listed = (await product.call("GET", "/v1/models")).json()["data"]
    assert [model["suspended"] for model in listed if model["active"]] == [None] * 2
    made = (await product.call("GET", "/v1/classifiers/clf_1")).json()
    assert (made["suspended"], made["agents_joined"]) == (None, ["agent_new"])


async def test_no_request_waits_until_a_new_agent_has_joined(product: Product) -> None:
    new = {"id": "agent_new", "name": "New", "description": "New"}
    await product.call("POST", "/v1/agents", new)
    waiting: list[Coroutine[Any, Any, None]] = []
    layers = [await layer_of(product, waiting) for _ in range(3)]
    assert "classifier" not in layers
    joins = [work for work in waiting if "ClassifierCache._join" in repr(work)]
    assert len(joins) == 1
    for work in waiting:
        await work
    assert (await product.route(known("agent_1"))).json()["layer"] == "classifier"


async def test_so_many_new_agents_suspend_it(product: Product) -> None:
    for number in range(MAX_NEW_AGENTS + 1):
        new = {"id": f"new_{number}", "name": f"New {number}", "description": f"Word{number}"}
        assert (await product.call("POST", "/v1/agents", new)).status == 201
    decision = await explained(product, known("agent_2"))
    assert (decision["layer"], decision["classifier"]) == ("llm", None)
    why = "suspended: 21 agents are new to it, more than 20; train it again"
    assert decision["explanation"]["classifier"] == why
    listed = (await product.call("GET", "/v1/models")).json()["data"]
    assert [f"suspended: {model['suspended']}" for model in listed if model["active"]][1:] == [why]
    made = (await product.call("GET", "/v1/classifiers/clf_1")).json()
    assert made["agents_joined"] == []
    text = (await product.call("GET", "/metrics")).text
    assert 'edgeneuro_classifier_verdicts_total{verdict="suspended"} 1' in text
    await product.call("PATCH", "/v1/agents/new_0", {"enabled": False})
    await product.route("warm up")
    assert (await product.route(known("agent_1"))).json()["layer"] == "classifier"


@pytest.mark.parametrize(
    ("fields", "named"), [({"cache": False}, "`cache` false"), ({"model": LLAMA}, "`model`")]
)
async def test_who_asks_for_the_model_gets_it(
    product: Product, fields: dict[str, Any], named: str
) -> None:
    decision = await explained(product, known("agent_2"), **fields)
    assert (decision["layer"], decision["model"], decision["classifier"]) == ("llm", LLAMA, None)
    assert decision["explanation"]["classifier"] == f"not asked: the request has {named}"


async def test_the_threshold_of_every_layer_is_its_threshold_too(product: Product) -> None:
    await product.call("PATCH", "/v1/config", {"confidence_threshold": 1.0})
    decision = (await product.route(known("agent_2"))).json()
    shown = decision["classifier"]
    assert (shown["threshold"], shown["sure"]) == (1.0, False)
    assert decision["layer"] != "classifier"


async def test_chats_are_routed_by_it_too(empty_product: Product) -> None:
    product = empty_product
    product.gateway.enqueue(says("agent_0"), ModelAnswer(content="Hello."))
    await set_up(product)
    body = {"model": "auto", "messages": [{"role": "user", "content": known("agent_2")}]}
    answered = await product.call("POST", "/v1/chat/completions", body)
    assert answered.status == 200, answered.text
    facts = answered.json()["edgeneuro"]
    assert (facts["agent"]["id"], facts["layer"]) == ("agent_2", "classifier")
    row = (await product.logs())[0]
    assert (row["kind"], row["layer"]) == ("chat", "classifier")
    assert row["classifier"]["agent_id"] == "agent_2"


def loaded_ids(product: Product) -> list[str]:
    return [each.id for each in product.services.classifier.loaded]


async def test_no_request_waits_for_the_load(product: Product) -> None:
    install(product, "clf_2", never_sure())
    await select(product, "clf_2")
    waiting: list[Coroutine[Any, Any, None]] = []
    for _ in range(3):  # as long as the new one is not there, the one before answers
        assert await layer_of(product, waiting) == "classifier"
    loads = [work for work in waiting if "ClassifierCache._load" in repr(work)]
    assert len(loads) == 1
    for work in waiting:
        await work
    assert (await product.route(known("agent_2"))).json()["layer"] == "llm"
    assert loaded_ids(product) == ["clf_2"]


async def layer_of(product: Product, waiting: list[Coroutine[Any, Any, None]]) -> str:
    """A request whose work after the answer waits."""
    body = f'{{"query": "{known("agent_2")}"}}'.encode()

    async def read_body(limit: int) -> bytes:
        return body

    header = {"authorization": f"Bearer {ADMIN_TOKEN}"}.get
    request = Request("POST", "/v1/route", "", header, read_body, no_chunks)
    response = await product.app.handle(request, waiting.append)
    return response.headers["x-edgeneuro-layer"]


async def test_null_takes_it_away_at_once(product: Product) -> None:
    await select(product, None, learning="off")  # else it runs beside the model
    decision = await explained(product, known("agent_2"))
    assert (decision["layer"], decision["classifier"]) == ("llm", None)
    assert decision["explanation"]["classifier"] == "not asked: none is selected"
    assert loaded_ids(product) == []


async def test_a_load_that_is_overtaken_by_another_choice_changes_nothing(
    product: Product,
) -> None:
    install(product, "clf_2")
    await select(product, "clf_2")
    waiting: list[Coroutine[Any, Any, None]] = []
    await layer_of(product, waiting)
    await select(product, "clf_1")
    await product.route(known("agent_2"))
    for work in waiting:
        await work
    assert loaded_ids(product) == ["clf_1"]


def damaged() -> bytes:
    whole = bytearray(dumps(learned()))
    whole[1_000] ^= 1
    return bytes(whole)


@pytest.mark.parametrize(
    "content",
    [damaged(), b"", b"EdgeNeuroModel\n\0", dumps(learned())[:-1], dumps(learned(2))],
    ids=["changed", "empty", "begun", "cut", "another's"],
)
async def test_a_damaged_or_foreign_model_is_refused_and_the_one_before_goes_on(
    product: Product, content: bytes
) -> None:
    install(product, "clf_2", content=content)
    product.execute("UPDATE config SET value = '\"clf_2\"' WHERE key = 'classifier'")
    product.services.routing.forget()
    for number in range(3):
        decision = (await product.route(known("agent_2", number))).json()
        assert (decision["layer"], decision["model"]) == ("classifier", "clf_1")
    assert product.failures.counts["classifier_load"] == 1
    product.clock.seconds += 31
    await product.route(known("agent_2"))
    assert product.failures.counts["classifier_load"] == 2


async def test_a_model_that_is_repaired_is_taken_later(product: Product) -> None:
    install(product, "clf_2", never_sure(), content=damaged())
    product.execute("UPDATE config SET value = '\"clf_2\"' WHERE key = 'classifier'")
    product.services.routing.forget()
    await product.route(known("agent_2"))
    product.database._connection.execute(
        "UPDATE classifier_parts SET content = ?1 WHERE classifier_id = 'clf_2'",
        (dumps(never_sure()),),
    )
    product.clock.seconds += 31
    await product.route(known("agent_2"))
    assert loaded_ids(product) == ["clf_2"]


async def test_a_classifier_that_is_gone_leaves_the_model_to_answer(
    empty_product: Product,
) -> None:
    product = empty_product
    product.gateway.enqueue(says("agent_0"))
    await create_agents(product)
    product.execute("INSERT INTO config VALUES ('classifier', '\"gone\"', 0)")
    decision = await explained(product, known("agent_2"))
    assert decision["layer"] == "llm"
    assert decision["explanation"]["classifier"] == "not asked: it is not loaded yet"
    assert product.failures.counts["classifier_load"] == 1


async def test_metrics_count_verdicts_and_name_what_is_loaded(product: Product) -> None:
    await product.route(known("agent_2"))
    await product.route(UNKNOWN)
    text = (await product.call("GET", "/metrics")).text
    [loaded] = product.services.classifier.loaded
    assert f'edgeneuro_classifier_loaded{{version="{loaded.version}"}} 1' in text
    counted = 'edgeneuro_classifier_verdicts_total{{verdict="{}"}} 1'
    for verdict in ("none", "sure", "unsure"):
        assert counted.format(verdict) in text


@pytest.mark.parametrize("query", ["🙂", "x" * 8_000, "你好", "؟", "a"])
async def test_odd_questions_go_on_to_the_model(product: Product, query: str) -> None:
    decision = (await product.route(query)).json()
    assert decision["layer"] == "llm"
    assert decision["classifier"]["agent_id"] in AGENTS
