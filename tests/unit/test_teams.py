"""Teams, and what keys, users and teams may use together."""

from typing import Any

import pytest

from tests.unit.conftest import Answered, Product, says
from tests.unit.test_cloudflare_access import CLAIMS, KEY, come_in, guarded, runtime
from tests.unit.test_limits import create as create_key
from tests.unit.test_routers import create as create_router
from tests.unit.test_routers import message, refused

__all__ = ["guarded", "runtime"]

TEAMS = "/v1/teams"
GRANITE = "@cf/ibm-granite/granite-4.0-h-micro"
LLAMA = "@cf/meta/llama-3.2-1b-instruct"
AGENT_REFUSED = (403, "agent_not_allowed")
ROUTER_REFUSED = (403, "router_not_allowed")


async def create(product: Product, name: str = "finance", **fields: Any) -> Any:
    answered = await product.call("POST", TEAMS, {"name": name, **fields})
    assert answered.status == 201, answered.text
    return answered.json()


async def create_user(product: Product, **fields: Any) -> Any:
    body = {"email": "ada@example.com", "name": "Ada", "role": "admin", **fields}
    answered = await product.call("POST", "/v1/users", body)
    assert answered.status == 201, answered.text
    return answered.json()


async def route(product: Product, key: Any, **fields: Any) -> Answered:
    return await product.call("POST", "/v1/route", {"query": "Leave?", **fields}, key=key["key"])


# the API


async def test_create_read_change_delete(product: Product) -> None:
    made = await create(product, agents=["hr", "hr", "general"], models=[GRANITE])
    assert (made["object"], made["name"], made["router"]) == ("team", "finance", None)
    assert (made["agents"], made["models"]) == (["hr", "general"], [GRANITE])
    path = f"{TEAMS}/{made['id']}"
    assert (await product.call("GET", path)).json() == made
    product.clock.seconds += 1
    changed = (await product.call("PATCH", path, {"agents": None, "name": "Money"})).json()
    assert (changed["agents"], changed["models"], changed["name"]) == (None, [GRANITE], "Money")
    assert changed["updated_at"] > changed["created_at"]
    assert (await product.call("GET", TEAMS)).json()["data"] == [changed]
    deleted = await product.call("DELETE", path)
    assert deleted.json() == {"object": "team.deleted", "id": made["id"], "deleted": True}
    assert refused(await product.call("GET", path)) == (404, "unknown_team", "team_id")
    audit = (await product.call("GET", "/v1/audit?resource=team")).json()["data"]
    assert [each["action"] for each in audit] == ["delete", "update", "create"]


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"agents": []}, "agents", "invalid_value"),
        ({"agents": ["nobody"]}, "agents[0]", "unknown_agent"),
        ({"models": ["gpt-99"]}, "models[0]", "model_not_found"),
        ({"router": "nobody"}, "router", "unknown_router"),
    ],
)
@pytest.mark.parametrize("resource", ["teams", "users", "keys"])
async def test_only_what_exists_is_allowed(
    product: Product, resource: str, fields: dict[str, Any], param: str, code: str
) -> None:
    bodies: dict[str, dict[str, Any]] = {
        "teams": {"name": "A"},
        "users": {"email": "a@example.com", "name": "A", "role": "viewer"},
        "keys": {"name": "A", "scopes": ["route"]},
    }
    answered = await product.call("POST", f"/v1/{resource}", bodies[resource] | fields)
    assert refused(answered) == (400, code, param)
    made = (await product.call("POST", f"/v1/{resource}", bodies[resource])).json()
    answered = await product.call("PATCH", f"/v1/{resource}/{made['id']}", fields)
    assert refused(answered) == (400, code, param)


@pytest.mark.parametrize("resource", ["users", "keys"])
async def test_only_a_team_that_exists_is_joined(product: Product, resource: str) -> None:
    body: dict[str, Any] = {"name": "A", "team_id": "team_none"}
    if resource == "users":
        body |= {"email": "a@example.com", "role": "viewer"}
    else:
        body |= {"scopes": ["route"]}
    answered = await product.call("POST", f"/v1/{resource}", body)
    assert refused(answered) == (400, "unknown_team", "team_id")


async def test_a_team_with_members_stays(product: Product) -> None:
    team = await create(product)
    path = f"{TEAMS}/{team['id']}"
    key = await create_key(product, team_id=team["id"])
    person = await create_user(product, team_id=team["id"])
    answered = await product.call("DELETE", path)
    assert refused(answered) == (409, "team_in_use", None)
    assert "'ada@example.com'" in message(answered) and "key" in message(answered)
    await product.call("PATCH", f"/v1/users/{person['id']}", {"team_id": None})
    assert refused(await product.call("DELETE", path))[:2] == (409, "team_in_use")
    await product.call("DELETE", f"/v1/keys/{key['id']}")
    assert (await product.call("DELETE", path)).status == 200
    kept = (await product.call("GET", f"/v1/keys/{key['id']}")).json()
    assert kept["team_id"] is None and kept["revoked_at"]


async def test_every_change_of_a_team_raises_the_access_revision_alone(product: Product) -> None:
    for sql in (
        "INSERT INTO teams (id, name, created_at, updated_at) VALUES ('t', 'T', 0, 0)",
        "UPDATE teams SET agents = '[]'",
        "DELETE FROM teams",
    ):
        [before] = product.rows("SELECT value, access FROM revision")
        product.execute(sql)
        [after] = product.rows("SELECT value, access FROM revision")
        assert (after["value"], after["access"]) == (before["value"], before["access"] + 1)


# what they may use


async def test_a_key_may_use_what_its_team_may_too(product: Product) -> None:
    team = await create(product, agents=["hr", "it_support"])
    key = await create_key(product, team_id=team["id"], agents=["hr", "general"])
    product.gateway.enqueue(says("hr"))
    assert (await route(product, key)).json()["agent"]["id"] == "hr"
    assert (await product.logs())[0]["candidates"] == ["hr"]
    answered = await route(product, key, candidates=["general"])
    assert refused(answered) == (*AGENT_REFUSED, "candidates[0]")
    assert message(answered).startswith("This key's team 'finance' may not use the agent 'general'")
    answered = await route(product, key, candidates=["it_support"])
    assert message(answered).startswith("This key may not use the agent 'it_support'")


async def test_a_key_may_use_what_its_user_and_the_users_team_may(product: Product) -> None:
    team = await create(product, models=[GRANITE])
    person = await create_user(product, team_id=team["id"], agents=["hr"])
    key = await create_key(product, user_id=person["id"])
    product.gateway.enqueue(says("hr"))
    decision = (await route(product, key)).json()
    assert (decision["agent"]["id"], decision["model"]) == ("hr", GRANITE)
    answered = await route(product, key, candidates=["general"])
    assert message(answered).startswith("This key's user may not use the agent 'general'")
    answered = await route(product, key, model=LLAMA)
    assert refused(answered) == (403, "model_not_allowed", "model")
    assert message(answered).startswith("The user's team 'finance' may not use the model")


async def test_lists_without_anything_in_common_allow_nothing(product: Product) -> None:
    team = await create(product, agents=["it_support"])
    key = await create_key(product, team_id=team["id"], agents=["hr"])
    answered = await route(product, key)
    assert refused(answered) == (*AGENT_REFUSED, "candidates")
    assert "the key's and the team's" in message(answered)
    listed = (await product.call("GET", "/v1/models?type=agent", key=key["key"])).json()
    assert listed["data"] == []


async def test_a_change_of_a_team_holds_at_once(product: Product) -> None:
    team = await create(product)
    key = await create_key(product, team_id=team["id"])
    product.gateway.enqueue(says("hr"))
    assert (await route(product, key)).status == 200
    await product.call("PATCH", f"{TEAMS}/{team['id']}", {"agents": ["general"]})
    assert refused(await route(product, key, candidates=["hr"]))[:2] == AGENT_REFUSED
    await product.call("PATCH", f"/v1/keys/{key['id']}", {"team_id": None})
    assert (await route(product, key, candidates=["hr"])).status == 200


async def test_a_known_key_of_a_team_costs_no_read(product: Product) -> None:
    team = await create(product, agents=["hr"])
    key = await create_key(product, team_id=team["id"])
    product.gateway.enqueue(says("hr"))
    await route(product, key)
    product.database.statements.clear()
    product.gateway.enqueue(says("hr"))
    await route(product, key)
    reads = [one.sql for one in product.database.statements if one.sql.startswith("SELECT")]
    assert not [sql for sql in reads if "FROM keys" in sql or "FROM teams" in sql]


# routers


async def test_the_router_of_a_key_is_its_auto(product: Product) -> None:
    await create_router(product, "people", agents=["hr"])
    await create_router(product, "other")
    key = await create_key(product, router="people")
    product.gateway.enqueue(says("hr"))
    assert (await route(product, key)).status == 200
    assert (await route(product, key, router="people")).status == 200
    assert [row["router"] for row in await product.logs()] == ["people", "people"]
    for name in ("other", "default", "nobody"):
        answered = await route(product, key, router=name)
        assert refused(answered) == (*ROUTER_REFUSED, "router")
        body = {"model": f"auto:{name}", "messages": [{"role": "user", "content": "Hi"}]}
        answered = await product.call("POST", "/v1/chat/completions", body, key=key["key"])
        assert refused(answered) == (*ROUTER_REFUSED, "model")
        assert message(answered) == (f"This key may use the router 'people' alone, not {name!r}.")
    listed = (await product.call("GET", "/v1/models?type=router", key=key["key"])).json()
    assert [each["id"] for each in listed["data"]] == ["auto", "auto:people"]
    me = (await product.call("GET", "/v1/me", key=key["key"])).json()
    assert (me["router"], me["agents"]) == ("people", None)


async def test_a_key_and_its_team_with_two_routers_may_use_none(product: Product) -> None:
    for name in ("people", "desk"):
        await create_router(product, name)
    team = await create(product, router="desk")
    key = await create_key(product, router="people", team_id=team["id"])
    answered = await route(product, key)
    assert refused(answered) == (*ROUTER_REFUSED, "router")
    assert "team 'finance' may use the router 'desk' alone, not 'people'" in message(answered)
    await product.call("PATCH", f"/v1/keys/{key['id']}", {"router": None})
    product.gateway.enqueue(says("hr"))
    assert (await route(product, key)).status == 200
    assert (await product.logs())[0]["router"] == "desk"


async def test_a_key_whose_agents_are_not_in_its_router_is_told_so(product: Product) -> None:
    await create_router(product, "people", agents=["hr"])
    key = await create_key(product, router="people", agents=["it_support"])
    answered = await route(product, key)
    assert refused(answered) == (*AGENT_REFUSED, "candidates")
    assert "'people'" in message(answered)


async def test_the_models_of_a_key_hold_in_every_router(product: Product) -> None:
    await create_router(product, "small", routing_model=GRANITE, fallback_models=[])
    key = await create_key(product, models=[LLAMA])
    answered = await route(product, key, router="small")
    assert refused(answered) == (403, "model_not_allowed", "model")
    listed = (await product.call("GET", "/v1/models?type=router", key=key["key"])).json()
    assert [each["id"] for each in listed["data"]] == ["auto"]


# users of Cloudflare Access


async def test_a_user_of_access_may_use_what_the_user_and_the_team_may(guarded: Product) -> None:
    for agent in ("hr", "it"):
        body = {"id": agent, "name": agent, "description": agent}
        await guarded.call("POST", "/v1/agents", body)
    await create_router(guarded, "people", agents=["hr"])
    [person] = (await guarded.call("GET", "/v1/users?email=ada@example.com")).json()["data"]
    team = await create(guarded, router="people")
    path = f"/v1/users/{person['id']}"
    assert (await guarded.call("PATCH", path, {"team_id": team["id"]})).json()["team_id"]
    token = KEY.token(CLAIMS)
    guarded.gateway.enqueue(says("hr"))
    routed = await come_in(guarded, token, "POST", "/v1/route", body={"query": "Who?"})
    assert routed.json()["agent"]["id"] == "hr"
    body = {"query": "Who?", "router": "default"}
    answered = await come_in(guarded, token, "POST", "/v1/route", body=body)
    assert refused(answered) == (*ROUTER_REFUSED, "router")
    assert message(answered).startswith("This user's team 'finance'")
    me = (await come_in(guarded, token, "GET", "/v1/me")).json()
    assert (me["email"], me["router"]) == ("ada@example.com", "people")
