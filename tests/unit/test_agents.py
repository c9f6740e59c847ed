"""Agents over the API, in process."""

from typing import Any

import pytest

from edgeneuro.domain.query import query_hash
from tests.unit.conftest import HR, Answered, Product, says


async def defaults(product: Product) -> list[str]:
    page = (await product.call("GET", "/v1/agents")).json()
    return [agent["id"] for agent in page["data"] if agent["default"]]


async def test_create_and_read(empty_product: Product) -> None:
    body = {
        "id": "legal",
        "name": "Legal",
        "description": "Contracts.",
        "examples": ["Check this NDA"],
        "endpoint": "https://agents.example.com/legal",
        "protocol": "a2a",
        "system_prompt": "You are a lawyer.",
        "model": "@cf/meta/llama-3.2-3b-instruct",
    }
    created = await empty_product.call("POST", "/v1/agents", body)
    assert created.status == 201
    agent = created.json()
    assert {name: agent[name] for name in body} == body
    assert (agent["enabled"], agent["default"]) == (True, True)  # the first one
    assert agent["created_at"] == agent["updated_at"] == "2027-01-15T08:00:00.000Z"
    assert (await empty_product.call("GET", "/v1/agents/legal")).json() == agent


async def test_pages_by_cursor(product: Product) -> None:
    first = (await product.call("GET", "/v1/agents?limit=2")).json()
    assert [agent["id"] for agent in first["data"]] == ["general", "hr"]
    assert (first["has_more"], first["last_id"]) == (True, "hr")
    rest = (await product.call("GET", f"/v1/agents?limit=2&after={first['last_id']}")).json()
    assert [agent["id"] for agent in rest["data"]] == ["it_support"]
    assert (rest["object"], rest["has_more"]) == ("list", False)


async def test_patch_knows_omitted_null_and_value(product: Product) -> None:
    path = "/v1/agents/hr"
    await product.call(
        "PATCH", path, {"endpoint": "https://a.example", "system_prompt": "Be kind."}
    )
    product.clock.seconds += 1
    patched = (await product.call("PATCH", path, {"endpoint": None, "name": "People"})).json()
    assert (patched["endpoint"], patched["system_prompt"]) == (None, "Be kind.")
    assert (patched["name"], patched["description"]) == ("People", HR["description"])
    assert patched["updated_at"] > patched["created_at"]


async def test_an_agent_speaks_openai_unless_it_says_otherwise(product: Product) -> None:
    path = "/v1/agents/hr"
    assert (await product.call("GET", path)).json()["protocol"] == "openai"
    change = {"endpoint": "https://a.example", "protocol": "handoff"}
    assert (await product.call("PATCH", path, change)).status == 200
    assert (await product.call("GET", path)).json()["protocol"] == "handoff"
    assert (await product.services.routing.current()).agents["hr"].protocol == "handoff"


@pytest.mark.parametrize("change", [{"endpoint": None}, {"endpoint": None, "protocol": "a2a"}])
async def test_a_protocol_other_than_openai_needs_an_endpoint(
    product: Product, change: dict[str, Any]
) -> None:
    path = "/v1/agents/hr"
    await product.call("PATCH", path, {"endpoint": "https://a.example", "protocol": "handoff"})
    refused = [
        await product.call("PATCH", path, change),
        await product.call("PATCH", "/v1/agents/general", {"protocol": "a2a"}),
        await product.call("POST", "/v1/agents", {**HR, "id": "new", "protocol": "handoff"}),
    ]
    for answered in refused:
        assert (answered.status, answered.json()["error"]["param"]) == (400, "endpoint")
    agent = (await product.call("GET", path)).json()
    assert (agent["endpoint"], agent["protocol"]) == ("https://a.example", "handoff")


async def test_an_empty_patch_changes_nothing(product: Product) -> None:
    before = (await product.call("GET", "/v1/agents/hr")).json()
    after = (await product.call("PATCH", "/v1/agents/hr", {})).json()
    assert after == before


async def test_exactly_one_default(product: Product) -> None:
    assert await defaults(product) == ["general"]
    await product.call("PATCH", "/v1/agents/hr", {"default": True})
    assert await defaults(product) == ["hr"]
    await product.call("POST", "/v1/agents", {**HR, "id": "new", "default": True})
    assert await defaults(product) == ["new"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/v1/agents/general", {"default": False}),
        ("PATCH", "/v1/agents/general", {"enabled": False}),
        ("PATCH", "/v1/agents/hr", {"enabled": False, "default": True}),
        ("DELETE", "/v1/agents/general", None),
        ("POST", "/v1/agents", {**HR, "id": "new", "enabled": False, "default": True}),
    ],
)
async def test_the_default_agent_cannot_go_away(
    product: Product, method: str, path: str, body: Any
) -> None:
    answered = await product.call(method, path, body)
    assert (answered.status, answered.json()["error"]["code"]) == (409, "default_agent")
    assert await defaults(product) == ["general"]


async def test_making_an_unknown_agent_the_default_changes_nothing(product: Product) -> None:
    answered = await product.call("PATCH", "/v1/agents/nobody", {"default": True})
    assert answered.status == 404
    assert await defaults(product) == ["general"]


async def test_the_last_agent_may_be_deleted(product: Product) -> None:
    for agent_id in ("hr", "it_support", "general"):
        answered = await product.call("DELETE", f"/v1/agents/{agent_id}")
        assert answered.json() == {"object": "agent.deleted", "id": agent_id, "deleted": True}
    assert (await product.call("GET", "/v1/agents")).json()["data"] == []


async def test_a_taken_id_is_a_conflict_and_changes_nothing(product: Product) -> None:
    answered = await product.call("POST", "/v1/agents", {**HR, "name": "X", "default": True})
    assert (answered.status, answered.json()["error"]["code"]) == (409, "agent_exists")
    assert (await product.call("GET", "/v1/agents/hr")).json()["name"] == HR["name"]
    assert await defaults(product) == ["general"]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"id": "No Spaces"}, "id"),
        ({"id": "none"}, "id"),
        ({"id": "a" * 65}, "id"),
        ({"id": "trailing\n"}, "id"),
        ({"name": " "}, "name"),
        ({"name": 7}, "name"),
        ({"name": None}, "name"),
        ({"description": "d" * 1001}, "description"),
        ({"examples": ["ok", ""]}, "examples[1]"),
        ({"examples": ["e"] * 21}, "examples"),
        ({"protocol": "grpc"}, "protocol"),
        ({"protocol": None}, "protocol"),
        ({"endpoint": "http://plain.example"}, "endpoint"),
        ({"endpoint": "https://x\r\ninjected: 1"}, "endpoint"),
        ({"enabled": "yes"}, "enabled"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_bad_fields_are_named(product: Product, change: dict[str, Any], param: str) -> None:
    answered = await product.call("POST", "/v1/agents", {**HR, "id": "new", **change})
    error = answered.json()["error"]
    assert (answered.status, error["type"]) == (400, "invalid_request_error")
    assert error["param"] == param
    assert error["message"].startswith(f"{param}: ")


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
async def test_an_unknown_agent_is_a_404(product: Product, method: str) -> None:
    answered = await product.call(method, "/v1/agents/nobody", {} if method == "PATCH" else None)
    assert (answered.status, answered.json()["error"]["code"]) == (404, "unknown_agent")


async def test_there_is_a_limit(product: Product) -> None:
    product.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 247)"
        " INSERT INTO agents"
        " SELECT 'a' || i, 'n', 'd', '[]', NULL, NULL, NULL, 1, 0, 0, 0, 'openai', NULL, 0 FROM n"
    )
    answered = await product.call("POST", "/v1/agents", {**HR, "id": "one_too_many"})
    assert (answered.status, answered.json()["error"]["code"]) == (409, "too_many_agents")


# The labels of an agent that was deleted, or means something else now


async def label_some(product: Product, agent_id: str = "hr", *, count: int = 3) -> None:
    items = [{"query": f"{agent_id} question {n}", "agent_id": agent_id} for n in range(count)]
    assert (await product.call("POST", "/v1/labels", items)).status == 200


async def labels_of(product: Product, agent_id: str = "hr") -> list[str]:
    page = (await product.call("GET", f"/v1/labels?agent={agent_id}")).json()
    return sorted(label["query"] for label in page["data"])


async def create_hr(product: Product, **more: Any) -> Answered:
    return await product.call("POST", "/v1/agents", {**HR, "description": "Harbours.", **more})


async def test_a_deleted_agents_labels_hold_for_a_new_one_only_if_it_says_so(
    product: Product,
) -> None:
    await label_some(product)
    assert (await create_hr(product)).json()["error"]["code"] == "agent_exists"
    assert (await product.call("DELETE", "/v1/agents/hr")).status == 200
    refused = (await create_hr(product)).json()["error"]
    assert (refused["code"], refused["param"]) == ("agent_has_labels", "labels")
    assert refused["message"].startswith("3 labels name the agent 'hr', which was deleted.")
    assert (await product.call("GET", "/v1/agents/hr")).status == 404
    kept = await create_hr(product, labels="keep")
    assert kept.json()["labels"] == {"kept": 3, "set_aside": 0, "warning": None}
    assert len(await labels_of(product)) == 3


async def test_labels_are_set_aside_and_their_history_stays(product: Product) -> None:
    await label_some(product)
    await label_some(product, "it_support")
    assert (await product.route("hr question 1")).json()["layer"] == "label"
    await product.call("DELETE", "/v1/agents/hr")
    made = await create_hr(product, labels="set_aside")
    assert made.status == 201, made.text
    assert made.json()["labels"] == {"kept": 0, "set_aside": 3, "warning": None}
    assert (await labels_of(product), len(await labels_of(product, "it_support"))) == ([], 3)
    product.gateway.enqueue(says("general"))
    assert (await product.route("hr question 1")).json()["layer"] == "llm"
    key = query_hash("hr question 1")
    history = (await product.call("GET", f"/v1/labels/{key}/history")).json()["data"]
    assert [(each["agent_id"], each["withdrawn"]) for each in history] == [("hr", True)]
    await label_some(product, count=1)
    assert await labels_of(product) == ["hr question 0"]


async def test_anothers_vote_comes_into_force(product: Product) -> None:
    await label_some(product, "it_support", count=1)
    product.execute("UPDATE labels SET labeler = 'key_2'")
    item = [{"query": "it_support question 0", "agent_id": "hr"}]
    await product.call("POST", "/v1/labels", item)
    assert await labels_of(product) == ["it_support question 0"]
    changed = await product.call("PATCH", "/v1/agents/hr", {"labels": "set_aside"})
    assert changed.json()["labels"]["set_aside"] == 1
    assert await labels_of(product, "it_support") == ["it_support question 0"]


@pytest.mark.parametrize(
    ("change", "warns"),
    [
        ({"description": "Harbours."}, True),
        ({"description": HR["description"].upper()}, False),
        ({"description": "Harbours.", "labels": "keep"}, False),
        ({"examples": ["Pay?", "Leave?", "Notice?"]}, False),
        ({"examples": ["Pay?", "Docks?", "Boats?"]}, True),
        ({"name": "People"}, False),
        ({"enabled": False}, False),
    ],
)
async def test_a_change_of_meaning_warns_of_the_labels(
    product: Product, change: dict[str, Any], warns: bool
) -> None:
    await product.call("PATCH", "/v1/agents/hr", {"examples": ["Pay?", "Leave?"]})
    assert "labels" not in (await product.call("PATCH", "/v1/agents/hr", {})).json()
    await label_some(product)
    changed = (await product.call("PATCH", "/v1/agents/hr", change)).json()
    assert (changed["labels"]["kept"], changed["labels"]["set_aside"]) == (3, 0)
    assert (changed["labels"]["warning"] is not None) == warns
    assert len(await labels_of(product)) == 3


# Demonstration agents


async def demonstrate(product: Product, *agent_ids: str) -> None:
    for agent_id in agent_ids:
        product.execute(f"UPDATE agents SET demonstration = 1 WHERE id = '{agent_id}'")


async def remove_demonstration(product: Product, query: str = "") -> Answered:
    return await product.call("DELETE", f"/v1/agents?demonstration=true{query}")


async def test_demonstration_agents_go_in_one_request(product: Product) -> None:
    await demonstrate(product, "it_support", "hr", "general")
    assert (await product.call("GET", "/v1/agents/hr")).json()["demonstration"] is True
    answered = (await remove_demonstration(product)).json()
    assert (answered["deleted"], answered["default_agent"]) == (
        ["general", "hr", "it_support"],
        None,
    )
    assert (await product.call("GET", "/v1/agents")).json()["data"] == []
    again = await remove_demonstration(product)
    assert (again.status, again.json()["deleted"]) == (200, [])
    assert len(product.rows("SELECT id FROM audit WHERE action = 'delete'")) == 3


async def test_ones_own_agents_stay_and_one_is_the_fallback_agent(product: Product) -> None:
    await demonstrate(product, "general", "hr")
    for own in ("mine", "yours"):
        await product.call("POST", "/v1/agents", {**HR, "id": own, "enabled": own == "mine"})
    refused = await remove_demonstration(product)
    assert (refused.status, refused.json()["error"]["code"]) == (409, "default_agent")
    for wrong in ("hr", "yours", "nobody"):
        answered = await remove_demonstration(product, f"&default={wrong}")
        assert (answered.status, answered.json()["error"]["code"]) == (400, "unknown_agent")
    answered = await remove_demonstration(product, "&default=mine")
    assert answered.json()["default_agent"] == "mine"
    assert await defaults(product) == ["mine"]
    rows = product.rows("SELECT id FROM agents ORDER BY id")
    assert [row["id"] for row in rows] == ["it_support", "mine", "yours"]


async def test_the_only_other_agent_becomes_the_fallback_agent(product: Product) -> None:
    await demonstrate(product, "general", "hr")
    answered = await remove_demonstration(product)
    assert (answered.status, answered.json()["default_agent"]) == (200, "it_support")


async def test_an_agent_that_was_changed_is_ones_own(product: Product) -> None:
    await demonstrate(product, "hr", "it_support")
    await product.call("PATCH", "/v1/agents/hr", {"description": "Our own."})
    await product.call("PATCH", "/v1/agents/it_support", {"enabled": False})
    answered = await remove_demonstration(product)
    assert answered.json()["deleted"] == ["it_support"]
    assert "demonstration" not in (await product.call("GET", "/v1/agents/hr")).json()
    for query in ("", "?demonstration=false"):
        refused = await product.call("DELETE", f"/v1/agents{query}")
        assert (refused.status, refused.json()["error"]["param"]) == (400, "demonstration")
