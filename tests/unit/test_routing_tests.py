"""Routing tests: the set, its runs against the configuration in force and a proposed one, and what
flips between two runs."""

import json
from typing import Any

import pytest

from edgeneuro.errors import UpstreamCapacityError
from edgeneuro.gateway.interface import ModelAnswer
from edgeneuro.settings import Settings
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.conftest import Answered, Product, says
from tests.unit.test_evaluations import ACTIVE, LORA, OTHER, Models, made
from tests.unit.trainings import import_labels, minute, select, train

PATH = "/v1/routing-tests"
RUNS = f"{PATH}/runs"
VPN: dict[str, Any] = {"query": "it_support vpn 10", "expect": "it_support", "name": "vpn"}
LEAVE: dict[str, Any] = {"query": "hr leave 10", "expect": "hr", "must_not": ["it_support"]}
WEATHER = {"query": "nobody weather", "expect": None}
NOT_HR = {"query": "general hello", "must_not": ["hr"]}
TESTS = [VPN, LEAVE, WEATHER, NOT_HR]


def knows(model: str, query: str) -> ModelAnswer | Exception:
    """The active model is right; the other takes questions of HR for IT's."""
    right = query.split()[0]
    if model == OTHER and right == "hr":
        right = "it_support"
    return says("none" if right == "nobody" else right)


@pytest.fixture
async def product(database: SqliteDatabase, settings: Settings) -> Product:
    return await made(database, settings, knows)


def lines(tests: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(each) + "\n" for each in tests).encode()


async def put(product: Product, body: Any) -> Answered:
    return await product.call("PUT", PATH, lines(body) if isinstance(body, list) else body)


async def run(product: Product, **body: Any) -> dict[str, Any]:
    """The run after the cron has ended it."""
    begun = await product.call("POST", RUNS, body)
    assert begun.status == 202, begun.text
    await minute(product)
    found = await shown(product, begun.json()["id"])
    assert found["state"] not in ("queued", "running"), found
    return found


async def shown(product: Product, run_id: str, query: str = "") -> dict[str, Any]:
    found: dict[str, Any] = (await product.call("GET", f"{RUNS}/{run_id}{query}")).json()
    return found


async def results(product: Product, run_id: str, query: str = "") -> dict[str, dict[str, Any]]:
    page = await product.call("GET", f"{RUNS}/{run_id}/results?limit=100{query}")
    assert page.status == 200, page.text
    return {each["test"]["query"]: each for each in page.json()["data"]}


# The set


async def test_the_set_is_kept_as_it_was_sent(product: Product) -> None:
    assert (await product.call("GET", PATH)).json()["tests"] == 0
    stored = await put(product, TESTS)
    assert stored.status == 200, stored.text
    assert (stored.json()["items"], stored.json()["tests"]) == (TESTS, 4)
    assert stored.json()["updated_by"] == "admin_token"
    file = await product.call("GET", f"{PATH}?format=jsonl")
    assert [json.loads(line) for line in file.text.splitlines()] == TESTS
    # What was read can be stored again, in each of its forms; the order is no other set.
    whole = (await product.call("GET", PATH)).text.encode()
    for body in (file.text.encode(), whole, json.dumps(TESTS[::-1]).encode()):
        assert (await put(product, body)).json()["sha256"] == stored.json()["sha256"]
    other = await put(product, [*TESTS[:3], {**NOT_HR, "must_not": ["it_support"]}])
    assert other.json()["sha256"] != stored.json()["sha256"]
    assert (await put(product, b"[]")).json()["tests"] == 0
    assert (await product.call("GET", PATH)).json()["sha256"] is None


@pytest.mark.parametrize(
    ("test", "param", "words"),
    [
        ({"query": "a"}, "expect", "this field is missing"),
        ({"expect": "hr"}, "query", "missing"),
        ({"query": " ", "expect": "hr"}, "query", ""),
        ({"query": "a", "expect": "HR!"}, "expect", ""),
        ({"query": "a", "expect": 7}, "expect", ""),
        ({"query": "a", "expect": "hr", "answer": "b"}, "answer", "no such field"),
        ({"query": "a", "expect": "hr", "context": "b"}, "context", "must be an object"),
        ({"query": "a", "expect": "hr", "must_not": ["hr"]}, "must_not", "also what is expected"),
        ({"query": "a", "expect": "hr", "candidates": ["general"]}, "candidates", "is missing"),
        (VPN, "query", "line 1 asks the same"),
    ],
)
async def test_each_line_at_fault_is_named_and_nothing_is_stored(
    product: Product, test: dict[str, Any], param: str, words: str
) -> None:
    refused = await put(product, [VPN, test, LEAVE])
    assert (refused.status, refused.json()["error"]["code"]) == (400, "invalid_lines")
    [fault] = refused.json()["errors"]
    assert (fault["line"], fault["param"]) == (2, param)
    assert words in fault["message"]
    assert (await product.call("GET", PATH)).json()["tests"] == 0


async def test_the_set_is_bounded(product: Product) -> None:
    many = [{"query": f"question {number}", "expect": "hr"} for number in range(1_001)]
    assert (await put(product, many)).json()["error"]["code"] == "too_many_lines"
    assert (await put(product, many[:1_000])).json()["tests"] == 1_000
    long = [{"query": "x" * 7_900 + str(number), "expect": "hr"} for number in range(200)]
    assert (await put(product, long)).status == 413
    assert (await put(product, b"")).json()["error"]["code"] == "empty_file"
    assert (await put(product, b"\xff\xfe")).json()["error"]["code"] == "unsupported_file"


async def test_the_same_question_of_other_agents_is_another_test(product: Product) -> None:
    narrow = {**VPN, "candidates": ["it_support", "general"]}
    stored = await put(product, [VPN, narrow, {**narrow, "candidates": ["gone", "it_support"]}])
    assert (stored.json()["tests"], stored.json()["unknown_agents"]) == (3, ["gone"])


async def test_the_same_question_in_another_context_is_another_test(product: Product) -> None:
    later = {**VPN, "context": {"previous_agent": "hr", "previous_user": "Leave?"}}
    stored = await put(product, [VPN, later, {**VPN, "context": {"previous_agent": "general"}}])
    assert (stored.status, stored.json()["tests"]) == (200, 3)
    again = {**VPN, "context": None}
    assert (await put(product, [VPN, again])).json()["errors"][0]["line"] == 2


# Runs


async def test_a_test_is_asked_after_the_turn_before_it(
    database: SqliteDatabase, settings: Settings
) -> None:
    def by_turn(model: str, message: str) -> ModelAnswer:
        if message == "yes":
            return says("general")
        return says(json.loads(message)["previous_turn"]["agent"])

    product = await made(database, settings, by_turn)
    tests = [
        {"query": "yes", "expect": "general", "context": None},
        {"query": "yes", "expect": "hr", "context": {"previous_agent": "hr"}},
        {"query": "yes", "expect": "it_support", "context": {"previous_agent": "it_support"}},
    ]
    assert (await put(product, tests)).status == 200
    found = await run(product)
    assert found["outcome"] == {"tests": 3, "passed": 3, "failed": 0, "errors": 0}


async def test_a_run_says_of_each_test_whether_it_passed(product: Product) -> None:
    await put(product, [*TESTS, {"query": "hr wages", "expect": "it_support"}])
    found = await run(product)
    assert found["state"] == "succeeded", found
    assert found["outcome"] == {"tests": 5, "passed": 4, "failed": 1, "errors": 0}
    assert (found["passed"], found["active"], found["done"]) == (False, ACTIVE, 5)
    assert (found["changes"], found["flips"]) == ({}, None)
    [failed] = (await results(product, found["id"], "&only=failed")).values()
    assert (failed["test"]["expect"], failed["agent"]) == ("it_support", "hr")
    every = await results(product, found["id"])
    assert every["nobody weather"]["passed"]
    # Nobody named it: the fallback agent answers.
    assert every["nobody weather"]["agent"] == "general"
    assert every["nobody weather"]["reason"] == "out_of_scope"
    assert await product.logs() == []
    assert (await product.call("GET", "/v1/evaluations")).json()["data"] == []
    assert (await product.call("GET", f"/v1/evaluations/{found['id']}")).status == 404


async def test_a_proposed_model_is_tried_and_nothing_is_changed(product: Product) -> None:
    await put(product, TESTS)
    before = await run(product)
    tried = await run(product, model_id=OTHER)
    assert (before["passed"], tried["passed"]) == (True, False)
    assert (tried["active"], tried["changes"]) == (OTHER, {"model_id": OTHER})
    assert tried["flips"] == {
        "compared_with": before["id"],
        **{"broken": 1, "fixed": 0, "changed": 0, "new": 0, "gone": 0},
    }
    [flip] = (await results(product, tried["id"], "&only=flips")).values()
    assert (flip["test"]["query"], flip["flip"]) == ("hr leave 10", "broken")
    assert (flip["before_agent"], flip["agent"]) == ("hr", "it_support")
    assert (await product.call("GET", "/v1/models/select")).json()["active"] == ACTIVE
    # The other way, and against a run that is named.
    back = await run(product)
    assert (back["flips"]["compared_with"], back["flips"]["fixed"]) == (tried["id"], 1)
    same = await shown(product, back["id"], f"?compare_with={before['id']}")
    assert (same["flips"]["fixed"], same["flips"]["broken"]) == (0, 0)
    unknown = await product.call("GET", f"{RUNS}/{back['id']}?compare_with=rtr_9")
    assert unknown.json()["error"]["code"] == "unknown_run"


async def test_another_wrong_agent_is_a_change_too(product: Product) -> None:
    await put(product, [{"query": "hr wages", "expect": "general"}, VPN])
    await run(product)
    tried = await run(product, model_id=OTHER)
    assert (tried["flips"]["changed"], tried["flips"]["broken"]) == (1, 0)
    await put(product, [{"query": "hr pay", "expect": "hr"}, VPN])
    flips = (await run(product))["flips"]
    assert (flips["new"], flips["gone"], flips["changed"]) == (1, 1, 0)


async def test_proposed_agents_are_what_the_model_is_offered(product: Product) -> None:
    await put(product, [{"query": "legal contract", "expect": "legal"}, VPN])
    assert isinstance(product.gateway, Models)
    product.gateway.answer = lambda model, query: says(query.split()[0])
    new = {"id": "legal", "name": "Legal", "description": "Contracts."}
    assert (await run(product, agents=[new]))["passed"]
    assert "Contracts." in product.gateway.requests[-1].messages[0]["content"]
    assert not (await run(product))["passed"]
    gone = await run(product, agents=[new, {"id": "it_support", "enabled": False}])
    assert gone["outcome"]["passed"] == 1
    ids = [each["id"] for each in (await product.call("GET", "/v1/agents")).json()["data"]]
    assert ids == ["general", "hr", "it_support"]


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"model_id": "no-such-model"}, "model_id", "model_not_found"),
        ({"classifier_id": "clf_9"}, "classifier_id", "classifier_not_found"),
        ({"agents": [{"id": "legal"}]}, "agents[0].name", "missing_field"),
        ({"agents": [{"id": "general", "enabled": False}]}, "agents[0].enabled", "default_agent"),
        ({"confidence_threshold": 2}, "confidence_threshold", "invalid_value"),
        ({"routing_model": ACTIVE}, "routing_model", "unknown_field"),
    ],
)
async def test_a_proposal_that_makes_no_sense_is_refused(
    product: Product, body: dict[str, Any], param: str, code: str
) -> None:
    await put(product, TESTS)
    refused = await product.call("POST", RUNS, body)
    assert (refused.status, refused.json()["error"]["code"]) == (400, code)
    assert refused.json()["error"]["param"] == param


async def test_without_tests_or_with_a_run_under_way_nothing_begins(product: Product) -> None:
    assert (await product.call("POST", RUNS, {})).json()["error"]["code"] == "no_routing_tests"
    await put(product, TESTS)
    first = (await product.call("POST", RUNS, {})).json()
    assert (first["state"], first["tests"]) == ("queued", 4)
    again = await product.call("POST", RUNS, {})
    assert (again.status, again.json()["error"]["code"]) == (409, "run_under_way")
    path = f"{RUNS}/{first['id']}"
    assert (await product.call("POST", f"{path}/cancel")).json()["state"] == "cancelled"
    assert (await product.call("POST", f"{path}/cancel")).json()["error"]["code"] == "run_ended"
    assert (await run(product))["passed"]
    assert product.gateway.requests, "the cron asks, reading does not"


async def test_a_get_starts_no_work(product: Product) -> None:
    await put(product, TESTS)
    begun = (await product.call("POST", RUNS, {})).json()
    assert (await shown(product, begun["id"]))["state"] == "queued"
    assert (await product.call("GET", RUNS)).json()["data"][0]["state"] == "queued"
    assert (await product.call("GET", f"{RUNS}/{begun['id']}/results")).json()["data"] == []
    assert product.gateway.requests == []


async def test_labels_decide_as_they_would_unless_they_are_left_out(product: Product) -> None:
    label = {"query": "hr leave 10", "agent_id": "general"}
    assert (await product.call("POST", "/v1/labels", [label])).status == 200
    await put(product, [LEAVE])
    found = await run(product)
    assert not found["passed"]
    [result] = (await results(product, found["id"])).values()
    assert (result["layer"], result["agent"]) == ("label", "general")
    assert (await run(product, labels=False))["passed"]


async def test_the_classifier_answers_in_a_run_and_another_can_be_proposed(
    product: Product,
) -> None:
    await import_labels(product)
    made_one = await train(product)
    question = product.rows("SELECT query FROM labels WHERE agent_id = 'hr'")[0]["query"]
    await put(product, [{"query": question, "expect": "hr"}])
    body = {"labels": False, "classifier_id": made_one["id"]}
    found = await run(product, **body)
    assert (found["passed"], found["classifier"]) == (True, made_one["id"])
    [result] = (await results(product, found["id"])).values()
    assert (result["layer"], result["confidence"] > 0.5) == ("classifier", True)
    assert product.gateway.requests == []
    assert isinstance(product.gateway, Models)
    product.gateway.answer = lambda model, query: says("hr")
    assert (await select(product, made_one["id"])).status == 200
    without = await run(product, labels=False, classifier_id=None)
    assert without["classifier"] is None
    assert len(product.gateway.requests) == 1


async def test_the_fallback_model_answers_where_the_active_one_fails(
    database: SqliteDatabase, settings: Settings
) -> None:
    def answer(model: str, query: str) -> ModelAnswer | Exception:
        return UpstreamCapacityError("full") if model == ACTIVE else says(query.split()[0])

    product = await made(database, settings, answer)
    await put(product, [VPN, LEAVE])
    assert (await run(product))["passed"]


async def test_a_test_that_no_model_answers_is_an_error(
    database: SqliteDatabase, settings: Settings
) -> None:
    def answer(model: str, query: str) -> ModelAnswer | Exception:
        return ModelAnswer(content="Elephants.") if "vpn" in query else says(query.split()[0])

    product = await made(database, settings, answer)
    await put(product, [VPN, LEAVE, {**VPN, "candidates": ["it_support", "gone"]}])
    found = await run(product)
    assert found["outcome"] == {"tests": 3, "passed": 1, "failed": 0, "errors": 2}
    failed = await product.call("GET", f"{RUNS}/{found['id']}/results?only=failed")
    assert {each["reason"] for each in failed.json()["data"]} == {"invalid_output", "unknown_agent"}
    assert not found["passed"]


async def test_a_fallback_agent_that_must_not_answer_does_not_pass(product: Product) -> None:
    await put(product, [{"query": "nobody knows", "must_not": ["general"]}])
    assert (await run(product))["outcome"]["failed"] == 1
    await product.call("PATCH", "/v1/config", {"on_no_fit": "none"})
    assert (await run(product))["passed"]


async def test_a_run_ends_where_the_configuration_changes(product: Product) -> None:
    await put(product, TESTS)
    begun = (await product.call("POST", RUNS, {})).json()
    await product.call("PATCH", "/v1/config", {"confidence_threshold": 0.7})
    await minute(product)
    found = await shown(product, begun["id"])
    assert (found["state"], "has changed since" in found["error"]) == ("failed", True)


# What is required before a selection


async def required(product: Product) -> None:
    await put(product, TESTS)
    await product.call("PATCH", "/v1/config", {"routing_tests_required": True})


async def choose(product: Product, **body: Any) -> dict[str, Any]:
    answered = await product.call("POST", "/v1/models/select", body)
    found: dict[str, Any] = answered.json()
    return found.get("error") or found


async def test_a_selection_is_refused_unless_its_tests_have_passed(product: Product) -> None:
    assert (await choose(product, model_id=LORA))["active"] == LORA, "off by default"
    assert (await choose(product, model_id=ACTIVE))["active"] == ACTIVE
    await required(product)
    refused = await choose(product, model_id=LORA)
    assert (refused["code"], refused["param"]) == ("routing_tests_failed", "check")
    assert f'POST /v1/routing-tests/runs {{"model_id": "{LORA}"}}' in refused["message"]
    await run(product)
    assert (await choose(product, model_id=LORA))["code"] == "routing_tests_failed", "another model"
    assert (await choose(product, model_id=ACTIVE))["active"] == ACTIVE, "it is so already"
    assert (await run(product, model_id=LORA))["passed"]
    assert (await choose(product, model_id=LORA))["active"] == LORA
    # The way back: the run of the model that was active.
    assert (await choose(product, model_id=ACTIVE))["active"] == ACTIVE
    failed = await run(product, model_id=OTHER)
    refused = await choose(product, model_id=OTHER)
    assert (refused["code"], failed["id"] in refused["message"]) == ("routing_tests_failed", True)
    assert "1 of 4 tests did not pass" in refused["message"]
    assert (await choose(product, model_id=OTHER, check=False))["active"] == OTHER
    assert (await choose(product, model_id=LORA, challenger=10))["challenger"] == LORA, (
        "not selected"
    )


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/v1/agents/hr", {"description": "Something else."}),
        ("PATCH", "/v1/agents/hr", {"default": True}),
        ("PATCH", "/v1/config", {"confidence_threshold": 0.6}),
        ("PATCH", "/v1/config", {"on_no_fit": "none"}),
        ("PATCH", "/v1/config", {"fallback_models": []}),
        ("PUT", PATH, [VPN]),
    ],
)
async def test_a_run_from_before_a_change_does_not_count(
    product: Product, method: str, path: str, body: Any
) -> None:
    await required(product)
    await run(product, model_id=LORA)
    changed = await product.call(method, path, body)
    assert changed.status == 200, changed.text
    assert (await choose(product, model_id=LORA))["code"] == "routing_tests_failed"
    await run(product, model_id=LORA)
    assert (await choose(product, model_id=LORA))["active"] == LORA


async def test_the_run_of_a_proposed_change_counts_once_the_change_is_made(
    product: Product,
) -> None:
    await required(product)
    change = {"description": "Leave and wages."}
    await run(product, model_id=LORA, agents=[{"id": "hr", **change}])
    assert (await choose(product, model_id=LORA))["code"] == "routing_tests_failed"
    await product.call("PATCH", "/v1/agents/hr", change)
    assert (await choose(product, model_id=LORA))["active"] == LORA


async def test_a_run_without_labels_is_not_what_would_be_routed(product: Product) -> None:
    await required(product)
    await run(product, model_id=LORA, labels=False)
    assert (await choose(product, model_id=LORA))["code"] == "routing_tests_failed"


async def test_a_classifier_needs_its_run_too(product: Product) -> None:
    await import_labels(product)
    one = (await train(product))["id"]
    await product.call("PATCH", "/v1/config", {"promotion_min_labels": 1, "promotion_margin": 0.5})
    await required(product)
    refused = await choose(product, model_id=one)
    assert refused["code"] == "routing_tests_failed"
    assert f'{{"classifier_id": "{one}"}}' in refused["message"]
    preview = (await product.call("GET", f"/v1/models/select?check={one}")).json()["check"]
    assert (preview["passed"], preview["message"]) == (False, refused["message"])
    assert (await run(product, classifier_id=one))["passed"]
    assert (await choose(product, model_id=one))["active"] == one


async def test_a_rule_promotes_only_what_has_passed_and_has_it_tried_itself(
    product: Product,
) -> None:
    """The active model is wrong in HR, so the challenger is better; the rule waits for its run."""
    await product.call("POST", "/v1/models/select", {"model_id": OTHER})
    labels = [{"query": f"hr question {n}", "agent_id": "hr"} for n in range(40)]
    rules = {"promotion_min_labels": 20, "auto_promote": True}
    await product.call("PATCH", "/v1/config", rules)
    await product.call("POST", "/v1/models/select", {"model_id": ACTIVE, "challenger": 100})
    for each in labels:
        await product.route(each["query"])
    assert (await product.call("POST", "/v1/labels", labels)).status == 200
    await put(product, [{**VPN, "expect": "general"}])
    await product.call("PATCH", "/v1/config", {"routing_tests_required": True})

    async def active() -> str:
        found: str = (await product.call("GET", "/v1/models/select")).json()["active"]
        return found

    for _ in range(3):
        await minute(product)
    [tried] = (await product.call("GET", RUNS)).json()["data"]
    assert (tried["created_by"], tried["passed"], tried["active"]) == ("rule", False, ACTIVE)
    assert await active() == OTHER
    await put(product, TESTS)
    for _ in range(2):
        await minute(product)
    assert await active() == ACTIVE
