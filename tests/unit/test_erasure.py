"""Erasing a question's text, and what a person sent: nothing that is stored holds it afterwards."""

import json
from typing import Any

import pytest

from edgeneuro.domain.conversation import PreviousTurn
from edgeneuro.domain.decision import GatewayTrace
from edgeneuro.domain.erasure import ErasureTarget
from edgeneuro.domain.query import query_hash
from edgeneuro.gateway.interface import ModelAnswer
from edgeneuro.store import erasures as store
from edgeneuro.store.usage import add_new_logs
from tests.unit.conftest import ADMIN_TOKEN, Product, says
from tests.unit.invocations import run_erasures

SECRET = "My sécret disease is wombatitis"  # beyond ASCII: in both full text indexes
WORD = "wombatitis"


async def ask(product: Product, query: str, *, key: str | None = None, **fields: Any) -> str:
    content = {"agent": "hr", "confidence": 0.9}
    product.gateway.enqueue(ModelAnswer(content=content, trace=GatewayTrace(log_id="gw-1")))
    body = {"query": query, "cache": False, **fields}
    routed = await product.call("POST", "/v1/route", body, key=key or ADMIN_TOKEN)
    log_id: str = routed.json()["id"]
    return log_id


async def new_key(product: Product, **fields: Any) -> tuple[str, str]:
    body = {"name": "k", "scopes": ["route"], **fields}
    made = (await product.call("POST", "/v1/keys", body)).json()
    return made["id"], made["key"]


async def new_user(product: Product, name: str = "ada") -> str:
    body = {"email": f"{name}@example.com", "name": name, "role": "labeler"}
    user_id: str = (await product.call("POST", "/v1/users", body)).json()["id"]
    return user_id


def held(product: Product, word: str = WORD) -> list[str]:
    """The tables that hold the word anywhere, the full text index as it answers."""
    names = [
        row["name"]
        for row in product.rows(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'logs_fts%'"
        )
    ]
    found = [name for name in names if word in str(product.rows(f"SELECT * FROM {name}")).lower()]
    if product.rows(f"SELECT rowid FROM logs_fts WHERE logs_fts MATCH '{word}'"):
        found.append("logs_fts")
    return found


def unfinished(product: Product) -> list[dict[str, Any]]:
    """Also those of which something is left in the row."""
    return product.rows("SELECT * FROM jobs WHERE state <> 'succeeded' OR checkpoint <> '{}'")


async def everywhere(product: Product) -> str:
    """The text in each place that can hold it; returns the log row's id."""
    log_id = await ask(product, SECRET)
    other = await ask(product, SECRET.upper())
    note = {"agent_id": "hr", "note": f"about {WORD}"}
    await product.call("PUT", f"/v1/logs/{log_id}/label", note)
    again = [{"query": SECRET + " ", "agent_id": "it_support"}]
    await product.call("POST", "/v1/labels", again, headers={"idempotency-key": "labels"})
    given = {"decision_id": other, "value": "down", "comment": f"not for {WORD}"}
    await product.call("POST", "/v1/feedback", given, headers={"idempotency-key": "feedback"})
    # A chat for which nothing is decided is a log row without a query hash.
    product.gateway.enqueue(says("hr"))
    chat = {"model": "agent:hr", "messages": [{"role": "user", "content": SECRET}]}
    assert (await product.call("POST", "/v1/chat/completions", chat)).status == 200
    product.execute(
        "INSERT INTO evaluations (id, created_at, created_by, model_ids, split, labels,"
        " left_out, agents_revision, prompt_version, threshold)"
        " VALUES ('eva_1', 0, 'admin_token', '[]', 'test', 1, 0, 'r', 'p', 0.5)"
    )
    product.execute(
        "INSERT INTO evaluation_items (evaluation_id, query_hash, query, agent_id)"
        " SELECT 'eva_1', query_hash, query, agent_id"
        " FROM current_labels"
    )
    return log_id


async def test_a_question_is_erased_everywhere(product: Product) -> None:
    log_id = await everywhere(product)
    near = await ask(product, "My secret disease is flu")
    assert sorted(held(product)) == [
        *("current_labels", "evaluation_items", "feedback", "labels"),
        *("logs", "logs_fts", "logs_trigrams"),
    ]
    product.execute(f"INSERT INTO chat_cache VALUES ('k', 'about {WORD}', 9e15)")
    answered = await product.call("DELETE", f"/v1/labels/{query_hash(SECRET)}")
    assert answered.status == 200
    report = answered.json()
    assert report == {
        "object": "erasure",
        "id": report["id"],
        "done": True,
        "logs": 3,
        "labels": 2,
        "feedback": 1,
        "contexts": 0,
        "gateway_logs": 2,
        "gateway_log_ids": ["gw-1", "gw-1"],
    }
    assert held(product) == []
    assert (await product.call("GET", f"/v1/logs/{log_id}")).status == 404
    assert (await product.call("GET", f"/v1/logs/{near}")).status == 200
    [entry] = (await product.call("GET", "/v1/audit?limit=1")).json()["data"]
    assert (entry["action"], entry["resource"]) == ("erase", "label")
    assert entry["resource_id"] == query_hash(SECRET)
    assert unfinished(product) == []


AFTER_SECRET = {"previous_agent": "hr", "previous_user": SECRET, "previous_assistant": "Poor you"}


async def say_after(product: Product, query: str = "yes", **fields: Any) -> str:
    """A message after the secret one."""
    return await ask(product, query, context=AFTER_SECRET, **fields)


async def label_after(product: Product) -> None:
    log_id = await say_after(product)
    assert (await product.call("PUT", f"/v1/logs/{log_id}/label", {"agent_id": "hr"})).status == 200


async def test_a_question_is_erased_where_it_is_the_turn_before(product: Product) -> None:
    await ask(product, SECRET)
    await label_after(product)
    label = {"query": "no", "context": AFTER_SECRET, "agent_id": "hr"}
    await product.call("POST", "/v1/labels", [label])
    product.gateway.enqueue(says("hr"))
    talk = [
        {"role": "user", "content": SECRET.upper()},
        {"role": "assistant", "content": "Poor you"},
        {"role": "user", "content": "yes"},
    ]
    chat = {"model": "agent:hr", "messages": talk}
    assert (await product.call("POST", "/v1/chat/completions", chat)).status == 200
    other = {"query": "yes", "context": {"previous_user": "Leave?"}, "agent_id": "hr"}
    await product.call("POST", "/v1/labels", [other])
    report = (await product.call("DELETE", f"/v1/labels/{query_hash(SECRET)}")).json()
    assert (report["done"], report["logs"], report["contexts"], report["labels"]) == (True, 1, 2, 2)
    assert held(product) == []
    assert "poor you" not in str(product.rows("SELECT context FROM logs")).lower()
    rows = (await product.call("GET", "/v1/logs")).json()["data"]
    assert {(row["query"], row["query_hash"]) for row in rows} == {("yes", None)}
    assert [row["context"] and row["context"]["previous_agent"] for row in rows] == [None, "hr"]
    [left] = (await product.call("GET", "/v1/labels")).json()["data"]
    assert left["context"]["previous_user"] == "Leave?"


async def test_a_message_whose_turn_before_was_erased_can_be_erased_too(product: Product) -> None:
    await ask(product, SECRET)
    await say_after(product, f"{WORD} again")
    await say_after(product, f"{WORD} again")
    before = {"previous_agent": "hr"}
    await ask(product, f"{WORD} again", context=before)
    await product.call("DELETE", f"/v1/labels/{query_hash(SECRET)}")
    key = query_hash(f"{WORD} again", PreviousTurn("hr").identity)
    report = (await product.call("DELETE", f"/v1/labels/{key}")).json()
    assert report["logs"] == 3
    assert held(product) == []


async def test_what_was_said_after_a_persons_messages_is_erased_with_them(product: Product) -> None:
    user_id = await new_user(product)
    _, key = await new_key(product, user_id=user_id)
    await ask(product, SECRET, key=key)
    await label_after(product)  # with another key
    for _ in range(store.MAX_RARE + 1):
        await ask(product, "ok", context={"previous_user": "yes", "previous_assistant": "Fine"})
    await ask(product, "yes", key=key)
    report = (await product.call("DELETE", f"/v1/users/{user_id}/data")).json()
    assert (report["logs"], report["contexts"], report["labels"]) == (2, 1, 1)
    assert held(product) == []
    # What everybody says stays.
    assert len(product.rows("SELECT 1 FROM logs WHERE context LIKE '%Fine%'")) == 21


async def test_many_messages_after_an_erased_one_are_more_than_one_slice(product: Product) -> None:
    await ask(product, SECRET)
    await say_after(product)
    count = 20 * store.CHUNK_ROWS + 1
    names = [row["name"] for row in product.rows("PRAGMA table_info(logs)")]
    copied = ", ".join(
        {"seq": "n.value + 100", "id": "'dec_x' || n.value"}.get(name, f"logs.{name}")
        for name in names
    )
    product.execute(
        "WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n"
        f" WHERE value < {count})"
        f" INSERT INTO logs SELECT {copied} FROM logs, n WHERE logs.previous_hash IS NOT NULL"
    )
    report = (await product.call("DELETE", f"/v1/labels/{query_hash(SECRET)}")).json()
    assert not report["done"]
    await run_erasures(product.services)
    assert unfinished(product) == []
    assert held(product) == []


async def test_an_unknown_question_is_a_404(product: Product) -> None:
    answered = await product.call("DELETE", "/v1/labels/" + "0" * 32)
    error = answered.json()["error"]
    assert (answered.status, error["code"], error["param"]) == (
        404,
        "unknown_question",
        "query_hash",
    )


async def test_the_sums_of_what_was_erased_stay(product: Product) -> None:
    """Also of rows that were in no sum yet."""
    await ask(product, SECRET)
    await add_new_logs(product.database)
    await ask(product, SECRET)
    await product.call("DELETE", f"/v1/labels/{query_hash(SECRET)}")
    assert product.rows("SELECT * FROM logs") == []
    assert sum(row["answers"] for row in product.rows("SELECT answers FROM usage_hours")) == 2


async def test_a_user_is_erased_with_the_keys_and_the_labels_stay_without_the_name(
    product: Product,
) -> None:
    user_id = await new_user(product)
    key_id, key = await new_key(product, user_id=user_id, scopes=["route", "label"])
    mine = await ask(product, SECRET, key=key)
    labelled = await product.call("PUT", f"/v1/logs/{mine}/label", {"agent_id": "hr"}, key=key)
    assert labelled.status == 200
    other = await ask(product, "of somebody else")
    note = {"agent_id": "hr", "note": "ada was here"}
    await product.call("PUT", f"/v1/logs/{other}/label", note, key=key)
    given = {"decision_id": other, "value": "up", "comment": "ada says so"}
    await product.call("POST", "/v1/feedback", given, key=key)
    product.execute(
        f"INSERT INTO calibrations VALUES ('m', '', '2', 'eval_1', 100, 1, 0, 0, 0, 0, '{key_id}')"
    )

    report = (await product.call("DELETE", f"/v1/users/{user_id}/data")).json()
    assert (report["done"], report["logs"], report["labels"], report["feedback"]) == (
        True,
        1,
        1,
        1,
    )
    assert held(product) == []
    assert held(product, "ada was here") == []
    [label] = (await product.call("GET", "/v1/labels")).json()["data"]
    assert label["query"] == "of somebody else"
    assert label["labeler"] not in (user_id, key_id)
    [calibration] = product.rows("SELECT created_by FROM calibrations")
    assert calibration["created_by"] == label["labeler"]
    assert label["note"] is None
    assert (await product.call("GET", f"/v1/users/{user_id}")).status == 200


@pytest.mark.parametrize("field", ["user", "session"])
async def test_what_a_caller_sent_as_user_or_session_is_erased(
    product: Product, field: str
) -> None:
    mine = await ask(product, SECRET, **{field: "customer 7"})
    await product.call("PUT", f"/v1/logs/{mine}/label", {"agent_id": "hr"})
    other = await ask(product, "of another customer", **{field: "customer 8"})
    report = (await product.call("DELETE", f"/v1/logs?{field}=customer%207")).json()
    assert (report["done"], report["logs"], report["labels"]) == (True, 1, 1)
    assert held(product) == []
    assert [entry["id"] for entry in await product.logs()] == [other]
    [entry] = (await product.call("GET", "/v1/audit?limit=1")).json()["data"]
    assert entry["resource_id"].startswith(f"{field} sha256:")
    assert "customer" not in json.dumps(entry)


@pytest.mark.parametrize("query", ["", "?user=a&session=b", "?user="])
async def test_erasing_logs_needs_one_field(product: Product, query: str) -> None:
    await ask(product, "stays")
    assert (await product.call("DELETE", f"/v1/logs{query}")).status == 400
    assert len(await product.logs()) == 1


async def copies(product: Product, count: int, *, apart: int = 1) -> None:
    """Of the first log row, behind all, `apart` from each other."""
    columns = [row["name"] for row in product.rows("SELECT name FROM pragma_table_info('logs')")]
    others = ", ".join(name for name in columns if name not in ("seq", "id"))
    product.execute(
        f"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"
        f" INSERT INTO logs (seq, id, {others})"
        f" SELECT (SELECT max(seq) FROM logs) + i * {apart}, 'copy_' || i, {others} FROM n, logs"
        " WHERE logs.seq = (SELECT min(seq) FROM logs)"
    )


A_REQUEST = 20 * store.WINDOW_ROWS  # the rows of the log that one looks through


@pytest.mark.parametrize("way", ["question", "caller"])
async def test_what_one_request_cannot_erase_the_cron_does(product: Product, way: str) -> None:
    await ask(product, SECRET, user="customer 7")
    await copies(product, 11_000)
    product.database.statements.clear()
    path = "/v1/logs?user=customer%207" if way == "caller" else f"/v1/labels/{query_hash(SECRET)}"
    report = (await product.call("DELETE", path)).json()
    assert report["done"] is False
    assert 0 < report["logs"] < 11_001
    assert len(product.database.statements) < 1_000
    for _ in range(5):
        product.database.statements.clear()
        await run_erasures(product.services)
        assert len(product.database.statements) < 1_000
    assert held(product) == []
    assert unfinished(product) == []


async def test_an_erasure_that_fails_is_retried_and_delays_no_other(product: Product) -> None:
    await ask(product, "something else", user="customer 7")
    await copies(product, 5, apart=A_REQUEST)
    for _ in range(2):
        assert not (await product.call("DELETE", "/v1/logs?user=customer%207")).json()["done"]
    first, second = product.rows("SELECT * FROM jobs ORDER BY id")
    product.execute(f"UPDATE jobs SET checkpoint = 'damaged' WHERE id = '{first['id']}'")
    for _ in range(5):
        await run_erasures(product.services)
        product.clock.seconds += 3_600
    assert product.rows("SELECT * FROM logs") == []
    listed = (await product.call("GET", "/v1/jobs?kind=erasure")).json()["data"]
    assert [each["state"] for each in listed] == ["succeeded", "running"]
    assert (listed[1]["failures"], listed[0]["id"]) == (5, second["id"])


async def test_an_erasure_that_is_cancelled_keeps_nothing_of_the_person(product: Product) -> None:
    await ask(product, "something else", user="customer 7")
    await copies(product, 1, apart=A_REQUEST)
    await product.call("DELETE", "/v1/logs?user=customer%207")
    [job] = (await product.call("GET", "/v1/jobs")).json()["data"]
    assert "customer 7" not in str(job)
    cancelled = await product.call("POST", f"/v1/jobs/{job['id']}/cancel", {})
    assert (cancelled.status, cancelled.json()["state"]) == (200, "cancelled")
    assert product.rows("SELECT checkpoint FROM jobs") == [{"checkpoint": "{}"}]


async def test_many_chats_that_were_never_decided_take_several_runs(product: Product) -> None:
    await ask(product, SECRET)
    await copies(product, 5_200)
    product.execute("UPDATE logs SET query_hash = NULL WHERE id LIKE 'copy%'")
    await ask(product, SECRET)
    report = (await product.call("DELETE", f"/v1/labels/{query_hash(SECRET)}")).json()
    assert (report["done"], report["logs"]) == (False, 5_002)
    await run_erasures(product.services)
    assert held(product) == []
    assert unfinished(product) == []


async def test_its_reads_of_a_question_are_by_index(product: Product) -> None:
    await everywhere(product)
    product.database.statements.clear()
    await product.call("DELETE", f"/v1/labels/{query_hash(SECRET)}")
    for one in product.database.statements:
        plan = product.database._connection.execute(
            f"EXPLAIN QUERY PLAN {one.sql}", one.parameters
        ).fetchall()
        scans = [row["detail"] for row in plan if row["detail"].startswith("SCAN")]
        for scan in scans:
            table = scan.split()[1]
            assert table not in ("logs", "labels", "current_labels", "evaluation_items"), one.sql


async def test_a_window_looks_at_few_rows(product: Product) -> None:
    await ask(product, SECRET, user="customer 7")
    await copies(product, 30)
    target = ErasureTarget(user="customer 7", until=await store.newest_log(product.database))
    product.execute("UPDATE logs SET seq = seq + 1000000 WHERE id <> 'copy_1'")
    counts = await store.erase_window(product.database, target, 0)
    assert counts.logs == 1
