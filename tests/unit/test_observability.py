"""What can be seen of a request from outside: its trace, its line in the Worker's log, the times in
server-timing and /metrics."""

import json
import re
from collections.abc import AsyncIterator, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from edgeneuro.app.request_log import SAMPLED_ONE_OF, RequestLog
from edgeneuro.domain.trace import Trace
from edgeneuro.errors import DatabaseError, UpstreamQuotaError, UpstreamTimeoutError
from edgeneuro.gateway.interface import ModelAnswer, ModelRequest
from edgeneuro.settings import RequestLines, Settings
from edgeneuro.store.labels import record_labels
from edgeneuro.web.response import Response
from edgeneuro_testing.gateway import ScriptedGateway
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.clock import Clock
from tests.unit.conftest import ADMIN_TOKEN, GENERAL, HR, Product, says
from tests.unit.test_export import CountingDatabase, counted, event, stream
from tests.unit.test_metrics import GRANITE, LLAMA, scrape, value
from tests.unit.watched import WatchedDatabase

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
TIMING = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+);dur=(\d+(?:\.\d+)?)")


class SlowGateway(ScriptedGateway):
    """Each answer takes 250 ms."""

    def __init__(self, clock: Clock, *script: Any) -> None:
        super().__init__(*script)
        self._clock = clock

    async def run(self, request: ModelRequest, /) -> ModelAnswer:
        self._clock.seconds += 0.25
        return await super().run(request)


@pytest.fixture
def slow(product: Product, settings: Settings) -> Product:
    """Models that take 250 ms an answer."""
    clock = Clock()
    return Product(product.database, settings, gateway=SlowGateway(clock), clock=clock)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def requests(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [line for line in lines(capsys) if line["event"] == "request"]


def traced(traceparent: str) -> Trace:
    version, trace_id, span_id, flags = traceparent.split("-")
    assert (version, len(trace_id), len(span_id)) == ("00", 32, 16)
    return Trace(trace_id, span_id, flags)


async def test_the_callers_trace_is_continued(product: Product) -> None:
    product.gateway.enqueue(says("hr"))
    headers = {"traceparent": TRACEPARENT}
    answered = await product.call("POST", "/v1/route", {"query": "Leave?"}, headers=headers)
    trace = traced(answered.headers["traceparent"])
    assert (trace.trace_id, trace.flags) == (TRACE_ID, "01")
    assert trace.span_id not in TRACEPARENT
    assert [row["trace_id"] for row in await product.logs()] == [TRACE_ID]


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "",
        "not a trace",
        TRACEPARENT.upper(),
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"ff-{TRACE_ID}-00f067aa0ba902b7-01",
        TRACEPARENT + "\r\nx: y",
    ],
)
async def test_without_a_trace_one_begins(product: Product, sent: str | None) -> None:
    headers = {} if sent is None else {"traceparent": sent}
    answered = [await product.call("GET", "/healthz", headers=headers) for _ in range(2)]
    first, second = (traced(each.headers["traceparent"]).trace_id for each in answered)
    assert first != second
    assert TRACE_ID not in (first, second)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("POST", "/v1/route", 400),
        ("OPTIONS", "/v1/route", 204),
        ("GET", "/v1/datasets/export?format=flat", 200),
    ],
)
async def test_every_answer_has_the_trace(
    product: Product, method: str, path: str, status: int
) -> None:
    answered = await product.call(method, path, headers={"traceparent": TRACEPARENT})
    assert answered.status == status
    assert traced(answered.headers["traceparent"]).trace_id == TRACE_ID


async def test_browsers_of_allowed_sites_may_send_and_read_it(
    database: SqliteDatabase, settings: Settings
) -> None:
    product = Product(database, replace(settings, allowed_origins=("https://app.example",)))
    origin = {"origin": "https://app.example"}
    answered = await product.call("OPTIONS", "/v1/route", key=None, headers=origin)
    assert "traceparent" in answered.headers["access-control-allow-headers"].split(", ")
    assert "traceparent" in answered.headers["access-control-expose-headers"].split(", ")


async def test_a_decisions_line(slow: Product, capsys: pytest.CaptureFixture[str]) -> None:
    slow.gateway.enqueue(UpstreamQuotaError("Used up."), says("hr"))
    capsys.readouterr()
    headers = {"traceparent": TRACEPARENT, "x-request-id": "mine"}
    answered = await slow.call("POST", "/v1/route", {"query": "My secret"}, headers=headers)
    [line] = lines(capsys)
    assert line == {
        "level": "info",
        "event": "request",
        "request_id": "mine",
        "trace_id": TRACE_ID,
        "method": "POST",
        "route": "/v1/route",
        "status": 200,
        "ms": 500.0,
        "key_id": "admin_token",
        "decision_id": answered.json()["id"],
        "agent": "hr",
        "layer": "llm",
        "reason": None,
        "model": GRANITE,
        "adapter": None,
        "cache": "miss",
        "attempts": 2,
        "upstream_ms": 500.0,
        "added_ms": 0.0,
    }


async def test_the_line_of_a_kept_answer_and_of_an_upstreams_error(
    slow: Product, capsys: pytest.CaptureFixture[str]
) -> None:
    late = UpstreamTimeoutError("Too slow.")
    slow.gateway.enqueue(says("hr"), late, late)
    await slow.route("Leave?")
    await slow.route("Leave?")
    answered = await slow.route("VPN?", fallback=False)
    assert answered.status == 504
    _, kept, failed = requests(capsys)
    assert (kept["layer"], kept["cache"], kept["attempts"], kept["upstream_ms"]) == (
        "cache",
        "hit",
        0,
        0,
    )
    assert (failed["level"], failed["status"], failed["error_code"]) == (
        "error",
        504,
        "upstream_timeout",
    )
    assert (failed["agent"], failed["layer"], failed["reason"], failed["attempts"]) == (
        None,
        "fallback",
        "timeout",
        2,
    )
    assert failed["decision_id"] == (await slow.logs())[0]["id"]


async def test_no_line_holds_texts_or_keys(
    product: Product, capsys: pytest.CaptureFixture[str]
) -> None:
    product.gateway.enqueue(says("hr"))
    made = (await product.call("POST", "/v1/keys", {"name": "mine", "scopes": ["route"]})).json()
    fields = {"user": "Ann-Secret", "session": "secret-1", "metadata": {"secret": "secret"}}
    await product.call("POST", "/v1/route", {"query": "A secret?", **fields}, key=made["key"])
    await product.call("GET", "/v1/agents/secret-agent?secret=1")
    await product.call("GET", "/secret/path")
    await product.call("GET", "/v1/agents", key="secret-key")
    shown = requests(capsys)
    assert [line["route"] for line in shown] == [
        "/v1/keys",
        "/v1/route",
        "/v1/agents/{agent_id}",
        None,
        "/v1/agents",
    ]
    assert [line["key_id"] for line in shown] == [
        "admin_token",
        made["id"],
        "admin_token",
        None,
        None,
    ]
    assert "secret" not in json.dumps(shown).lower()
    assert made["key"] not in json.dumps(shown)


@pytest.mark.parametrize(
    ("method", "path", "key", "status", "code", "key_id"),
    [
        ("GET", "/nothing", ADMIN_TOKEN, 404, "unknown_path", None),
        ("BREW", "/v1/agents", ADMIN_TOKEN, 405, "method_not_allowed", None),
        ("GET", "/v1/agents", None, 401, "invalid_api_key", None),
        ("GET", "/v1/agents/nobody", ADMIN_TOKEN, 404, "unknown_agent", "admin_token"),
        ("POST", "/v1/agents", ADMIN_TOKEN, 400, "invalid_json", "admin_token"),
        ("GET", "/openapi.json", None, 200, None, "anonymous"),
    ],
)
async def test_every_request_has_one_line(
    product: Product,
    capsys: pytest.CaptureFixture[str],
    method: str,
    path: str,
    key: str | None,
    status: int,
    code: str | None,
    key_id: str | None,
) -> None:
    await product.call(method, path, key=key)
    [line] = lines(capsys)
    assert (line["level"], line["status"], line.get("error_code")) == ("info", status, code)
    assert (line["method"], line["key_id"]) == (method, key_id)


async def test_an_error_that_an_idempotency_key_keeps_has_its_code_too(
    product: Product, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        headers = {"idempotency-key": "one"}
        await product.call("POST", "/v1/agents", {"id": "x"}, headers=headers)
    first, again = requests(capsys)
    assert (first["status"], first["error_code"]) == (400, "missing_field")
    assert again["status"] == 400


async def test_health_checks_and_preflights_have_none_unless_they_fail(
    product: Product, capsys: pytest.CaptureFixture[str]
) -> None:
    await product.call("GET", "/healthz")
    await product.call("HEAD", "/healthz")
    await product.call("OPTIONS", "/v1/route")
    await product.call("OPTIONS", "/nothing")
    assert lines(capsys) == []
    waiting: list[Coroutine[Any, Any, None]] = []
    trace = Trace(TRACE_ID, "0" * 16)
    RequestLog(product.services, "OPTIONS", "req_1", trace, waiting.append).end(500)
    assert lines(capsys) == []  # the answer goes first
    await waiting.pop()
    assert [line["level"] for line in lines(capsys)] == ["error"]


@pytest.mark.parametrize(
    ("wanted", "share"), [("errors", 0), ("sampled", 1 / SAMPLED_ONE_OF), ("all", 1)]
)
async def test_which_requests_have_a_line(
    product: Product, capsys: pytest.CaptureFixture[str], wanted: RequestLines, share: float
) -> None:
    services = replace(
        product.services, settings=replace(product.services.settings, request_log=wanted)
    )
    waiting: list[Coroutine[Any, Any, None]] = []

    def end(status: int, request_id: str, **how: Any) -> list[dict[str, Any]]:
        log = RequestLog(services, "POST", request_id, Trace(TRACE_ID, "0" * 16), waiting.append)
        log.end(status, **how)
        return lines(capsys)

    for number in range(1_000):
        end(200 + 200 * (number % 2), f"req_{number}")
    assert len(waiting) == pytest.approx(1_000 * share, abs=10 if 0 < share < 1 else 0)
    for work in waiting:
        await work
    capsys.readouterr()
    waiting.clear()
    end(500, "req_x")
    assert len(waiting) == 1
    waiting.pop().close()
    assert len(end(200, "req_x", ending="cut")) == 1
    assert len(end(200, "req_x", ending="cut", error=DatabaseError("lost"))) == 2


async def test_a_key_over_its_limit_is_named(
    product: Product, capsys: pytest.CaptureFixture[str]
) -> None:
    product.limiter.open = False
    await product.route("Leave?")
    [line] = lines(capsys)
    assert (line["status"], line["key_id"], line["error_code"]) == (
        429,
        "admin_token",
        "edge_rate_limited",
    )


async def export_of_many(product: Product, settings: Settings) -> tuple[Product, CountingDatabase]:
    events = [event(n, f"question {n} " + "x" * 200, "hr") for n in range(2_000)]
    await product.database.batch(record_labels(events))
    return counted(product, settings)


async def exported(product: Product) -> Response:
    response = await stream(product, "format=flat")
    assert not isinstance(response.body, str)
    return response


async def test_a_streams_line_comes_at_its_end_with_its_whole_time(
    product: Product, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    watched, _ = await export_of_many(product, settings)
    response = await exported(watched)
    assert requests(capsys) == []
    assert not isinstance(response.body, str)
    async for _ in response.body:
        watched.clock.seconds += 1
    [line] = lines(capsys)
    assert (line["route"], line["status"], line["ending"]) == (
        "/v1/datasets/export",
        200,
        "complete",
    )
    assert line["ms"] >= 2_000
    labels = {"method": "GET", "route": "/v1/datasets/export", "status": "2xx"}
    seconds = value(await scrape(watched), "edgeneuro_request_seconds_sum", **labels)
    assert seconds == pytest.approx(line["ms"] / 1000)


async def test_a_stream_that_its_client_left_is_no_failure(
    product: Product, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    watched, _ = await export_of_many(product, settings)
    response = await exported(watched)
    assert not isinstance(response.body, str)
    await anext(aiter(response.body))
    await response.body.aclose()
    [line] = lines(capsys)
    assert (line["level"], line["ending"]) == ("info", "client_gone")
    assert watched.failures.counts["stream"] == 0


async def test_a_stream_that_breaks_off(
    product: Product, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    watched, database = await export_of_many(product, settings)
    response = await exported(watched)
    assert not isinstance(response.body, str)

    async def fail(database: CountingDatabase) -> None:
        raise DatabaseError("D1_ERROR: Network connection lost.")

    database.on_read = fail
    with pytest.raises(DatabaseError):
        async for _ in response.body:
            pass
    failure, line = lines(capsys)
    assert (failure["event"], failure["error"]) == ("stream", "D1_ERROR: Network connection lost.")
    assert (line["event"], line["ending"]) == ("request", "cut")


@pytest.fixture
async def busy(settings: Settings) -> AsyncIterator[Product]:
    """Models take 250 ms an answer, and the next read of D1 takes 3 ms."""
    clock = Clock()
    database = WatchedDatabase()
    product = Product(database, settings, gateway=SlowGateway(clock), clock=clock)
    for agent in (HR, GENERAL):
        assert (await product.call("POST", "/v1/agents", agent)).status == 201
    await product.services.routing.current()

    async def wait() -> None:
        clock.seconds += 0.003

    database.before("SELECT", wait)
    yield product
    database.close()


async def test_added_time_is_what_the_models_did_not_take(
    busy: Product, capsys: pytest.CaptureFixture[str]
) -> None:
    busy.gateway.enqueue(UpstreamQuotaError("Used up."), says("hr"))
    await busy.route("Leave?")
    line = requests(capsys)[-1]
    assert (line["ms"], line["upstream_ms"], line["added_ms"]) == (503.0, 500.0, 3.0)
    [row] = await busy.logs()
    assert (row["latency_ms"], row["upstream_ms"]) == (503.0, 500.0)
    samples = await scrape(busy)
    added = "edgeneuro_added_seconds"
    assert value(samples, f"{added}_sum", route="/v1/route") == pytest.approx(0.003, abs=1e-6)
    below = {
        le: value(samples, f"{added}_bucket", route="/v1/route", le=le)
        for le in ("0.0005", "0.0025", "0.005", "1.0", "+Inf")
    }
    assert below == {"0.0005": 0, "0.0025": 0, "0.005": 1, "1.0": 1, "+Inf": 1}
    upstream = "edgeneuro_upstream_seconds"
    for model in (LLAMA, GRANITE):
        assert value(samples, f"{upstream}_count", model=model) == 1
        assert value(samples, f"{upstream}_sum", model=model) == pytest.approx(0.25)


async def test_a_model_that_is_passed_over_has_no_upstream_seconds(product: Product) -> None:
    for number in range(5):
        product.gateway.enqueue(UpstreamTimeoutError("Too slow."), says("hr"))
        await product.route(f"Question {number}?")
    product.gateway.enqueue(says("hr"))
    skipped = (await product.route("VPN?")).json()["attempts"][0]
    assert (skipped["model"], skipped["outcome"]) == (LLAMA, "circuit_open")
    samples = await scrape(product)
    assert value(samples, "edgeneuro_upstream_seconds_count", model=LLAMA) == 5


async def test_only_what_asks_models_has_added_time(product: Product) -> None:
    await product.call("GET", "/v1/agents")
    await product.call("POST", "/v1/route", {})
    samples = await scrape(product)
    assert not any(name.startswith("edgeneuro_added_seconds") for name, _ in samples)


async def test_server_timing_has_the_stages_and_their_total(busy: Product) -> None:
    busy.gateway.enqueue(says("hr"))
    header = (await busy.route("Leave?")).headers["server-timing"]
    metrics = [TIMING.fullmatch(metric) for metric in header.split(", ")]
    assert all(metrics), header
    times = {metric[1]: float(metric[2]) for metric in metrics if metric}
    assert list(times) == [
        "label",
        "memory_cache",
        "classifier",
        "stored_cache",
        "model",
        "decide",
        "total",
    ]
    assert (times["stored_cache"], times["model"], times["total"]) == (3.0, 250.0, 253.0)
