"""The limits of keys over HTTP, with many requests at the same time."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.waiting import until
from tests.worker.test_keys import bearer, create_key

AT_ONCE = 20
A_FEW = 6  # at once, where a budget ends round by round: each lets through one or two


def ask_at_once(
    client: httpx.Client, key: dict[str, Any], times: int = AT_ONCE
) -> list[httpx.Response]:
    def ask(number: int) -> httpx.Response:
        body = {"query": f"My laptop is slow {number} {uuid.uuid4().hex}"}
        return client.post("/v1/route", json=body, headers=bearer(key))

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(ask, range(times)))


def split(answers: list[httpx.Response], code: str) -> tuple[list[Any], list[httpx.Response]]:
    """The decisions, and the refusals, which all have this code."""
    refused = [answer for answer in answers if answer.status_code != 200]
    assert [each.json()["error"]["code"] for each in refused] == [code] * len(refused)
    return [answer.json() for answer in answers if answer.status_code == 200], refused


def usage(client: httpx.Client, key: dict[str, Any]) -> Any:
    return client.get(f"/v1/keys/{key['id']}").json()["usage"]


def settled_logs(client: httpx.Client, key: dict[str, Any], decisions: list[Any]) -> list[Any]:
    """The key's log rows, once all are there: each is written after its answer, with its
    settlement."""
    asked = {decision["id"] for decision in decisions}

    def look() -> list[Any]:
        rows: list[Any] = []
        query = {"key": key["id"], "limit": 100}
        while True:
            page = client.get("/v1/logs", params=query).json()
            rows += page["data"]
            if not page["has_more"]:
                return rows
            query["after"] = page["last_id"]

    return until(look, lambda rows: asked <= {row["id"] for row in rows})


def test_requests_a_minute_hold_for_requests_at_once(
    client: httpx.Client, anonymous: httpx.Client
) -> None:
    for _ in range(2):
        key = create_key(client, requests_per_minute=10)
        answers = ask_at_once(anonymous, key)
        decisions, refused = split(answers, "key_rate_limited")
        if len(decisions) == 10 or usage(client, key)["minute_requests"] == len(decisions):
            break  # else the minute turned meanwhile: once more
    assert len(decisions) == 10
    assert {each.headers["x-ratelimit-limit-requests"] for each in answers} == {"10"}
    left = [int(each.headers["x-ratelimit-remaining-requests"]) for each in answers]
    assert sorted(left) == [0] * (AT_ONCE - 9) + list(range(1, 10))
    for each in refused:
        assert each.status_code == 429
        assert each.json()["error"]["type"] == "rate_limit_error"
        assert 1 <= int(each.headers["retry-after"]) <= 60
        assert each.headers["x-ratelimit-reset-requests"].endswith("s")
    # Answers are in the sums with their log rows, refusals at once.
    settled_logs(client, key, decisions)
    activity = client.get(f"/v1/keys/{key['id']}").json()["recent"]
    assert (activity["requests"], activity["refused"]) == (AT_ONCE, AT_ONCE - 10)
    assert activity["refusals"] == {"key_rate_limited": AT_ONCE - 10}
    callers = client.get("/v1/analytics?interval=5m").json()["refusals"]["keys"]
    assert {each["key"]: each["reasons"] for each in callers}[key["id"]] == activity["refusals"]


@pytest.fixture
def patient(client: httpx.Client) -> Iterator[None]:
    """No call times out, however busy the machine: its usage would not be known, and count as what
    was reserved for it."""
    client.patch("/v1/config", json={"time_budget_ms": 60_000}).raise_for_status()
    yield
    client.patch("/v1/config", json={"time_budget_ms": None}).raise_for_status()


@pytest.mark.usefixtures("patient")
def test_budgets_hold_for_requests_at_once(client: httpx.Client, anonymous: httpx.Client) -> None:
    budget_usd, budget_tokens = 0.0003, 10**12
    key = create_key(client, monthly_budget_usd=budget_usd, monthly_token_budget=budget_tokens)
    decisions: list[Any] = []
    for _ in range(30):
        answered, refused = split(ask_at_once(anonymous, key, A_FEW), "key_budget_exceeded")
        decisions += answered
        if not answered:
            break
        settled_logs(client, key, decisions)  # what was reserved and not used is free again
    assert not answered, "the budget has no end"
    assert len(decisions) > 4
    assert {each.headers["x-should-retry"] for each in refused} == {"false"}
    assert {each.headers["x-ratelimit-limit-cost-usd"] for each in refused} == {"0.0003"}

    rows = settled_logs(client, key, decisions)
    assert len(rows) == len(decisions)
    spent = sum(row["cost_usd"] for row in rows)
    assert 0 < spent <= budget_usd
    used = usage(client, key)
    assert abs(used["cost_usd"] - spent) < 1e-9
    assert used["tokens"] == sum(row["usage"]["total_tokens"] for row in rows)


def test_feedback_counts_and_null_ends_a_limit(
    client: httpx.Client, anonymous: httpx.Client
) -> None:
    key = create_key(client, monthly_token_budget=1)
    body = {"decision_id": "dec_none", "value": "up"}
    answer = anonymous.post("/v1/feedback", json=body, headers=bearer(key))
    assert answer.status_code == 404
    assert answer.headers["x-ratelimit-remaining-tokens"] == "1"
    [refusal] = split([ask_at_once(anonymous, key)[0]], "key_token_budget_exceeded")[1]
    assert refusal.json()["error"]["type"] == "budget_exceeded"
    assert refusal.json()["error"]["param"] == "monthly_token_budget"
    changed = client.patch(f"/v1/keys/{key['id']}", json={"monthly_token_budget": None})
    assert changed.json()["usage"] is None
    assert len(split(ask_at_once(anonymous, key), "none")[0]) == AT_ONCE


def chat_at_once(
    client: httpx.Client, key: dict[str, Any], *, stream: bool
) -> list[httpx.Response]:
    def ask(number: int) -> httpx.Response:
        messages = [{"role": "user", "content": f"Leave {number} {uuid.uuid4().hex}"}]
        body = {"model": "agent:hr", "messages": messages, "stream": stream, "max_tokens": 64}
        return client.post("/v1/chat/completions", json=body, headers=bearer(key))

    with ThreadPoolExecutor(A_FEW) as pool:
        return list(pool.map(ask, range(A_FEW)))


@pytest.mark.parametrize("stream", [False, True])
def test_a_token_budget_holds_for_chats(
    client: httpx.Client, anonymous: httpx.Client, stream: bool
) -> None:
    budget = 900
    key = create_key(client, monthly_token_budget=budget)
    asked: list[dict[str, str]] = []
    answered = True
    while answered:
        answers = chat_at_once(anonymous, key, stream=stream)
        assert {each.headers["x-ratelimit-limit-tokens"] for each in answers} == {str(budget)}
        refused = [each for each in answers if each.status_code != 200]
        codes = {each.json()["error"]["code"] for each in refused}
        assert codes == {"key_token_budget_exceeded"}
        ids = {each.headers.get("x-edgeneuro-decision-id") for each in answers} - {None}
        answered = bool(ids)
        asked += [{"id": each} for each in ids]
        rows = settled_logs(client, key, asked)
        assert len(asked) <= budget, "the budget has no end"
    assert len(rows) == len(asked) > 4
    spent = sum(row["usage"]["total_tokens"] for row in rows)
    assert usage(client, key)["tokens"] == spent <= budget
