"""The database of a new installation, made in one batch, and one that a backup was restored into:
both are for wrangler as if it had migrated them. One restore for all tests, since wrangler takes
seconds."""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from scripts.backups.databases import LocalDatabase
from scripts.backups.taking import take_backup
from scripts.paths import ROOT
from scripts.wrangler import environment, wrangler
from tests.worker.product import migrated_state

# What D1 would not take as one statement, and what ends lines and statements.
LONG = "it's a very long text;\n" * 10_000
BLOB = bytes(range(256)) * 2_000
TABLES = ("agents", "d1_migrations", "dead_letters", "lora_parts", "schema_compatibility")


class Restored(NamedTuple):
    before: Path
    state: Path
    output: str


@pytest.fixture(scope="module")
def restored(tmp_path_factory: pytest.TempPathFactory) -> Restored:
    folder = tmp_path_factory.mktemp("restored")
    before = shutil.copytree(migrated_state(), folder / "before")
    with closing(sqlite3.connect(file_of(before))) as connection, connection:
        connection.execute("INSERT INTO dead_letters VALUES ('dec_1', 1, ?, ?)", (LONG, LONG))
        connection.execute("INSERT INTO lora_parts VALUES ('lora_1', 'w', 0, ?, 1)", (BLOB,))
    backup = take_backup(LocalDatabase(before), folder / "backup.sql")
    done = subprocess.run(
        [sys.executable, "-m", "scripts.restore", str(backup), "--local"],
        cwd=ROOT,
        env=os.environ | {"EDGENEURO_STATE": str(folder / "after")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return Restored(before, folder / "after", done.stdout)


def file_of(state: Path) -> Path:
    file = LocalDatabase(state).file
    assert file is not None
    return file


def test_nothing_is_left_to_apply(restored: Restored) -> None:
    local = ("--local", "--env", "local", "--persist-to", restored.state)
    listed = subprocess.run(
        wrangler("d1", "migrations", "list", "DB", *local),
        env=environment(restored.state),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert listed.returncode == 0, listed.stderr
    assert "No migrations to apply" in listed.stdout


@pytest.mark.parametrize("table", TABLES)
def test_d1_has_taken_every_row(restored: Restored, table: str) -> None:
    rows = []
    for state in (restored.before, restored.state):
        with closing(sqlite3.connect(file_of(state))) as connection:
            rows.append(connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall())
    assert rows[0] == rows[1] != []
