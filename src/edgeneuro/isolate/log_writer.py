"""Log rows of answers that end close together are written together, with what belongs to them.

The first answer of a window waits for its end and writes what has come; the others only look, a
little later, whether theirs is written. In Workers a request cannot wake another one, nor use its
connections, and may be ended without notice: so what is shared is plain data, each request waits by
its own timer, and whoever finds an entry that nobody writes takes it. Two requests may then write
the same entry, which counts once (store/log_writes.py).

An entry is in memory from the answer until D1 has it: for the window and one write. If the isolate
is killed meanwhile, these rows are lost. A durable writer loses none: the answer waits for it, so
each entry is written by itself and at once."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from edgeneuro.errors import DatabaseError
from edgeneuro.isolate.log_sink import PartlyWrittenError
from edgeneuro.store.database import Database
from edgeneuro.store.log_writes import MAX_ENTRIES, Entry

WINDOW_SECONDS = 0.02
# Others look whether theirs is written after this time, then after twice, four times as long, ...
_LOOK_SECONDS = 0.1
_MAX_PAUSE_SECONDS = 2.0
# A write of another request that takes longer is taken over: its request may have been ended.
_TAKE_OVER_SECONDS = 8.0
# After the answer the runtime ends a request's work after 30 s.
_GIVE_UP_SECONDS = 24.0
# While D1 cannot be reached, one request tries again after this time, then after twice, ...
_RETRY_SECONDS = 0.25
_MAX_WAITING = 5_000  # entries of some 2 KB
_DURABLE_SECONDS = (
    10.0  # that an answer waits for its row; with a slow D1 as long as one write more
)


@dataclass(eq=False)
class _Waiting:
    """`taken_at` is when a request began to write it; None while nobody does."""

    entry: Entry
    since: float
    taken_at: float | None = None
    is_done: bool = False


class LogWriter:
    def __init__(
        self,
        *,
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        note_failure: Callable[[str, Exception], None],
        write: Callable[[Database, Sequence[Entry]], Awaitable[None]],
        durable: bool = False,
    ) -> None:
        """`write` is a LogSink's."""
        self._durable = durable
        self._write = write
        self._monotonic = monotonic
        self._sleep = sleep
        self._note_failure = note_failure
        self._waiting: list[_Waiting] = []
        self._window_ends: float | None = None
        self._retry_at = 0.0
        self._retry_pause = _RETRY_SECONDS

    async def write(self, db: Database, entry: Entry) -> None:
        """Returns when the entry is written. One that cannot be written is counted as a failure
        "log_write" and raises nothing, but with a durable writer DatabaseError. If this request is
        ended, the entry stays for another."""
        if self._durable:
            await self._write_durably(db, entry)
            return
        mine = _Waiting(entry, self._monotonic())
        if len(self._waiting) >= _MAX_WAITING:
            self._note_failure("log_write", DatabaseError("Too many log rows wait for D1."))
            await self._write_waiting(db)
            return
        self._waiting.append(mine)
        await self._first(db)
        pause = _LOOK_SECONDS
        while not mine.is_done and self._monotonic() < mine.since + _GIVE_UP_SECONDS:
            if self._is_free(mine):
                await self._write_waiting(db)
            if not mine.is_done:
                await self._sleep(pause)
                pause = min(2 * pause, _MAX_PAUSE_SECONDS)
        if not mine.is_done:
            self._waiting.remove(mine)
            self._note_failure("log_write", DatabaseError("D1 did not take the row in time."))

    async def _write_durably(self, db: Database, entry: Entry) -> None:
        give_up = self._monotonic() + _DURABLE_SECONDS
        pause = _RETRY_SECONDS
        while True:
            try:
                await self._write(db, [entry])
                return
            except DatabaseError as error:
                if self._monotonic() + pause > give_up:
                    self._note_failure("log_write", error)
                    raise
                self._note_failure("log_write_retry", error)
            await self._sleep(pause)
            pause = min(2 * pause, _MAX_PAUSE_SECONDS)

    async def _first(self, db: Database) -> None:
        """Waits for the end of the window, and writes if it is this request's."""
        now = self._monotonic()
        if len(self._waiting) >= MAX_ENTRIES:
            await self._write_waiting(db)
        elif self._window_ends is None or now > self._window_ends + _LOOK_SECONDS:
            self._window_ends = now + WINDOW_SECONDS
            await self._sleep(WINDOW_SECONDS)
            self._window_ends = None
            await self._write_waiting(db)
        else:
            await self._sleep(_LOOK_SECONDS)

    def _is_free(self, each: _Waiting) -> bool:
        """Whether nobody writes it. The request that began to may have been ended."""
        now = self._monotonic()
        if each.is_done or now < self._retry_at:
            return False
        return each.taken_at is None or now > each.taken_at + _TAKE_OVER_SECONDS

    async def _write_waiting(self, db: Database) -> None:
        taken = [each for each in self._waiting if self._is_free(each)][:MAX_ENTRIES]
        if not taken:
            return
        at = self._monotonic()
        for each in taken:
            each.taken_at = at
        try:
            await self._write(db, [each.entry for each in taken])
        except DatabaseError as error:
            self._note_failure("log_write_retry", error)
            self._retry_at = self._monotonic() + self._retry_pause
            self._retry_pause = min(2 * self._retry_pause, _MAX_PAUSE_SECONDS)
            left = set(taken)
            if isinstance(error, PartlyWrittenError):
                unwritten = set(map(id, error.left))
                left = {each for each in taken if id(each.entry) in unwritten}
            for each in left:
                each.taken_at = None
        else:
            self._retry_pause = _RETRY_SECONDS
            left = set()
        done = set(taken) - left
        for each in done:
            each.is_done = True
        self._waiting = [each for each in self._waiting if each not in done]
