"""Log rows through a queue, in real workerd: the Worker sends them, and its consumer writes them to
D1. The same product has a low limit of RATE_LIMITER: a call above it does nothing."""

import json
import re
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from scripts.cron import running_cron_url
from tests.http_client import http_client
from tests.waiting import until
from tests.worker.conftest import learns_nothing
from tests.worker.product import LocalProduct

REFUSED_TEXT = "My laptop is slow, and nobody hears it"
RATE_LIMIT = 90  # requests a minute of a key: more than the other tests need
ASKED = {"model": "auto", "messages": [{"role": "user", "content": REFUSED_TEXT}]}
REFUSED: dict[str, Any] = {
    "/v1/route": {"query": REFUSED_TEXT, "session": "refused"},
    "/v1/chat/completions": ASKED | {"stream": True},
    "/v1/decisions": {
        "model": "auto",
        "input": REFUSED_TEXT,
        "questions": [{"type": "choice", "name": "agent", "instructions": "Who?"}],
    },
}
# What a call would leave, and what the key of the calls has used.
LEFT = (
    "SELECT (SELECT count(*) FROM logs) - (SELECT count(*) FROM logs WHERE user = 'admitted'),"
    " (SELECT count(*) FROM sessions), (SELECT count(*) FROM decision_cache),"
    " (SELECT count(*) FROM chat_cache), (SELECT count(*) FROM audit_samples),"
    " (SELECT group_concat(minute_requests || tokens || cost_usd) FROM key_usage)"
)


@pytest.fixture(scope="module")
def queued(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalProduct]:
    state = tmp_path_factory.mktemp("queued")
    # And its spans and rows go elsewhere too, as this product has variables of its own.
    environment = {
        "USE_LOG_QUEUE": "true",
        "USE_LOG_SINK": "true",
        "DURABLE_LOG": "true",
        "RATE_LIMIT": str(RATE_LIMIT),
        "OTLP_ENDPOINT": "https://collector.example.com",
    }
    product = LocalProduct(state=state, environment=environment)
    product.start()
    try:
        learns_nothing(product)
        yield product
    finally:
        product.stop()


@pytest.fixture
def admin(queued: LocalProduct) -> Iterator[httpx.Client]:
    with http_client(queued.base_url, queued.admin_token) as client:
        yield client


def logged(product: LocalProduct, log_id: str) -> bool:
    """At this moment, in D1's file."""
    with closing(sqlite3.connect(product.database, timeout=10)) as connection:
        found = connection.execute("SELECT id FROM logs WHERE id = ?", [log_id])
        return found.fetchone() is not None


def test_each_answer_is_logged_and_counted_once(queued: LocalProduct, admin: httpx.Client) -> None:
    ids = set()
    for number in range(12):
        query = {"query": f"My VPN does not connect, {number}"}
        ids.add(admin.post("/v1/route", json=query).raise_for_status().json()["id"])
    in_session = {"query": "How many vacation days are left?", "session": "s1"}
    direct = admin.post("/v1/route", json=in_session).raise_for_status().json()["id"]
    assert logged(queued, direct)  # before its answer, as DURABLE_LOG demands
    ids.add(direct)
    page = until(
        lambda: admin.get("/v1/logs?limit=100").raise_for_status().json()["data"],
        lambda rows: len(rows) >= len(ids),
    )
    assert sorted(row["id"] for row in page) == sorted(ids)
    totals = admin.get("/v1/analytics").raise_for_status().json()["totals"]
    assert totals["requests"] == len(ids)
    metrics = admin.get("/metrics").raise_for_status().text
    sent = {
        sample.labels["to"]: sample.value
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if sample.name == "edgeneuro_log_rows_total"
    }
    # The answer in a session goes to D1 at once, and so do the rows that the consumer writes here.
    assert sent == {"queue": 12, "d1": 13}


def test_a_dead_letter_is_written_again(queued: LocalProduct, admin: httpx.Client) -> None:
    assert admin.get("/v1/dead_letters").raise_for_status().json()["data"] == []
    with closing(sqlite3.connect(queued.database, timeout=10)) as connection, connection:
        # Rows of another shape than this Worker knows.
        connection.execute("ALTER TABLE logs RENAME COLUMN upstream_ms TO waited_ms")
    answered = admin.post("/v1/route", json={"query": "Where is my payslip?"}).raise_for_status()
    log_id = answered.json()["id"]
    [letter] = until(lambda: admin.get("/v1/dead_letters").raise_for_status().json()["data"])
    assert letter["id"] == log_id
    assert letter["row"]["query"] == "Where is my payslip?"
    assert "upstream_ms" in letter["error"]
    assert admin.post("/v1/dead_letters/retry").raise_for_status().json()["failed"] == 1
    with closing(sqlite3.connect(queued.database, timeout=10)) as connection, connection:
        connection.execute("ALTER TABLE logs RENAME COLUMN waited_ms TO upstream_ms")
    again = admin.post("/v1/dead_letters/retry").raise_for_status().json()
    assert (again["written"], again["left"]) == (1, 0)
    assert admin.get(f"/v1/logs/{log_id}").raise_for_status().json()["id"] == log_id


def test_a_request_is_a_trace_at_the_collector(queued: LocalProduct, admin: httpx.Client) -> None:
    trace_id, parent_id = uuid.uuid4().hex, uuid.uuid4().hex[:16]
    headers = {"traceparent": f"00-{trace_id}-{parent_id}-01"}
    query = {"query": "My laptop is broken, say the spans"}
    answered = admin.post("/v1/route", json=query, headers=headers).raise_for_status()

    def arrived() -> list[Any]:
        calls = httpx.get(f"{queued.local_ai_url}/_local/calls").json()
        bodies = [json.loads(c["body"]) for c in calls if c["path"] == "/v1/traces"]
        spans = [s for each in bodies for s in each["resourceSpans"][0]["scopeSpans"][0]["spans"]]
        return [span for span in spans if span["traceId"] == trace_id]

    request, *stages = until(arrived)
    assert (request["name"], request["parentSpanId"]) == ("POST /v1/route", parent_id)
    assert request["spanId"] == answered.headers["traceparent"].split("-")[2]
    assert {stage["parentSpanId"] for stage in stages} == {request["spanId"]}
    timing = answered.headers["server-timing"]
    assert {stage["name"] for stage in stages} >= set(re.findall(r"(\w+);", timing)) - {"total"}
    assert "say the spans" not in json.dumps([request, stages])


def test_log_rows_are_files_of_the_bucket(queued: LocalProduct, admin: httpx.Client) -> None:
    """The first file comes at once; the answers before it are in it."""
    listed = admin.get("/v1/logs?limit=1000").raise_for_status().json()["data"]
    httpx.get(running_cron_url(queued.state, "* * * * *"), timeout=60).raise_for_status()
    folder = queued.state / "v3" / "r2"
    names = [
        row[0]
        for file in folder.rglob("*.sqlite")
        for row in _rows(file, "SELECT key FROM _mf_objects")
    ]
    assert [name for name in names if re.fullmatch(r"logs/[\d-]{10}/\d{12}-\d{12}\.jsonl", name)]
    files = [each for each in (folder / "edgeneuro-logs" / "blobs").iterdir() if each.is_file()]
    lines = [json.loads(line) for each in files for line in each.read_text().splitlines()]
    assert {row["id"] for row in listed} <= {line["id"] for line in lines}
    assert len({line["id"] for line in lines}) == len(lines)


def _rows(file: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(file)) as connection:
        try:
            return connection.execute(sql).fetchall()
        except sqlite3.OperationalError:  # another database
            return []


def test_a_call_above_the_rate_limit_does_nothing(
    queued: LocalProduct, admin: httpx.Client
) -> None:
    limits = {"requests_per_minute": 10_000, "monthly_token_budget": 1_000_000}
    body = {"name": "limited", "scopes": ["route"], **limits}
    key = admin.post("/v1/keys", json=body).raise_for_status().json()["key"]
    assert queued.local_ai_url is not None
    with (
        http_client(queued.base_url, key) as client,
        http_client(queued.local_ai_url) as emulator,
        closing(sqlite3.connect(queued.database, timeout=10)) as connection,
    ):

        def left() -> list[Any]:
            return connection.execute(LEFT).fetchall()

        client.post("/v1/route", json={"query": "Paid", "session": "paid"}).raise_for_status()
        for _ in range(2):  # the minute may end meanwhile
            tries = range(3 * RATE_LIMIT)
            assert any(client.get("/v1/me").status_code == 429 for _ in tries)
            before = left()
            answers = [client.post(path, json=body) for path, body in REFUSED.items()]
            if all(each.status_code == 429 for each in answers):
                break
        assert [each.json()["error"]["code"] for each in answers] == ["edge_rate_limited"] * 3
        assert {each.headers["retry-after"] for each in answers} == {"60"}
        # Once a later row is there, nothing of theirs is still on its way.
        question = f"Another question {uuid.uuid4().hex}"
        body = {"query": question, "user": "admitted"}
        admitted = admin.post("/v1/route", json=body).raise_for_status().json()["id"]
        until(lambda: logged(queued, admitted))
        assert left() == before
        calls = emulator.get("/_local/calls").text
    assert question in calls
    assert REFUSED_TEXT not in calls
