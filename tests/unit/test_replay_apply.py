"""What was replayed is applied by one request: the same changes, all of them or none, with the
checks that selecting has."""

import asyncio
from typing import Any

import pytest

from edgeneuro.settings import Settings
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.conftest import Answered, Product
from tests.unit.test_evaluations import ACTIVE, OTHER, made
from tests.unit.test_label_layer import put_label
from tests.unit.test_replays import (
    HIGHER,
    REPLAYS,
    begin,
    log,
    matrix,
    replay,
    requests,
    shown,
    unsure,
)
from tests.unit.test_routing_tests import put as put_tests
from tests.unit.test_routing_tests import run as run_tests
from tests.unit.trainings import import_labels, train

QUERIES = ("hr leave 90", "hr contract 70", "it_support vpn 60")


@pytest.fixture
async def product(database: SqliteDatabase, settings: Settings) -> Product:
    product = await made(database, settings, unsure)
    await log(product, *QUERIES)
    return product


async def apply(product: Product, replay_id: str, body: Any = None) -> Answered:
    return await product.call("POST", f"{REPLAYS}/{replay_id}/apply", body)


def refused(answered: Answered) -> tuple[int, str]:
    return answered.status, answered.json()["error"]["code"]


async def audit(product: Product, **query: str) -> list[dict[str, Any]]:
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    found: list[dict[str, Any]] = (await product.call("GET", f"/v1/audit?{asked}")).json()["data"]
    return found


async def test_all_changes_are_applied_at_once(product: Product) -> None:
    rule = {"when": {"words": ["vpn"]}, "then": {"agent_id": "hr"}, "name": "old"}
    old = (await product.call("POST", "/v1/rules", rule)).json()
    changes = {
        "agents": [
            {"id": "legal", "name": "Legal", "description": "Contracts."},
            {"id": "hr", "description": "Leave."},
            {"id": "legal", "default": True},
            {"id": "general", "enabled": False},
        ],
        "rules": [
            {"when": {"words": ["contract"]}, "then": {"agent_id": "legal"}, "position": 1},
            {"id": old["id"], "enabled": False},
        ],
        "settings": {"confidence_threshold": 0.8, "on_no_fit": "none"},
        "model": OTHER,
    }
    found = await replay(product, changes)
    assert found["state"] == "succeeded", found
    assert (await product.call("GET", "/v1/agents/legal")).status == 404
    applied = await apply(product, found["id"])
    assert applied.status == 200, applied.text
    assert applied.json()["applied_by"] == "admin_token"
    agents = {a["id"]: a for a in (await product.call("GET", "/v1/agents")).json()["data"]}
    assert agents["hr"]["description"] == "Leave."
    assert agents["legal"]["default"] and not agents["general"]["enabled"]
    rules = (await product.call("GET", "/v1/rules")).json()["data"]
    assert [(each["when"], each["enabled"]) for each in rules] == [
        ({"words": ["contract"]}, True),
        ({"words": ["vpn"]}, False),
    ]
    config = (await product.call("GET", "/v1/config")).json()
    assert config["confidence_threshold"] == {"value": 0.8, "source": "stored"}
    assert config["on_no_fit"]["value"] == "none"
    selection = (await product.call("GET", "/v1/models/select")).json()
    assert (selection["active"], selection["previous"]) == (OTHER, ACTIVE)
    entries = await audit(product, limit="20")
    seen = [(each["action"], each["resource"]) for each in entries]
    assert seen[:9] == [
        ("apply", "replay"),
        ("select", "model"),
        ("update", "config"),
        ("update", "rule"),
        ("create", "rule"),
        ("update", "agent"),
        ("update", "agent"),
        ("update", "agent"),
        ("create", "agent"),
    ]
    # What the report has is what happens now.
    requests(product).clear()
    for cell in matrix(found):
        assert "general" not in cell[1]
    decision = (await product.route("hr contract 70")).json()
    assert (decision["agent"]["id"], decision["layer"]) == ("legal", "rule")


async def test_applied_twice_nothing_more_happens(product: Product) -> None:
    found = await replay(product, {**HIGHER, "rules": [{"when": {}, "then": {"prefer": "hr"}}]})
    first = await apply(product, found["id"], {})
    revision = product.rows("SELECT value FROM revision")
    entries = await audit(product)
    second = await apply(product, found["id"])
    assert first.json() == second.json() and first.json()["outdated"] is False
    assert product.rows("SELECT value FROM revision") == revision
    assert await audit(product) == entries
    assert len((await product.call("GET", "/v1/rules")).json()["data"]) == 1


@pytest.mark.parametrize(
    ("changes", "method", "path", "body", "name"),
    [
        (
            {"agents": [{"id": "hr", "description": "Leave."}]},
            "PATCH",
            "/v1/agents/hr",
            {"name": "People"},
            "agent hr",
        ),
        (
            {"agents": [{"id": "legal", "name": "Legal", "description": "Contracts."}]},
            "POST",
            "/v1/agents",
            {"id": "legal", "name": "Law", "description": "Other."},
            "agent legal",
        ),
        (
            {"rules": [{"when": {}, "then": {"prefer": "hr"}}]},
            "POST",
            "/v1/rules",
            {"when": {"words": ["x"]}, "then": {"agent_id": "hr"}},
            "rules",
        ),
        (
            HIGHER,
            "PATCH",
            "/v1/config",
            {"confidence_threshold": 0.7},
            "setting confidence_threshold",
        ),
        ({"model": OTHER}, "POST", "/v1/models/select", {"model_id": OTHER}, "active model"),
        (
            {"agents": [{"id": "hr", "default": True}]},
            "PATCH",
            "/v1/agents/it_support",
            {"default": True},
            "default agent",
        ),
    ],
)
async def test_what_was_changed_meanwhile_is_not_overwritten(
    product: Product, changes: Any, method: str, path: str, body: Any, name: str
) -> None:
    found = await replay(product, changes)
    assert found["state"] == "succeeded", found
    changed = await product.call(method, path, body)
    assert changed.status < 300, changed.text
    assert (await shown(product, found["id"]))["outdated"] is True
    revision = product.rows("SELECT value FROM revision")
    answered = await apply(product, found["id"])
    assert refused(answered) == (409, "replay_outdated")
    assert name in answered.json()["error"]["message"]
    assert product.rows("SELECT value FROM revision") == revision


async def test_another_change_does_not_forbid_it(product: Product) -> None:
    found = await replay(product, HIGHER)
    await product.call("PATCH", "/v1/agents/hr", {"name": "People"})
    assert (await shown(product, found["id"]))["outdated"] is True
    assert (await apply(product, found["id"])).status == 200


async def test_only_one_that_has_succeeded_is_applied(product: Product) -> None:
    begun = (await begin(product, HIGHER)).json()
    assert refused(await apply(product, begun["id"])) == (409, "replay_not_succeeded")
    await product.call("POST", f"{REPLAYS}/{begun['id']}/cancel")
    assert refused(await apply(product, begun["id"])) == (409, "replay_not_succeeded")
    assert (await apply(product, "rpl_9")).status == 404
    found = await replay(product, HIGHER)
    wrong = await apply(product, found["id"], {"chek": True})
    assert refused(wrong) == (400, "unknown_field")


async def test_a_model_that_is_gone_is_not_selected(product: Product) -> None:
    found = await replay(product, {"model": OTHER})
    retired = await product.call("DELETE", f"/v1/models/{OTHER}")
    assert retired.status == 200, retired.text
    assert refused(await apply(product, found["id"])) == (409, "replay_outdated")


async def test_a_model_passes_the_check_that_is_asked_for(product: Product) -> None:
    found = await replay(product, {"model": OTHER})
    answered = await apply(product, found["id"], {"check": True})
    assert refused(answered) == (409, "promotion_check_failed")
    assert (await apply(product, found["id"], {"check": False})).status == 200


async def test_a_classifier_passes_its_check(product: Product) -> None:
    await import_labels(product)
    trained = await train(product)
    found = await replay(product, {"classifier": trained["id"]})
    assert found["state"] == "succeeded", found
    # 100 labeled test questions are required.
    assert refused(await apply(product, found["id"])) == (409, "promotion_check_failed")
    assert (await product.call("GET", "/v1/models/select")).json()["classifier"] is None
    await product.call("PATCH", "/v1/config", {"promotion_min_labels": 5, "classifier_target": 0.8})
    applied = await apply(product, found["id"])
    assert applied.status == 200, applied.text
    [entry, *_] = await audit(product, resource="classifier")
    assert (entry["action"], entry["after"]["check"]["classifier_id"]) == ("select", trained["id"])
    assert (await product.call("GET", "/v1/models/select")).json()["classifier"] == trained["id"]
    off = await replay(product, {"classifier": None})
    assert (await apply(product, off["id"])).status == 200
    assert (await product.call("GET", "/v1/models/select")).json()["classifier"] is None


async def test_routing_tests_are_required_if_the_setting_says_so(product: Product) -> None:
    """They must have run with all the changes."""
    await put_tests(product, [{"query": "hr leave 90", "expect": "it_support"}])
    await product.call("PATCH", "/v1/config", {"routing_tests_required": True})
    threshold = {"settings": {"confidence_threshold": 0.55}}
    found = await replay(product, {"model": OTHER, **threshold})
    assert refused(await apply(product, found["id"])) == (409, "routing_tests_failed")
    assert (await run_tests(product, model_id=OTHER))["passed"]
    assert refused(await apply(product, found["id"])) == (409, "routing_tests_failed")
    assert (await run_tests(product, model_id=OTHER, **threshold))["passed"]
    assert (await apply(product, found["id"])).status == 200


async def test_labels_of_a_deleted_agent_are_not_taken_over(product: Product) -> None:
    legal = {"id": "legal", "name": "Legal", "description": "Contracts."}
    assert (await product.call("POST", "/v1/agents", legal)).status == 201
    await put_label(product, "hr contract 70", "legal")
    assert (await product.call("DELETE", "/v1/agents/legal")).status == 200
    found = await replay(product, {"agents": [legal]})
    assert refused(await apply(product, found["id"])) == (409, "agent_has_labels")
    again = await replay(product, {"agents": [{**legal, "labels": "set_aside"}]})
    assert (await apply(product, again["id"])).status == 200
    assert product.rows("SELECT * FROM current_labels") == []


async def test_two_requests_at_the_same_time_apply_once(product: Product) -> None:
    found = await replay(product, {**HIGHER, "rules": [{"when": {}, "then": {"prefer": "hr"}}]})
    first, second = await asyncio.gather(apply(product, found["id"]), apply(product, found["id"]))
    assert (first.status, second.status) == (200, 200), second.text
    assert first.json() == second.json()
    assert len((await product.call("GET", "/v1/rules")).json()["data"]) == 1
    assert len(await audit(product, resource="replay")) == 2, "created and applied"


async def test_a_change_of_something_else_at_the_same_time_is_noticed(product: Product) -> None:
    """The batch holds for the revision that was checked."""
    found = await replay(product, HIGHER)
    first, second = await asyncio.gather(
        apply(product, found["id"]),
        product.call("PATCH", "/v1/config", {"confidence_threshold": 0.3}),
    )
    assert second.status == 200
    config = (await product.call("GET", "/v1/config")).json()
    applied = (await shown(product, found["id"]))["applied_at"] is not None
    assert applied is (first.status == 200)
    if not applied:
        assert first.json()["error"]["code"] in ("changed_meanwhile", "replay_outdated")
        assert config["confidence_threshold"]["value"] == 0.3
