"""A database that reports to a test what is about to be done and what was done, and can be made to
fail at a chosen statement."""

from collections.abc import Awaitable, Callable, Sequence

from edgeneuro.store.database import Rows, Statement
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.conftest import SCHEMA

Hook = Callable[[], Awaitable[None]]


class WatchedDatabase(SqliteDatabase):
    """The next batch with a statement that begins so waits for the hook, before or after it."""

    def __init__(self) -> None:
        super().__init__(SCHEMA)
        self._before: dict[str, Hook] = {}
        self._after: dict[str, Hook] = {}

    def before(self, beginning: str, hook: Hook) -> None:
        self._before[beginning] = hook

    def after(self, beginning: str, hook: Hook) -> None:
        self._after[beginning] = hook

    async def batch(self, statements: Sequence[Statement], /) -> list[Rows]:
        await self._call(self._before, statements)
        rows = await super().batch(statements)
        await self._call(self._after, statements)
        return rows

    async def _call(self, hooks: dict[str, Hook], statements: Sequence[Statement]) -> None:
        for beginning in list(hooks):
            if any(each.sql.startswith(beginning) for each in statements):
                await hooks.pop(beginning)()


def fails(error: Exception) -> Hook:
    async def hook() -> None:
        raise error

    return hook
