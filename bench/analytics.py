"""GET /v1/analytics over 90 days and 1,000,000 log rows beside the same call on an empty
installation, in one run, interleaved. Ends with 1 where the full one takes more than ten times as
long.

    PYTHONPATH=src .build/venv/bin/python -m bench.analytics --rows 1000000

The rows go straight into the database file of a local installation that is stopped; their sums are
made by the product's own code.
"""

import argparse
import asyncio
import json
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
from tqdm import tqdm

from bench.route_dataset import percentile, timed
from edgeneuro.store.sql import rfc3339
from edgeneuro.store.usage import DAY, HOUR, rebuild_hour, sum_finished_days
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.worker.product import LocalProduct

DAYS = 90
QUESTIONS = 50_000
LABELLED = 2_000
MAX_TIMES = 10
WARM_UP = 3
AGENTS = [f"agent_{number}" for number in range(12)]
KEYS = [f"key_{number}" for number in range(6)]
MODELS = [
    ("@cf/meta/llama-3.2-1b-instruct", None),
    ("@cf/ibm-granite/granite-4.0-h-micro", None),
    ("@cf/google/gemma-2b-it-lora", "intent-routing-v1"),
]
CHUNK = 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures analytics over many log rows.")
    parser.add_argument("--rows", type=int, default=1_000_000, help="log rows (1,000,000)")
    parser.add_argument("--requests", type=int, default=15, help="requests of each kind (15)")
    options = parser.parse_args()
    stop = int(time.time() * 1000) // HOUR * HOUR
    with tempfile.TemporaryDirectory() as folder:
        full = LocalProduct(state=Path(folder) / "full")
        with running(full):
            pass  # which makes its database
        fill(database_file(full.state), options.rows, stop)
        empty = LocalProduct(state=Path(folder) / "empty")
        with running(full), running(empty):
            good = measure(full, empty, stop, options)
    sys.exit(0 if good else 1)


@contextmanager
def running(product: LocalProduct) -> Iterator[None]:
    product.start()
    try:
        yield
    finally:
        product.stop()


def database_file(state: Path) -> Path:
    for path in (state / "v3" / "d1").rglob("*.sqlite"):
        with closing(sqlite3.connect(path)) as connection:
            if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'logs'").fetchone():
                return path
    raise FileNotFoundError("the installation has no database")


def fill(path: Path, rows: int, stop: int) -> None:
    start = stop - DAYS * DAY
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        made = log_rows(random.Random(1), rows, start, stop)
        names = ", ".join(COLUMNS)
        insert = f"INSERT INTO logs ({names}) VALUES ({', '.join('?' * len(COLUMNS))})"
        bar = tqdm(total=rows, desc="log rows", unit="row", unit_scale=True, disable=None)
        while chunk := list(islice(made, CHUNK)):
            connection.execute("BEGIN")
            connection.executemany(insert, chunk)
            connection.execute("COMMIT")
            bar.update(len(chunk))
        bar.close()
        connection.executemany(
            "INSERT INTO current_labels (query_hash, query, agent_id, label_id, near_hash, split,"
            " labeler, created_at) VALUES (?1, 'q', ?2, ?1, ?1, 'train', 'bench', 0)",
            # Of the popular questions as many as of the rare ones.
            [
                (question_hash(n), AGENTS[n % len(AGENTS)])
                for n in range(0, QUESTIONS, QUESTIONS // LABELLED)
            ],
        )
    asyncio.run(sum_up(path, start, stop))


COLUMNS = (
    "id created_at request_id key_id query query_hash status agent_id confidence threshold layer"
    " reason alternatives model adapter cache attempts prompt_tokens completion_tokens cost_usd"
    " latency_ms prompt_version agents_revision"
).split()


def log_rows(chance: random.Random, rows: int, start: int, stop: int) -> Iterator[tuple[Any, ...]]:
    for number in range(rows):
        created = start + (stop - start) * number // rows
        question = min(int(chance.expovariate(1 / 5_000)), QUESTIONS)
        model, adapter = chance.choices(MODELS, [80, 15, 5])[0]
        layer, reason, cache = chance.choices(
            [
                ("llm", None, "miss"),
                ("cache", None, "hit"),
                ("fallback", "low_confidence", "miss"),
                ("fallback", "out_of_scope", "hit"),
                ("fallback", "timeout", "miss"),
            ],
            [60, 25, 8, 4, 3],
        )[0]
        hit = cache == "hit"
        outcome = "timeout" if reason == "timeout" else "ok"
        attempt = {"model": model, "adapter": adapter, "provider": "workers-ai", "ms": 90.0}
        attempts = [] if hit else [{**attempt, "outcome": outcome, "code": None, "engine": None}]
        yield (
            f"dec_{created:012x}{number:020x}",
            created,
            f"req_{number}",
            chance.choice(KEYS),
            f"question {question} of the bench",
            question_hash(question),
            200,
            chance.choice(AGENTS),
            0.9,
            0.5,
            layer,
            reason,
            "[]",
            None if outcome == "timeout" else model,
            None if outcome == "timeout" else adapter,
            cache,
            json.dumps(attempts),
            0 if hit else 400,
            0 if hit else 20,
            0.0 if hit else 0.0000148,
            round(chance.lognormvariate(1 if hit else 5, 0.6), 2),
            "1",
            "bench",
        )


def question_hash(number: int) -> str:
    return f"{number:032x}"


async def sum_up(path: Path, start: int, stop: int) -> None:
    database = SqliteDatabase("PRAGMA synchronous = OFF", str(path))
    for hour in tqdm(range(start, stop, HOUR), desc="sums", unit="hour", disable=None):
        assert await rebuild_hour(database, hour)
    while await sum_finished_days(database, now_ms=stop):
        pass
    database.close()


def measure(
    full: LocalProduct, empty: LocalProduct, stop: int, options: argparse.Namespace
) -> bool:
    span = {"from": rfc3339(stop - DAYS * DAY), "to": rfc3339(stop), "group_by": "agent"}
    taken: dict[tuple[str, str], list[float]] = {}
    with client(full) as of_full, client(empty) as of_empty:
        sides = {"full": (of_full, options.rows), "empty": (of_empty, 0)}
        for number in tqdm(range(WARM_UP + options.requests), unit="round", disable=None):
            for interval in ("hour", "day"):
                for name, (side, rows) in sides.items():
                    ms = ask(side, {**span, "interval": interval}, rows)
                    if number >= WARM_UP:
                        taken.setdefault((interval, name), []).append(ms)
    good = True
    print(f"{'90 days, ms':12}{'empty p50':>12}{'full p50':>12}{'full p95':>12}{'ratio':>8}")
    for interval in ("hour", "day"):
        floor = percentile(taken[interval, "empty"], 50)
        p50, p95 = (percentile(taken[interval, "full"], percent) for percent in (50, 95))
        good = good and p50 <= MAX_TIMES * floor
        print(f"by {interval:9}{floor:12.1f}{p50:12.1f}{p95:12.1f}{p50 / floor:8.2f}")
    return good


def client(product: LocalProduct) -> httpx.Client:
    headers = {"authorization": f"Bearer {product.admin_token}"}
    return httpx.Client(base_url=product.base_url, headers=headers, timeout=120)


def ask(side: httpx.Client, query: dict[str, str], rows: int) -> float:
    """The milliseconds that the call took; its answer must count every row."""
    response, ms = timed(lambda: side.get("/v1/analytics", params=query))
    response.raise_for_status()
    counted = response.json()["totals"]["requests"]
    assert counted == rows, f"{counted} of {rows} rows counted"
    return ms


if __name__ == "__main__":
    main()
