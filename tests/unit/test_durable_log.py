"""DURABLE_LOG: an answer leaves only after its log row is written."""

from dataclasses import replace
from typing import Any

import pytest

from edgeneuro.app.application import App, build_app
from edgeneuro.call import Background
from edgeneuro.errors import UpstreamTimeoutError
from edgeneuro.web.request import Request
from edgeneuro.web.response import Response
from tests.unit.chats import LLAMA, streams, talks, user
from tests.unit.conftest import Product, says
from tests.unit.decisions import CLEF, URGENT, decided, yes
from tests.unit.test_app import assert_error

ROUTE, CHAT = "/v1/route", "/v1/chat/completions"
CALLS: dict[str, tuple[str, Any, tuple[Any, ...], int]] = {
    "asked": (ROUTE, {"query": "Leave?"}, (says("hr"),), 200),
    "in a session": (ROUTE, {"query": "Leave?", "session": "s", "user": "u"}, (says("hr"),), 200),
    "failed": (ROUTE, {"query": "Leave?", "fallback": False}, (UpstreamTimeoutError("slow"),), 504),
    "a named model": (CHAT, {"model": LLAMA, "messages": [user()]}, (talks(),), 200),
    "a failed chat": (
        CHAT,
        {"model": LLAMA, "messages": [user()]},
        (UpstreamTimeoutError("slow"),),
        504,
    ),
    "routed": (CHAT, {"model": "auto", "messages": [user()]}, (says("hr"), talks()), 200),
    "a question to a model": (
        "/v1/decisions",
        {"model": CLEF, "input": "Leave?", "questions": [URGENT]},
        (decided({"urgent": yes()}),),
        200,
    ),
}


class Watched:
    """The app, and the log rows that there were whenever an answer left it."""

    def __init__(self, product: Product, *, durable: bool = True) -> None:
        settings = replace(product.services.settings, durable_log=durable)
        product.services = replace(product.services, settings=settings)
        self._app = build_app(product.services)
        self._product = product
        self.rows: list[int] = []

    async def handle(self, request: Request, background: Background) -> Response:
        response = await self._app.handle(request, background)
        [row] = self._product.rows("SELECT count(*) AS n FROM logs")
        self.rows.append(row["n"])
        return response


@pytest.fixture
async def durable(product: Product) -> Watched:
    await product.call("PATCH", "/v1/config", {"max_retries": 0, "fallback_models": []})
    watched = Watched(product)
    product.app = as_app(watched)
    return watched


def as_app(watched: Watched) -> App:
    app: Any = watched
    return app  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", CALLS)
async def test_the_row_is_there_when_the_answer_leaves(
    product: Product, durable: Watched, name: str
) -> None:
    path, body, answers, status = CALLS[name]
    product.gateway.enqueue(*answers)
    assert (await product.call("POST", path, body)).status == status
    assert durable.rows == [1]
    [row] = await product.logs()
    assert row["status"] == status
    if path == ROUTE and status == 200:  # from the cache
        assert (await product.call("POST", path, body)).status == 200
        assert durable.rows[-1] == 2


async def test_otherwise_it_is_written_after_the_answer(product: Product) -> None:
    watched = Watched(product, durable=False)
    product.app = as_app(watched)
    product.gateway.enqueue(says("hr"))
    await product.route("Leave?")
    assert watched.rows == [0]
    assert len(await product.logs()) == 1


async def test_a_stream_ends_after_its_row_is_written(product: Product, durable: Watched) -> None:
    product.gateway.enqueue(streams("Thirty ", "days."))
    body = {"model": LLAMA, "messages": [user()], "stream": True}
    answered = await product.call("POST", CHAT, body)
    assert answered.text.rstrip().endswith("[DONE]")
    assert len(await product.logs()) == 1
    assert durable.rows[0] == 0


async def test_without_its_row_no_answer_leaves(product: Product, durable: Watched) -> None:
    product.gateway.enqueue(says("hr"), says("hr"))
    began = product.clock.seconds
    product.execute("CREATE TEMP TABLE refusals (n)")
    product.execute(
        "CREATE TEMP TRIGGER away BEFORE INSERT ON main.logs"
        " BEGIN SELECT raise(ABORT, 'D1_ERROR: Network connection lost.'); END"
    )
    assert_error(await product.route("Leave?"), 503, "database_unavailable")
    assert 5 < product.clock.seconds - began <= 12
    assert product.failures.counts["log_write"] == 1
    product.execute("DROP TRIGGER away")
    assert (await product.route("Leave?")).status == 200
    assert len(await product.logs()) == 1


async def test_a_row_that_d1_refuses_holds_no_answer_back(
    product: Product, durable: Watched
) -> None:
    """It is kept as a dead letter, which is written as durably."""
    product.gateway.enqueue(says("hr"))
    product.execute(
        "CREATE TEMP TRIGGER refused BEFORE INSERT ON main.logs"
        " BEGIN SELECT raise(ABORT, 'no such column'); END"
    )
    assert (await product.route("Leave?")).status == 200
    product.execute("DROP TRIGGER refused")
    assert len((await product.call("GET", "/v1/dead_letters")).json()["data"]) == 1
