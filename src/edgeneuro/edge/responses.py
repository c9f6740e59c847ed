"""Responses on their way out, whole or part by part."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import suppress
from typing import Any

import js
from pyodide.ffi import JsException, create_proxy, to_js
from workers import Response as WorkersResponse

from edgeneuro.web.response import Response

_WITHOUT_BODY = (204, 304)


def workers_response(
    response: Response, signal: Any, background: Callable[[Coroutine[Any, Any, None]], Any]
) -> Any:
    """`signal` is the request's: it fires when the client has gone away."""
    body: Any = response.body
    if response.status in _WITHOUT_BODY:
        body = None
    elif not isinstance(body, str):
        pipe = js.TransformStream.new()
        background(_send(body, pipe.writable.getWriter(), signal))
        body = pipe.readable
    return WorkersResponse(body, status=response.status, headers=response.headers)


async def _send(parts: AsyncGenerator[bytes, None], writer: Any, signal: Any) -> None:
    """Ends at once where the client goes away, and closes the parts, so that whoever makes them
    stops. A write would not tell: it then stays pending for ever."""
    writing = asyncio.ensure_future(_write(parts, writer))
    leave = create_proxy(lambda event: writing.cancel())
    signal.addEventListener("abort", leave)
    try:
        await asyncio.wait([writing])
    finally:
        signal.removeEventListener("abort", leave)
        leave.destroy()
        await parts.aclose()


async def _write(parts: AsyncGenerator[bytes, None], writer: Any) -> None:
    """Each part is made when the one before has been taken. A failure breaks the stream off, so
    that the client does not take it for complete."""
    try:
        async for part in parts:
            await writer.write(to_js(part))
        await writer.close()
    except Exception as error:
        with suppress(JsException):
            await writer.abort(str(error))
