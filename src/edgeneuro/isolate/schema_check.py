"""Which schema the database has, as this isolate last read it. Routing never asks: a statement that
names what an older or newer database lacks fails as a whole, with MissingSchemaError. What writes
the configuration or runs in the background asks first."""

import asyncio
from collections.abc import Callable

from edgeneuro.errors import DatabaseError, SchemaMismatchError
from edgeneuro.isolate.metrics import Failures
from edgeneuro.store.database import Database
from edgeneuro.store.schema_version import Schema, read_schema

# How long a reading holds: a migration is noticed soon, and a caller without a key who asks for
# /healthz causes no query each time.
_SAME_SECONDS = 10.0
_OTHER_SECONDS = 2.0


class SchemaCheck:
    def __init__(self, db: Database, *, monotonic: Callable[[], float], failures: Failures) -> None:
        self._db = db
        self._monotonic = monotonic
        self._failures = failures
        self._known = Schema()
        self._read_at: float | None = None

    async def current(self, *, seconds: float | None = None) -> Schema:
        """The schema, at most some seconds old; what was known before if D1 fails, or does not
        answer within `seconds`."""
        holds = _SAME_SECONDS if self._known.state == "same" else _OTHER_SECONDS
        now = self._monotonic()
        if self._read_at is None or now - self._read_at >= holds:
            self._read_at = now  # before the read: others use what is known meanwhile
            try:
                async with asyncio.timeout(seconds):
                    self._known = await read_schema(self._db)
            except (DatabaseError, TimeoutError) as error:
                self._failures.note("schema_read", error)
        return self._known

    async def require_changes(self) -> None:
        """Raises SchemaMismatchError if this Worker must not change a database of this schema."""
        schema = await self.current()
        if not schema.changes_allowed:
            raise SchemaMismatchError(mismatch(schema))


def mismatch(schema: Schema) -> str:
    """What is wrong, and what to do."""
    if schema.state == "older":
        advice = "Migrate the database, then try again: npm run upgrade."
    else:
        advice = "Deploy the version that migrated it, or restore the database from before that."
    return (
        f"The database has schema {schema.database}, and this version of EdgeNeuro needs"
        f" {schema.needed}. It routes queries, but changes nothing else. {advice}"
    )
