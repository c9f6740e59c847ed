"""Trainings as jobs: in slices, killed anywhere, held by one at a time, cancelled, refused, and
begun by the retrain rule."""

import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from edgeneuro.controlplane.jobs.training import LEASE_MS
from edgeneuro.errors import DatabaseError
from edgeneuro.services import Services
from edgeneuro.settings import Settings
from edgeneuro.store.classifiers import newest_model, read_model
from edgeneuro.store.database import Rows
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.conftest import GENERAL, HR, IT, SCHEMA, Product, add_agents
from tests.unit.invocations import run_first_slice, run_slice
from tests.unit.synthetic_labels import labels
from tests.unit.trainings import AGENTS, create, import_labels, minute, select, shown, train

SMALL = 70_000  # cost of a slice, of which a training here has several
FEW = 20  # labels of an agent, for a training that is run again and again


class Killed(BaseException):
    """The isolate is gone in the middle of its work."""


class MortalDatabase(SqliteDatabase):
    """After `left` more calls the caller dies, before or after the call was done."""

    left: int | None = None
    done_first = False

    async def batch(self, statements: Any, /) -> list[Rows]:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                if self.done_first:
                    await super().batch(statements)
                raise Killed
        return await super().batch(statements)


@pytest.fixture
def mortal(settings: Settings) -> Product:
    return Product(MortalDatabase(SCHEMA), settings)


def queue(product: Product) -> str:
    """A training of which nothing is done yet."""
    classifier_id = "clf_queued"
    product.execute(
        "INSERT INTO classifiers (id, created_at, created_by, options, agents, labels)"
        " VALUES ('clf_queued', 0, 'admin_token',"
        ' \'{"target": 0.9, "min_labels": 5, "seed": 0}\','
        ' \'["it_support", "hr", "general"]\', 0)'
    )
    product.execute(
        "INSERT INTO jobs (id, kind, resource_id, state, created_at, updated_at)"
        " VALUES ('job_queued', 'training', 'clf_queued', 'queued', 0, 0)"
    )
    return classifier_id


def slept(product: Product, sleep: Callable[[float], Awaitable[None]]) -> Services:
    """Of another isolate over the same database: `sleep` comes between the steps of a slice."""
    other = Product(product.database, product.services.settings, clock=product.clock)

    async def while_held(seconds: float) -> None:
        now = other.services.now_ms()
        if product.rows(f"SELECT 1 FROM jobs WHERE lease_until > {now}"):
            await sleep(seconds)

    return replace(other.services, sleep=while_held)


def state(product: Product) -> dict[str, Any]:
    sql = "SELECT * FROM classifiers JOIN jobs ON resource_id = classifiers.id"
    return product.rows(f"{sql} ORDER BY classifiers.id DESC LIMIT 1")[0]


def label_set(product: Product, which: str) -> str:
    """The hash of labels in force, by the definition in the documents."""
    rows = product.rows(f"SELECT query_hash, agent_id FROM current_labels WHERE {which}")
    lines = sorted(f"{row['query_hash']} {row['agent_id'] or 'none'}\n" for row in rows)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


async def test_slices_make_the_model_that_one_go_makes(product: Product) -> None:
    await import_labels(product)
    whole = await train(product)
    classifier_id = queue(product)
    slices = 0
    while state(product)["state"] in ("queued", "running"):
        await run_slice(product.services, classifier_id, cost=SMALL)
        slices += 1
    assert slices > 3
    progress = (await shown(product, classifier_id))["progress"]
    assert (progress["slices"], progress["prepared"]) == (slices, whole["labels"])
    assert progress["prepared_slices"] > 0, "the labels were prepared in slices too"
    made = await read_model(product.database, classifier_id)
    assert made == await read_model(product.database, whole["id"])
    assert (await shown(product, classifier_id))["data"] == whole["data"]
    assert whole["data"] == {
        "labels": whole["labels"],
        "newest_label_id": whole["last_label_id"],
        "sha256": label_set(product, "split <> 'test'"),
    }


@pytest.mark.parametrize("done_first", [False, True])
async def test_killed_at_every_call_of_the_database_it_makes_the_same_model(
    mortal: Product, done_first: bool
) -> None:
    product = await add_agents(mortal)
    database = product.database
    assert isinstance(database, MortalDatabase)
    await import_labels(product, FEW)
    whole = await train(product)
    classifier_id = queue(product)
    database.done_first = done_first
    deaths, reached = 0, 0
    while state(product)["state"] in ("queued", "running"):
        database.left = reached
        try:
            await run_slice(product.services, classifier_id, cost=SMALL // 2)
            reached = 0
        except Killed:
            deaths, reached = deaths + 1, reached + 1
            # The row's own count must not end a training that is killed on purpose so often.
            product.execute("UPDATE jobs SET attempts = 0")
        product.clock.seconds += LEASE_MS / 1000
    database.left = None
    assert deaths > 20
    made = await read_model(database, classifier_id)
    assert made == await read_model(database, whole["id"])
    kinds = product.rows("SELECT DISTINCT kind FROM classifier_parts")
    assert kinds == [{"kind": "model"}] or done_first


async def test_two_never_make_the_same_slice(product: Product) -> None:
    await import_labels(product)
    classifier_id = queue(product)
    other = Product(product.database, product.services.settings, clock=product.clock)
    seen: list[int] = []

    async def meanwhile(seconds: float) -> None:
        await run_slice(other.services, classifier_id, cost=SMALL)
        seen.append(state(product)["lease_until"])

    await run_slice(slept(product, meanwhile), classifier_id, cost=SMALL)
    assert len(set(seen)) == 1
    assert seen[0] > product.services.now_ms()
    assert (await shown(other, classifier_id))["progress"]["slices"] == 1


async def test_who_was_overtaken_writes_nothing(product: Product) -> None:
    await import_labels(product)
    classifier_id = queue(product)
    await run_slice(product.services, classifier_id, cost=SMALL)
    other = Product(product.database, product.services.settings, clock=product.clock)
    overtaken: list[dict[str, Any]] = []

    async def stall(seconds: float) -> None:
        if not overtaken:
            product.clock.seconds += LEASE_MS / 1000
            await run_slice(other.services, classifier_id, cost=2 * SMALL)
            overtaken.append(state(product))

    await run_slice(slept(product, stall), classifier_id, cost=SMALL)
    assert [state(product)] == overtaken
    parts = product.rows("SELECT part FROM classifier_parts WHERE kind = 'state'")
    assert {row["part"] // 1_000 for row in parts} == {2}


async def test_one_training_at_a_time(product: Product) -> None:
    queue(product)
    refused = await create(product)
    assert (refused.status, refused.json()["error"]["code"]) == (409, "training_under_way")


async def test_the_cron_runs_a_training_and_reading_it_does_not(product: Product) -> None:
    await import_labels(product)
    classifier_id = queue(product)
    for _ in range(2):
        assert (await shown(product, classifier_id))["state"] == "queued"
    await minute(product)
    assert (await shown(product, classifier_id))["state"] == "succeeded"


async def test_the_first_slice_ends_well_before_the_runtime_ends_it(product: Product) -> None:
    await import_labels(product)
    classifier_id = queue(product)
    began = product.clock.seconds

    async def slow(_: float) -> None:
        product.clock.seconds += 4

    await run_first_slice(slept(product, slow), classifier_id)
    row = state(product)
    assert (row["state"], row["lease_until"]) == ("running", 0)
    assert product.clock.seconds - began < 20


async def test_a_cancelled_training_stops_where_it_is(product: Product) -> None:
    await import_labels(product)
    classifier_id = queue(product)
    await run_slice(product.services, classifier_id, cost=SMALL)
    path = f"/v1/classifiers/{classifier_id}"
    cancelled = (await product.call("POST", f"{path}/cancel")).json()
    assert (cancelled["state"], cancelled["finished_at"] is None) == ("cancelled", False)
    await run_slice(product.services, classifier_id, cost=SMALL)
    assert (await shown(product, classifier_id))["progress"]["slices"] == 1
    assert product.rows("SELECT * FROM classifier_parts") == []
    again = await product.call("POST", f"{path}/cancel")
    assert (again.status, again.json()["error"]["code"]) == (409, "training_ended")
    [entry] = (await product.call("GET", "/v1/audit?resource=classifier")).json()["data"]
    assert (entry["action"], entry["before"]["state"]) == ("cancel", "running")


@pytest.mark.parametrize(("method", "path"), [("POST", "/cancel"), ("DELETE", "")])
async def test_a_training_that_is_ended_in_the_middle_of_a_slice_leaves_nothing(
    product: Product, method: str, path: str
) -> None:
    await import_labels(product)
    classifier_id = queue(product)

    async def meanwhile(seconds: float) -> None:
        await product.call(method, f"/v1/classifiers/{classifier_id}{path}")

    await run_slice(slept(product, meanwhile), classifier_id)
    assert product.rows("SELECT * FROM classifier_parts") == []
    assert product.rows("SELECT * FROM jobs WHERE state <> 'cancelled'") == []


async def test_a_slice_that_never_ends_is_given_up(product: Product) -> None:
    await import_labels(product)
    classifier_id = queue(product)

    async def die(seconds: float) -> None:
        raise Killed

    services = slept(product, die)
    for _ in range(5):
        with pytest.raises(Killed):
            await run_slice(services, classifier_id)
        product.clock.seconds += LEASE_MS / 1000
    await run_slice(services, classifier_id)
    row = state(product)
    assert (row["state"], "begun 5 times" in row["error"]) == ("failed", True)


@pytest.mark.parametrize("kind", ["examples", "state"])
async def test_a_damaged_row_between_slices_ends_the_training(product: Product, kind: str) -> None:
    await import_labels(product)
    classifier_id = queue(product)
    for _ in range(2):  # the first slice only prepares labels
        await run_slice(product.services, classifier_id, cost=SMALL)
    product.execute(f"UPDATE classifier_parts SET content = zeroblob(50) WHERE kind = '{kind}'")
    await run_slice(product.services, classifier_id, cost=SMALL)
    assert state(product)["state"] == "failed"
    assert state(product)["error"]


class FlakyDatabase(SqliteDatabase):
    """The call after `left` more fails."""

    left: int | None = None

    async def batch(self, statements: Any, /) -> list[Rows]:
        if self.left is not None:
            self.left -= 1
            if self.left == -1:
                raise DatabaseError("D1_ERROR: Network connection lost.")
        return await super().batch(statements)


async def test_d1_away_at_every_call_of_a_training_only_delays_it(settings: Settings) -> None:
    database = FlakyDatabase(SCHEMA)
    product = await add_agents(Product(database, settings))
    await import_labels(product, FEW)
    whole = await train(product)
    classifier_id = queue(product)
    reached, failed = 0, 0
    while state(product)["state"] in ("queued", "running"):
        database.left = reached
        await run_slice(product.services, classifier_id, cost=SMALL // 2)
        was_away = database.left < 0
        database.left = None
        reached, failed = (reached + 1, failed + 1) if was_away else (0, failed)
        product.clock.seconds += 4_000  # longer than any pause
    assert failed > 20
    made = await read_model(database, classifier_id)
    assert made == await read_model(database, whole["id"])
    assert state(product)["error"] is None


async def test_while_d1_is_away_nothing_is_lost(product: Product) -> None:
    await import_labels(product)
    classifier_id = queue(product)
    product.database.failing = True
    await run_slice(product.services, classifier_id)
    await minute(product)
    counts = product.failures.counts
    assert (counts["classifier_training"], counts["jobs"]) == (1, 1)
    product.database.failing = False
    await run_slice(product.services, classifier_id)
    assert state(product)["state"] == "succeeded"


async def test_without_labels_there_is_nothing_to_measure(product: Product) -> None:
    made = await train(product)
    assert (made["state"], made["metrics"]["held_out"], made["size"]) == ("failed", 0, None)
    assert made["error"] == made["needs"]["message"]
    assert "two agents with 5 labels or more" in made["error"]


async def test_one_agent_alone_or_too_few_labels_are_refused_with_the_reason(
    product: Product,
) -> None:
    # Five texts of its own would be enough for an agent without labels.
    await product.call("PATCH", "/v1/agents/it_support", {"examples": []})
    for n in range(20):
        await product.call("POST", "/v1/labels", [{"query": f"leave {n}", "agent_id": "hr"}])
    made = await train(product)
    assert (made["state"], made["error"]) == ("failed", made["needs"]["message"])
    assert "two agents with 5 labels or more" in made["error"]
    found = {each["agent_id"]: each for each in made["per_agent"]}
    assert found["it_support"]["reason"] == "0 labels; 5 are needed"
    assert (await product.call("GET", f"/v1/models/{made['id']}")).status == 404
    # What it learned of the agents' texts still orders the label queue.
    assert await newest_model(product.services.db) == made["id"]


async def test_other_requests_have_their_turn_while_labels_are_prepared(product: Product) -> None:
    lines = "".join(
        json.dumps({"query": f"{'word ' * 400}{number}", "agent": AGENTS[number % 3]}) + "\n"
        for number in range(60)
    )
    await product.call("POST", "/v1/datasets/import", lines.encode())
    prepared: list[int] = []

    async def look(seconds: float) -> None:
        prepared.append(product.rows("SELECT count(*) AS n FROM classifier_parts")[0]["n"])

    await run_slice(slept(product, look), queue(product), cost=400_000)
    # 54 labels of 2,000 characters: a pause after each two, and the slice ends in between.
    assert len(prepared) >= 8
    assert set(prepared) == {0}
    progress = (await shown(product, "clf_queued"))["progress"]
    assert (progress["stage"], progress["prepared_slices"]) == ("labels", 1)
    assert 15 <= progress["prepared"] <= 25


async def test_one_rule_says_whether_there_are_labels_enough(product: Product) -> None:
    """The statistics and the training itself agree, and held-out figures are there in any case."""
    for agent in AGENTS[:2]:
        await product.call("PATCH", f"/v1/agents/{agent}", {"enabled": False})
    await import_labels(product, 3)
    stats = (await product.call("GET", "/v1/datasets/stats")).json()["training"]
    made = await train(product, target=0.98)
    assert (made["state"], made["needs"]) == ("failed", stats)
    assert made["error"] == stats["message"]
    assert (stats["ready"], stats["labels_needed"]) == (False, 10)
    assert stats["labels"] == sum(each["labels"] for each in stats["agents"])
    assert [each["missing"] for each in stats["agents"]] == [
        5 - each["labels"] for each in stats["agents"]
    ]
    for agent in AGENTS[:2]:
        await product.call("PATCH", f"/v1/agents/{agent}", {"enabled": True})
    made = await train(product, target=0.98)
    assert (made["state"], made["basis"]) == ("succeeded", "human labels"), "with agents' texts"
    known = [each["threshold"] for each in made["per_agent"]]
    assert all(each is None or each >= 0.98 for each in known)
    await import_labels(product, 24, seed=2)
    stats = (await product.call("GET", "/v1/datasets/stats")).json()["training"]
    assert (stats["ready"], stats["out_of_scope"] < 50) == (True, True)
    assert "With 50 questions that no agent fits" in stats["message"]
    assert (await train(product))["state"] == "succeeded"


async def test_three_agents_with_few_labels_train_and_answer_at_the_default_target(
    product: Product,
) -> None:
    """As a new installation has them: 36 questions of each of three agents, none that no agent
    fits."""
    lines = "".join(
        json.dumps({"query": one.query, "agent": AGENTS[int((one.agent_id or "")[-1])]}) + "\n"
        for one in labels(3, 36)
    )
    await product.call("POST", "/v1/datasets/import", lines.encode())
    made = await train(product, target=0.98)
    assert (made["state"], made["error"]) == ("succeeded", None)
    assert made["metrics"]["coverage"] > 0.2
    assert made["metrics"]["answered_accuracy"] >= 0.98
    assert made["metrics"]["out_of_scope"] == 0 < made["metrics"]["out_of_scope_threshold"]


async def test_what_is_learned_badly_is_refused_with_its_figures(product: Product) -> None:
    """Enough labels, but they say nothing of the agent."""
    lines = "".join(
        json.dumps({"query": f"question {number}", "agent": (*AGENTS, "none")[number % 4]}) + "\n"
        for number in range(200)
    )
    await product.call("POST", "/v1/datasets/import", lines.encode())
    assert (await product.call("GET", "/v1/datasets/stats")).json()["training"]["ready"] is True
    made = await train(product, target=0.98)
    assert (made["state"], made["error"]) == ("failed", made["needs"]["message"])
    assert made["error"].startswith("No confidence keeps 98.0% accuracy on")
    assert "lower `target`" in made["error"]
    assert 0 < made["metrics"]["accuracy"] < 0.9
    assert all(each["held_out_right"] < each["held_out"] for each in made["per_agent"])
    # Its scores order the label queue all the same, until another training ends.
    assert await newest_model(product.database) == made["id"]
    await import_labels(product)
    newer = await train(product, target=0.6)
    assert newer["state"] == "succeeded"
    assert await newest_model(product.database) == newer["id"]
    assert product.rows("SELECT DISTINCT classifier_id AS id FROM classifier_parts") == [
        {"id": newer["id"]}
    ]


async def test_labels_of_the_hard_stream_are_learned_from_and_not_held_out(
    product: Product,
) -> None:
    await import_labels(product, 70)
    product.execute("UPDATE labels SET stream = 'hard' WHERE substr(query_hash, 1, 1) < '8'")
    # Drawn at random later: no longer only a hard one.
    product.execute("UPDATE current_labels SET sampled = 1 WHERE substr(query_hash, 1, 1) < '4'")
    [row] = product.rows(
        "SELECT count(*) AS n FROM current_labels WHERE split <> 'test' AND agent_id IS NOT NULL"
        " AND (substr(query_hash, 1, 1) < '4' OR substr(query_hash, 1, 1) >= '8')"
    )
    made = await train(product)
    assert made["metrics"]["held_out"] == row["n"] < made["labels"]


async def test_labels_of_agents_that_are_gone_are_left_out_and_counted(product: Product) -> None:
    await import_labels(product)
    await product.call("PATCH", "/v1/agents/hr", {"enabled": False})
    made = await train(product)
    gone = product.rows("SELECT 1 FROM current_labels WHERE agent_id = 'hr' AND split <> 'test'")
    left_out = {
        "agent_not_enabled": len(gone),
        "agent_before_unknown": 0,
        "conflict": 0,
        "over_the_limit": 0,
    }
    assert made["progress"]["left_out"] == left_out
    assert "hr" not in {each["agent_id"] for each in made["per_agent"]}
    assert "hr" not in made["agents"]


async def test_a_slice_on_a_slow_machine_ends_by_the_clock(product: Product) -> None:
    await import_labels(product)
    whole = await train(product)
    classifier_id = queue(product)

    async def slow(_: float) -> None:
        product.clock.seconds += 10

    await run_slice(slept(product, slow), classifier_id)
    begun = state(product)
    assert (begun["state"], json.loads(begun["checkpoint"])["slices"]) == ("running", 1)
    while (made := await shown(product, classifier_id))["state"] == "running":
        await run_slice(slept(product, slow), classifier_id)
    assert made["checksum"] == whole["checksum"]


async def test_labels_over_the_limit_are_left_out_and_counted(product: Product) -> None:
    await import_labels(product)
    in_force = product.rows("SELECT 1 FROM current_labels WHERE split <> 'test'")
    await run_slice(product.services, queue(product), max_labels=150)
    made = await shown(product, "clf_queued")
    assert made["labels"] == 150
    assert made["progress"]["left_out"]["over_the_limit"] == len(in_force) - 150 > 0


async def test_nothing_is_trained_by_itself_while_learning_is_off(product: Product) -> None:
    await import_labels(product)
    await product.call("PATCH", "/v1/config", {"learning": "off"})
    await minute(product)
    assert product.rows("SELECT * FROM classifiers") == []


async def rule(product: Product, labels: int) -> None:
    settings = {"retrain_after_labels": labels, "classifier_target": 0.9}
    await product.call("PATCH", "/v1/config", settings)


async def test_the_rule_trains_after_so_many_new_labels(product: Product) -> None:
    await import_labels(product)
    await rule(product, 5)
    await minute(product)
    await minute(product)
    made = state(product)
    assert (made["state"], made["created_by"]) == ("succeeded", "rule")
    config = (await product.call("GET", "/v1/config")).json()
    assert config["classifier"]["value"] is None, "none was selected before"
    for n in range(5):
        assert len(product.rows("SELECT * FROM classifiers")) == 1
        await product.call("POST", "/v1/labels", [{"query": f"new {n}", "agent_id": "hr"}])
        await minute(product)
    assert len(product.rows("SELECT * FROM classifiers")) == 2
    audit = (await product.call("GET", "/v1/audit?resource=classifier")).json()["data"]
    assert {entry["actor"] for entry in audit} == {"rule"}
    assert [entry["action"] for entry in audit] == ["reject", "create"] * 2
    for made in (await product.call("GET", "/v1/classifiers")).json()["data"]:
        why = made["rule_outcome"]["reason"]
        assert why == "no classifier is selected, so the rule selects none"


@pytest.mark.parametrize("enough", [True, False])
async def test_what_the_rule_learned_is_selected_if_it_passes_the_check(
    product: Product, enough: bool
) -> None:
    await import_labels(product)
    first = (await train(product))["id"]
    await select(product, first)
    await rule(product, 1)
    least = {"promotion_min_labels": 10 if enough else 1_000, "promotion_margin": 0.4}
    await product.call("PATCH", "/v1/config", least)
    await product.call("POST", "/v1/labels", [{"query": "something new", "agent_id": "hr"}])
    await minute(product)
    config = (await product.call("GET", "/v1/config")).json()
    selected = config["classifier"]["value"]
    audit = (await product.call("GET", "/v1/audit?resource=classifier")).json()["data"]
    by_rule = [entry["action"] for entry in audit if entry["actor"] == "rule"]
    assert state(product)["id"] != first
    if not enough:
        assert (selected, by_rule) == (first, ["reject", "create"])
        outcome = (await shown(product, state(product)["id"]))["rule_outcome"]
        assert outcome["selected"] is False
        assert "at least 1000 are required (`promotion_min_labels`)" in outcome["reason"]
        assert audit[0]["after"] == outcome
        return
    assert selected == state(product)["id"]
    outcome = (await shown(product, selected))["rule_outcome"]
    assert outcome == {"selected": True, "previous": first, "reason": None}
    assert (await shown(product, first))["rule_outcome"] is None
    assert by_rule == ["select", "create"]
    assert audit[0]["after"]["previous"] == first
    assert audit[0]["after"]["check"]["score"]["n"] >= 10
    await select(product, first)
    await minute(product)
    config = (await product.call("GET", "/v1/config")).json()
    assert config["classifier"]["value"] == first, "a roll-back stays"


async def test_a_training_of_the_rule_that_fails_is_noticed_too(product: Product) -> None:
    await product.call("PATCH", "/v1/agents/it_support", {"enabled": False})
    await rule(product, 1)
    await product.call("POST", "/v1/labels", [{"query": "my first label", "agent_id": "hr"}])
    await minute(product)
    made = await shown(product, state(product)["id"])
    assert (made["state"], made["rule_outcome"]["selected"]) == ("failed", False)
    assert made["rule_outcome"]["reason"] == f"the training failed: {made['error']}"
    audit = (await product.call("GET", "/v1/audit?resource=classifier")).json()["data"]
    assert [entry["action"] for entry in audit] == ["reject", "create"]


def test_agents_of_the_tests_are_those_of_the_product() -> None:
    assert {each["id"] for each in (IT, HR, GENERAL)} == set(AGENTS)
