"""When a local product runs its jobs: while there are some, and else each minute."""

import socket
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from scripts.cron import fire, job_waits
from scripts.paths import ROOT

NOW_MS = 1_000
JOB = (
    "INSERT INTO jobs (id, kind, resource_id, created_at, updated_at, state, run_after,"
    " lease_until) VALUES ('job_1', 'training', 'cls_1', 1, 1, ?, ?, ?)"
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
        schema = (ROOT / "schema.sql").read_text()
        # As one transaction: each statement by itself would wait for the disk.
        connection.executescript(f"BEGIN; {schema} COMMIT;")
    return path


@pytest.mark.parametrize(
    ("state", "run_after", "lease_until", "waits"),
    [
        ("queued", 0, 0, True),
        ("running", NOW_MS, 0, True),
        ("running", 0, NOW_MS, True),
        ("running", NOW_MS + 1, 0, False),
        ("running", 0, NOW_MS + 1, False),
        ("succeeded", 0, 0, False),
        ("cancelled", 0, 0, False),
    ],
)
def test_a_job_waits_until_it_pauses_or_has_ended(
    database: Path, tmp_path: Path, state: str, run_after: int, lease_until: int, waits: bool
) -> None:
    assert job_waits(tmp_path, by_ms=NOW_MS) is False
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(JOB, [state, run_after, lease_until])
    assert job_waits(tmp_path, by_ms=NOW_MS) is waits
    assert job_waits(tmp_path) is (state in ("queued", "running"))


def test_a_database_that_cannot_be_read_is_left_to_the_cron(database: Path, tmp_path: Path) -> None:
    database.write_bytes(b"no database" * 1_000)
    assert job_waits(tmp_path, by_ms=NOW_MS) is True


def test_a_worker_that_ends_within_its_answer_is_an_error_of_the_connection() -> None:
    """Any other would end the thread that fires the cron."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer_half() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4_096)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")

        thread = threading.Thread(target=answer_half)
        thread.start()
        with pytest.raises(OSError, match="IncompleteRead"):
            fire(f"http://127.0.0.1:{server.getsockname()[1]}/")
        thread.join()
