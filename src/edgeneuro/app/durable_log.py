"""With DURABLE_LOG an answer leaves only after its log row is written: a killed isolate loses no
row of an answer that a client has. A stream is sent meanwhile, and ends after the write."""

from collections.abc import Coroutine
from typing import Any

from edgeneuro.call import Background
from edgeneuro.settings import Settings


class Recorder:
    """The writes of log rows of one request."""

    def __init__(self, settings: Settings, background: Background) -> None:
        self._background = background
        self._is_open = settings.durable_log
        self._waiting: list[Coroutine[Any, Any, None]] = []

    def __call__(self, work: Coroutine[Any, Any, None]) -> None:
        if self._is_open:
            self._waiting.append(work)
        else:
            self._background(work)

    async def written(self) -> None:
        """Waits for the writes so far; later ones run in the background. Raises DatabaseError if D1
        does not take them in time: the caller must not get its answer then."""
        self._is_open = False
        try:
            while self._waiting:
                await self._waiting.pop(0)
        finally:
            for work in self._waiting:
                self._background(work)
            self._waiting.clear()
