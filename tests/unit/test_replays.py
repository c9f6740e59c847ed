"""Replays: logged queries through changed agents, rules, settings, models and classifiers."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from edgeneuro.controlplane.jobs import runner
from edgeneuro.controlplane.jobs.replay import ReplayKind
from edgeneuro.domain.decision import Usage
from edgeneuro.domain.job import job_id_of
from edgeneuro.errors import UpstreamCapacityError
from edgeneuro.gateway.interface import ModelAnswer
from edgeneuro.services import Services
from edgeneuro.settings import Settings
from edgeneuro.store.usage import add_new_logs
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.conftest import Answered, Product, says
from tests.unit.invocations import _invoked
from tests.unit.test_evaluations import ACTIVE, OTHER, Models, made
from tests.unit.test_label_layer import put_label
from tests.unit.trainings import import_labels, minute, train

REPLAYS = "/v1/replays"
SINCE = "2027-01-01"
QUERIES_OF_THE_FREE_PLAN = 50


def unsure(model: str, query: str) -> ModelAnswer | Exception:
    """The first word is the agent, the last one the confidence in percent. The other model takes
    every "hr" for IT's."""
    if query.startswith("{"):  # with the turn before it
        query = list(json.loads(query).values())[-1]
    agent, confidence = query.split()[0], int(query.split()[-1]) / 100
    if model == OTHER and agent == "hr":
        agent = "it_support"
    usage = Usage(prompt_tokens=100, completion_tokens=10, total_tokens=110)
    return replace(says(agent, confidence), usage=usage)


@pytest.fixture
async def product(database: SqliteDatabase, settings: Settings) -> Product:
    return await made(database, settings, unsure)


async def log(product: Product, *queries: str, **fields: Any) -> None:
    for query in queries:
        product.clock.seconds += 1
        answered = await product.route(query, **fields)
        assert answered.status == 200, answered.text
    product.clock.seconds += 1
    requests(product).clear()


async def log_and_store(product: Product, *queries: str) -> None:
    """Their rankings are in D1's cache too, since they were asked before."""
    await log(product, *queries)
    product.services.recent_answers.clear()
    product.execute("UPDATE logs SET key_id = 'before'")
    await log(product, *queries)
    product.execute("DELETE FROM logs WHERE key_id = 'before'")


def requests(product: Product) -> list[Any]:
    assert isinstance(product.gateway, Models)
    return product.gateway.requests


async def begin(product: Product, changes: Any, **fields: Any) -> Answered:
    return await product.call("POST", REPLAYS, {"from": SINCE, "changes": changes, **fields})


async def replay(product: Product, changes: Any, **fields: Any) -> dict[str, Any]:
    begun = await begin(product, changes, **fields)
    assert begun.status == 202, begun.text
    return await ended(product, begun.json()["id"])


async def ended(product: Product, replay_id: str) -> dict[str, Any]:
    for _ in range(30):
        await minute(product)
        found = await shown(product, replay_id)
        if found["state"] not in ("queued", "running"):
            return found
        product.clock.seconds += 60
    raise AssertionError(found)


async def shown(product: Product, replay_id: str) -> dict[str, Any]:
    answered = await product.call("GET", f"{REPLAYS}/{replay_id}")
    assert answered.status == 200, answered.text
    found: dict[str, Any] = answered.json()
    return found


async def changed(product: Product, replay_id: str, **query: str) -> list[dict[str, Any]]:
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    answered = await product.call("GET", f"{REPLAYS}/{replay_id}/changes?{asked}")
    assert answered.status == 200, answered.text
    found: list[dict[str, Any]] = answered.json()["data"]
    return found


def matrix(found: dict[str, Any]) -> dict[tuple[str, str], int]:
    def name(place: dict[str, Any]) -> str:
        agent = place["agent_id"]
        return agent if place["outcome"] == "agent" else f"{place['outcome']} {agent}"

    return {(name(cell["from"]), name(cell["to"])): cell["n"] for cell in found["matrix"]}


@_invoked
async def run_slice(services: Services, replay_id: str) -> bool:
    return await runner.run_slice(services, ReplayKind(), job_id_of(replay_id))


HIGHER = {"settings": {"confidence_threshold": 0.8}}


# what is replayed, and without a model where the log has its ranking


async def test_a_threshold_is_replayed_without_a_model(product: Product) -> None:
    await log(product, "hr leave 90", "hr contract 70", "it_support vpn 60", "none of these 90")
    found = await replay(product, HIGHER)
    assert found["state"] == "succeeded", found
    assert requests(product) == []
    assert (found["n"], found["changed"], found["drawn"]) == (4, 2, 4)
    assert matrix(found) == {
        ("hr", "hr"): 1,
        ("hr", "fallback general"): 1,
        ("it_support", "fallback general"): 1,
        ("fallback general", "fallback general"): 1,
    }
    assert found["changed_share"]["share"] == 0.5
    assert 0.1 < found["changed_share"]["low"] < 0.5 < found["changed_share"]["high"] < 0.9
    assert found["model_calls"] == {
        "per_1000_before": 1000,
        "per_1000_after": 1000,
        "made": 0,
        "reused": 4,
        "cached": 0,
    }
    assert found["cost"]["spent_usd"] == 0
    first, second = await changed(product, found["id"])
    assert [first["query"], second["query"]] == ["it_support vpn 60", "hr contract 70"]
    assert (first["before"]["agent_id"], first["before"]["confidence"]) == ("it_support", 0.6)
    assert (first["after"]["outcome"], first["after"]["reason"]) == ("fallback", "low_confidence")
    assert (await changed(product, found["id"], from_agent="hr"))[0]["id"] == second["id"]
    assert await changed(product, found["id"], to_agent="none") == []


async def test_nothing_is_written_but_the_replay(product: Product) -> None:
    await log(product, "hr leave 90", "hr contract 70")
    await add_new_logs(product.database)
    tables = [
        row["name"]
        for row in product.rows("SELECT name FROM sqlite_master WHERE type = 'table'")
        if row["name"] not in ("replays", "replay_items", "jobs", "audit", "idempotency")
    ]
    before = {name: product.rows(f"SELECT * FROM {name}") for name in tables}
    found = await replay(product, {"model": OTHER}, baseline="current")
    assert (found["changed"], found["model_calls"]["made"]) == (2, 2)
    assert {name: product.rows(f"SELECT * FROM {name}") for name in tables} == before
    stored = json.dumps([product.rows(f"SELECT * FROM {t}") for t in ("replays", "replay_items")])
    assert "leave" not in stored, "texts are those of the log rows alone"


async def test_changed_agents_are_put_to_the_model_again(product: Product) -> None:
    await log(product, "hr leave 90", "it_support vpn 90")
    agents = [
        {"id": "hr", "description": "Leave alone."},
        {"id": "legal", "name": "Legal", "description": "Contracts."},
        {"id": "it_support", "enabled": False},
    ]
    found = await replay(product, {"agents": agents})
    prompt = requests(product)[0].messages[0]["content"]
    assert "Leave alone." in prompt and "legal" in prompt and "VPN" not in prompt
    assert matrix(found) == {("hr", "hr"): 1}
    assert (found["n"], found["left_out"], found["errors"]) == (
        1,
        {"failed": 1},
        {"invalid_output": 1},
    ), "the model names an agent that was not offered"
    assert requests(product)[0].metadata["purpose"] == "replay"


async def test_rules_are_replayed_with_what_the_request_had(product: Product) -> None:
    await log(product, "hr leave 90", metadata={"plan": "pro"})
    await log(product, "hr leave now 90", "it_support vpn 90")
    kept = await product.call(
        "POST", "/v1/rules", {"when": {"words": ["vpn"]}, "then": {"agent_id": "hr"}}
    )
    to_it = {"when": {"metadata": {"plan": "pro"}}, "then": {"agent_id": "it_support"}}
    found = await replay(product, {"rules": [to_it]}, baseline="current")
    assert matrix(found) == {("hr", "it_support"): 1, ("hr", "hr"): 2}
    assert requests(product) == [], "what rules do not decide is in the log"
    assert {each["layer"]: (each["before"], each["after"]) for each in found["layers"]} == {
        "llm": (2, 1),
        "rule": (1, 2),
    }
    off = {"rules": [{"id": kept.json()["id"], "enabled": False}]}
    found = await replay(product, off, baseline="current")
    assert matrix(found) == {("hr", "it_support"): 1, ("hr", "hr"): 2}
    never = {"when": {}, "then": {"never": ["hr"]}}
    begun = (await begin(product, {"rules": [never]})).json()
    assert "no condition" in begun["warnings"][0]
    found = await ended(product, begun["id"])
    # Both models are asked without hr, and the second one names another agent.
    assert matrix(found) == {("hr", "it_support"): 2, ("it_support", "hr"): 1}
    assert "hr" not in requests(product)[0].response_schema["properties"]["agent"]["enum"]


async def test_labels_say_which_side_is_right(product: Product) -> None:
    """The labels do not decide; near-duplicates count once."""
    queries = [f"hr number {n} of ours 90" for n in ("one", "two", "three", "four")]
    await log(product, *queries, "hr number one, of ours? 90", "it_support vpn 90")
    for query in queries[:3]:
        await put_label(product, query, "hr")
    await put_label(product, queries[3], "it_support")
    await put_label(product, "hr number one, of ours? 90", "hr")
    found = await replay(product, {"model": OTHER})
    assert (found["n"], found["changed"]) == (6, 5)
    labelled = found["labelled"]
    assert (labelled["n"], labelled["near_duplicates"]) == (4, 1)
    assert (labelled["right_before"], labelled["right_after"]) == (3, 1)
    assert (labelled["both_right"], labelled["only_before"], labelled["only_after"]) == (0, 3, 1)
    assert (labelled["difference"], labelled["p"]) == (-0.5, 0.625)
    assert labelled["low"] < -0.5 < labelled["high"]
    assert len(await changed(product, found["id"], only="broken")) == 4
    [fixed] = await changed(product, found["id"], only="fixed")
    assert (fixed["query"], fixed["label"], fixed["after"]["right"]) == (
        queries[3],
        "it_support",
        True,
    )


async def test_both_sides_share_one_call(product: Product) -> None:
    await log_and_store(product, "hr leave 90", "hr contract 70")
    product.execute("UPDATE logs SET stages = NULL")  # as in older rows
    found = await replay(product, HIGHER, baseline="current")
    # Both are in the cache still.
    assert (found["model_calls"]["made"], found["model_calls"]["cached"]) == (0, 2)
    await product.call("DELETE", "/v1/cache")
    found = await replay(product, HIGHER, baseline="current")
    assert (found["model_calls"]["made"], len(requests(product))) == (2, 2)
    assert found["changed"] == 1
    cost = found["cost"]
    assert cost["per_1000_before_usd"] == cost["per_1000_after_usd"] > 0
    assert (cost["known_before"], cost["known_after"]) == (2, 2)
    # The prices of both models are known, so the cost is as well.
    assert cost["spent_usd"] > 0


async def test_the_context_the_key_and_the_candidates_are_those_of_the_row(
    product: Product,
) -> None:
    key = (await product.call("POST", "/v1/keys", {"name": "a", "scopes": ["route"]})).json()
    context = {"previous_agent": "hr", "previous_user": "hello"}
    body = {"query": "hr leave 90", "candidates": ["hr", "general"], "context": context}
    assert (await product.call("POST", "/v1/route", body, key=key["key"])).status == 200
    await log(product, "hr leave 90")
    rule = {"when": {"key_id": key["id"]}, "then": {"agent_id": "general"}}
    found = await replay(product, {"rules": [rule]})
    assert matrix(found) == {("hr", "general"): 1, ("hr", "hr"): 1}
    # An agent that the changes remove is no candidate; the others stay.
    found = await replay(product, {"agents": [{"id": "it_support", "enabled": False}]})
    offered = [each.response_schema["properties"]["agent"]["enum"] for each in requests(product)]
    assert sorted(offered) == [["general", "hr", "none"]] * 2
    usage = product.rows("SELECT * FROM key_usage")
    assert usage == []


# the window, the sample, and what is left out


async def test_what_cannot_be_compared_is_left_out_and_counted(product: Product) -> None:
    await put_label(product, "hr labelled 90", "hr")
    await log(product, "hr leave 90", "hr labelled 90")
    await log(product, "hr other 90", model=OTHER)
    await log(product, "hr direct 90", cache=False)
    product.gateway.answer = lambda model, query: UpstreamCapacityError("full")  # type: ignore[attr-defined]
    await log(product, "hr failing 90")
    product.gateway.answer = unsure  # type: ignore[attr-defined]
    product.clock.seconds += 100  # the circuit breakers close
    await product.call("PATCH", "/v1/config", {"log_queries": False})
    await log(product, "hr without text 90")
    await product.call("PATCH", "/v1/config", {"log_queries": True})
    found = await replay(product, HIGHER)
    assert found["left_out"] == {
        "bypassed": 2,
        "failed_before": 1,
        "label": 1,
        "no_text": 1,
    }
    assert (found["n"], found["eligible"]) == (1, 1)
    found = await replay(product, HIGHER, baseline="current")
    assert found["left_out"] == {"bypassed": 2, "no_text": 1}
    assert found["n"] == 3


async def test_a_sample_is_random_and_the_same_for_a_seed(product: Product) -> None:
    await log(product, *[f"hr number {n} 90" for n in range(60)])

    async def drawn(**fields: Any) -> list[str]:
        begun = (await begin(product, HIGHER, **fields)).json()
        await product.call("POST", f"{REPLAYS}/{begun['id']}/cancel")
        rows = product.rows(
            f"SELECT log_id FROM replay_items WHERE replay_id = '{begun['id']}' ORDER BY place"
        )
        assert begun["drawn"] == len(rows)
        return [row["log_id"] for row in rows]

    ids = [row["id"] for row in product.rows("SELECT id FROM logs ORDER BY seq")]
    first = await drawn(sample=20)
    assert first == await drawn(sample=20) == (await drawn(sample=60))[:20]
    other = await drawn(sample=20, seed=1)
    assert len(set(first) & set(other)) < 15 and set(first) | set(other) <= set(ids)
    assert first != sorted(first)
    assert len(await drawn(sample=0.5)) == 30
    assert len(await drawn(sample=0.001)) == 1
    # Every third of the window is in the sample.
    for start in (0, 20, 40):
        assert len(set(await drawn(sample=30)) & set(ids[start : start + 20])) >= 4


async def test_window_and_filter(product: Product) -> None:
    await log(product, "hr leave 90", "it_support vpn 60")
    at = product.rows("SELECT created_at FROM logs ORDER BY seq")[1]["created_at"] / 1000
    second = datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
    for fields, n in (
        ({"from": second}, 1),
        ({"to": second}, 1),
        ({"filter": {"agent": "hr"}}, 1),
        ({"filter": {"max_confidence": 0.7}}, 1),
        ({"filter": {"layer": "llm"}}, 2),
    ):
        begun = await begin(product, HIGHER, **fields)
        assert begun.status == 202, begun.text
        assert begun.json()["drawn"] == n, fields
        await product.call("POST", f"{REPLAYS}/{begun.json()['id']}/cancel")
    refused = await begin(product, HIGHER, filter={"labelled": True})
    assert (refused.status, refused.json()["error"]["code"]) == (409, "no_queries")


@pytest.mark.parametrize(
    ("changes", "fields", "param", "code"),
    [
        ({}, {}, "changes", "no_changes"),
        ({"settings": {}}, {}, "changes", "no_changes"),
        ({"settings": {"confidence_threshold": 0.5}}, {}, "changes", "no_changes"),
        ({"model": ACTIVE}, {}, "changes", "no_changes"),
        ({"classifier": None}, {}, "changes", "no_changes"),
        ({"agents": [{"id": "hr", "system_prompt": "Be kind."}]}, {}, "changes", "no_changes"),
        (
            {"rules": [{"when": {}, "then": {"agent_id": "hr"}, "enabled": False}]},
            {},
            "changes",
            "no_changes",
        ),
        ({"model": "nothing"}, {}, "changes.model", "model_not_found"),
        ({"classifier": "clf_9"}, {}, "changes.classifier", "classifier_not_found"),
        ({"agents": [{"id": "legal"}]}, {}, "changes.agents[0].name", "missing_field"),
        (
            {"agents": [{"id": "general", "enabled": False}]},
            {},
            "changes.agents[0].enabled",
            "default_agent",
        ),
        (
            {"agents": [{"id": "general", "default": False}]},
            {},
            "changes.agents[0].default",
            "default_agent",
        ),
        ({"rules": [{"id": "rul_9"}]}, {}, "changes.rules[0].id", "unknown_rule"),
        ({"rules": [{}]}, {}, "changes.rules[0].when", "missing_field"),
        (
            {"rules": [{"when": {"pattern": "(?=a)"}, "then": {"agent_id": "hr"}}]},
            {},
            "changes.rules[0].when.pattern",
            "invalid_value",
        ),
        (
            {"rules": [{"when": {}, "then": {"agent_id": "nobody"}}]},
            {},
            "changes.rules[0].then.agent_id",
            "unknown_agent",
        ),
        (
            {"rules": [{"when": {}, "then": {"agent_id": "hr"}, "position": 3}]},
            {},
            "changes.rules[0].position",
            "invalid_value",
        ),
        (
            {"settings": {"retention_days": 3}},
            {},
            "changes.settings.retention_days",
            "unknown_field",
        ),
        ({"confidence_threshold": 0.8}, {}, "changes.confidence_threshold", "unknown_field"),
        (HIGHER, {"from": "2027-02-01", "to": "2027-01-01"}, "to", "invalid_value"),
        (HIGHER, {"from": "yesterday"}, "from", "invalid_value"),
        (HIGHER, {"sample": 0}, "sample", "invalid_value"),
        (HIGHER, {"sample": 1.5}, "sample", "invalid_value"),
        (HIGHER, {"sample": 5001}, "sample", "invalid_value"),
        (HIGHER, {"max_cost_usd": -1}, "max_cost_usd", "invalid_value"),
        (HIGHER, {"filter": {"user": "joe"}}, "filter.user", "unknown_field"),
    ],
)
async def test_what_is_refused(
    product: Product, changes: Any, fields: Any, param: str, code: str
) -> None:
    await log(product, "hr leave 90")
    refused = await begin(product, changes, **fields)
    assert refused.status == 400, refused.text
    error = refused.json()["error"]
    assert (error["param"], error["code"]) == (param, code), error
    assert product.rows("SELECT * FROM replays") == product.rows("SELECT * FROM jobs") == []


async def test_an_empty_window_is_refused_with_what_it_has(product: Product) -> None:
    refused = await begin(product, HIGHER)
    assert (refused.status, refused.json()["error"]["code"]) == (409, "no_queries")
    await log(product, "hr leave 90", model=OTHER)
    message = (await begin(product, HIGHER)).json()["error"]["message"]
    assert "1 log rows; left out: 1 bypassed" in message
    future = await begin(product, HIGHER, **{"from": "2028-01-01"})
    assert (future.status, future.json()["error"]["code"]) == (409, "no_queries")


async def test_each_query_is_replayed_in_its_router(product: Product) -> None:
    body = {"id": "desk", "agents": ["it_support", "hr"], "confidence_threshold": 0.95}
    assert (await product.call("POST", "/v1/routers", body)).status == 201
    await log(product, "hr leave 90", router="desk")
    await log(product, "hr contract 90")
    found = await replay(product, {"settings": {"confidence_threshold": 0.92}})
    # The router has a threshold of its own.
    assert matrix(found) == {("hr", "fallback general"): 1, ("none None", "none None"): 1}
    rule = {"when": {"words": ["leave"]}, "then": {"agent_id": "it_support"}, "router": "desk"}
    found = await replay(product, {"rules": [rule]}, filter={"router": "desk"})
    assert matrix(found) == {("none None", "it_support"): 1}
    refused = await begin(product, {"rules": [{**rule, "router": "gone"}]})
    assert refused.json()["error"]["param"] == "changes.rules[0].router"
    await product.call("DELETE", "/v1/routers/desk")
    found = await replay(product, HIGHER)
    assert (found["n"], found["left_out"]) == (1, {"no_agents": 1})


async def test_what_a_request_asked_for_is_kept_where_its_outcome_shows_it(
    product: Product,
) -> None:
    await log(product, "hr leave 30", on_no_fit="none")
    await log(product, "hr contract 30", "none of these 90")
    agent = {"id": "it_support", "name": "IT"}  # another prompt: the model is asked again
    found = await replay(product, {"agents": [agent]})
    assert (found["n"], found["changed"], found["model_calls"]["made"]) == (3, 0, 3)
    assert matrix(found) == {
        ("none None", "none None"): 1,
        ("fallback general", "fallback general"): 2,
    }
    found = await replay(product, {"settings": {"on_no_fit": "none"}})
    assert matrix(found) == {("none None", "none None"): 1, ("fallback general", "none None"): 2}


async def test_a_classifier_is_replayed_without_a_model(product: Product) -> None:
    await import_labels(product)
    trained = await train(product)
    some = [row["query"] for row in product.rows("SELECT query FROM labels LIMIT 40")]
    assert isinstance(product.gateway, Models)
    product.gateway.answer = lambda model, query: says("general", 0.9)
    await log(product, *some, context={"previous_agent": "hr", "previous_user": "Hello"})
    product.execute("DELETE FROM decision_cache")
    found = await replay(product, {"classifier": trained["id"]})
    assert (found["n"], found["model_calls"]["made"]) == (40, 0)
    layers = {each["layer"]: each for each in found["layers"]}
    by_classifier = sum(each["after"] for name, each in layers.items() if name != "llm")
    assert by_classifier > 0 and layers["llm"]["before"] == 40
    assert found["model_calls"]["reused"] == 40 - by_classifier == layers["llm"]["after"]
    calls = found["model_calls"]
    assert calls["per_1000_after"] == 1000 * layers["llm"]["after"] / 40 < calls["per_1000_before"]
    other = {"classifier": trained["id"], "settings": {"confidence_threshold": 0.99}}
    assert (await replay(product, other))["model_calls"]["made"] == 0
