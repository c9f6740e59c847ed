"""Database over the D1 binding of the Workers runtime, as edge/bindings.py hands it out."""

from collections.abc import Sequence
from typing import Any

from edgeneuro.errors import ConstraintError, DatabaseError
from edgeneuro.store.database import Rows, Statement


class D1Database:
    def __init__(self, binding: Any) -> None:
        self._binding = binding

    async def run(self, one: Statement, /) -> Rows:
        try:
            result = await self._prepare(one).all()
        except Exception as error:
            raise _translate(error) from error
        return _rows(result)

    async def batch(self, statements: Sequence[Statement], /) -> list[Rows]:
        try:
            results = await self._binding.batch([self._prepare(each) for each in statements])
        except Exception as error:
            raise _translate(error) from error
        return [_rows(result) for result in results]

    def _prepare(self, one: Statement) -> Any:
        prepared = self._binding.prepare(one.sql)
        return prepared.bind(*one.parameters) if one.parameters else prepared


def _rows(result: Any) -> Rows:
    rows: Rows = result["results"]
    return rows


def _translate(error: Exception) -> DatabaseError:
    # Only the text tells: "D1_ERROR: UNIQUE constraint failed: agents.id: SQLITE_CONSTRAINT"
    text = str(error)
    if "SQLITE_CONSTRAINT" in text:
        return ConstraintError(text)
    return DatabaseError(text)
