"""A backup restores what was there, whatever it is; what cannot be restored is refused before
anything is changed."""

import re
import sqlite3
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any, TextIO

import pytest

from edgeneuro.settings import Settings
from edgeneuro_testing.sqlite import SqliteDatabase
from scripts.backups import options as backup_options
from scripts.backups.dump import write_rows
from scripts.backups.restoring import restore
from scripts.backups.schema import Made, data_tables, migrations, schema_at, version_of
from scripts.backups.sql import MAX_STATEMENT, literal
from scripts.backups.taking import take_backup
from scripts.database import applied
from scripts.steps import StepFailed
from tests.unit.conftest import IT, SCHEMA, Product, add_agents, says

ROOT = Path(__file__).parents[2]
OF_0_1_0 = 20  # migrations
NEWEST = version_of(migrations()[-1].name)
DATA = (ROOT / "tests/fixtures/v0_1_0.sql").read_text()
D1_SQL_LENGTH = 100_000
ODD_TEXTS = [
    "it's; -- not\na 'statement'",
    "both\n and \\n, \r\n and \\r",
    "NUL \0 inside",
    "trenn\u2028zeichen \x1b[0m",
    "'" * 60_000,
    "ü" * 80_000,
]


@cache
def migrated(until: int, data: str = "") -> sqlite3.Connection:
    """A database in memory; with data, they were there before the migrations after 0.1.0."""
    connection = sqlite3.connect(":memory:")
    files = migrations()[:until]
    for number, path in enumerate(files, 1):
        connection.executescript(path.read_text())
        if number == OF_0_1_0 and data:
            connection.executescript(data)
    connection.executescript(applied(files))
    return connection


class FileDatabase:
    """As D1 is for a restore: statements of limited length, executed whole or not at all."""

    name = "test"

    def __init__(self, path: Path, like: sqlite3.Connection | None = None) -> None:
        self.title = f"the database {path.name}"
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.row_factory = sqlite3.Row
        self.connection.execute("PRAGMA synchronous = OFF")
        if like is not None:
            like.backup(self.connection)
        self.connection.execute("PRAGMA foreign_keys = ON")
        self.connection.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, D1_SQL_LENGTH)
        self.executed = 0

    def rows(self, sql: str) -> list[dict[str, Any]]:
        return [dict(row) for row in self.connection.execute(sql).fetchall()]

    def write_rows(self, tables: Sequence[Made], file: TextIO) -> int:
        return write_rows(self.connection, tables, file)

    def execute(self, script: Path) -> None:
        self.executed += 1
        self.connection.execute("BEGIN")
        statement = ""
        for line in script.read_text().splitlines(keepends=True):
            statement += line
            if sqlite3.complete_statement(statement):
                self.connection.execute(statement)
                statement = ""
        assert statement == ""
        self.connection.execute("COMMIT")

    def migrate(self) -> None:
        [row] = self.rows("SELECT max(name) AS newest FROM d1_migrations")
        for path in migrations():
            if path.name > row["newest"]:
                name = f"INSERT INTO d1_migrations (name) VALUES ('{path.name}');"
                self.connection.executescript(path.read_text() + name)

    def content(self) -> dict[str, list[dict[str, Any]]]:
        """All rows of all tables, but for the counters that tell isolates of the restore."""
        return {
            table.name: self.rows(f"SELECT * FROM {table.name} ORDER BY 1, 2")
            for table in data_tables(schema_at(NEWEST))
            if table.name not in ("revision", "logs_trigrams_start")
        }


@pytest.fixture
def used(tmp_path: Path) -> Iterator[FileDatabase]:
    """An installation of 0.1.0 with data of every kind, migrated."""
    database = FileDatabase(tmp_path / "used.sqlite", migrated(NEWEST, DATA))
    yield database
    database.connection.close()


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[FileDatabase]:
    database = FileDatabase(tmp_path / "empty.sqlite")
    yield database
    database.connection.close()


def quiet(text: str) -> None:
    pass


def test_all_rows_come_back(used: FileDatabase, empty: FileDatabase, tmp_path: Path) -> None:
    file = take_backup(used, tmp_path / "backup.sql")
    assert file.stat().st_mode & 0o777 == 0o600
    restore(file, empty, replace=False, say=quiet)
    assert empty.content() == used.content()
    assert all(used.content()[name] for name in ("agents", "logs", "labels", "classifier_parts"))
    assert schema_of(empty) == schema_of(used)
    assert empty.rows("PRAGMA foreign_key_check") == []
    assert empty.rows("PRAGMA integrity_check") == [{"integrity_check": "ok"}]


def schema_of(database: FileDatabase) -> set[tuple[str, str]]:
    rows = database.rows("SELECT type, name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'")
    return {(row["type"], row["name"]) for row in rows}


def test_the_full_text_indexes_are_made_again(
    used: FileDatabase, empty: FileDatabase, tmp_path: Path
) -> None:
    used.connection.execute("UPDATE logs SET query = 'Zürich VPN' WHERE seq = 1")
    restore(take_backup(used, tmp_path / "backup.sql"), empty, replace=False, say=quiet)
    for index, word in (("logs_fts", "zurich"), ("logs_trigrams", "rich")):
        found = empty.rows(f"SELECT rowid FROM {index} WHERE {index} MATCH '{word}'")
        assert found == [{"rowid": 1}], index
    empty.connection.execute("DELETE FROM logs")
    for index in ("logs_fts", "logs_trigrams"):
        empty.connection.execute(f"INSERT INTO {index} ({index}) VALUES ('integrity-check')")


def test_texts_and_blobs_of_any_kind_and_length_come_back(
    used: FileDatabase, empty: FileDatabase, tmp_path: Path
) -> None:
    blob = bytes(range(256)) * 2_000
    used.connection.execute("UPDATE classifier_parts SET content = ? WHERE part = 0", (blob,))
    write = "UPDATE logs SET query = ?, stages = ? WHERE seq = ?"
    used.connection.executemany(write, [(text, text, at) for at, text in enumerate(ODD_TEXTS, 1)])
    file = take_backup(used, tmp_path / "backup.sql")
    assert max(map(len, file.read_text().splitlines())) > D1_SQL_LENGTH
    restore(file, empty, replace=False, say=quiet)
    rows = empty.rows("SELECT query, stages FROM logs ORDER BY seq")[: len(ODD_TEXTS)]
    assert [(row["query"], row["stages"]) for row in rows] == [(text, text) for text in ODD_TEXTS]
    parts = empty.rows("SELECT content, typeof(content) AS type FROM classifier_parts")
    assert {"content": blob, "type": "blob"} in parts
    assert "restored_pieces" not in {name for _, name in schema_of(empty)}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "NULL"),
        (1, "1"),
        (-(2**63), "-9223372036854775808"),
        (0.1, "0.1"),
        (1e300, "1e+300"),
        (float("inf"), "9e999"),
        ("it's", "'it''s'"),
        (b"\x00\xff", "X'00ff'"),
        ("a\nb", "CAST(X'610a62' AS TEXT)"),
    ],
)
def test_literals(value: Any, expected: str) -> None:
    assert literal(value) == expected
    with closing(sqlite3.connect(":memory:")) as connection:
        assert connection.execute(f"SELECT {literal(value)}").fetchone() == (value,)


def test_what_d1_exports_can_be_restored(
    used: FileDatabase, empty: FileDatabase, tmp_path: Path
) -> None:
    """D1 writes line breaks, numbers and quotes in another way, and U+0000 as it is."""
    file = take_backup(used, tmp_path / "backup.sql")
    lines = file.read_text().splitlines(keepends=True)
    [one] = [line for line in lines if line.startswith('INSERT INTO "agents"')][:1]
    at = lines.index(one)
    as_d1 = "replace('first\\n\0second','\\n',char(10))"
    query = re.sub(r"'[^']*'", lambda _: as_d1, one, count=1)
    lines[at:at] = ["PRAGMA defer_foreign_keys=TRUE;\n"]
    lines[at + 1] = query
    (tmp_path / "d1.sql").write_text("".join(lines))
    restore(tmp_path / "d1.sql", empty, replace=False, say=quiet)
    assert "first\n\0second" in [row["id"] for row in empty.rows("SELECT id FROM agents")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.rpartition("INSERT INTO")[0], "not a complete backup"),
        (lambda text: text[: len(text) // 2], "not a complete backup"),
        (lambda text: text.replace('INSERT INTO "agents"', "INSERT\nINTO ", 1), "not a complete"),
        (lambda text: text.replace(migrations()[-1].name, "9000_later.sql"), "schema 9000"),
        (lambda text: text.replace(migrations()[2].name, "0003_other.sql"), "0003_other.sql"),
        (lambda text: text.replace('"agents" ("id"', '"agents" ("colour"', 1), "cannot be read"),
        (lambda text: text.replace(");\n", "); DELETE FROM keys;\n", 1), "cannot be read"),
        (lambda text: text.replace("'it_support'", "'\udcff'", 1), "cannot be read"),
        (
            lambda text: text.replace('INSERT INTO "revision"', 'INSERT INTO "revisions"'),
            "revision",
        ),
        (lambda text: text.replace('"audit" (', '"audit" SELECT 1 --('), "cannot be read"),
        (lambda text: "", "not a complete backup"),
        (lambda text: "\x89PNG\r\n\x1a\n" + "\xff" * 1_000, "not a complete backup"),
    ],
)
def test_what_cannot_be_restored_changes_nothing(
    used: FileDatabase, empty: FileDatabase, tmp_path: Path, change: Any, message: str
) -> None:
    text = take_backup(used, tmp_path / "backup.sql").read_text()
    (tmp_path / "changed.sql").write_text(change(text), errors="surrogateescape")
    with pytest.raises(StepFailed, match=message):
        restore(tmp_path / "changed.sql", empty, replace=False, say=quiet)
    assert empty.executed == 0


def test_a_newer_version_is_refused_as_one(
    used: FileDatabase, empty: FileDatabase, tmp_path: Path
) -> None:
    used.connection.execute("INSERT INTO d1_migrations (name) VALUES ('9000_later.sql')")
    file = take_backup(used, tmp_path / "backup.sql")
    with pytest.raises(StepFailed, match="knows schema") as refused:
        restore(file, empty, replace=False, say=quiet)
    assert "check out the version" in refused.value.advice


def test_data_are_replaced_only_if_told(used: FileDatabase, tmp_path: Path) -> None:
    file = take_backup(used, tmp_path / "backup.sql")
    other = FileDatabase(tmp_path / "other.sqlite", migrated(NEWEST))
    other.connection.execute(
        "INSERT INTO config (key, value, updated_at) VALUES ('learning', '\"off\"', 1)"
    )
    with pytest.raises(StepFailed, match="1 settings") as refused:
        restore(file, other, replace=False, say=quiet)
    assert "--replace" in refused.value.advice
    assert other.executed == 0
    restore(file, other, replace=True, folder=tmp_path / "safe", say=quiet)
    assert other.content() == used.content()
    [safe] = (tmp_path / "safe").iterdir()
    assert "'learning'" in safe.read_text()
    # An isolate that has cached the configuration so far sees that it is another one.
    [before], [after] = (each.rows("SELECT * FROM revision") for each in (used, other))
    assert all(after[name] > before[name] for name in ("value", "labels", "access"))
    other.connection.close()


def test_a_newer_database_can_be_replaced(used: FileDatabase, tmp_path: Path) -> None:
    """This is how a version is rolled back: its checkout restores its own backup."""
    file = take_backup(used, tmp_path / "backup.sql")
    used.connection.executescript(
        "CREATE TABLE later (id INTEGER PRIMARY KEY, agent_id TEXT REFERENCES agents (id));"
        "INSERT INTO later (agent_id) SELECT id FROM agents;"
        "INSERT INTO d1_migrations (name) VALUES ('9000_later.sql')"
    )
    restore(file, used, replace=True, folder=tmp_path / "safe", say=quiet)
    assert ("table", "later") not in schema_of(used)
    assert 'INSERT INTO "later"' in next((tmp_path / "safe").iterdir()).read_text()


def test_a_failed_write_leaves_no_file(used: FileDatabase, tmp_path: Path) -> None:
    class Full(FileDatabase):
        def write_rows(self, tables: Sequence[Made], file: TextIO) -> int:
            super().write_rows(tables, file)
            raise OSError(28, "No space left on device")

    full = Full(tmp_path / "used.sqlite")
    with pytest.raises(StepFailed, match="No space left"):
        take_backup(full, tmp_path / "backup.sql")
    assert not list(tmp_path.glob("backup.sql*"))
    full.connection.close()


def test_nothing_to_back_up(empty: FileDatabase, tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="nothing to back up"):
        take_backup(empty, tmp_path / "backup.sql")


def test_without_a_deployment_nobody_must_log_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup_options, "FOLDER", tmp_path)
    chosen = Namespace(setup=False, local=False, environment="nowhere")
    with (
        pytest.raises(StepFailed, match="knows no database") as refused,
        backup_options.chosen_database(chosen, alone=False),
    ):
        pass
    assert "--local" in refused.value.advice


def test_no_backup_replaces_another_file(used: FileDatabase, tmp_path: Path) -> None:
    (tmp_path / "backup.sql").write_text("mine")
    with pytest.raises(StepFailed, match="is there already"):
        take_backup(used, tmp_path / "backup.sql")
    assert (tmp_path / "backup.sql").read_text() == "mine"


async def test_the_restored_product_routes(
    tmp_path: Path, settings: Settings, database: SqliteDatabase
) -> None:
    product = await add_agents(Product(database, settings))
    product.gateway.enqueue(says("it_support"))
    await product.route("My VPN is down")
    database.commit()
    source = FileDatabase(tmp_path / "source.sqlite")
    database._connection.backup(source.connection)
    target = FileDatabase(tmp_path / "target.sqlite")
    restore(take_backup(source, tmp_path / "backup.sql"), target, replace=False, say=quiet)
    restored = SqliteDatabase(SCHEMA, str(tmp_path / "restored.sqlite"))
    target.connection.backup(restored._connection)
    again = Product(restored, settings)
    again.gateway.enqueue(says("it_support"))
    decision = (await again.route("My VPN is still down")).json()
    assert decision["agent"]["id"] == IT["id"]
    assert {row["query"] for row in await again.logs()} == {
        "My VPN is down",
        "My VPN is still down",
    }
    for each in (source.connection, target.connection, restored):
        each.close()


def test_statements_are_never_too_long() -> None:
    assert MAX_STATEMENT < D1_SQL_LENGTH
