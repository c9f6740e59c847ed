"""Restores a backup: checks it and the database first, then lets the database execute one file."""

import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from scripts.backups.databases import TargetDatabase
from scripts.backups.dump import Dump, load_dump, read_dump
from scripts.backups.schema import Made, migrations, version_of
from scripts.backups.script import restore_script
from scripts.backups.taking import FOLDER, existing_schema, take_backup
from scripts.steps import StepFailed

# What an installation that somebody uses has rows in, and how it is called.
USED = {
    "agents": "agents",
    "logs": "log rows",
    "labels": "labels",
    "keys": "keys",
    "users": "users",
    "config": "settings",
    "rules": "rules",
    "providers": "providers",
    "classifiers": "classifiers",
    "audit": "audit entries",
}
_MAX_COUNTED = 1_000
OLDEST_SQLITE = (3, 38)  # with the operators that the migrations use


def restore(
    file: Path,
    database: TargetDatabase,
    *,
    replace: bool,
    folder: Path = FOLDER,
    say: Callable[[str], None] = print,
) -> None:
    """Raises StepFailed before anything is changed: for a file that cannot be restored, and for a
    database with data unless it is to be replaced, of which a backup in `folder` is taken first."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise StepFailed(
            f"This Python has SQLite {sqlite3.sqlite_version}, which cannot read the backup.",
            f"use a Python with SQLite {'.'.join(map(str, OLDEST_SQLITE))} or newer.",
        )
    dump = read_dump(file)
    for name, count in dump.others.items():
        say(f"Left out: {name} ({count} rows) is no table of EdgeNeuro.")
    schema = existing_schema(database)
    if found := in_use(database, schema):
        if not replace:
            raise StepFailed(
                f"There are data in {database.title}: {found}.",
                "restore into an empty database, or add --replace: everything in this one is"
                " deleted then, after a backup of it.",
            )
        say(f"Backup of what is there: {take_backup(database, folder=folder)}")
    with tempfile.TemporaryDirectory() as temporary:
        script = write_script(dump, database, schema, Path(temporary))
        say(f"Restoring {sum(dump.rows.values())} rows of schema {dump.version} …")
        database.execute(script)
    if dump.version < version_of(migrations()[-1].name):
        say(f"Migrating from schema {dump.version} …")
        database.migrate()
    check(dump, database)
    say(f"Restored: {database.title} is what {file.name} says.")


def in_use(database: TargetDatabase, schema: Sequence[Made]) -> str:
    """What the database has, in words; empty if nobody has used it."""
    there = {each.name for each in schema} & set(USED)
    if not there:
        return ""
    counts = ", ".join(
        f"(SELECT count(*) FROM (SELECT 1 FROM {name} LIMIT {_MAX_COUNTED})) AS {name}"
        for name in USED
        if name in there
    )
    [row] = database.rows(f"SELECT {counts}")
    more = {name: "or more " if row[name] == _MAX_COUNTED else "" for name in row}
    return ", ".join(f"{row[name]:,} {more[name]}{USED[name]}" for name in row if row[name])


def write_script(
    dump: Dump, database: TargetDatabase, schema: Sequence[Made], folder: Path
) -> Path:
    """The file that the database executes. Its rows were in a database of SQLite before, so a
    damaged backup is found while nothing is changed yet."""
    revision = {}
    if "revision" in [each.name for each in schema]:
        [revision] = database.rows("SELECT * FROM revision")
    script = folder / "restore.sql"
    with (
        closing(load_dump(dump, folder / "restored.sqlite")) as source,
        script.open("w", encoding="utf-8", errors="surrogateescape", newline="\n") as text,
    ):
        for statement in restore_script(source, dump.version, schema, revision):
            text.write(statement + "\n")
    return script


def check(dump: Dump, database: TargetDatabase) -> None:
    """Raises StepFailed if the migrations that followed are not all applied."""
    version = version_of(migrations()[-1].name)
    [row] = database.rows("SELECT max(name) AS newest FROM d1_migrations")
    if version_of(row["newest"]) != version:
        raise StepFailed(
            f"The rows were restored, but the database has schema {version_of(row['newest'])}"
            f" instead of {version}.",
            "apply the migrations: npm run upgrade.",
        )
