"""Streams: both shapes, whoever is asked, and what becomes of one that does not end well."""

import asyncio
import json
from typing import Any

import pytest

from local.answers import ConnectionDropped
from local.app import build_app
from tests.local.emulator import GATEWAY, GLM, HELLO, LLAMA, RUN, Emulator, Json, build_emulator
from tests.local.exchange import Exchange

ASKED: Json = {**HELLO, "stream": True}
CHAT_URLS = [
    "/client/v4/accounts/acc/ai/v1/chat/completions",
    f"{GATEWAY}/workers-ai/v1/chat/completions",
]


def events(content: bytes) -> list[Any]:
    """The events' data, [DONE] as text."""
    blocks = content.decode().split("\n\n")
    assert blocks.pop() == ""
    data = [block.removeprefix("data: ") for block in blocks]
    return [item if item == "[DONE]" else json.loads(item) for item in data]


async def test_a_classic_model_streams_responses_then_the_usage(emulator: Emulator) -> None:
    answer = await emulator.run(ASKED)
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["x-local-engine"] == "emulated"
    *parts, last, done = events(answer.content)
    whole = (await emulator.run()).json()["result"]
    assert len(parts) > 3
    assert "".join(part["response"] for part in parts) == whole["response"]
    assert all(isinstance(part["p"], str) for part in parts)
    assert (last, done) == ({"response": "", "usage": whole["usage"]}, "[DONE]")


async def test_a_newer_model_streams_openais_chunks(emulator: Emulator) -> None:
    asked = {**ASKED, "stream_options": {"include_usage": True}}
    *chunks, last, usage, done = events((await emulator.ask(asked, GLM)).content)
    assert {(c["id"], c["object"], c["model"]) for c in [*chunks, last, usage]} == {
        (last["id"], "chat.completion.chunk", GLM)
    }
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    text = "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks)
    whole = (await emulator.run(HELLO, GLM)).json()["result"]
    assert text == whole["choices"][0]["message"]["content"]
    assert last["choices"] == [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    assert last["usage"] is None
    assert (usage["choices"], usage["usage"]) == ([], whole["usage"])
    assert done == "[DONE]"


@pytest.mark.parametrize("url", CHAT_URLS)
async def test_the_chat_endpoints_stream_chunks_of_any_model(emulator: Emulator, url: str) -> None:
    answer = await emulator.client.post(url, json={"model": LLAMA, **ASKED})
    *chunks, last, done = events(answer.content)
    assert all("usage" not in chunk for chunk in chunks)
    assert last["choices"][0]["finish_reason"] == "stop"
    assert done == "[DONE]"


async def test_the_unified_and_the_universal_endpoint_stream(emulator: Emulator) -> None:
    body = {"model": f"workers-ai/{GLM}", **ASKED}
    unified = await emulator.client.post(f"{GATEWAY}/compat/chat/completions", json=body)
    step = {"provider": "workers-ai", "endpoint": GLM, "query": ASKED}
    universal = await emulator.client.post(GATEWAY, json=[step])
    for answer in (unified, universal):
        assert answer.headers["cf-aig-step"] == "0"
        assert events(answer.content)[-1] == "[DONE]"


async def test_what_fails_before_the_first_part_has_a_status(emulator: Emulator) -> None:
    await emulator.fault(kind="error", code=3040)
    answer = await emulator.run(ASKED)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (429, 3040)


async def test_the_log_says_how_streams_ended(emulator: Emulator) -> None:
    await emulator.run(ASKED)
    for fault in ({"kind": "cut"}, {"kind": "stream_error"}):
        await emulator.fault(**fault)
        await emulator.run(ASKED)
    ended = [call["ended"] for call in await emulator.calls()]
    assert ended == ["complete", "cut", "cut"]


@pytest.mark.parametrize("path", [f"{RUN}/{LLAMA}", f"{GATEWAY}/workers-ai/{GLM}"])
async def test_a_client_that_leaves_closes_the_stream(emulator: Emulator, path: str) -> None:
    emulator.time.endless = True
    await emulator.fault(kind="stall", after=2)
    async with Exchange(build_app(emulator.gateway), path, ASKED) as exchange:
        assert (await exchange.part()).startswith(b"data: ")
        assert (await exchange.part()).startswith(b"data: ")
        assert [call["ended"] for call in await emulator.calls()] == [None]
    assert [call["ended"] for call in await emulator.calls()] == ["client_gone"]
    assert len(asyncio.all_tasks()) == 1


# Faults on the way


async def test_a_cut_stream_lacks_its_end(emulator: Emulator) -> None:
    await emulator.fault(kind="cut", after=2)
    for model in (LLAMA, GLM):
        found = events((await emulator.run(ASKED, model)).content)
        assert len(found) == 2
        assert "[DONE]" not in found


async def test_an_abrupt_cut_drops_the_connection(emulator: Emulator) -> None:
    await emulator.fault(kind="cut", abrupt=True)
    with pytest.raises(ConnectionDropped):
        await emulator.run(ASKED)


async def test_a_stream_error_is_the_last_event(emulator: Emulator) -> None:
    await emulator.fault(kind="stream_error", after=3)
    found = events((await emulator.run(ASKED)).content)
    assert len(found) == 4
    assert found[-1]["error"]["message"] == "Internal server error"


async def test_a_stall_ends_at_the_bound(emulator: Emulator) -> None:
    await emulator.fault(kind="stall")
    with pytest.raises(ConnectionDropped):
        await emulator.run(ASKED)
    assert emulator.time.naps == [120.0]


async def test_a_dripping_stream_is_whole_in_the_end(emulator: Emulator) -> None:
    expected = events((await emulator.run(ASKED)).content)
    await emulator.fault(kind="drip", delay_ms=50_000)
    assert events((await emulator.run(ASKED)).content) == expected
    assert emulator.time.naps == [50.0] * 3  # no longer than 120 s in all, and the part begun


async def test_a_dripping_answer_comes_byte_by_byte(emulator: Emulator) -> None:
    expected = (await emulator.run()).content
    await emulator.fault(kind="drip", delay_ms=10)
    async with Exchange(build_app(emulator.gateway), f"{RUN}/{LLAMA}", HELLO) as exchange:
        received = [await exchange.part() for _ in expected]
    assert b"".join(received) == expected
    assert {len(part) for part in received} == {1}


@pytest.mark.parametrize("kind", ["cut", "stall"])
async def test_a_whole_answer_breaks_off_halfway(kind: str) -> None:
    emulator = build_emulator()
    async with emulator.client:
        expected = (await emulator.run()).content
        emulator.time.endless = True
        await emulator.fault(kind=kind)
        exchange = Exchange(build_app(emulator.gateway), f"{RUN}/{LLAMA}", HELLO)
        if kind == "stall":
            async with exchange:
                assert await exchange.part() == expected[: len(expected) // 2]
        else:
            with pytest.raises(ConnectionDropped):
                async with exchange:
                    assert await exchange.part() == expected[: len(expected) // 2]
        wanted = {"cut": "cut", "stall": "client_gone"}[kind]
        assert [call["ended"] for call in await emulator.calls()][1:] == [wanted]


async def test_malformed_json_in_a_stream(emulator: Emulator) -> None:
    await emulator.fault(kind="malformed_json")
    first, second, *_ = (await emulator.run(ASKED)).content.split(b"\n\n")
    with pytest.raises(json.JSONDecodeError):
        json.loads(first.removeprefix(b"data: "))
    assert json.loads(second.removeprefix(b"data: "))


async def test_what_a_fault_says_is_streamed_too(emulator: Emulator) -> None:
    await emulator.fault(kind="text", answer="seven words")
    assert [e["response"] for e in events((await emulator.run(ASKED)).content)[:2]] == [
        "seven",
        " words",
    ]
