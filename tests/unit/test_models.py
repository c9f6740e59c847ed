"""Models over the API, in process: the list and the selection."""

from dataclasses import replace

import pytest

from edgeneuro.domain.catalogue import known_models
from edgeneuro.settings import Settings
from edgeneuro.store.sqlite import SqliteDatabase
from tests.unit.conftest import Product

LLAMA = "@cf/meta/llama-3.2-1b-instruct"
LORA = "intent-routing-v1"


async def active(product: Product) -> list[str]:
    page = (await product.call("GET", "/v1/models")).json()
    return [model["id"] for model in page["data"] if model["active"]]


async def test_the_list_has_base_models_and_the_pair_of_vars(product: Product) -> None:
    page = (await product.call("GET", "/v1/models")).json()
    models = {model["id"]: model for model in page["data"]}
    assert page["object"] == "list"
    assert models[LLAMA] == {
        "id": LLAMA,
        "object": "model",
        "created": models[LLAMA]["created"],
        "owned_by": "meta",
        "type": "base",
        "base_model": LLAMA,
        "adapter": None,
        "status": "available",
        "active": True,
        "supports_lora": False,
        "context_window": 60_000,
        "pricing": {"input_per_million": 0.027, "output_per_million": 0.201, "currency": "USD"},
    }
    lora = models[LORA]
    assert (lora["type"], lora["adapter"]) == ("lora", LORA)
    assert lora["base_model"] == "@cf/google/gemma-2b-it-lora"
    assert await active(product) == [LLAMA]


@pytest.mark.parametrize("encoded", [LLAMA, "%40cf%2Fmeta%2Fllama-3.2-1b-instruct"])
async def test_one_model_by_its_id(product: Product, encoded: str) -> None:
    answered = await product.call("GET", f"/v1/models/{encoded}")
    assert (answered.status, answered.json()["id"]) == (200, LLAMA)


async def test_an_unknown_model_is_a_404(product: Product) -> None:
    answered = await product.call("GET", "/v1/models/@cf/no/such")
    assert (answered.status, answered.json()["error"]["code"]) == (404, "model_not_found")


async def test_select_is_stored_and_holds_at_once(product: Product) -> None:
    answered = await product.call("POST", "/v1/models/select", {"model_id": LORA})
    assert answered.json() == {"object": "model.selection", "active": LORA, "previous": LLAMA}
    assert await active(product) == [LORA]
    other = Product(product.database, product.services.settings)
    assert await active(other) == [LORA]


async def test_selecting_an_unknown_model_writes_nothing(product: Product) -> None:
    answered = await product.call("POST", "/v1/models/select", {"model_id": "gpt-99"})
    error = answered.json()["error"]
    assert answered.status == 400
    assert (error["code"], error["param"]) == ("model_not_found", "model_id")
    assert product.rows("SELECT * FROM config") == []


async def test_expected_active_stops_a_lost_update(product: Product) -> None:
    select = "/v1/models/select"
    stale = {"model_id": LORA, "expected_active": "@cf/zai-org/glm-4.7-flash"}
    refused = await product.call("POST", select, stale)
    assert (refused.status, refused.json()["error"]["code"]) == (409, "active_model_changed")
    assert await active(product) == [LLAMA]
    taken = await product.call("POST", select, {"model_id": LORA, "expected_active": LLAMA})
    assert taken.status == 200
    back = await product.call("POST", select, {"model_id": LLAMA, "expected_active": LORA})
    assert back.json()["previous"] == LORA


async def test_an_adapter_on_a_base_without_lora_cannot_be_selected(
    database: SqliteDatabase, settings: Settings
) -> None:
    product = Product(database, replace(settings, fine_tuned_model=LLAMA))
    lora = (await product.call("GET", f"/v1/models/{LORA}")).json()
    assert lora["status"] == "not_ready"
    answered = await product.call("POST", "/v1/models/select", {"model_id": LORA})
    assert (answered.status, answered.json()["error"]["code"]) == (400, "lora_unsupported")


async def test_a_stored_model_that_is_gone_gives_way_to_the_var(
    product: Product, settings: Settings
) -> None:
    await product.call("POST", "/v1/models/select", {"model_id": LORA})
    without = Product(product.database, replace(settings, intent_lora=""))
    assert await active(without) == [LLAMA]


async def test_a_damaged_stored_setting_is_passed_over(product: Product) -> None:
    product.execute("INSERT INTO config VALUES ('confidence_threshold', '7', 0)")
    product.execute("INSERT INTO config VALUES ('fallback_models', 'not json', 0)")
    product.execute(f"INSERT INTO config VALUES ('routing_model', '\"{LORA}\"', 0)")
    product.services.routing.forget()
    assert await active(product) == [LORA]


def test_models_named_by_vars_alone_are_known() -> None:
    models = known_models(Settings(routing_model="@cf/new/model", fallback_models=("other",)))
    assert (models["@cf/new/model"].owned_by, models["other"].owned_by) == ("new", "workers-ai")
    assert models["@cf/new/model"].pricing is None
