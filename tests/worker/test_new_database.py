"""A backup of the version before, restored into a new installation by wrangler, which migrates it:
D1 takes every statement, and its tables are for wrangler as if it had made them. One restore for
all tests, since wrangler takes seconds."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from scripts.backups.databases import LocalDatabase
from scripts.backups.schema import migrations
from scripts.backups.taking import take_backup
from scripts.database import applied
from scripts.paths import ROOT

# What D1 would not take as one statement, and what ends lines and statements.
LONG = "it's a very long text;\n" * 10_000
BLOB = bytes(range(256)) * 2_000
TABLES = ("config", "dead_letters", "lora_parts")


class Restored(NamedTuple):
    before: Path
    after: Path


@pytest.fixture(scope="module")
def restored(tmp_path_factory: pytest.TempPathFactory) -> Restored:
    folder = tmp_path_factory.mktemp("restored")
    before, after = folder / "before", folder / "after"
    (before / "v3" / "d1").mkdir(parents=True)
    older = migrations()[:-1]
    with closing(sqlite3.connect(before / "v3" / "d1" / "older.sqlite")) as connection, connection:
        for path in older:
            connection.executescript(path.read_text(encoding="utf-8"))
        connection.executescript(applied(older))
        connection.execute("INSERT INTO config VALUES ('learning', '\"off\"', 1)")
        connection.execute("INSERT INTO dead_letters VALUES ('dec_1', 1, ?, ?)", (LONG, LONG))
        connection.execute("INSERT INTO lora_parts VALUES ('lora_1', 'w', 0, ?, 1)", (BLOB,))
    backup = take_backup(LocalDatabase(before), folder / "backup.sql")
    done = subprocess.run(
        [sys.executable, "-m", "scripts.restore", str(backup), "--local", "--no-setup"],
        cwd=ROOT,
        env=os.environ | {"EDGENEURO_STATE": str(after)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return Restored(before, after)


def test_wrangler_applies_what_is_missing(restored: Restored) -> None:
    rows = LocalDatabase(restored.after).rows("SELECT name FROM d1_migrations ORDER BY id")
    assert [row["name"] for row in rows] == [path.name for path in migrations()]


@pytest.mark.parametrize("table", TABLES)
def test_d1_has_taken_every_row(restored: Restored, table: str) -> None:
    rows = [
        LocalDatabase(state).rows(f"SELECT * FROM {table} ORDER BY 1")
        for state in (restored.before, restored.after)
    ]
    assert rows[0] == rows[1] != []
