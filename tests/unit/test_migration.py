"""An installation of version 0.1.0 becomes one of this version: the migrations keep all its data,
and the present code reads it."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeneuro.settings import Settings
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.conftest import Product, says
from tests.unit.test_evaluations import Models
from tests.unit.trainings import minute

ROOT = Path(__file__).parents[2]
MIGRATIONS = sorted((ROOT / "migrations").glob("*.sql"))
RELEASED = 20  # migrations of 0.1.0
BEFORE = "".join(
    path.read_text() for path in (*MIGRATIONS[:RELEASED], ROOT / "tests/fixtures/v0_1_0.sql")
)
AFTER = "".join(path.read_text() for path in MIGRATIONS[RELEASED:])
DAY = 86_400
# Tables that have another name now.
RENAMED = {"shadow_answers": "audit_samples", "candidate_answers": "challenger_answers"}
# Tables whose rows are jobs now, and those that have a job each.
JOBS = {
    "training": "classifiers",
    "evaluation": "evaluations WHERE source = 'labels'",
    "routing_test_run": "evaluations WHERE source = 'routing_tests'",
    "adapter_upload": "loras",
    "erasure": "erasures",
}
# Lists of the API, and which rows of 0.1.0 they show.
LISTS = {
    "/v1/agents": "agents",
    "/v1/providers": "providers",
    "/v1/users": "users",
    "/v1/keys": "keys",
    "/v1/logs": "logs",
    "/v1/classifiers": "classifiers",
    "/v1/loras": "loras",
    "/v1/evaluations": "evaluations WHERE source = 'labels'",
    "/v1/routing-tests/runs": "evaluations WHERE source = 'routing_tests'",
    "/v1/datasets/imports": "imports",
    "/v1/audit": "audit",
}
READ_ONCE = {
    "/v1/labels/suspects",
    "/v1/labels/queue",
    "/v1/labels/stats",
    "/v1/datasets/stats",
    "/v1/datasets/export",
    "/v1/analytics",
    "/v1/routing-tests",
    "/v1/models",
    "/v1/me",
    "/metrics",
}


def counts(connection: sqlite3.Connection) -> dict[str, int]:
    tables = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    ).fetchall()
    return {
        name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for (name,) in tables
    }


@pytest.fixture(scope="module")
def before() -> Iterator[sqlite3.Connection]:
    """The installation of 0.1.0."""
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    connection.executescript(BEFORE)
    yield connection
    connection.close()


@pytest.fixture
def product(settings: Settings) -> Iterator[Product]:
    """The same installation after the migrations, two days after its last request."""
    database = SqliteDatabase(BEFORE + AFTER)
    product = Product(database, settings, gateway=Models(lambda model, query: says("hr")))
    product._ids = 1_000_000  # above those of the rows
    product.clock.seconds += 2 * DAY + 3_600
    yield product
    database.close()


def rows(before: sqlite3.Connection, sql: str) -> list[dict[str, Any]]:
    return [dict(row) for row in before.execute(sql).fetchall()]


def test_the_installation_has_data_of_every_kind(before: sqlite3.Connection) -> None:
    found = counts(before)
    assert {name for name, count in found.items() if not count} == set()
    for column, table in {
        "source": "labels",
        "split": "current_labels",
        "kind": "logs",
        "status": "logs",
        "value": "feedback",
    }.items():
        assert len(rows(before, f"SELECT DISTINCT {column} FROM {table}")) > 1, (table, column)
    states = rows(before, "SELECT DISTINCT state FROM evaluations")
    assert len(states) == 5, states
    assert len(rows(before, "SELECT DISTINCT state FROM loras")) == 5
    assert len(rows(before, "SELECT DISTINCT state FROM classifiers")) == 4


def test_no_row_is_lost(before: sqlite3.Connection, product: Product) -> None:
    kept = counts(product.database._connection)
    lost = {
        name: count
        for name, count in counts(before).items()
        if name != "erasures" and kept.get(RENAMED.get(name, name)) != count
    }
    assert lost == {}
    assert product.rows("PRAGMA foreign_key_check") == []
    assert product.rows("PRAGMA integrity_check") == [{"integrity_check": "ok"}]


@pytest.mark.parametrize("path", LISTS)
async def test_each_list_has_all_and_each_one_can_be_read(
    before: sqlite3.Connection, product: Product, path: str
) -> None:
    [expected] = rows(before, f"SELECT count(*) AS n FROM {LISTS[path]}")
    answered = await product.call("GET", f"{path}?limit=100")
    assert answered.status == 200, answered.text
    listed = answered.json()["data"]
    assert len(listed) == expected["n"]
    assert "cannot be read" not in answered.text
    for one in listed if path != "/v1/audit" else ():
        found = await product.call("GET", f"{path}/{one['id']}")
        assert (found.status, found.json()["id"]) == (200, one["id"]), found.text


@pytest.mark.parametrize("path", sorted(READ_ONCE))
async def test_the_rest_can_be_read(product: Product, path: str) -> None:
    answered = await product.call("GET", path)
    assert answered.status == 200, answered.text


@pytest.mark.parametrize(
    ("path", "table"),
    [
        ("/v1/classifiers", "classifiers"),
        ("/v1/loras", "loras"),
        ("/v1/evaluations", "evaluations"),
        ("/v1/routing-tests/runs", "evaluations"),
    ],
)
async def test_what_jobs_came_to_is_kept(
    before: sqlite3.Connection, product: Product, path: str, table: str
) -> None:
    """States, times, errors and results are those of 0.1.0."""
    stored = {row["id"]: row for row in rows(before, f"SELECT * FROM {table}")}
    listed = (await product.call("GET", f"{path}?limit=100")).json()["data"]
    for one in listed:
        row = stored[one["id"]]
        assert one["state"] == row["state"], one
        assert (one["finished_at"] is None) == (row["finished_at"] is None), one
        assert (one["error"] is None) == (row["error"] is None), one
        if table != "loras":
            assert one["error"] == row["error"]
            assert (one["started_at"] is None) == (row["started_at"] is None), one
        if path == "/v1/evaluations":
            assert (one["results"] is None) == (row["results"] is None)
    assert len(listed) > 2


@pytest.mark.parametrize("kind", JOBS)
async def test_what_was_a_job_is_one(
    before: sqlite3.Connection, product: Product, kind: str
) -> None:
    stored = {row["id"]: row for row in rows(before, f"SELECT * FROM {JOBS[kind]}")}
    listed = (await product.call("GET", f"/v1/jobs?limit=100&kind={kind}")).json()["data"]
    assert {one["resource_id"] for one in listed} == stored.keys()
    states = {"available": "succeeded", "retired": "succeeded"}
    for one in listed:
        row = stored[one["resource_id"]]
        state = row.get("state", "queued")
        assert one["state"] == states.get(state, state)
        assert (one["error"] is None) == (row.get("error") is None)
        assert (one["ended_at"] is None) == (row.get("finished_at") is None)
        assert one["progress"]["done"] <= (one["progress"]["of"] or one["progress"]["done"])
        assert (await product.call("GET", f"/v1/jobs/{one['id']}")).json() == one


async def test_labels_and_votes_are_in_force(before: sqlite3.Connection, product: Product) -> None:
    expected = {
        row["query"]: row["agent_id"] for row in rows(before, "SELECT * FROM current_labels")
    }
    found: dict[str, Any] = {}
    after = ""
    while True:
        page = (await product.call("GET", f"/v1/labels?limit=100{after}")).json()
        found |= {one["query"]: one["agent_id"] for one in page["data"]}
        if not page["has_more"]:
            break
        after = f"&after={page['last_id']}"
    assert found == expected
    conflicts = (await product.call("GET", "/v1/labels?conflicts=true")).json()["data"]
    [expected_conflicts] = rows(before, "SELECT count(*) AS n FROM current_labels WHERE conflict")
    assert len(conflicts) == expected_conflicts["n"] > 0


async def test_settings_have_their_values(product: Product) -> None:
    config = (await product.call("GET", "/v1/config")).json()
    assert (config["confidence_threshold"]["value"], config["cache_scope"]["value"]) == (0.6, "key")
    assert config["retention_days"] == {"value": 365, "source": "stored"}
    share = config.get("audit_sample_share", config.get("classifier_shadow_share"))
    assert share == {"value": 0.05, "source": "stored"}
    selection = (await product.call("GET", "/v1/models/select")).json()
    challenger = selection.get("challenger", selection.get("shadow"))
    assert challenger["model_id"] == "@cf/ibm-granite/granite-4.0-h-micro"


async def test_the_classifier_answers(before: sqlite3.Connection, product: Product) -> None:
    question = rows(
        before, "SELECT query, agent_id FROM logs WHERE layer = 'classifier' AND agent_id NOT NULL"
    )[0]
    await product.route("this loads the classifier")
    decision = (await product.route(question["query"])).json()
    assert (decision["layer"], decision["agent"]["id"]) == ("classifier", question["agent_id"])


async def test_where_confidences_come_from_is_kept(
    before: sqlite3.Connection, product: Product
) -> None:
    """Their column was renamed; "none" stands for a confidence that is unknown."""
    stored = {row["id"]: row for row in rows(before, "SELECT * FROM logs")}
    assert {row["confidence_source"] for row in stored.values()} >= {"stated", "classifier", None}
    one_unknown = next(iter(stored))
    product.execute(f"UPDATE logs SET confidence_source_before = 'none' WHERE id = '{one_unknown}'")
    stored[one_unknown]["confidence_source"] = "none"
    for one in (await product.call("GET", "/v1/logs?limit=1000")).json()["data"]:
        row = stored[one["id"]]
        unknown = row["confidence_source"] == "none"
        assert one["confidence_source"] == (None if unknown else row["confidence_source"])
        assert one["stated_confidence"] == (None if unknown else row["confidence"])
    found = (await product.call("GET", "/v1/logs?limit=1000&min_confidence=0")).json()["data"]
    assert {one["id"] for one in found} == {
        row["id"] for row in stored.values() if row["confidence_source"] != "none"
    }


async def test_the_crons_run_what_was_under_way(product: Product) -> None:
    for _ in range(10):
        await minute(product)
        product.clock.seconds += 60
    assert product.failures.counts == {}
    for state in ("queued", "running"):
        assert (await product.call("GET", f"/v1/jobs?state={state}")).json()["data"] == []
    [erasure] = (await product.call("GET", "/v1/jobs?kind=erasure")).json()["data"]
    assert erasure["state"] == "succeeded"
