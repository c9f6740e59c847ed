"""The SQL that makes a database what a backup says: one file that D1 executes whole or not at
all."""

import sqlite3
import uuid
from collections.abc import Iterator, Mapping, Sequence

from scripts.backups.dump import table_rows
from scripts.backups.schema import (
    Made,
    data_tables,
    fills_an_index,
    schema_at,
    virtual_tables,
)
from scripts.backups.sql import CREATE_PIECES, DROP_PIECES, inserts, quoted
from scripts.steps import StepFailed

# Isolates recognise a change of the configuration by these counters.
_REVISION = "revision"
_FTS_MARKS = "logs_trigrams_start"


def restore_script(
    source: sqlite3.Connection,
    version: int,
    existing: Sequence[Made],
    revision: Mapping[str, int],
) -> Iterator[str]:
    """Statements that drop what exists, and make the tables and rows of the source, which has the
    schema of this version. Triggers and indexes come last, but for those triggers that fill the
    full-text indexes. `revision` has the counters of the database so far. Raises StepFailed for a
    backup without its own."""
    schema = schema_at(version)
    tables = data_tables(schema)
    # D1 recognises a file that it has executed before.
    yield f"-- {uuid.uuid4()}"
    yield "PRAGMA defer_foreign_keys = TRUE;"
    for name in dropped(existing):
        yield f"DROP TABLE {quoted(name)};"
    yield CREATE_PIECES
    for made in (*tables, *virtual_tables(schema)):
        yield f"{made.sql};"
    filling = [each for each in schema if fills_an_index(each, schema)]
    for made in filling:
        yield f"{made.sql};"
    for table in tables:
        for columns, row in table_rows(source, table.name):
            yield from inserts(table.name, columns, row)
    yield from _marks(source)
    yield from _raised(source, revision)
    for made in schema:
        if made.type != "table" and made not in filling:
            yield f"{made.sql};"
    yield DROP_PIECES


def dropped(existing: Sequence[Made]) -> list[str]:
    """All tables, each before those that it refers to. What an FTS5 table is stored in, its
    triggers and indexes go with it."""
    return [
        *(each.name for each in virtual_tables(existing)),
        *(each.name for each in reversed(data_tables(existing))),
    ]


def _marks(source: sqlite3.Connection) -> Iterator[str]:
    """All rows were put into the full-text indexes as new ones are, so no row is older than them
    (migrations 0012 and 0046)."""
    columns = [row[1] for row in source.execute(f"PRAGMA table_info({_FTS_MARKS})")]
    if columns:
        yield f"UPDATE {_FTS_MARKS} SET {', '.join(f'{name} = 0' for name in columns)};"


def _raised(source: sqlite3.Connection, revision: Mapping[str, int]) -> Iterator[str]:
    cursor = source.execute(f"SELECT * FROM {_REVISION}")
    names = [each[0] for each in cursor.description]
    rows = cursor.fetchall()
    if len(rows) != 1 or not all(isinstance(value, int) for value in rows[0]):
        raise StepFailed(
            f"The backup's table {_REVISION} must have one row of whole numbers.",
            "take another backup; this one was changed by hand.",
        )
    [row] = rows
    raised = [
        f"{name} = {max(value, revision.get(name, 0)) + 1}"
        for name, value in zip(names, row, strict=True)
        if name != "id"
    ]
    yield f"UPDATE {_REVISION} SET {', '.join(raised)};"
