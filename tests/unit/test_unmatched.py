"""Queries that no agent fits: drawn from the log, clustered, made an agent or labelled."""

from collections.abc import Sequence
from typing import Any

import pytest

from edgeneuro.controlplane.jobs import clustering
from edgeneuro.controlplane.jobs.clustering import ClusteringKind
from edgeneuro.controlplane.jobs.runner import run_slice as run_job_slice
from edgeneuro.controlplane.unmatched import cluster_by_rule
from edgeneuro.domain.job import job_id_of
from edgeneuro.services import Services
from tests.unit.conftest import Answered, Product, says
from tests.unit.invocations import _invoked, run_maintenance
from tests.unit.test_erasure import held
from tests.unit.trainings import minute

UNMATCHED = "/v1/unmatched"
FLIGHTS = [f"please book a flight to {city}" for city in ("Oslo", "Lima", "Rome", "Cairo", "Kyiv")]
RECIPES = [f"what is a good recipe for {dish}" for dish in ("soup", "bread", "rice", "beans")]
DAY = 86_400


async def ask(
    product: Product, *queries: str, agent: str = "none", confidence: float = 0.9, **fields: Any
) -> list[str]:
    ids = []
    for query in queries:
        product.gateway.enqueue(says(agent, confidence))
        answered = await product.route(query, cache=False, **fields)
        assert answered.status == 200, answered.text
        ids.append(answered.json()["id"])
        product.clock.seconds += 1
    return ids


async def shown(product: Product) -> dict[str, Any]:
    answered = await product.call("GET", UNMATCHED)
    assert answered.status == 200, answered.text
    found: dict[str, Any] = answered.json()
    return found


async def cluster(product: Product) -> list[dict[str, Any]]:
    begun = await product.call("POST", UNMATCHED)
    assert begun.status == 202, begun.text
    for _ in range(8):
        await minute(product)
        product.clock.seconds += 60
        found = await shown(product)
        if found["clustering"]["state"] not in ("queued", "running"):
            break
    assert found["clustering"]["state"] == "succeeded", found["clustering"]["error"]
    clusters: list[dict[str, Any]] = found["clusters"]
    return clusters


async def act(product: Product, cluster_id: str, what: str, body: Any = None) -> Answered:
    return await product.call("POST", f"{UNMATCHED}/{cluster_id}/{what}", body)


async def nothing_unmatched(product: Product) -> None:
    refused = await product.call("POST", UNMATCHED)
    assert (refused.status, refused.json()["error"]["code"]) == (409, "nothing_unmatched")


def by_name(clusters: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {each["suggested_name"].split()[-1].lower(): each for each in clusters}


# what is clustered


async def test_queries_that_no_agent_fits_are_clustered_and_named(product: Product) -> None:
    await ask(product, *FLIGHTS)
    await ask(product, *RECIPES, agent="hr", confidence=0.2)
    await ask(product, "why do wombats dig", FLIGHTS[0].upper())
    await ask(product, "my vpn is down", "my vpn is slow", "my vpn is off", agent="it_support")
    assert (await shown(product))["clustering"] is None
    assert (await shown(product))["new_queries"] == 11
    found = by_name(await cluster(product))
    assert set(found) == {"flight", "recipe"}
    assert (found["flight"]["size"], found["flight"]["asked"]) == (5, 6)
    assert sorted(found["recipe"]["queries"]) == sorted(RECIPES)
    ended = await shown(product)
    assert (ended["clustering"]["queries"], ended["clustering"]["clustered"]) == (10, 9)
    assert ended["new_queries"] == 0
    job = (await product.call("GET", f"/v1/jobs/{ended['clustering']['job_id']}")).json()
    assert (job["kind"], job["progress"]) == ("clustering", {"done": 4, "of": 4})


async def test_a_model_that_fails_is_no_sign_of_a_missing_agent(product: Product) -> None:
    for query in FLIGHTS:  # nothing enqueued: every model fails
        assert (await product.route(query, cache=False)).json()["outcome"] == "fallback"
    assert (await shown(product))["new_queries"] == 0
    await nothing_unmatched(product)


async def test_what_was_labelled_or_limited_by_the_caller_is_left_out(product: Product) -> None:
    ids = await ask(product, *FLIGHTS)
    await product.call("PUT", f"/v1/logs/{ids[0]}/label", {"agent_id": "hr"})
    await ask(product, *RECIPES, candidates=["hr", "it_support"])
    [found] = await cluster(product)
    assert found["size"] == 4 and FLIGHTS[0] not in found["queries"]
    for log_id in ids[1:3]:
        await product.call("PUT", f"/v1/logs/{log_id}/label", {"agent_id": None})
    assert (await shown(product))["clusters"] == [], "two are too few"


async def test_what_the_agents_of_a_router_left_without_one_is_left_out(product: Product) -> None:
    few = {"id": "few", "agents": ["hr", "it_support"]}
    for body in (few, {"id": "all"}):
        assert (await product.call("POST", "/v1/routers", body)).status == 201
    await ask(product, *RECIPES, router="few")
    await ask(product, *FLIGHTS, router="all")
    assert (await shown(product))["new_queries"] == len(FLIGHTS)
    [found] = await cluster(product)
    assert sorted(found["queries"]) == sorted(FLIGHTS)
    await product.call("PATCH", "/v1/routers/all", {"agents": ["hr"]})
    assert (await shown(product))["clusters"] == []


async def test_a_reply_in_a_conversation_says_too_little(product: Product) -> None:
    context = {"previous_agent": "hr", "previous_user": "x", "previous_assistant": "Which city?"}
    for city in ("oslo", "lima", "rome", "cairo"):
        await ask(product, f"to {city}", context=context)
    await ask(product, *FLIGHTS, context=context)
    [found] = await cluster(product)
    assert sorted(found["queries"]) == sorted(FLIGHTS)


async def test_nothing_is_stored_where_texts_are_not(product: Product) -> None:
    await product.call("PATCH", "/v1/config", {"log_queries": False})
    await ask(product, *FLIGHTS)
    await nothing_unmatched(product)


async def test_old_queries_are_left_out(product: Product) -> None:
    await ask(product, *FLIGHTS)
    product.clock.seconds += 31 * DAY
    await nothing_unmatched(product)


async def test_queries_that_are_labelled_before_the_job_begins_leave_no_cluster(
    product: Product,
) -> None:
    ids = await ask(product, *FLIGHTS)
    await product.call("POST", UNMATCHED)
    for log_id in ids:
        await product.call("PUT", f"/v1/logs/{log_id}/label", {"agent_id": "hr"})
    await minute(product)
    found = await shown(product)
    assert (found["clusters"], found["clustering"]["queries"]) == ([], 0)


# the job


@_invoked
async def run_slice(services: Services, clustering_id: str) -> bool:
    return await run_job_slice(services, ClusteringKind(), job_id_of(clustering_id))


async def test_many_queries_take_a_slice_a_pass(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ask(product, *FLIGHTS, *RECIPES)
    at_once = [each["queries"] for each in await cluster(product)]
    monkeypatch.setattr(clustering, "_QUERIES_A_SLICE", 1)
    clustering_id = (await product.call("POST", UNMATCHED)).json()["id"]
    for slices in range(1, 5):
        assert await run_slice(product.services, clustering_id) == (slices < 4)
        [row] = product.rows("SELECT checkpoint FROM jobs ORDER BY id DESC LIMIT 1")
        assert "flight" not in row["checkpoint"]
    assert [each["queries"] for each in (await shown(product))["clusters"]] == at_once


async def test_a_query_that_is_erased_between_slices_is_left_out(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clustering, "_QUERIES_A_SLICE", 1)
    await ask(product, *FLIGHTS)
    clustering_id = (await product.call("POST", UNMATCHED)).json()["id"]
    await run_slice(product.services, clustering_id)
    product.execute("DELETE FROM logs WHERE query LIKE '%Lima'")
    while await run_slice(product.services, clustering_id):
        pass
    [found] = (await shown(product))["clusters"]
    assert found["size"] == 4


async def test_one_clustering_at_a_time(product: Product) -> None:
    await ask(product, *FLIGHTS)
    assert (await product.call("POST", UNMATCHED)).status == 202
    again = await product.call("POST", UNMATCHED)
    assert (again.status, again.json()["error"]["code"]) == (409, "clustering_under_way")


async def test_a_slice_that_never_ends_tries_fewer_and_then_fails(product: Product) -> None:
    await ask(product, *FLIGHTS)
    clustering_id = (await product.call("POST", UNMATCHED)).json()["id"]
    product.execute("UPDATE jobs SET attempts = 3")
    assert await run_slice(product.services, clustering_id) is False
    assert (await shown(product))["clustering"]["state"] == "failed"


async def test_the_cron_clusters_once_a_day_if_enough_is_new(product: Product) -> None:
    await ask(product, *FLIGHTS)
    await cluster_by_rule(product.services)
    assert (await shown(product))["clustering"] is None, "five are too few"
    await ask(product, *RECIPES, "why do wombats dig")
    await run_maintenance(product.services)
    first = (await shown(product))["clustering"]
    assert first["created_by"] == "rule"
    await minute(product)
    await ask(product, *(f"{query} again" for query in FLIGHTS + RECIPES), "a new one")
    await run_maintenance(product.services)
    assert (await shown(product))["clustering"]["id"] == first["id"], "not twice a day"
    product.clock.seconds += DAY
    await run_maintenance(product.services)
    assert (await shown(product))["clustering"]["id"] != first["id"]


# what becomes of a cluster


async def test_an_agent_is_made_of_a_cluster(product: Product) -> None:
    await ask(product, *FLIGHTS)
    [found] = await cluster(product)
    made = await act(product, found["id"], "agent", {"name": "Travel desk"})
    assert made.status == 201, made.text
    assert made.json()["labels"] == 5
    agent = (await product.call("GET", "/v1/agents/travel_desk")).json()
    assert made.json()["agent"] == agent
    assert sorted(agent["examples"]) == sorted(FLIGHTS)
    assert "Travel desk" in agent["description"]
    labels = (await product.call("GET", "/v1/labels")).json()["data"]
    assert {(each["query"], each["agent_id"], each["source"]) for each in labels} == {
        (query, "travel_desk", "bulk") for query in FLIGHTS
    }
    assert (await shown(product))["clusters"] == []
    audit = (await product.call("GET", "/v1/audit?limit=3")).json()["data"]
    assert {(each["action"], each["resource"]) for each in audit} == {
        ("create", "agent"),
        ("label_bulk", "label"),
        ("make_agent", "unmatched"),
    }
    again = await act(product, found["id"], "agent", {"name": "Travel desk"})
    assert (again.status, again.json()["error"]["code"]) == (409, "cluster_handled")
    assert "travel_desk" in again.json()["error"]["message"]


async def test_a_repeated_request_makes_one_agent(product: Product) -> None:
    await ask(product, *FLIGHTS)
    [found] = await cluster(product)
    path, body, key = (
        f"{UNMATCHED}/{found['id']}/agent",
        {"name": "Travel"},
        {"Idempotency-Key": "1"},
    )
    first = await product.call("POST", path, body, headers=key)
    again = await product.call("POST", path, body, headers=key)
    assert (first.status, again.status) == (201, 201)
    assert first.json() == again.json()


async def test_what_is_sent_is_taken_and_personal_data_is_not(product: Product) -> None:
    await ask(product, *(f"{query} for ada@example.com" for query in FLIGHTS))
    [found] = await cluster(product)
    assert "example" not in found["suggested_name"].lower()
    body = {"name": "Reisen", "id": "trips", "description": "Trips.", "enabled": False}
    agent = (await act(product, found["id"], "agent", body)).json()["agent"]
    assert (agent["id"], agent["description"], agent["enabled"]) == ("trips", "Trips.", False)
    assert all("[email]" in each and "@" not in each for each in agent["examples"])


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ({"name": "HR", "id": "hr"}, 409, "agent_exists", "id"),
        ({"name": "旅行"}, 400, "invalid_value", "id"),
        ({"name": "None"}, 400, "invalid_value", "id"),
        ({"id": "travel"}, 400, "missing_field", "name"),
        ({"name": "A", "protocol": "a2a"}, 400, "invalid_value", "endpoint"),
    ],
)
async def test_an_agent_that_cannot_be_leaves_the_cluster_open(
    product: Product, body: Any, status: int, code: str, param: str
) -> None:
    await ask(product, *FLIGHTS)
    [found] = await cluster(product)
    refused = await act(product, found["id"], "agent", body)
    error = refused.json()["error"]
    assert (refused.status, error["code"], error["param"]) == (status, code, param)
    assert len((await shown(product))["clusters"]) == 1
    assert (await product.call("GET", "/v1/labels")).json()["data"] == []


@pytest.mark.parametrize("agent_id", ["hr", None])
async def test_a_cluster_is_labelled_whole(product: Product, agent_id: str | None) -> None:
    await ask(product, *FLIGHTS, *RECIPES)
    clusters = by_name(await cluster(product))
    cluster_id = clusters["flight"]["id"]
    done = await act(product, cluster_id, "labels", {"agent_id": agent_id, "note": "whole"})
    assert (done.status, done.json()["labels"]) == (200, 5), done.text
    labels = (await product.call("GET", "/v1/labels")).json()["data"]
    assert {each["agent_id"] for each in labels} == {agent_id}
    assert {each["note"] for each in labels} == {"whole"}
    assert list(by_name((await shown(product))["clusters"])) == ["recipe"]
    again = await act(product, cluster_id, "labels", {"agent_id": "hr"})
    assert (again.status, again.json()["error"]["code"]) == (409, "cluster_handled")


async def test_an_agent_that_is_not_there_labels_nothing(product: Product) -> None:
    await ask(product, *FLIGHTS)
    [found] = await cluster(product)
    refused = await act(product, found["id"], "labels", {"agent_id": "travel"})
    assert (refused.status, refused.json()["error"]["code"]) == (400, "unknown_agent")
    assert len((await shown(product))["clusters"]) == 1


async def test_a_dismissed_cluster_does_not_come_again(product: Product) -> None:
    await ask(product, *FLIGHTS)
    [found] = await cluster(product)
    assert (await act(product, found["id"], "dismiss")).json()["state"] == "dismissed"
    await nothing_unmatched(product)
    await ask(product, "please book me a flight", "please book one more flight")
    await nothing_unmatched(product)
    await ask(product, "please book another flight")
    [new] = await cluster(product)
    assert new["size"] == 3


async def test_a_newer_clustering_replaces_the_open_clusters(product: Product) -> None:
    await ask(product, *FLIGHTS)
    [old] = await cluster(product)
    [new] = await cluster(product)
    assert new["queries"] == old["queries"]
    for what, body in (("labels", {"agent_id": "hr"}), ("agent", {"name": "A"}), ("dismiss", None)):
        refused = await act(product, old["id"], what, body)
        assert (refused.status, refused.json()["error"]["code"]) == (409, "cluster_outdated")
    await cluster(product)
    assert (await act(product, old["id"], "dismiss")).status == 404


async def test_a_cluster_whose_queries_are_gone_is_outdated(product: Product) -> None:
    ids = await ask(product, *FLIGHTS)
    [found] = await cluster(product)
    for log_id in ids:
        await product.call("PUT", f"/v1/logs/{log_id}/label", {"agent_id": None})
    refused = await act(product, found["id"], "labels", {"agent_id": "hr"})
    assert (refused.status, refused.json()["error"]["code"]) == (409, "cluster_outdated")


# what is stored


async def test_an_erasure_leaves_nothing_of_the_texts(product: Product) -> None:
    queries = [f"my wombatitis hurts in the {part}" for part in ("arm", "leg", "back", "foot")]
    ids = await ask(product, *queries)
    [found] = await cluster(product)
    assert "wombatitis" in found["suggested_name"].lower()
    logs = [(await product.call("GET", f"/v1/logs/{log_id}")).json() for log_id in ids]
    for log in logs:
        assert (await product.call("DELETE", f"/v1/labels/{log['query_hash']}")).status in (
            200,
            202,
        )
    assert held(product) == []
    assert product.rows("SELECT * FROM unmatched_items") == []
    assert (await shown(product))["clusters"] == []


async def test_items_go_with_their_log_rows(product: Product) -> None:
    await product.call("PATCH", "/v1/config", {"retention_days": 1})
    await ask(product, *FLIGHTS)
    assert len(await cluster(product)) == 1
    product.clock.seconds += 2 * DAY
    await minute(product)
    assert product.rows("SELECT * FROM unmatched_items") == []
    assert (await shown(product))["clusters"] == []
