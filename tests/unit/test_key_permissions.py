"""What a key may use, over the API: its agents, its models, models with a price, explanations."""

from typing import Any

import pytest

from edgeneuro.errors import UpstreamNotConfiguredError
from tests.unit.chats import LLAMA, talks, user
from tests.unit.conftest import Answered, Product, says
from tests.unit.test_limits import create

GRANITE = "@cf/ibm-granite/granite-4.0-h-micro"
UNPRICED = "@cf/google/gemma-7b-it-lora"
AGENT_REFUSED = (403, "agent_not_allowed")
MODEL_REFUSED = (403, "model_not_allowed")
NO_PRICE = (400, "model_unpriced")


async def route(product: Product, key: Any, **fields: Any) -> Answered:
    return await product.call("POST", "/v1/route", {"query": "Leave?", **fields}, key=key["key"])


async def talk(product: Product, key: Any, model: str, **options: Any) -> Answered:
    body = {"model": model, "messages": [user()], "edgeneuro": options}
    return await product.call("POST", "/v1/chat/completions", body, key=key["key"])


def refused(answered: Answered) -> tuple[int, str, str | None]:
    error = answered.json()["error"]
    return answered.status, error["code"], error["param"]


def called(product: Product) -> list[str]:
    return [request.model for request in product.gateway.requests]


# agents


async def test_a_key_is_routed_among_its_agents_alone(product: Product) -> None:
    key = await create(product, agents=["hr", "general"])
    product.gateway.enqueue(says("hr"))
    assert (await route(product, key)).json()["agent"]["id"] == "hr"
    prompt = product.gateway.requests[0].messages[0]["content"]
    assert "it_support" not in prompt
    assert (await product.logs())[0]["candidates"] == ["general", "hr"]
    product.gateway.enqueue(says("hr"))
    assert (await route(product, key, candidates=["hr"])).status == 200
    answered = await route(product, key, candidates=["hr", "it_support"])
    assert refused(answered) == (*AGENT_REFUSED, "candidates[1]")


async def test_an_answer_for_all_agents_is_not_given_to_a_key_with_fewer(product: Product) -> None:
    product.gateway.enqueue(says("it_support"), says("hr"))
    await product.route("Leave?")
    key = await create(product, agents=["hr"])
    decision = (await route(product, key)).json()
    assert (decision["agent"]["id"], decision["cache"]) == ("hr", "miss")


async def test_a_key_talks_to_its_agents_alone(product: Product) -> None:
    key = await create(product, agents=["hr"])
    product.gateway.enqueue(talks(), says("hr"), talks())
    assert (await talk(product, key, "agent:hr")).status == 200
    assert refused(await talk(product, key, "agent:general")) == (*AGENT_REFUSED, "model")
    answered = await talk(product, key, "auto")
    assert answered.headers["x-edgeneuro-agent"] == "hr"
    answered = await talk(product, key, "auto", candidates=["general"])
    assert refused(answered) == (*AGENT_REFUSED, "edgeneuro.candidates[0]")


async def test_a_key_none_of_whose_agents_is_enabled_is_told_so(product: Product) -> None:
    key = await create(product, agents=["hr"])
    await product.call("PATCH", "/v1/agents/hr", {"enabled": False})
    assert refused(await route(product, key)) == (*AGENT_REFUSED, "candidates")
    assert product.gateway.requests == []


# models


async def test_only_a_keys_models_are_called_to_route(product: Product) -> None:
    key = await create(product, models=[GRANITE])
    product.gateway.enqueue(says("hr"), says("hr"))
    assert (await route(product, key)).json()["model"] == GRANITE
    assert (await route(product, key, model=GRANITE, cache=False)).json()["model"] == GRANITE
    assert refused(await route(product, key, model=LLAMA)) == (*MODEL_REFUSED, "model")
    assert called(product) == [GRANITE, GRANITE]


async def test_only_a_keys_models_are_called_as_fallbacks(product: Product) -> None:
    key = await create(product, models=[LLAMA])
    product.gateway.enqueue(*[UpstreamNotConfiguredError("gone")] * 3)
    await route(product, key)
    await talk(product, key, LLAMA)
    await talk(product, key, "agent:hr")
    assert called(product) == [LLAMA] * 3


async def test_only_a_keys_models_answer_its_chats(product: Product) -> None:
    await product.call("PATCH", "/v1/agents/hr", {"model": LLAMA})
    key = await create(product, models=[GRANITE])
    product.gateway.enqueue(talks(), talks(), says("hr"), talks())
    assert (await talk(product, key, GRANITE)).status == 200
    assert refused(await talk(product, key, LLAMA)) == (*MODEL_REFUSED, "model")
    # The agent's own model may not be called for this key, so a fallback answers.
    assert (await talk(product, key, "agent:hr")).status == 200
    assert (await talk(product, key, "auto")).status == 200
    assert called(product) == [GRANITE] * 4
    assert "edgeneuro_failures_total{" not in (await product.call("GET", "/metrics")).text


@pytest.mark.parametrize("path", ["route", "auto", "agent:hr"])
async def test_a_key_whose_models_are_not_in_the_chain_is_refused(
    product: Product, path: str
) -> None:
    key = await create(product, models=["@cf/openai/gpt-oss-20b"])
    answered = await (route(product, key) if path == "route" else talk(product, key, path))
    assert refused(answered) == (*MODEL_REFUSED, "model")
    assert product.gateway.requests == []


async def test_the_list_of_models_is_what_the_key_may_name(product: Product) -> None:
    await product.call("PATCH", f"/v1/models/{GRANITE}", {"aliases": ["small"]})
    key = await create(product, models=["small", LLAMA, GRANITE])
    assert key["models"] == [GRANITE, LLAMA]
    page = (await product.call("GET", "/v1/models", key=key["key"])).json()
    models = [each["id"] for each in page["data"] if each["type"] not in ("router", "agent")]
    assert sorted(models) == [GRANITE, LLAMA]
    key = await create(product, agents=["hr"], models=["@cf/openai/gpt-oss-20b"])
    page = (await product.call("GET", "/v1/models?type=router,agent", key=key["key"])).json()
    assert [each["id"] for each in page["data"]] == ["agent:hr"]
    for name, status in (("agent:hr", 200), ("agent:it_support", 404), ("auto", 404)):
        answered = await product.call("GET", f"/v1/models/{name}", key=key["key"])
        assert answered.status == status, name


async def test_no_other_model_runs_beside_for_a_key_with_models(product: Product) -> None:
    key = await create(product, models=[GRANITE])
    selection = {"model_id": "@cf/zai-org/glm-4.7-flash", "challenger": 100}
    assert (await product.call("POST", "/v1/models/select", selection)).status == 200
    product.gateway.enqueue(says("hr"), says("hr"))
    await route(product, key)
    assert called(product) == [GRANITE]


# writing


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"agents": ["hr", "nobody"]}, "unknown_agent", "agents[1]"),
        ({"models": [LLAMA, "nothing"]}, "model_not_found", "models[1]"),
        ({"agents": []}, "invalid_value", "agents"),
        ({"models": []}, "invalid_value", "models"),
        ({"agents": ["Not an id"]}, "invalid_value", "agents[0]"),
    ],
)
async def test_what_is_not_there_cannot_be_allowed(
    product: Product, fields: dict[str, Any], code: str, param: str
) -> None:
    key = await create(product)
    body = {"name": "limited", "scopes": ["route"], **fields}
    assert refused(await product.call("POST", "/v1/keys", body)) == (400, code, param)
    answered = await product.call("PATCH", f"/v1/keys/{key['id']}", fields)
    assert refused(answered) == (400, code, param)


async def test_permissions_can_be_changed_and_lifted(product: Product) -> None:
    key = await create(product, agents=["hr"], models=[GRANITE])
    path = f"/v1/keys/{key['id']}"
    shown = (await product.call("GET", path)).json()
    assert (shown["agents"], shown["models"]) == (["hr"], [GRANITE])
    await product.call("PATCH", path, {"agents": ["general"]})
    assert refused(await talk(product, key, "agent:hr")) == (*AGENT_REFUSED, "model")
    await product.call("PATCH", path, {"agents": None, "models": None})
    product.gateway.enqueue(talks())
    assert (await talk(product, key, "agent:hr")).status == 200
    assert called(product) == [LLAMA]


# prices


async def test_a_key_with_a_usd_budget_names_no_model_without_a_price(product: Product) -> None:
    key = await create(product, monthly_budget_usd=1)
    assert refused(await route(product, key, model=UNPRICED)) == (*NO_PRICE, "model")
    assert refused(await talk(product, key, UNPRICED)) == (*NO_PRICE, "model")
    assert product.gateway.requests == []
    tokens = await create(product, monthly_token_budget=1_000_000)
    product.gateway.enqueue(talks())
    assert (await talk(product, tokens, UNPRICED)).status == 200


async def test_models_without_a_price_are_left_out_of_the_chain(product: Product) -> None:
    provider = {"id": "groq", "kind": "groq", "models": ["m"]}
    assert (await product.call("POST", "/v1/providers", provider)).status == 201
    key = await create(product, monthly_budget_usd=1)
    product.gateway.enqueue(*[UpstreamNotConfiguredError("gone")] * 4)
    await route(product, key)
    await talk(product, key, LLAMA)
    assert called(product) == [LLAMA, GRANITE] * 2


@pytest.mark.parametrize("path", ["route", "auto", "agent:hr"])
async def test_a_usd_budget_without_any_priced_model_is_refused(
    product: Product, path: str
) -> None:
    await product.call("POST", "/v1/models/select", {"model_id": UNPRICED})
    await product.call("PATCH", "/v1/config", {"fallback_models": []})
    key = await create(product, monthly_budget_usd=1)
    answered = await (route(product, key) if path == "route" else talk(product, key, path))
    assert refused(answered) == (*NO_PRICE, "model")
    await product.call("PATCH", "/v1/config", {"fallback_models": [GRANITE]})
    product.gateway.enqueue(says("hr"), talks())
    answered = await (route(product, key) if path == "route" else talk(product, key, path))
    assert answered.status == 200
    assert set(called(product)) == {GRANITE}


async def test_a_vendors_model_with_a_price_is_counted(product: Product) -> None:
    price = {"input_per_million": 2.0, "output_per_million": 10.0}
    provider = {"id": "openai", "kind": "openai", "models": ["gpt-x"], "prices": {"gpt-x": price}}
    created = (await product.call("POST", "/v1/providers", provider)).json()
    assert created["prices"] == {"gpt-x": {**price, "currency": "USD"}}
    key = await create(product, monthly_budget_usd=1)
    product.gateway.enqueue(talks())
    assert (await talk(product, key, "openai/gpt-x")).status == 200
    used = talks().usage
    cost = (used.prompt_tokens * 2 + used.completion_tokens * 10) / 1e6
    shown = (await product.call("GET", f"/v1/keys/{key['id']}")).json()
    assert shown["usage"]["cost_usd"] == pytest.approx(cost)


async def test_prices_belong_to_models_of_the_provider(product: Product) -> None:
    price = {"input_per_million": 2.0, "output_per_million": 10.0}
    body = {"id": "openai", "kind": "openai", "models": ["a", "b"], "prices": {"c": price}}
    answered = await product.call("POST", "/v1/providers", body)
    assert refused(answered) == (400, "invalid_value", "prices.c")
    body["prices"] = {"a": price, "b": price}
    assert (await product.call("POST", "/v1/providers", body)).status == 201
    path = "/v1/providers/openai"
    answered = await product.call("PATCH", path, {"prices": {"c": price}})
    assert refused(answered) == (400, "invalid_value", "prices.c")
    changed = (await product.call("PATCH", path, {"models": ["a"]})).json()
    assert list(changed["prices"]) == ["a"]
    audit = (await product.call("GET", "/v1/audit?resource=provider&limit=1")).json()["data"][0]
    assert list(audit["before"]["prices"]) == ["a", "b"]
    assert (await product.call("PATCH", path, {"prices": {}})).json()["prices"] == {}


async def test_a_price_that_comes_later_holds_for_a_model_that_was_changed(
    product: Product,
) -> None:
    await product.call("POST", "/v1/providers", {"id": "o", "kind": "openai", "models": ["x"]})
    await product.call("PATCH", "/v1/models/o/x", {"aliases": ["best"]})
    price = {"input_per_million": 2.0, "output_per_million": 10.0}
    await product.call("PATCH", "/v1/providers/o", {"prices": {"x": price}})
    model = (await product.call("GET", "/v1/models/best")).json()
    assert model["pricing"] == {**price, "currency": "USD"}


# explanations


async def test_an_explanation_needs_the_scope_read(product: Product) -> None:
    asks = await create(product, scopes=["route"])
    sees = await create(product, scopes=["route", "read"])
    assert refused(await route(product, asks, explain=True)) == (403, "missing_scope", "explain")
    for model in ("auto", "agent:hr", LLAMA):
        answered = await talk(product, asks, model, explain=True)
        assert refused(answered) == (403, "missing_scope", "edgeneuro.explain")
    assert product.gateway.requests == []
    product.gateway.enqueue(says("hr"))
    assert "messages" in (await route(product, sees, explain=True)).json()["explanation"]
