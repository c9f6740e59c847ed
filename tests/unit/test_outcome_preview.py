"""POST /v1/outcomes/preview: other thresholds tried on logged decisions."""

from typing import Any

import pytest

from edgeneuro.errors import UpstreamCapacityError
from edgeneuro.settings import Settings
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit import classifiers
from tests.unit.conftest import Product, says
from tests.unit.decision_models import chose, decision_product
from tests.unit.test_app import assert_error
from tests.unit.test_outcomes import ASKED, CLEAR, CLOSE, THREE

NONE_FITS = {"it_support": 0.1, "hr": 0.1, "none": 0.8}


@pytest.fixture
async def product(database: SqliteDatabase, settings: Settings) -> Product:
    return await decision_product(database, settings)


async def preview(product: Product, **fields: Any) -> dict[str, Any]:
    answered = await product.call("POST", "/v1/outcomes/preview", fields)
    assert answered.status == 200, answered.text
    found: dict[str, Any] = answered.json()
    return found


async def log_four(product: Product) -> None:
    product.gateway.enqueue(
        chose(CLOSE), chose(CLEAR), chose(THREE, several=0.9), chose(NONE_FITS, clarify=0.9)
    )
    for query in ("Where is my form?", "My VPN is down", "VPN, leave, lunch", "Mars?"):
        await product.route(query)


def counts(side: dict[str, Any]) -> dict[str, int]:
    return {name: n for name, n in side["outcomes"].items() if n}


async def test_what_other_settings_would_change(product: Product) -> None:
    await log_four(product)
    same = await preview(product)
    assert (same["tested"], same["changed"], same["examples"]) == (4, 0, [])
    assert (same["with_all_agents"], same["unknown"], same["labelled"]) == (4, 0, 0)
    assert counts(same["now"]) == counts(same["after"]) == {"agent": 1, "fallback": 3}

    asked = await preview(product, settings={"clarify": True})
    assert counts(asked["now"]) == {"agent": 1, "fallback": 3}
    assert counts(asked["after"]) == {"agent": 1, "fallback": 1, "clarify": 2}
    assert asked["changed"] == 2
    first, second = asked["examples"]  # newest first
    assert first["query"] == "VPN, leave, lunch"
    assert first["before"] == {"outcome": "fallback", "agents": ["general"]}
    assert first["after"] == {"outcome": "clarify", "agents": ["it_support", "hr", "general"]}
    assert second["after"]["agents"] == ["it_support", "hr"]
    logged = {row["query"]: row["id"] for row in await product.logs()}
    assert logged[second["query"]] == second["log_id"]

    both = await preview(product, settings={"clarify": True, "several": True})
    assert counts(both["after"]) == {"agent": 1, "fallback": 1, "clarify": 1, "agents": 1}
    lower = await preview(product, settings={"confidence_threshold": 0.45})
    assert counts(lower["after"]) == {"agent": 2, "fallback": 2}
    assert product.rows("SELECT count(*) AS n FROM logs") == [{"n": 4}]
    assert len(product.gateway.decision_requests) == 4


async def test_it_says_what_the_policy_says_of_a_new_request(product: Product) -> None:
    await log_four(product)
    settings = {"clarify": True, "several": True, "clarify_margin": 0.1}
    tried = await preview(product, settings=settings)
    await product.call("PATCH", "/v1/config", settings)
    again = [(await product.route(row["query"])).json()["outcome"] for row in await product.logs()]
    assert counts(tried["after"]) == {each: again.count(each) for each in again}
    now = await preview(product, limit=4)
    assert counts(now["now"]) == counts(tried["after"]) and now["changed"] == 0


async def test_right_and_wrong_of_the_labeled(product: Product) -> None:
    await log_four(product)
    for row in await product.logs():
        right = {"My VPN is down": "it_support", "Mars?": None}.get(row["query"], "hr")
        label = {"agent_id": right}
        assert (await product.call("PUT", f"/v1/logs/{row['id']}/label", label)).status == 200
    found = await preview(product, settings={"clarify": True, "several": True})
    assert found["labelled"] == 4
    assert found["now"]["labelled"] == {"right": 2, "wrong": 2, "asked": 0, "asked_right": 0}
    assert found["after"]["labelled"] == {"right": 2, "wrong": 1, "asked": 1, "asked_right": 1}
    assert {each["label"] for each in found["examples"]} == {"hr"}


async def test_the_previous_turn_and_the_allowed_agents_count(product: Product) -> None:
    product.gateway.enqueue(chose(CLOSE), chose(CLOSE), chose({"hr": 0.4, "none": 0.3}))
    await product.route("A", context={"previous_agent": "hr"})
    await product.route("B", context={"previous_assistant": ASKED})
    await product.route("C", candidates=["hr"])
    found = await preview(product, settings={"clarify": True})
    [changed] = found["examples"]
    assert (changed["query"], changed["after"]) == ("A", {"outcome": "agent", "agents": ["hr"]})
    assert counts(found["after"]) == {"agent": 1, "fallback": 1, "none": 1}


async def test_models_that_name_one_agent_lead_to_no_question(product: Product) -> None:
    await product.call("PATCH", "/v1/config", {"routing_model": None, "fallback_models": []})
    await product.call("PATCH", "/v1/config", {"routing_model": "@cf/meta/llama-3.2-1b-instruct"})
    product.gateway.enqueue(says("hr", 0.4), UpstreamCapacityError("full"), says("none"))
    for query in ("A", "B", "C"):
        await product.route(query, fallback=True)
    found = await preview(product, settings={"clarify": True, "confidence_threshold": 0.3})
    assert (found["tested"], found["with_all_agents"], found["changed"]) == (3, 0, 1)
    assert counts(found["after"]) == {"agent": 1, "fallback": 2}


async def test_a_higher_threshold_than_the_classifiers_is_unknown(empty_product: Product) -> None:
    product = empty_product
    await classifiers.create_agents(product)
    classifiers.install(product, "clf_1")
    await classifiers.select(product, "clf_1")
    product.gateway.enqueue(says("agent_0"))
    await classifiers.load(product)
    await product.route(classifiers.known("agent_1"))
    found = await preview(product, settings={"confidence_threshold": 1.0})
    assert (found["tested"], found["unknown"]) == (1, 1)
    assert (await preview(product))["unknown"] == 0
    points = {
        each["value"]: each
        for each in (await curve(product, setting="confidence_threshold"))["points"]
    }
    assert (points[1.0]["by_model"], points[1.0]["outcomes"]["agent"]) == (1, 0)
    assert (points[0.5]["by_model"], points[0.5]["outcomes"]["agent"]) == (0, 2)


async def test_what_is_left_out(product: Product) -> None:
    await log_four(product)
    product.clock.seconds += 3_600
    product.gateway.enqueue(chose(CLEAR))
    await product.route("My VPN is down")
    newest = (await product.logs())[0]
    assert (await preview(product, limit=2))["tested"] == 2
    assert (await preview(product, **{"from": newest["created_at"]}))["tested"] == 1
    assert (await preview(product, to=newest["created_at"]))["tested"] == 4
    # Without its text, or its stages, a row says nothing.
    product.execute("UPDATE logs SET stages = NULL WHERE query = 'Mars?'")
    assert (await preview(product))["tested"] == 4
    assert (await product.call("DELETE", "/v1/agents/hr")).status == 200
    assert (await preview(product, settings={"clarify": True}))["tested"] == 4


async def test_a_router_has_its_own_rows_and_settings(product: Product) -> None:
    made = await product.call("POST", "/v1/routers", {"id": "sales", "clarify": True})
    assert made.status == 201, made.text
    product.gateway.enqueue(chose(CLOSE), chose(CLEAR))
    await product.route("Where is my form?", router="sales")
    await product.route("My VPN is down")
    found = await preview(product, router="sales")
    assert counts(found["now"]) == {"clarify": 1}
    assert counts((await preview(product))["now"]) == {"agent": 1}
    missing = await product.call("POST", "/v1/outcomes/preview", {"router": "none_such"})
    assert (missing.status, missing.json()["error"]["code"]) == (404, "unknown_router")


async def test_without_agents_there_is_nothing(empty_product: Product) -> None:
    found = await preview(empty_product, settings={"clarify": True})
    assert (found["tested"], counts(found["after"]), found["examples"]) == (0, {}, [])


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"settings": {"clarify_margin": 2}}, "settings.clarify_margin"),
        ({"settings": {"retention_days": 1}}, "settings.retention_days"),
        ({"limit": 1_001}, "limit"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-11-02", "to": "2026-11-01"}, "to"),
    ],
)
async def test_bad_input_is_refused(product: Product, body: dict[str, Any], param: str) -> None:
    answered = await product.call("POST", "/v1/outcomes/preview", body)
    assert (answered.status, answered.json()["error"]["param"]) == (400, param)


async def test_many_rows_are_read_in_pages(product: Product) -> None:
    product.gateway.enqueue(chose(CLOSE))
    await product.route("Where is my form?")
    names = [row["name"] for row in product.rows("PRAGMA table_info(logs)")]
    others = ", ".join(name for name in names if name not in ("seq", "id", "created_at"))
    product.execute(
        "WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 600)"
        f" INSERT INTO logs (id, created_at, {others})"
        f" SELECT 'dec_x' || value, created_at - value, {others} FROM logs, n"
    )
    found = await preview(product, settings={"clarify": True})
    assert (found["tested"], found["changed"], len(found["examples"])) == (601, 601, 50)


async def curve(product: Product, **fields: Any) -> dict[str, Any]:
    answered = await product.call("POST", "/v1/outcomes/curve", fields)
    assert answered.status == 200, answered.text
    found: dict[str, Any] = answered.json()
    return found


async def test_a_curve_has_what_the_preview_of_each_value_has(product: Product) -> None:
    await log_four(product)
    for row in await product.logs():
        right = {"My VPN is down": "it_support", "Mars?": None}.get(row["query"], "hr")
        await product.call("PUT", f"/v1/logs/{row['id']}/label", {"agent_id": right})
    found = await curve(product, setting="confidence_threshold")
    assert (found["current"], found["tested"], found["labelled"]) == (0.5, 4, 4)
    points = {each["value"]: each for each in found["points"]}
    assert len(points) == 21
    for value in (0.0, 0.45, 0.95):
        tried = await preview(product, settings={"confidence_threshold": value})
        assert points[value]["outcomes"] == tried["after"]["outcomes"]
        labelled, accuracy = tried["after"]["labelled"], points[value]["accuracy"]
        assert (accuracy["right"], accuracy["labelled"]) == (labelled["right"], 4)
    # Three are decided, of which "Where is my form?" is for hr and goes to it_support.
    lowest = points[0.0]["precision"]
    assert (lowest["right"], lowest["labelled"]) == (1, 3)
    strictest = points[1.0]["outcomes"]
    assert (strictest["agent"], strictest["fallback"]) == (0, 4)
    times = [row["created_at"] for row in await product.logs()]
    assert (found["to_time"], found["from_time"]) == (times[0], times[-1])

    margins = await curve(product, setting="clarify_margin")
    assert margins["current"] == 0.15 and margins["points"][0]["value"] == 0
    for point in margins["points"]:
        settings = {"clarify": True, "clarify_margin": point["value"]}
        tried = await preview(product, settings=settings)
        assert point["outcomes"] == tried["after"]["outcomes"]
        assert point["asked"] == tried["after"]["labelled"]["asked"]
    assert len(product.gateway.decision_requests) == 4, "no model is called"

    await product.route("My VPN is down")  # its label decides
    again = await curve(product, setting="confidence_threshold")
    assert (again["tested"], again["by_label"], again["labelled"]) == (4, 1, 4)


async def test_a_curve_of_nothing_and_one_that_cannot_be(product: Product) -> None:
    nothing = await curve(product, setting="confidence_threshold")
    assert (nothing["tested"], nothing["points"], nothing["from_time"]) == (0, [], None)
    refused = await product.call("POST", "/v1/outcomes/curve", {"setting": "retention_days"})
    assert_error(refused, 400, "invalid_value", "setting")
    missing = await product.call(
        "POST", "/v1/outcomes/curve", {"setting": "clarify_margin", "router": "gone"}
    )
    assert_error(missing, 404, "unknown_router", "router")
