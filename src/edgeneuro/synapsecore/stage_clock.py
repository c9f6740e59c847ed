"""How long the stages of an answer take."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edgeneuro.domain.trace import StageSpan


class StageClock:
    """Measures the stages of an answer, for the server-timing header, `explain` and the log row.
    `ms` has the time of each stage in the order in which they began. `spans` gets each stage with
    its beginning and end, if the request's trace is recorded."""

    def __init__(
        self, monotonic: Callable[[], float], spans: list[StageSpan] | None = None
    ) -> None:
        self._monotonic = monotonic
        self._spans = spans
        self._started = monotonic()
        self.ms: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = self.now()
        try:
            yield
        finally:
            self.end(name, started)

    def now(self) -> float:
        return self._monotonic()

    def end(self, name: str, started: float) -> float:
        """The same without the cost of a context manager, for what every turn passes; returns the
        milliseconds."""
        ended = self._monotonic()
        if self._spans is not None:
            self._spans.append(StageSpan(name, started, ended))
        ms = self.ms[name] = round((ended - started) * 1000, 2)
        return ms

    def total_ms(self) -> float:
        return round((self._monotonic() - self._started) * 1000, 2)

    def server_timing(self) -> str:
        """The header's value: one metric for each stage, and `total`."""
        entries = {**self.ms, "total": self.total_ms()}
        return ", ".join(f"{name};dur={ms}" for name, ms in entries.items())
