"""Requests as the product sees them, their bodies read within limits."""

from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import js
from pyodide.ffi import JsException

from edgeneuro.errors import BodyTooLargeError, ClientClosedRequestError
from edgeneuro.web.request import Request


def plain_request(raw: Any) -> Request:
    """`raw` is the runtime's own: the SDK's builds all headers anew at each look."""
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


async def pass_over_rest(raw: Any) -> None:
    """Lets a body that nobody wanted run out. Left unread it resets the connection, and a client
    that is still sending never sees the answer."""
    if raw.body and not raw.body.locked:
        with suppress(OSError, JsException):  # the client may go away
            await raw.body.pipeTo(js.WritableStream.new())


async def _read_body(raw: Any, limit: int) -> bytes:
    """The body. One that declares its length is read at once: the runtime holds it to that."""
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
    """The body as it comes, no further than the limit. What is left then is passed over later."""
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
