"""Spans of requests, sent to a collector of OpenTelemetry (OTLP over HTTP, as JSON).

A request adds its spans after its answer was sent. The first one of a window waits for others and
sends all of them together; nobody else waits. What cannot be sent is lost, and counted."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

from edgeneuro import __version__
from edgeneuro.domain.trace import Attributes, RequestSpan, Trace
from edgeneuro.gateway.http import Fetch, read_start

WINDOW_SECONDS = 1.0
# A window whose request was ended is taken over by the next one after this time.
_LATE_SECONDS = 1.0
_MAX_BATCH, _MAX_WAITING = 512, 4_096  # spans of some 400 bytes
_TIMEOUT_SECONDS = 5.0
_SERVER, _INTERNAL = 2, 1  # kinds of spans
_ERROR = 2  # a status
Span = dict[str, Any]


class SpanExporter:
    """`now` gives unix seconds, `new_hex(n)` n random bytes as hex digits; `count` gets how many
    spans were "sent" or "lost"."""

    def __init__(
        self,
        endpoint: str,
        headers: Mapping[str, str],
        *,
        share: float,
        fetch: Fetch,
        now: Callable[[], float],
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        new_hex: Callable[[int], str],
        count: Callable[[int, str], None],
    ) -> None:
        self.share = share
        self._endpoint = endpoint
        self._headers = {"content-type": "application/json", **headers}
        self._fetch = fetch
        self._now = now
        self._monotonic = monotonic
        self._sleep = sleep
        self._new_hex = new_hex
        self._count = count
        self._waiting: list[Span] = []
        self._window_ends: float | None = None

    async def export(self, trace: Trace, request: RequestSpan) -> None:
        """Raises nothing. Returns at once, or when the spans of a window are sent."""
        spans = self._spans(trace, request)
        if len(self._waiting) + len(spans) > _MAX_WAITING:
            self._count(len(spans), "lost")
            return
        self._waiting += spans
        now = self._monotonic()
        if len(self._waiting) >= _MAX_BATCH:
            await self._send()
        elif self._window_ends is None or now > self._window_ends + _LATE_SECONDS:
            self._window_ends = now + WINDOW_SECONDS
            await self._sleep(WINDOW_SECONDS)
            self._window_ends = None
            await self._send()

    def _spans(self, trace: Trace, request: RequestSpan) -> list[Span]:
        began = self._now() - self._monotonic()  # of the monotonic clock, in unix seconds
        of_request = _span(
            trace, trace.span_id, trace.parent_id, _SERVER, request.name, began, request
        )
        of_request["attributes"] = _attributes(request.attributes)
        if request.failed:
            of_request["status"] = {"code": _ERROR}
        stages = [
            _span(trace, self._new_hex(8), trace.span_id, _INTERNAL, each.name, began, each)
            for each in trace.spans or ()
        ]
        return [of_request, *stages]

    async def _send(self) -> None:
        spans, self._waiting = self._waiting[:_MAX_BATCH], self._waiting[_MAX_BATCH:]
        if not spans:
            return
        sent = False
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                response = await self._fetch("POST", self._endpoint, self._headers, _body(spans))
                sent = 200 <= response.status < 300
                await read_start(response, limit=1)
        self._count(len(spans), "sent" if sent else "lost")


def _span(
    trace: Trace,
    span_id: str,
    parent_id: str | None,
    kind: int,
    name: str,
    began: float,
    of: Any,
) -> Span:
    """`of` has `started` and `ended`."""
    span: Span = {
        "traceId": trace.trace_id,
        "spanId": span_id,
        "name": name,
        "kind": kind,
        "startTimeUnixNano": _nanoseconds(began + of.started),
        "endTimeUnixNano": _nanoseconds(began + of.ended),
    }
    return span if parent_id is None else {**span, "parentSpanId": parent_id}


def _nanoseconds(unix_seconds: float) -> str:
    """As text, as OTLP's JSON has 64-bit numbers; to the microsecond."""
    return f"{round(unix_seconds * 1_000_000)}000"


def _attributes(values: Attributes) -> list[dict[str, Any]]:
    return [
        {"key": name, "value": _value(value)} for name, value in values.items() if value is not None
    ]


def _value(value: str | float) -> dict[str, Any]:
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value}


_RESOURCE = {
    "attributes": _attributes({"service.name": "edgeneuro", "service.version": __version__})
}
_SCOPE = {"name": "edgeneuro", "version": __version__}


def _body(spans: list[Span]) -> bytes:
    of_scope = {"scope": _SCOPE, "spans": spans}
    content = {"resourceSpans": [{"resource": _RESOURCE, "scopeSpans": [of_scope]}]}
    return json.dumps(content, separators=(",", ":")).encode()


def read_headers(text: str) -> dict[str, str]:
    """From the form of OTEL_EXPORTER_OTLP_HEADERS: `name=value,name=value`, values with escapes of
    URLs. What has no name is left out."""
    pairs = (each.partition("=") for each in text.split(","))
    return {
        name.strip().lower(): unquote(value.strip())
        for name, _, value in pairs
        if name.strip() and value.strip()
    }
