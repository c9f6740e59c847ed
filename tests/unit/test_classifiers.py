"""The life of a classifier over the API, in process: trained, listed, selected, rolled back."""

import hashlib
from typing import Any

import pytest

from edgeneuro.classifier.model import InvalidModelError, loads
from edgeneuro.store.classifiers import read_model
from tests.unit.conftest import Product, says
from tests.unit.trainings import AGENTS, create, import_labels, select, shown, train

LLAMA = "@cf/meta/llama-3.2-1b-instruct"
NONE = {"model_id": None, "type": "classifier"}


async def audit(product: Product) -> list[tuple[str, str]]:
    page = (await product.call("GET", "/v1/audit?resource=classifier&limit=100")).json()
    return [(entry["action"], entry["resource_id"]) for entry in page["data"]]


async def active(product: Product) -> list[str]:
    page = (await product.call("GET", "/v1/models")).json()
    return [model["id"] for model in page["data"] if model["active"]]


async def test_a_training_gives_a_model_with_its_metrics(product: Product) -> None:
    await import_labels(product)
    created = (await create(product, seed=7)).json()
    assert (created["object"], created["state"]) == ("classifier", "queued")
    assert created["options"] == {"target": 0.9, "min_labels": 5, "seed": 7, "router": None}
    assert (created["finished_at"], created["metrics"], created["version"]) == (None, None, None)
    made = await shown(product, created["id"])
    assert (made["state"], made["error"], made["active"]) == ("succeeded", None, False)
    assert made["progress"]["stage"] == "finished"
    assert made["metrics"]["answered_accuracy"] >= 0.9
    assert made["created_by"] == "admin_token"
    in_force = product.rows("SELECT split, label_id FROM current_labels ORDER BY seq")
    learned = [row for row in in_force if row["split"] != "test"]
    assert 0 < made["labels"] == len(learned) < len(in_force)
    assert made["last_label_id"] == in_force[-1]["label_id"]
    assert [(each["agent_id"], each["reason"]) for each in made["per_agent"]] == [
        (agent, None) for agent in made["agents"]
    ]
    content = await read_model(product.database, made["id"])
    assert (len(content), content[-32:].hex()) == (made["size"], made["checksum"])
    assert loads(content).seed == 7
    assert made["checksum"].startswith(made["version"])
    kinds = product.rows("SELECT DISTINCT kind FROM classifier_parts")
    assert kinds == [{"kind": "model"}], "what the job worked with is gone"


async def test_the_same_labels_and_seed_make_the_same_model(product: Product) -> None:
    await import_labels(product)
    made = [await train(product, seed=seed) for seed in (1, 1, 2)]
    assert made[0]["checksum"] == made[1]["checksum"] != made[2]["checksum"]


async def test_settings_say_what_a_training_aims_at(product: Product) -> None:
    settings = {"classifier_target": 0.8, "classifier_min_labels": 3}
    await product.call("PATCH", "/v1/config", settings)
    created = (await product.call("POST", "/v1/classifiers", {})).json()
    assert created["options"] == {"target": 0.8, "min_labels": 3, "seed": 0, "router": None}


async def test_a_classifier_is_a_model_in_front_of_the_active_one(product: Product) -> None:
    await import_labels(product)
    first, second = [(await train(product, seed=seed))["id"] for seed in (1, 2)]
    models = (await product.call("GET", "/v1/models")).json()["data"]
    model = next(model for model in models if model["id"] == first)
    assert (model["type"], model["provider"]) == ("classifier", "edgeneuro")
    made = await shown(product, first)
    assert all(model[name] == made[name] for name in ("metrics", "labels", "size"))
    assert await active(product) == [LLAMA]

    selected = (await select(product, first)).json()
    assert (selected["active"], selected["previous"]) == (first, None)
    assert (await select(product, second)).json()["previous"] == first
    assert await active(product) == [LLAMA, second]
    assert (await product.call("GET", f"/v1/models/{second}")).json()["active"] is True
    assert (await shown(product, second))["active"] is True
    setting = (await product.call("GET", "/v1/config")).json()["classifier"]
    assert setting == {"value": second, "source": "stored"}

    back = (await select(product, first, expected_active=second)).json()
    assert (back["active"], back["previous"]) == (first, second)
    gone = (await product.call("POST", "/v1/models/select", NONE)).json()
    assert (gone["active"], gone["previous"]) == (None, first)
    assert (await product.call("POST", "/v1/models/select", NONE)).json()["previous"] is None
    assert await active(product) == [LLAMA]
    assert [action for action, _ in await audit(product)] == ["select"] * 4 + ["create"] * 2


async def test_an_agent_that_is_new_to_a_classifier_is_shown_as_joined(product: Product) -> None:
    await import_labels(product)
    made = (await train(product))["id"]
    await select(product, made)
    new = {"id": "agent_new", "name": "New", "description": "New"}
    for enabled in (True, False):
        await product.call("POST", "/v1/agents", new)
        await product.call("PATCH", "/v1/agents/agent_new", {"enabled": enabled})
        model = (await product.call("GET", f"/v1/models/{made}")).json()
        classifier = await shown(product, made)
        assert [model["suspended"], classifier["suspended"]] == [None] * 2
        assert classifier["agents_joined"] == (["agent_new"] if enabled else [])


async def test_a_selection_that_was_overtaken_is_refused(product: Product) -> None:
    await import_labels(product)
    made = (await train(product))["id"]
    refused = await select(product, made, expected_active="clf_other")
    assert (refused.status, refused.json()["error"]["code"]) == (409, "active_model_changed")
    await select(product, made)
    refused = await select(product, None, type="classifier", expected_active=None)
    assert (refused.status, refused.json()["error"]["param"]) == (409, "expected_active")


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"model_id": "clf_none"}, "classifier_not_found", "model_id"),
        ({"model_id": "clf_none", "type": "classifier"}, "classifier_not_found", "model_id"),
        ({"model_id": LLAMA, "type": "classifier"}, "classifier_not_found", "model_id"),
        ({"model_id": None}, "invalid_value", "model_id"),
        (
            {"model_id": "clf_x", "type": "classifier", "challenger": 5},
            "invalid_value",
            "challenger",
        ),
        ({"type": "classifier"}, "missing_field", "model_id"),
    ],
)
async def test_what_cannot_be_selected(
    product: Product, body: dict[str, Any], code: str, param: str
) -> None:
    answered = await product.call("POST", "/v1/models/select", body)
    error = answered.json()["error"]
    assert (answered.status, error["code"], error["param"]) == (400, code, param)
    assert product.rows("SELECT * FROM config") == []


async def test_a_classifier_is_no_model_to_ask(product: Product) -> None:
    await import_labels(product)
    made = (await train(product))["id"]
    for name, value in (("routing_model", made), ("fallback_models", [made])):
        answered = await product.call("PATCH", "/v1/config", {name: value})
        assert (answered.status, answered.json()["error"]["code"]) == (400, "model_is_classifier")
    body = {"model": made, "messages": [{"role": "user", "content": "hello"}]}
    assert (await product.call("POST", "/v1/chat/completions", body)).status in (400, 404)


async def test_the_setting_takes_only_what_can_answer(product: Product) -> None:
    for agent in AGENTS[1:]:
        await product.call("PATCH", f"/v1/agents/{agent}", {"enabled": False})
    failed = await train(product)
    for agent in AGENTS[1:]:
        await product.call("PATCH", f"/v1/agents/{agent}", {"enabled": True})
    answered = await product.call("PATCH", "/v1/config", {"classifier": failed["id"]})
    assert (answered.status, answered.json()["error"]["code"]) == (400, "classifier_not_ready")
    await import_labels(product)
    made = await train(product)
    patched = (await product.call("PATCH", "/v1/config", {"classifier": made["id"]})).json()
    assert patched["classifier"] == {"value": made["id"], "source": "stored"}
    patched = (await product.call("PATCH", "/v1/config", {"classifier": None})).json()
    assert patched["classifier"] == {"value": None, "source": "default"}


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE classifier_parts SET content = zeroblob(100) WHERE kind = 'model'",
        "DELETE FROM classifier_parts",
        f"UPDATE classifiers SET checksum = '{'0' * 64}'",
        "UPDATE classifier_parts SET content ="
        " (SELECT content FROM classifier_parts ORDER BY classifier_id LIMIT 1)",
    ],
)
async def test_a_damaged_or_foreign_model_is_refused_and_the_selected_one_stays(
    product: Product, damage: str
) -> None:
    await import_labels(product)
    good, bad = [(await train(product, seed=seed))["id"] for seed in (1, 2)]
    await select(product, good)
    product.execute(damage)
    with pytest.raises(InvalidModelError):
        loads(await read_model(product.database, bad))
    refused = await select(product, bad)
    assert (refused.status, refused.json()["error"]["code"]) == (409, "classifier_damaged")
    assert await active(product) == [LLAMA, good]


async def test_a_model_of_former_features_is_not_asked_and_says_to_train_again(
    product: Product,
) -> None:
    await import_labels(product)
    made = (await train(product))["id"]
    await select(product, made)
    content = await read_model(product.database, made)
    former = content[:18] + b"\1\0" + content[20:-32]
    former += hashlib.sha256(former).digest()
    product.execute(f"UPDATE classifier_parts SET content = x'{former.hex()}'")
    product.execute(f"UPDATE classifiers SET checksum = '{former[-32:].hex()}'")
    product.services.classifier.clear()
    for _ in range(2):
        product.gateway.enqueue(says("general"))
        decision = (await product.route("agent_0 asks", cache=False)).json()
        assert (decision["layer"], decision["agent"]["id"]) == ("llm", "general")
    [shown] = (await product.call("GET", "/v1/classifiers")).json()["data"]
    assert (
        shown["suspended"]
        == (await product.call("GET", f"/v1/classifiers/{made}")).json()["suspended"]
    )
    assert "train another one" in shown["suspended"]
    refused = await select(product, made)
    assert (refused.status, refused.json()["error"]["code"]) == (409, "classifier_damaged")
    assert "train it again" in refused.json()["error"]["message"]


async def test_the_selected_classifier_cannot_be_deleted(product: Product) -> None:
    await import_labels(product)
    made = (await train(product))["id"]
    await select(product, made)
    refused = await product.call("DELETE", f"/v1/classifiers/{made}")
    assert (refused.status, refused.json()["error"]["code"]) == (409, "classifier_selected")
    await product.call("POST", "/v1/models/select", NONE)
    deleted = (await product.call("DELETE", f"/v1/classifiers/{made}")).json()
    assert deleted == {"object": "classifier.deleted", "id": made, "deleted": True}
    assert (await product.call("GET", f"/v1/models/{made}")).status == 404
    assert product.rows("SELECT * FROM classifier_parts") == []
    assert (await audit(product))[0] == ("delete", made)


async def test_the_list_has_pages(product: Product) -> None:
    ids = [(await create(product)).json()["id"] for _ in range(3)]
    page = (await product.call("GET", "/v1/classifiers?limit=2")).json()
    assert [each["id"] for each in page["data"]] == ids[:0:-1]
    assert page["has_more"] is True
    rest = (await product.call("GET", f"/v1/classifiers?after={page['last_id']}")).json()
    assert [each["id"] for each in rest["data"]] == ids[:1]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"target": 1}, "target"),
        ({"target": "high"}, "target"),
        ({"min_labels": 0}, "min_labels"),
        ({"min_labels": 2.5}, "min_labels"),
        ({"seed": -1}, "seed"),
        ({"labels": []}, "labels"),
    ],
)
async def test_a_bad_body_begins_nothing(
    product: Product, body: dict[str, Any], param: str
) -> None:
    answered = await product.call("POST", "/v1/classifiers", body)
    assert (answered.status, answered.json()["error"]["param"]) == (400, param)
    assert product.rows("SELECT * FROM classifiers") == []


async def test_agents_are_those_of_the_beginning(product: Product) -> None:
    made = await train(product)
    assert sorted(made["agents"]) == sorted(AGENTS)
