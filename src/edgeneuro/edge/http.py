"""Requests from the runtime as plain Python, their bodies read within limits; responses back to
the runtime, whole or streamed."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import js
from pyodide.ffi import JsException, create_proxy, to_js

from edgeneuro.edge.crossing import js_json
from edgeneuro.errors import BodyTooLargeError, ClientClosedRequestError
from edgeneuro.web.request import Request
from edgeneuro.web.response import Response
from edgeneuro.web.streams import ByteStream

_WITHOUT_BODY = (204, 304)


class IncomingBody:
    """The body of the runtime's request. `raw.body` makes a stream, so it is asked for only if the
    body was not read in one call."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._is_whole = False

    async def read(self, limit: int) -> bytes:
        """The body. A body with a content-length is read in one call: the runtime enforces the
        length."""
        raw = self._raw
        if _length(raw) is None:
            return b"".join([chunk async for chunk in self.chunks(limit)])
        _require_within(raw, limit)
        try:
            content: bytes = (await raw.arrayBuffer()).to_bytes()
        except JsException as error:
            raise _client_gone() from error
        self._is_whole = True
        return content

    async def chunks(self, limit: int) -> AsyncGenerator[bytes, None]:
        """The body as it arrives, up to the limit. `drain` reads the rest."""
        raw = self._raw
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

    async def drain(self) -> None:
        """Reads a body that no handler has read. Otherwise the connection is reset, and a client
        that is still sending does not receive the response."""
        raw = self._raw
        if not self._is_whole and raw.body and not raw.body.locked:
            with suppress(OSError, JsException):  # the client may disconnect
                await raw.body.pipeTo(js.WritableStream.new())


def plain_request(raw: Any, body: IncomingBody) -> Request:
    """`raw` is the runtime's request: the SDK's wrapper copies all headers at each access."""
    url = urlsplit(raw.url)
    get = raw.headers.get

    def header(name: str) -> str | None:
        value = get(name)
        return value if isinstance(value, str) else None  # JavaScript's null has a type of its own

    return Request(
        method=raw.method,
        path=url.path,
        query_string=url.query,
        header=header,
        read_body=body.read,
        body_chunks=body.chunks,
    )


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
    response: Response, raw: Any, background: Callable[[Coroutine[Any, Any, None]], Any]
) -> Any:
    """`raw` is the runtime's request: its signal fires when the client disconnects. The SDK's
    wrapper takes four times as long."""
    body: Any = response.body
    if response.status in _WITHOUT_BODY:
        body = None
    elif not isinstance(body, str):
        pipe = js.TransformStream.new()
        background(_send(body, pipe.writable.getWriter(), raw.signal))
        body = pipe.readable
    init = js_json({"status": response.status, "headers": response.headers})
    return js.Response.new(body, init)


async def _send(parts: ByteStream, writer: Any, signal: Any) -> None:
    """Ends at once if the client disconnects, and closes the parts, so that their generator stops.
    A write does not report a disconnect: it stays pending forever."""
    if signal.aborted:  # no event will say so
        await parts.aclose()
        return
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
