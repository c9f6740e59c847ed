"""A D1 database over HTTP: SQLite in memory, one transaction for each query."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any


class QueryError(Exception):
    """SQLite refused a statement; the text is D1's."""


@dataclass
class Database:
    name: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    connection: sqlite3.Connection = field(
        default_factory=lambda: sqlite3.connect(
            ":memory:", isolation_level=None, check_same_thread=False
        )
    )

    def as_dict(self) -> dict[str, Any]:
        return {"uuid": self.id, "name": self.name, "version": "production"}

    def query(self, sql: str, params: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """One result for each statement, all of them in one transaction. Raises QueryError."""
        self.connection.execute("BEGIN")
        try:
            results = [self._run(each, params) for each in statements(sql)]
        except sqlite3.Error as error:
            self.connection.execute("ROLLBACK")
            raise QueryError(f"{error}: SQLITE_ERROR") from error
        self.connection.execute("COMMIT")
        return results

    def rows(self, statement: str) -> list[dict[str, Any]]:
        """Those of one statement. Raises QueryError."""
        [found] = self.query(statement)
        rows: list[dict[str, Any]] = found["results"]
        return rows

    def _run(self, statement: str, params: Sequence[Any]) -> dict[str, Any]:
        cursor = self.connection.execute(statement, params)
        columns = [each[0] for each in cursor.description or ()]
        rows = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
        meta = {"changes": max(cursor.rowcount, 0), "duration": 0.1}
        return {"results": rows, "success": True, "meta": meta}


def statements(sql: str) -> Iterator[str]:
    """The statements of a script; a trigger has semicolons of its own."""
    begun = ""
    for part in sql.split(";"):
        begun += f"{part};"
        if sqlite3.complete_statement(begun):
            if _says_something(begun):
                yield begun
            begun = ""
    if _says_something(begun):
        yield begun


def _says_something(sql: str) -> bool:
    lines = (line.strip() for line in sql.rstrip(";\n ").splitlines())
    return any(line and not line.startswith("--") for line in lines)
