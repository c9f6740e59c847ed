"""Where log rows go: to D1, or through the queue LOG_QUEUE, whose consumer writes them to D1.

One D1 database makes one write at a time. Through the queue an isolate sends the rows of a window
as one message, and the consumer writes those of many isolates in one transaction. A message may
come twice and out of order: each row counts once (store/log_writes.py).

An answer in a session is written to D1 directly, because the next turn reads the session's state.
So is one with SQL of its own, since no message should hold SQL; one that does not fit into a
message; and everything while the queue takes no message."""

from collections.abc import Callable, Sequence
from typing import Protocol

from edgeneuro.errors import DatabaseError
from edgeneuro.store.database import Database
from edgeneuro.store.dead_letters import DeadLetter, keep_dead_letters
from edgeneuro.store.log_messages import is_sendable, messages_of, read_message
from edgeneuro.store.log_writes import Entry, write_entries


class LogQueue(Protocol):
    async def send(self, text: str, /) -> None:
        """Raises OSError if the queue does not take the message."""


class PartlyWrittenError(DatabaseError):
    """D1 could not be reached for the entries `left`; the queue has taken the others."""

    def __init__(self, message: str, left: Sequence[Entry]) -> None:
        super().__init__(message)
        self.left = left


class LogSink:
    def __init__(
        self,
        queue: LogQueue | None,
        *,
        now_ms: Callable[[], int],
        note_failure: Callable[[str, Exception], None],
        count_rows: Callable[[int, str], None] = lambda count, to: None,
    ) -> None:
        """`count_rows` gets how many rows went to "queue" or "d1", or were "refused"."""
        self._count_rows = count_rows
        self._queue = queue
        self._now_ms = now_ms
        self._note_failure = note_failure

    async def write(self, db: Database, entries: Sequence[Entry]) -> None:
        """Writes the entries or sends them. Those that D1 refuses are counted and kept as dead
        letters. Raises DatabaseError if D1 cannot be reached: all may then be written again, of a
        PartlyWrittenError those that are left."""
        direct = entries if self._queue is None else await self._sent(self._queue, entries)
        if not direct:
            return
        try:
            await self._store(db, direct)
        except DatabaseError as error:
            if len(direct) == len(entries):
                raise
            raise PartlyWrittenError(error.message, direct) from error

    async def consume(self, db: Database, messages: Sequence[str]) -> None:
        """Writes what the messages of a batch hold. Raises DatabaseError if D1 cannot be reached;
        then the queue delivers all of them again."""
        entries: list[Entry] = []
        unread: list[DeadLetter] = []
        for text in messages:
            try:
                entries += read_message(text)
            except (ValueError, TypeError, LookupError) as error:
                self._note_failure("log_message", error)
                unread.append(DeadLetter.unread(text, f"not a message of log rows: {error}"))
        await keep_dead_letters(db, unread, now_ms=self._now_ms())
        if entries:
            await self._store(db, entries)

    async def _store(self, db: Database, entries: Sequence[Entry]) -> None:
        refused = await write_entries(db, entries)
        self._count_rows(len(entries) - len(refused), "d1")
        for each in refused:
            self._count_rows(1, "refused")
            self._note_failure("log_write", each.error)
        await keep_dead_letters(db, [*map(DeadLetter.of, refused)], now_ms=self._now_ms())

    async def _sent(self, queue: LogQueue, entries: Sequence[Entry]) -> list[Entry]:
        """Sends the entries; returns those that D1 must get directly."""
        direct = [each for each in entries if not is_sendable(each)]
        for part, text in messages_of([each for each in entries if is_sendable(each)]):
            try:
                if text is not None:
                    await queue.send(text)
                    self._count_rows(len(part), "queue")
                    continue
            except OSError as error:
                self._note_failure("log_queue", error)
            direct += part
        return direct
