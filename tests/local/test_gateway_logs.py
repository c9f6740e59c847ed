"""AI Gateway's logs over Cloudflare's API."""

from typing import Any

import pytest

from local.gateway_logs import GatewayLog, GatewayLogs
from tests.local.emulator import GATEWAY, HELLO, LLAMA, Emulator

LOGS = "/client/v4/accounts/acc/ai-gateway/gateways/gw/logs"
SECRET = {"messages": [{"role": "user", "content": "my secret plan"}]}


async def last_log(emulator: Emulator) -> dict[str, Any]:
    listed = (await emulator.client.get(LOGS)).json()
    log: dict[str, Any] = listed["result"][0]
    return log


async def test_a_log_holds_what_was_asked_and_answered(emulator: Emulator) -> None:
    answer = await emulator.ask(metadata='{"agent": "it"}')
    got = await emulator.client.get(f"{LOGS}/{answer.headers['cf-aig-log-id']}")
    body = got.json()
    assert (got.status_code, body["success"], body["errors"]) == (200, True, [])
    log = body["result"]
    assert (log["provider"], log["model"], log["step"]) == ("workers-ai", LLAMA, 0)
    assert (log["status_code"], log["success"], log["cached"]) == (200, True, False)
    assert log["metadata"] == {"agent": "it"}
    usage = answer.json()["result"]["usage"]
    assert log["tokens_in"] == usage["prompt_tokens"]
    assert log["tokens_out"] == usage["completion_tokens"]
    assert "hello" in log["request_head"]
    assert log["response_head"] == answer.text
    assert (log["feedback"], log["score"]) == (None, None)


async def test_the_payload_is_kept_unless_told(emulator: Emulator) -> None:
    answer = await emulator.ask(SECRET, collect_log_payload="false")
    got = await emulator.client.get(f"{LOGS}/{answer.headers['cf-aig-log-id']}")
    assert got.json()["result"]["tokens_in"] > 0
    assert "secret plan" not in got.text


async def test_no_log_at_all(emulator: Emulator) -> None:
    answer = await emulator.ask(collect_log="false")
    got = await emulator.client.get(f"{LOGS}/{answer.headers['cf-aig-log-id']}")
    assert got.status_code == 404


async def test_a_streams_log_is_written_as_it_passes(emulator: Emulator) -> None:
    await emulator.ask({**HELLO, "stream": True})
    log = await last_log(emulator)
    assert log["tokens_out"] > 0
    assert log["response_content_type"] == "text/event-stream"
    assert "[DONE]" in log["response_head"]


async def test_failures_hits_and_other_vendors_are_logged_too(emulator: Emulator) -> None:
    await emulator.ask(model="@cf/no/such")
    assert (await last_log(emulator))["success"] is False
    await emulator.ask(cache_ttl=60)
    await emulator.ask(cache_ttl=60)
    assert (await last_log(emulator))["cached"] is True
    body = {"model": "openai/gpt-5", **HELLO}
    headers = {"authorization": "Bearer sk-secret"}
    await emulator.client.post(f"{GATEWAY}/compat/chat/completions", json=body, headers=headers)
    log = await last_log(emulator)
    assert (log["provider"], log["model"]) == ("openai", "gpt-5")
    assert "sk-secret" not in str(log)


async def test_feedback_is_patched(emulator: Emulator) -> None:
    log_id = (await emulator.ask()).headers["cf-aig-log-id"]
    patched = await emulator.client.patch(f"{LOGS}/{log_id}", json={"feedback": -1, "score": 40})
    assert (patched.status_code, patched.json()["result"]) == (200, {})
    log = await last_log(emulator)
    assert (log["feedback"], log["score"]) == (-1, 40)
    await emulator.client.patch(f"{LOGS}/{log_id}", json={"feedback": None})
    assert (await last_log(emulator))["feedback"] is None


@pytest.mark.parametrize(
    "fields", [[], {"feedback": 2}, {"feedback": True}, {"score": 101}, {"metadata": 3}, {"x": 1}]
)
async def test_a_senseless_patch_changes_nothing(emulator: Emulator, fields: Any) -> None:
    log_id = (await emulator.ask()).headers["cf-aig-log-id"]
    answer = await emulator.client.patch(f"{LOGS}/{log_id}", json=fields)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["message"].endswith(".")
    assert (await last_log(emulator))["feedback"] is None


async def test_unknown_logs_and_those_of_other_gateways(emulator: Emulator) -> None:
    log_id = (await emulator.ask()).headers["cf-aig-log-id"]
    for url in (f"{LOGS}/nope", f"{LOGS.replace('/gw/', '/other/')}/{log_id}"):
        for answer in (
            await emulator.client.get(url),
            await emulator.client.patch(url, json={"feedback": 1}),
        ):
            assert answer.status_code == 404
            assert answer.json()["success"] is False


async def test_the_list_has_the_newest_first_in_pages(emulator: Emulator) -> None:
    ids = [(await emulator.ask()).headers["cf-aig-log-id"] for _ in range(3)]
    body = (await emulator.client.get(LOGS, params={"per_page": 2, "page": 2})).json()
    assert [log["id"] for log in body["result"]] == ids[:1]
    assert body["result_info"] == {"count": 1, "page": 2, "per_page": 2, "total_count": 3}


def test_the_logs_are_bounded() -> None:
    logs = GatewayLogs(capacity=2)
    for log_id in ("a", "b", "c"):
        logs.keep(
            GatewayLog(
                id=log_id,
                gateway="gw",
                created=0.0,
                path="",
                provider="workers-ai",
                model="",
                step=0,
                cached=False,
                metadata={},
                keeps_payload=True,
                request=b"",
            )
        )
    assert [log.id for log in logs.of("gw")] == ["c", "b"]
