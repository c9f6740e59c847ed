"""How long each page takes from navigation to its content, with 100,000 log rows, 250 agents and
50,000 labels, in Chromium and straight at workerd's port. Ends with 1 if the median of a page is
over a second.

    PYTHONPATH=src .build/venv/bin/python -m bench.pages --runs 5

The rows go straight into the database file of a local installation that is stopped; the sums are
made by the product's own code. The first steps of the Overview are hidden, as they are in such an
installation. The load of the machine is printed too, and for each page the CPU of workerd and the
browser together: on a busy machine it says more than the time that passed.
"""

import argparse
import os
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from playwright.sync_api import Page
from tqdm import tqdm

from bench.analytics import COLUMNS, DAYS, QUESTIONS, database_file, log_rows, question_hash
from bench.analytics import running as running_product
from bench.cpu import children_seconds
from bench.scale import sum_up
from edgeneuro.store.usage import DAY, HOUR
from scripts.cron import fire, running_cron_url
from tests.http_client import http_client
from tests.ui.browser import chromium
from tests.ui.conftest import SETTLED, load_page, new_context, settled
from tests.ui.test_screens import SCREENS
from tests.worker.product import LocalProduct

MAX_MS = 1_000
AGENTS = 250
# Opens a page and resolves to the milliseconds until it is shown, and those of its slowest request.
_OPEN = """async (place) => {
  const settled = %s;
  performance.clearResourceTimings();
  const start = performance.now();
  location.hash = place;
  await new Promise((shown) => {
    const look = () => (settled() ? shown() : setTimeout(look, 4));
    window.addEventListener("hashchange", () => setTimeout(look), { once: true });
  });
  const taken = performance.now() - start;
  const calls = performance.getEntriesByType("resource")
    .filter(({ name }) => new URL(name).pathname.startsWith("/v1/"))
    .map(({ name, duration }) => [new URL(name).pathname, duration])
    .sort(([, one], [, other]) => other - one);
  return { taken, calls: calls.length, slowest: calls[0] ?? [null, 0] };
}"""


@dataclass
class Times:
    """Of one page, in ms: what each run took, its CPU, and the slowest request of the slowest
    run."""

    taken: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    calls: int = 0
    slowest: str = ""

    def add(self, found: dict[str, Any]) -> None:
        if not self.taken or found["taken"] > max(self.taken):
            path, ms = found["slowest"]
            self.slowest = f"{path} {ms:.0f}" if path else ""
        self.taken.append(found["taken"])
        self.cpu.append(found["cpu"])
        self.calls = max(self.calls, found["calls"])


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures the pages over a full installation.")
    parser.add_argument("--rows", type=int, default=100_000, help="log rows (100,000)")
    parser.add_argument("--runs", type=int, default=5, help="of each page (5)")
    parser.add_argument("--only", default="", help="pages whose names begin so, by commas")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        product = LocalProduct(state=Path(folder) / "state")
        with running_product(product):
            settings = {"learning": "off"}  # no training beside what is measured
            with http_client(product.base_url, product.admin_token) as api:
                api.patch("/v1/config", json=settings).raise_for_status()
        fill(database_file(product.state), options.rows)
        with running_product(product):
            sum_up(product, options.rows)
            fire(running_cron_url(product.state))  # days that are over
            before = os.getloadavg()[0]
            times = measure(product, tuple(filter(None, options.only.split(","))), options.runs)
            load = f"load {before:.1f} before, {os.getloadavg()[0]:.1f} after"
    show(times, options, load)
    sys.exit(0 if all(median(each.taken) <= MAX_MS for each in times.values()) else 1)


def fill(path: Path, rows: int) -> None:
    stop = int(time.time() * 1000) // HOUR * HOUR
    start = stop - DAYS * DAY
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        connection.execute("DELETE FROM agents")  # those for demonstration
        insert(connection, "agents", agent_rows(stop))
        insert(connection, "labels", label_rows(start, stop))
        insert(connection, "current_labels", current_rows(connection))
        insert(connection, "splits", split_rows(connection))
        insert(connection, "logs", logged(rows, start, stop))
        connection.execute("COMMIT")


Rows = Iterator[dict[str, Any]]


def insert(connection: sqlite3.Connection, table: str, rows: Rows) -> None:
    for row in tqdm(rows, desc=table, unit="row", unit_scale=True, disable=None):
        columns, values = ", ".join(row), ", ".join("?" * len(row))
        connection.execute(
            f"INSERT INTO {table} ({columns}) VALUES ({values})", tuple(row.values())
        )


def agent_id(number: int) -> str:
    return f"agent_{number % AGENTS}"


def agent_rows(now: int) -> Rows:
    for number in range(AGENTS):
        yield {
            "id": agent_id(number),
            "name": f"Agent {number}",
            "description": f"Answers questions about the subject {number} of the bench.",
            "examples": f'["A question about {number}", "Another one about {number}"]',
            "enabled": 1,
            "is_default": int(number == 0),
            "created_at": now,
            "updated_at": now,
        }


def label_rows(start: int, stop: int) -> Rows:
    for number in range(QUESTIONS):
        one = question_hash(number)
        yield {
            "seq": number + 1,
            "id": f"lab_{one}",
            "query_hash": one,
            "near_hash": one,
            "similar_hash": one,
            "query": f"question {number} of the bench",
            "agent_id": agent_id(number),
            "removed": 0,
            "labeler": f"person_{number % 5}",
            "source": "hand",
            "created_at": start + (stop - start) * number // QUESTIONS,
        }


def current_rows(connection: sqlite3.Connection) -> Rows:
    columns = "query_hash, query, agent_id, id, near_hash, labeler, created_at, seq"
    chosen = f"SELECT {columns} FROM labels"
    for one, query, agent, label, near, labeler, created, seq in connection.execute(chosen):
        yield {
            "query_hash": one,
            "query": query,
            "agent_id": agent,
            "label_id": label,
            "near_hash": near,
            "split": split_of(seq),
            "labeler": labeler,
            "created_at": created,
            "sampled": int(seq % 10 == 0),
            "seq": seq,
        }


def split_of(place: int) -> str:
    return {4: "test", 8: "validation"}.get(place // AGENTS % 10, "train")


def split_rows(connection: sqlite3.Connection) -> Rows:
    for near, agent, seq in connection.execute("SELECT near_hash, agent_id, seq FROM labels"):
        yield {
            "near_hash": near,
            "similar_hash": near,
            "agent": agent,
            "place": seq // AGENTS,
            "split": split_of(seq),
        }


def logged(rows: int, start: int, stop: int) -> Rows:
    chance = random.Random(2)
    for made in log_rows(random.Random(1), rows, start, stop):
        row = dict(zip(COLUMNS, made, strict=True))
        yield {**row, "agent_id": agent_id(chance.randrange(AGENTS)), "counted_later": 1}


def measure(product: LocalProduct, only: Sequence[str], runs: int) -> dict[str, Times]:
    """All pages in turn, so many times: what else the machine does meets all of them."""
    with http_client(product.base_url, product.admin_token) as api:
        log = api.get("/v1/logs?limit=1").raise_for_status().json()["data"][0]["id"]
    screens = [each.format(log=log) for each in SCREENS if each.count("{") == each.count("{log}")]
    screens = [each for each in screens if each.startswith(tuple(only) or "")]
    times = {screen: Times() for screen in screens}
    with chromium() as browser:
        page = load_page(new_context(browser, product), product.admin_token)
        page.context.set_default_timeout(120_000)
        page.evaluate("localStorage.setItem('edgeneuro.first_steps', 'done')")
        for run in tqdm(range(runs + 1), desc="runs", unit="run", disable=None):
            for screen in screens:
                found = open_page(page, screen)
                if run:  # the first one loads modules and fills caches
                    times[screen].add(found)
    return {screen.replace(log, "ID"): each for screen, each in times.items()}


def open_page(page: Page, screen: str) -> dict[str, Any]:
    page.goto("/#/nowhere")
    before = children_seconds()
    found: dict[str, Any] = page.evaluate(_OPEN % SETTLED, f"#/{screen}")
    settled(page)
    return {**found, "cpu": 1000 * (children_seconds() - before)}


def show(times: dict[str, Times], options: argparse.Namespace, load: str) -> None:
    print(f"{options.rows:,} log rows, {AGENTS} agents, {QUESTIONS:,} labels; {options.runs} runs;")
    print(f"{os.cpu_count()} CPUs, {load}\n")
    heads = "median ms | worst ms | CPU ms | requests | slowest request of the worst run, ms"
    print(f"| page | {heads} |")
    print("| --- | --- | --- | --- | --- | --- |")
    for screen, each in sorted(times.items(), key=lambda item: -median(item[1].taken)):
        print(
            f"| {screen} | {median(each.taken):.0f} | {max(each.taken):.0f}"
            f" | {median(each.cpu):.0f} | {each.calls} | {each.slowest} |"
        )


if __name__ == "__main__":
    main()
