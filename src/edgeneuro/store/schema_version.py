"""The version of the database's schema: the number of its newest migration.

wrangler notes each migration that it applies in its own table `d1_migrations`. The Worker names the
tables and columns of SCHEMA_VERSION; on another version it may only do what isolate/schema_check.py
allows."""

from dataclasses import dataclass
from typing import Literal

from edgeneuro.errors import MissingSchemaError
from edgeneuro.store.database import Database, statement

# The newest file in migrations/; a test compares them.
SCHEMA_VERSION = 53

SchemaState = Literal["same", "older", "newer", "unknown"]


@dataclass(frozen=True)
class Schema:
    """`database` is the version of the database, None if it is unknown. `writable_from` is the
    oldest version whose Worker may change a newer database."""

    database: int | None = None
    writable_from: int = 0
    needed: int = SCHEMA_VERSION

    @property
    def state(self) -> SchemaState:
        """What the database is, compared to what the Worker needs."""
        if self.database is None:
            return "unknown"
        if self.database == self.needed:
            return "same"
        return "older" if self.database < self.needed else "newer"

    @property
    def changes_allowed(self) -> bool:
        """An older database lacks what the Worker would write, and its migration reads rows as the
        older Worker wrote them. A newer one says itself whether an older Worker may change it."""
        if self.state == "newer":
            return self.needed >= self.writable_from
        return self.state != "older"


async def read_schema(db: Database) -> Schema:
    """The version is unknown if the database was not made by migrations. Raises DatabaseError."""
    try:
        [row] = await db.run(statement("SELECT max(name) AS newest FROM d1_migrations"))
    except MissingSchemaError:
        return Schema()
    newest = row["newest"]
    if newest is None or not newest[:4].isdecimal():
        return Schema()
    version = int(newest[:4])
    if version <= SCHEMA_VERSION:
        return Schema(version)
    [row] = await db.run(statement("SELECT writable_from FROM schema_compatibility"))
    return Schema(version, row["writable_from"])
