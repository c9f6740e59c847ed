"""A bound for what many requests of an isolate may each do."""

from collections.abc import Callable


class MinuteBudget:
    """At most so many in each minute."""

    def __init__(self, per_minute: int, monotonic: Callable[[], float]) -> None:
        self._per_minute = per_minute
        self._monotonic = monotonic
        self._minute = -1
        self._taken = 0

    def take(self) -> bool:
        """Whether there was one left."""
        minute = int(self._monotonic() // 60)
        if minute != self._minute:
            self._minute, self._taken = minute, 0
        self._taken += 1
        return self._taken <= self._per_minute
