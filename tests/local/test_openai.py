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
from tests.local.desk import GLM, LLAMA, MISTRAL_LORA, Desk, Json, build_desk

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
        self.models: Any = {"object": "list", "data": [{"id": "tiny"}, {"id": "large"}]}
        self.answer: Callable[[], Response] | None = None

    async def chat(self, request: Request) -> Response:
        self.asked.append(await request.json())
        self.keys.append(request.headers.get("authorization"))
        if self.answer is not None:
            return self.answer()
        choice = {
            "message": {"role": "assistant", "content": self.content},
            "finish_reason": "stop",
        }
        usage = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}
        return JSONResponse({"choices": [choice], "usage": usage})

    async def list_models(self, request: Request) -> Response:
        return JSONResponse(self.models)

    def engine(self, **settings: str) -> OpenAi:
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
def desk(server: Server) -> Desk:
    return build_desk(server.engine())


async def test_everything_is_forwarded_and_mapped_back(server: Server, desk: Desk) -> None:
    answer = await desk.run(ASKED)
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


async def test_newer_models_get_the_text(desk: Desk) -> None:
    choice = (await desk.run(ASKED, GLM)).json()["result"]["choices"][0]
    assert json.loads(choice["message"]["content"])["agent"] == "it"


async def test_a_prompt_is_one_user_message_and_defaults_stay_small(
    server: Server, desk: Desk
) -> None:
    await desk.run({"prompt": "hello"})
    assert server.asked == [
        {
            "model": "tiny",
            "messages": [{"role": "user", "content": "hello"}],
            "max_tokens": 256,
        }
    ]


async def test_json_object_mode(server: Server, desk: Desk) -> None:
    await desk.run({"prompt": "hello", "response_format": {"type": "json_object"}})
    assert server.asked[0]["response_format"] == {"type": "json_object"}


async def test_prose_in_json_mode_cannot_be_met(server: Server, desk: Desk) -> None:
    for content in ("Sure!", "[1]"):
        server.content = content
        answer = await desk.run(ASKED)
        assert answer.json()["errors"][0]["code"] == 5024


async def test_an_adapter_is_said_not_to_be_applied(desk: Desk) -> None:
    answer = await desk.run({"prompt": "hello", "lora": "intent-routing-v1"}, MISTRAL_LORA)
    assert "not applied" in answer.json()["result"]["metadata"]["lora"]


async def test_the_named_model_and_the_key_are_sent(server: Server) -> None:
    desk = build_desk(server.engine(model="large", key="sk-1"))
    await desk.run()
    assert server.asked[0]["model"] == "large"
    assert server.keys == ["Bearer sk-1"]


async def test_a_missing_text_is_an_empty_one(server: Server, desk: Desk) -> None:
    server.content = None
    assert (await desk.run()).json()["result"]["response"] == ""


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
    server: Server, desk: Desk, answer: Callable[[], Response], status: int, code: int
) -> None:
    server.answer = answer
    got = await desk.run()
    assert got.status_code == status
    assert got.json()["errors"][0]["code"] == code
    assert "Traceback" not in got.text
    if answer().headers.get("retry-after") == "3":
        assert got.headers["retry-after"] == "3"


async def test_a_server_without_models(server: Server, desk: Desk) -> None:
    server.models = {"data": []}
    assert (await desk.run()).json()["errors"][0]["code"] == 3043


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
    answer = await build_desk(engine).run()
    assert answer.json()["errors"][0]["code"] == code
