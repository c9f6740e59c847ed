"""The seam to the database: SQL and parameters in, rows out. D1 is behind it in the Worker.

Everything above the seam is the same on Cloudflare and on CPython, where tests use SQLite."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from edgeneuro.errors import ConstraintError, DatabaseError, MissingSchemaError

Value = str | int | float | bytes | None
Row = Mapping[str, Any]
Rows = Sequence[Row]


_MISSING = re.compile(r"no such (?:table|column)|has no column named")


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


class SessionDatabase(Database, Protocol):
    """A session of D1: it may read replicas, and sees what it has read or written before."""

    @property
    def bookmark(self) -> str | None:
        """Stands for what was read or written; None before the first statement."""


class D1Database:
    """Over the D1 binding of the Workers runtime, which edge/bindings.py returns. `note_rows` gets
    how many rows each statement has read and written, as D1 counts them for the bill."""

    def __init__(self, binding: Any, note_rows: Callable[[int, int], None] | None = None) -> None:
        self._binding = binding
        self._note_rows = note_rows

    async def run(self, one: Statement, /) -> Rows:
        try:
            result = await self._prepare(one).all()
        except Exception as error:
            raise _translate(error) from error
        return self._rows(result)

    async def batch(self, statements: Sequence[Statement], /) -> list[Rows]:
        try:
            results = await self._binding.batch([self._prepare(each) for each in statements])
        except Exception as error:
            raise _translate(error) from error
        return [self._rows(result) for result in results]

    def open_session(self, bookmark: str) -> SessionDatabase:
        """`bookmark` is that of an earlier session, "first-unconstrained" or "first-primary"."""
        return D1Database(self._binding.open_session(bookmark), self._note_rows)

    @property
    def bookmark(self) -> str | None:
        bookmark: str | None = self._binding.bookmark()
        return bookmark

    def _prepare(self, one: Statement) -> Any:
        prepared = self._binding.prepare(one.sql)
        return prepared.bind(*one.parameters) if one.parameters else prepared

    def _rows(self, result: Any) -> Rows:
        if self._note_rows is not None:
            meta = result.get("meta") or {}
            self._note_rows(meta.get("rows_read") or 0, meta.get("rows_written") or 0)
        rows: Rows = result["results"]
        return rows


def _translate(error: Exception) -> DatabaseError:
    # Only the text shows the kind: "D1_ERROR: UNIQUE constraint failed: agents.id:
    # SQLITE_CONSTRAINT"
    text = str(error)
    if "SQLITE_CONSTRAINT" in text:
        return ConstraintError(text)
    return failed(text)


def failed(text: str) -> DatabaseError:
    """The error of a statement that SQLite did not run, by SQLite's own text."""
    return MissingSchemaError(text) if _MISSING.search(text) else DatabaseError(text)


# D1's messages where it could not be reached or had no time.
_UNREACHED = re.compile(
    r"connection lost|reset|overloaded|timeout|timed out|transient|internal error|locked|busy",
    re.IGNORECASE,
)


def is_unreached(error: DatabaseError) -> bool:
    """Whether the same call may succeed a moment later."""
    return _UNREACHED.search(error.message) is not None


# How many queries of D1 an invocation of the Worker has made: it may make 1,000, and what comes
# after them fails.


class CountedDatabase:
    """Another database, whose statements are counted; each one of a batch is a query."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.queries = 0

    async def run(self, one: Statement, /) -> Rows:
        self.queries += 1
        return await self._database.run(one)

    async def batch(self, statements: Sequence[Statement], /) -> list[Rows]:
        self.queries += len(statements)
        return await self._database.batch(statements)
