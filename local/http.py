"""Between ASGI and Answer: bodies in, answers out, and a client that hangs up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from local.answers import Answer, ConnectionDropped


class NoJson(ValueError):
    """The body is not JSON."""


async def read_json(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except ValueError as exc:
        raise NoJson from exc


async def respond(request: Request, work: Awaitable[Answer]) -> Response:
    """Waits for the answer as long as the client does; the body must have been read before."""
    answering = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_client_left(request))
    try:
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            return Response(status_code=499)  # nobody reads it
        answer = answering.result()
    except ConnectionDropped:
        return await _drop(request)
    finally:
        answering.cancel()
        leaving.cancel()
        await asyncio.gather(answering, leaving, return_exceptions=True)
    return Response(answer.content, answer.status, dict(answer.headers), answer.media_type)


async def _client_left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _drop(request: Request) -> Response:
    """Closes the connection without an answer. ASGI has no word for that, so this reaches for
    uvicorn's transport; under any other server the error surfaces there."""
    cycle = getattr(request.receive, "__self__", None)
    transport = getattr(cycle, "transport", None)
    if transport is None:
        raise ConnectionDropped
    transport.abort()
    await asyncio.sleep(0)  # lets uvicorn notice, so that the response below goes nowhere
    return Response(status_code=499)
