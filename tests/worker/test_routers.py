"""Routers and teams over HTTP: two routers decide the same query differently, keys and teams are
bound to one, and clients of OpenAI name them as models."""

from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.worker.product import Product
from tests.worker.test_keys import bearer, create_key, refused
from tests.worker.test_route import log_entry, route, unique

VPN = "My VPN does not connect"
MODEL = "@cf/ibm-granite/granite-4.0-h-micro"


@pytest.fixture
def routers(client: httpx.Client) -> Iterator[httpx.Client]:
    """Two routers with other agents, thresholds and rules; what names them goes with them."""
    bodies: tuple[dict[str, Any], ...] = (
        {"id": "support", "name": "Support", "agents": ["it_support", "facilities", "general"]},
        {
            "id": "office",
            "agents": ["hr", "finance"],
            "default_agent": "hr",
            "confidence_threshold": 1,
            "routing_model": MODEL,
        },
    )
    for body in bodies:
        client.post("/v1/routers", json=body).raise_for_status()
    rule = {"when": {"words": ["numbat"]}, "then": {"agent_id": "finance"}, "router": "office"}
    client.post("/v1/rules", json=rule).raise_for_status()
    yield client
    for made in client.get("/v1/rules").json()["data"]:
        client.delete(f"/v1/rules/{made['id']}").raise_for_status()
    for key in client.get("/v1/keys", params={"limit": 100}).json()["data"]:
        if key["router"] or key["team_id"]:
            client.delete(f"/v1/keys/{key['id']}")
    for team in client.get("/v1/teams").json()["data"]:
        client.delete(f"/v1/teams/{team['id']}").raise_for_status()
    for body in bodies:
        client.delete(f"/v1/routers/{body['id']}").raise_for_status()


def test_two_routers_decide_the_same_query_differently(routers: httpx.Client) -> None:
    query = unique(VPN)
    assert route(routers, query)["agent"]["id"] == "it_support"
    assert route(routers, query, router="support")["agent"]["id"] == "it_support"
    office = route(routers, query, router="office", explain=True)
    assert (office["outcome"], office["agent"]["id"]) == ("fallback", "hr")
    assert office["explanation"]["threshold"] == 1
    assert office["attempts"][0]["model"] == MODEL
    assert "it_support" not in office["explanation"]["messages"][0]["content"]
    entry = log_entry(routers, office["id"])
    assert (entry["router"], entry["threshold"]) == ("office", 1)
    found = routers.get("/v1/logs", params={"router": "office"}).json()["data"]
    assert office["id"] in [each["id"] for each in found]

    marsupial = unique(f"{VPN}, numbat")
    ruled = route(routers, marsupial, router="office")
    assert (ruled["layer"], ruled["agent"]["id"]) == ("rule", "finance")
    assert route(routers, marsupial, router="support")["layer"] != "rule"


def test_a_change_of_a_router_holds_from_the_next_request_on(routers: httpx.Client) -> None:
    query = unique("How many vacation days do I have left?")
    assert route(routers, query, router="office")["outcome"] == "fallback"
    changed = routers.patch("/v1/routers/office", json={"confidence_threshold": 0.01}).json()
    assert changed["confidence_threshold"] == 0.01
    decision = route(routers, query, router="office")
    assert (decision["outcome"], decision["cache"]) == ("agent", "hit")


def test_a_client_of_openai_names_a_router_as_its_model(
    routers: httpx.Client, product: Product
) -> None:
    with openai.OpenAI(
        base_url=f"{product.public_url}/v1", api_key=product.admin_token, timeout=60
    ) as talk:
        assert {"auto", "auto:support", "auto:office"} <= {model.id for model in talk.models.list()}
        assert talk.models.retrieve("auto:support").id == "auto:support"
        answer = talk.chat.completions.create(
            model="auto:support", messages=[{"role": "user", "content": unique(VPN)}]
        )
        assert answer.choices[0].message.content
        assert answer.model_dump()["edgeneuro"]["agent"]["id"] == "it_support"
        for name in ("auto:nobody", "auto:Desk", "auto:"):
            with pytest.raises(openai.NotFoundError) as error:
                talk.chat.completions.create(
                    model=name, messages=[{"role": "user", "content": "Hi"}]
                )
            assert (error.value.code, error.value.param) == ("unknown_router", "model")


def test_the_decision_apis_name_a_router(routers: httpx.Client) -> None:
    question = {"type": "choice", "criteria": {"hr": None, "finance": None, "none": None}}
    body = {"model": "auto:office", "state": unique("numbat"), "questions": {"who": question}}
    question["instructions"] = "Which agent?"
    answered = routers.post("/v1/systemone", json=body)
    assert answered.status_code == 200, answered.text
    assert answered.json()["edgeneuro"]["agent_id"] == "finance"
    answered = routers.post("/v1/systemone", json={**body, "model": "auto:nobody"})
    assert refused(answered) == (404, "unknown_router")


def test_a_key_bound_to_a_router_and_a_team(routers: httpx.Client, anonymous: httpx.Client) -> None:
    team = {"name": "finance", "agents": ["finance", "hr"], "router": "office"}
    team_id = routers.post("/v1/teams", json=team).json()["id"]
    key = create_key(routers, router="office", team_id=team_id, agents=["finance", "it_support"])

    def ask(path: str, **body: Any) -> httpx.Response:
        return anonymous.post(path, json=body, headers=bearer(key))

    query = unique(VPN)
    decision = ask("/v1/route", query=query).json()
    assert decision["agent"] is None  # the fallback agent of the router is not the key's
    assert log_entry(routers, decision["id"])["candidates"] == ["finance"]
    for wanted in ("default", "support", "nobody"):
        answered = ask("/v1/route", query=query, router=wanted)
        assert refused(answered) == (403, "router_not_allowed")
    answered = ask("/v1/route", query=query, candidates=["it_support"])
    assert refused(answered) == (403, "agent_not_allowed")
    assert "team 'finance'" in answered.json()["error"]["message"]
    listed = anonymous.get("/v1/models", headers=bearer(key)).json()["data"]
    names = {each["id"] for each in listed if each["type"] in ("router", "agent")}
    assert names == {"auto", "auto:office", "agent:finance"}
    me = anonymous.get("/v1/me", headers=bearer(key)).json()
    assert (me["router"], me["agents"]) == ("office", ["finance"])

    assert refused(routers.delete(f"/v1/teams/{team_id}")) == (409, "team_in_use")
    assert refused(routers.delete("/v1/routers/office")) == (409, "router_in_use")
    routers.patch(f"/v1/keys/{key['id']}", json={"team_id": None, "agents": None})
    assert routers.delete(f"/v1/teams/{team_id}").status_code == 200
    assert ask("/v1/route", query=query).json()["agent"]["id"] == "hr"


def test_a_router_without_agents_and_a_deleted_one(routers: httpx.Client) -> None:
    agent = {"id": "short_lived", "name": "Short", "description": "Nothing.", "enabled": False}
    routers.post("/v1/agents", json=agent).raise_for_status()
    body = {"id": "empty", "agents": ["short_lived"]}
    routers.post("/v1/routers", json=body).raise_for_status()
    asked = {"query": "x", "router": "empty"}
    answered = routers.post("/v1/route", json=asked)
    assert refused(answered) == (409, "not_configured")
    assert "'empty'" in answered.json()["error"]["message"]
    routers.delete("/v1/agents/short_lived").raise_for_status()
    assert refused(routers.post("/v1/route", json=asked)) == (409, "not_configured")
    routers.delete("/v1/routers/empty").raise_for_status()
    assert refused(routers.post("/v1/route", json=asked)) == (404, "unknown_router")
    answered = routers.post("/v1/route", json={"query": "x", "router": "Empty"})
    assert refused(answered) == (400, "invalid_value")
