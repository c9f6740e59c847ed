"""How long each stage of a decision took, for the server-timing header and for `explain`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class StageClock:
    """`ms` holds the stages in the order in which they were entered."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._started = monotonic()
        self.ms: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = self._monotonic()
        try:
            yield
        finally:
            self.ms[name] = round((self._monotonic() - started) * 1000, 2)

    def total_ms(self) -> float:
        return round((self._monotonic() - self._started) * 1000, 2)

    def server_timing(self) -> str:
        """The header's value: one metric a stage, and `total`."""
        entries = {**self.ms, "total": self.total_ms()}
        return ", ".join(f"{name};dur={ms}" for name, ms in entries.items())
