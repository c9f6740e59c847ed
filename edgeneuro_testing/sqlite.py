"""The fake of D1 for tests and benchmarks on CPython: a Database over the standard library's
SQLite, with D1's documented limits for one statement."""

import sqlite3
from collections.abc import Hashable, Sequence
from functools import cache

from edgeneuro.errors import ConstraintError, DatabaseError
from edgeneuro.store.database import Rows, Statement, failed

_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: 2_000_000,  # bytes of a string, a BLOB or a row
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 100_000,  # bytes of a statement
    sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: 100,  # bound parameters of a statement
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 50,  # bytes of a pattern of LIKE or GLOB
    sqlite3.SQLITE_LIMIT_COLUMN: 100,  # of a table or a result
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 32,  # arguments of a function
}


_CACHED_STATEMENTS = 1_000  # more than the product has
_MAX_IDLE = 2


@cache
def _empty(schema: str) -> sqlite3.Connection:
    """A database with the schema. Copying it is 50 times faster than running the statements."""
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    connection.executescript(schema)
    return connection


@cache
def _idle(schema: str, kept: Hashable = None) -> list[sqlite3.Connection]:
    """Connections to databases in memory that are as new, or hold what was kept under that name,
    for the next to take. SQLite has read the schema and compiled most statements there, which takes
    longer than most tests."""
    return []


def _connect(schema: str, path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, cached_statements=_CACHED_STATEMENTS
    )
    if not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        _empty(schema).backup(connection)
    connection.execute("PRAGMA foreign_keys = ON")  # as D1 does
    return connection


class SqliteDatabase:
    """With the given schema, in memory or in a file; what a file has already stays. `failing` makes
    every call fail, like a D1 that is unreachable; `statements` are those that were run, for tests
    that count reads."""

    def __init__(self, schema: str, path: str = ":memory:") -> None:
        self._schema = schema
        in_memory = path == ":memory:"
        self._idle = _idle(schema) if in_memory else []
        self._connection = self._idle.pop() if self._idle else _connect(schema, path)
        self._connection.row_factory = sqlite3.Row
        self._set_limits()
        if in_memory:
            self._connection.execute("BEGIN")  # until `close` undoes it all
        self.failing = False
        self.statements: list[Statement] = []
        self._undo_all, self._begun_with = "ROLLBACK", self._connection.total_changes

    def keep(self, name: Hashable) -> None:
        """From now on `close` only undoes what follows, and another database may `resume` here."""
        if self._connection.in_transaction:
            self._connection.execute("SAVEPOINT kept")
            self._idle, self._undo_all = _idle(self._schema, name), "ROLLBACK TO kept"

    def resume(self, name: Hashable) -> bool:
        """Whether what another database has kept under that name is in this one now, which is as
        new."""
        idle = _idle(self._schema, name)
        is_new = self._connection.total_changes == self._begun_with
        if not (idle and is_new and self._connection.in_transaction):
            return False
        self.close()
        self._connection = idle.pop()
        self._idle, self._undo_all = idle, "ROLLBACK TO kept"
        self._set_limits()
        return True

    def _set_limits(self) -> None:
        """Those of D1, whatever a test has set before."""
        for limit, value in _LIMITS.items():
            self._connection.setlimit(limit, value)

    def commit(self) -> None:
        """End the transaction that `close` would undo."""
        if self._connection.in_transaction:
            self._connection.execute("COMMIT")

    def close(self) -> None:
        if self._connection.in_transaction and len(self._idle) < _MAX_IDLE:
            self._connection.execute(self._undo_all)
            self._idle.append(self._connection)
        else:
            self._connection.close()

    async def run(self, one: Statement, /) -> Rows:
        return (await self.batch([one]))[0]

    async def batch(self, statements: Sequence[Statement], /) -> list[Rows]:
        self.statements += statements
        if self.failing:
            raise DatabaseError("D1_ERROR: Network connection lost.")
        self._connection.execute("SAVEPOINT batch")
        try:
            rows = [self._execute(each) for each in statements]
        except sqlite3.IntegrityError as error:
            self._undo()
            raise ConstraintError(str(error)) from error
        except sqlite3.Error as error:
            self._undo()
            raise failed(str(error)) from error
        self._connection.execute("RELEASE batch")
        return rows

    def _undo(self) -> None:
        self._connection.execute("ROLLBACK TO batch")
        self._connection.execute("RELEASE batch")

    def _execute(self, one: Statement) -> Rows:
        cursor = self._connection.execute(one.sql, one.parameters)
        cursor.row_factory = None  # of a row with 45 columns, a dict takes a third of the time then
        rows = cursor.fetchall()
        if not rows:
            return []
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in rows]
