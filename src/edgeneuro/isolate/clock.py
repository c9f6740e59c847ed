"""The clock of an isolate."""

from collections.abc import Callable


class MonotonicClock:
    """Seconds for durations, from a clock that may be set back: going back counts as no time. In
    Workers every clock is the wall clock."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last = clock()
        self._passed = 0.0

    def __call__(self) -> float:
        now = self._clock()
        self._passed += max(0.0, now - self._last)
        self._last = now
        return self._passed
