"""The metrics and the log line of a request. Its response time is counted for /metrics, and one
line of JSON is written to the Worker's log after the response is sent, because writing a line is
slow."""

import json
import traceback
from typing import Any

from edgeneuro.call import Background, Facts
from edgeneuro.domain.trace import Trace
from edgeneuro.services import Services
from edgeneuro.web.routing import Route
from edgeneuro.web.streams import Ending

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
        quiet = self.route is not None and self.route.path in _QUIET_PATHS
        if status >= 500 or not (quiet or self._method == "OPTIONS"):
            line = self._line(status, seconds)
            if ending is None:
                self._background(_write(line))
            else:
                print(json.dumps(line))  # a stream is already sent

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
