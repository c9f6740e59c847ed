"""AI Gateway's endpoints: steps, cache, retries, timeout, rate limit, headers."""

import uuid
from typing import Any

import pytest

from tests.local.desk import GATEWAY, GLM, HELLO, LLAMA, Desk, Json, build_desk


def other(text: str) -> Json:
    return {"messages": [{"role": "user", "content": text}]}


def step(model: str = LLAMA, **more: Any) -> Json:
    return {"provider": "workers-ai", "endpoint": model, "query": HELLO, **more}


async def test_provider_endpoint_answers_like_rest_with_the_gateways_headers(desk: Desk) -> None:
    answer = await desk.ask(event_id="event-1")
    assert answer.json()["result"] == (await desk.run()).json()["result"]
    assert answer.headers["cf-aig-cache-status"] == "MISS"
    assert answer.headers["cf-aig-step"] == "0"
    assert answer.headers["cf-aig-event-id"] == "event-1"
    log_id = answer.headers["cf-aig-log-id"]
    assert uuid.UUID(log_id).version == 7
    assert log_id == log_id.lower()
    assert log_id != (await desk.ask()).headers["cf-aig-log-id"]


async def test_provider_errors_pass_with_their_status(desk: Desk) -> None:
    answer = await desk.ask(model="@cf/no/such")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"] == 5007
    assert "cf-aig-log-id" in answer.headers


async def test_provider_chat_completions(desk: Desk) -> None:
    body = {"model": LLAMA, **HELLO, "max_completion_tokens": 2}
    answer = await desk.client.post(f"{GATEWAY}/workers-ai/v1/chat/completions", json=body)
    completion = answer.json()
    assert completion["object"] == "chat.completion"
    assert completion["choices"][0]["finish_reason"] == "length"
    assert completion["metadata"]["engine"] == "stand-in"


async def test_unified_chat_completions_names_the_provider_in_the_model(desk: Desk) -> None:
    url = f"{GATEWAY}/compat/chat/completions"
    answer = await desk.client.post(url, json={"model": f"workers-ai/{GLM}", **HELLO})
    assert answer.json()["model"] == GLM
    for model in ("mistral/large", "openai/", LLAMA, None):
        refused = await desk.client.post(url, json={"model": model, **HELLO})
        assert refused.status_code == 400
        assert refused.json()["internalCode"] == 2008


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("openai/chat/completions", "gpt-5"),
        ("groq/chat/completions", "llama-3.3-70b-versatile"),
        ("anthropic/v1/chat/completions", "claude-5"),
        ("compat/chat/completions", "anthropic/claude-5"),
    ],
)
async def test_other_vendors_want_their_key(desk: Desk, path: str, model: str) -> None:
    body = {"model": model, **HELLO}
    refused = await desk.client.post(f"{GATEWAY}/{path}", json=body)
    assert refused.status_code == 401
    assert refused.json()["error"]["code"] == "invalid_api_key"
    headers = {"authorization": "Bearer sk-1"}
    answer = await desk.client.post(f"{GATEWAY}/{path}", json=body, headers=headers)
    assert answer.json()["object"] == "chat.completion"
    assert answer.json()["model"] == model.removeprefix("anthropic/")
    assert "cf-aig-log-id" in answer.headers


async def test_an_unknown_provider_is_refused(desk: Desk) -> None:
    for path in ("nobody/chat/completions", "openai/v1/embeddings"):
        answer = await desk.client.post(f"{GATEWAY}/{path}", json=HELLO)
        assert answer.json()["internalCode"] == 2008


async def test_streams_are_not_cached(desk: Desk) -> None:
    for _ in range(2):
        answer = await desk.ask({**HELLO, "stream": True}, cache_ttl=60)
        assert answer.headers["cf-aig-cache-status"] == "MISS"
        assert answer.content.endswith(b"data: [DONE]\n\n")
    assert len(await desk.calls()) == 2


# Universal endpoint


async def test_universal_takes_the_first_step_that_works(desk: Desk) -> None:
    steps = [step("@cf/no/such"), {**step(), "provider": "openai"}, step(), step(GLM)]
    answer = await desk.client.post(GATEWAY, json=steps)
    assert answer.status_code == 200
    assert answer.headers["cf-aig-step"] == "2"
    assert "response" in answer.json()["result"]


async def test_universal_with_nothing_but_failures_answers_the_last(desk: Desk) -> None:
    answer = await desk.client.post(GATEWAY, json=[step(), step("@cf/no/such")][1:] * 2)
    assert answer.status_code == 400
    assert answer.headers["cf-aig-step"] == "1"


async def test_universal_knows_the_chat_endpoints(desk: Desk) -> None:
    native = step("v1/chat/completions", query={"model": LLAMA, **HELLO})
    unified = {
        "provider": "compat",
        "endpoint": "chat/completions",
        "query": {"model": f"workers-ai/{LLAMA}", **HELLO},
    }
    for given in (native, unified):
        answer = await desk.client.post(GATEWAY, json=[given])
        assert answer.json()["object"] == "chat.completion"


async def test_universal_steps_have_headers_and_config_of_their_own(desk: Desk) -> None:
    await desk.fault(kind="error", code=3040, times=2)
    headers = {"cf-aig-max-attempts": "1", "cf-aig-metadata": '{"step": 1}'}
    given = step(headers=headers, config={"maxAttempts": 3, "retryDelay": 7})
    answer = await desk.client.post(GATEWAY, json=[given])
    assert answer.status_code == 200
    assert desk.time.naps == [0.007, 0.007]
    assert (await desk.calls())[0]["metadata"] == {"step": 1}


@pytest.mark.parametrize(
    "body", [[], {}, [1], [{"provider": "workers-ai"}], [step(headers=1)], [step(config=[1])]]
)
async def test_universal_refuses_what_is_no_list_of_steps(desk: Desk, body: Any) -> None:
    answer = await desk.client.post(GATEWAY, json=body)
    assert answer.status_code == 400
    error = answer.json()
    assert (error["success"], error["result"], error["messages"]) == (False, [], [])
    assert error["name"] == "AiGatewayError"
    assert error["error"][0]["code"] == error["internalCode"]
    assert error["httpCode"] == 400


# Cache


async def test_nothing_is_cached_unless_asked(desk: Desk) -> None:
    await desk.ask()
    assert (await desk.ask()).headers["cf-aig-cache-status"] == "MISS"
    assert len(await desk.calls()) == 2


async def test_identical_requests_hit_until_the_ttl_ends(desk: Desk) -> None:
    first = await desk.ask(cache_ttl=90)
    again = await desk.ask(cache_ttl=90)
    assert again.headers["cf-aig-cache-status"] == "HIT"
    assert again.content == first.content
    assert again.headers["cf-aig-log-id"] != first.headers["cf-aig-log-id"]
    assert len(await desk.calls()) == 1
    assert (await desk.ask(other("else"), cache_ttl=90)).headers["cf-aig-cache-status"] == "MISS"
    desk.time.now += 90
    assert (await desk.ask(cache_ttl=90)).headers["cf-aig-cache-status"] == "MISS"


async def test_a_ttl_is_at_least_a_minute(desk: Desk) -> None:
    await desk.ask(cache_ttl=1)
    desk.time.now += 59
    assert (await desk.ask(cache_ttl=1)).headers["cf-aig-cache-status"] == "HIT"


async def test_skip_cache_neither_reads_nor_writes(desk: Desk) -> None:
    await desk.ask(cache_ttl=60, skip_cache="true")
    assert (await desk.ask(cache_ttl=60)).headers["cf-aig-cache-status"] == "MISS"
    skipped = await desk.ask(cache_ttl=60, skip_cache="true")
    assert skipped.headers["cf-aig-cache-status"] == "MISS"


async def test_a_custom_key_decides_alone_and_lasts_five_minutes(desk: Desk) -> None:
    await desk.ask(cache_key="k")
    desk.time.now += 299
    hit = await desk.ask(other("something else"), cache_key="k")
    assert hit.headers["cf-aig-cache-status"] == "HIT"
    desk.time.now += 1
    assert (await desk.ask(cache_key="k")).headers["cf-aig-cache-status"] == "MISS"


async def test_gateways_do_not_share_a_cache(desk: Desk) -> None:
    url = f"/v1/acc/other/workers-ai/{LLAMA}"
    await desk.ask(cache_key="k")
    answer = await desk.client.post(url, json=HELLO, headers={"cf-aig-cache-key": "k"})
    assert answer.headers["cf-aig-cache-status"] == "MISS"


async def test_errors_are_not_cached(desk: Desk) -> None:
    await desk.fault(kind="error", code=3040, times=1)
    assert (await desk.ask(cache_ttl=60)).status_code == 429
    assert (await desk.ask(cache_ttl=60)).status_code == 200


async def test_the_least_recently_used_entry_goes_first(desk: Desk) -> None:
    for key in ("a", "b", "c", "a", "d"):  # room for three
        await desk.ask(cache_key=key)
    assert (await desk.ask(cache_key="a")).headers["cf-aig-cache-status"] == "HIT"
    assert (await desk.ask(cache_key="b")).headers["cf-aig-cache-status"] == "MISS"


async def test_the_cache_can_be_cleared(desk: Desk) -> None:
    await desk.ask(cache_ttl=60)
    assert (await desk.client.delete("/_local/cache")).status_code == 204
    assert (await desk.ask(cache_ttl=60)).headers["cf-aig-cache-status"] == "MISS"


# Retries and timeout


async def test_retries_until_an_attempt_works(desk: Desk) -> None:
    await desk.fault(kind="error", code=3040, times=2)
    answer = await desk.ask(max_attempts=3, retry_delay=100, backoff="exponential")
    assert answer.status_code == 200
    assert desk.time.naps == [0.1, 0.2]
    assert [call["status"] for call in await desk.calls()] == [429, 429, 200]


async def test_the_last_failure_is_the_answer(desk: Desk) -> None:
    await desk.fault(kind="status", status=502)
    answer = await desk.ask(max_attempts=2)
    assert answer.status_code == 502
    assert len(await desk.calls()) == 2


async def test_one_attempt_unless_asked(desk: Desk) -> None:
    await desk.fault(kind="error", code=3040, times=1)
    assert (await desk.ask()).status_code == 429


@pytest.mark.parametrize(
    ("backoff", "naps"), [("constant", [5.0] * 4), ("linear", [5.0, 10.0, 15.0, 20.0])]
)
async def test_attempts_and_delay_are_bounded(desk: Desk, backoff: str, naps: list[float]) -> None:
    await desk.fault(kind="error", code=3040)
    await desk.ask(max_attempts=99, retry_delay=99_999, backoff=backoff)
    assert desk.time.naps == naps


async def test_a_dropped_connection_is_retried(desk: Desk) -> None:
    await desk.fault(kind="refuse", times=1)
    assert (await desk.ask(max_attempts=2)).status_code == 200


async def test_request_timeout(desk: Desk) -> None:
    desk.time.endless = True
    await desk.fault(kind="hang")
    answer = await desk.ask(request_timeout=1)
    assert answer.status_code == 408
    assert answer.json()["name"] == "AiGatewayError"
    assert (await desk.calls())[0]["status"] is None


async def test_universal_falls_back_after_a_timeout(desk: Desk) -> None:
    desk.time.endless = True
    await desk.fault(LLAMA, kind="hang")
    given = [step(config={"requestTimeout": 1}), step(GLM)]
    answer = await desk.client.post(GATEWAY, json=given)
    assert answer.status_code == 200
    assert answer.headers["cf-aig-step"] == "1"


async def test_unreadable_headers_are_left_out(desk: Desk) -> None:
    answer = await desk.ask(cache_ttl="soon", max_attempts="x", retry_delay=-1, metadata="{")
    assert answer.status_code == 200


# Rate limit


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
