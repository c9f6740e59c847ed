"""The request as the product sees it, whatever runtime it came through."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """`path` is raw (still percent-encoded) and without the query string; `header` looks a header
    up without regard to case; `read_body(limit)` gives the body's bytes and raises
    BodyTooLargeError before it holds more than the limit; `body_chunks(limit)` gives them as they
    come, and raises it before it goes on past the limit."""

    method: str
    path: str
    query_string: str
    header: Callable[[str], str | None]
    read_body: Callable[[int], Awaitable[bytes]]
    body_chunks: Callable[[int], AsyncGenerator[bytes, None]]
