"""Adapters in the control plane: from two files, or a name, to a model; every step failing, killed
and taken up again."""

import hashlib
import json
from codecs import BOM_UTF8
from dataclasses import replace
from typing import Any

import pytest

from edgeneuro.controlplane.jobs.adapter_upload import MAX_ATTEMPTS
from edgeneuro.errors import UpstreamError, UpstreamNotConfiguredError
from edgeneuro.gateway.interface import ModelAnswer
from edgeneuro.settings import Settings
from edgeneuro.store.lora_files import PART_BYTES
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.conftest import Answered, Product, add_agents, says
from tests.unit.finetune_api import (
    CONFIG,
    FORM,
    GEMMA,
    WEIGHTS,
    FinetuneApi,
    config_file,
    form,
    weights_file,
)
from tests.unit.trainings import minute

FIELDS = {"name": "intents-v1", "base_model": GEMMA}
FILES = {CONFIG: config_file(), WEIGHTS: weights_file()}
STEPS = ["create", "upload_config", "upload_weights", "probe", "register"]


@pytest.fixture
def api() -> FinetuneApi:
    return FinetuneApi()


@pytest.fixture
async def product(database: SqliteDatabase, settings: Settings, api: FinetuneApi) -> Product:
    settings = replace(settings, cloudflare_account_id="account")
    product = Product(database, settings, cloudflare=api)
    product.secrets["CLOUDFLARE_API_TOKEN"] = "a-token"
    return await add_agents(product)


async def send(
    product: Product,
    fields: dict[str, str] = FIELDS,
    files: dict[str, bytes] = FILES,
    path: str = "/v1/loras",
) -> Answered:
    return await product.call("POST", path, form(fields, files), headers=FORM)


async def sent(product: Product, **files: bytes) -> str:
    """The id of an adapter that the cron has run once."""
    answered = await send(product)
    assert answered.status == 202, answered.text
    await minute(product)
    lora_id: str = answered.json()["id"]
    return lora_id


async def shown(product: Product, lora_id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await product.call("GET", f"/v1/loras/{lora_id}")).json()
    return found


async def models(product: Product) -> dict[str, Any]:
    return {each["id"]: each for each in (await product.call("GET", "/v1/models")).json()["data"]}


def parts(product: Product) -> int:
    return int(product.rows("SELECT count(*) AS parts FROM lora_parts")[0]["parts"])


async def test_the_configuration_reaches_workers_ai_in_its_documented_form(
    product: Product, api: FinetuneApi
) -> None:
    product.gateway.enqueue(says("it_support"))
    written = json.loads(config_file(target_modules=r".*\.q_proj"))
    del written["model_type"]
    config = BOM_UTF8 + json.dumps(written).encode()
    answered = await send(product, files=FILES | {CONFIG: config})
    assert answered.status == 202, answered.text
    assert answered.json()["target_modules"] == ["q_proj"]
    await minute(product)
    made = await shown(product, answered.json()["id"])
    assert made["state"] == "available", made
    [sent] = [content for (_, file), content in api.files.items() if file == CONFIG]
    assert json.loads(sent) == written | {"target_modules": ["q_proj"], "model_type": "gemma"}
    assert not sent.startswith(BOM_UTF8)


async def test_two_files_become_a_model(product: Product, api: FinetuneApi) -> None:
    product.gateway.enqueue(says("it_support"))
    answered = await send(product)
    assert answered.status == 202, answered.text
    begun = answered.json()
    assert begun["state"] == "queued"
    assert [step["name"] for step in begun["steps"]] == STEPS
    assert all(check["passed"] is not False for check in begun["preflight"])
    assert (await shown(product, begun["id"]))["state"] == "queued"
    await minute(product)
    made = await shown(product, begun["id"])
    assert made["state"] == "available", made
    assert [step["state"] for step in made["steps"]] == ["done"] * 5
    assert (made["rank"], made["target_modules"]) == (8, ["q_proj"])
    assert (made["size"], made["model_id"]) == (len(FILES[WEIGHTS]), "intents-v1")
    assert made["checksum"] == hashlib.sha256(FILES[WEIGHTS]).hexdigest()
    finetune = api.finetunes[0]
    assert (finetune["name"], finetune["model"]) == ("intents-v1", GEMMA)
    assert api.files == {("ft-1", CONFIG): FILES[CONFIG], ("ft-1", WEIGHTS): FILES[WEIGHTS]}
    assert api.tokens == {"Bearer a-token"}
    assert parts(product) == 0
    probe = product.gateway.requests[0]
    assert (probe.model, probe.adapter, probe.cache_key) == (GEMMA, "intents-v1", None)
    model = (await models(product))["intents-v1"]
    assert (model["type"], model["adapter"], model["status"]) == ("lora", "intents-v1", "available")
    selected = await product.call("POST", "/v1/models/select", {"model_id": "intents-v1"})
    assert selected.status == 200
    product.gateway.enqueue(says("hr"))
    assert (await product.route("May I go?")).json()["adapter"] == "intents-v1"
    assert (await shown(product, begun["id"]))["active"]
    audit = (await product.call("GET", "/v1/audit?limit=100")).json()["data"]
    output = {(each["resource"], each["action"], each["actor"]) for each in audit}
    assert {("lora", "create", "admin_token"), ("model", "create", "admin_token")} <= output


async def test_an_adapter_carries_the_labels_that_it_was_trained_on(
    product: Product, api: FinetuneApi
) -> None:
    data = {"data_sha256": "ab" * 32, "data_labels": "1200"}
    answered = await send(product, FIELDS | data)
    assert answered.status == 202, answered.text
    snapshot = {"labels": 1200, "newest_label_id": None, "sha256": "ab" * 32}
    assert answered.json()["data"] == snapshot
    assert (await shown(product, answered.json()["id"]))["data"] == snapshot
    wrong = await send(product, {**FIELDS, "name": "other", "data_sha256": "AB"})
    assert (wrong.status, wrong.json()["error"]["param"]) == (400, "data_sha256")
    wrong = await send(product, {**FIELDS, "name": "other", "data_labels": "-1"})
    assert (wrong.status, wrong.json()["error"]["param"]) == (400, "data_labels")
    body = {**FIELDS, "name": "third", "data_sha256": "ab" * 32, "data_labels": 7}
    by_name = await product.call("POST", "/v1/loras", body)
    assert by_name.json()["data"]["labels"] == 7
    without = await send(product, {**FIELDS, "name": "fourth"})
    assert without.json()["data"] is None


async def test_files_are_kept_in_parts_that_fit_a_row(product: Product, api: FinetuneApi) -> None:
    api.fail("create", 403)
    lora_id = await sent(product)
    sizes = product.rows("SELECT length(content) AS size FROM lora_parts WHERE file LIKE '%.safe%'")
    assert len(sizes) > 2
    assert all(row["size"] <= PART_BYTES for row in sizes)
    assert sum(row["size"] for row in sizes) == len(FILES[WEIGHTS])
    assert (await shown(product, lora_id))["state"] == "failed"


async def test_a_finetune_that_is_there_becomes_a_model_by_its_name(
    product: Product, api: FinetuneApi
) -> None:
    api.finetunes.append({"id": "ft-9", "name": "intents-v1", "model": GEMMA, "description": ""})
    product.gateway.enqueue(says("it_support"))
    answered = await product.call("POST", "/v1/loras", FIELDS)
    assert answered.status == 202, answered.text
    await minute(product)
    made = await shown(product, answered.json()["id"])
    assert (made["state"], made["source"], made["finetune_id"]) == ("available", "finetune", "ft-9")
    assert [step["name"] for step in made["steps"]] == ["find", "probe", "register"]
    assert (await models(product))["intents-v1"]["type"] == "lora"


@pytest.mark.parametrize(
    ("finetune", "code"),
    [
        (None, "finetune_not_found"),
        ({"model": "@cf/google/gemma-7b-it-lora"}, "other_base_model"),
    ],
)
async def test_a_name_that_is_not_there_is_not_registered(
    product: Product, api: FinetuneApi, finetune: dict[str, str] | None, code: str
) -> None:
    if finetune is not None:
        api.finetunes.append({"id": "ft-9", "name": "intents-v1", **finetune})
    lora_id = (await product.call("POST", "/v1/loras", FIELDS)).json()["id"]
    await minute(product)
    made = await shown(product, lora_id)
    assert (made["state"], made["error"]["step"], made["error"]["code"]) == ("failed", "find", code)
    assert not made["error"]["retryable"]
    assert "intents-v1" not in await models(product)


FAILING = [
    ("list", "create"),
    ("create", "create"),
    ("assets", "upload_config"),
]


@pytest.mark.parametrize(("kind", "step"), FAILING)
@pytest.mark.parametrize("lose_answer", [False, True])
async def test_what_may_pass_is_tried_again_and_goes_on(
    product: Product, api: FinetuneApi, kind: str, step: str, lose_answer: bool
) -> None:
    """Also where Cloudflare had done what was asked before its answer got lost."""
    api.lose_answer = lose_answer
    # The first list is the pre-flight's, which can do without.
    api.fail(kind, *([None] if kind == "list" else []), 503, OSError("Network connection lost."))
    product.gateway.enqueue(says("it_support"))
    lora_id = await sent(product)
    made = await shown(product, lora_id)
    assert (made["state"], made["error"]["step"]) == ("running", step)
    assert made["error"]["retryable"]
    calls = len(api.calls)
    await minute(product)
    assert len(api.calls) == calls, "not before its time"
    for _ in range(2):
        product.clock.seconds += 60
        await minute(product)
    made = await shown(product, lora_id)
    assert made["state"] == "available", made
    assert made["error"] is None
    assert len(api.finetunes) == 1
    assert api.files[made["finetune_id"], WEIGHTS] == FILES[WEIGHTS]


@pytest.mark.parametrize(("kind", "step"), FAILING)
async def test_what_does_not_pass_fails_and_says_where(
    product: Product, api: FinetuneApi, kind: str, step: str
) -> None:
    api.fail(kind, *([None] if kind == "list" else []), 400)
    lora_id = await sent(product)
    made = await shown(product, lora_id)
    assert made["state"] == "failed"
    assert (made["error"]["step"], made["error"]["retryable"]) == (step, False)
    assert "Something is wrong" in made["error"]["message"]
    assert f"POST /v1/loras/{lora_id}/retry" in made["error"]["message"]
    assert "intents-v1" not in await models(product)
    assert parts(product) > 0
    product.gateway.enqueue(says("it_support"))
    again = await product.call("POST", f"/v1/loras/{lora_id}/retry", {})
    assert again.status == 202, again.text
    await minute(product)
    assert (await shown(product, lora_id))["state"] == "available"
    assert len(api.finetunes) == 1


async def test_after_several_tries_it_has_failed(product: Product, api: FinetuneApi) -> None:
    api.fail("create", *[503] * MAX_ATTEMPTS)
    lora_id = await sent(product)
    for _ in range(MAX_ATTEMPTS):
        product.clock.seconds += 600
        await minute(product)
    made = await shown(product, lora_id)
    assert (made["state"], made["tries"]) == ("failed", MAX_ATTEMPTS)
    assert api.calls.count("create") == MAX_ATTEMPTS


async def test_an_adapter_that_does_not_answer_is_no_model(
    product: Product, api: FinetuneApi
) -> None:
    refused = UpstreamNotConfiguredError("does not support LoRA", upstream_code="5005")
    product.gateway.enqueue(refused)
    lora_id = await sent(product)
    made = await shown(product, lora_id)
    assert (made["state"], made["error"]["step"]) == ("failed", "probe")
    assert "Workers AI has the finetune" in made["error"]["message"]
    assert "intents-v1" not in await models(product)


async def test_an_adapter_that_is_not_spread_yet_is_waited_for(product: Product) -> None:
    product.gateway.enqueue(
        UpstreamNotConfiguredError("Finetune not found", upstream_code="3037"), says("hr")
    )
    lora_id = await sent(product)
    assert (await shown(product, lora_id))["state"] == "running"
    product.clock.seconds += 60
    assert (await shown(product, lora_id))["state"] == "running"
    await minute(product)
    assert (await shown(product, lora_id))["state"] == "available"


REFUSED: list[tuple[dict[str, Any], dict[str, bytes], str, str | None]] = [
    ({"name": "a b"}, {}, "invalid_value", "name"),
    ({"base_model": "@cf/none"}, {}, "model_not_found", "base_model"),
    ({"base_model": "@cf/meta/llama-3.2-1b-instruct"}, {}, "lora_unsupported", "base_model"),
    ({"name": "@cf/meta/x"}, {}, "invalid_value", "name"),
    ({"nonsense": "1"}, {}, "unknown_field", "nonsense"),
    ({}, {CONFIG: config_file(r=64)}, "adapter_refused", "rank"),
    ({}, {CONFIG: b"no json"}, "adapter_refused", "config_json"),
    ({}, {CONFIG: config_file(model_type="llama")}, "adapter_refused", "model_type"),
    ({}, {WEIGHTS: b"PK\x03\x04" + b"\0" * 500}, "adapter_refused", "weights_format"),
    ({}, {WEIGHTS: b"\x80\x02cposix\nsystem\n"}, "adapter_refused", "weights_format"),
    ({}, {WEIGHTS: b"\xff" * 8 + b"{}"}, "adapter_refused", "weights_format"),
    ({}, {WEIGHTS: weights_file()[:-1]}, "adapter_refused", "weights_format"),
    ({}, {WEIGHTS: weights_file(4)}, "adapter_refused", "shapes"),
    ({}, {CONFIG: b" " * 1_000_001}, "invalid_value", CONFIG),
]


@pytest.mark.parametrize(("fields", "files", "code", "param"), REFUSED)
async def test_what_cannot_be_is_refused_and_nothing_is_kept(
    product: Product,
    api: FinetuneApi,
    fields: dict[str, Any],
    files: dict[str, bytes],
    code: str,
    param: str | None,
) -> None:
    answered = await send(product, FIELDS | fields, FILES | files)
    assert answered.status == 400, answered.text
    error = answered.json()["error"]
    assert (error["code"], error["param"]) == (code, param)
    if code == "adapter_refused":
        failed = [c["rule"] for c in answered.json()["checks"] if c["passed"] is False]
        assert param in failed
    assert product.rows("SELECT * FROM loras") == []
    assert parts(product) == 0
    assert "create" not in api.calls


@pytest.mark.parametrize("missing", [CONFIG, WEIGHTS])
async def test_both_files_are_needed(product: Product, missing: str) -> None:
    files = {name: content for name, content in FILES.items() if name != missing}
    answered = await send(product, files=files)
    assert answered.json()["error"]["param"] == "files"
    assert missing in answered.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"", FORM),
        (b"nonsense", FORM),
        (form(FIELDS, FILES)[:-10], FORM),
        (form(FIELDS, FILES)[:2_000], FORM),
        (form(FIELDS, FILES), {"content-type": "multipart/form-data"}),
        (form({f"f{n}": "" for n in range(30)}, {}), FORM),
        (b"--a-boundary\r\nContent-Disposition: form-data\r\n\r\nx\r\n--a-boundary--\r\n", FORM),
    ],
)
async def test_a_form_that_cannot_be_read(
    product: Product, body: bytes, headers: dict[str, str]
) -> None:
    answered = await product.call("POST", "/v1/loras", body, headers=headers)
    assert answered.status == 400, answered.text
    assert answered.json()["error"]["code"] in ("invalid_form", "unknown_field")
    assert parts(product) == 0


async def test_a_name_is_taken_once(product: Product, api: FinetuneApi) -> None:
    product.gateway.enqueue(says("hr"))
    await sent(product)
    api.calls.clear()
    answered = await send(product)
    assert (answered.status, answered.json()["error"]["code"]) == (409, "lora_exists")
    assert "create" not in api.calls
    named = await send(product, FIELDS | {"name": "llama-alias"})
    assert named.status == 202
    alias = {"aliases": ["taken"]}
    await product.call("PATCH", "/v1/models/@cf/google/gemma-7b-it-lora", alias)
    answered = await send(product, FIELDS | {"name": "taken"})
    assert (answered.status, answered.json()["error"]["code"]) == (409, "model_exists")


async def test_a_finetune_of_somebody_else_is_not_taken_over(
    product: Product, api: FinetuneApi
) -> None:
    api.finetunes.append({"id": "ft-9", "name": "intents-v1", "model": GEMMA, "description": ""})
    made = await shown(product, await sent(product))
    assert (made["state"], made["error"]["code"]) == ("failed", "finetune_exists")
    assert api.files == {}


async def test_preflight_alone_keeps_nothing(product: Product, api: FinetuneApi) -> None:
    answered = await send(product, path="/v1/loras/preflight")
    assert answered.status == 200, answered.text
    assert answered.json()["ok"]
    assert answered.json()["rank"] == 8
    files = FILES | {CONFIG: config_file(r=64)}
    answered = await send(product, files=files, path="/v1/loras/preflight")
    assert (answered.status, answered.json()["ok"]) == (200, False)
    assert parts(product) == 0
    assert product.rows("SELECT * FROM loras") == []
    assert set(api.calls) == {"list"}


async def test_the_list_tells_slots_and_drift(product: Product, api: FinetuneApi) -> None:
    product.gateway.enqueue(says("hr"))
    lora_id = await sent(product)
    page = (await product.call("GET", "/v1/loras")).json()
    assert (page["slots"]["used"], page["drift"]) == (1, [])
    api.finetunes[0]["model"] = "@cf/google/gemma-7b-it-lora"
    api.finetunes.append({"id": "ft-7", "name": "other", "model": GEMMA})
    looks = api.calls.count("list")
    page = (await product.call("GET", "/v1/loras")).json()
    assert (page["drift"], api.calls.count("list")) == ([], looks), "asked once a minute"
    product.clock.seconds += 60
    page = (await product.call("GET", "/v1/loras")).json()
    output = {(each["name"], each["problem"]) for each in page["drift"]}
    assert output == {("intents-v1", "other_base"), ("other", "unknown")}
    api.finetunes.clear()
    product.clock.seconds += 60
    page = (await product.call("GET", "/v1/loras")).json()
    assert [each["problem"] for each in page["drift"]] == ["missing"]
    product.gateway.enqueue(UpstreamError("away"))
    checked = (await product.call("POST", f"/v1/loras/{lora_id}/check", {})).json()
    assert (checked["ok"], checked["listed"], checked["probe"]) == (False, False, "away")
    api.fail("list", 500)
    product.clock.seconds += 60
    for _ in range(2):
        page = (await product.call("GET", "/v1/loras")).json()
    assert (page["slots"]["used"], page["drift"]) == (None, None)
    assert page["drift_error"]
    assert [each["id"] for each in page["data"]] == [lora_id]


async def test_a_new_adapter_is_not_missing_in_a_list_of_before(product: Product) -> None:
    page = (await product.call("GET", "/v1/loras")).json()
    assert (page["slots"]["used"], page["drift"]) == (0, [])
    product.gateway.enqueue(says("hr"))
    await sent(product)
    page = (await product.call("GET", "/v1/loras")).json()
    assert (page["slots"]["used"], page["drift"]) == (1, [])


async def test_a_sound_adapter_checks_well(product: Product) -> None:
    product.gateway.enqueue(says("hr"), ModelAnswer(content="hello"))
    lora_id = await sent(product)
    checked = (await product.call("POST", f"/v1/loras/{lora_id}/check", {})).json()
    assert (checked["ok"], checked["listed"]) == (True, True)
    assert "hello" in checked["probe"]


async def test_retiring_takes_the_model_out_of_use(product: Product, api: FinetuneApi) -> None:
    product.gateway.enqueue(says("hr"))
    lora_id = await sent(product)
    await product.call("POST", "/v1/models/select", {"model_id": "intents-v1"})
    refused = await product.call("DELETE", f"/v1/loras/{lora_id}")
    assert (refused.status, refused.json()["error"]["code"]) == (409, "model_active")
    base = "@cf/meta/llama-3.2-1b-instruct"
    await product.call("POST", "/v1/models/select", {"model_id": base})
    retired = await product.call("DELETE", f"/v1/loras/{lora_id}")
    assert (retired.status, retired.json()["state"]) == (200, "retired")
    assert (await models(product))["intents-v1"]["status"] == "retired"
    assert (await product.call("DELETE", f"/v1/loras/{lora_id}")).status == 409
    assert (await product.call("POST", f"/v1/loras/{lora_id}/retry", {})).status == 409
    page = (await product.call("GET", "/v1/loras")).json()
    assert page["drift"] == [], "a retired one is known, and not missed"


async def test_without_a_token_nothing_is_read(product: Product, api: FinetuneApi) -> None:
    del product.secrets["CLOUDFLARE_API_TOKEN"]
    answered = await send(product)
    assert (answered.status, answered.json()["error"]["code"]) == (503, "not_configured")
    assert "CLOUDFLARE_API_TOKEN" in answered.json()["error"]["message"]
    assert api.calls == []


async def test_a_retired_adapter_is_not_gone_on_with(product: Product, api: FinetuneApi) -> None:
    api.fail("create", 503)
    lora_id = await sent(product)
    await product.call("DELETE", f"/v1/loras/{lora_id}")
    product.clock.seconds += 600
    await minute(product)
    assert api.calls.count("create") == 1
    assert (await shown(product, lora_id))["state"] == "retired"
    assert parts(product) == 0


async def test_a_body_over_the_limit_names_the_other_way(product: Product) -> None:
    answered = await send(product, files={CONFIG: config_file(), WEIGHTS: bytes(100_000_001)})
    assert (answered.status, answered.json()["error"]["code"]) == (413, "body_too_large")
    assert "npm run adapter" in answered.json()["error"]["message"]
