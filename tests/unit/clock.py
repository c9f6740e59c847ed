"""The time of the unit tests."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Clock:
    """Moved by the test alone, and by who sleeps."""

    def __init__(self) -> None:
        self._seconds = 1_800_000_000.0
        self._alarms: dict[Callable[[], object], float] = {}

    @property
    def seconds(self) -> float:
        return self._seconds

    @seconds.setter
    def seconds(self, seconds: float) -> None:
        self._seconds = seconds
        for ring, at in list(self._alarms.items()):
            if at <= seconds:
                ring()

    def __call__(self) -> float:
        return self._seconds

    async def sleep(self, seconds: float) -> None:
        """Time passes at once; others get their turn."""
        self.seconds += seconds
        await asyncio.sleep(0)

    @contextmanager
    def alarm(self, seconds: float, ring: Callable[[], object]) -> Iterator[None]:
        """Calls `ring` whenever the clock is moved and at least so many seconds have passed."""
        self._alarms[ring] = self._seconds + seconds
        try:
            yield
        finally:
            del self._alarms[ring]
