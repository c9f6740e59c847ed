"""The unit tests' product behind a real port, for tools that speak HTTP."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from edgeneuro.errors import BodyTooLargeError
from edgeneuro.web.request import Request
from tests.unit.conftest import Product


@asynccontextmanager
async def serving(product: Product) -> AsyncIterator[str]:
    """The product's address, while it is served by this event loop."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await _answer(product, scope, receive, send)

    config = uvicorn.Config(app, port=0, lifespan="off", log_level="error")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


async def _answer(product: Product, scope: Any, receive: Any, send: Any) -> None:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}

    async def body_chunks(limit: int) -> AsyncGenerator[bytes, None]:
        size, more = 0, True
        while more:
            message = await receive()
            part, more = message.get("body", b""), message.get("more_body", False)
            size += len(part)
            if size > limit:
                raise BodyTooLargeError(f"The body is larger than {limit} bytes.")
            yield part

    async def read_body(limit: int) -> bytes:
        return b"".join([part async for part in body_chunks(limit)])

    request = Request(
        scope["method"],
        scope["raw_path"].decode("latin-1"),
        scope["query_string"].decode("latin-1"),
        lambda name: headers.get(name.lower()),
        read_body,
        body_chunks,
    )
    waiting: list[Coroutine[Any, Any, None]] = []
    response = await product.app.handle(request, waiting.append)
    sent = [(name.encode(), value.encode()) for name, value in response.headers.items()]
    await send({"type": "http.response.start", "status": response.status, "headers": sent})
    if isinstance(response.body, str):
        await send({"type": "http.response.body", "body": response.body.encode()})
    else:
        async for part in response.body:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body"})
    for work in waiting:
        await work
