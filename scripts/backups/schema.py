"""What is in a database of a version, found by applying the migrations to one in memory."""

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from scripts.database import APPLIED_MIGRATIONS
from scripts.paths import MIGRATIONS

APPLIED = "d1_migrations"
# SQLite's own tables, and those of D1.
_INTERNAL = ("sqlite_", "_cf_")
_SHADOWS = ("data", "idx", "content", "docsize", "config")  # what an FTS5 table is stored in


@dataclass(frozen=True)
class Made:
    """A row of sqlite_schema: a table, an index or a trigger, and the statement that makes it."""

    type: str
    name: str
    sql: str

    @property
    def is_virtual(self) -> bool:
        return self.sql.upper().startswith("CREATE VIRTUAL TABLE")


def migrations() -> list[Path]:
    return sorted(MIGRATIONS.glob("*.sql"))


def version_of(name: str) -> int:
    """The number of a migration's file, 0 if it has none."""
    return int(name[:4]) if re.fullmatch(r"\d{4}_.*", name) else 0


@cache
def schema_at(version: int) -> list[Made]:
    """The schema of this version, in the order in which it was made."""
    connection = sqlite3.connect(":memory:")
    try:
        connection.executescript(APPLIED_MIGRATIONS)
        for path in migrations():
            if version_of(path.name) <= version:
                connection.executescript(path.read_text(encoding="utf-8"))
        rows = connection.execute(
            "SELECT type, name, sql FROM sqlite_schema WHERE sql NOT NULL ORDER BY rowid"
        )
        return [Made(*row) for row in rows]
    finally:
        connection.close()


def data_tables(schema: Sequence[Made]) -> list[Made]:
    """The tables that hold data of their own, those that others refer to first."""
    tables = [each for each in schema if each.type == "table"]
    virtual = {each.name for each in tables if each.is_virtual}
    shadows = {f"{name}_{part}" for name in virtual for part in _SHADOWS}
    waiting = [
        each
        for each in tables
        if each.name not in virtual | shadows and not each.name.startswith(_INTERNAL)
    ]
    ordered: list[Made] = []
    while waiting:
        names = {each.name for each in waiting}
        free = [each for each in waiting if not (_referred(each) - {each.name}) & names]
        ordered += free or waiting  # tables that refer to each other: in the order they were made
        waiting = [each for each in waiting if each not in ordered]
    return ordered


def virtual_tables(schema: Sequence[Made]) -> list[Made]:
    return [each for each in schema if each.type == "table" and each.is_virtual]


def fills_an_index(trigger: Made, schema: Sequence[Made]) -> bool:
    """Whether the trigger puts new rows into an FTS5 table."""
    names = "|".join(each.name for each in virtual_tables(schema))
    return bool(
        trigger.type == "trigger"
        and names
        and re.search(rf"AFTER INSERT ON .* INSERT INTO ({names}) ", trigger.sql, re.S)
    )


def _referred(table: Made) -> set[str]:
    return set(re.findall(r'REFERENCES "?(\w+)"?', table.sql))
