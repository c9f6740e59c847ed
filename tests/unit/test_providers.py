"""Providers over the API, in process."""

from dataclasses import replace
from typing import Any

import pytest

from edgeneuro.app.application import build_app
from tests.unit.conftest import Answered, Product

GROQ = {
    "id": "groq",
    "kind": "groq",
    "secret": "PROVIDER_GROQ_KEY",
    "models": ["llama-3.3-70b-versatile"],
    "priority": 10,
}


async def test_a_provider_lives_its_life(product: Product) -> None:
    created = await product.call("POST", "/v1/providers", GROQ)
    assert created.status == 201
    assert {name: created.json()[name] for name in GROQ} == GROQ
    assert created.json()["secret_set"] is False
    path = "/v1/providers/groq"
    patched = (await product.call("PATCH", path, {"secret": None, "enabled": False})).json()
    assert (patched["secret"], patched["enabled"], patched["priority"]) == (None, False, 10)
    listed = (await product.call("GET", "/v1/providers")).json()["data"]
    assert listed == [patched]
    assert (await product.call("DELETE", path)).json()["deleted"] is True
    assert (await product.call("GET", path)).json()["error"]["code"] == "unknown_provider"
    actions = [e["action"] for e in (await product.call("GET", "/v1/audit?limit=3")).json()["data"]]
    assert actions == ["delete", "update", "create"]


async def test_whether_the_secret_is_set_is_shown_and_never_its_value(product: Product) -> None:
    product.app = build_app(replace(product.services, secret={"PROVIDER_GROQ_KEY": "gsk-1"}.get))
    created = await product.call("POST", "/v1/providers", GROQ)
    assert created.json()["secret_set"] is True


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"id": "No Id"}, "id"),
        ({"kind": "acme"}, "kind"),
        ({"kind": "openai-compatible"}, None),
        ({"secret": "sk-1234567890"}, "secret"),
        ({"secret": "ADMIN_TOKEN"}, "secret"),
        ({"secret": "AGENT_SIGNING_SECRET"}, "secret"),
        ({"secret": "CLOUDFLARE_API_TOKEN"}, "secret"),
        ({"secret": "DATABASE_PASSWORD"}, "secret"),
        ({"secret": "PROVIDER_HOSTS"}, "secret"),
        ({"secret": "PROVIDER_"}, "secret"),
        ({"secret": "provider_key"}, "secret"),
        ({"priority": -1}, "priority"),
        ({"base_url": "http://models.example.com"}, "base_url"),
        ({"base_url": "https://localhost/v1"}, "base_url"),
        ({"base_url": "https://127.0.0.1/v1"}, "base_url"),
        ({"base_url": "https://127.1/v1"}, "base_url"),
        ({"base_url": "https://0x7f.1/v1"}, "base_url"),
        ({"base_url": "https://2130706433/v1"}, "base_url"),
        ({"base_url": "https://10.0.0.8/v1"}, "base_url"),
        ({"base_url": "https://169.254.169.254/latest"}, "base_url"),
        ({"base_url": "https://[::1]/v1"}, "base_url"),
        ({"base_url": "https://[::ffff:10.0.0.1]/v1"}, "base_url"),
        ({"base_url": "https://metadata.internal/v1"}, "base_url"),
        ({"base_url": "https://user:pass@models.example.com"}, "base_url"),
        ({"base_url": "https://models.example.com:99999/v1"}, "base_url"),
        ({"base_url": "https://[broken/v1"}, "base_url"),
        ({"base_url": "https://good.example\\@10.0.0.1/"}, "base_url"),
    ],
)
async def test_bad_fields_are_named(
    product: Product, change: dict[str, Any], param: str | None
) -> None:
    answered = await product.call("POST", "/v1/providers", {**GROQ, **change})
    assert answered.status == 400
    assert answered.json()["error"]["param"] == param
    assert "sk-1234567890" not in answered.text
    assert product.rows("SELECT * FROM providers") == []


async def test_a_taken_id_is_a_conflict(product: Product) -> None:
    await product.call("POST", "/v1/providers", GROQ)
    answered = await product.call("POST", "/v1/providers", {**GROQ, "priority": 1})
    assert (answered.status, answered.json()["error"]["code"]) == (409, "provider_exists")


async def test_a_compatible_provider_keeps_its_address(product: Product) -> None:
    body = {**GROQ, "kind": "openai-compatible", "base_url": "https://models.example.com/v1"}
    assert (await product.call("POST", "/v1/providers", body)).status == 201
    answered = await product.call("PATCH", "/v1/providers/groq", {"base_url": None})
    assert (answered.status, answered.json()["error"]["param"]) == (400, "base_url")


async def test_a_vendors_model_goes_and_comes_with_its_provider(product: Product) -> None:
    name = "groq/llama-3.3-70b-versatile"

    async def listed() -> dict[str, Any]:
        page = (await product.call("GET", "/v1/models")).json()
        return {model["id"]: model["aliases"] for model in page["data"]}

    await product.call("POST", "/v1/providers", GROQ)
    patched = await product.call("PATCH", f"/v1/models/{name}", {"aliases": ["big"]})
    assert (patched.json()["provider"], patched.json()["aliases"]) == ("groq", ["big"])
    await product.call("PATCH", "/v1/providers/groq", {"enabled": False})
    assert name not in await listed()
    await product.call("PATCH", "/v1/providers/groq", {"enabled": True})
    assert (await listed())[name] == ["big"]
    await product.call("DELETE", "/v1/providers/groq")
    assert name not in await listed()
    registered = await product.call("POST", "/v1/models", {"id": name, "type": "base"})
    assert (registered.status, registered.json()["provider"]) == (201, "workers-ai")
    assert name in await listed()


SYSTEM_ONE = {
    "id": "fast",
    "kind": "systemone",
    "base_url": "https://decisions.example.com/v1",
    "models": ["clef"],
}


async def models_of(product: Product, provider: str) -> dict[str, dict[str, Any]]:
    page = (await product.call("GET", "/v1/models")).json()["data"]
    return {model["id"]: model for model in page if model["provider"] == provider}


async def test_all_models_of_the_kind_systemone_are_decision_models(product: Product) -> None:
    assert (await product.call("POST", "/v1/providers", SYSTEM_ONE)).status == 201
    (model,) = (await models_of(product, "fast")).values()
    assert (model["id"], model["type"], model["chat"]) == ("fast/clef", "decision", False)
    assert (model["json_mode"], model["supports_lora"]) == (False, False)


async def test_which_models_of_a_vendor_are_decision_models(product: Product) -> None:
    body = {**GROQ, "kind": "openai", "models": ["gpt-6-luna", "gpt-6-sol", "d-1"]}
    created = await product.call("POST", "/v1/providers", body)
    assert created.json()["decision_models"] is None

    async def types(changes: dict[str, Any]) -> list[str]:
        patched = await product.call("PATCH", "/v1/providers/groq", changes)
        assert patched.status == 200, patched.text
        found = await models_of(product, "groq")
        return [name for name, model in found.items() if model["type"] == "decision"]

    found = await models_of(product, "groq")
    luna = found["groq/gpt-6-luna"]
    assert (luna["type"], luna["context_window"]) == ("decision", 1_000_000)
    assert luna["pricing"] == {
        "input_per_million": 0.1,
        "output_per_million": 0.0,
        "currency": "USD",
    }
    assert found["groq/gpt-6-sol"]["type"] == "base"
    assert await types({"decision_models": []}) == []
    assert await types({"decision_models": ["gpt-6-luna", "d-1"]}) == [
        "groq/gpt-6-luna",
        "groq/d-1",
    ]
    assert await types({"models": ["d-1"]}) == ["groq/d-1"]
    shown = (await product.call("GET", "/v1/providers/groq")).json()
    assert shown["decision_models"] == ["d-1"]
    assert await types({"models": ["gpt-6-luna"], "decision_models": None}) == ["groq/gpt-6-luna"]


async def test_a_changed_price_keeps_what_a_vendors_model_is(product: Product) -> None:
    await product.call("POST", "/v1/providers", {**GROQ, "kind": "openai", "models": ["d-1"]})
    await product.call("PATCH", "/v1/models/groq/d-1", {"aliases": ["d"]})
    await product.call("PATCH", "/v1/providers/groq", {"decision_models": ["d-1"]})
    (model,) = (await models_of(product, "groq")).values()
    assert (model["type"], model["aliases"]) == ("decision", ["d"])


@pytest.mark.parametrize(
    ("change", "param", "message"),
    [
        ({"base_url": None}, None, "needs a base_url"),
        ({"decision_models": ["clef"]}, "decision_models", "all models of a provider of kind"),
        ({"kind": "groq", "decision_models": ["clef"]}, "decision_models", "'groq' is not known"),
        (
            {"kind": "openai", "decision_models": ["clef", "x"]},
            "decision_models[1]",
            "'x' is none of the provider's `models`",
        ),
    ],
)
async def test_bad_decision_models(
    product: Product, change: dict[str, Any], param: str | None, message: str
) -> None:
    answered = await product.call("POST", "/v1/providers", {**SYSTEM_ONE, **change})
    error = answered.json()["error"]
    assert (answered.status, error["param"]) == (400, param)
    assert message in error["message"]


async def test_a_change_to_bad_decision_models(product: Product) -> None:
    await product.call("POST", "/v1/providers", SYSTEM_ONE)
    path = "/v1/providers/fast"
    answered = await product.call("PATCH", path, {"base_url": None})
    assert (answered.status, answered.json()["error"]["param"]) == (400, "base_url")
    answered = await product.call("PATCH", path, {"decision_models": ["clef"]})
    assert (answered.status, answered.json()["error"]["param"]) == (400, "decision_models")
    assert (await product.call("PATCH", path, {"decision_models": []})).status == 200


def refused(answered: Answered) -> tuple[int, str, str | None]:
    error = answered.json()["error"]
    return answered.status, error["code"], error["param"]


COMPATIBLE = {**GROQ, "kind": "openai-compatible"}
NAMED = "https://models.example.com/v1"


@pytest.mark.parametrize("kind", ["openai-compatible", "openai", "workers-ai"])
async def test_a_secret_goes_only_to_hosts_that_the_deployer_names(
    product: Product, kind: str
) -> None:
    body = {**GROQ, "kind": kind, "base_url": "https://evil.example.net/v1"}
    answered = await product.call("POST", "/v1/providers", body)
    assert refused(answered) == (400, "secret_host_not_allowed", "base_url")
    without = await product.call("POST", "/v1/providers", {**body, "secret": None})
    assert without.status == 201
    given = {"secret": "PROVIDER_GROQ_KEY"}
    answered = await product.call("PATCH", "/v1/providers/groq", given)
    assert refused(answered) == (400, "secret_host_not_allowed", "base_url")
    for base_url in (NAMED, "https://MODELS.example.com:443/v2", "https://api.groq.com/openai/v1"):
        answered = await product.call(
            "PATCH", "/v1/providers/groq", {**given, "base_url": base_url}
        )
        assert (answered.status, answered.json()["secret"]) == (200, "PROVIDER_GROQ_KEY")


async def test_another_address_takes_the_secret_away(product: Product) -> None:
    await product.call("POST", "/v1/providers", {**COMPATIBLE, "base_url": NAMED})
    path = "/v1/providers/groq"
    same = await product.call("PATCH", path, {"base_url": NAMED, "priority": 2})
    assert same.json()["secret"] == "PROVIDER_GROQ_KEY"
    moved = await product.call("PATCH", path, {"base_url": "https://evil.example.net/v1"})
    assert (moved.status, moved.json()["secret"]) == (200, None)
    audit = (await product.call("GET", "/v1/audit?resource=provider&limit=1")).json()["data"][0]
    assert (audit["before"]["secret"], audit["after"]["secret"]) == ("PROVIDER_GROQ_KEY", None)


async def test_a_provider_from_before_the_rules_can_still_be_changed(product: Product) -> None:
    await product.call("POST", "/v1/providers", {**COMPATIBLE, "base_url": NAMED})
    product.execute(
        "UPDATE providers SET secret = 'GROQ_KEY', base_url = 'https://old.example.net/v1'"
    )
    secrets = {"GROQ_KEY": "gsk-1", "PROVIDER_GROQ_KEY": "gsk-1"}
    product.app = build_app(replace(product.services, secret=secrets.get))
    shown = (await product.call("GET", "/v1/providers/groq")).json()
    assert (shown["secret"], shown["secret_set"]) == ("GROQ_KEY", False)
    assert (await product.call("PATCH", "/v1/providers/groq", {"enabled": False})).status == 200
    renamed = {"secret": "PROVIDER_GROQ_KEY", "base_url": NAMED}
    answered = await product.call("PATCH", "/v1/providers/groq", renamed)
    assert answered.json()["secret_set"] is True
