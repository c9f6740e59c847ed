"""Decision models in the registry: what they are, and where they are not taken."""

import json
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgeneuro.domain.catalogue import BaseModelFacts
from edgeneuro.errors import UpstreamError
from edgeneuro.gateway.interface import ModelAnswer
from edgeneuro.settings import Settings, read_settings
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.conftest import Answered, Product

CLEF = "@cf/cloudflare/clef"
FLASH = "@cf/cloudflare/clef-flash"
LLAMA = "@cf/meta/llama-3.2-1b-instruct"
GRANITE = "@cf/ibm-granite/granite-4.0-h-micro"
LORA = "intent-routing-v1"
GEMMA = "@cf/google/gemma-2b-it-lora"
NEW = "@cf/acme/decider"
PRICE = {"input_per_million": 0.5, "output_per_million": 0.0, "currency": "USD"}
MIGRATIONS = Path(__file__).parents[2] / "migrations"


def refused(answered: Answered) -> tuple[int, str, str | None]:
    error = answered.json()["error"]
    return answered.status, error["code"], error["param"]


async def model(product: Product, name: str) -> dict[str, Any]:
    answered = await product.call("GET", f"/v1/models/{name}")
    assert answered.status == 200, answered.text
    found: dict[str, Any] = answered.json()
    return found


async def register(product: Product, **fields: Any) -> Answered:
    return await product.call("POST", "/v1/models", {"type": "decision", **fields})


async def chat(product: Product, name: str) -> Answered:
    body = {"model": name, "messages": [{"role": "user", "content": "hi"}]}
    return await product.call("POST", "/v1/chat/completions", body)


async def select(product: Product, name: str) -> None:
    answered = await product.call("POST", "/v1/models/select", {"model_id": name})
    assert answered.status == 200, answered.text


async def test_the_clef_models_are_known(product: Product) -> None:
    page = (await product.call("GET", "/v1/models?type=decision")).json()["data"]
    known = {
        each["id"]: (each["pricing"]["input_per_million"], each["context_window"]) for each in page
    }
    assert known == {
        FLASH: (0.038, 24_000),
        "@cf/cloudflare/clef-omni": (0.15, 64_000),
        CLEF: (0.24, 64_000),
    }
    for each in page:
        assert each["pricing"]["output_per_million"] == 0
        assert (each["type"], each["chat"], each["owned_by"]) == ("decision", False, "cloudflare")
        assert (each["supports_lora"], each["json_mode"], each["adapter"]) == (False, False, None)


async def test_a_var_may_name_one(database: SqliteDatabase, settings: Settings) -> None:
    read = read_settings({"ROUTING_MODEL": FLASH}.get)
    product = Product(database, replace(settings, routing_model=read.routing_model))
    found = await model(product, FLASH)
    assert (found["type"], found["active"]) == ("decision", True)


async def test_registering_one(product: Product) -> None:
    created = await register(product, id=NEW, context_window=8_000, pricing=PRICE, aliases=["d"])
    assert created.status == 201, created.text
    found = await model(product, "d")
    assert (found["id"], found["base_model"], found["type"]) == (NEW, NEW, "decision")
    assert (found["context_window"], found["pricing"]) == (8_000, PRICE)
    assert (found["provider"], found["owned_by"]) == ("workers-ai", "you")
    await select(product, NEW)
    assert (await model(product, NEW))["active"] is True


async def test_a_name_of_ones_own_for_a_known_one(product: Product) -> None:
    assert (await register(product, id="fast", base_model=FLASH)).status == 201
    found = await model(product, "fast")
    assert (found["base_model"], found["type"]) == (FLASH, "decision")
    assert found["pricing"]["input_per_million"] == 0.038
    assert found["context_window"] == 24_000


async def test_retiring_and_bringing_back(product: Product) -> None:
    await register(product, id=NEW)
    assert (await product.call("DELETE", f"/v1/models/{NEW}")).status == 200
    answered = await product.call("POST", "/v1/models/select", {"model_id": NEW})
    assert refused(answered) == (400, "model_retired", "model_id")
    await product.call("PATCH", f"/v1/models/{NEW}", {"status": "available"})
    await select(product, NEW)


@pytest.mark.parametrize(
    ("fields", "status", "param", "message"),
    [
        ({"id": FLASH}, 409, "id", "already"),
        ({"id": NEW, "adapter": "a"}, 400, "adapter", "only a model of type 'lora' has one"),
        ({"id": NEW, "base_model": LLAMA}, 400, "base_model", "is a model of type 'base'"),
        ({"id": NEW, "base_model": LORA}, 400, "base_model", "is a model of type 'lora'"),
        ({"id": NEW, "base_model": "fast/clef"}, 400, "base_model", "of the provider 'fast'"),
        ({"id": NEW, "supports_lora": True}, 400, "supports_lora", "writes no text"),
        ({"id": NEW, "json_mode": True}, 400, "json_mode", "writes no text"),
        ({"id": NEW, "logprobs": True}, 400, "logprobs", "writes no text"),
        ({"id": "auto"}, 400, "id", "choose another name"),
        ({"id": NEW, "pricing": {"input_per_million": 1}}, 400, None, "output_per_million"),
    ],
)
async def test_what_cannot_be_registered(
    product: Product, fields: dict[str, Any], status: int, param: str | None, message: str
) -> None:
    base_url = "https://decisions.example.com/v1"
    fast = {"id": "fast", "kind": "systemone", "base_url": base_url, "models": ["clef"]}
    assert (await product.call("POST", "/v1/providers", fast)).status == 201
    answered = await register(product, **fields)
    error = answered.json()["error"]
    assert answered.status == status
    assert message in error["message"]
    if param is not None:
        assert error["param"] == param
    assert product.rows("SELECT * FROM models") == []


async def test_an_adapter_cannot_stand_on_one(product: Product) -> None:
    body = {"id": "x", "type": "lora", "base_model": FLASH, "supports_lora": True}
    answered = await product.call("POST", "/v1/models", body)
    assert refused(answered) == (400, "lora_unsupported", "base_model")
    assert "is a decision model" in answered.json()["error"]["message"]


async def test_the_type_can_be_corrected(product: Product) -> None:
    await product.call("POST", "/v1/models", {"id": NEW, "type": "base", "json_mode": True})
    answered = await product.call("PATCH", f"/v1/models/{NEW}", {"type": "decision"})
    assert (answered.json()["type"], answered.json()["json_mode"]) == ("decision", False)
    assert (await model(product, NEW))["chat"] is False
    back = await product.call("PATCH", f"/v1/models/{NEW}", {"type": "base"})
    assert (back.json()["type"], back.json()["chat"]) == ("base", True)


@pytest.mark.parametrize(
    ("name", "change", "param"),
    [
        (FLASH, {"supports_lora": True}, "supports_lora"),
        (FLASH, {"json_mode": True}, "json_mode"),
        (LLAMA, {"type": "decision", "logprobs": True}, "logprobs"),
        (LORA, {"type": "decision"}, "type"),
        ("groq/llama", {"type": "decision"}, "type"),
        (FLASH, {"type": "lora"}, "type"),
    ],
)
async def test_changes_that_cannot_be(
    product: Product, name: str, change: dict[str, Any], param: str
) -> None:
    await product.call("POST", "/v1/providers", {"id": "groq", "kind": "groq", "models": ["llama"]})
    answered = await product.call("PATCH", f"/v1/models/{name}", change)
    assert (answered.status, answered.json()["error"]["param"]) == (400, param)


async def test_other_changes_of_one(product: Product) -> None:
    change = {"aliases": ["fast"], "pricing": PRICE, "json_mode": False}
    assert (await product.call("PATCH", f"/v1/models/{FLASH}", change)).status == 200
    found = await model(product, "fast")
    assert (found["id"], found["type"], found["pricing"]) == (FLASH, "decision", PRICE)


async def test_a_chat_with_one_is_refused(product: Product) -> None:
    answered = await chat(product, FLASH)
    assert refused(answered) == (400, "model_is_decision", "model")
    assert "POST /v1/decisions" in answered.json()["error"]["message"]
    assert product.gateway.requests == []


async def test_an_agents_own_model_writes_text(product: Product) -> None:
    answered = await product.call("PATCH", "/v1/agents/hr", {"model": FLASH})
    assert refused(answered) == (400, "model_is_decision", "model")
    new = {"id": "x", "name": "X", "description": "x", "model": FLASH}
    answered = await product.call("POST", "/v1/agents", new)
    assert refused(answered) == (400, "model_is_decision", "model")
    assert (await product.call("PATCH", "/v1/agents/hr", {"model": "unknown"})).status == 200


async def test_an_agents_model_that_became_one_gives_way(product: Product) -> None:
    await product.call("PATCH", "/v1/agents/hr", {"model": GRANITE})
    await product.call("PATCH", f"/v1/models/{GRANITE}", {"type": "decision"})
    product.gateway.enqueue(ModelAnswer(content="hello"))
    answered = await chat(product, "agent:hr")
    assert (answered.status, answered.json()["model"]) == (200, LLAMA)
    assert product.failures.counts == {"agent_model": 1}


async def test_a_chat_goes_to_the_first_model_that_writes_text(product: Product) -> None:
    await product.call("PATCH", "/v1/config", {"fallback_models": [CLEF, GRANITE]})
    await select(product, FLASH)
    product.gateway.enqueue(ModelAnswer(content="hello"), ModelAnswer(content="hello"))
    answered = await chat(product, "agent:hr")
    assert (answered.status, answered.json()["model"]) == (200, GRANITE)
    await product.call("PATCH", "/v1/config", {"fallback_models": [CLEF, LORA]})
    assert (await chat(product, "agent:hr")).json()["model"] == GEMMA


async def test_selecting_one_does_not_end_the_chats(product: Product) -> None:
    await product.call("PATCH", "/v1/config", {"fallback_models": []})
    await select(product, LORA)
    await select(product, FLASH)
    product.gateway.enqueue(*[ModelAnswer(content="hello")] * 3)
    assert (await chat(product, "agent:hr")).json()["model"] == GEMMA
    await select(product, CLEF)  # before it was another decision model
    assert (await chat(product, "agent:hr")).json()["model"] == LLAMA
    await product.call("DELETE", f"/v1/models/{LLAMA}")
    answered = await chat(product, "agent:hr")
    assert refused(answered)[:2] == (409, "no_chat_model")
    assert "`fallback_models`" in answered.json()["error"]["message"]


async def test_what_a_key_may_not_use_answers_no_chat(product: Product) -> None:
    await product.call("PATCH", "/v1/config", {"fallback_models": []})
    await select(product, FLASH)
    key = {"name": "k", "scopes": ["route"], "models": [FLASH]}
    secret = (await product.call("POST", "/v1/keys", key)).json()["key"]
    body = {"model": "agent:hr", "messages": [{"role": "user", "content": "hi"}]}
    answered = await product.call(
        "POST", "/v1/chat/completions", body, headers={"authorization": f"Bearer {secret}"}
    )
    assert refused(answered)[:2] == (403, "model_not_allowed")


async def test_a_decision_model_without_a_price(product: Product) -> None:
    await register(product, id=NEW)
    await select(product, NEW)
    await product.call("PATCH", "/v1/config", {"fallback_models": []})
    key = {"name": "k", "scopes": ["route"], "monthly_budget_usd": 1}
    secret = (await product.call("POST", "/v1/keys", key)).json()["key"]
    answered = await product.call(
        "POST", "/v1/route", {"query": "hi"}, headers={"authorization": f"Bearer {secret}"}
    )
    assert refused(answered)[:2] == (400, "model_unpriced")
    assert product.gateway.decision_requests == []


def facts(*models: BaseModelFacts) -> list[BaseModelFacts]:
    return [BaseModelFacts(LLAMA, context_window=60_000), *models]


async def refresh(product: Product) -> dict[str, Any]:
    answered = await product.call("POST", "/v1/models/refresh", {})
    assert answered.status == 200, answered.text
    found: dict[str, Any] = answered.json()
    return found


async def test_new_models_of_the_catalogue_are_known_by_their_schema(product: Product) -> None:
    product.gateway.catalogue = facts(
        BaseModelFacts(NEW, input_price=0.5),
        BaseModelFacts("@cf/acme/writer", input_price=0.5),
        BaseModelFacts(FLASH, input_price=0.05),
    )
    product.gateway.schemas = {NEW: True, "@cf/acme/writer": False}
    assert (await refresh(product))["added"] == [NEW, "@cf/acme/writer"]
    assert product.gateway.schema_requests == [NEW, "@cf/acme/writer"]
    found = await model(product, NEW)
    assert (found["type"], found["pricing"]) == ("decision", PRICE)
    assert (await model(product, "@cf/acme/writer"))["type"] == "base"
    flash = await model(product, FLASH)
    assert (flash["type"], flash["context_window"]) == ("decision", 24_000)
    assert flash["pricing"]["input_per_million"] == 0.05
    await refresh(product)  # what is known is not asked for again
    assert len(product.gateway.schema_requests) == 2
    assert (await model(product, NEW))["type"] == "decision"


@pytest.mark.parametrize("failure", [None, UpstreamError("no")])
async def test_without_schemas_new_models_write_text(
    product: Product, failure: UpstreamError | None
) -> None:
    product.gateway.catalogue = facts(BaseModelFacts(NEW), BaseModelFacts("@cf/acme/b"))
    product.gateway.schemas = {NEW: failure, "@cf/acme/b": True}
    await refresh(product)
    assert product.gateway.schema_requests == [NEW]
    assert (await model(product, NEW))["type"] == "base"


async def test_the_requests_for_schemas_are_bounded(product: Product) -> None:
    new = [BaseModelFacts(f"@cf/acme/{number}") for number in range(30)]
    product.gateway.catalogue = facts(*new)
    product.gateway.schemas = {each.id: False for each in new}
    await refresh(product)
    assert len(product.gateway.schema_requests) == 20


async def test_a_schema_within_the_catalogue_needs_no_request(product: Product) -> None:
    product.gateway.catalogue = facts(BaseModelFacts(NEW, decision=True))
    await refresh(product)
    assert product.gateway.schema_requests == []
    assert (await model(product, NEW))["type"] == "decision"


def test_the_migration_keeps_models_and_their_triggers() -> None:
    files = sorted(MIGRATIONS.glob("*.sql"))
    this = next(path for path in files if path.name.startswith("0028"))
    connection = sqlite3.connect(":memory:")
    connection.executescript("".join(p.read_text() for p in files if p.name < this.name))
    insert = (
        "INSERT INTO models (id, type, base_model, adapter, status, aliases, context_window,"
        " input_price, output_price, supports_lora, json_mode, created_at, updated_at, provider,"
        " logprobs) VALUES (?1, ?2, ?1, NULL, 'available', '[]', 7, 0.1, 0.2, 0, 1, 5, 6, ?3, 1)"
    )
    rows = [(FLASH, "base", "workers-ai"), (LLAMA, "base", "workers-ai"), (CLEF, "base", "other")]
    connection.executemany(insert, rows)
    columns = ("id", "kind", "models", "priority", "enabled", "created_at", "updated_at")
    connection.execute(
        f"INSERT INTO providers ({', '.join(columns)}) VALUES ('p', 'openai', ?, 1, 1, 1, 1)",
        [json.dumps(["gpt-6-luna"])],
    )
    before = connection.execute("SELECT value FROM revision").fetchone()[0]
    connection.executescript(this.read_text())
    assert connection.execute("SELECT id, type FROM models ORDER BY rowid").fetchall() == [
        (FLASH, "decision"),
        (LLAMA, "base"),
        (CLEF, "base"),
    ]
    whole = "SELECT input_price, created_at, updated_at, provider, logprobs, context_window"
    row = connection.execute(f"{whole} FROM models WHERE id = ?", [LLAMA]).fetchone()
    assert row == (0.1, 5, 6, "workers-ai", 1, 7)
    assert connection.execute("SELECT decision_models FROM providers").fetchall() == [("[]",)]
    after = connection.execute("SELECT value FROM revision").fetchone()[0]
    assert after > before
    connection.execute("UPDATE models SET json_mode = 0 WHERE id = ?", [LLAMA])
    connection.execute(insert, ("new", "decision", "workers-ai"))
    connection.execute("DELETE FROM models WHERE id = 'new'")
    assert connection.execute("SELECT value FROM revision").fetchone()[0] == after + 3
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute(insert, ("bad", "other", "workers-ai"))
