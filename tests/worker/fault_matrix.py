"""The fault matrix: every fault times the three ways of asking, and what is to come of it.

`python -m tests.worker.fault_matrix` prints the table as docs/faults.md holds it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Way = Literal["route", "chat", "chat, streamed"]
WAYS: tuple[Way, ...] = ("route", "chat", "chat, streamed")
VENDOR_MODEL = "vendor/any-model"
VENDOR_HOST = "host:vendor.example.com"


@dataclass(frozen=True)
class Cell:
    """What is to come: the HTTP status, the code of an error (in a stream that has begun, of its
    error event), the log row's reason and ending, and the outcome that /metrics counts of the last
    attempt. `logged` is false where the row cannot be written."""

    status: int
    code: str | None = None
    reason: str | None = None
    ending: str = "complete"
    outcome: str = "ok"
    logged: bool = True

    def text(self) -> str:
        parts = [str(self.status)]
        if self.code:
            parts.append(f"`{self.code}`" if self.ending == "complete" else f"event `{self.code}`")
        if self.reason and self.reason != self.code:
            parts.append(self.reason)
        if self.ending != "complete":
            parts.append(f"row: {self.ending}")
        if not self.logged:
            parts.append("no row, counted")
        return ", ".join(parts)


@dataclass(frozen=True)
class Row:
    """A fault: what the desk is told, or what is done to the database before and after (`before`
    may hold {key}: the cache key of the question)."""

    name: str
    cells: tuple[Cell, Cell, Cell]
    desk: dict[str, Any] = field(default_factory=dict)
    host: bool = False  # at a vendor's host, whose model is named; else at Workers AI
    before: Sequence[str] = ()
    after: Sequence[str] = ()
    failure: str | None = None  # what edgeneuro_failures_total counts

    def cell(self, way: Way) -> Cell:
        return self.cells[WAYS.index(way)]


OK = Cell(200)


def failing(reason: str, status: int, code: str, outcome: str | None = None) -> tuple[Cell, ...]:
    """An upstream that gives no answer: the default agent, or an honest error."""
    outcome = outcome or reason
    error = Cell(status, code, reason, outcome=outcome)
    return (Cell(200, reason=reason, outcome=outcome), error, error)


def _row(name: str, cells: tuple[Cell, ...], **fault: Any) -> Row:
    first, second, third = cells
    return Row(name, (first, second, third), desk=fault)


TIMEOUT = failing("timeout", 504, "upstream_timeout")
CAPACITY = failing("capacity", 429, "upstream_capacity")
LIMITED = failing("rate_limited", 429, "upstream_rate_limited")
QUOTA = failing("quota", 429, "upstream_quota")
UNCONFIGURED = failing("not_configured", 502, "upstream_not_configured")
REJECTED = failing("upstream_error", 400, "upstream_rejected")
BROKEN = failing("upstream_error", 502, "upstream_error")
INVALID = failing("invalid_output", 502, "invalid_output")
# What a model says is no fault of a chat: it is the answer.
NONSENSE = (INVALID[0], OK, OK)


def cut(code: str, reason: str) -> Cell:
    return Cell(200, code, reason, ending="cut", outcome=reason)


_CODES: dict[int, tuple[Cell, ...]] = {
    3003: REJECTED,
    3006: REJECTED,
    3007: TIMEOUT,
    3008: TIMEOUT,
    3023: UNCONFIGURED,
    3036: QUOTA,
    3037: UNCONFIGURED,
    3039: UNCONFIGURED,
    3040: CAPACITY,
    3041: UNCONFIGURED,
    3042: UNCONFIGURED,
    3043: BROKEN,
    5004: REJECTED,
    5005: UNCONFIGURED,
    5006: REJECTED,
    5007: UNCONFIGURED,
    5016: UNCONFIGURED,
    5018: UNCONFIGURED,
    5019: BROKEN,
    5021: REJECTED,
    5035: UNCONFIGURED,
}

_HIDE = ("decision_cache", "chat_cache", "logs", "revision", "config", "providers", "key_usage")

MATRIX: tuple[Row, ...] = (
    *(_row(f"error {code}", cells, kind="error", code=code) for code, cells in _CODES.items()),
    _row("HTTP 429", LIMITED, kind="status", status=429),
    _row("HTTP 429, Retry-After 60", LIMITED, kind="status", status=429, retry_after=60),
    _row("HTTP 500", BROKEN, kind="status", status=500),
    _row("HTTP 504", TIMEOUT, kind="status", status=504),
    _row("connection refused", BROKEN, kind="refuse"),
    Row("DNS failure", (BROKEN[0], BROKEN[1], BROKEN[2]), {"kind": "dns"}, host=True),
    Row(
        "connection refused, vendor",
        (BROKEN[0], BROKEN[1], BROKEN[2]),
        {"kind": "refuse"},
        host=True,
    ),
    _row("no answer", TIMEOUT, kind="hang"),
    _row(
        "silence within the answer",
        (*TIMEOUT[:2], cut("upstream_timeout", "timeout")),
        kind="stall",
    ),
    _row("slow drip", (*TIMEOUT[:2], OK), kind="drip", delay_ms=60),
    _row("JSON cut in two", INVALID, kind="malformed_json"),
    _row("the model's JSON cut in two", NONSENSE, kind="truncated_json"),
    _row("wrong JSON", NONSENSE, kind="wrong_json"),
    _row("an agent that is none", NONSENSE, kind="unknown_agent"),
    _row("nonsense", NONSENSE, kind="invalid_answer"),
    _row("empty", NONSENSE, kind="empty"),
    _row(
        "10 MB",
        (*INVALID[:2], cut("invalid_output", "invalid_output")),
        kind="huge",
        bytes=10_000_000,
    ),
    _row(
        "half a stream",
        (*BROKEN[:2], cut("upstream_cut", "upstream_error")),
        kind="cut",
    ),
    _row(
        "half a stream, abruptly",
        (*BROKEN[:2], cut("upstream_cut", "upstream_error")),
        kind="cut",
        abrupt=True,
    ),
    _row(
        "error event in a stream",
        (OK, OK, cut("upstream_error", "upstream_error")),
        kind="stream_error",
    ),
    Row(
        "D1 fails on read",
        (OK, OK, OK),
        before=("ALTER TABLE decision_cache RENAME TO hidden_decision_cache",),
        after=("ALTER TABLE hidden_decision_cache RENAME TO decision_cache",),
        failure="cache_read",
    ),
    Row(
        "D1 fails on write",
        (Cell(200, logged=False), Cell(200, logged=False), Cell(200, logged=False)),
        before=(
            "CREATE TRIGGER broken BEFORE INSERT ON logs"
            " BEGIN SELECT raise(ABORT, 'disk I/O error'); END",
        ),
        after=("DROP TRIGGER broken",),
        failure="log_write",
    ),
    Row(
        "D1 fails on everything",
        (Cell(200, logged=False), Cell(200, logged=False), Cell(200, logged=False)),
        before=[f"ALTER TABLE {table} RENAME TO hidden_{table}" for table in _HIDE],
        after=[f"ALTER TABLE hidden_{table} RENAME TO {table}" for table in _HIDE],
        failure="log_write",
    ),
    Row(
        "cache rows corrupted",
        (OK, OK, OK),
        before=(
            "INSERT INTO decision_cache (key, answer, expires_at)"
            " VALUES ('{key}', '{{\"agent_id\": 7', 9999999999999)",
        ),
        failure="cache_read",
    ),
    Row(
        "clock jumped back: cache rows of the past",
        (OK, OK, OK),
        before=(
            "INSERT INTO decision_cache (key, answer, expires_at) VALUES ('{key}', '{{}}', 1)",
        ),
    ),
)


def document() -> str:
    lines = [
        "# What comes of a fault",
        "",
        "Every line is a fault of the local Cloudflare (`local/README.md`) or of D1, and every",
        "cell is tried against workerd by `tests/worker/test_fault_matrix.py`, with one model and",
        "no retries. A cell says the HTTP status, the error's `code` or the log row's reason, and",
        "in a stream that had begun the code of its error event, after which there is no `[DONE]`.",
        "Each answer has one log row, and the attempt's outcome is counted in `/metrics`.",
        "",
        "| fault | " + " | ".join(WAYS) + " |",
        "| --- |" + " --- |" * len(WAYS),
    ]
    lines += [
        f"| {row.name} | " + " | ".join(cell.text() for cell in row.cells) + " |" for row in MATRIX
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(document(), end="")
