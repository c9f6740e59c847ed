"""AI Gateway's endpoints: providers, steps, cache, retries, timeout, headers."""

import uuid
from typing import Any

import pytest

from tests.local.emulator import GATEWAY, GLM, HELLO, LLAMA, Emulator, Json


def other(text: str) -> Json:
    return {"messages": [{"role": "user", "content": text}]}


def step(model: str = LLAMA, **more: Any) -> Json:
    return {"provider": "workers-ai", "endpoint": model, "query": HELLO, **more}


async def test_provider_endpoint_answers_like_rest_with_the_gateways_headers(
    emulator: Emulator,
) -> None:
    answer = await emulator.ask(event_id="event-1")
    assert answer.json()["result"] == (await emulator.run()).json()["result"]
    assert answer.headers["cf-aig-cache-status"] == "MISS"
    assert answer.headers["cf-aig-step"] == "0"
    assert answer.headers["cf-aig-event-id"] == "event-1"
    log_id = answer.headers["cf-aig-log-id"]
    assert uuid.UUID(log_id).version == 7
    assert log_id == log_id.lower()
    assert log_id != (await emulator.ask()).headers["cf-aig-log-id"]


async def test_provider_errors_pass_with_their_status(emulator: Emulator) -> None:
    answer = await emulator.ask(model="@cf/no/such")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"] == 5007
    assert "cf-aig-log-id" in answer.headers


async def test_provider_chat_completions(emulator: Emulator) -> None:
    body = {"model": LLAMA, **HELLO, "max_completion_tokens": 2}
    answer = await emulator.client.post(f"{GATEWAY}/workers-ai/v1/chat/completions", json=body)
    completion = answer.json()
    assert completion["object"] == "chat.completion"
    assert completion["choices"][0]["finish_reason"] == "length"
    assert completion["metadata"]["engine"] == "emulated"


async def test_unified_chat_completions_names_the_provider_in_the_model(emulator: Emulator) -> None:
    url = f"{GATEWAY}/compat/chat/completions"
    answer = await emulator.client.post(url, json={"model": f"workers-ai/{GLM}", **HELLO})
    assert answer.json()["model"] == GLM
    for model in ("mistral/large", "openai/", LLAMA, None):
        refused = await emulator.client.post(url, json={"model": model, **HELLO})
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
async def test_other_vendors_want_their_key(emulator: Emulator, path: str, model: str) -> None:
    body = {"model": model, **HELLO}
    refused = await emulator.client.post(f"{GATEWAY}/{path}", json=body)
    assert refused.status_code == 401
    assert refused.json()["error"]["code"] == "invalid_api_key"
    headers = {"authorization": "Bearer sk-1"}
    answer = await emulator.client.post(f"{GATEWAY}/{path}", json=body, headers=headers)
    assert answer.json()["object"] == "chat.completion"
    assert answer.json()["model"] == model.removeprefix("anthropic/")
    assert "cf-aig-log-id" in answer.headers


async def test_an_unknown_provider_is_refused(emulator: Emulator) -> None:
    for path in ("nobody/chat/completions", "openai/v1/embeddings"):
        answer = await emulator.client.post(f"{GATEWAY}/{path}", json=HELLO)
        assert answer.json()["internalCode"] == 2008


async def test_streams_are_not_cached(emulator: Emulator) -> None:
    for _ in range(2):
        answer = await emulator.ask({**HELLO, "stream": True}, cache_ttl=60)
        assert answer.headers["cf-aig-cache-status"] == "MISS"
        assert answer.content.endswith(b"data: [DONE]\n\n")
    assert len(await emulator.calls()) == 2


# Universal endpoint


async def test_universal_takes_the_first_step_that_works(emulator: Emulator) -> None:
    steps = [step("@cf/no/such"), {**step(), "provider": "openai"}, step(), step(GLM)]
    answer = await emulator.client.post(GATEWAY, json=steps)
    assert answer.status_code == 200
    assert answer.headers["cf-aig-step"] == "2"
    assert "response" in answer.json()["result"]


async def test_universal_with_nothing_but_failures_answers_the_last(emulator: Emulator) -> None:
    answer = await emulator.client.post(GATEWAY, json=[step(), step("@cf/no/such")][1:] * 2)
    assert answer.status_code == 400
    assert answer.headers["cf-aig-step"] == "1"


async def test_universal_knows_the_chat_endpoints(emulator: Emulator) -> None:
    native = step("v1/chat/completions", query={"model": LLAMA, **HELLO})
    unified = {
        "provider": "compat",
        "endpoint": "chat/completions",
        "query": {"model": f"workers-ai/{LLAMA}", **HELLO},
    }
    for given in (native, unified):
        answer = await emulator.client.post(GATEWAY, json=[given])
        assert answer.json()["object"] == "chat.completion"


async def test_universal_steps_have_headers_and_config_of_their_own(emulator: Emulator) -> None:
    await emulator.fault(kind="error", code=3040, times=2)
    headers = {"cf-aig-max-attempts": "1", "cf-aig-metadata": '{"step": 1}'}
    given = step(headers=headers, config={"maxAttempts": 3, "retryDelay": 7})
    answer = await emulator.client.post(GATEWAY, json=[given])
    assert answer.status_code == 200
    assert emulator.time.naps == [0.007, 0.007]
    assert (await emulator.calls())[0]["metadata"] == {"step": 1}


@pytest.mark.parametrize(
    "body", [[], {}, [1], [{"provider": "workers-ai"}], [step(headers=1)], [step(config=[1])]]
)
async def test_universal_refuses_what_is_no_list_of_steps(emulator: Emulator, body: Any) -> None:
    answer = await emulator.client.post(GATEWAY, json=body)
    assert answer.status_code == 400
    error = answer.json()
    assert (error["success"], error["result"], error["messages"]) == (False, [], [])
    assert error["name"] == "AiGatewayError"
    assert error["error"][0]["code"] == error["internalCode"]
    assert error["httpCode"] == 400


# Cache


async def test_nothing_is_cached_unless_asked(emulator: Emulator) -> None:
    await emulator.ask()
    assert (await emulator.ask()).headers["cf-aig-cache-status"] == "MISS"
    assert len(await emulator.calls()) == 2


async def test_identical_requests_hit_until_the_ttl_ends(emulator: Emulator) -> None:
    first = await emulator.ask(cache_ttl=90)
    again = await emulator.ask(cache_ttl=90)
    assert again.headers["cf-aig-cache-status"] == "HIT"
    assert again.content == first.content
    assert again.headers["cf-aig-log-id"] != first.headers["cf-aig-log-id"]
    assert len(await emulator.calls()) == 1
    assert (await emulator.ask(other("else"), cache_ttl=90)).headers[
        "cf-aig-cache-status"
    ] == "MISS"
    emulator.time.now += 90
    assert (await emulator.ask(cache_ttl=90)).headers["cf-aig-cache-status"] == "MISS"


async def test_a_ttl_is_at_least_a_minute(emulator: Emulator) -> None:
    await emulator.ask(cache_ttl=1)
    emulator.time.now += 59
    assert (await emulator.ask(cache_ttl=1)).headers["cf-aig-cache-status"] == "HIT"


async def test_skip_cache_neither_reads_nor_writes(emulator: Emulator) -> None:
    await emulator.ask(cache_ttl=60, skip_cache="true")
    assert (await emulator.ask(cache_ttl=60)).headers["cf-aig-cache-status"] == "MISS"
    skipped = await emulator.ask(cache_ttl=60, skip_cache="true")
    assert skipped.headers["cf-aig-cache-status"] == "MISS"


async def test_a_custom_key_decides_alone_and_lasts_five_minutes(emulator: Emulator) -> None:
    await emulator.ask(cache_key="k")
    emulator.time.now += 299
    hit = await emulator.ask(other("something else"), cache_key="k")
    assert hit.headers["cf-aig-cache-status"] == "HIT"
    emulator.time.now += 1
    assert (await emulator.ask(cache_key="k")).headers["cf-aig-cache-status"] == "MISS"


async def test_gateways_do_not_share_a_cache(emulator: Emulator) -> None:
    url = f"/v1/acc/other/workers-ai/{LLAMA}"
    await emulator.ask(cache_key="k")
    answer = await emulator.client.post(url, json=HELLO, headers={"cf-aig-cache-key": "k"})
    assert answer.headers["cf-aig-cache-status"] == "MISS"


async def test_errors_are_not_cached(emulator: Emulator) -> None:
    await emulator.fault(kind="error", code=3040, times=1)
    assert (await emulator.ask(cache_ttl=60)).status_code == 429
    assert (await emulator.ask(cache_ttl=60)).status_code == 200


async def test_the_least_recently_used_entry_goes_first(emulator: Emulator) -> None:
    for key in ("a", "b", "c", "a", "d"):  # room for three
        await emulator.ask(cache_key=key)
    assert (await emulator.ask(cache_key="a")).headers["cf-aig-cache-status"] == "HIT"
    assert (await emulator.ask(cache_key="b")).headers["cf-aig-cache-status"] == "MISS"


async def test_the_cache_can_be_cleared(emulator: Emulator) -> None:
    await emulator.ask(cache_ttl=60)
    assert (await emulator.client.delete("/_local/cache")).status_code == 204
    assert (await emulator.ask(cache_ttl=60)).headers["cf-aig-cache-status"] == "MISS"


# Retries and timeout


async def test_retries_until_an_attempt_works(emulator: Emulator) -> None:
    await emulator.fault(kind="error", code=3040, times=2)
    answer = await emulator.ask(max_attempts=3, retry_delay=100, backoff="exponential")
    assert answer.status_code == 200
    assert emulator.time.naps == [0.1, 0.2]
    assert [call["status"] for call in await emulator.calls()] == [429, 429, 200]


async def test_the_last_failure_is_the_answer(emulator: Emulator) -> None:
    await emulator.fault(kind="status", status=502)
    answer = await emulator.ask(max_attempts=2)
    assert answer.status_code == 502
    assert len(await emulator.calls()) == 2


async def test_one_attempt_unless_asked(emulator: Emulator) -> None:
    await emulator.fault(kind="error", code=3040, times=1)
    assert (await emulator.ask()).status_code == 429


@pytest.mark.parametrize(
    ("backoff", "naps"), [("constant", [5.0] * 4), ("linear", [5.0, 10.0, 15.0, 20.0])]
)
async def test_attempts_and_delay_are_bounded(
    emulator: Emulator, backoff: str, naps: list[float]
) -> None:
    await emulator.fault(kind="error", code=3040)
    await emulator.ask(max_attempts=99, retry_delay=99_999, backoff=backoff)
    assert emulator.time.naps == naps


async def test_a_dropped_connection_is_retried(emulator: Emulator) -> None:
    await emulator.fault(kind="refuse", times=1)
    assert (await emulator.ask(max_attempts=2)).status_code == 200


async def test_request_timeout(emulator: Emulator) -> None:
    emulator.time.endless = True
    await emulator.fault(kind="hang")
    answer = await emulator.ask(request_timeout=1)
    assert answer.status_code == 408
    assert answer.json()["name"] == "AiGatewayError"
    assert (await emulator.calls())[0]["status"] is None


async def test_universal_falls_back_after_a_timeout(emulator: Emulator) -> None:
    emulator.time.endless = True
    await emulator.fault(LLAMA, kind="hang")
    given = [step(config={"requestTimeout": 1}), step(GLM)]
    answer = await emulator.client.post(GATEWAY, json=given)
    assert answer.status_code == 200
    assert answer.headers["cf-aig-step"] == "1"


async def test_unreadable_headers_are_left_out(emulator: Emulator) -> None:
    answer = await emulator.ask(cache_ttl="soon", max_attempts="x", retry_delay=-1, metadata="{")
    assert answer.status_code == 200
