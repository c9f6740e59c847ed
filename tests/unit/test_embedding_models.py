"""Embedding models in the registry: listed, never selected, named by the setting."""

import sqlite3
from typing import Any

import pytest

from edgeneuro.domain.catalogue import BaseModelFacts
from tests.unit.conftest import Product
from tests.unit.test_decision_models import LLAMA, MIGRATIONS, chat, model, refused, select

SMALL = "@cf/baai/bge-small-en-v1.5"
M3 = "@cf/baai/bge-m3"


async def patch(product: Product, **settings: Any) -> Any:
    return await product.call("PATCH", "/v1/config", settings)


async def test_they_are_listed_with_their_price(product: Product) -> None:
    page = (await product.call("GET", "/v1/models?type=embedding")).json()["data"]
    prices = {each["id"]: (each["pricing"] or {}).get("input_per_million") for each in page}
    assert prices == {
        SMALL: 0.020,
        "@cf/baai/bge-base-en-v1.5": 0.067,
        "@cf/baai/bge-large-en-v1.5": 0.204,
        M3: 0.012,
        "@cf/google/embeddinggemma-300m": None,
        "@cf/qwen/qwen3-embedding-0.6b": 0.012,
    }
    assert not any(each["chat"] or each["decisions"] or each["active"] for each in page)


@pytest.mark.parametrize(
    ("method", "path", "body", "param"),
    [
        ("POST", "/v1/models/select", {"model_id": SMALL}, "model_id"),
        ("PATCH", "/v1/config", {"routing_model": SMALL}, "routing_model"),
        ("PATCH", "/v1/config", {"fallback_models": [SMALL]}, "fallback_models[0]"),
    ],
)
async def test_they_choose_no_agent(
    product: Product, method: str, path: str, body: Any, param: str
) -> None:
    answered = await product.call(method, path, body)
    assert refused(answered) == (400, "model_is_embedding", param)


async def test_a_request_cannot_name_one(product: Product) -> None:
    answered = await product.call("POST", "/v1/route", {"query": "hi", "model": SMALL})
    assert refused(answered)[1:] == ("unknown_model", "model")
    assert refused(await chat(product, SMALL))[1:] == ("model_is_embedding", "model")
    body = {
        "model": SMALL,
        "state": "hi",
        "questions": {"q": {"type": "noul", "instructions": "?"}},
    }
    answered = await product.call("POST", "/v1/systemone", body)
    assert refused(answered)[1:] == ("not_a_decision_model", "model")


async def test_an_agents_own_model_writes_text(product: Product) -> None:
    agent = {"id": "vectors", "name": "V", "description": "D", "model": SMALL}
    assert refused(await product.call("POST", "/v1/agents", agent))[1:] == (
        "model_is_embedding",
        "model",
    )


async def test_the_setting_names_one(product: Product) -> None:
    assert (await product.call("GET", "/v1/config")).json()["embedding_model"]["value"] is None
    answered = await patch(product, embedding_model=SMALL)
    assert answered.json()["embedding_model"] == {"value": SMALL, "source": "stored"}
    assert refused(await patch(product, embedding_model=LLAMA))[1:] == (
        "model_is_no_embedding",
        "embedding_model",
    )
    assert refused(await patch(product, embedding_model="@cf/no/such"))[1:] == (
        "model_not_found",
        "embedding_model",
    )
    assert (await product.call("DELETE", f"/v1/models/{M3}")).status == 200
    assert refused(await patch(product, embedding_model=M3))[1:] == (
        "model_retired",
        "embedding_model",
    )
    assert (await patch(product, embedding_model=None)).json()["embedding_model"]["value"] is None


async def test_registering_one(product: Product) -> None:
    body = {"id": "@cf/acme/vectors", "type": "embedding", "aliases": ["vec"]}
    made = (await product.call("POST", "/v1/models", body)).json()
    assert (made["type"], made["base_model"]) == ("embedding", "@cf/acme/vectors")
    assert (await patch(product, embedding_model="vec")).status == 200
    answered = await product.call("POST", "/v1/models", {**body, "id": "x", "json_mode": True})
    assert refused(answered)[2] == "json_mode"
    answered = await product.call("PATCH", f"/v1/models/{SMALL}", {"logprobs": True})
    assert refused(answered)[2] == "logprobs"


async def test_a_vendors_model_is_known_by_its_name(product: Product) -> None:
    body = {"id": "vendor", "kind": "openai", "models": ["text-embedding-3-small", "gpt-6"]}
    assert (await product.call("POST", "/v1/providers", body)).status == 201
    assert (await model(product, "vendor/text-embedding-3-small"))["type"] == "embedding"
    # The chain of fallbacks has the provider's first model that can route.
    chain = (await product.services.routing.fresh()).chain
    assert [each.id for each in chain][-1] == "vendor/gpt-6"
    assert (await patch(product, embedding_model="vendor/text-embedding-3-small")).status == 200


async def test_the_catalogue_says_what_they_are(product: Product) -> None:
    product.gateway.catalogue = [
        BaseModelFacts("@cf/new/vectors", 0.01, embedding=True),
        BaseModelFacts(SMALL, 0.03, embedding=True),
    ]
    assert (await product.call("POST", "/v1/models/refresh")).json()["added"] == ["@cf/new/vectors"]
    assert product.gateway.schema_requests == []
    found = await model(product, "@cf/new/vectors")
    assert (found["type"], found["pricing"]["output_per_million"]) == ("embedding", 0)
    assert (await model(product, SMALL))["pricing"]["input_per_million"] == 0.03
    await select(product, LLAMA)


def test_the_migration_keeps_models() -> None:
    database = sqlite3.connect(":memory:")
    for file in sorted(MIGRATIONS.glob("*.sql")):
        if "embedding_models" in file.name:
            row = "'m', 'decision', 'b', NULL, 'available', '[]', 9, 1, 0, 0, 0, 5, 6, 'p', 0"
            database.execute(f"INSERT INTO models VALUES ({row})")
        database.executescript(file.read_text())
    assert database.execute("SELECT id, type, provider FROM models").fetchall() == [
        ("m", "decision", "p")
    ]
    before = database.execute("SELECT value FROM revision").fetchone()
    database.execute("UPDATE models SET type = 'embedding'")
    assert database.execute("SELECT value FROM revision").fetchone() != before
