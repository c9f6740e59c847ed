"""AI Gateway's rate limit."""

from typing import Any

import pytest

from tests.local.emulator import HELLO, LLAMA, Emulator, build_emulator


async def test_the_rate_limit_is_a_window_aligned_to_the_clock() -> None:
    emulator = build_emulator()
    async with emulator.client:
        rule = {"limit": 2, "interval_s": 60}
        await emulator.client.put("/_local/rate_limit", json=rule)
        assert [(await emulator.ask()).status_code for _ in range(3)] == [200, 200, 429]
        limited = await emulator.ask()
        assert limited.headers["retry-after"] == "15"
        body = limited.json()
        assert body["error"] == [{"code": 2003, "message": "Rate limited"}]
        assert (body["httpCode"], body["internalCode"]) == (429, 2003)
        elsewhere = await emulator.client.post(f"/v1/acc/other/workers-ai/{LLAMA}", json=HELLO)
        assert elsewhere.status_code == 200
        assert (await emulator.run()).status_code == 200  # not through the gateway
        emulator.time.now += 15
        assert (await emulator.ask()).status_code == 200


async def test_the_rate_limit_without_retry_after(emulator: Emulator) -> None:
    rule = {"limit": 1, "interval_s": 60, "retry_after": False}
    await emulator.client.put("/_local/rate_limit", json=rule)
    await emulator.ask()
    limited = await emulator.ask()
    assert limited.status_code == 429
    assert "retry-after" not in limited.headers
    assert (await emulator.client.get("/_local/rate_limit")).json() == rule
    assert (await emulator.client.put("/_local/rate_limit", content="null")).json() is None
    assert (await emulator.ask()).status_code == 200


@pytest.mark.parametrize(
    "rule",
    [
        3,
        {"limit": 1},
        {"limit": -1, "interval_s": 1},
        {"limit": 1, "interval_s": 0},
        {"limit": True, "interval_s": 1},
        {"limit": 1, "interval_s": 1, "technique": "sliding"},
        {"limit": 1, "interval_s": 1, "retry_after": 3},
    ],
)
async def test_a_senseless_rate_limit_is_refused(emulator: Emulator, rule: Any) -> None:
    answer = await emulator.client.put("/_local/rate_limit", json=rule)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].endswith(".")
