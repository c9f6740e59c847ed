"""Evaluations as jobs over the real router, the promotion check, challengers beside the
active model, and the rules that select by themselves."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from edgeneuro.errors import UpstreamCapacityError
from edgeneuro.gateway.interface import ModelAnswer, ModelRequest
from edgeneuro.settings import Settings
from edgeneuro_testing.gateway import ScriptedGateway
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.conftest import SCHEMA, Answered, Product, add_agents, says
from tests.unit.invocations import run_evaluation
from tests.unit.test_classifier_jobs import Killed, MortalDatabase
from tests.unit.test_keys import create as create_key
from tests.unit.trainings import minute

ACTIVE = "@cf/meta/llama-3.2-1b-instruct"
OTHER = "@cf/ibm-granite/granite-4.0-h-micro"
LORA = "intent-routing-v1"
BOTH = [ACTIVE, OTHER]
Says = Callable[[str, str], ModelAnswer]


class Models(ScriptedGateway):
    """Models that answer by the question: `says(model, query)`; an Exception is raised."""

    def __init__(self, answer: Callable[[str, str], ModelAnswer | Exception]) -> None:
        super().__init__()
        self.answer = answer
        self.at_work = 0
        self.most_at_work = 0

    async def run(self, request: ModelRequest, /) -> ModelAnswer:
        self.requests.append(request)
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        await asyncio.sleep(0)
        self.at_work -= 1
        found = self.answer(request.model, request.messages[-1]["content"])
        if isinstance(found, Exception):
            raise found
        return found


def _message(content: str) -> str:
    """Of a question with the turn before it, the message alone."""
    return json.loads(content)["message"] if content.startswith("{") else content


def knows(model: str, query: str) -> ModelAnswer:
    """The active model is right; the other takes every tenth question of HR for IT's."""
    query = _message(query)
    right = query.split()[0]
    if model == OTHER and right == "hr" and query.endswith("0"):
        right = "it_support"
    return says("none" if right == "nobody" else right)


def questions(each: int, split: str = "test") -> list[tuple[str, str]]:
    """Other ones for each split."""
    return [
        (f"{agent} question {split} {number}", agent)
        for agent in ("it_support", "hr", "nobody")
        for number in range(each)
    ]


async def label(product: Product, each: int = 10, split: str = "test") -> list[tuple[str, str]]:
    some = questions(each, split)
    body = "".join(
        json.dumps({"query": query, "agent": "none" if agent == "nobody" else agent}) + "\n"
        for query, agent in some
    )
    answered = await product.call("POST", "/v1/datasets/import", body.encode())
    assert answered.status == 200, answered.text
    for table in ("splits", "current_labels"):
        product.execute(
            f"UPDATE {table} SET split = '{split}' WHERE near_hash IN (SELECT near_hash"
            f" FROM current_labels WHERE query LIKE '% question {split} %')"
        )
    return some


async def made(
    database: SqliteDatabase,
    settings: Settings,
    answer: Callable[[str, str], ModelAnswer | Exception] = knows,
) -> Product:
    product = Product(database, settings, gateway=Models(answer))
    return await add_agents(product)


@pytest.fixture
async def product(database: SqliteDatabase, settings: Settings) -> Product:
    return await made(database, settings)


async def begin(product: Product, **body: Any) -> Answered:
    return await product.call("POST", "/v1/evaluations", {"model_ids": BOTH, **body})


async def shown(product: Product, evaluation_id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await product.call("GET", f"/v1/evaluations/{evaluation_id}")).json()
    return found


async def evaluate(product: Product, **body: Any) -> dict[str, Any]:
    begun = await begin(product, **body)
    assert begun.status == 202, begun.text
    return await ended(product, begun.json()["id"])


async def ended(product: Product, evaluation_id: str) -> dict[str, Any]:
    """The evaluation after a run of the cron, which ends it."""
    await minute(product)
    found = await shown(product, evaluation_id)
    assert found["state"] not in ("queued", "running"), found
    return found


async def test_two_models_on_the_same_questions(product: Product) -> None:
    some = await label(product, 20)
    await label(product, 5, "train")
    found = await evaluate(product)
    assert (found["state"], found["labels"]) == ("succeeded", 60), found
    assert [each["done"] for each in found["progress"]] == [60, 60]
    first, second = found["results"]["models"]
    lost = sum(agent == "hr" and query.endswith("0") for query, agent in some)
    assert lost
    assert (first["n"], first["right"], first["accuracy"]["accuracy"]) == (60, 60, 1)
    assert (second["n"], second["right"]) == (60, 60 - lost)
    assert first["macro_f1"] == 1
    assert second["confusion"]["hr"] == {"hr": 20 - lost, "it_support": lost}
    assert second["confusion"]["none"] == {"none": 20}
    scores = {each["agent"]: each for each in second["agents"]}
    assert scores["it_support"]["precision"] == pytest.approx(20 / (20 + lost))
    [pair] = found["results"]["pairs"]
    assert (pair["only_first"], pair["only_second"], pair["n"]) == (lost, 0, 60)
    assert pair["difference"] == pytest.approx(-lost / 60)
    assert pair["p_second_worse"] == pytest.approx(0.5**lost)
    asked = [each.metadata["purpose"] for each in product.gateway.requests]
    assert set(asked) == {"evaluation"}
    newest = product.rows("SELECT label_id FROM current_labels ORDER BY seq DESC LIMIT 1")
    exported = await product.call("GET", "/v1/datasets/export?split=test&manifest=true")
    manifest = json.loads(exported.text.split("\n", 1)[0])["manifest"]
    assert found["data"] == {
        "labels": 60,
        "newest_label_id": newest[0]["label_id"],
        "sha256": manifest["label_set_hash"],
    }
    assert len(asked) == 120, "each question once a model"
    assert await product.logs() == []
    assert isinstance(product.gateway, Models)
    assert product.gateway.most_at_work == 6


async def test_the_questions_that_were_wrong_are_listed(product: Product) -> None:
    await label(product, 20)
    found = await evaluate(product)
    path = f"/v1/evaluations/{found['id']}/answers"
    page = (await product.call("GET", f"{path}?wrong=true&limit=100")).json()["data"]
    assert {each["model_id"] for each in page} == {OTHER}
    assert {(each["label"], each["decided"]) for each in page} == {("hr", "it_support")}
    cell = f"{path}?model={OTHER}&label=hr&decided=it_support"
    assert (await product.call("GET", cell)).json()["data"] == page
    of_none = (await product.call("GET", f"{path}?label=none&decided=none&limit=100")).json()
    assert {each["label"] for each in of_none["data"]} == {"none"}
    assert (len(of_none["data"]), of_none["has_more"]) == (40, False)
    first = (await product.call("GET", f"{path}?limit=100")).json()
    assert (len(first["data"]), first["has_more"]) == (100, True)
    rest = (
        await product.call("GET", f"{path}?limit=100&after={first['last_id'].replace(' ', '%20')}")
    ).json()
    ids = [each["id"] for each in first["data"] + rest["data"]]
    assert len(ids) == len(set(ids)) == 120


async def test_a_wrong_answer_shows_the_label_that_is_in_force_now(product: Product) -> None:
    await label(product, 20)
    path = f"/v1/evaluations/{(await evaluate(product))['id']}/answers?wrong=true"

    async def first() -> tuple[str, str, str | None]:
        [wrong, *_] = (await product.call("GET", path)).json()["data"]
        return wrong["query_hash"], wrong["label"], wrong["current_label"]

    query_hash, *labels = await first()
    assert labels == ["hr", "hr"]
    place = f"/v1/labels/{query_hash}/label"
    relabeled = await product.call("PUT", place, {"agent_id": "it_support", "final": True})
    assert relabeled.status == 200, relabeled.text
    assert await first() == (query_hash, "hr", "it_support")
    await product.call("PUT", place, {"agent_id": None, "final": True})
    assert await first() == (query_hash, "hr", "none")
    await product.call("DELETE", f"{place}?all=true")
    assert await first() == (query_hash, "hr", None)


@pytest.mark.parametrize("done_first", [False, True])
async def test_killed_at_every_call_of_the_database_it_comes_to_the_same(
    settings: Settings, done_first: bool
) -> None:
    database = MortalDatabase(SCHEMA)
    product = await made(database, settings)
    await label(product, 12)
    whole = await evaluate(product)
    product.execute("UPDATE jobs SET state = 'queued', lease_until = 0")
    product.execute("UPDATE evaluations SET results = NULL")
    product.execute("DELETE FROM evaluation_answers")
    database.done_first = done_first
    kills = 0
    while (await find(product, whole["id"]))["state"] in ("queued", "running"):
        database.left = 3 + kills  # each time a little later
        try:
            await run_evaluation(product.services, whole["id"])
        except Killed:
            kills += 1
        database.left = None
        product.execute("UPDATE jobs SET lease_until = 0")  # the lease has ended
        product.services.routing.forget()
    assert kills > 3
    assert (await shown(product, whole["id"]))["results"]["pairs"] == whole["results"]["pairs"]
    database.close()


async def find(product: Product, evaluation_id: str) -> dict[str, Any]:
    sql = "SELECT * FROM evaluations JOIN jobs ON resource_id = evaluations.id"
    return product.rows(f"{sql} WHERE resource_id = '{evaluation_id}'")[0]


async def test_an_upstream_that_fails_is_asked_again_and_then_counted(
    database: SqliteDatabase, settings: Settings
) -> None:
    def answer(model: str, query: str) -> ModelAnswer | Exception:
        return UpstreamCapacityError("full") if model == OTHER else knows(model, query)

    product = await made(database, settings, answer)
    await label(product, 2)
    begun = (await begin(product)).json()
    for _ in range(40):
        product.clock.seconds += 60
        await minute(product)
    found = await shown(product, begun["id"])
    assert found["state"] == "succeeded", found
    first, second = found["results"]["models"]
    assert (first["right"], second["right"], second["failed"]) == (6, 0, 6)
    assert second["confusion"]["hr"] == {"failed": 2}
    tries = product.rows("SELECT DISTINCT tries FROM evaluation_answers WHERE failed = 1")
    assert [row["tries"] for row in tries] == [3]


async def test_agents_that_change_end_it_honestly(product: Product) -> None:
    await label(product, 2)
    begun = (await begin(product)).json()
    product.execute("UPDATE jobs SET state = 'running', lease_until = 0")
    await product.call("PATCH", "/v1/agents/hr", {"description": "Something else."})
    await minute(product)
    found = await shown(product, begun["id"])
    assert found["state"] == "failed"
    assert "agents have changed" in found["error"]


async def test_labels_of_agents_that_are_gone_are_counted(product: Product) -> None:
    await label(product, 2)
    await product.call("PATCH", "/v1/agents/hr", {"enabled": False})
    found = await evaluate(product)
    assert (found["labels"], found["left_out"]) == (4, 2)


async def test_a_limit_takes_the_same_questions_each_time(product: Product) -> None:
    await label(product, 5)
    first, second = [await evaluate(product, limit=7) for _ in range(2)]
    assert first["labels"] == second["labels"] == 7
    rows = product.rows("SELECT evaluation_id, query_hash FROM evaluation_items")
    of_first = {row["query_hash"] for row in rows if row["evaluation_id"] == first["id"]}
    assert of_first == {row["query_hash"] for row in rows if row["evaluation_id"] == second["id"]}


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ({"model_ids": ["gpt-99"]}, 400, "model_not_found", "model_ids[0]"),
        ({"model_ids": [ACTIVE, ACTIVE]}, 400, "invalid_value", "model_ids[1]"),
        ({"model_ids": []}, 400, "invalid_value", "model_ids"),
        ({"split": "train"}, 400, "invalid_value", "split"),
        ({"split": "validation"}, 409, "no_labels", "split"),
        ({"limit": 0}, 400, "invalid_value", "limit"),
    ],
)
async def test_what_cannot_be_evaluated(
    product: Product, body: dict[str, Any], status: int, code: str, param: str
) -> None:
    await label(product, 2)
    answered = await begin(product, **body)
    error = answered.json()["error"]
    assert (answered.status, error["code"], error["param"]) == (status, code, param)


async def test_one_at_a_time_cancelled_and_deleted(product: Product) -> None:
    await label(product, 2)
    begun = (await begin(product)).json()
    path = f"/v1/evaluations/{begun['id']}"
    product.execute("UPDATE jobs SET state = 'running', lease_until = 9e15")
    assert (await begin(product)).json()["error"]["code"] == "evaluation_under_way"
    assert (await product.call("DELETE", path)).status == 409
    cancelled = await product.call("POST", f"{path}/cancel", {})
    assert (cancelled.status, cancelled.json()["state"]) == (200, "cancelled")
    assert (await product.call("POST", f"{path}/cancel", {})).status == 409
    assert (await product.call("DELETE", path)).json()["deleted"]
    assert (await product.call("GET", path)).status == 404
    assert product.rows("SELECT * FROM evaluation_items") == []


# The promotion check


async def select(product: Product, model_id: str | None, **body: Any) -> Answered:
    return await product.call("POST", "/v1/models/select", {"model_id": model_id, **body})


def refusal(answered: Answered) -> str:
    error = answered.json()["error"]
    found = (answered.status, error["code"], error["param"])
    assert found == (409, "promotion_check_failed", "check")
    message: str = error["message"]
    return message


async def test_the_check_wants_an_evaluation_with_enough_questions(product: Product) -> None:
    assert "POST /v1/evaluations" in refusal(await select(product, OTHER, check=True))
    await label(product, 10)
    await evaluate(product)
    why = refusal(await select(product, OTHER, check=True))
    assert "30 test labels, at least 100 are required" in why
    assert "70 are missing" in why
    assert (await product.call("PATCH", "/v1/config", EASY_PROMOTION)).status == 200
    passed = await select(product, OTHER, check=True)
    assert passed.status == 200, passed.text
    result = passed.json()["check"]
    assert (result["n"], result["alpha"], result["margin"]) == (30, 0.05, 0.4)
    assert -0.4 < result["lower_bound"] < result["difference"] <= 0
    assert (await select(product, OTHER, check=True)).json()["check"] is None, "active already"


EASY_PROMOTION = {"promotion_min_labels": 30, "promotion_margin": 0.4}


async def test_the_check_refuses_what_is_worse_and_not_the_other_way(product: Product) -> None:
    await product.call("PATCH", "/v1/config", {"promotion_min_labels": 30})
    await label(product, 60)
    await evaluate(product)
    why = refusal(await select(product, OTHER, check=True))
    assert "Train another one" in why
    assert (await select(product, OTHER)).status == 200, "it is not checked unless asked for"
    back = await select(product, ACTIVE, check=True)
    assert back.status == 200, back.text
    assert back.json()["check"]["lower_bound"] > 0


async def test_what_is_not_shown_to_be_as_good_is_refused(
    database: SqliteDatabase, settings: Settings
) -> None:
    """Two models that answer alike: with few questions the difference may still be large."""
    product = await made(database, settings, lambda model, query: knows(ACTIVE, query))
    await product.call("PATCH", "/v1/config", {"promotion_min_labels": 60})
    await label(product, 20)
    await evaluate(product)
    why = refusal(await select(product, OTHER, check=True))
    assert "is 0.0 points less accurate" in why.replace("-0.0", "0.0")
    assert "at most 4.3; `promotion_margin` allows 2.0" in why
    assert "it takes about 133 test questions" in why
    await label(product, 45)
    await evaluate(product)
    assert (await select(product, OTHER, check=True)).status == 200


async def test_the_check_can_be_previewed(product: Product) -> None:
    async def preview(model_id: str) -> Any:
        answered = await product.call("GET", f"/v1/models/select?check={model_id}")
        assert answered.status == 200, answered.text
        return answered.json()["check"]

    await product.call("PATCH", "/v1/config", EASY_PROMOTION)
    before = await preview(OTHER)
    why = refusal(await select(product, OTHER, check=True))
    assert (before["passed"], before["message"], before["result"]) == (False, why, None)
    await label(product, 10)
    await evaluate(product)
    passed = await preview(OTHER)
    assert passed["passed"]
    assert passed["result"] == (await select(product, OTHER, check=True)).json()["check"]
    assert (await preview(OTHER))["message"] == "It is the active model."
    assert (await product.call("GET", "/v1/models/select")).json()["check"] is None
    unknown = await product.call("GET", "/v1/models/select?check=none")
    assert (unknown.status, unknown.json()["error"]["param"]) == (400, "check")


async def test_earlier_looks_at_the_test_part_are_counted(product: Product) -> None:
    await product.call("PATCH", "/v1/config", EASY_PROMOTION)
    await label(product, 10)
    await label(product, 10, "validation")
    for split in ("test", "held_out", "validation", "test"):
        await evaluate(product, split=split)
    assert (await select(product, OTHER, check=True)).json()["check"]["earlier_looks"] == 2


@pytest.mark.parametrize(
    "change",
    [
        ("PATCH", "/v1/agents/hr", {"description": "Something else."}),
        ("PATCH", "/v1/config", {"confidence_threshold": 0.6}),
    ],
)
async def test_an_evaluation_of_another_configuration_does_not_count(
    product: Product, change: tuple[str, str, dict[str, Any]]
) -> None:
    await product.call("PATCH", "/v1/config", EASY_PROMOTION)
    await label(product, 10)
    await evaluate(product)
    assert (await product.call(*change)).status == 200
    assert "no evaluation" in refusal(await select(product, OTHER, check=True))


@pytest.mark.parametrize("split", ["validation", "held_out"])
async def test_an_evaluation_of_another_part_does_not_count(product: Product, split: str) -> None:
    await product.call("PATCH", "/v1/config", EASY_PROMOTION)
    await label(product, 10)
    await label(product, 10, "validation")
    await evaluate(product, split=split)
    assert "no evaluation" in refusal(await select(product, OTHER, check=True))


async def test_near_duplicates_are_one_question(product: Product) -> None:
    await label(product, 10)
    again = "".join(
        json.dumps({"query": f"Please, {query}!", "agent": agent.replace("nobody", "none")}) + "\n"
        for query, agent in questions(10)
    )
    await product.call("POST", "/v1/datasets/import", again.encode())
    found = await evaluate(product)
    assert (found["labels"], found["near_duplicates"]) == (30, 30)
    assert {each["n"] for each in found["results"]["models"]} == {30}
    await product.call("PATCH", "/v1/config", EASY_PROMOTION)
    product.execute("UPDATE evaluations SET near_duplicates = NULL")
    assert "no evaluation" in refusal(await select(product, OTHER, check=True)), "an older one"


# The challenger


async def state(product: Product) -> dict[str, Any]:
    found: dict[str, Any] = (await product.call("GET", "/v1/models/select")).json()
    return found


async def test_a_challenger_is_asked_and_its_answers_are_only_compared(product: Product) -> None:
    begun = await select(product, OTHER, challenger=100)
    assert begun.status == 200, begun.text
    assert (begun.json()["active"], begun.json()["challenger"]) == (ACTIVE, OTHER)
    some = questions(12)
    for query, _ in some:
        decision = (await product.route(query, cache=False)).json()
        assert decision["model"] == ACTIVE
    found = (await state(product))["challenger"]
    lost = sum(agent == "hr" and query.endswith("0") for query, agent in some)
    assert (found["compared"], found["agree"], found["failed"]) == (36, 36 - lost, 0)
    assert (found["labelled"], found["labels_wanted"]) == (0, 200)
    await label(product, 12)
    found = (await state(product))["challenger"]
    assert (found["labelled"], found["active"]["right"]) == (36, 36)
    assert found["challenger"]["right"] == 36 - lost
    assert found["p_worse"] == pytest.approx(0.5**lost)
    purposes = [each.metadata["purpose"] for each in product.gateway.requests]
    assert (purposes.count("route"), purposes.count("challenger")) == (36, 36)
    assert len(await product.logs()) == 36
    ended = await select(product, None, type="challenger")
    assert ended.json()["challenger"] is None
    assert (await state(product))["challenger"] is None


async def test_where_they_differ_a_label_is_wanted_first(product: Product) -> None:
    await select(product, OTHER, challenger=100)
    for number in range(12):
        await product.route(f"hr question {number}", cache=False)
    queue = (await product.call("GET", "/v1/labels/queue?limit=1")).json()["data"]
    assert queue[0]["query"].endswith("0")
    assert "disagreement" in {reason["code"] for reason in queue[0]["reasons"]}


async def test_a_challenger_is_not_asked_for_answers_of_other_models(product: Product) -> None:
    await select(product, OTHER, challenger=100)
    await product.route("hr question 1", model=OTHER)
    await product.route("hr question 1")
    await product.route("hr question 1")  # out of the cache
    key = await create_key(product, scopes=["route"], monthly_token_budget=1_000_000)
    await product.call("POST", "/v1/route", {"query": "hr question 2"}, key=key["key"])
    assert len(product.rows("SELECT * FROM challenger_answers")) == 1


async def test_a_share_is_a_share(product: Product) -> None:
    await select(product, OTHER, challenger=25)
    for number in range(80):
        await product.route(f"hr question {number}", cache=False)
    assert 8 <= len(product.rows("SELECT * FROM challenger_answers")) <= 32


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model_id": ACTIVE, "challenger": 10}, "challenger"),
        ({"model_id": OTHER, "challenger": 0}, "challenger"),
        ({"model_id": OTHER, "challenger": 101}, "challenger"),
        ({"model_id": OTHER, "type": "challenger"}, "model_id"),
        ({"model_id": None}, "model_id"),
        ({"model_id": None, "type": "classifier", "challenger": 5}, "challenger"),
    ],
)
async def test_challengers_that_cannot_be(
    product: Product, body: dict[str, Any], param: str
) -> None:
    answered = await product.call("POST", "/v1/models/select", body)
    assert (answered.status, answered.json()["error"]["param"]) == (400, param)


async def test_the_former_names_of_a_challenger_are_still_accepted(product: Product) -> None:
    """Until the next version."""
    started = await select(product, OTHER, shadow=10)
    assert (started.status, started.json()["challenger"]) == (200, OTHER)
    ended = await select(product, None, type="shadow")
    assert (ended.status, ended.json()["challenger"]) == (200, None)
    assert (await select(product, OTHER, shadow=10, challenger=5)).status == 400
    old = await product.call("GET", f"/v1/models/select?candidate={OTHER}")
    assert old.json()["check"]["model_id"] == OTHER
    actions = [each["action"] for each in (await product.call("GET", "/v1/audit")).json()["data"]]
    assert actions[:2] == ["end_challenger", "challenger"]


async def test_selecting_ends_the_challenger(product: Product) -> None:
    await select(product, OTHER, challenger=10)
    await select(product, OTHER)
    found = await state(product)
    assert (found["active"], found["previous"], found["challenger"]) == (OTHER, ACTIVE, None)


# The rules


def swapped(model: str, query: str) -> ModelAnswer:
    """Now the challenger is the better one."""
    return knows(OTHER if model == ACTIVE else ACTIVE, query)


async def compare(product: Product, each: int) -> None:
    for query, _ in questions(each):
        await product.route(query, cache=False)
    await label(product, each)


async def test_nothing_is_promoted_unless_the_rule_is_on(
    database: SqliteDatabase, settings: Settings
) -> None:
    product = await made(database, settings, swapped)
    await product.call("PATCH", "/v1/config", {"promotion_min_labels": 50})
    await select(product, OTHER, challenger=100)
    await compare(product, 80)
    await minute(product)
    assert (await state(product))["active"] == ACTIVE
    await product.call("PATCH", "/v1/config", {"auto_promote": True})
    await minute(product)
    found = await state(product)
    assert (found["active"], found["previous"]) == (OTHER, ACTIVE)
    assert (found["challenger"]["model_id"], found["challenger"]["after_rule"]) == (ACTIVE, True)
    audit = (await product.call("GET", "/v1/audit")).json()["data"]
    [selection] = [each for each in audit if each["action"] == "select"]
    assert (selection["actor"], selection["resource_id"]) == ("rule", OTHER)
    assert selection["before"]["p_better"] < 0.025


@pytest.mark.parametrize("asked", ["hr question 0", "Question 0 for HR: hr, question 0 (for hr)!"])
async def test_one_question_asked_often_switches_nothing(
    database: SqliteDatabase, settings: Settings, asked: str
) -> None:
    def answer(model: str, query: str) -> ModelAnswer:
        return says("hr" if model == OTHER else "it_support")

    product = await made(database, settings, answer)
    rules = {"promotion_min_labels": 1, "auto_promote": True}
    await product.call("PATCH", "/v1/config", rules)
    await select(product, OTHER, challenger=100)
    spellings = [f"{asked}{'!' * number}" for number in range(120)]
    for query in spellings:
        await product.route(query, cache=False)
    lines = "".join(json.dumps({"query": each, "agent": "hr"}) + "\n" for each in spellings)
    assert (await product.call("POST", "/v1/datasets/import", lines.encode())).status == 200
    await minute(product)
    found = await state(product)
    assert found["active"] == ACTIVE
    assert (found["challenger"]["compared"], found["challenger"]["labelled"]) == (120, 1)
    assert found["challenger"]["p_better"] == 0.5


async def test_a_promotion_is_taken_back_where_it_turns_out_worse(
    database: SqliteDatabase, settings: Settings
) -> None:
    product = await made(database, settings, swapped)
    rules = {"promotion_min_labels": 50, "auto_promote": True, "auto_rollback": True}
    await product.call("PATCH", "/v1/config", rules)
    await select(product, OTHER, challenger=100)
    await compare(product, 80)
    await minute(product)
    assert (await state(product))["active"] == OTHER
    assert isinstance(product.gateway, Models)
    product.gateway.answer = knows  # the world has changed
    product.clock.seconds += 60
    await compare(product, 80)
    await minute(product)
    found = await state(product)
    assert (found["active"], found["previous"], found["challenger"]) == (ACTIVE, OTHER, None)


async def test_the_rule_looks_only_when_there_are_twice_as_many_labels(
    database: SqliteDatabase, settings: Settings
) -> None:
    product = await made(database, settings, lambda model, query: knows(ACTIVE, query))
    await product.call("PATCH", "/v1/config", {"promotion_min_labels": 10, "auto_promote": True})
    await select(product, OTHER, challenger=100)
    looks = []
    for each in (3, 4, 5, 6, 7, 13):
        await compare(product, each)
        await minute(product)
        stored = product.rows("SELECT value FROM config WHERE key = 'challenger'")
        looks.append(json.loads(stored[0]["value"])["looked_at"])
    # 9, 12, 15, 18, 21 and 39 labelled questions of one labeler: it looks from 20 and 40 on.
    assert looks == [0, 0, 0, 0, 21, 21]
    assert (await state(product))["active"] == ACTIVE


async def test_a_question_is_asked_after_the_turn_before_it(
    database: SqliteDatabase, settings: Settings
) -> None:
    """Without it, neither model could know which agent "yes" is for."""

    def by_turn(model: str, message: str) -> ModelAnswer:
        sent = json.loads(message)
        assert sent["message"].startswith("yes")
        return says(sent["previous_turn"]["agent"])

    product = await made(database, settings, by_turn)
    labels = [
        {
            "query": f"yes {number}",
            "agent_id": agent,
            "context": {"previous_agent": agent, "previous_user": f"{agent} {number}"},
        }
        for agent in ("hr", "it_support")
        for number in range(3)
    ]
    assert (await product.call("POST", "/v1/labels", labels)).status == 200
    for table in ("splits", "current_labels"):
        product.execute(f"UPDATE {table} SET split = 'test'")
    found = await evaluate(product)
    assert [each["right"] for each in found["results"]["models"]] == [6, 6]
    path = f"/v1/evaluations/{found['id']}/answers"
    answers = (await product.call("GET", path)).json()["data"]
    assert all(each["context"]["previous_agent"] == each["label"] for each in answers)
    slices = {each["turn"] for each in product.rows("SELECT turn FROM evaluation_items")}
    assert slices == {"later"}
