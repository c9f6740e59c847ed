"""When the ranking of a log row stands for a call of the model: only if that would be sent the same
messages, to the same model, and read in the same way."""

from typing import Any

import pytest

from edgeneuro.domain.decision import Usage
from edgeneuro.gateway.interface import ModelAnswer, Token
from edgeneuro.settings import Settings
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.conftest import Product, says
from tests.unit.decision_models import CLEF, chose, decision_product
from tests.unit.test_evaluations import ACTIVE, OTHER, made
from tests.unit.test_replays import HIGHER, log, matrix, replay, requests, unsure

QUERIES = ("hr leave 90", "hr contract 70")


@pytest.fixture
async def product(database: SqliteDatabase, settings: Settings) -> Product:
    product = await made(database, settings, unsure)
    await log(product, *QUERIES)
    product.execute("DELETE FROM decision_cache")
    return product


async def calls(product: Product, changes: Any = HIGHER, **fields: Any) -> int:
    requests(product).clear()
    found = await replay(product, changes, **fields)
    assert found["state"] == "succeeded" and found["n"] == 2, found
    assert found["model_calls"]["made"] == len(requests(product))
    return len(requests(product))


async def test_the_same_model_agents_and_prompt(product: Product) -> None:
    assert await calls(product) == 0
    assert await calls(product, {"settings": {"on_no_fit": "none"}}) == 0
    default = {"agents": [{"id": "hr", "default": True}, {"id": "general", "default": False}]}
    assert await calls(product, default) == 0, "who is the default is no part of the prompt"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE logs SET agents_revision = 'other'",
        "UPDATE logs SET prompt_version = '1'",
        f"UPDATE logs SET attempts = replace(attempts, '{ACTIVE}', '{OTHER}')",
        "UPDATE logs SET attempts = replace(attempts, 'workers-ai', 'other')",
        "UPDATE logs SET attempts = replace(attempts, '\"ok\"', '\"timeout\"'), model = 'other'",
        "UPDATE logs SET confidence_source = 'logprobs'",
        "UPDATE logs SET stages = NULL",
        "UPDATE logs SET stages = replace(stages, '\"calibrated\":false', '\"calibrated\":true')",
        'UPDATE logs SET stages = replace(stages, \'"name":"model"\', \'"name":"classifier"\')',
        # Rules had excluded agents.
        "UPDATE logs SET stages = json_insert(stages, '$[#]', json_object('name', 'rule',"
        " 'outcome', 'skipped', 'reason', 'rule rul_1 excludes hr', 'ms', 0, 'scores',"
        " json_array(), 'none_probability', NULL, 'rules', json_array('rul_1')))",
    ],
)
async def test_a_row_that_says_something_else(product: Product, change: str) -> None:
    product.execute(change)
    assert await calls(product) == 2


async def test_rows_from_a_cache_name_their_model(product: Product) -> None:
    product.execute("UPDATE logs SET attempts = '[]', layer = 'cache', cache = 'hit'")
    assert await calls(product) == 0
    # A vendor's model of the same name could have been it.
    body = {"id": "acme", "kind": "openai", "secret": "PROVIDER_ACME", "models": [ACTIVE]}
    assert (await product.call("POST", "/v1/providers", body)).status == 201
    assert await calls(product) == 2


async def test_rules_that_exclude_agents_need_the_model(product: Product) -> None:
    rule = {"when": {"words": ["contract"]}, "then": {"never": ["it_support"]}}
    assert await calls(product, {"rules": [rule]}, baseline="current") == 1
    prefer = {"when": {}, "then": {"prefer": "hr"}}
    assert await calls(product, {"rules": [prefer], **HIGHER}) == 0
    other = {"when": {"words": ["contract"]}, "then": {"model": OTHER}}
    assert await calls(product, {"rules": [other]}) == 1


async def test_a_model_that_was_registered_again_is_asked(
    database: SqliteDatabase, settings: Settings
) -> None:
    product = await made(database, settings, unsure)
    body = {"id": "@cf/own/model", "type": "base", "json_mode": True}
    assert (await product.call("POST", "/v1/models", body)).status == 201
    selected = await product.call("POST", "/v1/models/select", {"model_id": body["id"]})
    assert selected.status == 200, selected.text
    product.clock.seconds += 2
    await log(product, *QUERIES)
    product.execute("DELETE FROM decision_cache")
    assert await calls(product) == 0
    product.execute(f"UPDATE models SET created_at = {product.services.now_ms() + 5_000}")
    assert await calls(product) == 2


async def test_a_calibration_is_applied_to_the_logged_confidence(product: Product) -> None:
    """To rows from before it; the confidence of later rows is calibrated already."""
    config = await product.services.routing.fresh()
    identity = config.identity_hash(config.active)
    product.execute(
        "INSERT INTO calibrations (model_id, identity, prompt_version, evaluation_id, n, slope,"
        " intercept, ece_before, ece_after, created_at, created_by) VALUES"
        f" ('{ACTIVE}', '{identity}', '2', 'eval_1', 100, 1, -1, 0.1, 0.1,"
        f" {product.services.now_ms()}, 'x')"
    )
    found = await replay(product, {"settings": {"confidence_threshold": 0.6}})
    assert requests(product) == []
    # 0.7 becomes 0.46, 0.9 becomes 0.77.
    assert matrix(found) == {("hr", "hr"): 1, ("hr", "fallback general"): 1}
    product.execute("DELETE FROM logs")
    await log(product, "hr other 90")
    product.execute("DELETE FROM decision_cache")
    found = await replay(product, {"settings": {"confidence_threshold": 0.7}})
    assert requests(product) == [] and matrix(found) == {("hr", "hr"): 1}
    product.clock.seconds += 10
    product.execute(f"UPDATE calibrations SET created_at = {product.services.now_ms()}")
    product.execute("UPDATE revision SET value = value + 1")
    await replay(product, {"settings": {"confidence_threshold": 0.7}})
    assert len(requests(product)) == 1


async def test_no_agent_fits_and_no_confidence(
    database: SqliteDatabase, settings: Settings
) -> None:
    """What an answer without an agent, or without a number, was is in the row."""

    def answer(model: str, query: str) -> ModelAnswer | Exception:
        if query.startswith("unknown"):
            return ModelAnswer(content={"agent": "hr"})
        return says("none", 0.9)

    product = await made(database, settings, answer)
    await log(product, "unknown", "outside")
    product.execute("DELETE FROM decision_cache")
    found = await replay(product, {"settings": {"confidence_threshold": 0.95}})
    assert requests(product) == []
    assert matrix(found) == {("hr", "hr"): 1, ("fallback general", "fallback general"): 1}


async def test_token_probabilities_are_those_of_the_model(
    database: SqliteDatabase, settings: Settings
) -> None:
    def answer(model: str, query: str) -> ModelAnswer | Exception:
        tokens = (Token('{"agent": "', 0.0), Token("hr", -0.1), Token('"}', 0.0))
        return ModelAnswer(content='{"agent": "hr"}', tokens=tokens, usage=Usage())

    product = await made(database, settings, answer)
    path = f"/v1/models/{ACTIVE}"
    assert (await product.call("PATCH", path, {"logprobs": True})).status == 200
    product.clock.seconds += 10
    await log(product, "hr one", "hr two")
    product.execute("DELETE FROM decision_cache")
    assert await calls(product, {"settings": {"confidence_threshold": 0.95}}) == 0
    assert (await product.call("PATCH", path, {"logprobs": False})).status == 200
    assert await calls(product, {"settings": {"confidence_threshold": 0.95}}) == 2


async def test_a_decision_models_ranking_is_reused(
    database: SqliteDatabase, settings: Settings
) -> None:
    product = await decision_product(database, settings)
    product.gateway.enqueue(chose({"hr": 0.7, "general": 0.2, "none": 0.1}))
    await product.route("hr leave")
    product.execute("DELETE FROM decision_cache")
    product.clock.seconds += 1
    found = await replay(product, HIGHER)
    assert found["state"] == "succeeded", found["error"]
    assert matrix(found) == {("hr", "fallback general"): 1}
    assert (found["model_calls"]["made"], found["model_calls"]["reused"]) == (0, 1)
    assert found["layers"] == [
        {"layer": "decision_model", "before": 1, "after": 0},
        {"layer": "fallback", "before": 0, "after": 1},
    ]
    # The question is cut to another window: what it would say is not known.
    patched = await product.call("PATCH", f"/v1/models/{CLEF}", {"context_window": 100})
    assert patched.status == 200, patched.text
    again = await replay(product, HIGHER)
    assert again["state"] == "succeeded", again["error"]
    assert again["model_calls"]["reused"] == 0


async def test_clarifying_questions_are_replayed(
    database: SqliteDatabase, settings: Settings
) -> None:
    """The question, with other margins, and the reply to it, which no model needs to read."""
    product = await decision_product(database, settings)
    await product.call("PATCH", "/v1/config", {"clarify": True})
    product.gateway.enqueue(chose({"hr": 0.48, "it_support": 0.44, "none": 0.08}))
    asked = (await product.route("Where is my form?")).json()
    assert asked["outcome"] == "clarify"
    context = {"previous_user": "Where is my form?", "previous_assistant": asked["clarify"]["text"]}
    reply = (await product.route("the second one", context=context)).json()
    assert (reply["layer"], reply["agent"]["id"]) == ("session", "it_support")
    product.execute("DELETE FROM decision_cache")
    product.clock.seconds += 1
    tried = {"clarify_margin": 0.01, "confidence_threshold": 0.45}
    for baseline in ("logged", "current"):
        found = await replay(product, {"settings": tried}, baseline=baseline)
        assert found["state"] == "succeeded", found["error"]
        assert matrix(found) == {("clarify None", "hr"): 1, ("it_support", "it_support"): 1}
        assert found["model_calls"]["made"] == 0
    assert len(product.gateway.decision_requests) == 1
