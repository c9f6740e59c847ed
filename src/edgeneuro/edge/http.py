"""Requests from the runtime as plain Python, their bodies read within limits; responses back to
the runtime, whole or streamed."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import js
from pyodide.ffi import JsException, create_proxy, to_js
from workers import Response as WorkersResponse

from edgeneuro.errors import BodyTooLargeError, ClientClosedRequestError
from edgeneuro.web.request import Request
from edgeneuro.web.response import Response
from edgeneuro.web.streams import ByteStream

_WITHOUT_BODY = (204, 304)


def plain_request(raw: Any) -> Request:
    """`raw` is the runtime's request: the SDK's wrapper copies all headers at each access."""
    url = urlsplit(raw.url)

    def header(name: str) -> str | None:
        value = raw.headers.get(name)
        return value if isinstance(value, str) else None  # JavaScript's null has a type of its own

    return Request(
        method=raw.method,
        path=url.path,
        query_string=url.query,
        header=header,
        read_body=lambda limit: _read_body(raw, limit),
        body_chunks=lambda limit: _chunks(raw, limit),
    )


async def drain_body(raw: Any) -> None:
    """Reads a body that no handler has read. Otherwise the connection is reset, and a client that
    is still sending does not receive the response."""
    if raw.body and not raw.body.locked:
        with suppress(OSError, JsException):  # the client may disconnect
            await raw.body.pipeTo(js.WritableStream.new())


async def _read_body(raw: Any, limit: int) -> bytes:
    """The body. A body with a content-length is read in one call: the runtime enforces the
    length."""
    if not raw.body:
        return b""
    if _length(raw) is None:
        return b"".join([chunk async for chunk in _chunks(raw, limit)])
    _require_within(raw, limit)
    try:
        content: bytes = (await raw.arrayBuffer()).to_bytes()
    except JsException as error:
        raise _client_gone() from error
    return content


async def _chunks(raw: Any, limit: int) -> AsyncGenerator[bytes, None]:
    """The body as it arrives, up to the limit. `drain_body` reads the rest."""
    if not raw.body:
        return
    _require_within(raw, limit)
    reader = raw.body.getReader()
    size = 0
    try:
        while not (chunk := await reader.read()).done:
            content = chunk.value.to_bytes()
            size += len(content)
            if size > limit:
                raise _too_large(limit)
            yield content
    except JsException as error:
        raise _client_gone() from error
    finally:
        reader.releaseLock()


def _length(raw: Any) -> int | None:
    length = raw.headers.get("content-length")
    return int(length) if isinstance(length, str) and length.isdecimal() else None


def _require_within(raw: Any, limit: int) -> None:
    if (_length(raw) or 0) > limit:
        raise _too_large(limit)


def _client_gone() -> ClientClosedRequestError:
    return ClientClosedRequestError("The client closed the connection before its body was sent.")


def _too_large(limit: int) -> BodyTooLargeError:
    return BodyTooLargeError(f"The body is larger than {limit} bytes; send a smaller one.")


def workers_response(
    response: Response, signal: Any, background: Callable[[Coroutine[Any, Any, None]], Any]
) -> Any:
    """`signal` is the request's: it fires when the client disconnects."""
    body: Any = response.body
    if response.status in _WITHOUT_BODY:
        body = None
    elif not isinstance(body, str):
        pipe = js.TransformStream.new()
        background(_send(body, pipe.writable.getWriter(), signal))
        body = pipe.readable
    return WorkersResponse(body, status=response.status, headers=response.headers)


async def _send(parts: ByteStream, writer: Any, signal: Any) -> None:
    """Ends at once if the client disconnects, and closes the parts, so that their generator stops.
    A write does not report a disconnect: it stays pending forever."""
    writing = asyncio.ensure_future(_write(parts, writer))
    leave = create_proxy(lambda event: writing.cancel())
    signal.addEventListener("abort", leave)
    try:
        await asyncio.wait([writing])
    finally:
        signal.removeEventListener("abort", leave)
        leave.destroy()
        await parts.aclose()


async def _write(parts: ByteStream, writer: Any) -> None:
    """A part is made when the client has read the one before. A failure aborts the stream, so that
    the client does not treat it as complete."""
    try:
        async for part in parts:
            await writer.write(to_js(part))
        await writer.close()
    except Exception as error:
        with suppress(JsException):
            await writer.abort(str(error))
