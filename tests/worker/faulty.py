"""What the fault matrix is asked with: one product that is in trouble on purpose, in workerd or in
process, its database, its counters, and the three ways of asking it."""

import json
import re
import sqlite3
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from tests.waiting import until
from tests.worker.fault_matrix import Cell, Row, Way

ATTEMPTS = "edgeneuro_attempts_total"
VENDOR = {
    "id": "vendor",
    "kind": "openai-compatible",
    "base_url": "https://vendor.example.com/v1",
    "secret": "PROVIDER_KEY",  # scripts/children.py sets it
    "models": ["any-model"],
    "enabled": False,
}
_SAMPLE = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*")')


@dataclass(frozen=True)
class Answered:
    """What came of a request. `code` is the error's, of the answer or of a stream's last event,
    `reason` the decision's; `whole` says that nothing is missing: of a stream, that [DONE] came."""

    status: int
    headers: httpx.Headers
    text: str
    code: str | None
    reason: str | None
    whole: bool
    error: dict[str, Any] = field(default_factory=dict)


Execute = Callable[[Iterable[str]], list[Any]]


def file_execute(path: Path) -> Execute:
    """Runs statements on a database file that others use meanwhile, in one transaction; returns the
    rows of the last one."""

    def execute(statements: Iterable[str]) -> list[Any]:
        rows: list[Any] = []
        connection = sqlite3.connect(path, timeout=10, isolation_level=None)
        # D1 does not know it, so it cannot compare a column that has it.
        connection.create_collation("not_of_d1", lambda one, other: (one > other) - (one < other))
        try:
            connection.execute("BEGIN IMMEDIATE")
            for each in statements:
                rows = connection.execute(each).fetchall()
            connection.execute("COMMIT")
        finally:
            connection.close()
        return rows

    return execute


class Faulty:
    """A product with its administrator's client, the control API of its local/ and its database.
    `mark` is a word that no other question has."""

    def __init__(self, client: httpx.Client, emulator: httpx.Client, execute: Execute) -> None:
        self.client = client
        self.emulator = emulator
        self.execute = execute
        self._prepared_for: tuple[bool, bool, bool] | None = None
        self.client.post("/v1/providers", json=VENDOR).raise_for_status()

    def prepare(self, row: Row) -> None:
        """One model, asked once, and time enough for all but what is to take too long."""
        wanted = (row.host, row.decision, row.slow)
        if self._prepared_for == wanted:
            return
        if self._prepared_for is None or self._prepared_for[0] != row.host:
            enabled = {"enabled": row.host}
            self.client.patch("/v1/providers/vendor", json=enabled).raise_for_status()
        self.configure(
            routing_model="vendor/any-model" if row.host else row.active_model,
            fallback_models=[],
            max_retries=0,
            time_budget_ms=800 if row.slow else 15_000,
            chat_timeout_ms=2_400 if row.slow else 30_000,
        )
        self._prepared_for = wanted

    def configure(self, **settings: Any) -> None:
        """Any change closes the breakers, the same values too."""
        self.client.patch("/v1/config", json=settings).raise_for_status()

    def ask(self, way: Way, mark: str, *, key: str | None = None) -> Answered:
        text = f"My VPN does not connect {mark}"
        headers = {"authorization": f"Bearer {key}"} if key else {}
        if way == "route":
            body: dict[str, Any] = {"query": text}
            return _read(self.client.post("/v1/route", json=body, headers=headers))
        body = {
            "model": "auto",
            "messages": [{"role": "user", "content": text}],
            "stream": way == "chat, streamed",
            "edgeneuro": {"cache": True},
        }
        return _read(self.client.post("/v1/chat/completions", json=body, headers=headers))

    def rows(self, mark: str, count: int = 1) -> list[dict[str, Any]]:
        """The log rows of the questions with this word, which are written after the answers, once
        there are so many."""
        return until(lambda: self._rows(mark), lambda rows: len(rows) >= count)

    def _rows(self, mark: str) -> list[dict[str, Any]]:
        query: dict[str, str | int] = {"q": mark, "limit": 100}
        rows: list[dict[str, Any]] = self.client.get("/v1/logs", params=query).json()["data"]
        return rows

    def counted(self, name: str) -> Counter[tuple[str, ...]]:
        """A metric by the values of its labels."""
        found: Counter[tuple[str, ...]] = Counter()
        for line in self.client.get("/metrics").text.splitlines():
            if line.startswith(f"{name}{{"):
                labels = tuple(json.loads(value) for _, value in _SAMPLE.findall(line))
                found[labels] = round(float(line.rpartition(" ")[2]))
        return found

    def failures(self, what: str | None) -> int:
        return self.counted("edgeneuro_failures_total")[(what,)] if what else 0

    def cache_key(self, mark: str) -> str:
        """Under which the question's answer is kept. Leaves a log row, but no answer."""
        body = {"query": f"My VPN does not connect {mark}", "cache": False, "explain": True}
        answer = self.client.post("/v1/route", json=body).raise_for_status().json()
        key: str = answer["explanation"]["cache_key"]
        return key

    @contextmanager
    def trouble(self, row: Row, *, key: str = "") -> Iterator[None]:
        """The fault, while it lasts."""
        if row.emulator:
            name = "host:vendor.example.com" if row.host else row.active_model or "*"
            self.emulator.put("/_local/faults", json={name: row.emulator}).raise_for_status()
        if row.before:
            self.execute(statement.replace("{key}", key) for statement in row.before)
        try:
            yield
        finally:
            if row.after:
                self.execute(row.after)
            self.emulator.delete("/_local/faults").raise_for_status()

    @contextmanager
    def storm(self, path: str, trouble: Any) -> Iterator[None]:
        """A setting of one of the emulator's controls, while it lasts."""
        self.emulator.put(path, json=trouble).raise_for_status()
        try:
            yield
        finally:
            self.emulator.delete("/_local/faults").raise_for_status()
            self.emulator.put("/_local/rate_limit", content=b"null").raise_for_status()


def require_cell(faulty: Faulty, row: Row, way: Way) -> None:
    """Brings the fault about, asks once, and requires what the cell says; then the next request has
    its answer and its row again."""
    cell, mark = row.cell(way), word()
    faulty.prepare(row)
    key = faulty.cache_key(mark) if "{key}" in "".join(row.before) else ""
    earlier = faulty.rows(mark) if key else []
    attempts = faulty.counted(ATTEMPTS)
    failures = faulty.failures(row.failure)
    with faulty.trouble(row, key=key):
        answered = faulty.ask(way, mark)
        until(lambda: faulty.failures(row.failure) > failures or not row.failure, seconds=30)
    require_answer(answered, cell)
    rows = [each for each in faulty.rows(mark, len(earlier) + cell.logged) if each not in earlier]
    assert len(rows) == cell.logged
    tried = faulty.counted(ATTEMPTS) - attempts
    assert {outcome for _, outcome in tried} >= ({cell.outcome} if cell.outcome else set())
    if cell.logged:
        [logged] = rows
        assert (logged["status"], logged["reason"]) == (cell.status, cell.reason)
        assert logged["ending"] == cell.ending
        assert logged["layer"] == cell.layer
        outcomes = [attempt["outcome"] for attempt in logged["attempts"]]
        assert (outcomes[-1] if outcomes else None) == cell.outcome
        assert tried == Counter((each["model"], each["outcome"]) for each in logged["attempts"])
    faulty.prepare(replace(row, slow=False))
    require_well(faulty, way, decision=row.decision, mark=mark, logged=len(earlier) + cell.logged)


def require_answer(answered: Answered, cell: Cell) -> None:
    assert "Traceback" not in answered.text
    assert (answered.status, answered.code) == (cell.status, cell.code), answered.text[-500:]
    assert answered.whole is (cell.code is None)
    if answered.whole:
        assert answered.reason == cell.reason
    if answered.error:
        assert answered.error["request_id"] == answered.headers["x-request-id"]
    if cell.status != 200:
        assert answered.headers["x-should-retry"] == "false"


def require_well(
    faulty: Faulty, way: Way, *, decision: bool = False, mark: str = "", logged: int = 0
) -> None:
    """The fault has left nothing behind: the next question has its answer and its row. `decision`:
    the decision model is the active one. Of questions with the mark so many are `logged`."""
    mark, last = mark or word(), word()
    require_answer(faulty.ask(way, f"{mark} {last}"), Cell(200))
    rows = faulty.rows(mark, logged + 1)
    # The row of this later request is there, so one that was late would be too.
    assert len(rows) == logged + 1
    [row] = [each for each in rows if last in each["query"]]
    layer = "decision_model" if decision else "llm"
    assert (row["layer"], row["reason"], row["ending"]) == (layer, None, "complete")


def word() -> str:
    return f"zz{uuid.uuid4().hex[:14]}"


def _read(response: httpx.Response) -> Answered:
    if response.headers["content-type"].startswith("text/event-stream"):
        return _read_stream(response)
    content = response.json()
    error = content if "error" in content else {}
    return Answered(
        response.status_code,
        response.headers,
        response.text,
        error["error"]["code"] if error else None,
        content.get("reason") or content.get("edgeneuro", {}).get("reason"),
        whole=not error,
        error=error,
    )


def _read_stream(response: httpx.Response) -> Answered:
    events = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    whole = events[-1] == "[DONE]"
    last = json.loads(events[-2 if whole else -1])
    error = last if "error" in last else {}
    return Answered(
        response.status_code,
        response.headers,
        response.text,
        error["error"]["code"] if error else None,
        last.get("edgeneuro", {}).get("reason"),
        whole=whole,
        error=error,
    )
