"""The fault matrix: every fault times the three ways of asking, and what is to come of it.

`python -m tests.worker.fault_matrix` prints docs/faults.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Way = Literal["route", "chat", "chat, streamed"]
WAYS: tuple[Way, ...] = ("route", "chat", "chat, streamed")
DECISION_MODEL = "@cf/cloudflare/clef-flash"


@dataclass(frozen=True)
class Cell:
    """What is to come: the HTTP status, the code of an error (in a stream that has begun, of its
    error event), the log row's reason, layer and ending, and the outcome of the last attempt, which
    /metrics counts. `logged` is false where the row cannot be written."""

    status: int
    code: str | None = None
    reason: str | None = None
    layer: str = "llm"
    ending: str = "complete"
    outcome: str | None = "ok"
    logged: bool = True

    def text(self) -> str:
        answer = str(self.status)
        if self.code:
            answer += f", event `{self.code}`" if self.ending == "cut" else f" `{self.code}`"
        ending = ", cut" if self.ending == "cut" else ""
        row = f"{self.status}, {self.reason or '-'}, {self.layer}{ending}"
        return f"{answer}; row: {row if self.logged else 'none'}; try: {self.outcome or 'none'}"


@dataclass(frozen=True)
class Row:
    """A fault: a setting of the emulator, or statements on the database before and after
    (`before` may hold {key}: the cache key of the question)."""

    name: str
    cells: tuple[Cell, Cell, Cell]
    emulator: dict[str, Any] = field(default_factory=dict)
    host: bool = False  # at a vendor's host, whose model is the active one; else at Workers AI
    decision: bool = False  # of the decision model, which is the active one; chats have another
    slow: bool = False  # it takes all the time there is
    before: Sequence[str] = ()
    after: Sequence[str] = ()
    failure: str | None = None  # what edgeneuro_failures_total counts

    @property
    def active_model(self) -> str | None:
        return DECISION_MODEL if self.decision else None

    def cell(self, way: Way) -> Cell:
        return self.cells[WAYS.index(way)]


OK = Cell(200)


def failing(reason: str, status: int, code: str) -> tuple[Cell, ...]:
    """An upstream that gives no answer: the default agent, or an honest error."""
    error = Cell(status, code, reason, "fallback", outcome=reason)
    return (Cell(200, reason=reason, layer="fallback", outcome=reason), error, error)


def _row(
    name: str, cells: tuple[Cell, ...], *, host: bool = False, slow: bool = False, **fault: Any
) -> Row:
    first, second, third = cells
    return Row(name, (first, second, third), emulator=fault, host=host, slow=slow)


TIMEOUT = failing("timeout", 504, "upstream_timeout")
CAPACITY = failing("capacity", 429, "upstream_capacity")
LIMITED = failing("rate_limited", 429, "upstream_rate_limited")
QUOTA = failing("quota", 429, "upstream_quota")
UNCONFIGURED = failing("not_configured", 502, "upstream_not_configured")
REJECTED = failing("upstream_error", 400, "upstream_rejected")
BROKEN = failing("upstream_error", 502, "upstream_error")
INVALID = failing("invalid_output", 502, "invalid_output")
NO_JSON = (replace(INVALID[0], outcome="json_mode_unmet"), *INVALID[1:])
# What a model says is no fault of a chat: it is the answer.
UNROUTED = Cell(200, reason="invalid_output", layer="fallback")
NONSENSE = (INVALID[0], UNROUTED, UNROUTED)


def _decision(name: str, first: Cell, *, slow: bool = False, **fault: Any) -> Row:
    """A fault of the decision model. A chat gets its answer from the default agent, by another
    model."""
    chat = replace(first, outcome="ok")
    cells = (first, chat, chat)
    return Row(f"decision model: {name}", cells, emulator=fault, decision=True, slow=slow)


def cut(code: str, reason: str, layer: str = "fallback") -> Cell:
    return Cell(200, code, reason, layer, ending="cut", outcome=reason)


_CODES: dict[int, tuple[Cell, ...]] = {
    2009: UNCONFIGURED,
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
    4006: QUOTA,
    5004: REJECTED,
    5005: UNCONFIGURED,
    5006: REJECTED,
    5007: UNCONFIGURED,
    5012: REJECTED,
    5016: UNCONFIGURED,
    5018: UNCONFIGURED,
    5019: UNCONFIGURED,
    5021: REJECTED,
    5023: NO_JSON,
    5024: NO_JSON,
    5028: UNCONFIGURED,
    5035: UNCONFIGURED,
}

_CACHES = ("decision_cache", "chat_cache")


def _unreadable(table: str) -> list[str]:
    """A table that takes rows but compares none: its column's collation is not D1's."""
    return [
        f"ALTER TABLE {table} RENAME TO hidden_{table}",
        f"CREATE TABLE {table} (key TEXT PRIMARY KEY, answer TEXT NOT NULL,"
        " expires_at INTEGER NOT NULL COLLATE not_of_d1,"
        " query_hash TEXT, dropped INTEGER NOT NULL DEFAULT 0) STRICT",
    ]


def _readable(table: str) -> list[str]:
    return [f"DROP TABLE {table}", f"ALTER TABLE hidden_{table} RENAME TO {table}"]


_TABLES = (
    *("agents", "models", "discovered_models", "providers", "config", "revision", "keys", "users"),
    *("key_usage", "decision_cache", "chat_cache", "logs", "usage_hours"),
)

_KEPT = (
    "INSERT INTO decision_cache (key, answer, expires_at) VALUES"
    " ('{{key}}', '{answer}', {expires_at})"
)
_FAR = 9_999_999_999_999  # in the year 2286
_ANSWER = (
    '{"agent_id": "hr", "confidence": 1, "confidence_source": "stated", "layer": "cache",'
    ' "model": "@cf/meta/llama-3.2-1b-instruct", "adapter": null}'
)
_RECALLED = Cell(200, layer="cache")

_DECIDED = Cell(200, layer="decision_model")
_UNREADABLE = INVALID[0]
# What is spoilt is the answer to the choice among the agents, unless a question is named.
_OF_DECISION_MODELS: tuple[Row, ...] = (
    *(
        _decision(f"error {code}", _CODES[code][0], kind="error", code=code)
        for code in (2009, 3036, 3040, 5006, 5007, 5021, 5028)
    ),
    _decision("HTTP 401", UNCONFIGURED[0], kind="status", status=401),
    _decision("HTTP 429", LIMITED[0], kind="status", status=429),
    _decision("HTTP 503", BROKEN[0], kind="status", status=503),
    _decision("connection refused", BROKEN[0], kind="refuse"),
    _decision("no answer", TIMEOUT[0], slow=True, kind="hang"),
    _decision("silence within the answer", TIMEOUT[0], slow=True, kind="stall"),
    _decision("slow drip", TIMEOUT[0], slow=True, kind="drip", delay_ms=30),
    _decision("half an answer", BROKEN[0], kind="cut"),
    _decision("JSON cut in two", _UNREADABLE, kind="malformed_json"),
    _decision("JSON nested 20,000 deep", _UNREADABLE, kind="nested_json"),
    _decision("10 MB", _UNREADABLE, kind="huge", bytes=10_000_000),
    _decision("other JSON", _UNREADABLE, kind="wrong_json"),
    _decision("words", _UNREADABLE, kind="invalid_answer"),
    _decision("empty", _UNREADABLE, kind="empty"),
    _decision("no answer to the choice", _UNREADABLE, kind="missing_question"),
    _decision(
        "no answer to another question", _DECIDED, kind="missing_question", question="clarify"
    ),
    _decision("an answer to a question not asked", _DECIDED, kind="unasked_question"),
    _decision("an answer of another type", _UNREADABLE, kind="wrong_type"),
    _decision("refusal", _UNREADABLE, kind="refusal"),
    _decision("NaN", _UNREADABLE, kind="nan_probability"),
    _decision("a negative probability", _UNREADABLE, kind="negative_probability"),
    _decision("a probability above 1", _UNREADABLE, kind="large_probability"),
    _decision("probabilities that sum to 3", _UNREADABLE, kind="wrong_sum"),
    _decision("probabilities that sum to 0.95", _DECIDED, kind="wrong_sum", sum=0.95),
    _decision("an option that was not offered", _DECIDED, kind="unknown_option"),
    _decision("an agent that is none", _UNREADABLE, kind="unknown_agent"),
    _decision("no count of output tokens", _DECIDED, kind="no_output_tokens"),
)

MATRIX: tuple[Row, ...] = (
    *(_row(f"error {code}", cells, kind="error", code=code) for code, cells in _CODES.items()),
    _row("HTTP 429", LIMITED, kind="status", status=429),
    _row("HTTP 429, Retry-After 60", LIMITED, kind="status", status=429, retry_after=60),
    _row("HTTP 500", BROKEN, kind="status", status=500),
    _row("HTTP 504", TIMEOUT, kind="status", status=504),
    _row("connection refused", BROKEN, kind="refuse"),
    _row("connection refused, at a vendor's host", BROKEN, host=True, kind="refuse"),
    _row("DNS failure", BROKEN, host=True, kind="dns"),
    _row("no answer", TIMEOUT, slow=True, kind="hang"),
    _row(
        "silence within the answer",
        (*TIMEOUT[:2], cut("upstream_timeout", "timeout")),
        slow=True,
        kind="stall",
    ),
    _row(
        "slow drip",
        (*TIMEOUT[:2], Cell(200, reason="timeout", layer="fallback")),
        slow=True,
        kind="drip",
        delay_ms=30,
    ),
    _row("JSON cut in two", INVALID, kind="malformed_json"),
    _row("JSON nested 20,000 deep", INVALID, kind="nested_json"),
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
        (OK, OK, cut("upstream_error", "upstream_error", "llm")),
        kind="stream_error",
    ),
    Row(
        "D1 fails on read",
        (OK, OK, OK),
        before=[each for table in _CACHES for each in _unreadable(table)],
        after=[each for table in _CACHES for each in _readable(table)],
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
        before=[f"ALTER TABLE {table} RENAME TO hidden_{table}" for table in _TABLES],
        after=[f"ALTER TABLE hidden_{table} RENAME TO {table}" for table in _TABLES],
        failure="log_write",
    ),
    Row(
        "cache rows corrupted",
        (OK, OK, OK),
        before=[_KEPT.format(answer='{"agent_id": 7', expires_at=_FAR)],
        failure="cache_read",
    ),
    Row(
        "clock jumped ahead: cache rows of the past",
        (OK, OK, OK),
        before=[_KEPT.format(answer=_ANSWER, expires_at=1)],
    ),
    Row(
        "clock jumped back: cache rows of the far future",
        (Cell(200, layer="cache", outcome=None), _RECALLED, _RECALLED),
        before=[_KEPT.format(answer=_ANSWER, expires_at=_FAR)],
    ),
    *_OF_DECISION_MODELS,
    # The last one: from now on the isolate asks this model without JSON mode.
    _row("error 5025", NO_JSON, kind="error", code=5025),
)


# What differs against workerd is how bodies, streams and connections end, what a binding throws,
# and D1. One row of each class is enough for it, asked in the ways that meet the difference.
_CLASSES: dict[str, tuple[Way, ...]] = {
    "error 3036": ("route",),
    "error 3040": ("chat",),
    "error 5004": ("chat, streamed",),
    "error 5007": ("chat",),
    "error 5024": ("route",),
    "HTTP 429, Retry-After 60": ("chat, streamed",),
    "connection refused, at a vendor's host": ("chat",),
    "DNS failure": ("chat, streamed",),
    "JSON cut in two": ("chat",),
    "wrong JSON": ("route",),
    "10 MB": ("chat", "chat, streamed"),
    "half a stream": ("chat", "chat, streamed"),
    "half a stream, abruptly": ("chat", "chat, streamed"),
    "error event in a stream": ("chat, streamed",),
    "decision model: error 3040": ("route",),
    "decision model: JSON cut in two": ("chat",),
    "decision model: 10 MB": ("route",),
    "decision model: refusal": ("chat, streamed",),
    "decision model: NaN": ("route",),
}


_ROWS = {row.name: row for row in MATRIX}
_OF_A_CLASS = tuple((_ROWS[name], way) for name, ways in _CLASSES.items() for way in ways)
# Rows that take all the time there is need a real clock, those of D1 the real one.
_NEED_WORKERD = tuple(row for row in MATRIX if row.slow or row.before)
OVER_HTTP = (*_OF_A_CLASS, *((row, way) for row in _NEED_WORKERD for way in WAYS))
IN_PROCESS = tuple((row, way) for row in MATRIX if row not in _NEED_WORKERD for way in WAYS)


_BEGINNING = """# Faults

The response to every failure of a model, AI Gateway or D1. Generated by
`python -m tests.worker.fault_matrix`; do not edit this page.

Each row is a fault of the emulator ([local/README.md](../local/README.md)) or of D1, with one model
and no retries. Each cell is tested: in process by `tests/unit/test_fault_matrix.py`, or against
workerd by `tests/worker/test_fault_matrix.py` (all faults of D1 and all that take the whole time,
and of each other class one row, asked in one or two ways). A cell lists

- the response: its status and the error's `code`; for a stream that had started, the code of its
  error event, after which there is no `[DONE]`;
- the log row: status, reason (of the decision too, if there is one), layer, and `cut` if the stream
  did not end properly;
- the outcome of the last model call, which `edgeneuro_attempts_total` counts.

In the rows of the decision model, `@cf/cloudflare/clef-flash` is the active model, and the fault is
one of its calls alone: a chat is routed by it and answered by another model.

The last column is what `edgeneuro_failures_total` counts. After each fault the next request gets
its answer and its log row again.
"""


def document() -> str:
    lines = [
        _BEGINNING,
        "| fault | " + " | ".join(WAYS) + " | failure counted |",
        "| --- |" + " --- |" * (len(WAYS) + 1),
    ]
    for row in MATRIX:
        cells = [cell.text() for cell in row.cells]
        lines.append(f"| {' | '.join([row.name, *cells, row.failure or '-'])} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(document(), end="")
