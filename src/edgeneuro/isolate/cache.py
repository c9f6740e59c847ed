"""The caches of an isolate: values with an expiry, and database records with a revision."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from edgeneuro.domain.decision import CachedRanking

_MAX_RECORDS = 1_000
_MAX_ABSENT = 256
Value = TypeVar("Value")
Record = TypeVar("Record")


class ExpiringLru(Generic[Value]):
    """The last `size` values by key. Each value has its own expiry (unix ms)."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[str, tuple[Value, int]] = OrderedDict()

    def get(self, key: str, *, now_ms: int) -> Value | None:
        found = self._entries.get(key)
        if found is None:
            return None
        value, expires_at_ms = found
        if expires_at_ms <= now_ms:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return value

    def put(self, key: str, value: Value, *, expires_at_ms: int) -> None:
        self._entries[key] = (value, expires_at_ms)
        self._entries.move_to_end(key)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def remove(self, key: str) -> None:
        self._entries.pop(key, None)

    def clear(self) -> None:
        self._entries.clear()


class RevisionCache(Generic[Record]):
    """Records of one table by their key. Each record is valid while the revision is the one at
    which it was read. Keys without a record are cached too, but apart, so that someone who guesses
    keys cannot evict the records."""

    def __init__(
        self,
        revision: Callable[[], Awaitable[int]],
        read: Callable[[str], Awaitable[tuple[Record | None, int]]],
    ) -> None:
        self._revision = revision
        self._read = read
        self.clear()

    def clear(self) -> None:
        """After a write of our own. A read that is running now stores its record in the dictionary
        that is dropped here, so it cannot bring back what the write has changed."""
        self._present: OrderedDict[str, tuple[Record | None, int]] = OrderedDict()
        self._absent: OrderedDict[str, tuple[Record | None, int]] = OrderedDict()

    async def get(
        self, key: str, before_read: Callable[[], Awaitable[None]] | None = None
    ) -> Record | None:
        revision = await self._revision()
        present, absent = self._present, self._absent
        for entries in (present, absent):
            if key in entries and entries[key][1] >= revision:
                entries.move_to_end(key)
                return entries[key][0]
        if before_read is not None:
            await before_read()
        record, read_at = await self._read(key)
        entries, size = (absent, _MAX_ABSENT) if record is None else (present, _MAX_RECORDS)
        present.pop(key, None)
        entries[key] = (record, read_at)
        if len(entries) > size:
            entries.popitem(last=False)
        return record


@dataclass(frozen=True)
class CachedAnswer:
    """A model's answer in this isolate's memory. `labels` is the revision of the labels at which it
    was read; `classifier` is the classifier that was asked before the model and was not sure, None
    if none was asked."""

    answer: CachedRanking
    labels: int
    classifier: str | None


@dataclass(frozen=True)
class CurrentLabel:
    """The label of a question, read at the revision `labels` of the labels. `agent_id` null means
    that no agent fits."""

    labels: int
    is_there: bool
    agent_id: str | None
