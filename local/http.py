"""Between ASGI and Answer: bodies in, answers out, and a client that hangs up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from local.answers import Answer, ConnectionDropped, Parts
from local.uploads import is_multipart, read_upload

CLIENT_GONE = 499  # nobody reads it


class NoJson(ValueError):
    """The body is not JSON."""


async def read_body(request: Request) -> None:
    """The whole of it: a form to disk, all else into memory."""
    if is_multipart(request):
        await read_upload(request)
    else:
        await request.body()


async def read_json(request: Request) -> Any:
    if is_multipart(request):
        raise NoJson
    try:
        return json.loads(await request.body())
    except (ValueError, RecursionError) as exc:
        raise NoJson from exc


async def respond(request: Request, work: Awaitable[Answer]) -> Response:
    """Waits for the answer as long as the client does; the body must have been read before."""
    answering = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_client_left(request.receive))
    try:
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            return Response(status_code=CLIENT_GONE)
        answer = answering.result()
    except ConnectionDropped:
        await _drop(request.receive)
        return Response(status_code=CLIENT_GONE)
    finally:
        answering.cancel()
        leaving.cancel()
        await asyncio.gather(answering, leaving, return_exceptions=True)
    if answer.parts is not None:
        return _StreamedResponse(answer, answer.parts)
    return Response(answer.content, answer.status, dict(answer.headers), answer.media_type)


class _StreamedResponse(Response):
    """Closes the parts when the client hangs up, also while none is there to be sent."""

    def __init__(self, answer: Answer, parts: Parts) -> None:
        self.status_code = answer.status
        self.background = None
        self._parts = parts
        # Told as a header: Starlette would append a charset, which Cloudflare does not.
        self.init_headers({**answer.headers, "content-type": answer.media_type})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sending = asyncio.ensure_future(self._send(send))
        leaving = asyncio.ensure_future(_client_left(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        except ConnectionDropped:
            await _drop(receive)
        finally:
            sending.cancel()
            leaving.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)

    async def _send(self, send: Send) -> None:
        async with aclosing(self._parts) as parts:
            first = await anext(parts, b"")  # before any waiting: only what has begun can be closed
            head = {"status": self.status_code, "headers": self.raw_headers}
            await send({"type": "http.response.start", **head})
            await send({"type": "http.response.body", "body": first, "more_body": True})
            async for part in parts:
                await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _client_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _drop(receive: Receive) -> None:
    """Closes the connection in the midst of things. ASGI has no word for that, so this reaches for
    uvicorn's transport; under any other server the error surfaces there."""
    cycle = getattr(receive, "__self__", None)
    transport = getattr(cycle, "transport", None)
    if transport is None:
        raise ConnectionDropped
    transport.close()  # what was written before still goes out
    await _client_left(receive)  # by then uvicorn knows
