"""Workers AI and AI Gateway failing in every way that local/ can: the answer stays honest."""

import uuid
from typing import Any

import httpx
import pytest

ACTIVE = "@cf/meta/llama-3.2-1b-instruct"
FALLBACK = "@cf/ibm-granite/granite-4.0-h-micro"


def route(client: httpx.Client, **fields: Any) -> httpx.Response:
    query = f"My VPN does not connect {uuid.uuid4().hex}"
    return client.post("/v1/route", json={"query": query, **fields})


def told_to(desk: httpx.Client, faults: dict[str, Any]) -> None:
    desk.put("/_local/faults", json=faults).raise_for_status()


# fault -> the decision's reason, and the error with "fallback": false
FAULTS: list[tuple[dict[str, Any], str, int, str]] = [
    ({"kind": "error", "code": 3040}, "capacity", 429, "upstream_capacity"),
    ({"kind": "error", "code": 3036}, "quota", 429, "upstream_quota"),
    ({"kind": "error", "code": 3007}, "timeout", 504, "upstream_timeout"),
    ({"kind": "error", "code": 5007}, "not_configured", 502, "upstream_not_configured"),
    ({"kind": "error", "code": 5016}, "not_configured", 502, "upstream_not_configured"),
    ({"kind": "status", "status": 429}, "rate_limited", 429, "upstream_rate_limited"),
    ({"kind": "status", "status": 500}, "upstream_error", 502, "upstream_error"),
    ({"kind": "status", "status": 504}, "timeout", 504, "upstream_timeout"),
    ({"kind": "refuse"}, "upstream_error", 502, "upstream_error"),
    ({"kind": "malformed_json"}, "invalid_output", 502, "invalid_output"),
    ({"kind": "invalid_answer"}, "invalid_output", 502, "invalid_output"),
    ({"kind": "unknown_agent"}, "invalid_output", 502, "invalid_output"),
    ({"kind": "wrong_json"}, "invalid_output", 502, "invalid_output"),
    ({"kind": "empty"}, "invalid_output", 502, "invalid_output"),
    ({"kind": "text", "answer": "it_support or hr"}, "invalid_output", 502, "invalid_output"),
]
by_kind = pytest.mark.parametrize(
    ("fault", "reason", "status", "code"), FAULTS, ids=lambda v: str(v) if v is dict else None
)


@by_kind
def test_everybody_failing_gives_the_default_agent_and_why(
    client: httpx.Client,
    desk: httpx.Client,
    fault: dict[str, Any],
    reason: str,
    status: int,
    code: str,
) -> None:
    told_to(desk, {"*": fault})
    response = route(client)
    decision = response.json()
    assert response.status_code == 200
    assert (decision["agent"]["id"], decision["layer"]) == ("general", "fallback")
    assert decision["reason"] == reason
    assert [attempt["model"] for attempt in decision["attempts"]] == [ACTIVE, FALLBACK]
    assert {attempt["outcome"] for attempt in decision["attempts"]} == {reason}


@by_kind
def test_without_fallback_it_is_an_honest_error(
    client: httpx.Client,
    desk: httpx.Client,
    fault: dict[str, Any],
    reason: str,
    status: int,
    code: str,
) -> None:
    told_to(desk, {"*": fault})
    response = route(client, fallback=False)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert "Traceback" not in response.text


def test_the_active_model_failing_alone_is_answered_by_its_fallback(
    client: httpx.Client, desk: httpx.Client
) -> None:
    told_to(desk, {ACTIVE: {"kind": "error", "code": 3040}})
    decision = route(client).json()
    assert (decision["agent"]["id"], decision["layer"]) == ("it_support", "llm")
    assert (decision["model"], decision["reason"]) == (FALLBACK, None)
    assert [attempt["outcome"] for attempt in decision["attempts"]] == ["capacity", "ok"]
    assert decision["attempts"][0]["code"] == "3040"


def test_a_hanging_model_leaves_its_fallback_time_to_answer(
    client: httpx.Client, desk: httpx.Client
) -> None:
    told_to(desk, {ACTIVE: {"kind": "hang"}})
    decision = route(client).json()
    assert (decision["agent"]["id"], decision["model"]) == ("it_support", FALLBACK)
    assert decision["attempts"][0]["outcome"] == "timeout"


def test_a_slow_model_is_waited_for(client: httpx.Client, desk: httpx.Client) -> None:
    told_to(desk, {ACTIVE: {"kind": "slow", "delay_ms": 300}})
    decision = route(client).json()
    assert (decision["model"], decision["layer"]) == (ACTIVE, "llm")


def test_a_model_that_refuses_json_mode_answers_in_text(
    client: httpx.Client, desk: httpx.Client
) -> None:
    told_to(desk, {ACTIVE: {"kind": "error", "code": 5024, "times": 1}})
    decision = route(client).json()
    assert (decision["model"], decision["agent"]["id"]) == (ACTIVE, "it_support")
    assert [a["outcome"] for a in decision["attempts"]] == ["json_mode_unmet", "ok"]


def test_a_retry_after_reaches_the_caller(client: httpx.Client, desk: httpx.Client) -> None:
    told_to(desk, {"*": {"kind": "error", "code": 3040, "retry_after": 7}})
    assert route(client, fallback=False).headers["retry-after"] == "7"


def test_ai_gateways_own_rate_limit_is_told_apart(client: httpx.Client, desk: httpx.Client) -> None:
    desk.put("/_local/rate_limit", json={"limit": 0, "interval_s": 60}).raise_for_status()
    response = route(client, fallback=False)
    assert (response.status_code, response.json()["error"]["code"]) == (
        429,
        "upstream_rate_limited",
    )
