"""The openai engine against a small server that speaks OpenAI's contract, in process."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from local.engines.openai import OpenAi
from tests.local.emulator import GLM, LLAMA, MISTRAL_LORA, Emulator, Json, build_emulator
from tests.local.test_streams import events

SCHEMA = {"type": "object", "properties": {"agent": {"enum": ["it", "none"]}}}
ASKED: Json = {
    "messages": [{"role": "system", "content": "Choose."}, {"role": "user", "content": "vpn"}],
    "response_format": {"type": "json_schema", "json_schema": SCHEMA},
    "temperature": 0,
    "top_p": 0.9,
    "seed": 7,
    "max_tokens": 32,
}


class Server:
    """Answers chat completions and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Json] = []
        self.keys: list[str | None] = []
        self.content: Any = '{"agent": "it", "confidence": 0.9}'
        self.more: Json = {}
        self.models: Any = {"object": "list", "data": [{"id": "tiny"}, {"id": "large"}]}
        self.answer: Callable[[], Response] | None = None

    async def chat(self, request: Request) -> Response:
        self.asked.append(await request.json())
        self.keys.append(request.headers.get("authorization"))
        if self.answer is not None:
            return self.answer()
        message = {"role": "assistant", "content": self.content, **self.more}
        choice = {"message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}
        return JSONResponse({"choices": [choice], "usage": usage})

    async def list_models(self, request: Request) -> Response:
        return JSONResponse(self.models)

    def engine(self, **settings: Any) -> OpenAi:
        routes = [
            Route("/v1/chat/completions", self.chat, methods=["POST"]),
            Route("/v1/models", self.list_models),
        ]
        transport = httpx.ASGITransport(Starlette(routes=routes))
        return OpenAi("http://server/v1/", transport=transport, **settings)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def emulator(server: Server) -> Emulator:
    return build_emulator(server.engine())


async def test_everything_is_forwarded_and_mapped_back(server: Server, emulator: Emulator) -> None:
    answer = await emulator.run(ASKED)
    assert server.asked == [
        {
            "model": "tiny",
            "messages": ASKED["messages"],
            "max_tokens": 32,
            "temperature": 0.0,
            "top_p": 0.9,
            "seed": 7,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True},
            },
        }
    ]
    assert answer.headers["x-local-engine"] == "openai"
    assert answer.json()["result"] == {
        "response": {"agent": "it", "confidence": 0.9},
        "tool_calls": [],
        "usage": {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16},
        "metadata": {"engine": "openai", "model": "tiny"},
    }


async def test_newer_models_get_the_text(emulator: Emulator) -> None:
    choice = (await emulator.run(ASKED, GLM)).json()["result"]["choices"][0]
    assert json.loads(choice["message"]["content"])["agent"] == "it"


async def test_a_prompt_is_one_user_message_and_defaults_stay_small(
    server: Server, emulator: Emulator
) -> None:
    await emulator.run({"prompt": "hello"})
    assert server.asked == [
        {
            "model": "tiny",
            "messages": [{"role": "user", "content": "hello"}],
            "max_tokens": 256,
        }
    ]


async def test_json_object_mode(server: Server, emulator: Emulator) -> None:
    await emulator.run({"prompt": "hello", "response_format": {"type": "json_object"}})
    assert server.asked[0]["response_format"] == {"type": "json_object"}


async def test_prose_in_json_mode_cannot_be_met(server: Server, emulator: Emulator) -> None:
    for content in ("Sure!", "[1]"):
        server.content = content
        answer = await emulator.run(ASKED)
        assert answer.json()["errors"][0]["code"] == 5024


async def test_an_adapter_is_said_not_to_be_applied(emulator: Emulator) -> None:
    answer = await emulator.run({"prompt": "hello", "lora": "intent-routing-v1"}, MISTRAL_LORA)
    assert "not applied" in answer.json()["result"]["metadata"]["lora"]


async def test_the_named_model_and_the_key_are_sent(server: Server) -> None:
    emulator = build_emulator(server.engine(model="large", key="sk-1"))
    await emulator.run()
    assert server.asked[0]["model"] == "large"
    assert server.keys == ["Bearer sk-1"]


async def test_a_missing_text_is_an_empty_one(server: Server, emulator: Emulator) -> None:
    server.content = None
    assert (await emulator.run()).json()["result"]["response"] == ""


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (lambda: Response(status_code=429, headers={"retry-after": "3"}), 429, 3040),
        (lambda: Response(status_code=429, headers={"retry-after": "soon"}), 429, 3040),
        (lambda: Response(status_code=504), 408, 3007),
        (lambda: Response(status_code=500), 500, 3043),
        (lambda: Response(status_code=401), 500, 3043),
        (lambda: PlainTextResponse("<html>"), 500, 3043),
        (lambda: JSONResponse({"choices": []}), 500, 3043),
        (lambda: JSONResponse([]), 500, 3043),
        (lambda: JSONResponse({"choices": [{"message": {"content": 5}}]}), 500, 3043),
    ],
)
async def test_upstream_faults_become_workers_ai_errors(
    server: Server, emulator: Emulator, answer: Callable[[], Response], status: int, code: int
) -> None:
    server.answer = answer
    got = await emulator.run()
    assert got.status_code == status
    assert got.json()["errors"][0]["code"] == code
    assert "Traceback" not in got.text
    if answer().headers.get("retry-after") == "3":
        assert got.headers["retry-after"] == "3"


async def test_a_server_without_models(server: Server, emulator: Emulator) -> None:
    server.models = {"data": []}
    assert (await emulator.run()).json()["errors"][0]["code"] == 3043


# Tools

TOOL: Json = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}
CALL: Json = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "get_weather", "arguments": '{"agent": "it"}'},
}


async def test_tools_and_calls_pass_through(server: Server, emulator: Emulator) -> None:
    server.content = None
    server.more = {"tool_calls": [CALL]}
    messages: list[Json] = [
        {"role": "user", "content": "rain?"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "content": "no", "tool_call_id": "call_1"},
    ]
    choice = {"type": "function", "function": {"name": "get_weather"}}
    answer = await emulator.run({"messages": messages, "tools": [TOOL], "tool_choice": choice}, GLM)
    asked = server.asked[0]
    assert asked["messages"] == messages
    assert asked["tools"][0]["function"]["parameters"] == SCHEMA
    assert asked["tool_choice"] == choice
    returned = answer.json()["result"]["choices"][0]
    assert returned["message"] == {"role": "assistant", "content": None, "tool_calls": [CALL]}
    assert returned["finish_reason"] == "tool_calls"


async def test_a_classic_answer_has_the_arguments_parsed(
    server: Server, emulator: Emulator
) -> None:
    server.more = {"tool_calls": [CALL]}
    server.content = None
    result = (await emulator.run({"prompt": "rain?", "tools": [TOOL]})).json()["result"]
    assert result["tool_calls"] == [{"name": "get_weather", "arguments": {"agent": "it"}}]


# Streams


def sse(*data: Any, done: bool = True) -> Callable[[], Response]:
    lines = [f"data: {json.dumps(item)}\n\n" for item in data] + ["data: [DONE]\n\n"] * done
    return lambda: PlainTextResponse(": hello\n\n" + "".join(lines))


def chunk(delta: Json, finish: str | None = None) -> Json:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


USAGE: Json = {"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 2}}


async def test_a_stream_is_passed_on(server: Server, emulator: Emulator) -> None:
    server.answer = sse(
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Hel"}),
        chunk({"content": "lo"}, "length"),
        USAGE,
    )
    answer = await emulator.run({"prompt": "hello", "stream": True})
    *parts, last, done = events(answer.content)
    assert server.asked[0]["stream"] is True
    assert server.asked[0]["stream_options"] == {"include_usage": True}
    assert [part["response"] for part in parts] == ["Hel", "lo"]
    assert last["usage"] == {"prompt_tokens": 11, "completion_tokens": 2, "total_tokens": 13}
    assert done == "[DONE]"


async def test_streamed_tool_calls_are_passed_on(server: Server, emulator: Emulator) -> None:
    first = {"index": 0, "id": "call_1", "function": {"name": "get_weather", "arguments": ""}}
    rest = {"index": 0, "function": {"arguments": '{"agent": "it"}'}}
    server.answer = sse(
        chunk({"tool_calls": [first]}), chunk({"tool_calls": [rest]}), chunk({}, "tool_calls")
    )
    asked = {"prompt": "rain?", "tools": [TOOL], "stream": True}
    classic = events((await emulator.run(asked)).content)
    assert classic[0]["tool_calls"] == [{"name": "get_weather", "arguments": {"agent": "it"}}]
    newer = [c["choices"][0] for c in events((await emulator.run(asked, GLM)).content)[:-1]]
    deltas = [choice["delta"]["tool_calls"][0] for choice in newer[:2]]
    assert deltas[0]["id"] == "call_1"
    assert deltas[1]["function"] == {"arguments": '{"agent": "it"}'}
    assert newer[2]["finish_reason"] == "tool_calls"


async def test_an_upstream_that_fails_to_stream_has_a_status(
    server: Server, emulator: Emulator
) -> None:
    server.answer = lambda: Response(status_code=429)
    answer = await emulator.run({"prompt": "hello", "stream": True})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (429, 3040)


@pytest.mark.parametrize("rest", [[], ["text"]])
async def test_an_upstream_that_breaks_off(
    server: Server, emulator: Emulator, rest: list[Any]
) -> None:
    server.answer = sse(chunk({"content": "Hel"}), *rest, done=False)
    for model in (LLAMA, GLM):
        answer = await emulator.run({"prompt": "hello", "stream": True}, model)
        first, error = events(answer.content)
        assert "Hel" in json.dumps(first)
        assert error["error"]["code"] == 3043
    assert [call["ended"] for call in await emulator.calls()] == ["cut", "cut"]


async def _timeout(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("too slow")


async def _refused(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused")


@pytest.mark.parametrize(("handler", "code"), [(_timeout, 3007), (_refused, 3043)])
async def test_no_answer_at_all(
    handler: Callable[[httpx.Request], Awaitable[httpx.Response]], code: int
) -> None:
    async def handle(request: httpx.Request) -> httpx.Response:
        return await handler(request)

    engine = OpenAi("http://server/v1", model=LLAMA, transport=httpx.MockTransport(handle))
    for stream in (False, True):
        answer = await build_emulator(engine).run({"prompt": "hello", "stream": stream})
        assert answer.json()["errors"][0]["code"] == code
