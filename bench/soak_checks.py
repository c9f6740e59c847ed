"""The checks after a soak: every answer has exactly one row, and all sums are those of the rows."""

import asyncio
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from bench.route_dataset import percentile, tally
from bench.soak_memory import Memory

PENNY = 1e-9
WAITS_SECONDS = 60  # for rows, which are written after the answers
SUMMED = ("requests", "prompt_tokens", "completion_tokens", "cost_usd")
Rows = Sequence[Mapping[str, Any]]


@dataclass
class Answer:
    """`left`: the client disconnected after the first part. `whole`: the answer is complete."""

    kind: str
    request_id: str
    key_id: str
    status: int = 0
    decision_id: str | None = None
    code: str | None = None
    failure: str | None = None
    left: bool = False
    whole: bool = False
    ms: float = 0.0

    @property
    def is_refused(self) -> bool:
        """By the key's limits: nobody was asked, so there is no row."""
        return self.code is not None and self.code.startswith("key_")


class Checks:
    def __init__(self) -> None:
        self.failed: list[str] = []

    def expect(self, what: str, holds: bool, details: str = "") -> None:
        print(f"{'PASS' if holds else 'FAIL'}  {what}{': ' if details else ''}{details}")
        if not holds:
            self.failed.append(what)


async def check_all(
    admin: httpx.AsyncClient,
    run: str,
    answers: Sequence[Answer],
    *,
    keys: Sequence[Mapping[str, Any]],
    before: Mapping[str, Any],
    memory: Memory,
) -> list[str]:
    """The names of the checks that failed."""
    rows = await settled_rows(admin, run, sum(not each.is_refused for each in answers))
    report(answers, (await admin.get("/metrics")).raise_for_status().text)
    checks = Checks()
    check_answers(checks, answers)
    check_rows(checks, answers, rows)
    for key in keys:
        found = (await admin.get(f"/v1/keys/{key['id']}")).raise_for_status().json()
        check_key(checks, found, [row for row in rows if row["key_id"] == key["id"]])
    after = (await admin.get("/v1/analytics")).raise_for_status().json()["totals"]
    check_analytics(checks, before, after, rows)
    flat = memory.report()
    if flat is not None:
        checks.expect("the isolate's memory is level", flat)
    return checks.failed


async def settled_rows(admin: httpx.AsyncClient, run: str, expected: int) -> Rows:
    """The rows of this run, once there are as many as expected or no more come."""
    rows: Rows = []
    for _ in range(WAITS_SECONDS):
        rows = await read_rows(admin, run)
        if len(rows) >= expected:
            break
        await asyncio.sleep(1)
    return rows


async def read_rows(admin: httpx.AsyncClient, run: str) -> Rows:
    """Page by page, newest first, until an older run begins."""
    rows: list[Mapping[str, Any]] = []
    query: dict[str, Any] = {"limit": 100}
    while True:
        page = (await admin.get("/v1/logs", params=query)).raise_for_status().json()
        of_run = [row for row in page["data"] if row["request_id"].startswith(f"{run}-")]
        rows += of_run
        query["after"] = page["last_id"]
        if not page["has_more"] or (rows and not of_run):
            return rows


def report(answers: Sequence[Answer], metrics: str) -> None:
    for kind in ("route", "chat", "stream"):
        times = [each.ms for each in answers if each.kind == kind and not each.left]
        p50, p95 = percentile(times, 50), percentile(times, 95)
        codes = tally(each.code or str(each.status) for each in answers if each.kind == kind)
        print(f"{kind:12} {len(times)}, p50 {p50:.0f} ms, p95 {p95:.0f} ms; {codes}")
    for route in ("/v1/route", "/v1/chat/completions"):
        count, total = (
            sample(metrics, f'edgeneuro_added_seconds_{name}{{route="{route}"}}')
            for name in ("count", "sum")
        )
        if count:
            print(f"added        {route}: {total / count * 1000:.1f} ms on average")


def sample(metrics: str, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", metrics, re.MULTILINE)
    return float(found[1]) if found else 0.0


def check_answers(checks: Checks, answers: Sequence[Answer]) -> None:
    lost = [each.failure for each in answers if each.failure is not None]
    checks.expect("every request was answered", not lost, tally(filter(None, lost)))
    failed = [each for each in answers if each.status >= 500]
    routes = [each.code or "" for each in failed if each.kind == "route"]
    checks.expect("no 5xx on /v1/route", not routes, tally(routes))
    internal = [each.code or "" for each in failed if not blames_a_model(each)]
    checks.expect("a 5xx blames a model", not internal, tally(internal))
    torn = [
        each.request_id
        for each in answers
        if each.kind != "stream" and each.status == 200 and not each.whole
    ]
    checks.expect("whole answers are whole", not torn, str(torn[:3] or ""))


def blames_a_model(answer: Answer) -> bool:
    return answer.code == "invalid_output" or (answer.code or "").startswith("upstream_")


def check_rows(checks: Checks, answers: Sequence[Answer], rows: Rows) -> None:
    found = Counter(row["request_id"] for row in rows)
    wanted = {each.request_id for each in answers if not each.is_refused}
    missing = sorted(wanted - found.keys())
    checks.expect("every answer is logged", not missing, f"{len(rows)} rows {missing[:3] or ''}")
    twice = [name for name, count in found.items() if count > 1]
    checks.expect("none is logged twice", not twice, str(twice[:3] or ""))
    checks.expect("nothing else is logged", found.keys() <= wanted)
    by_request = {row["request_id"]: row for row in rows}
    wrong = [
        each.request_id
        for each in answers
        if each.request_id in by_request and not is_row_of(by_request[each.request_id], each)
    ]
    checks.expect("rows say what the answers said", not wrong, str(wrong[:3] or ""))


def is_row_of(row: Mapping[str, Any], answer: Answer) -> bool:
    if answer.decision_id is not None and row["id"] != answer.decision_id:
        return False
    if answer.kind == "stream" and answer.status == 200 and not answer.left:
        return bool((row["ending"] == "complete") == answer.whole)
    return bool(row["status"] == answer.status)


def check_key(checks: Checks, key: Mapping[str, Any], rows: Rows) -> None:
    """A row has no cost if its usage is unknown, for example that of an abandoned stream: its
    reservation stays used."""
    usage = key["usage"]
    if usage is None:
        return
    tokens = sum(row["usage"]["total_tokens"] for row in rows)
    cost = sum(row["cost_usd"] or 0.0 for row in rows)
    unknown = sum(row["cost_usd"] is None for row in rows)
    figures = f"{len(rows)} rows, {tokens} tokens, {cost:.6f} USD, {unknown} unknown; used {usage}"
    most_tokens, most_cost = key["monthly_token_budget"], key["monthly_budget_usd"]
    name = f"key with {limit_of(key)}"
    used = usage["tokens"], usage["cost_usd"]
    within = (most_tokens is None or max(tokens, used[0]) <= most_tokens) and (
        most_cost is None or max(cost, used[1]) <= most_cost + PENNY
    )
    checks.expect(f"{name}: within its budgets", within, figures)
    equal = used[0] == tokens and abs(used[1] - cost) < PENNY
    more = unknown > 0 and used[0] >= tokens and used[1] >= cost - PENNY
    checks.expect(f"{name}: usage is that of its rows", equal or more)


def limit_of(key: Mapping[str, Any]) -> str:
    names = ("requests_per_minute", "monthly_token_budget", "monthly_budget_usd")
    return ", ".join(f"{name} {key[name]}" for name in names if key[name] is not None)


def check_analytics(
    checks: Checks, before: Mapping[str, Any], after: Mapping[str, Any], rows: Rows
) -> None:
    added = {name: after[name] - before[name] for name in SUMMED}
    summed = {
        "requests": len(rows),
        "prompt_tokens": sum(row["usage"]["prompt_tokens"] for row in rows),
        "completion_tokens": sum(row["usage"]["completion_tokens"] for row in rows),
        "cost_usd": sum(row["cost_usd"] or 0.0 for row in rows),
    }
    equal = all(abs(added[name] - summed[name]) < 1e-6 for name in SUMMED)
    checks.expect("analytics are the sums of the rows", equal, f"{added} and {summed}")
