"""The seam to HTTP: one request out, its response in as it comes."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from edgeneuro.errors import InvalidOutputError


class HttpResponse(Protocol):
    """`chunks` is read once; its `aclose()` stops the upstream."""

    @property
    def status(self) -> int: ...

    def header(self, name: str, /) -> str | None: ...

    def chunks(self) -> AsyncGenerator[bytes, None]: ...


@dataclass(frozen=True)
class SizedBody:
    """A body that is sent as it is made: `size` bytes in all."""

    size: int
    chunks: AsyncGenerator[bytes, None]


class Fetch(Protocol):
    async def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | SizedBody, /
    ) -> HttpResponse:
        """Follows no redirect; an empty body is none. Raises OSError where the network fails. A
        caller that no longer waits has stopped the upstream."""


async def read_start(response: HttpResponse, *, limit: int) -> bytes:
    """The body's first bytes, at least `limit` of them where there are so many."""
    start = b""
    async with aclosing(response.chunks()) as chunks:
        async for chunk in chunks:
            start += chunk
            if len(start) >= limit:
                break
    return start


async def read_whole(response: HttpResponse, *, limit: int) -> bytes:
    """The whole body. Raises InvalidOutputError, and stops the upstream, where it is larger."""
    parts: list[bytes] = []
    size = 0
    async with aclosing(response.chunks()) as chunks:
        async for chunk in chunks:
            size += len(chunk)
            if size > limit:
                raise InvalidOutputError(f"The answer is too large: more than {limit} bytes.")
            parts.append(chunk)
    return b"".join(parts)
