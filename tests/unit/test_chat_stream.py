"""Chats as streams: the events in their order, and however a stream ends, its row."""

import asyncio
import json
from collections.abc import AsyncGenerator, Coroutine
from dataclasses import replace
from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionChunk

from edgeneuro.app.routes import ROUTES
from edgeneuro.call import Call
from edgeneuro.domain.chat import ChatRequest
from edgeneuro.domain.trace import continue_trace
from edgeneuro.errors import (
    UpstreamCutError,
    UpstreamNotConfiguredError,
    UpstreamQuotaError,
    UpstreamTimeoutError,
)
from edgeneuro.gateway.interface import Delta, ModelRequest, ModelStream
from edgeneuro.synapsecore.chat.answer import ChatStreamHandle, open_stream
from edgeneuro.synapsecore.chat.api import create_chat_completion
from edgeneuro.synapsecore.chat.request import plan_chat
from edgeneuro.synapsecore.chat.stream import ChatStream
from edgeneuro.synapsecore.chat.turn import begin_chat
from edgeneuro.synapsecore.turn import CallerContext
from edgeneuro.web.auth import ADMIN_TOKEN
from edgeneuro.web.request import Request
from edgeneuro.web.response import Response
from edgeneuro.web.routing import RouteTable
from edgeneuro.web.streams import ByteStream
from edgeneuro_testing.gateway import ScriptedGateway, Streamed
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.chats import (
    CALL,
    COST,
    GRANITE,
    LLAMA,
    TOOL,
    chat,
    events,
    said,
    streams,
    tries,
    user,
)
from tests.unit.conftest import ADMIN_TOKEN as TOKEN
from tests.unit.conftest import Product, no_chunks, says


async def opened(product: Product, model: str = LLAMA, **fields: Any) -> ByteStream:
    """The events as the handler makes them, for a reader that goes away."""
    sent = {"model": model, "messages": [user()], "stream": True, **fields}
    body = ChatRequest.model_validate(sent)
    waiting: list[Coroutine[Any, Any, None]] = []
    table = RouteTable(ROUTES)
    trace = continue_trace(None, product.services.new_hex)
    call = Call(product.services, ADMIN_TOKEN, "req_1", waiting.append, table, trace)
    response = await create_chat_completion(call, body)
    assert isinstance(response, Response) and not isinstance(response.body, str)
    assert waiting == []  # the row waits for the stream's end
    return response.body


async def test_events_in_openais_order(product: Product) -> None:
    product.gateway.enqueue(says("hr"), streams("Thirty", " days", "."))
    answered = await chat(product, "auto", stream=True)
    assert answered.status == 200
    assert answered.headers["content-type"] == "text/event-stream"
    assert answered.headers["x-edgeneuro-agent"] == "hr"
    assert answered.headers["x-edgeneuro-model"] == LLAMA
    *chunks, done = events(answered.text)
    assert done == "[DONE]"
    for each in chunks:
        ChatCompletionChunk.model_validate(each)
    assert len({(each["id"], each["created"], each["model"]) for each in chunks}) == 1
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    deltas = [each["choices"][0]["delta"] for each in chunks[1:-1]]
    assert deltas == [{"content": "Thirty"}, {"content": " days"}, {"content": "."}]
    finishes = [each["choices"][0]["finish_reason"] for each in chunks]
    assert finishes == [None] * 4 + ["stop"]
    first, last = chunks[0]["edgeneuro"], chunks[-1]["edgeneuro"]
    assert not any("edgeneuro" in each for each in chunks[1:-1])
    assert (first["agent"]["id"], first["layer"], first["cache"]) == ("hr", "llm", "bypass")
    assert tries(last) == [("route", LLAMA, "ok"), ("chat", LLAMA, "ok")]
    assert last["cost_usd"] == pytest.approx(COST)
    assert not any("usage" in each for each in chunks)
    [entry] = await product.logs()
    assert (entry["kind"], entry["ending"], entry["status"]) == ("chat", "complete", 200)
    assert (entry["usage"]["total_tokens"], entry["model"]) == (40, LLAMA)
    assert entry["cost_usd"] == pytest.approx(COST)
    assert product.gateway.stopped == 0


async def test_the_usage_comes_last_where_it_is_wanted(product: Product) -> None:
    product.gateway.enqueue(streams("a"))
    answered = await chat(product, stream=True, stream_options={"include_usage": True})
    *_, finish, usage, done = events(answered.text)
    assert (finish["choices"][0]["finish_reason"], "edgeneuro" in finish) == ("stop", False)
    assert (usage["choices"], usage["usage"]["total_tokens"]) == ([], 40)
    assert usage["edgeneuro"]["cost_usd"] == pytest.approx(COST)
    assert done == "[DONE]"


async def test_without_usage_the_cost_is_not_known(product: Product) -> None:
    product.gateway.enqueue(streams("a", usage=None))
    assert events((await chat(product, stream=True)).text)[-2]["edgeneuro"]["cost_usd"] is None
    assert (await product.logs())[0]["cost_usd"] is None


async def test_tool_calls_come_in_parts(product: Product) -> None:
    opening = {"index": 0, **CALL, "function": {"name": "look_up", "arguments": ""}}
    rest = {"index": 0, "function": {"arguments": '{"id": "7"}'}}
    parts = [Delta(tool_calls=(opening,)), Delta(tool_calls=(rest,), finish_reason="tool_calls")]
    product.gateway.enqueue(Streamed(parts))
    answered = await chat(product, stream=True, tools=[TOOL])
    *chunks, _ = events(answered.text)
    deltas = [each["choices"][0]["delta"] for each in chunks[1:-1]]
    assert deltas == [{"tool_calls": [opening]}, {"tool_calls": [rest]}]
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("late", [False, True])
async def test_an_error_before_the_first_part_is_a_plain_error(
    product: Product, late: bool
) -> None:
    failure = UpstreamQuotaError("used up", upstream_code="3036")
    product.gateway.enqueue(Streamed([failure]) if late else failure)
    answered = await chat(product, LLAMA, stream=True, edgeneuro={"fallback": False})
    assert (answered.status, answered.headers["content-type"]) == (429, "application/json")
    assert answered.json()["error"]["code"] == "upstream_quota"
    [entry] = await product.logs()
    assert (entry["status"], entry["ending"], entry["reason"]) == (429, "complete", "quota")


@pytest.mark.parametrize("failing", [UpstreamNotConfiguredError("no"), Streamed([])])
async def test_a_stream_without_a_first_part_falls_back(product: Product, failing: Any) -> None:
    product.gateway.enqueue(failing, streams("from the other"))
    *chunks, done = events((await chat(product, LLAMA, stream=True)).text)
    assert (said(chunks), done) == ("from the other", "[DONE]")
    assert {each["model"] for each in chunks} == {GRANITE}
    outcomes = [outcome for _, _, outcome in tries(chunks[-1]["edgeneuro"])]
    assert outcomes[-1] == "ok" and len(outcomes) == 2


@pytest.mark.parametrize(
    ("failure", "code", "reason"),
    [
        (UpstreamCutError("broken off"), "upstream_cut", "upstream_error"),
        (UpstreamTimeoutError("silent"), "upstream_timeout", "timeout"),
    ],
)
async def test_a_cut_stream_says_so_and_is_not_done(
    product: Product, failure: Exception, code: str, reason: str
) -> None:
    product.gateway.enqueue(Streamed([Delta(content="Thir"), failure]))
    answered = await chat(product, stream=True)
    assert answered.status == 200
    *chunks, last = events(answered.text)
    assert "[DONE]" not in answered.text
    assert said(chunks) == "Thir"
    assert (last["error"]["code"], last["error"]["param"]) == (code, None)
    assert last["request_id"] == answered.headers["x-request-id"]
    [entry] = await product.logs()
    assert (entry["status"], entry["ending"], entry["reason"]) == (200, "cut", reason)
    assert [one["outcome"] for one in entry["attempts"]] == [reason]
    assert entry["cost_usd"] is None
    metrics = (await product.call("GET", "/metrics")).text
    assert 'edgeneuro_streams_total{ending="cut"} 1' in metrics


async def test_a_fault_of_ours_in_a_stream_is_no_stack_trace(product: Product) -> None:
    product.gateway.enqueue(Streamed([Delta(content="a"), ZeroDivisionError("secret")]))
    answered = await chat(product, stream=True)
    last = events(answered.text)[-1]
    assert last["error"]["code"] == "internal_error"
    assert "secret" not in answered.text
    assert product.failures.counts == {"stream": 1}
    [entry] = await product.logs()
    assert (entry["ending"], entry["reason"]) == ("cut", None)


@pytest.mark.parametrize("read", [1, 2, 3])
async def test_a_client_that_goes_stops_the_upstream(product: Product, read: int) -> None:
    product.gateway.enqueue(streams("a", "b", "c", "d"))
    stream = await opened(product)
    for _ in range(read):
        await anext(aiter(stream))
    await stream.aclose()
    assert product.gateway.stopped == 1
    [entry] = await product.logs()
    assert (entry["status"], entry["ending"], entry["reason"]) == (200, "client_gone", None)
    assert (entry["cost_usd"], entry["model"]) == (None, LLAMA)
    metrics = (await product.call("GET", "/metrics")).text
    assert 'edgeneuro_streams_total{ending="client_gone"} 1' in metrics


async def test_closing_the_response_is_enough(
    product: Product, capsys: pytest.CaptureFixture[str]
) -> None:
    product.gateway.enqueue(streams("a", "b", "c"))
    body = json.dumps({"model": LLAMA, "messages": [user()], "stream": True}).encode()

    async def read_body(limit: int) -> bytes:
        return body

    headers = {"authorization": f"Bearer {TOKEN}"}
    request = Request("POST", "/v1/chat/completions", "", headers.get, read_body, no_chunks)
    response = await product.app.handle(request, lambda work: work.close())
    assert not isinstance(response.body, str)
    capsys.readouterr()
    await response.body.aclose()
    assert product.gateway.stopped == 1
    line = json.loads(capsys.readouterr().out)
    assert (line["ending"], line["model"], line["layer"]) == ("client_gone", LLAMA, "direct")
    assert [entry["ending"] for entry in await product.logs()] == ["client_gone"]


async def test_a_client_that_goes_at_the_end_has_paid_once(product: Product) -> None:
    product.gateway.enqueue(streams("a"))
    stream = await opened(product)
    for _ in range(3):  # role, part, finish
        await anext(aiter(stream))
    await stream.aclose()
    [entry] = await product.logs()
    assert (entry["ending"], entry["usage"]["total_tokens"]) == ("client_gone", 40)
    assert entry["cost_usd"] == pytest.approx(COST)


class _Silent(ScriptedGateway):
    """Its stream says one word and then nothing more."""

    async def stream(self, request: ModelRequest, /) -> ModelStream:
        async def deltas() -> AsyncGenerator[Delta, None]:
            try:
                yield Delta(content="a")
                await asyncio.Event().wait()
            finally:
                self.stopped += 1

        return ModelStream(deltas=deltas())


async def test_a_reader_cancelled_while_the_model_is_silent(
    product: Product, database: SqliteDatabase
) -> None:
    silent = Product(database, product.services.settings, gateway=_Silent())
    stream = await opened(silent)

    async def read() -> None:
        async for _ in stream:
            pass

    reading = asyncio.ensure_future(read())
    for _ in range(10):  # until it waits
        await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert silent.gateway.stopped == 1
    assert [entry["ending"] for entry in await silent.logs()] == ["client_gone"]


async def impatient(product: Product) -> AsyncGenerator[bytes, None]:
    """The events of a stream with a comment at every look at a silent model."""
    request = ChatRequest.model_validate({"model": LLAMA, "messages": [user()]})
    trace = continue_trace(None, product.services.new_hex)
    caller = CallerContext("req_1", ADMIN_TOKEN, lambda work: work.close(), {}, trace, {})
    services = replace(product.services, stream_silence_seconds=0)
    turn = await begin_chat(await plan_chat(services, request, caller), None)
    stream = await open_stream(turn)
    assert isinstance(stream, ChatStreamHandle)
    return ChatStream(turn, stream).events()


async def test_a_silent_model_is_filled_with_comments(product: Product) -> None:
    silent = Product(product.database, product.services.settings, gateway=_Silent())
    stream = await impatient(silent)
    parts = [await anext(aiter(stream)) for _ in range(6)]
    assert [part.startswith(b"data: ") for part in parts[:2]] == [True, True]
    assert parts[2:] == [b": \n\n"] * 4
    assert silent.gateway.stopped == 0
    await stream.aclose()
    assert silent.gateway.stopped == 1
    assert [entry["ending"] for entry in await silent.logs()] == ["client_gone"]


async def test_a_reader_cancelled_between_comments(product: Product) -> None:
    silent = Product(product.database, product.services.settings, gateway=_Silent())
    stream = await impatient(silent)
    read = 0

    async def reads() -> None:
        nonlocal read
        async for _ in stream:
            read += 1

    reading = asyncio.create_task(reads())
    while read < 5:
        await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await stream.aclose()
    assert silent.gateway.stopped == 1
    assert [entry["ending"] for entry in await silent.logs()] == ["client_gone"]


async def test_what_comes_after_a_silence_is_passed_on(product: Product) -> None:
    goes_on = asyncio.Event()

    class Late(ScriptedGateway):
        async def stream(self, request: ModelRequest, /) -> ModelStream:
            async def deltas() -> AsyncGenerator[Delta, None]:
                yield Delta(content="a")
                await goes_on.wait()
                yield Delta(content="b", finish_reason="stop")

            return ModelStream(deltas=deltas())

    late = Product(product.database, product.services.settings, gateway=Late())
    parts = []
    async for part in await impatient(late):
        parts.append(part)
        if part.startswith(b":"):
            goes_on.set()
    assert b": \n\n" in parts
    # As OpenAI's own client reads it.
    played = httpx.MockTransport(lambda request: httpx.Response(200, content=b"".join(parts)))
    through: Any = httpx.Client(transport=played)
    with openai.OpenAI(api_key="k", http_client=through) as client:
        read = client.chat.completions.create(
            model=LLAMA, messages=[{"role": "user", "content": "a"}], stream=True
        )
        contents = [chunk.choices[0].delta.content or "" for chunk in read]
    assert contents == ["", "a", "b", ""]


async def test_streams_that_break_off_open_the_models_breaker(product: Product) -> None:
    cut = Streamed([Delta(content="Thir"), UpstreamCutError("broken off")])
    alone = {"stream": True, "edgeneuro": {"fallback": False}}
    product.gateway.enqueue(*[cut] * 4, streams("whole"), *[cut] * 5)
    for _ in range(10):
        assert (await chat(product, LLAMA, **alone)).status == 200
    answered = await chat(product, LLAMA, **alone)
    assert (answered.status, answered.json()["error"]["code"]) == (502, "upstream_cut")
    assert len(product.gateway.requests) == 10


async def test_the_waiting_for_the_upstream_is_told_apart(product: Product) -> None:
    class Slow(ScriptedGateway):
        async def stream(self, request: ModelRequest, /) -> ModelStream:
            async def deltas() -> AsyncGenerator[Delta, None]:
                for word in ("a", "b"):
                    product.clock.seconds += 1
                    yield Delta(content=word)

            return ModelStream(deltas=deltas())

    slow = Product(product.database, product.services.settings, gateway=Slow(), clock=product.clock)
    await chat(slow, stream=True)
    [entry] = await slow.logs()
    assert (entry["upstream_ms"], entry["latency_ms"]) == (2_000, 2_000)


async def test_a_stream_is_never_in_ai_gateways_cache(product: Product) -> None:
    product.gateway.enqueue(streams("a"))
    await chat(product, stream=True, temperature=0)
    assert product.gateway.requests[0].cache_key is None
