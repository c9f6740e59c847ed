"""Spans of requests: which are recorded, what they say, how they are sent, and what is lost."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from edgeneuro.app.application import build_app
from edgeneuro.domain.trace import RequestSpan, Trace, continue_trace
from edgeneuro.gateway.span_exporter import (
    _MAX_BATCH,
    _MAX_WAITING,
    SpanExporter,
    read_headers,
)
from edgeneuro.settings import read_settings
from edgeneuro_testing.fetch import ScriptedFetch, ScriptedResponse
from tests.unit.clock import Clock
from tests.unit.conftest import Product, says

TRACE_ID, PARENT_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
COLLECTOR = "https://collector.acme.com/v1/traces"
TAKEN = ScriptedResponse(200, [b"{}"])


class Collector(ScriptedFetch):
    def spans(self) -> list[dict[str, Any]]:
        found = [each.json()["resourceSpans"][0]["scopeSpans"][0] for each in self.requests]
        return [span for scope in found for span in scope["spans"]]


def exporter(collector: Collector, clock: Clock, counts: dict[str, int], **fields: Any) -> Any:
    def count(spans: int, outcome: str) -> None:
        counts[outcome] = counts.get(outcome, 0) + spans

    return SpanExporter(
        COLLECTOR,
        {"authorization": "Bearer secret"},
        share=fields.get("share", 1.0),
        fetch=collector,
        now=clock,
        monotonic=fields.get("monotonic", clock),
        sleep=clock.sleep,
        new_hex=lambda size: "ab" * size,
        count=count,
    )


@pytest.fixture
def collector() -> Collector:
    return Collector(*[TAKEN] * 20)


@pytest.fixture
def traced(product: Product, collector: Collector) -> Product:
    sending = exporter(collector, product.clock, {}, monotonic=product.services.monotonic)
    product.services = replace(product.services, span_exporter=sending)
    product.app = build_app(product.services)
    return product


def attributes(span: dict[str, Any]) -> dict[str, Any]:
    return {each["key"]: next(iter(each["value"].values())) for each in span["attributes"]}


async def test_a_request_and_its_stages_are_one_trace(
    traced: Product, collector: Collector
) -> None:
    headers = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01"}
    traced.gateway.enqueue(says("hr"))
    body = {"query": "How many days of leave?", "user": "ann"}
    answered = await traced.call("POST", "/v1/route", body, headers=headers)
    request, *stages = collector.spans()
    assert {span["traceId"] for span in (request, *stages)} == {TRACE_ID}
    assert (request["name"], request["kind"], request["parentSpanId"]) == (
        "POST /v1/route",
        2,
        PARENT_ID,
    )
    assert request["spanId"] == answered.headers["traceparent"].split("-")[2]
    assert {stage["parentSpanId"] for stage in stages} == {request["spanId"]}
    timed = [each.partition(";")[0] for each in answered.headers["server-timing"].split(", ")]
    assert [stage["name"] for stage in stages] == timed[:-1]
    facts = attributes(request)
    assert facts["http.response.status_code"] == "200" and facts["http.route"] == "/v1/route"
    assert (facts["edgeneuro.agent"], facts["edgeneuro.layer"]) == ("hr", "llm")
    assert request["startTimeUnixNano"] == "1800000000000000000"
    [sent] = collector.requests
    assert (sent.url, sent.headers["authorization"]) == (COLLECTOR, "Bearer secret")
    text = sent.body.decode()
    assert "leave?" not in text and "ann" not in text
    assert json.loads(text)["resourceSpans"][0]["resource"]["attributes"][0]["key"] == (
        "service.name"
    )


async def test_a_failure_of_the_worker_is_an_error(traced: Product, collector: Collector) -> None:
    traced.execute("DROP TABLE webhooks")
    assert (await traced.call("GET", "/v1/webhooks")).status == 503
    assert (await traced.call("GET", "/v1/logs/none")).status == 404
    await traced.call("GET", "/healthz")
    failed, refused = collector.spans()
    assert failed["status"] == {"code": 2} and "status" not in refused
    assert attributes(refused)["edgeneuro.error_code"] == "unknown_log"


async def test_what_the_caller_did_not_sample_is_not_recorded(
    traced: Product, collector: Collector
) -> None:
    headers = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-00"}
    answered = await traced.call("GET", "/v1/agents", headers=headers)
    assert answered.headers["traceparent"].endswith("-00")
    assert collector.requests == []


async def test_who_has_no_key_cannot_have_a_trace_recorded(
    traced: Product, collector: Collector
) -> None:
    headers = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01"}
    assert (await traced.call("GET", "/v1/agents", key="wrong", headers=headers)).status == 401
    assert collector.requests == []


async def test_without_a_collector_nothing_is_recorded(product: Product) -> None:
    answered = await product.call("GET", "/v1/agents")
    assert answered.headers["traceparent"].endswith("-01")
    assert product.fetch.requests == []


@pytest.mark.parametrize(
    ("low", "share", "recorded"),
    [("0" * 16, 0.1, True), ("f" * 16, 0.1, False), ("f" * 16, 1.0, True), ("0" * 16, 0.0, False)],
)
def test_a_share_of_new_traces_is_recorded(low: str, share: float, recorded: bool) -> None:
    trace = continue_trace(None, lambda size: ("a" * 16 + low)[: 2 * size], recorded_share=share)
    assert (trace.spans is not None, trace.flags) == (recorded, "01" if recorded else "00")


def span(name: str = "POST /v1/route") -> RequestSpan:
    return RequestSpan(name, 1.0, 2.0, {}, failed=False)


async def test_requests_of_a_window_are_sent_together(collector: Collector) -> None:
    clock, counts = Clock(), dict[str, int]()
    sending = exporter(collector, clock, counts)
    trace = Trace(TRACE_ID, PARENT_ID, spans=[])
    await asyncio.gather(*(sending.export(trace, span(f"GET /{n}")) for n in range(5)))
    assert (len(collector.requests), counts) == (1, {"sent": 5})
    assert [each["name"] for each in collector.spans()] == [f"GET /{n}" for n in range(5)]
    await sending.export(trace, span())
    assert len(collector.requests) == 2


async def test_a_window_whose_request_was_ended_is_taken_over(collector: Collector) -> None:
    clock, counts = Clock(), dict[str, int]()
    sending = exporter(collector, clock, counts)
    trace = Trace(TRACE_ID, PARENT_ID, spans=[])
    killed = asyncio.ensure_future(sending.export(trace, span()))
    await asyncio.sleep(0)
    killed.cancel()
    clock.seconds += 10
    await sending.export(trace, span())
    assert counts == {"sent": 2}


@pytest.mark.parametrize("response", [OSError("refused"), ScriptedResponse(503)])
async def test_what_the_collector_does_not_take_is_lost_and_counted(
    response: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = dict[str, int]()
    sending = exporter(Collector(response), Clock(), counts)
    await sending.export(Trace(TRACE_ID, PARENT_ID, spans=[]), span())
    assert (counts, capsys.readouterr().out) == ({"lost": 1}, "")


async def test_what_waits_is_bounded(collector: Collector) -> None:
    clock, counts = Clock(), dict[str, int]()
    sending = exporter(collector, clock, counts)
    sending._waiting = [{}] * _MAX_WAITING
    trace = Trace(TRACE_ID, PARENT_ID, spans=[])
    await sending.export(trace, span())
    assert counts == {"lost": 1}
    sending._waiting = [{}] * (_MAX_BATCH - 1)
    await sending.export(trace, span())
    assert counts == {"lost": 1, "sent": _MAX_BATCH}


def test_the_variables() -> None:
    def of(**values: str) -> tuple[str, float]:
        settings = read_settings(values.get)
        return settings.otlp_endpoint, settings.otlp_sample

    assert of() == ("", 1.0)
    assert of(OTLP_ENDPOINT="https://c.acme.com", OTLP_SAMPLE="0.05") == (
        "https://c.acme.com/v1/traces",
        0.05,
    )
    assert of(OTLP_ENDPOINT=COLLECTOR, OTLP_SAMPLE="many") == (COLLECTOR, 1.0)
    assert of(OTLP_ENDPOINT="collector", OTLP_SAMPLE="7") == ("", 1.0)
    assert read_headers("Authorization=Bearer%20a%3Db, x-team = edge,, =x") == {
        "authorization": "Bearer a=b",
        "x-team": "edge",
    }
