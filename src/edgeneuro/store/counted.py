"""How many queries of D1 an invocation of the Worker has made: it may make 1,000, and what comes
after them fails."""

from collections.abc import Sequence

from edgeneuro.store.database import Database, Rows, Statement


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
