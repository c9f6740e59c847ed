"""When a local product runs its jobs: while there are some, and else each minute."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from scripts.cron import job_waits
from scripts.paths import ROOT

JOB = (
    "INSERT INTO jobs (id, kind, resource_id, state, created_at, updated_at)"
    " VALUES ('job_1', 'training', 'cls_1', ?, 1, 1)"
)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """The database of an installation, where workerd keeps it, beside workerd's own."""
    folder = tmp_path / "v3" / "d1" / "miniflare-D1DatabaseObject"
    folder.mkdir(parents=True)
    with closing(sqlite3.connect(folder / "metadata.sqlite")) as metadata:
        metadata.execute("CREATE TABLE _mf_ALARM (id INTEGER)")
    path = folder / "0123.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((ROOT / "schema.sql").read_text())
    return path


@pytest.mark.parametrize(
    ("state", "waits"),
    [("queued", True), ("running", True), ("succeeded", False), ("cancelled", False)],
)
def test_a_job_waits_until_it_has_ended(
    database: Path, tmp_path: Path, state: str, waits: bool
) -> None:
    assert job_waits(tmp_path) is False
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(JOB, [state])
    assert job_waits(tmp_path) is waits


def test_a_database_that_cannot_be_read_is_left_to_the_cron(database: Path, tmp_path: Path) -> None:
    database.write_bytes(b"no database" * 1_000)
    assert job_waits(tmp_path) is True
