"""Whether retention and the sums keep up with 100 answers a second on a database of millions of log
rows: what a minute of the cron takes there, in real workerd on a real D1. The sums of the rows are
repeated over earlier days, so that the counters are those of 100 million answers.

    PYTHONPATH=src .build/venv/bin/python -m bench.scale --rows 5000000

The rows go straight into the database file of a local installation. Needs some 2 KB of disk a row.
"""

import argparse
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
from tqdm import tqdm

from bench.analytics import AGENTS, COLUMNS, client, database_file, log_rows, running
from bench.route_dataset import percentile, timed
from edgeneuro.store.usage import DAY, HOUR
from scripts.cron import MINUTES_CRON, fire, running_cron_url
from tests.worker.product import LocalProduct

MINUTE_ROWS = 6_000  # 100 answers a second
MINUTE_SECONDS = 60
CHUNK = 20_000
_COUNTERS = ("usage_hours", "latency_hours", "attempt_hours", "decision_hours", "classifier_hours")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures the cron on millions of log rows.")
    parser.add_argument("--rows", type=int, default=5_000_000, help="log rows (5,000,000)")
    parser.add_argument("--answers", type=int, default=100_000_000, help="in the sums (100 M)")
    parser.add_argument("--minutes", type=int, default=10, help="minutes to measure (10)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        product = LocalProduct(state=Path(folder) / "state")
        with running(product):
            keep_for_a_day(product)
        path = database_file(product.state)
        fill(path, options.rows)
        print(f"database     {path.stat().st_size / options.rows:.0f} bytes a log row")
        with running(product):
            seconds("the sums of all rows", lambda: sum_up(product, options.rows))
            repeat_sums(path, options.answers // options.rows)
            seconds("days that are over", lambda: fire(running_cron_url(product.state)))
            keeps_up = measure(product, path, options.minutes)
    sys.exit(0 if keeps_up else 1)


def keep_for_a_day(product: LocalProduct) -> None:
    with client(product) as admin:
        settings = {"retention_days": 1, "learning": "off"}
        admin.patch("/v1/config", json=settings).raise_for_status()


def connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=60)
    connection.execute("PRAGMA synchronous = OFF")
    return connection


def fill(path: Path, rows: int) -> None:
    """Over the last 23 hours, so that none has expired."""
    stop = now_ms()
    made = log_rows(random.Random(1), rows, stop - 23 * HOUR, stop)
    with closing(connect(path)) as connection:
        bar = tqdm(total=rows, desc="log rows", unit="row", unit_scale=True, disable=None)
        while chunk := list(islice(made, CHUNK)):
            insert(connection, chunk)
            bar.update(len(chunk))
        bar.close()


def insert(connection: sqlite3.Connection, rows: list[tuple[Any, ...]]) -> None:
    names = ", ".join((*COLUMNS, "counted_later"))
    values = ", ".join("?" * len(COLUMNS))
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(f"INSERT INTO logs ({names}) VALUES ({values}, 1)", rows)
    connection.execute("COMMIT")


def sum_up(product: LocalProduct, rows: int) -> None:
    """The cron adds 100,000 rows a run."""
    url = running_cron_url(product.state, MINUTES_CRON)
    for _ in tqdm(range(rows // 100_000 + 1), desc="sums", unit="run", disable=None):
        fire(url)


def repeat_sums(path: Path, days: int) -> None:
    """The hours of the last day once more for each of so many days before it."""
    with closing(connect(path)) as connection:
        for table in _COUNTERS:
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            rest = ", ".join(name for name in columns if name != "hour")
            for day in tqdm(range(1, days), desc=table, unit="day", disable=None):
                connection.execute(
                    f"INSERT INTO {table} (hour, {rest}) SELECT hour - ?1, {rest} FROM {table}"
                    " WHERE hour >= ?2 ON CONFLICT DO NOTHING",
                    (day * DAY, (now_ms() - DAY) // HOUR * HOUR),
                )


def measure(product: LocalProduct, path: Path, minutes: int) -> bool:
    """Each minute 6,000 rows come and 6,000 have expired."""
    url = running_cron_url(product.state, MINUTES_CRON)
    taken: list[float] = []
    reads: dict[str, list[float]] = {}
    with closing(connect(path)) as connection, client(product) as admin:
        for minute in tqdm(range(minutes), desc="minutes", unit="minute", disable=None):
            stop = now_ms()
            made = log_rows(random.Random(minute + 2), MINUTE_ROWS, stop - 60_000, stop)
            insert(connection, list(made))
            connection.execute(
                "UPDATE logs SET created_at = created_at - ?1 WHERE seq IN"
                " (SELECT seq FROM logs ORDER BY seq LIMIT ?2)",
                (2 * DAY, MINUTE_ROWS),
            )
            [[before]] = connection.execute("SELECT count(*) FROM logs")
            taken.append(timed(lambda: fire(url))[1] / 1000)
            [[after]] = connection.execute("SELECT count(*) FROM logs")
            if before - after < MINUTE_ROWS:
                print(f"only {before - after} rows were deleted", file=sys.stderr)
                return False
            for name, ms in look(admin):
                reads.setdefault(name, []).append(ms)
    print(f"{'':32}{'p50':>10}{'max':>10}")
    print(f"{'a minute of the cron, s':32}{percentile(taken, 50):10.1f}{max(taken):10.1f}")
    for name, values in reads.items():
        print(f"{name + ', ms':32}{percentile(values, 50):10.0f}{max(values):10.0f}")
    return max(taken) < MINUTE_SECONDS


def look(admin: httpx.Client) -> Iterator[tuple[str, float]]:
    for name, address in (
        ("GET /v1/logs", "/v1/logs?limit=50"),
        ("GET /v1/logs of an agent", f"/v1/logs?limit=50&agent={AGENTS[3]}"),
        ("GET /v1/logs, search", "/v1/logs?limit=50&q=4711"),
        ("GET /v1/analytics, a day", "/v1/analytics"),
        ("GET /v1/labels/queue", "/v1/labels/queue?limit=20"),
    ):
        answer, ms = timed(lambda address=address: admin.get(address))  # type: ignore[misc]
        answer.raise_for_status()
        yield name, ms


def seconds(name: str, work: Any) -> None:
    started = time.perf_counter()
    work()
    print(f"{name:32}{time.perf_counter() - started:10.1f} s")


def now_ms() -> int:
    return int(time.time() * 1000)


if __name__ == "__main__":
    main()
