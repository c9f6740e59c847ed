"""The backup of each released version, restored by this one: no row is lost, and all of it can be
read. `python -m tests.released` makes such a backup at a release; version 0.1.0 had no backups, so
test_migration.py tries its rows more closely."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeneuro.settings import Settings
from edgeneuro_testing.sqlite import SqliteDatabase
from scripts.backups.dump import read_dump
from scripts.backups.restoring import restore
from scripts.backups.schema import APPLIED
from scripts.backups.taking import take_backup
from scripts.paths import ROOT
from tests.released import FIXTURES, fixture
from tests.unit.conftest import SCHEMA, Product
from tests.unit.test_backups import DATA, OF_0_1_0, FileDatabase, migrated, quiet
from tests.unit.test_migration import LISTS, READ_ONCE

OLDEST = "0.1.0"
BACKUPS = sorted(path for path in FIXTURES.glob("v*.sql") if path != fixture(OLDEST))
MORE_LISTS = ("/v1/rules", "/v1/routers", "/v1/teams", "/v1/replays", "/v1/jobs", "/v1/labels")


def test_a_release_leaves_its_backup() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## (\d+\.\d+\.\d+)", changelog, re.M)
    assert OLDEST in released
    missing = [version for version in released if not fixture(version).exists()]
    assert missing == [], "run: python -m tests.released"


@pytest.fixture(params=[OLDEST, *BACKUPS], ids=str)
def backup(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    if request.param != OLDEST:
        yield request.param
        return
    database = FileDatabase(tmp_path / "oldest.sqlite", migrated(OF_0_1_0, DATA))
    yield take_backup(database, tmp_path / "oldest.sql")
    database.connection.close()


async def test_an_installation_of_a_released_version_is_restored(
    backup: Path, settings: Settings, tmp_path: Path
) -> None:
    target = FileDatabase(tmp_path / "target.sqlite")
    restore(backup, target, replace=False, say=quiet)
    assert target.rows("PRAGMA foreign_key_check") == []
    assert target.rows("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
    there = {row["name"] for row in target.rows("SELECT name FROM sqlite_schema")}
    for table, count in read_dump(backup).rows.items():
        if table in there - {APPLIED, "jobs"}:  # migrations may add rows to these
            assert target.rows(f"SELECT count(*) AS n FROM {table}") == [{"n": count}], table
    database = SqliteDatabase(SCHEMA, str(tmp_path / "product.sqlite"))
    target.connection.backup(database._connection)
    target.connection.close()
    product = Product(database, settings)
    for path in sorted({*LISTS, *READ_ONCE, *MORE_LISTS}):
        answered = await product.call("GET", path)
        assert answered.status == 200, (path, answered.text)
        assert "cannot be read" not in answered.text, path
    database.close()
