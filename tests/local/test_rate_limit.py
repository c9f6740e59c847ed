"""AI Gateway's rate limit."""

from typing import Any

import pytest

from tests.local.desk import HELLO, LLAMA, Desk, build_desk


async def test_the_rate_limit_is_a_window_aligned_to_the_clock() -> None:
    desk = build_desk()
    async with desk.client:
        rule = {"limit": 2, "interval_s": 60}
        await desk.client.put("/_local/rate_limit", json=rule)
        assert [(await desk.ask()).status_code for _ in range(3)] == [200, 200, 429]
        limited = await desk.ask()
        assert limited.headers["retry-after"] == "15"
        body = limited.json()
        assert body["error"] == [{"code": 2003, "message": "Rate limited"}]
        assert (body["httpCode"], body["internalCode"]) == (429, 2003)
        elsewhere = await desk.client.post(f"/v1/acc/other/workers-ai/{LLAMA}", json=HELLO)
        assert elsewhere.status_code == 200
        assert (await desk.run()).status_code == 200  # not through the gateway
        desk.time.now += 15
        assert (await desk.ask()).status_code == 200


async def test_the_rate_limit_without_retry_after(desk: Desk) -> None:
    rule = {"limit": 1, "interval_s": 60, "retry_after": False}
    await desk.client.put("/_local/rate_limit", json=rule)
    await desk.ask()
    limited = await desk.ask()
    assert limited.status_code == 429
    assert "retry-after" not in limited.headers
    assert (await desk.client.get("/_local/rate_limit")).json() == rule
    assert (await desk.client.put("/_local/rate_limit", content="null")).json() is None
    assert (await desk.ask()).status_code == 200


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
async def test_a_senseless_rate_limit_is_refused(desk: Desk, rule: Any) -> None:
    answer = await desk.client.put("/_local/rate_limit", json=rule)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].endswith(".")
