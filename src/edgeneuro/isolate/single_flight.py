"""Several requests for the same thing make it once."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

_POLL_SECONDS = 0.005
Value = TypeVar("Value")


@dataclass
class _Flight:
    is_done: bool = False
    result: Any = None


class SingleFlight:
    """By key, the calls that are running now. The first request for a key is the leader and makes
    the call; the others wait for its result. They poll every few milliseconds, because in Workers
    one request cannot wake another, and because the leader may be killed without notice."""

    def __init__(
        self, monotonic: Callable[[], float], sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self._monotonic = monotonic
        self._sleep = sleep
        self._flights: dict[str, _Flight] = {}

    async def run(
        self, key: str, make: Callable[[], Awaitable[Value]], *, seconds: float
    ) -> tuple[Value, bool]:
        """The result of `make`, and whether this request was the leader. A request that has waited
        for `seconds` without a result makes the call itself."""
        flight = self._flights.get(key)
        if flight is not None:
            deadline = self._monotonic() + seconds
            while not flight.is_done and self._monotonic() < deadline:
                await self._sleep(_POLL_SECONDS)
            if flight.is_done and flight.result is not None:
                return flight.result, False
        leading = self._flights[key] = _Flight()
        try:
            leading.result = await make()
        finally:
            leading.is_done = True
            if self._flights.get(key) is leading:
                del self._flights[key]
        return leading.result, True
