"""The fault matrix in process: the product over SQLite, with the AI binding and the way to vendors'
hosts leading to local/."""

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

import httpx
import pytest

from edgeneuro.settings import Settings
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.conftest import ADMIN_TOKEN, GENERAL, HR, IT, SCHEMA, Product
from tests.unit.emulated import emulated_product
from tests.worker.fault_matrix import IN_PROCESS, MATRIX, OVER_HTTP, WAYS, Row, Way
from tests.worker.faulty import Faulty, require_cell


class OverProduct(httpx.BaseTransport):
    """What httpx asks goes to the product by its one event loop."""

    def __init__(self, loop: asyncio.Runner, product: Product) -> None:
        self._loop = loop
        self._product = product

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answered = self._loop.run(
            self._product.call(
                request.method,
                request.url.raw_path.decode(),
                request.read() or None,
                headers=dict(request.headers),
            )
        )
        return httpx.Response(answered.status, headers=answered.headers, text=answered.text)


class OverAsgi(httpx.BaseTransport):
    """The same for an ASGI application."""

    def __init__(self, loop: asyncio.Runner, client: httpx.AsyncClient) -> None:
        self._loop = loop
        self._client = client

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        async def ask() -> httpx.Response:
            answer = await self._client.request(
                request.method, request.url.path, content=request.read(), headers=request.headers
            )
            return httpx.Response(answer.status_code, content=answer.content)

        return self._loop.run(ask())


def no_execute(statements: Iterable[str]) -> list[Any]:
    raise AssertionError("the faults of D1 are tried against workerd")


@pytest.fixture(scope="module")
def faulty() -> Iterator[Faulty]:
    database = SqliteDatabase(SCHEMA)
    settings = Settings(
        routing_model="@cf/meta/llama-3.2-1b-instruct",
        ai_gateway_url="https://gateway.ai.cloudflare.com/v1/account/edge",
        admin_token=ADMIN_TOKEN,
    )
    product, emulator = emulated_product(database, settings)
    with (
        asyncio.Runner() as loop,
        httpx.Client(transport=OverProduct(loop, product), base_url="http://product") as client,
        httpx.Client(
            transport=OverAsgi(loop, emulator.client), base_url="http://localhost"
        ) as control,
    ):
        for agent in (IT, HR, GENERAL):
            client.post("/v1/agents", json=agent).raise_for_status()
        yield Faulty(client, control, no_execute)
    database.close()


def _id(part: Row | Way) -> str:
    return part.name if isinstance(part, Row) else part


@pytest.mark.parametrize(("row", "way"), IN_PROCESS, ids=_id)
def test_what_comes_of_a_fault(faulty: Faulty, row: Row, way: Way) -> None:
    require_cell(faulty, row, way)


def test_every_cell_is_tried_somewhere() -> None:
    tried = {(row.name, way) for row, way in (*IN_PROCESS, *OVER_HTTP)}
    assert tried == {(row.name, way) for row in MATRIX for way in WAYS}
