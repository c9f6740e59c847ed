"""HTTP calls to upstreams: one request out, its response in as it arrives, within a time limit."""

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC
from typing import Protocol

from edgeneuro.errors import EdgeNeuroError, InvalidOutputError, UpstreamTimeoutError
from edgeneuro.gateway.upstream_errors import raised_error

_MAX_RETRY_AFTER_SECONDS = 86_400


class HttpResponse(Protocol):
    """`chunks` is read once; its `aclose()` stops the upstream."""

    @property
    def status(self) -> int: ...

    def header(self, name: str, /) -> str | None: ...

    def chunks(self) -> AsyncGenerator[bytes, None]: ...


@dataclass(frozen=True)
class SizedBody:
    """A body that is sent while it is made: `size` bytes in total."""

    size: int
    chunks: AsyncGenerator[bytes, None]


class Fetch(Protocol):
    async def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | SizedBody, /
    ) -> HttpResponse:
        """Follows no redirect. An empty `body` means that the request has none. Raises OSError if
        the network fails. Canceling the caller aborts the request."""


async def read_start(response: HttpResponse, *, limit: int) -> bytes:
    """The first bytes of the body: at least `limit`, or the whole body."""
    start = b""
    async with aclosing(response.chunks()) as chunks:
        async for chunk in chunks:
            start += chunk
            if len(start) >= limit:
                break
    return start


async def read_whole(response: HttpResponse, *, limit: int) -> bytes:
    """The whole body. Raises InvalidOutputError, and aborts the request, if it is larger."""
    parts: list[bytes] = []
    size = 0
    async with aclosing(response.chunks()) as chunks:
        async for chunk in chunks:
            size += len(chunk)
            if size > limit:
                raise InvalidOutputError(f"The answer is too large: more than {limit} bytes.")
            parts.append(chunk)
    return b"".join(parts)


@asynccontextmanager
async def time_limit(seconds: float, *, vendor: str) -> AsyncIterator[None]:
    """Every other exception of the body, and a time-out, is raised as an UpstreamError."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except EdgeNeuroError:
        raise
    except TimeoutError as error:
        message = f"{vendor} gave no answer within {seconds * 1000:.0f} ms."
        raise UpstreamTimeoutError(message) from error
    except Exception as error:
        raise raised_error(str(error), vendor=vendor) from error


def read_retry_after(response: HttpResponse, now: Callable[[], float]) -> str | None:
    """Whole seconds, rounded up, from `retry-after-ms` or `retry-after`, which is a number of
    seconds or an HTTP date; None if there is neither."""
    milliseconds = _number(response.header("retry-after-ms"))
    if milliseconds is not None:
        return _whole_seconds(milliseconds / 1000)
    given = response.header("retry-after")
    seconds = _number(given)
    if seconds is None:
        at = _http_date(given)
        seconds = None if at is None else max(0.0, at - now())
    return None if seconds is None else _whole_seconds(seconds)


def _whole_seconds(seconds: float) -> str:
    return str(min(math.ceil(seconds), _MAX_RETRY_AFTER_SECONDS))


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _http_date(text: str | None) -> float | None:
    """Unix seconds."""
    # Imported at the first use: it costs 30 ms, and few upstreams send a date.
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(text or "")
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError):
        return None
