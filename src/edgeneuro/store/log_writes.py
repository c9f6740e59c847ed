"""What answers leave in D1, written once: log rows, and what belongs to each of them in other
tables.

An entry is plain data, so that it can wait in an isolate's memory or go through a queue. Whoever
writes it, and however often, it counts once: in one transaction, what belongs to an entry is
written only if its log row is not there yet, and then the row. So a write whose answer got lost may
be made again, also while the first one is still running. The sums are added up later
(store/usage.py).

Many entries take one statement for their rows and one for each kind of addition, each with one JSON
parameter."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from edgeneuro.errors import DatabaseError
from edgeneuro.store.additions import Addition, Kind, Write
from edgeneuro.store.answer_cache import ADD_CHATS, ADD_DECISIONS
from edgeneuro.store.comparisons import ADD_AUDIT_SAMPLES
from edgeneuro.store.database import Database, Statement, Value, is_unreached
from edgeneuro.store.keys import SETTLE_MANY
from edgeneuro.store.learning import COUNT_OBSERVED
from edgeneuro.store.log_rows import INSERT_LOGS
from edgeneuro.store.sessions import PUT_SESSION
from edgeneuro.store.sql import compact_json

MAX_ENTRIES = 100  # of a transaction
_MAX_CHARACTERS = 450_000  # of a transaction's rows: D1 takes 2 MB, a character has up to 4 bytes
_MAX_TRANSACTIONS = 60  # of a call that looks for the entries that cannot be written
# The statement of each kind. ?1 of the first ones has all rows of the kind.
_OF_MANY: dict[Kind, str] = {
    "usage": SETTLE_MANY,
    "observed": COUNT_OBSERVED,
    "decision_cache": ADD_DECISIONS,
    "chat_cache": ADD_CHATS,
    "audit_sample": ADD_AUDIT_SAMPLES,
}
_OF_ONE: dict[Kind, str] = {"session": PUT_SESSION}
KINDS = frozenset(_OF_MANY) | frozenset(_OF_ONE)


class Entry(TypedDict):
    """One answer: the log row without its nulls, the additions as their kind and values, and the
    other statements as their text and parameters."""

    row: dict[str, Any]
    additions: list[tuple[Kind, list[Value]]]
    statements: list[tuple[str, list[Value]]]


@dataclass(frozen=True)
class Refused:
    """An entry that D1 does not take, and why."""

    entry: Entry
    error: DatabaseError


def new_entry(row: dict[str, Any], writes: Sequence[Write]) -> Entry:
    return Entry(
        row=row,
        additions=[(each.kind, list(each.values)) for each in writes if isinstance(each, Addition)],
        statements=[
            (each.sql, list(each.parameters)) for each in writes if isinstance(each, Statement)
        ],
    )


async def write_entries(db: Database, entries: Sequence[Entry]) -> list[Refused]:
    """Writes the entries; returns those that D1 refuses, while the others are written. Raises
    DatabaseError if D1 cannot be reached: some of the entries may then be written, and all of them
    may be written again."""
    refused: list[Refused] = []
    waiting = list(_parts(entries))
    transactions = 0
    while waiting:
        part = waiting.pop(0)
        transactions += 1
        try:
            await db.batch(_statements(part))
        except DatabaseError as error:
            if is_unreached(error):  # which says nothing of the entries
                raise
            if len(part) == 1 or transactions >= _MAX_TRANSACTIONS:
                refused += [Refused(entry, error) for entry, _ in part]
            else:
                half = len(part) // 2
                waiting[:0] = [part[:half], part[half:]]
    return refused


def statement_of(log_id: str, addition: Addition) -> Statement:
    """One addition of this log row alone."""
    kind, row = addition.kind, [log_id, *addition.values]
    if kind in _OF_ONE:
        return Statement(_OF_ONE[kind], (compact_json(row),))
    return Statement(_OF_MANY[kind], (compact_json([row]),))


_Part = list[tuple[Entry, str]]  # of a transaction: entries, each with the JSON of its row


def _statements(part: _Part) -> list[Statement]:
    many: dict[Kind, list[list[Value]]] = {}
    found: list[Statement] = []
    for entry, _ in part:
        log_id = entry["row"]["id"]
        for kind, values in entry["additions"]:
            if kind in _OF_ONE:
                found.append(Statement(_OF_ONE[kind], (compact_json([log_id, *values]),)))
            else:
                many.setdefault(kind, []).append([log_id, *values])
    found += [Statement(_OF_MANY[kind], (compact_json(rows),)) for kind, rows in many.items()]
    found.append(Statement(INSERT_LOGS, (f"[{','.join(row for _, row in part)}]",)))
    found += [Statement(sql, tuple(values)) for e, _ in part for sql, values in e["statements"]]
    return found


def _parts(entries: Sequence[Entry]) -> Iterator[_Part]:
    """In transactions that D1 takes."""
    part: _Part = []
    characters = 0
    for entry in entries:
        row = compact_json(entry["row"])
        size = len(row) + sum(
            len(value)
            for _, values in entry["additions"]
            for value in values
            if isinstance(value, str)
        )
        if part and (len(part) == MAX_ENTRIES or characters + size > _MAX_CHARACTERS):
            yield part
            part, characters = [], 0
        part.append((entry, row))
        characters += size
    if part:
        yield part
