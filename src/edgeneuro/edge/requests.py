"""Requests as the product sees them, their bodies read within limits."""

from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import js
from pyodide.ffi import JsException

from edgeneuro.errors import BodyTooLargeError
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
    )


async def pass_over_rest(raw: Any) -> None:
    """Lets a body that nobody wanted run out. Left unread it resets the connection, and a client
    that is still sending never sees the answer."""
    if raw.body and not raw.body.locked:
        with suppress(OSError, JsException):  # the client may go away
            await raw.body.pipeTo(js.WritableStream.new())


async def _read_body(raw: Any, limit: int) -> bytes:
    """The body. One that declares its length is read at once, since the runtime holds it to that;
    any other is read no further than the limit."""
    if not raw.body:
        return b""
    length = raw.headers.get("content-length")
    if isinstance(length, str) and length.isdecimal():
        if int(length) > limit:
            raise _too_large(limit)
        content: bytes = (await raw.arrayBuffer()).to_bytes()
        return content
    reader = raw.body.getReader()
    parts: list[bytes] = []
    size = 0
    while not (chunk := await reader.read()).done:
        parts.append(chunk.value.to_bytes())
        size += len(parts[-1])
        if size > limit:
            reader.releaseLock()
            raise _too_large(limit)
    return b"".join(parts)


def _too_large(limit: int) -> BodyTooLargeError:
    return BodyTooLargeError(f"The body is larger than {limit} bytes; send a smaller one.")
