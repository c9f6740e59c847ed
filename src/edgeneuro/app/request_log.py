"""The metrics and the log line of a request. Its response time is counted for /metrics.

The line of JSON in the Worker's log is written after the response is sent, because writing one
takes as long as a small answer: REQUEST_LOG says for which requests. Errors of the Worker and
streams that break off always have theirs. Workers Logs has the invocation itself, with its method,
path and status, and the log row has the decision."""

import json
import traceback
import zlib
from typing import Any

from edgeneuro.call import Background, Facts
from edgeneuro.domain.trace import RequestSpan, Trace
from edgeneuro.services import Services
from edgeneuro.web.routing import Route
from edgeneuro.web.streams import Ending

SAMPLED_ONE_OF = 100
_QUIET_PATHS = ("/healthz",)  # called every few seconds by health checks


class RequestLog:
    """One request. `route`, `key_id` and `is_operator` are set as soon as they are known."""

    def __init__(
        self,
        services: Services,
        method: str,
        request_id: str,
        trace: Trace,
        background: Background,
    ) -> None:
        self.request_id = request_id
        self.trace = trace
        self.route: Route | None = None
        self.key_id: str | None = None
        self.is_operator = False
        self.facts: Facts = {}
        self._services = services
        self._method = method
        self._background = background
        self._started_at = services.monotonic()

    def note_fault(self, fault: Exception) -> None:
        """An internal error: the line has its traceback, which the response does not show."""
        self.facts["exception"] = "".join(traceback.format_exception(fault))

    def end(
        self, status: int, ending: Ending | None = None, error: Exception | None = None
    ) -> None:
        """The response is complete. `ending` is that of a stream, `error` what broke it off."""
        seconds = self._services.monotonic() - self._started_at
        if ending is not None:
            self.facts = {"ending": ending, **self.facts}
        if error is not None:
            self._services.failures.note("stream", error)
        self._count(status, seconds)
        if self.trace.spans is not None:
            self._export(status, error is not None)
        failed = status >= 500 or error is not None or self.facts.get("ending") == "cut"
        if failed or self._is_wanted():
            line = self._line(status, seconds)
            if ending is None:
                self._background(_write(line))
            else:
                print(json.dumps(line))  # a stream is already sent

    def _is_wanted(self) -> bool:
        if self._method == "OPTIONS" or (self.route and self.route.path in _QUIET_PATHS):
            return False
        wanted = self._services.settings.request_log
        return wanted == "all" or (
            wanted == "sampled" and zlib.crc32(self.request_id.encode()) % SAMPLED_ONE_OF == 0
        )

    def _export(self, status: int, broken: bool) -> None:
        """Sends the request's spans, unless nobody asks for them."""
        exporter, route = self._services.span_exporter, self.route
        if exporter is None or route is None or route.path in _QUIET_PATHS:
            return
        if self.key_id is None and self.trace.parent_id is not None:
            return  # a stranger would decide how many spans the collector gets
        facts = {f"edgeneuro.{name}": value for name, value in self.facts.items()}
        facts.pop("edgeneuro.exception", None)
        span = RequestSpan(
            f"{route.method} {route.path}",
            self._started_at,
            self._services.monotonic(),
            {
                "http.request.method": self._method,
                "http.route": route.path,
                "http.response.status_code": status,
                "edgeneuro.request_id": self.request_id,
                "edgeneuro.key_id": self.key_id,
                **facts,
            },
            failed=status >= 500 or broken,
        )
        self._background(exporter.export(self.trace, span))

    def _count(self, status: int, seconds: float) -> None:
        """By the route's template, since paths are unbounded; all unknown paths count as one."""
        metrics = self._services.metrics
        labels = ("none", "none") if self.route is None else (self.route.method, self.route.path)
        metrics.request_seconds.observe(seconds, *labels, f"{status // 100}xx")
        waited = self._waited_seconds()
        if self.route is not None and waited is not None:
            metrics.added_seconds.observe(max(seconds - waited, 0.0), self.route.path)

    def _line(self, status: int, seconds: float) -> dict[str, Any]:
        line: dict[str, Any] = {
            "level": "error" if status >= 500 else "info",
            "event": "request",
            "request_id": self.request_id,
            "trace_id": self.trace.trace_id,
            "method": self._method,
            "route": None if self.route is None else self.route.path,
            "status": status,
            "ms": _ms(seconds),
            "key_id": self.key_id,
            **self.facts,
        }
        waited = self._waited_seconds()
        if waited is not None:
            line["added_ms"] = _ms(max(seconds - waited, 0.0))
        return line

    def _waited_seconds(self) -> float | None:
        """How long the request waited for models; None if it called none."""
        waited_ms = self.facts.get("upstream_ms")
        return waited_ms / 1000 if isinstance(waited_ms, int | float) else None


async def _write(line: dict[str, Any]) -> None:
    print(json.dumps(line))


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)
