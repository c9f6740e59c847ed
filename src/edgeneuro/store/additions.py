"""What is written to other tables together with a log row, as plain values: the rows of one kind of
many answers are written by one statement (store/log_writes.py)."""

from dataclasses import dataclass
from typing import Literal

from edgeneuro.store.database import Statement, Value

Kind = Literal["decision_cache", "chat_cache", "audit_sample", "observed", "usage", "session"]
# For the statement of a kind. ?1 is a JSON array; each element is an array of the id of a log row
# and the values. Nothing is written for a log row that is there already.
NEW_ANSWERS = (
    "(SELECT value FROM json_each(?1) AS given"
    " WHERE NOT EXISTS (SELECT 1 FROM logs WHERE logs.id = given.value ->> 0)) AS added"
)


@dataclass(frozen=True, slots=True)
class Addition:
    """A row of this kind; the store's module of its table says what the values are."""

    kind: Kind
    values: tuple[Value, ...]


# What belongs to an answer. A statement is for what few answers have: it must be one that may run
# again, or look for the log row itself.
Write = Addition | Statement


def added(number: int) -> str:
    """The value with this number, from 1 on."""
    return f"added.value ->> {number}"


def added_values(count: int) -> str:
    return ", ".join(added(number) for number in range(1, count + 1))
