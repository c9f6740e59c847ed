"""What can be seen of requests: their trace, their lines in the product's log, the times in
server-timing and /metrics."""

import json
import re
import socket
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.waiting import until
from tests.worker.product import LocalProduct, Product
from tests.worker.test_route import log_entry, route, unique

TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
# What a request may leave behind for a while; many more requests leave less each.
MAX_LEFT_REFERENCES = 3
MAX_LEFT_BYTES = 6_000
TIMING = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+;dur=\d+(\.\d+)?")


@pytest.fixture
def log(product: Product) -> Path:
    if product.state is None:
        pytest.skip("the log of a deployment cannot be read")
    return product.state / "edgeneuro" / "wrangler.log"


def line_of(client: httpx.Client, log: Path, request_id: str) -> dict[str, Any]:
    """The request's one line. It goes through wrangler, so it may come a moment later, and is
    written only when the next request comes."""

    def look() -> list[str]:
        whole, _, _ = log.read_text(encoding="utf-8").rpartition("\n")
        found = [line for line in whole.splitlines() if request_id in line]
        if not found:
            client.get("/healthz")
        return found

    [found] = until(look)
    line: dict[str, Any] = json.loads(found)
    return line


def samples(client: httpx.Client, name: str) -> dict[str, float]:
    text = client.get("/metrics").text
    return {
        json.dumps(sample.labels, sort_keys=True): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


def test_a_trace_is_continued_and_in_the_log_row(client: httpx.Client) -> None:
    trace_id, span_id = uuid.uuid4().hex, uuid.uuid4().hex[:16]
    headers = {"traceparent": f"00-{trace_id}-{span_id}-01"}
    response = client.post("/v1/route", json={"query": unique("VPN?")}, headers=headers)
    sent = response.headers["traceparent"]
    assert TRACEPARENT.fullmatch(sent)
    assert sent.split("-")[1] == trace_id
    assert sent.split("-")[2] != span_id
    assert log_entry(client, response.json()["id"])["trace_id"] == trace_id


def test_a_trace_begins_where_none_came(client: httpx.Client, anonymous: httpx.Client) -> None:
    answers = [client.get("/v1/agents"), anonymous.get("/v1/agents"), client.get("/nothing")]
    traces = [answer.headers["traceparent"] for answer in answers]
    assert all(TRACEPARENT.fullmatch(trace) for trace in traces)
    assert len({trace.split("-")[1] for trace in traces}) == 3


def test_a_decision_has_one_line_in_the_log(client: httpx.Client, log: Path) -> None:
    request_id, query = f"line-{uuid.uuid4().hex}", unique("My laptop is broken")
    headers = {"x-request-id": request_id}
    response = client.post("/v1/route", json={"query": query}, headers=headers)
    line = line_of(client, log, request_id)
    decision = response.json()
    assert line == {
        "level": "info",
        "event": "request",
        "request_id": request_id,
        "trace_id": response.headers["traceparent"].split("-")[1],
        "method": "POST",
        "route": "/v1/route",
        "status": 200,
        "ms": line["ms"],
        "key_id": "admin_token",
        "decision_id": decision["id"],
        "agent": decision["agent"]["id"],
        "layer": decision["layer"],
        "reason": decision["reason"],
        "model": decision["model"],
        "adapter": None,
        "cache": "miss",
        "attempts": 1,
        "upstream_ms": line["upstream_ms"],
        "added_ms": line["added_ms"],
    }
    assert 0 < line["upstream_ms"] < line["ms"]
    assert line["added_ms"] == pytest.approx(line["ms"] - line["upstream_ms"], abs=0.02)
    assert query not in log.read_text(encoding="utf-8")


def test_refused_requests_have_theirs(
    client: httpx.Client, anonymous: httpx.Client, log: Path
) -> None:
    lines = []
    for caller, path in ((client, "/secret-path"), (anonymous, "/v1/agents")):
        request_id = f"refused-{uuid.uuid4().hex}"
        caller.get(path, headers={"x-request-id": request_id})
        line = line_of(client, log, request_id)
        lines.append((line["level"], line["status"], line["route"], line["error_code"]))
    assert lines == [
        ("info", 404, None, "unknown_path"),
        ("info", 401, "/v1/agents", "invalid_api_key"),
    ]


def test_the_terminal_shows_errors_only(
    client: httpx.Client, emulator: httpx.Client, log: Path, product: Product
) -> None:
    assert isinstance(product, LocalProduct)
    quiet, failed = f"quiet-{uuid.uuid4().hex}", f"failed-{uuid.uuid4().hex}"
    client.get("/v1/agents", headers={"x-request-id": quiet})
    line_of(client, log, quiet)
    emulator.put("/_local/faults", json={"*": {"kind": "refuse"}}).raise_for_status()
    body = {"query": unique("VPN?"), "fallback": False}
    response = client.post("/v1/route", json=body, headers={"x-request-id": failed})
    assert response.status_code == 502
    assert line_of(client, log, failed)["level"] == "error"
    until(lambda: any(failed in line for line in product.output))
    shown = [line for line in product.output if quiet in line or failed in line]
    assert [json.loads(line)["request_id"] for line in shown] == [failed]


def test_a_client_that_leaves_a_stream(client: httpx.Client, log: Path, product: Product) -> None:
    """Enough is exported that it cannot all lie in buffers when the client goes."""
    row = '{"query": "a question with the number %06d", "agent": "hr"}\n'
    body = "".join(row % number for number in range(6_000)).encode()
    report = client.post("/v1/datasets/import", content=body, timeout=120)
    assert report.status_code == 200
    request_id, url = f"left-{uuid.uuid4().hex}", urlsplit(product.base_url)
    with socket.create_connection((url.hostname, url.port), timeout=30) as connection:
        connection.sendall(
            b"GET /v1/datasets/export?format=chat HTTP/1.1\r\nhost: localhost\r\n"
            b"authorization: Bearer " + product.admin_token.encode() + b"\r\n"
            b"x-request-id: " + request_id.encode() + b"\r\n\r\n"
        )
        assert connection.recv(20).startswith(b"HTTP/1.1 200")
    line = line_of(client, log, request_id)
    assert (line["level"], line["status"], line["ending"]) == ("info", 200, "client_gone")
    # Later tests read all labels.
    client.delete(f"/v1/datasets/imports/{report.json()['id']}").raise_for_status()


def test_server_timing_has_a_metric_a_stage_and_the_total(client: httpx.Client) -> None:
    response = client.post("/v1/route", json={"query": unique("VPN?")})
    metrics = response.headers["server-timing"].split(", ")
    assert all(TIMING.fullmatch(metric) for metric in metrics)
    names = [metric.partition(";")[0] for metric in metrics]
    assert names == [
        "label",
        "memory_cache",
        "classifier",
        "stored_cache",
        "model",
        "decide",
        "total",
    ]


def test_metrics_have_the_added_and_the_upstream_seconds(client: httpx.Client) -> None:
    decision = route(client, unique("VPN?"))
    added = samples(client, "edgeneuro_added_seconds_count")
    assert added[json.dumps({"route": "/v1/route"})] >= 1
    upstream = samples(client, "edgeneuro_upstream_seconds_count")
    assert upstream[json.dumps({"model": decision["model"]})] >= 1


def test_requests_leave_nothing_behind_in_the_isolate(
    client: httpx.Client, product: Product
) -> None:
    """The same requests again, so that no cache takes more; the first ones fill what is bounded."""
    if not isinstance(product, LocalProduct):
        pytest.skip("the debugger of a deployment cannot be reached")
    times = 8
    requests = times * 4
    with product.inspector() as inspector:
        make_requests(client, times * 2)
        before = inspector.held()
        make_requests(client, times)
        after = inspector.held()
    # Some are released late, about one a request. Timers that were not released were twelve.
    assert after.references - before.references < requests * MAX_LEFT_REFERENCES, (before, after)
    grown = after.python_bytes + after.javascript_bytes
    grown -= before.python_bytes + before.javascript_bytes
    assert grown < requests * MAX_LEFT_BYTES, (before, after)


def make_requests(client: httpx.Client, times: int) -> None:
    """A decision, a chat, a stream that is read and one that the client leaves."""
    question = {"messages": [{"role": "user", "content": "My VPN does not connect"}]}
    chat = {"model": "@cf/meta/llama-3.2-1b-instruct", **question}
    for _ in range(times):
        routed = {"query": "My VPN does not connect", "cache": False}
        client.post("/v1/route", json=routed).raise_for_status()
        client.post("/v1/chat/completions", json=chat).raise_for_status()
        streamed = {**chat, "stream": True}
        with client.stream("POST", "/v1/chat/completions", json=streamed) as response:
            response.read()
        with client.stream("POST", "/v1/chat/completions", json=streamed) as response:
            next(response.iter_bytes())
