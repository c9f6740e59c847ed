"""Streams whose first part is long in coming: the response begins with comments, and what comes of
the wait is in the events."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Iterator
from dataclasses import replace
from typing import Any

import pytest

from edgeneuro.app.routes import ROUTES
from edgeneuro.call import Call
from edgeneuro.domain.chat import ChatRequest
from edgeneuro.domain.trace import continue_trace
from edgeneuro.errors import UpstreamCapacityError
from edgeneuro.gateway.interface import ModelRequest, ModelStream
from edgeneuro.synapsecore.chat.api import create_chat_completion
from edgeneuro.web.auth import ADMIN_TOKEN
from edgeneuro.web.response import Response
from edgeneuro.web.routing import RouteTable
from edgeneuro_testing.gateway import ScriptedGateway
from tests.unit.chats import LLAMA, events, said, streams, user
from tests.unit.conftest import Product

COMMENT = b": \n\n"


class SlowGateway(ScriptedGateway):
    """A model that says nothing before the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = asyncio.Event()
        self.cancelled = 0

    async def stream(self, request: ModelRequest, /) -> ModelStream:
        try:
            await self.may_answer.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return await super().stream(request)


class Waiting:
    """A call whose response began before there was a first part."""

    def __init__(self, product: Product, gateway: SlowGateway, model: str = LLAMA) -> None:
        self.product = Product(product.database, product.services.settings, gateway=gateway)
        self.gateway = gateway
        self.background: list[Coroutine[Any, Any, None]] = []
        self._model = model

    async def response(self, **options: Any) -> Response:
        services = replace(self.product.services, stream_silence_seconds=0)
        body = ChatRequest.model_validate(
            {"model": self._model, "messages": [user()], "stream": True, **options}
        )
        trace = continue_trace(None, services.new_hex)
        call = Call(
            services, ADMIN_TOKEN, "req_1", self.background.append, RouteTable(ROUTES), trace
        )
        self.call = call
        response = await create_chat_completion(call, body)
        assert isinstance(response, Response)
        return response

    async def logs(self) -> list[dict[str, Any]]:
        for work in self.background:
            await work
        self.background.clear()
        return await self.product.logs()


async def rest_of(stream: AsyncGenerator[bytes, None]) -> str:
    """What comes after the comments."""
    return b"".join([part async for part in stream if part != COMMENT]).decode()


@pytest.fixture
def waiting(product: Product) -> Iterator[Waiting]:
    waiting = Waiting(product, SlowGateway())
    yield waiting
    for work in waiting.background:
        work.close()


async def begun(waiting: Waiting, **options: Any) -> AsyncGenerator[bytes, None]:
    response = await waiting.response(**options)
    assert response.status == 200
    assert response.headers == {"content-type": "text/event-stream"}
    assert isinstance(response.body, AsyncGenerator)
    assert [await anext(response.body) for _ in range(3)] == [COMMENT] * 3
    return response.body


async def test_the_answer_follows_the_comments(waiting: Waiting) -> None:
    stream = await begun(waiting)
    waiting.gateway.enqueue(streams("Thirty", " days"))
    waiting.gateway.may_answer.set()
    *chunks, done = events(await rest_of(stream))
    assert (said(chunks), done) == ("Thirty days", "[DONE]")
    assert chunks[0]["edgeneuro"]["decision_id"] == (await waiting.logs())[0]["id"]
    [entry] = await waiting.logs()
    assert (entry["status"], entry["ending"]) == (200, "complete")


async def test_a_failure_is_an_event_and_nothing_follows_it(waiting: Waiting) -> None:
    stream = await begun(waiting, edgeneuro={"fallback": False})
    failure = UpstreamCapacityError("busy", upstream_code="3040")
    waiting.gateway.enqueue(*[failure] * 4)
    waiting.gateway.may_answer.set()
    [last] = events(await rest_of(stream))
    assert last["error"]["code"] == "upstream_capacity"
    assert last["request_id"] == "req_1"
    [entry] = await waiting.logs()
    assert (entry["status"], entry["ending"], entry["reason"]) == (200, "cut", "capacity")
    assert waiting.call.facts["error_code"] == "upstream_capacity"
    metrics = (await waiting.product.call("GET", "/metrics")).text
    assert 'edgeneuro_streams_total{ending="cut"} 1' in metrics


async def test_a_fault_of_ours_is_an_event_without_its_words(waiting: Waiting) -> None:
    stream = await begun(waiting)
    waiting.gateway.enqueue(ZeroDivisionError("secret"))
    waiting.gateway.may_answer.set()
    text = await rest_of(stream)
    assert events(text)[-1]["error"]["code"] == "internal_error"
    assert "secret" not in text
    assert waiting.product.failures.counts == {"stream": 1}


async def test_a_client_that_leaves_while_it_waits_stops_the_model(waiting: Waiting) -> None:
    stream = await begun(waiting)
    await stream.aclose()
    assert waiting.gateway.cancelled == 1
    [entry] = await waiting.logs()
    assert (entry["status"], entry["ending"], entry["model"]) == (200, "client_gone", None)


async def test_a_client_that_leaves_when_the_answer_is_there_stops_the_model(
    waiting: Waiting,
) -> None:
    stream = await begun(waiting)
    waiting.gateway.enqueue(streams("Thirty", " days"))
    waiting.gateway.may_answer.set()
    for _ in range(20):  # the answer is there, and nobody takes it
        await asyncio.sleep(0)
    await stream.aclose()
    assert waiting.gateway.stopped == 1
    [entry] = await waiting.logs()
    assert entry["ending"] == "client_gone"


async def test_a_reader_that_is_cancelled_before_the_first_comment(waiting: Waiting) -> None:
    making = asyncio.create_task(waiting.response())
    await asyncio.sleep(0)
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
