"""The installation as one document, in process."""

import copy
from typing import Any

import pytest

from edgeneuro.settings import Settings
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.conftest import GENERAL, HR, IT, SCHEMA, Answered, Product
from tests.unit.test_agents import label_some

PATH = "/v1/installation"
RULE = {"id": "vpn", "when": {"words": ["vpn"]}, "then": {"agent_id": "it_support"}}
PROVIDER = {
    "id": "vendor",
    "kind": "openai-compatible",
    "base_url": "https://models.example.com/v1",
    "secret": "PROVIDER_VENDOR_KEY",
    "models": ["small"],
}
DOCUMENT: dict[str, Any] = {
    "agents": [IT, HR, GENERAL],
    "rules": [RULE, {"id": "mention", "when": {"mention": True}}],
    "routers": [{"id": "staff", "agents": ["hr", "general"], "confidence_threshold": 0.7}],
    "settings": {"routing_model": "vendor/small", "learning": "off"},
    "providers": [PROVIDER],
}


def document(**sections: Any) -> dict[str, Any]:
    return copy.deepcopy(DOCUMENT) | sections


async def put(
    product: Product, body: Any, query: str = "", headers: dict[str, str] | None = None
) -> Answered:
    return await product.call("PUT", PATH + query, body, headers=headers)


async def applied(product: Product, body: Any, query: str = "") -> dict[str, Any]:
    answered = await put(product, body, query)
    assert answered.status == 200, answered.text
    plan: dict[str, Any] = answered.json()
    return plan


def lines(plan: dict[str, Any]) -> list[str]:
    return [f"{each['action']} {each['resource']} {each['id']}" for each in plan["changes"]]


def faults(answered: Answered) -> dict[str, str]:
    assert answered.status == 400, answered.text
    return {each["param"]: each["code"] for each in answered.json()["errors"]}


@pytest.fixture
async def installed(empty_product: Product) -> Product:
    """With what the document says."""
    await applied(empty_product, DOCUMENT)
    return empty_product


async def test_a_new_installation_becomes_what_the_document_says(empty_product: Product) -> None:
    product = empty_product
    before = await product.services.routing.current()
    planned = await applied(product, DOCUMENT, "?plan=true")
    assert (planned["applied"], planned["counts"]["create"]) == (False, 9)
    assert lines(planned)[0] == "create agent general"  # the default agent
    assert product.rows("SELECT id FROM agents") == []
    plan = await applied(product, DOCUMENT)
    assert (plan["applied"], lines(plan)) == (True, lines(planned))
    config = await product.services.routing.current()
    assert (config.active.id, config.learning) == ("vendor/small", "off")
    assert config.default_agent is not None and config.default_agent.id == "general"
    assert [rule.id for rule in config.rules] == ["vpn", "mention"]
    staff = config.for_router("staff")
    assert staff is not None and (list(staff.agents), staff.confidence_threshold) == (
        ["general", "hr"],
        0.7,
    )
    assert config.revision > before.revision
    # One audit entry a change; the settings are one change, as with PATCH.
    assert len(product.rows("SELECT id FROM audit")) == 8


async def test_the_same_document_again_changes_nothing(installed: Product) -> None:
    revision = installed.rows("SELECT value FROM revision")
    audit = installed.rows("SELECT id FROM audit")
    plan = await applied(installed, DOCUMENT)
    assert (plan["changes"], plan["counts"]) == ([], {"create": 0, "update": 0, "delete": 0})
    read = await installed.call("GET", PATH)
    assert (await applied(installed, read.json(), "?delete=true"))["changes"] == []
    assert installed.rows("SELECT value FROM revision") == revision
    assert installed.rows("SELECT id FROM audit") == audit


async def test_the_document_moves_to_another_database(
    installed: Product, settings: Settings
) -> None:
    read = (await installed.call("GET", PATH)).json()
    assert "created_at" not in str(read) and "labels" not in str(read)
    assert read["settings"] == {"routing_model": "vendor/small", "learning": "off"}
    assert read["providers"][0]["secret"] == "PROVIDER_VENDOR_KEY"
    database = SqliteDatabase(SCHEMA)
    other = Product(database, settings)
    await applied(other, read)
    assert (await other.call("GET", PATH)).json() == read
    database.close()


async def test_changes_field_by_field(installed: Product) -> None:
    body = document()
    body["agents"][1]["description"] = "Leave."
    body["routers"][0]["confidence_threshold"] = 0.8
    body["settings"]["max_retries"] = 2
    plan = await applied(installed, body)
    assert plan["changes"] == [
        {
            "action": "update",
            "resource": "agent",
            "id": "hr",
            "fields": [{"field": "description", "before": HR["description"], "after": "Leave."}],
        },
        {
            "action": "update",
            "resource": "router",
            "id": "staff",
            "fields": [{"field": "confidence_threshold", "before": 0.7, "after": 0.8}],
        },
        {
            "action": "create",
            "resource": "setting",
            "id": "max_retries",
            "fields": [{"field": "value", "before": None, "after": 2}],
        },
    ]
    assert (await applied(installed, body))["changes"] == []
    hr = (await installed.call("GET", "/v1/agents/hr")).json()
    assert hr["description"] == "Leave."


async def test_a_section_that_is_left_out_stays(installed: Product) -> None:
    before = (await installed.call("GET", PATH)).json()
    assert (await applied(installed, {}))["changes"] == []
    plan = await applied(installed, {"settings": {"learning": "observe"}}, "?delete=true")
    assert lines(plan) == ["update setting learning", "delete setting routing_model"]
    after = (await installed.call("GET", PATH)).json()
    assert after == {**before, "settings": {"learning": "observe"}}


async def test_what_is_missing_is_deleted_only_if_that_is_said(installed: Product) -> None:
    body = document(rules=[], routers=[], agents=[IT, GENERAL], settings={})
    refused = await put(installed, body)
    assert (refused.status, refused.json()["error"]["code"]) == (409, "deletes_not_confirmed")
    assert "agent 'hr'" in refused.json()["error"]["message"]
    plan = await applied(installed, body, "?plan=true")
    assert plan["counts"] == {"create": 0, "update": 0, "delete": 6}
    await applied(installed, body, "?delete=true")
    read = (await installed.call("GET", PATH)).json()
    assert [agent["id"] for agent in read["agents"]] == ["general", "it_support"]
    assert (read["rules"], read["routers"], read["settings"]) == ([], [], {})
    entries = (await installed.call("GET", "/v1/audit?limit=6")).json()["data"]
    assert {entry["action"] for entry in entries} == {"delete", "update"}


async def test_everything_can_go(installed: Product) -> None:
    body: dict[str, Any] = {"agents": [], "rules": [], "routers": [], "settings": {}}
    body["providers"] = []
    await applied(installed, body, "?delete=true")
    assert installed.rows("SELECT id FROM agents") == []
    await applied(installed, DOCUMENT)


async def test_another_default_agent(installed: Product) -> None:
    agents = [IT, {**HR, "default": True}, {**GENERAL, "default": False, "enabled": False}]
    plan = await applied(installed, {"agents": agents})
    assert lines(plan) == ["update agent hr", "update agent general"]
    found = {
        each["id"]: each for each in (await installed.call("GET", "/v1/agents")).json()["data"]
    }
    assert (found["hr"]["default"], found["general"]["enabled"]) == (True, False)
    # The former default agent is deleted in the same request in which another takes its place.
    agents = [{**IT, "default": True}]
    await applied(installed, {"agents": agents, "routers": [], "rules": []}, "?delete=true")
    assert [row["id"] for row in installed.rows("SELECT id FROM agents")] == ["it_support"]


@pytest.mark.parametrize(
    ("order", "moved"),
    [
        ("abcd", []),
        ("bcda", ["a"]),
        ("dabc", ["d"]),
        ("badc", None),
        ("dcba", None),
        ("xaybz", []),
        ("bxay", None),
    ],
)
async def test_rules_are_in_the_order_of_the_document(
    installed: Product, order: str, moved: list[str] | None
) -> None:
    def rules(names: str) -> list[dict[str, Any]]:
        return [{"id": each, "when": {"words": [each]}, "then": RULE["then"]} for each in names]

    await applied(installed, {"rules": rules("abcd")}, "?delete=true")
    plan = await applied(installed, {"rules": rules(order)}, "?delete=true")
    rows = installed.rows("SELECT id, position FROM rules ORDER BY position")
    assert [(row["id"], row["position"]) for row in rows] == list(
        zip(order, range(1, 9), strict=False)
    )
    changed = [each["id"] for each in plan["changes"] if each["action"] == "update"]
    assert moved is None or changed == moved
    assert (await applied(installed, {"rules": rules(order)}))["changes"] == []


async def test_all_faults_at_once(installed: Product) -> None:
    body = document(
        agents=[
            IT,
            IT,
            {**HR, "protocol": "a2a"},
            {**GENERAL, "default": False, "model": "@cf/cloudflare/clef-omni"},
        ],
        rules=[
            {"id": "one", "when": {}, "then": {"agent_id": "nobody"}},
            {"id": "two", "when": {}, "router": "nowhere", "then": {"never": ["hr", "gone"]}},
            {"id": "three", "when": {}},
        ],
        routers=[
            {"id": "default"},
            {"id": "staff", "agents": ["gone"], "default_agent": "hr", "routing_model": "none"},
        ],
        settings={"fallback_models": ["@cf/ibm-granite/granite-4.0-h-micro", "none"]},
        providers=[
            {**PROVIDER, "kind": "openai"},
            {**PROVIDER, "id": "other", "base_url": "https://elsewhere.example.com"},
        ],
    )
    answered = await put(installed, body)
    assert faults(answered) == {
        "agents[1].id": "duplicate_id",
        "agents[2].endpoint": "invalid_value",
        "agents[3].model": "model_is_decision",
        "agents": "default_agent",
        "rules[0].then.agent_id": "unknown_agent",
        "rules[1].then.never[1]": "unknown_agent",
        "rules[1].router": "unknown_router",
        "rules[2].then": "missing_field",
        "routers[0].id": "default_router",
        "routers[1].agents[0]": "unknown_agent",
        "routers[1].default_agent": "invalid_value",
        "routers[1].routing_model": "model_not_found",
        "settings.fallback_models[1]": "model_not_found",
        "providers[0].kind": "invalid_value",
        "providers[1].base_url": "secret_host_not_allowed",
    }
    for each in answered.json()["errors"]:
        assert each["message"].startswith(f"{each['param']}: "), each
    assert "15 errors" in answered.json()["error"]["message"]
    assert (await applied(installed, DOCUMENT))["changes"] == []


async def test_all_faults_of_the_form_at_once(empty_product: Product) -> None:
    body = {
        "agents": [{**IT, "colour": "red"}, {"id": "Hr", "name": "", "description": "Leave."}],
        "rules": [{"when": {"words": []}}],
        "settings": {"confidence_threshold": 2, "classifier": "cls_1", "unknown": 1},
        "secrets": {},
    }
    assert set(faults(await put(empty_product, body))) == {
        "agents[0].colour",
        "agents[1].id",
        "agents[1].name",
        "rules[0].id",
        "rules[0].when.words",
        "settings.confidence_threshold",
        "settings.classifier",
        "settings.unknown",
        "secrets",
    }
    nothings: list[Any] = [None, {"agents": None}, []]
    for nothing in nothings:
        assert (await put(empty_product, nothing)).status == 400


@pytest.mark.parametrize(
    ("agents", "says"),
    [
        ([IT, HR], "'general' is missing"),
        ([IT, HR, {**GENERAL, "default": False}], "until now it is 'general'"),
        ([IT, {**HR, "default": True}, GENERAL], "agents[1] is the default agent already"),
        ([IT, HR, {**GENERAL, "enabled": False}], "always enabled"),
    ],
)
async def test_one_agent_is_the_default(
    installed: Product, agents: list[dict[str, Any]], says: str
) -> None:
    body = {"agents": agents, "rules": [], "routers": []}
    answered = await put(installed, body, "?delete=true")
    assert set(faults(answered).values()) == {"default_agent"}
    assert says in answered.json()["error"]["message"]


async def test_sections_that_are_left_out_still_name_what_they_need(installed: Product) -> None:
    answered = await put(installed, {"agents": [GENERAL]}, "?delete=true")
    messages = [each["message"] for each in answered.json()["errors"]]
    assert any("'it_support' is missing, and the rule vpn names it" in each for each in messages)
    assert any("'hr' is missing, and the router 'staff' names it" in each for each in messages)
    answered = await put(installed, {"providers": []}, "?delete=true")
    assert faults(answered) == {"providers": "model_in_use"}
    body = {"name": "intranet", "scopes": ["route"], "router": "staff"}
    assert (await installed.call("POST", "/v1/keys", body)).status == 201
    answered = await put(installed, {"routers": []}, "?delete=true")
    assert "named by key 'intranet'" in answered.json()["error"]["message"]


async def test_two_operators_do_not_overwrite_each_other(installed: Product) -> None:
    read = await installed.call("GET", PATH)
    etag = {"if-match": read.headers["etag"]}
    first = await put(installed, {"settings": {"max_retries": 0}}, "?delete=true", etag)
    assert first.status == 200
    second = await put(installed, {"settings": {"max_retries": 3}}, "?delete=true", etag)
    assert (second.status, second.json()["error"]["code"]) == (412, "changed_meanwhile")
    again = {"if-match": f'"other", W/{first.headers["etag"]}'}
    third = await put(installed, {"settings": {"max_retries": 3}}, "?delete=true", again)
    assert third.status == 200
    plan = await put(installed, {}, "?plan=true")
    assert plan.headers["etag"] == third.headers["etag"]


async def test_a_change_between_reading_and_writing_ends_the_whole_batch(
    installed: Product,
) -> None:
    before = (await installed.call("GET", PATH)).json()
    batch = installed.database.batch
    audit = installed.rows("SELECT id FROM audit")

    async def slower(statements: Any) -> Any:
        if statements[0].sql.startswith("INSERT INTO revision"):
            installed.execute("UPDATE agents SET updated_at = updated_at + 1 WHERE id = 'hr'")
        return await batch(statements)

    installed.database.batch = slower  # type: ignore[method-assign]
    answered = await put(installed, document(settings={"max_retries": 3}), "?delete=true")
    installed.database.batch = batch  # type: ignore[method-assign]
    assert (answered.status, answered.json()["error"]["code"]) == (412, "changed_meanwhile")
    assert (await installed.call("GET", PATH)).json() == before
    assert installed.rows("SELECT id FROM audit") == audit


async def test_how_to_sign_in_at_an_endpoint(installed: Product) -> None:
    agent = {**HR, "endpoint": "service:AGENT_HR/chat", "auth": {"bearer": "AGENT_TOKEN"}}
    plan = await applied(installed, document(agents=[IT, agent, GENERAL]))
    fields = {each["field"]: each["after"] for each in plan["changes"][0]["fields"]}
    shown = {"bearer": "AGENT_TOKEN", "identity": False}
    assert fields == {"endpoint": agent["endpoint"], "auth": shown}
    read = (await installed.call("GET", PATH)).json()
    assert read["agents"][1]["auth"] == shown
    assert (await applied(installed, read))["changes"] == []
    agent["endpoint"] = "https://elsewhere.example.com/"
    answered = await put(installed, document(agents=[IT, agent, GENERAL]))
    assert faults(answered) == {"agents[1].endpoint": "secret_host_not_allowed"}


async def test_labels_of_a_deleted_agent(installed: Product) -> None:
    await label_some(installed, count=1)
    without = document(agents=[IT, GENERAL], routers=[])
    await applied(installed, without, "?delete=true")
    answered = await put(installed, DOCUMENT)
    assert faults(answered) == {"agents[1].labels": "agent_has_labels"}
    kept = document(agents=[IT, {**HR, "labels": "keep"}, GENERAL])
    await applied(installed, kept)
    redefined = document(agents=[IT, {**HR, "description": "Cats."}, GENERAL])
    plan = await applied(installed, redefined)
    assert ["stay in force" in each for each in plan["warnings"]] == [True]
    aside = document(agents=[IT, {**HR, "labels": "set_aside"}, GENERAL])
    await applied(installed, aside)
    assert installed.rows("SELECT agent_id FROM current_labels") == []
    await label_some(installed, count=1)
    assert (await applied(installed, aside))["changes"] == []
    assert len(installed.rows("SELECT agent_id FROM current_labels")) == 1


async def test_a_classifier_of_a_router_is_no_part_of_the_document(installed: Product) -> None:
    installed.execute("""UPDATE routers SET settings = '{"classifier": "cls_1"}'""")
    installed.services.routing.forget()
    [router] = (await installed.call("GET", PATH)).json()["routers"]
    assert "classifier" not in router
    body = {"routers": [{**router, "name": "Staff"}]}
    assert lines(await applied(installed, body)) == ["update router staff"]
    shown = (await installed.call("GET", "/v1/routers/staff")).json()
    assert (shown["classifier"], shown["name"]) == ("cls_1", "Staff")
    await applied(installed, {"routers": [{**router, "classifier": "none"}]})
    shown = (await installed.call("GET", "/v1/routers/staff")).json()
    assert shown["classifier"] == "none"


async def test_as_much_as_there_may_be(empty_product: Product) -> None:
    """250 agents and 100 rules at once, within what D1 allows an invocation."""
    agents = [
        {"id": f"a{n}", "name": "Agent", "description": f"Number {n}.", "default": n == 7}
        for n in range(250)
    ]
    agents_alone = await applied(empty_product, {"agents": agents})
    assert agents_alone["counts"]["create"] == 250
    rules = [{"id": f"r{n}", "when": {}, "then": {"agent_id": f"a{n}"}} for n in range(100)]
    await applied(empty_product, {"agents": agents, "rules": rules})
    replaced = [{**each, "id": f"b{n}"} for n, each in enumerate(agents)]
    refused = await put(empty_product, {"agents": replaced, "rules": []}, "?delete=true")
    assert (refused.status, refused.json()["error"]["code"]) == (409, "too_many_changes")
    kept = {**rules[50], "then": {"agent_id": "a0"}}
    one = {"agents": [{**agents[0], "default": True}], "rules": [kept]}
    await applied(empty_product, one, "?delete=true")
    assert empty_product.rows("SELECT id, position FROM rules") == [{"id": "r50", "position": 1}]
    await applied(empty_product, {"agents": [], "rules": []}, "?delete=true")
