"""Refused requests, counted in the isolate and written to D1 as sums: one statement every five
seconds, whatever is sent, so that nobody can fill D1 with requests that are refused.

The first refusal of a window waits for its end and writes what has come. In Workers a request may
be ended without notice, so the others take over a window whose end is long past. What an isolate
counts in its last seconds may be lost with it."""

from collections.abc import Awaitable, Callable

from edgeneuro.domain.refusal import Refusal
from edgeneuro.errors import DatabaseError
from edgeneuro.store.database import Database
from edgeneuro.store.refusals import RefusalSum, add_refusals
from edgeneuro.store.usage import SLOT

WINDOW_SECONDS = 5.0
# After its answer the runtime ends a request within 30 s.
_TAKE_OVER_SECONDS = 30.0
# Sums that wait for D1. Beyond them refusals count in /metrics alone.
MAX_WAITING = 1_000


class RefusalCounter:
    def __init__(
        self,
        *,
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        note_failure: Callable[[str, Exception], None],
    ) -> None:
        self._monotonic = monotonic
        self._sleep = sleep
        self._note_failure = note_failure
        self._waiting: dict[tuple[int, Refusal], RefusalSum] = {}
        self._window_ends: float | None = None

    def add(self, refusal: Refusal, at_ms: int) -> bool:
        """Counts a request. Returns whether its request must call `write_later` after the answer;
        otherwise another one does."""
        self._put(RefusalSum(at_ms - at_ms % SLOT, refusal, 1, at_ms))
        now = self._monotonic()
        if self._window_ends is not None and now < self._window_ends + _TAKE_OVER_SECONDS:
            return False
        self._window_ends = now + WINDOW_SECONDS
        return True

    async def write_later(self, db: Database) -> None:
        """Writes what was counted until the end of the window."""
        await self._sleep(WINDOW_SECONDS)
        await self.write(db)

    async def write(self, db: Database) -> None:
        """Writes what was counted so far. A write that D1 does not take is counted as a failure
        "refusal_write", and tried again with the next one."""
        self._window_ends = None
        if not self._waiting:
            return
        taken, self._waiting = self._waiting, {}
        try:
            await add_refusals(db, list(taken.values()))
        except DatabaseError as error:
            self._note_failure("refusal_write", error)
            for each in taken.values():
                self._put(each)

    def _put(self, added: RefusalSum) -> None:
        place = (added.slot, added.refusal)
        known = self._waiting.get(place)
        if known is not None:
            self._waiting[place] = known + added
        elif len(self._waiting) < MAX_WAITING:
            self._waiting[place] = added
