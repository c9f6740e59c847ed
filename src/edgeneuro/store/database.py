"""The seam to the database: SQL and parameters in, rows out. Everything above it is the same on
Cloudflare (store/d1.py) and in a test on CPython (store/sqlite.py)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Value = str | int | float | bytes | None
Row = Mapping[str, Any]
Rows = Sequence[Row]


@dataclass(frozen=True)
class Statement:
    """One SQL statement; its parameters are always bound, never written into the text."""

    sql: str
    parameters: tuple[Value, ...] = ()


def statement(sql: str, *parameters: Value) -> Statement:
    return Statement(sql, parameters)


class Database(Protocol):
    """Both methods raise errors.DatabaseError, or its ConstraintError where a constraint
    refused."""

    async def run(self, one: Statement, /) -> Rows:
        """The statement's rows (also those of RETURNING)."""

    async def batch(self, statements: Sequence[Statement], /) -> list[Rows]:
        """All statements in one transaction: each one's rows, or nothing written."""
