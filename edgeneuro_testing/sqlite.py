"""The fake of D1 for tests and benchmarks on CPython: a Database over the standard library's
SQLite, with D1's documented limits for one statement."""

import sqlite3
from collections.abc import Sequence
from functools import cache

from edgeneuro.errors import ConstraintError, DatabaseError
from edgeneuro.store.database import Rows, Statement

_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: 2_000_000,  # bytes of a string, a BLOB or a row
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 100_000,  # bytes of a statement
    sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: 100,  # bound parameters of a statement
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 50,  # bytes of a pattern of LIKE or GLOB
    sqlite3.SQLITE_LIMIT_COLUMN: 100,  # of a table or a result
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 32,  # arguments of a function
}


@cache
def _empty(schema: str) -> sqlite3.Connection:
    """A database with the schema. Copying it is 50 times faster than running the statements."""
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    connection.executescript(schema)
    return connection


class SqliteDatabase:
    """With the given schema, in memory or in a file. `failing` makes every call fail, like a D1
    that is unreachable; `statements` are those that were run, for tests that count reads."""

    def __init__(self, schema: str, path: str = ":memory:") -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        _empty(schema).backup(self._connection)
        self._connection.execute("PRAGMA foreign_keys = ON")  # as D1 does
        for limit, value in _LIMITS.items():
            self._connection.setlimit(limit, value)
        self.failing = False
        self.statements: list[Statement] = []

    def close(self) -> None:
        self._connection.close()

    async def run(self, one: Statement, /) -> Rows:
        return (await self.batch([one]))[0]

    async def batch(self, statements: Sequence[Statement], /) -> list[Rows]:
        self.statements += statements
        if self.failing:
            raise DatabaseError("D1_ERROR: Network connection lost.")
        self._connection.execute("BEGIN")
        try:
            rows = [self._execute(each) for each in statements]
        except sqlite3.IntegrityError as error:
            self._connection.execute("ROLLBACK")
            raise ConstraintError(str(error)) from error
        except sqlite3.Error as error:
            self._connection.execute("ROLLBACK")
            raise DatabaseError(str(error)) from error
        self._connection.execute("COMMIT")
        return rows

    def _execute(self, one: Statement) -> Rows:
        return [dict(row) for row in self._connection.execute(one.sql, one.parameters).fetchall()]
