"""Models that fail while they have fallbacks: which is called, how often, and which answers.
What comes of each fault without a fallback is in test_fault_matrix.py."""

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.worker.test_chat import set_faults

ACTIVE = "@cf/meta/llama-3.2-1b-instruct"
FALLBACK = "@cf/ibm-granite/granite-4.0-h-micro"


def route(client: httpx.Client, **fields: Any) -> httpx.Response:
    query = f"My VPN does not connect {uuid.uuid4().hex}"
    return client.post("/v1/route", json={"query": query, **fields})


@pytest.fixture(autouse=True)
def closed_breakers(client: httpx.Client) -> Iterator[None]:
    """Any change of the settings closes them. On a busy machine calls take longer."""
    settings = {"max_retries": 1, "time_budget_ms": 12_000}
    client.patch("/v1/config", json=settings).raise_for_status()
    yield
    client.patch("/v1/config", json=dict.fromkeys(settings)).raise_for_status()


@pytest.mark.parametrize(
    ("fault", "reason", "asked"),
    [
        # An error that may pass: each model is asked twice.
        ({"kind": "error", "code": 3040}, "capacity", [ACTIVE, ACTIVE, FALLBACK, FALLBACK]),
        ({"kind": "refuse"}, "upstream_error", [ACTIVE, ACTIVE, FALLBACK, FALLBACK]),
        ({"kind": "error", "code": 5007}, "not_configured", [ACTIVE, FALLBACK]),
        ({"kind": "unknown_agent"}, "invalid_output", [ACTIVE, FALLBACK]),
    ],
)
def test_everybody_failing_gives_the_default_agent_and_why(
    client: httpx.Client,
    emulator: httpx.Client,
    fault: dict[str, Any],
    reason: str,
    asked: list[str],
) -> None:
    set_faults(emulator, {"*": fault})
    decision = route(client).json()
    assert (decision["agent"]["id"], decision["layer"]) == ("general", "fallback")
    assert decision["reason"] == reason
    assert [attempt["model"] for attempt in decision["attempts"]] == asked
    assert {attempt["outcome"] for attempt in decision["attempts"]} == {reason}
    moves = [attempt["fell_back_to"] for attempt in decision["attempts"]]
    assert [move for move in moves if move] == [FALLBACK]


def test_without_fallback_it_is_the_first_models_error(
    client: httpx.Client, emulator: httpx.Client
) -> None:
    set_faults(emulator, {ACTIVE: {"kind": "error", "code": 3036}, "*": {"kind": "refuse"}})
    response = route(client, fallback=False)
    assert (response.status_code, response.json()["error"]["code"]) == (429, "upstream_quota")
    assert response.headers["x-should-retry"] == "false"


def test_a_model_that_keeps_failing_is_passed_over(
    client: httpx.Client, emulator: httpx.Client
) -> None:
    set_faults(emulator, {ACTIVE: {"kind": "error", "code": 5007}})
    for _ in range(5):
        assert route(client).json()["attempts"][0]["outcome"] == "not_configured"
    decision = route(client).json()
    assert [attempt["outcome"] for attempt in decision["attempts"]] == ["circuit_open", "ok"]
    assert (decision["model"], decision["agent"]["id"]) == (FALLBACK, "it_support")


def test_the_active_model_failing_alone_is_answered_by_its_fallback(
    client: httpx.Client, emulator: httpx.Client
) -> None:
    set_faults(emulator, {ACTIVE: {"kind": "error", "code": 3040}})
    decision = route(client).json()
    assert (decision["agent"]["id"], decision["layer"]) == ("it_support", "llm")
    assert (decision["model"], decision["reason"]) == (FALLBACK, None)
    outcomes = [attempt["outcome"] for attempt in decision["attempts"]]
    assert outcomes == ["capacity", "capacity", "ok"]
    assert decision["attempts"][0]["code"] == "3040"


def test_a_passing_fault_is_not_seen(client: httpx.Client, emulator: httpx.Client) -> None:
    set_faults(emulator, {ACTIVE: {"kind": "error", "code": 3040, "times": 1}})
    decision = route(client).json()
    assert [attempt["outcome"] for attempt in decision["attempts"]] == ["capacity", "ok"]
    assert (decision["model"], decision["reason"]) == (ACTIVE, None)


def test_a_hanging_model_leaves_its_fallback_time_to_answer(
    client: httpx.Client, emulator: httpx.Client
) -> None:
    set_faults(emulator, {ACTIVE: {"kind": "hang"}})
    decision = route(client).json()
    assert (decision["agent"]["id"], decision["model"]) == ("it_support", FALLBACK)
    assert decision["attempts"][0]["outcome"] == "timeout"


def test_a_slow_model_is_waited_for(client: httpx.Client, emulator: httpx.Client) -> None:
    set_faults(emulator, {ACTIVE: {"kind": "slow", "delay_ms": 300}})
    decision = route(client).json()
    assert (decision["model"], decision["layer"]) == (ACTIVE, "llm")


def test_a_model_that_refuses_json_mode_answers_in_text(
    client: httpx.Client, emulator: httpx.Client
) -> None:
    set_faults(emulator, {ACTIVE: {"kind": "error", "code": 5024, "times": 1}})
    decision = route(client).json()
    assert (decision["model"], decision["agent"]["id"]) == (ACTIVE, "it_support")
    assert [a["outcome"] for a in decision["attempts"]] == ["json_mode_unmet", "ok"]


def test_a_retry_after_reaches_the_caller(client: httpx.Client, emulator: httpx.Client) -> None:
    """One that is longer than the time for a decision: nobody waits for it here."""
    set_faults(emulator, {"*": {"kind": "error", "code": 3040, "retry_after": 30}})
    assert route(client, fallback=False).headers["retry-after"] == "30"
