"""The loop of logs, labels and feedback over HTTP, on a real D1."""

import sqlite3
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from scripts.cron import running_cron_url
from tests.waiting import until
from tests.worker.product import LocalProduct, Product


def word() -> str:
    """A word that no other test uses."""
    return f"zz{uuid.uuid4().hex[:12]}"


def ask(client: httpx.Client, query: str, **fields: Any) -> str:
    """The log row's id, once the row is there: it is written after the answer."""
    body = {"query": query, "cache": False, **fields}
    decision_id: str = client.post("/v1/route", json=body).raise_for_status().json()["id"]
    until(lambda: client.get(f"/v1/logs/{decision_id}").status_code == 200)
    return decision_id


def found(client: httpx.Client, **query: Any) -> list[str]:
    page = client.get("/v1/logs", params={"limit": 100, **query}).raise_for_status().json()
    return [entry["id"] for entry in page["data"]]


def test_logs_are_found_by_facts_and_words(client: httpx.Client) -> None:
    mark = word()
    vpn = ask(client, f"My VPN does not connect {mark}")
    leave = ask(client, f"How many vacation days, {mark.upper()}?")
    assert found(client, q=mark) == [leave, vpn]
    assert found(client, q=f"{mark} vpn") == [vpn]
    assert found(client, q=mark, agent="hr") == [leave]
    assert found(client, q=mark, layer="llm", key="admin_token") == [leave, vpn]
    assert found(client, q=mark, reason="timeout") == []
    assert found(client, q=mark, model="@cf/meta/llama-3.2-1b-instruct") == [leave, vpn]
    assert found(client, q=mark, min_confidence=0, max_confidence=1) == [leave, vpn]
    record = client.get(f"/v1/logs/{vpn}").json()
    moment = record["created_at"]
    assert vpn in found(client, **{"from": moment})
    assert vpn not in found(client, to=moment)
    assert [attempt["outcome"] for attempt in record["attempts"]] == ["ok"]
    first = client.get("/v1/logs", params={"q": mark, "limit": 1}).json()
    assert first["has_more"] is True
    assert found(client, q=mark, after=first["last_id"]) == [vpn]


@pytest.mark.parametrize("q", ['"half', "a AND", "query:x", "x*", "NEAR(a b)", "é' --"])
def test_a_search_is_never_syntax(client: httpx.Client, q: str) -> None:
    assert client.get("/v1/logs", params={"q": q}).status_code == 200


@pytest.mark.parametrize(
    ("query", "param"),
    [({"q": "***"}, "q"), ({"from": "1700000000"}, "from"), ({"labelled": "x"}, "labelled")],
)
def test_a_bad_filter(client: httpx.Client, query: dict[str, str], param: str) -> None:
    response = client.get("/v1/logs", params=query)
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)


def test_near_duplicates_and_similar_questions_are_in_one_part(client: httpx.Client) -> None:
    for number in range(12):
        mark = f"{word()}{number}"
        texts = [
            f"what's the balance of {mark}",
            f"Good morning! What is the balance of {mark}, please? Thank you",
            f"what is the balanec of {mark}?",
        ]
        items = [{"query": text, "agent_id": "hr"} for text in texts]
        client.post("/v1/labels", json=items).raise_for_status()
        page = client.get("/v1/labels", params={"limit": 3}).raise_for_status().json()["data"]
        assert {each["query"] for each in page} == set(texts)
        assert len({each["split"] for each in page}) == 1


def test_a_label_is_set_changed_seen_and_taken_away(client: httpx.Client) -> None:
    mark = word()
    log_id = ask(client, f"Badge lost {mark}")
    path = f"/v1/logs/{log_id}/label"
    client.put(path, json={"agent_id": "hr"}).raise_for_status()
    label = client.put(path, json={"agent_id": "it_support", "note": "🙂"}).json()
    assert client.get("/v1/labels", params={"limit": 1}).json()["data"] == [label]
    assert found(client, q=mark, labelled="true") == [log_id]
    record = client.get(f"/v1/logs/{log_id}").json()
    assert record["label"]["agent_id"] == "it_support"
    assert [one["agent_id"] for one in record["label_history"]] == ["it_support", "hr"]
    undone = client.delete(path)
    assert undone.json()["label"]["agent_id"] == "hr", "the former label counts again"
    client.delete(path).raise_for_status()
    assert found(client, q=mark, labelled="true") == []
    history = client.get(f"/v1/labels/{label['query_hash']}/history").json()["data"]
    assert [one["removed"] for one in history] == [True, True, False, False]
    audited = client.get("/v1/audit", params={"resource_id": label["query_hash"]}).json()["data"]
    assert [entry["action"] for entry in audited] == ["unlabel", "unlabel", "label", "label"]
    assert client.put(path, json={"agent_id": "ceo"}).json()["error"]["code"] == "unknown_agent"


def test_labelers_vote_disagree_and_take_back_their_own(client: httpx.Client) -> None:
    query = f"Who pays the ticket {word()}?"
    ids, keys = [], []
    for name in ("ann", "bob"):
        made = client.post("/v1/keys", json={"name": name, "scopes": ["label"]}).json()
        ids.append(made["id"])
        keys.append({"authorization": f"Bearer {made['key']}"})
    for key, agent in zip(keys, ("hr", "finance"), strict=True):
        client.post("/v1/labels", json=[{"query": query, "agent_id": agent}], headers=key)
    page = client.get("/v1/labels", params={"conflicts": "true", "limit": 1}).json()
    [label] = page["data"]
    assert (label["query"], label["agent_id"], label["conflict"]) == (query, "finance", True)
    assert [(vote["labeler"], vote["agent_id"]) for vote in label["votes"]] == [
        (ids[0], "hr"),
        (ids[1], "finance"),
    ]
    path = f"/v1/labels/{label['query_hash']}/label"
    final = {"agent_id": "it_support", "final": True}
    denied = client.put(path, json=final, headers=keys[0])
    assert (denied.status_code, denied.json()["error"]["param"]) == (403, "final")
    assert client.put(path, json=final).json()["agent_id"] == "it_support"
    assert client.delete(path).json()["label"]["agent_id"] == "finance"
    assert client.delete(path, headers=keys[1]).json()["label"]["agent_id"] == "hr"
    assert client.delete(path, headers=keys[1]).status_code == 404
    assert client.delete(path, params={"all": "true"}).json()["label"] is None


def test_a_bulk_is_all_or_nothing(client: httpx.Client) -> None:
    mark = word()
    items = [{"query": f"{mark} bulk {n} {'x' * 700}", "agent_id": "finance"} for n in range(1_000)]
    before = client.get("/v1/labels/stats").json()["labels"]
    wrong = client.post("/v1/labels", json=[*items[:10], {"query": mark, "agent_id": "ceo"}])
    assert wrong.status_code == 400
    assert [fault["param"] for fault in wrong.json()["errors"]] == ["[10].agent_id"]
    assert client.get("/v1/labels/stats").json()["labels"] == before
    written = client.post("/v1/labels", json=items)
    assert written.json() == {"object": "label.batch", "labels": 1_000, "questions": 1_000}
    stats = client.get("/v1/labels/stats").json()
    assert stats["labels"] == before + 1_000 == sum(stats["splits"].values())


def test_feedback_moves_a_question_to_the_front_until_it_is_labelled(client: httpx.Client) -> None:
    log_id = ask(client, f"Parking permit {word()}")
    answered = client.get(f"/v1/logs/{log_id}").json()["agent_id"]
    other = "finance" if answered != "finance" else "hr"
    body = {"decision_id": log_id, "value": "down", "correct_agent": other}
    made = client.post("/v1/keys", json={"name": "asks", "scopes": ["route"]}).json()
    asks = {"authorization": f"Bearer {made['key']}"}
    given = client.post("/v1/feedback", json=body, headers=asks)
    assert (given.status_code, given.json()["labelled"]) == (201, False)
    waiting = client.get("/v1/labels/queue/size").json()["questions"]
    front = client.get("/v1/labels/queue", params={"limit": 5}).json()["data"][0]
    assert front["log_id"] == log_id
    assert front["reasons"][0]["code"] == "feedback_other_agent"
    assert front["reasons"][0]["key_ids"] == [made["id"]]
    # From a key that may label it is the label.
    assert client.post("/v1/feedback", json=body).json()["labelled"] is True
    assert client.get(f"/v1/logs/{log_id}").json()["label"]["agent_id"] == other
    assert client.get("/v1/labels/queue/size").json()["questions"] == waiting - 1
    queued = client.get("/v1/labels/queue", params={"limit": 100}).json()["data"]
    # The random sample among them is of all questions, labeled ones too.
    assert log_id not in [item["log_id"] for item in queued if item["stream"] == "hard"]
    unknown = client.post("/v1/feedback", json={"decision_id": "dec_none", "value": "up"})
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "unknown_decision")


def test_a_random_question_is_blind_and_its_label_measures(client: httpx.Client) -> None:
    log_id = ask(client, f"Parking permit {word()}")
    drawn = client.get("/v1/labels/queue", params={"stream": "random", "limit": 100}).json()
    assert log_id in [item["log_id"] for item in drawn["data"]] or drawn["has_more"]
    assert all(item["agent_id"] is item["confidence"] is None for item in drawn["data"])
    before = client.get("/v1/analytics").json()["totals"]["accuracy"]["labelled"]
    body = {"agent_id": "hr", "stream": "random"}
    client.put(f"/v1/logs/{log_id}/label", json=body).raise_for_status()
    assert client.get("/v1/analytics").json()["totals"]["accuracy"]["labelled"] == before + 1


def test_an_erased_question_is_gone(client: httpx.Client) -> None:
    log_id = ask(client, f"My secret {word()}")
    client.put(f"/v1/logs/{log_id}/label", json={"agent_id": "hr"}).raise_for_status()
    question = client.get(f"/v1/logs/{log_id}").json()["query_hash"]
    erased = client.delete(f"/v1/labels/{question}")
    assert erased.status_code == 200, erased.text
    report = erased.json()
    assert (report["done"], report["logs"], report["labels"]) == (True, 1, 1)
    assert client.get(f"/v1/logs/{log_id}").status_code == 404
    assert client.get(f"/v1/labels/{question}/history").status_code == 404
    assert client.delete(f"/v1/labels/{question}").status_code == 404


def test_retention_by_cron(client: httpx.Client, product: Product) -> None:
    if not isinstance(product, LocalProduct):
        pytest.skip("the database of a deployment is not written to")
    mark = word()
    old, young = ask(client, f"the old printer {mark}"), ask(client, f"the young printer {mark}")
    client.put(f"/v1/logs/{old}/label", json={"agent_id": "it_support"}).raise_for_status()
    assert found(client, q=mark) == [young, old]
    # From here on the cron that fires every minute may delete it too.
    with sqlite3.connect(product.database, timeout=10) as connection:
        connection.execute(
            "UPDATE logs SET created_at = created_at - 91 * 86400000 WHERE id = ?", (old,)
        )
    connection.close()
    fired = client.get(running_cron_url(product.state))
    assert fired.json()["outcome"] == "ok"
    assert found(client, q=mark) == [young]
    assert client.get(f"/v1/logs/{old}").status_code == 404
    labels = client.get("/v1/labels", params={"limit": 100}).json()["data"]
    [label] = [each for each in labels if mark in each["query"]]
    assert (label["query"], label["log_id"]) == (f"the old printer {mark}", old)


@pytest.fixture
def redacting(client: httpx.Client) -> Iterator[httpx.Client]:
    client.patch("/v1/config", json={"redact_personal_data": True}).raise_for_status()
    yield client
    client.patch("/v1/config", json={"redact_personal_data": None}).raise_for_status()


def test_personal_data_is_not_stored(redacting: httpx.Client) -> None:
    log_id = ask(redacting, "Tell ann@example.com about 4111 1111 1111 1111", user="+49 30 1234567")
    record = redacting.get(f"/v1/logs/{log_id}").json()
    assert (record["query"], record["user"]) == ("Tell [email] about [card]", "[phone]")
    label = {"query": "Tell ann@example.com about 4111 - 1111 - 1111 - 1111", "agent_id": "hr"}
    redacting.post("/v1/labels", json=[label]).raise_for_status()
    assert redacting.get(f"/v1/logs/{log_id}").json()["label"]["agent_id"] == "hr"
