"""The contract of Gateway: one suite for all its implementations."""

import asyncio
import json
from typing import Any

import pytest

from edgeneuro.domain.decision import Usage
from edgeneuro.domain.trace import Trace
from edgeneuro.errors import (
    InvalidOutputError,
    JsonModeUnmetError,
    UpstreamCapacityError,
    UpstreamCutError,
    UpstreamError,
    UpstreamNotConfiguredError,
    UpstreamQuotaError,
    UpstreamRateLimitedError,
    UpstreamRejectedError,
    UpstreamTimeoutError,
)
from edgeneuro.gateway.interface import Delta, ModelAnswer, ModelStream
from edgeneuro_testing.gateway import Streamed
from tests.local.emulator import GLM, LLAMA
from tests.unit.upstreams import CUT, SILENCE, Script
from tests.unit.ways import Way, build_way, request

TRANSPORTS = ("binding", "https")
SCHEMA = {"type": "object", "properties": {"agent": {"enum": ["it", "hr"]}}, "required": ["agent"]}
TOOL_CALL = {
    "id": "call_0",
    "type": "function",
    "function": {"name": "look_up", "arguments": '{"city": "Bern"}'},
}


@pytest.fixture(params=[*TRANSPORTS, "scripted"])
def way(request: pytest.FixtureRequest) -> Way:
    return build_way(request.param)


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> Way:
    """For what the emulator behind it gets to see."""
    return build_way(request.param)


def event(content: Any) -> bytes:
    return f"data: {json.dumps(content)}\n\n".encode()


async def collected(stream: ModelStream) -> list[Delta]:
    return [delta async for delta in stream.deltas]


async def test_a_plain_answer(way: Way) -> None:
    answer = ModelAnswer(content="hello there", usage=Usage(prompt_tokens=1, total_tokens=1))
    await way.set_outcome(answer, kind="text", answer="hello there")
    got = await way.gateway.run(request())
    assert (got.content, got.finish_reason, got.tool_calls) == ("hello there", "stop", ())
    assert got.usage.prompt_tokens > 0


async def test_json_mode_answers_with_an_object(way: Way) -> None:
    await way.set_outcome(ModelAnswer(content={"agent": "it"}), kind="unknown_agent")
    got = await way.gateway.run(request(response_schema=SCHEMA))
    assert isinstance(got.content, dict)


FAULTS: list[tuple[dict[str, Any], type[UpstreamError]]] = [
    ({"kind": "error", "code": 3040}, UpstreamCapacityError),
    ({"kind": "error", "code": 3036}, UpstreamQuotaError),
    ({"kind": "error", "code": 3007}, UpstreamTimeoutError),
    ({"kind": "error", "code": 3008}, UpstreamTimeoutError),
    ({"kind": "error", "code": 3003}, UpstreamRejectedError),
    ({"kind": "error", "code": 3006}, UpstreamRejectedError),
    ({"kind": "error", "code": 5004}, UpstreamRejectedError),
    ({"kind": "error", "code": 5006}, UpstreamRejectedError),
    ({"kind": "error", "code": 5021}, UpstreamRejectedError),
    ({"kind": "error", "code": 3037}, UpstreamNotConfiguredError),
    ({"kind": "error", "code": 5005}, UpstreamNotConfiguredError),
    ({"kind": "error", "code": 5007}, UpstreamNotConfiguredError),
    ({"kind": "error", "code": 5016}, UpstreamNotConfiguredError),
    ({"kind": "error", "code": 5024}, JsonModeUnmetError),
    ({"kind": "error", "code": 5025}, JsonModeUnmetError),
    ({"kind": "error", "code": 5028}, UpstreamNotConfiguredError),
    ({"kind": "error", "code": 3043}, UpstreamError),
    ({"kind": "status", "status": 400}, UpstreamRejectedError),
    ({"kind": "status", "status": 401}, UpstreamNotConfiguredError),
    ({"kind": "status", "status": 403}, UpstreamNotConfiguredError),
    ({"kind": "status", "status": 404}, UpstreamNotConfiguredError),
    ({"kind": "status", "status": 422}, UpstreamRejectedError),
    ({"kind": "status", "status": 429}, UpstreamRateLimitedError),
    ({"kind": "status", "status": 500}, UpstreamError),
    ({"kind": "status", "status": 504}, UpstreamTimeoutError),
    ({"kind": "refuse"}, UpstreamError),
]


@pytest.mark.parametrize(("fault", "expected"), FAULTS, ids=str)
@pytest.mark.parametrize("stream", [False, True])
async def test_every_failure_is_an_upstream_error(
    way: Way, fault: dict[str, Any], expected: type[UpstreamError], stream: bool
) -> None:
    await way.set_outcome(expected("…"), **fault)
    with pytest.raises(UpstreamError) as raised:
        await (way.gateway.stream(request()) if stream else way.gateway.run(request()))
    assert type(raised.value) is expected


async def test_json_mode_that_does_not_stream_comes_as_one_part(transport: Way) -> None:
    """Workers AI refuses to stream in JSON mode (5023)."""
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
    asked = request(parameters={"max_tokens": 64, "response_format": form})
    parts = await collected(await transport.gateway.stream(asked))
    assert ["agent" in json.loads(part.content) for part in parts] == [True]
    asked_to_stream = [call["inputs"].get("stream") for call in await transport.calls()]
    assert (asked_to_stream[0], asked_to_stream[-1]) == (True, None)


@pytest.mark.parametrize("kind", ["malformed_json", "nested_json"])
async def test_an_answer_that_cannot_be_parsed(way: Way, kind: str) -> None:
    await way.set_outcome(InvalidOutputError("…"), kind=kind)
    with pytest.raises(InvalidOutputError):
        await way.gateway.run(request())


async def test_a_retry_after_is_passed_on(way: Way) -> None:
    error = UpstreamRateLimitedError("…", headers={"retry-after": "7"})
    await way.set_outcome(error, kind="status", status=429, retry_after=6.2)
    with pytest.raises(UpstreamRateLimitedError) as raised:
        await way.gateway.run(request())
    assert raised.value.headers == {"retry-after": "7"}


@pytest.mark.parametrize("stream", [False, True])
async def test_an_upstream_that_never_answers_times_out(way: Way, stream: bool) -> None:
    way.endless()
    await way.set_outcome(UpstreamTimeoutError("…"), kind="hang")
    asked = request(timeout_ms=30)
    with pytest.raises(UpstreamTimeoutError):
        await (way.gateway.stream(asked) if stream else way.gateway.run(asked))


HUGE = json.dumps({"response": "x" * 4_100_000}).encode()
BODIES: list[tuple[bytes, type[UpstreamError]]] = [
    (b"", InvalidOutputError),
    (b"{cut", InvalidOutputError),
    (b"[]", InvalidOutputError),
    (b"[" * 100_000, InvalidOutputError),
    (b'{"response": null}', InvalidOutputError),
    (b'{"choices": []}', InvalidOutputError),
    (b'{"error": {"message": "slow", "code": 429}}', UpstreamRateLimitedError),
    (HUGE, InvalidOutputError),
]


@pytest.mark.parametrize(("body", "expected"), BODIES, ids=lambda value: str(value)[:40])
async def test_an_invalid_answer(
    transport: Way, body: bytes, expected: type[UpstreamError]
) -> None:
    transport.answers("application/json; charset=utf-8", [body])
    with pytest.raises(UpstreamError) as raised:
        await transport.gateway.run(request())
    assert type(raised.value) is expected


async def test_an_answer_that_is_too_large_is_not_read_to_its_end(transport: Way) -> None:
    transport.answers("text/plain", [HUGE, SILENCE])
    with pytest.raises(InvalidOutputError, match="too large"):
        await transport.gateway.run(request())
    assert transport.stopped == 1


async def test_an_answer_that_breaks_off(transport: Way) -> None:
    transport.answers("text/plain", [b'{"response": "he', CUT])
    with pytest.raises(UpstreamError) as raised:
        await transport.gateway.run(request())
    assert (type(raised.value), raised.value.retryable) == (UpstreamError, True)


@pytest.mark.parametrize(
    "output",
    [
        {"response": None, "tool_calls": [{"name": "look_up", "arguments": {"city": "Bern"}}]},
        {"choices": [{"message": {"content": None, "tool_calls": [TOOL_CALL]}}]},
    ],
    ids=["classic", "openai"],
)
async def test_tool_calls_in_openais_shape(way: Way, output: Any) -> None:
    answer = ModelAnswer(content=None, tool_calls=(TOOL_CALL,), finish_reason="tool_calls")
    if way.is_scripted:
        await way.set_outcome(answer)
    else:
        way.answers("text/plain", [json.dumps(output).encode()])
    assert await way.gateway.run(request()) == answer


CLASSIC: Script = [
    event({"response": "Hel"}),
    event({"response": "lo"}),
    event({"response": "", "usage": {"prompt_tokens": 5, "completion_tokens": 2}}),
    b"data: [DONE]\n\n",
]
OPENAI: Script = [
    event({"choices": [{"delta": {"role": "assistant", "content": ""}}]}),
    event({"choices": [{"delta": {"content": "Hel"}}]}),
    event({"choices": [{"delta": {"content": "lo"}, "finish_reason": "stop"}]}),
    event({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}),
    b"data: [DONE]\n\n",
]
WHOLE: list[Delta | Exception] = [
    Delta(content="Hel"),
    Delta(content="lo"),
    Delta(finish_reason="stop", usage=Usage(prompt_tokens=5, completion_tokens=2, total_tokens=7)),
]


@pytest.mark.parametrize("script", [CLASSIC, OPENAI, OPENAI[:-1]], ids=["classic", "openai", "eof"])
async def test_a_stream_ends_with_its_usage(way: Way, script: Script) -> None:
    way.streams(script, WHOLE)
    assert await collected(await way.gateway.stream(request())) == WHOLE


async def test_a_stream_cut_anywhere_reads_the_same(transport: Way) -> None:
    text = b"".join(part for part in OPENAI if isinstance(part, bytes))
    transport.streams([text[at : at + 1] for at in range(len(text))], WHOLE)
    assert await collected(await transport.gateway.stream(request())) == WHOLE


BREAKS: list[tuple[Script, type[UpstreamError]]] = [
    ([event({"response": "Hel"})], UpstreamCutError),
    ([event({"response": "Hel"}), CUT], UpstreamCutError),
    ([event({"response": "Hel"}), b'data: {"respo'], UpstreamCutError),
    ([event({"response": "Hel"}), SILENCE], UpstreamTimeoutError),
    ([event({"response": "Hel"}), b": still here\n\n", SILENCE], UpstreamTimeoutError),
    ([event({"response": "Hel"}), b"data: {cut\n\n"], InvalidOutputError),
    ([event({"response": "Hel"}), b"data: \xff\n\n"], InvalidOutputError),
    ([event({"response": "Hel"}), b"data: " + b"x" * 1_000_001], InvalidOutputError),
    ([event({"response": "Hel"}), *[b": " + b"x" * 900_000 + b"\n"] * 9], InvalidOutputError),
    ([event({"response": "Hel"}), event({"error": {"message": "x", "code": 3040}})],
     UpstreamCapacityError),
    ([event({"response": "Hel"}), event({"error": {"message": "x", "type": "overloaded_error"}})],
     UpstreamCapacityError),
    ([event({"response": "Hel"}), event({"error": "out of luck"})], UpstreamError),
]  # fmt: skip


@pytest.mark.parametrize(("script", "expected"), BREAKS, ids=lambda value: str(value)[-60:])
async def test_a_stream_without_a_proper_end_is_an_error(
    way: Way, script: Script, expected: type[UpstreamError]
) -> None:
    way.streams(script, [Delta(content="Hel"), expected("…")])
    stream = await way.gateway.stream(request(idle_ms=20))
    assert await anext(stream.deltas) == Delta(content="Hel")
    with pytest.raises(UpstreamError) as raised:
        await anext(stream.deltas)
    assert type(raised.value) is expected


async def test_a_stream_may_break_off_after_its_end_event(transport: Way) -> None:
    finished = event({"choices": [{"delta": {"content": "Hello"}, "finish_reason": "length"}]})
    for end in (CUT, SILENCE):
        transport.streams([finished, end], [])
        deltas = await collected(await transport.gateway.stream(request(idle_ms=20)))
        assert deltas == [Delta(content="Hello"), Delta(finish_reason="length")]


@pytest.mark.parametrize("taken", [0, 1])
async def test_a_caller_that_stops_stops_the_upstream(way: Way, taken: int) -> None:
    way.streams([event({"response": "Hel"}), SILENCE], [Delta(content="Hel"), Delta(content="lo")])
    stream = await way.gateway.stream(request())
    for _ in range(taken):
        await anext(stream.deltas)
    await stream.deltas.aclose()
    assert way.stopped == 1


async def test_a_caller_that_is_cancelled_stops_the_upstream(transport: Way) -> None:
    transport.streams([event({"response": "Hel"}), SILENCE], [])
    stream = await transport.gateway.stream(request())
    waiting = asyncio.ensure_future(collected(stream))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert transport.stopped == 1


async def test_the_first_part_has_the_time_limit_of_the_request(transport: Way) -> None:
    transport.streams([b": hello\n\n", SILENCE], [])
    with pytest.raises(UpstreamTimeoutError, match="no answer within 30 ms"):
        await transport.gateway.stream(request(timeout_ms=30))
    assert transport.stopped == 1


async def test_streamed_tool_calls(way: Way) -> None:
    calls = ({"index": 0, **TOOL_CALL},)
    native = {"name": "look_up", "arguments": {"city": "Bern"}}
    script: Script = [event({"response": None, "tool_calls": [native]}), b"data: [DONE]\n\n"]
    expected: list[Delta | Exception] = [
        Delta(tool_calls=calls),
        Delta(finish_reason="tool_calls"),
    ]
    way.streams(script, expected)
    assert await collected(await way.gateway.stream(request())) == expected


async def test_a_whole_answer_becomes_a_stream_of_one_part(way: Way) -> None:
    usage = Usage(prompt_tokens=5, completion_tokens=2, total_tokens=7)
    part = Delta(content="Hello", finish_reason="stop", usage=usage)
    body = {"response": "Hello", "usage": {"prompt_tokens": 5, "completion_tokens": 2}}
    if way.is_scripted:
        way.streams([], [part])
    else:
        way.answers("application/json", [json.dumps(body).encode()])
    assert await collected(await way.gateway.stream(request())) == [part]


@pytest.mark.parametrize("model", [LLAMA, GLM])
async def test_the_emulator_streams_an_answer(transport: Way, model: str) -> None:
    """In both shapes, at length and in parts."""
    await transport.set_outcome(ModelAnswer(content="…"), kind="slow", delay_ms=1)
    *parts, last = await collected(await transport.gateway.stream(request(model=model)))
    assert len(parts) > 1
    assert all(part.content and part.finish_reason is None for part in parts)
    assert last.finish_reason in ("stop", "length")
    assert last.usage is not None
    assert last.usage.completion_tokens > 0


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"kind": "cut"}, UpstreamCutError),
        ({"kind": "cut", "abrupt": True}, UpstreamCutError),
        ({"kind": "stall"}, UpstreamTimeoutError),
        ({"kind": "stream_error"}, UpstreamError),
    ],
    ids=str,
)
async def test_the_emulator_breaks_a_stream(
    transport: Way, fault: dict[str, Any], expected: type[UpstreamError]
) -> None:
    transport.endless()
    await transport.set_outcome(expected("…"), **fault)
    stream = await transport.gateway.stream(request(idle_ms=20))
    with pytest.raises(UpstreamError) as raised:
        await collected(stream)
    assert type(raised.value) is expected


async def test_the_gateways_cache_status_is_known(transport: Way) -> None:
    states = [
        (await transport.gateway.run(request(cache_key=key))).trace.cache_status
        for key in ("k", "k", None)
    ]
    assert states[:2] == ["MISS", "HIT"]
    assert states[2] != "HIT"


async def test_headers_for_ai_gateway(transport: Way) -> None:
    trace = Trace("a" * 32, "b" * 16)
    asked = request(collect_payload=False, trace=trace, cache_key="k", metadata={"agent": "Zürich"})
    answer = await transport.gateway.run(asked)
    assert answer.trace.log_id
    call = (await transport.calls())[-1]
    assert call["metadata"] == {"agent": "Zürich"}
    sent = call["headers"]
    assert sent["cf-aig-metadata"].isascii()
    expected = {
        "cf-aig-cache-key": "k",
        "cf-aig-cache-ttl": "3600",
        "cf-aig-request-timeout": "5000",
        "cf-aig-collect-log-payload": "false",
        "cf-aig-otel-trace-id": "a" * 32,
        "cf-aig-otel-parent-span-id": "b" * 16,
    }
    assert expected.items() <= sent.items()


async def test_headers_of_a_plain_request_for_ai_gateway(transport: Way) -> None:
    await transport.gateway.run(request())
    call = (await transport.calls())[-1]
    assert call["headers"]["cf-aig-skip-cache"] == "true"
    assert "cf-aig-cache-key" not in call["headers"]
    assert "cf-aig-collect-log-payload" not in call["headers"]


async def test_the_script_keeps_streams_and_answers_apart() -> None:
    way = build_way("scripted")
    await way.set_outcome(ModelAnswer(content="x"))
    with pytest.raises(UpstreamError):
        await way.gateway.stream(request())
    way.streams([], Streamed([]).parts)
    with pytest.raises(UpstreamError):
        await way.gateway.run(request())
