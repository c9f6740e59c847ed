"""Models over the API, in process: the list and the selection."""

from dataclasses import replace

import pytest

from edgeneuro.domain.catalogue import BaseModelFacts, known_models
from edgeneuro.domain.decision import Usage
from edgeneuro.errors import UpstreamError, UpstreamNotConfiguredError, UpstreamTimeoutError
from edgeneuro.gateway.interface import ModelAnswer
from edgeneuro.settings import Settings
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.conftest import Product, says

LLAMA = "@cf/meta/llama-3.2-1b-instruct"
LORA = "intent-routing-v1"
GRANITE = "@cf/ibm-granite/granite-4.0-h-micro"


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
        "name": None,
        "type": "base",
        "chat": True,
        "decisions": False,
        "base_model": LLAMA,
        "adapter": None,
        "provider": "workers-ai",
        "status": "available",
        "active": True,
        "aliases": [],
        "supports_lora": False,
        "json_mode": True,
        "logprobs": False,
        "context_window": 60_000,
        "pricing": {"input_per_million": 0.027, "output_per_million": 0.201, "currency": "USD"},
        "planned_deprecation_date": None,
        "deprecated": False,
        "metrics": None,
        "labels": None,
        "size": None,
        "agents": None,
        "router": None,
        "suspended": None,
        "calibration": None,
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
    assert answered.json() == {
        "object": "model.selection",
        "active": LORA,
        "previous": LLAMA,
        "check": None,
        "challenger": None,
    }
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


async def test_the_model_before_is_known_whoever_changed_the_active_one(product: Product) -> None:
    async def state() -> tuple[str, str | None]:
        found = (await product.call("GET", "/v1/models/select")).json()
        return found["active"], found["previous"]

    async def patch(**settings: object) -> None:
        assert (await product.call("PATCH", "/v1/config", settings)).status == 200

    assert await state() == (LLAMA, None)
    await product.call("POST", "/v1/models/select", {"model_id": LORA, "check": False})
    assert await state() == (LORA, LLAMA)
    await patch(routing_model=GRANITE)
    assert await state() == (GRANITE, LORA)
    await patch(routing_model=GRANITE, max_retries=2)  # nothing changes
    assert await state() == (GRANITE, LORA)
    await patch(routing_model=None)
    assert await state() == (LLAMA, GRANITE)
    await product.call("POST", "/v1/models/select", {"model_id": GRANITE, "check": False})
    assert await state() == (GRANITE, LLAMA)
    again = await product.call("POST", "/v1/models/select", {"model_id": GRANITE, "check": False})
    assert again.json()["previous"] == LLAMA
    assert await state() == (GRANITE, LLAMA)
    assert "previous_model" not in (await product.call("GET", "/v1/config")).json()


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


BASE = {
    "id": "@cf/new/model",
    "type": "base",
    "json_mode": True,
    "context_window": 8_000,
    "pricing": {"input_per_million": 1.0, "output_per_million": 2},
    "aliases": ["new"],
}


async def test_a_registered_base_model_can_be_selected_and_is_asked(product: Product) -> None:
    created = await product.call("POST", "/v1/models", BASE)
    assert created.status == 201
    assert {name: created.json()[name] for name in BASE} == {
        **BASE,
        "pricing": {"input_per_million": 1.0, "output_per_million": 2.0, "currency": "USD"},
    }
    selected = await product.call("POST", "/v1/models/select", {"model_id": "new"})
    assert selected.json()["active"] == "@cf/new/model"
    product.gateway.enqueue(
        ModelAnswer(
            content={"agent": "hr", "confidence": 1},
            usage=Usage(prompt_tokens=100, completion_tokens=10, total_tokens=110),
        )
    )
    decision = (await product.route("Leave?")).json()
    assert decision["model"] == "@cf/new/model"
    assert decision["cost_usd"] == pytest.approx(120e-6)
    assert product.gateway.requests[0].response_schema is not None


async def test_a_registered_adapter_stands_on_its_base(product: Product) -> None:
    body = {
        "id": "intent-v2",
        "type": "lora",
        "base_model": "@cf/mistral/mistral-7b-instruct-v0.2-lora",
        "adapter": "uploaded-name",
    }
    model = (await product.call("POST", "/v1/models", body)).json()
    assert (model["type"], model["adapter"]) == ("lora", "uploaded-name")
    assert model["context_window"] == 15_000
    await product.call("POST", "/v1/models/select", {"model_id": "intent-v2"})
    product.gateway.enqueue(ModelAnswer(content="hr"))
    await product.route("Leave?")
    request = product.gateway.requests[0]
    assert (request.model, request.adapter) == (body["base_model"], "uploaded-name")


@pytest.mark.parametrize(
    ("change", "status", "code", "param"),
    [
        ({"id": LLAMA}, 409, "model_exists", "id"),
        ({"aliases": [LORA]}, 409, "alias_taken", "aliases[0]"),
        ({"type": "classifier"}, 400, "invalid_value", "type"),
        ({"context_window": 0}, 400, "invalid_value", "context_window"),
        ({"pricing": {"input_per_million": -1, "output_per_million": 1}}, 400, "invalid_value", ""),
        ({"type": "lora"}, 400, "missing_field", "base_model"),
        ({"type": "lora", "base_model": "no-such"}, 400, "model_not_found", "base_model"),
        ({"type": "lora", "base_model": LLAMA}, 400, "lora_unsupported", "base_model"),
        ({"base_model": LLAMA}, 400, "invalid_value", "base_model"),
    ],
)
async def test_what_cannot_be_registered(
    product: Product, change: dict[str, object], status: int, code: str, param: str
) -> None:
    answered = await product.call("POST", "/v1/models", {**BASE, **change})
    error = answered.json()["error"]
    assert (answered.status, error["code"]) == (status, code)
    assert error["param"] == (param or "pricing.input_per_million")
    assert product.rows("SELECT * FROM models") == []


async def test_a_built_in_model_can_be_changed_and_the_rest_of_it_stays(product: Product) -> None:
    path = f"/v1/models/{LLAMA}"
    before = (await product.call("GET", path)).json()
    patched = (await product.call("PATCH", path, {"aliases": ["small"]})).json()
    assert patched == {**before, "aliases": ["small"]}
    assert (await product.call("GET", "/v1/models/small")).json()["id"] == LLAMA


async def test_a_retired_model_stays_in_the_list_and_cannot_be_selected(product: Product) -> None:
    path = "/v1/models/@cf/openai/gpt-oss-20b"
    assert (await product.call("DELETE", path)).json()["status"] == "retired"
    answered = await product.call(
        "POST", "/v1/models/select", {"model_id": "@cf/openai/gpt-oss-20b"}
    )
    assert (answered.status, answered.json()["error"]["code"]) == (400, "model_retired")
    assert (await product.call("PATCH", path, {"status": "available"})).status == 200
    answered = await product.call(
        "POST", "/v1/models/select", {"model_id": "@cf/openai/gpt-oss-20b"}
    )
    assert answered.status == 200


@pytest.mark.parametrize(("method", "body"), [("DELETE", None), ("PATCH", {"status": "not_ready"})])
async def test_the_active_model_cannot_be_retired(
    product: Product, method: str, body: object
) -> None:
    answered = await product.call(method, f"/v1/models/{LLAMA}", body)
    assert (answered.status, answered.json()["error"]["code"]) == (409, "model_active")


async def test_a_retired_fallback_model_is_not_asked(product: Product) -> None:
    await product.call("DELETE", "/v1/models/@cf/ibm-granite/granite-4.0-h-micro")
    decision = (await product.route("Leave?")).json()
    assert {attempt["model"] for attempt in decision["attempts"]} == {LLAMA}


async def test_the_catalogue_of_workers_ai_is_merged_with_the_table(product: Product) -> None:
    product.gateway.catalogue = [
        BaseModelFacts(LLAMA, 0.03, 0.3, 64_000, planned_deprecation_date="2027-03-01"),
        BaseModelFacts("@cf/meta/llama-3.2-3b-instruct"),
        BaseModelFacts("@cf/brand/new-lora", supports_lora=True),
    ]
    refreshed = (await product.call("POST", "/v1/models/refresh")).json()
    assert refreshed == {"object": "model.refresh", "models": 3, "added": ["@cf/brand/new-lora"]}
    llama = (await product.call("GET", f"/v1/models/{LLAMA}")).json()
    assert (llama["context_window"], llama["json_mode"]) == (64_000, True)
    assert llama["pricing"]["input_per_million"] == 0.03
    assert llama["planned_deprecation_date"] == "2027-03-01"
    kept = (await product.call("GET", "/v1/models/@cf/meta/llama-3.2-3b-instruct")).json()
    assert (kept["context_window"], kept["pricing"]["input_per_million"]) == (80_000, 0.051)
    added = (await product.call("GET", "/v1/models/@cf/brand/new-lora")).json()
    assert (added["supports_lora"], added["json_mode"], added["pricing"]) == (True, False, None)


@pytest.mark.parametrize("catalogue", [[], UpstreamTimeoutError("slow")])
async def test_a_catalogue_that_does_not_come_changes_nothing(
    product: Product, catalogue: list[BaseModelFacts] | UpstreamError
) -> None:
    product.gateway.catalogue = [BaseModelFacts("@cf/brand/new")]
    await product.call("POST", "/v1/models/refresh")
    product.gateway.catalogue = catalogue
    assert (await product.call("POST", "/v1/models/refresh")).status in (502, 504)
    assert (await product.call("GET", "/v1/models/@cf/brand/new")).status == 200


async def test_the_list_begins_with_what_only_a_chat_can_name(product: Product) -> None:
    page = (await product.call("GET", "/v1/models")).json()
    named = [(each["id"], each["type"], each["name"]) for each in page["data"][:4]]
    assert named == [
        ("auto", "router", None),
        ("agent:general", "agent", "General"),
        ("agent:hr", "agent", "Human Resources"),
        ("agent:it_support", "agent", "IT Support"),
    ]
    assert page["first_id"] == "auto"
    await product.call("PATCH", "/v1/agents/hr", {"enabled": False})
    listed = (await product.call("GET", "/v1/models?type=agent")).json()["data"]
    assert [each["id"] for each in listed] == ["agent:general", "agent:it_support"]


async def test_the_list_marks_what_answers_chats(product: Product) -> None:
    await product.call("DELETE", "/v1/models/@cf/meta/llama-3.1-8b-instruct-fp8")
    data = (await product.call("GET", "/v1/models")).json()["data"]
    chats = {each["id"]: each["chat"] for each in data}
    assert chats["auto"] and chats["agent:hr"] and chats["@cf/meta/llama-3.2-1b-instruct"]
    for each in data:
        if each["type"] in ("lora", "classifier") or each["status"] != "available":
            assert not each["chat"], each["id"]


@pytest.mark.parametrize(
    ("query", "types"),
    [
        ("?type=base", {"base"}),
        ("?type=base,lora", {"base", "lora"}),
        ("?type=router,agent", {"router", "agent"}),
        ("?type=decision", {"decision"}),
        ("", {"router", "agent", "base", "lora", "decision", "embedding"}),
    ],
)
async def test_the_list_by_type(product: Product, query: str, types: set[str]) -> None:
    data = (await product.call("GET", f"/v1/models{query}")).json()["data"]
    assert {each["type"] for each in data} == types


async def test_a_list_of_no_models_and_of_an_unknown_type(product: Product) -> None:
    page = (await product.call("GET", "/v1/models?type=classifier")).json()
    assert (page["data"], page["first_id"]) == ([], None)
    answered = await product.call("GET", "/v1/models?type=gpt")
    assert (answered.status, answered.json()["error"]["param"]) == (400, "type[0]")


@pytest.mark.parametrize("name", ["auto", "agent:hr", "agent%3Ahr"])
async def test_what_only_a_chat_can_name_is_read_by_its_name(product: Product, name: str) -> None:
    answered = await product.call("GET", f"/v1/models/{name}")
    assert answered.status == 200
    assert answered.json()["chat"] is True
    for method, body in (("PATCH", {"json_mode": True}), ("DELETE", None)):
        changed = await product.call(method, f"/v1/models/{name}", body)
        assert (changed.status, changed.json()["error"]["code"]) == (404, "model_not_found")
    assert (await product.call("GET", "/v1/models/agent:nobody")).status == 404


@pytest.mark.parametrize("name", ["auto", "agent:hr", "agent:"])
async def test_no_model_may_take_a_name_that_a_chat_reads_otherwise(
    product: Product, name: str
) -> None:
    for body, param in (
        ({"id": name, "type": "base"}, "id"),
        ({"id": "@cf/a/b", "type": "base", "aliases": [name]}, "aliases[0]"),
    ):
        answered = await product.call("POST", "/v1/models", body)
        error = answered.json()["error"]
        assert (answered.status, error["code"]) == (400, "model_name_reserved")
        assert error["param"] == param


async def test_a_model_is_marked_deprecated_once_its_date_has_passed(product: Product) -> None:
    product.gateway.catalogue = [
        BaseModelFacts(LLAMA, planned_deprecation_date="2027-01-16"),
        BaseModelFacts("@cf/a/past", planned_deprecation_date="2027-01-15"),
        BaseModelFacts("@cf/a/odd", planned_deprecation_date="soon"),
    ]
    await product.call("POST", "/v1/models/refresh")
    assert product.clock.seconds == 1_800_000_000  # 2027-01-15
    models = {each["id"]: each for each in (await product.call("GET", "/v1/models")).json()["data"]}
    assert [models[name]["deprecated"] for name in (LLAMA, "@cf/a/past", "@cf/a/odd")] == [
        False,
        True,
        False,
    ]


async def test_a_model_that_the_upstream_calls_deprecated_is_marked(product: Product) -> None:
    gone = UpstreamNotConfiguredError("deprecated", upstream_code="5028")
    product.gateway.enqueue(gone, says("hr"))
    await product.route("Leave?")
    assert (await product.call("GET", f"/v1/models/{LLAMA}")).json()["deprecated"] is True
    await product.call("PATCH", "/v1/config", {"max_retries": 2})
    product.gateway.enqueue(says("hr"))
    await product.route("Pay?")
    assert (await product.call("GET", f"/v1/models/{LLAMA}")).json()["deprecated"] is False
