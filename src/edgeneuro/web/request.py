"""The request, independent of the runtime, and its body decompressed within a limit."""

import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass

from edgeneuro.errors import BodyTooLargeError, InvalidRequestError, UnsupportedEncodingError

_SUPPORTED = "gzip, deflate"
_GZIP_BITS, _ZLIB_BITS, _RAW_BITS = 31, 15, -15
_PART_BYTES = 256 * 1024


@dataclass(frozen=True)
class Request:
    """`path` is raw (still percent-encoded) and without the query string. `header` looks up a
    header; case does not matter. `read_body(limit)` returns the body and raises BodyTooLargeError
    before it holds more than the limit; `body_chunks(limit)` yields the body as it arrives, and
    raises the same error before it exceeds the limit."""

    method: str
    path: str
    query_string: str
    header: Callable[[str], str | None]
    read_body: Callable[[int], Awaitable[bytes]]
    body_chunks: Callable[[int], AsyncGenerator[bytes, None]]


def read_encoding(content_encoding: str | None) -> str | None:
    """ "gzip" or "deflate"; None for a body that is not compressed. Raises
    UnsupportedEncodingError."""
    encoding = (content_encoding or "").strip().lower().removeprefix("x-")
    if encoding in ("", "identity"):
        return None
    if encoding not in ("gzip", "deflate"):
        raise UnsupportedEncodingError(
            f"The body's Content-Encoding cannot be read; send it as {_SUPPORTED}, or without one.",
            param="Content-Encoding",
            headers={"accept-encoding": _SUPPORTED},
        )
    return encoding


async def decoded(
    chunks: AsyncGenerator[bytes, None], encoding: str, *, limit: int
) -> AsyncGenerator[bytes, None]:
    """The decompressed chunks, of at most 256 KB each. Raises BodyTooLargeError before they exceed
    `limit` bytes, InvalidRequestError for a body that is not in that encoding."""
    inflater = _Inflater(encoding)
    size = 0
    try:
        async with aclosing(chunks):
            async for chunk in chunks:
                for part in inflater.feed(chunk):
                    size += len(part)
                    if size > limit:
                        raise BodyTooLargeError(
                            f"The body is larger than {limit} bytes once decompressed."
                        )
                    yield part
    except zlib.error as error:
        raise _invalid(encoding) from error
    if not inflater.has_ended:
        raise _invalid(encoding)


class _Inflater:
    """Several gzip members after each other are one body."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._stream: zlib._Decompress | None = None

    @property
    def has_ended(self) -> bool:
        return self._stream is not None and self._stream.eof

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._stream is None or self._stream.eof:
                self._stream = zlib.decompressobj(self._bits(data))
            part = self._stream.decompress(data, _PART_BYTES)
            if part:
                yield part
            data = self._stream.unused_data or self._stream.unconsumed_tail

    def _bits(self, data: bytes) -> int:
        """Some clients send raw deflate, without zlib's header."""
        if self._encoding == "gzip":
            return _GZIP_BITS
        is_zlib = data[0] & 15 == 8 and (len(data) < 2 or int.from_bytes(data[:2], "big") % 31 == 0)
        return _ZLIB_BITS if is_zlib else _RAW_BITS


def _invalid(encoding: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"The body is not {encoding}, or was cut short; send it whole, or without a"
        " Content-Encoding.",
        code="invalid_encoding",
        param="Content-Encoding",
    )
