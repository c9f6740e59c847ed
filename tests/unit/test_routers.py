"""Several routers in one installation: over the API, and in everything that routes."""

from typing import Any

import pytest

from edgeneuro.errors import UpstreamNotConfiguredError
from tests.unit.chats import LLAMA, talks, user
from tests.unit.conftest import Answered, Product, says
from tests.unit.decisions import choice, decisions, systemone
from tests.unit.test_label_layer import put_label
from tests.unit.test_limits import create as create_key

ROUTERS = "/v1/routers"
GRANITE = "@cf/ibm-granite/granite-4.0-h-micro"
QWEN = "@cf/qwen/qwen2.5-coder-32b-instruct"
UNKNOWN = (404, "unknown_router")


async def create(product: Product, router_id: str, **fields: Any) -> Any:
    answered = await product.call("POST", ROUTERS, {"id": router_id, **fields})
    assert answered.status == 201, answered.text
    return answered.json()


async def route(product: Product, query: str = "Leave?", **fields: Any) -> Any:
    answered = await product.route(query, **fields)
    assert answered.status == 200, answered.text
    return answered.json()


def refused(answered: Answered) -> tuple[int, str, str | None]:
    error = answered.json()["error"]
    return answered.status, error["code"], error["param"]


def message(answered: Answered) -> str:
    text: str = answered.json()["error"]["message"]
    return text


async def talk(product: Product, model: str, **fields: Any) -> Answered:
    body = {"model": model, "messages": [user()], **fields}
    return await product.call("POST", "/v1/chat/completions", body)


# the API


async def test_create_read_change_delete(product: Product) -> None:
    made = await create(
        product, "people", name="People", agents=["hr", "general"], confidence_threshold=0.8
    )
    assert (made["object"], made["agents"], made["default_agent"]) == (
        "router",
        ["hr", "general"],
        None,
    )
    assert (made["confidence_threshold"], made["on_no_fit"], made["classifier"]) == (
        0.8,
        None,
        None,
    )
    path = f"{ROUTERS}/people"
    assert (await product.call("GET", path)).json() == made
    product.clock.seconds += 1
    changes = {"default_agent": "hr", "confidence_threshold": None, "on_no_fit": "none"}
    changed = (await product.call("PATCH", path, changes)).json()
    assert {name: changed[name] for name in changes} == changes
    assert (changed["agents"], changed["name"]) == (made["agents"], "People")
    assert changed["updated_at"] > changed["created_at"] == made["created_at"]
    page = (await product.call("GET", ROUTERS)).json()
    default, listed = page["data"]
    assert listed == changed
    assert (default["id"], default["agents"], default["default_agent"]) == (
        "default",
        None,
        "general",
    )
    assert (default["confidence_threshold"], default["routing_model"]) == (0.5, LLAMA)
    assert (await product.call("GET", f"{ROUTERS}/default")).json() == default
    deleted = await product.call("DELETE", path)
    assert deleted.json() == {"object": "router.deleted", "id": "people", "deleted": True}
    assert refused(await product.call("GET", path)) == (*UNKNOWN, "router_id")
    audit = (await product.call("GET", "/v1/audit?resource=router")).json()["data"]
    assert [each["action"] for each in audit] == ["delete", "update", "create"]
    assert (audit[1]["before"]["on_no_fit"], audit[1]["after"]["on_no_fit"]) == (None, "none")


async def test_every_change_raises_the_routing_revision(product: Product) -> None:
    def revision() -> int:
        [row] = product.rows("SELECT value FROM revision")
        return int(row["value"])

    for method, path, body in (
        ("POST", ROUTERS, {"id": "r"}),
        ("PATCH", f"{ROUTERS}/r", {"name": "R"}),
        ("DELETE", f"{ROUTERS}/r", None),
    ):
        before = revision()
        assert (await product.call(method, path, body)).status < 300
        assert revision() == before + 1


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"id": "Sales"}, "id", "invalid_value"),
        ({"agents": []}, "agents", "invalid_value"),
        ({"agents": ["hr", "nobody"]}, "agents[1]", "unknown_agent"),
        ({"default_agent": "nobody"}, "default_agent", "unknown_agent"),
        ({"agents": ["hr"], "default_agent": "general"}, "default_agent", "invalid_value"),
        ({"routing_model": "gpt-99"}, "routing_model", "model_not_found"),
        ({"fallback_models": [LLAMA, "gpt-99"]}, "fallback_models[1]", "model_not_found"),
        ({"classifier": "clf_none"}, "classifier", "classifier_not_found"),
        ({"confidence_threshold": 2}, "confidence_threshold", "invalid_value"),
        ({"log_queries": False}, "log_queries", "unknown_field"),
    ],
)
async def test_what_is_refused(
    product: Product, fields: dict[str, Any], param: str, code: str
) -> None:
    answered = await product.call("POST", ROUTERS, {"id": "sales", **fields})
    assert refused(answered) == (400, code, param)
    assert product.rows("SELECT id FROM routers") == []


async def test_the_default_router_is_the_installation(product: Product) -> None:
    for method, path, body, expected in (
        ("POST", ROUTERS, {"id": "default"}, (409, "router_exists", "id")),
        ("PATCH", f"{ROUTERS}/default", {"name": "X"}, (409, "default_router", "router_id")),
        ("DELETE", f"{ROUTERS}/default", None, (409, "default_router", "router_id")),
    ):
        assert refused(await product.call(method, path, body)) == expected
    await create(product, "sales")
    answered = await product.call("POST", ROUTERS, {"id": "sales"})
    assert refused(answered) == (409, "router_exists", "id")


async def test_a_change_of_the_agents_keeps_the_fallback_agent_among_them(
    product: Product,
) -> None:
    await create(product, "people", agents=["hr", "general"], default_agent="hr")
    answered = await product.call("PATCH", f"{ROUTERS}/people", {"agents": ["general"]})
    assert refused(answered) == (400, "invalid_value", "default_agent")
    both = {"agents": ["general"], "default_agent": None}
    assert (await product.call("PATCH", f"{ROUTERS}/people", both)).status == 200


async def test_there_are_at_most_50(product: Product) -> None:
    for number in range(50):
        await create(product, f"r{number}")
    answered = await product.call("POST", ROUTERS, {"id": "one_more"})
    assert refused(answered) == (409, "too_many_routers", None)
    assert len((await product.call("GET", ROUTERS)).json()["data"]) == 51


async def test_a_router_that_is_named_stays(product: Product) -> None:
    await create(product, "people")
    path = f"{ROUTERS}/people"
    key = await create_key(product, router="people")
    team = (await product.call("POST", "/v1/teams", {"name": "A", "router": "people"})).json()
    person = {"email": "a@example.com", "name": "A", "role": "viewer", "router": "people"}
    user_id = (await product.call("POST", "/v1/users", person)).json()["id"]
    rule = {"when": {}, "then": {"prefer": "hr"}, "router": "people"}
    rule_id = (await product.call("POST", "/v1/rules", rule)).json()["id"]
    answered = await product.call("DELETE", path)
    assert refused(answered) == (409, "router_in_use", None)
    for kind in ("key", "user 'a@example.com'", "team 'A'", f"rule '{rule_id}'"):
        assert kind in message(answered)
    await product.call("DELETE", f"/v1/keys/{key['id']}")  # a revoked key uses no router
    await product.call("PATCH", f"/v1/teams/{team['id']}", {"router": None})
    await product.call("PATCH", f"/v1/users/{user_id}", {"router": None})
    assert refused(await product.call("DELETE", path))[:2] == (409, "router_in_use")
    await product.call("PATCH", f"/v1/rules/{rule_id}", {"router": None})
    assert (await product.call("DELETE", path)).status == 200


async def test_a_model_and_a_classifier_of_a_router_stay(product: Product) -> None:
    await create(product, "people", routing_model=GRANITE)
    answered = await product.call("DELETE", f"/v1/models/{GRANITE}")
    assert refused(answered) == (409, "model_active", None)
    assert "'people'" in message(answered)


async def test_a_damaged_router_keeps_nothing_else_from_being_read(product: Product) -> None:
    product.execute(
        "INSERT INTO routers (id, agents, settings, created_at, updated_at) VALUES"
        " ('broken', '{', '{}', 0, 0), ('odd', NULL, '{\"confidence_threshold\": 7, \"gone\": 1,"
        ' "on_no_fit": "none"}\', 0, 0)'
    )
    product.gateway.enqueue(says("hr", 0.6), says("hr", 0.4))
    assert (await route(product))["agent"]["id"] == "hr"
    odd = (await product.call("GET", f"{ROUTERS}/odd")).json()
    assert (odd["confidence_threshold"], odd["on_no_fit"]) == (None, "none")
    assert (await route(product, "Other?", router="odd"))["outcome"] == "none"
    assert refused(await product.route("x", router="broken")) == (*UNKNOWN, "router")


# routing


async def test_each_router_has_its_agents_threshold_and_fallback(product: Product) -> None:
    await create(product, "people", agents=["hr", "general"], confidence_threshold=0.95)
    await create(product, "support", agents=["it_support", "hr"], default_agent="it_support")
    product.gateway.enqueue(says("hr", 0.9), says("hr", 0.9), says("hr", 0.2))
    assert (await route(product))["outcome"] == "agent"
    strict = await route(product, router="people", explain=True)
    assert (strict["outcome"], strict["agent"]["id"], strict["reason"]) == (
        "fallback",
        "general",
        "low_confidence",
    )
    assert strict["explanation"]["threshold"] == 0.95
    prompt = product.gateway.requests[1].messages[0]["content"]
    assert "it_support" not in prompt
    own = await route(product, router="support")
    assert (own["outcome"], own["agent"]["id"]) == ("fallback", "it_support")
    assert [row["router"] for row in await product.logs()] == ["support", "people", None]
    entry = (await product.call("GET", f"/v1/logs/{strict['id']}")).json()
    assert "it_support" not in entry["messages"][0]["content"]


async def test_without_a_fallback_agent_among_its_agents_nobody_answers(product: Product) -> None:
    await create(product, "support", agents=["hr", "it_support"])
    product.gateway.enqueue(says("hr", 0.2))
    nobody = await route(product, router="support")
    assert (nobody["outcome"], nobody["agent"]) == ("none", None)
    # Its own fallback agent is disabled: the installation's is not in it, so nobody again.
    await product.call("PATCH", f"{ROUTERS}/support", {"default_agent": "hr"})
    await product.call("PATCH", "/v1/agents/hr", {"enabled": False})
    product.gateway.enqueue(says("it_support", 0.2))
    assert (await route(product, "Other?", router="support"))["outcome"] == "none"


async def test_a_router_without_an_enabled_agent_says_so(product: Product) -> None:
    await create(product, "people", agents=["hr"])
    await product.call("PATCH", "/v1/agents/hr", {"enabled": False})
    for answered in (
        await product.route("x", router="people"),
        await talk(product, "auto:people"),
    ):
        assert refused(answered)[:2] == (409, "not_configured")
        assert "'people'" in message(answered)
    await product.call("DELETE", "/v1/agents/hr")
    assert refused(await product.route("x", router="people"))[:2] == (409, "not_configured")


async def test_only_its_agents_are_candidates(product: Product) -> None:
    await create(product, "people", agents=["hr", "general"])
    answered = await product.route("x", router="people", candidates=["hr", "it_support"])
    assert refused(answered) == (400, "unknown_agent", "candidates[1]")
    assert "'people'" in message(answered)


@pytest.mark.parametrize("name", ["nobody", "people2", "peopl"])
async def test_an_unknown_router_is_a_404(product: Product, name: str) -> None:
    await create(product, "people")
    assert refused(await product.route("x", router=name)) == (*UNKNOWN, "router")
    assert refused(await talk(product, f"auto:{name}")) == (*UNKNOWN, "model")
    answered = await product.call("GET", f"/v1/models/auto:{name}")
    assert answered.status == 404


async def test_names_are_not_folded(product: Product) -> None:
    await create(product, "people")
    assert refused(await product.route("x", router="People")) == (400, "invalid_value", "router")
    for name in ("auto:People", "auto:", "auto:people ", "AUTO:people"):
        assert (await talk(product, name)).status == 404, name
    assert product.gateway.requests == []


async def test_the_default_router_may_be_named(product: Product) -> None:
    product.gateway.enqueue(says("hr"), says("hr"), talks())
    named = await route(product, router="default")
    assert (await route(product))["cache"] == "hit"
    assert named["agent"]["id"] == "hr"
    assert (await talk(product, "auto:default")).status == 200


async def test_routers_with_the_same_agents_share_cached_rankings_and_no_thresholds(
    product: Product,
) -> None:
    await create(product, "strict", confidence_threshold=0.95)
    product.gateway.enqueue(says("hr", 0.9))
    assert (await route(product))["outcome"] == "agent"
    strict = await route(product, router="strict")
    assert (strict["cache"], strict["outcome"], strict["agent"]["id"]) == (
        "hit",
        "fallback",
        "general",
    )


async def test_a_cached_ranking_of_other_agents_is_not_used(product: Product) -> None:
    await create(product, "people", agents=["hr", "general"])
    product.gateway.enqueue(says("it_support"), says("hr"))
    await route(product)
    own = await route(product, router="people")
    assert (own["cache"], own["agent"]["id"]) == ("miss", "hr")


async def test_a_label_counts_where_its_agent_is(product: Product) -> None:
    await create(product, "people", agents=["hr", "general"])
    await put_label(product, "Leave?", "it_support")
    product.gateway.enqueue(says("hr"))
    assert (await route(product))["layer"] == "label"
    other = await route(product, router="people", explain=True)
    assert (other["layer"], other["agent"]["id"]) == ("llm", "hr")
    assert "not enabled" in other["explanation"]["label"]


async def test_a_router_has_its_own_models(product: Product) -> None:
    await create(product, "people", routing_model=GRANITE, fallback_models=[LLAMA])
    product.gateway.enqueue(*[UpstreamNotConfiguredError("gone")] * 2)
    await product.route("x", router="people")
    assert [each.model for each in product.gateway.requests] == [GRANITE, LLAMA]
    # Without its own fallback models it has the installation's, but for the active one.
    await product.call("PATCH", f"{ROUTERS}/people", {"fallback_models": None})
    product.gateway.enqueue(*[UpstreamNotConfiguredError("gone")] * 2)
    await product.route("y", router="people")
    assert [each.model for each in product.gateway.requests[2:]] == [GRANITE]


async def test_a_model_that_is_gone_gives_way_to_the_active_one(product: Product) -> None:
    await create(product, "people", routing_model=GRANITE)
    product.execute('UPDATE routers SET settings = \'{"routing_model": "gone"}\'')
    product.services.routing.forget()
    product.gateway.enqueue(says("hr"))
    assert (await route(product, router="people"))["model"] == LLAMA


async def test_a_change_of_a_router_holds_at_once_and_in_other_isolates_soon(
    product: Product,
) -> None:
    await create(product, "people", confidence_threshold=0.95)
    product.gateway.enqueue(says("hr", 0.9))
    assert (await route(product, router="people"))["outcome"] == "fallback"
    await product.call("PATCH", f"{ROUTERS}/people", {"confidence_threshold": 0.5})
    assert (await route(product, router="people"))["outcome"] == "agent"
    product.execute("UPDATE routers SET settings = '{\"confidence_threshold\": 0.95}'")
    product.clock.seconds += 6
    assert (await route(product, router="people"))["outcome"] == "fallback"


async def test_the_challenger_is_compared_in_the_default_router_alone(product: Product) -> None:
    await create(product, "people", agents=["hr", "general"])
    selection = {"model_id": "@cf/zai-org/glm-4.7-flash", "challenger": 100}
    assert (await product.call("POST", "/v1/models/select", selection)).status == 200
    product.gateway.enqueue(says("hr"))
    await route(product, router="people")
    assert len(product.gateway.requests) == 1


# rules


async def test_a_rule_holds_in_its_router_alone(product: Product) -> None:
    await create(product, "people", agents=["hr", "general"])
    for rule in (
        {"when": {"words": ["leave"]}, "then": {"agent_id": "hr"}, "router": "people"},
        {"when": {"words": ["leave"]}, "then": {"agent_id": "it_support"}, "router": "default"},
        {"when": {"words": ["bye"]}, "then": {"agent_id": "general"}},
    ):
        assert (await product.call("POST", "/v1/rules", rule)).status == 201
    assert (await route(product))["agent"]["id"] == "it_support"
    assert (await route(product, router="people"))["agent"]["id"] == "hr"
    for router in ("default", "people"):
        assert (await route(product, "Bye", router=router))["agent"]["id"] == "general"


async def test_a_rule_for_an_agent_outside_the_router_is_skipped(product: Product) -> None:
    await create(product, "people", agents=["hr", "general"])
    rule = {"when": {}, "then": {"agent_id": "it_support"}}
    await product.call("POST", "/v1/rules", rule)
    product.gateway.enqueue(says("hr"))
    decision = await route(product, router="people", explain=True)
    assert (decision["agent"]["id"], decision["layer"]) == ("hr", "llm")
    assert "not in this router" in decision["explanation"]["stages"][0]["reason"]


async def test_a_rule_is_tested_against_the_decisions_of_its_router(product: Product) -> None:
    await create(product, "people", agents=["hr", "general"])
    product.gateway.enqueue(says("it_support"), says("general"))
    await route(product)
    own = await route(product, router="people")
    rule = {"when": {"words": ["leave"]}, "then": {"agent_id": "hr"}}

    async def tried(**fields: Any) -> Any:
        answered = await product.call("POST", "/v1/rules/test", {**rule, **fields})
        assert answered.status == 200, answered.text
        return answered.json()

    found = await tried(router="people")
    assert (found["tested"], found["changed"]) == (1, 1)
    assert found["examples"][0]["log_id"] == own["id"]
    assert (await tried())["changed"] == 2
    assert (await tried(then={"agent_id": "it_support"}))["changed"] == 0
    # Decisions of a router that was deleted cannot be judged any more.
    await product.call("DELETE", f"{ROUTERS}/people")
    assert (await tried())["tested"] == 1


@pytest.mark.parametrize("path", ["/v1/rules", "/v1/rules/test"])
async def test_a_rule_for_an_unknown_router_is_refused(product: Product, path: str) -> None:
    rule = {"when": {}, "then": {"agent_id": "hr"}, "router": "nobody"}
    answered = await product.call("POST", path, rule)
    assert refused(answered) == (400, "unknown_router", "router")


# chats, decision APIs, models


async def test_a_chat_names_a_router(product: Product) -> None:
    await create(product, "people", name="People", agents=["hr"])
    product.gateway.enqueue(says("hr"), talks())
    answered = await talk(product, "auto:people")
    assert answered.headers["x-edgeneuro-agent"] == "hr"
    assert "it_support" not in product.gateway.requests[0].messages[0]["content"]
    assert (await product.logs())[0]["router"] == "people"
    for model in ("auto:people", "auto"):
        shown = (await product.call("GET", f"/v1/models/{model}")).json()
        assert (shown["id"], shown["type"], shown["chat"]) == (model, "router", True)
    listed = (await product.call("GET", "/v1/models?type=router")).json()["data"]
    assert [(each["id"], each["name"]) for each in listed] == [
        ("auto", None),
        ("auto:people", "People"),
    ]


async def test_the_decision_apis_name_a_router(product: Product) -> None:
    await create(product, "people", agents=["hr", "general"])
    question = choice("hr", "general", "none")
    product.gateway.enqueue(says("hr"))
    answered = await decisions(product, question, model="auto:people")
    assert answered.status == 200, answered.text
    assert answered.json()["edgeneuro"]["agent_id"] == "hr"
    assert (await product.logs())[0]["router"] == "people"
    answered = await decisions(product, question, model="auto:nobody")
    assert refused(answered) == (*UNKNOWN, "model")
    who = {"type": "choice", "instructions": "Which agent?", "criteria": {"hr": None, "none": None}}
    product.gateway.enqueue(says("hr"))
    answered = await systemone(product, {"who": who}, model="auto:people")
    assert answered.status == 200, answered.text
    assert (await product.logs())[0]["router"] == "people"


async def test_no_model_is_named_like_a_router(product: Product) -> None:
    body = {"id": "auto:x", "type": "base"}
    answered = await product.call("POST", "/v1/models", body)
    assert refused(answered) == (400, "model_name_reserved", "id")


async def test_logs_are_listed_by_router(product: Product) -> None:
    await create(product, "people")
    product.gateway.enqueue(says("hr"))
    await route(product)
    await route(product, router="people")

    async def listed(router: str) -> list[str | None]:
        page = (await product.call("GET", f"/v1/logs?router={router}")).json()
        return [row["router"] for row in page["data"]]

    assert await listed("people") == ["people"]
    assert await listed("default") == [None]
    assert await listed("nobody") == []
