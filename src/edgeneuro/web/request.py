"""The request as the product sees it, whatever runtime it came through."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """`path` is raw (still percent-encoded) and without the query string; `header` looks a header
    up without regard to case; `read_body(limit)` gives the body's bytes and raises
    BodyTooLargeError before it holds more than the limit."""

    method: str
    path: str
    query_string: str
    header: Callable[[str], str | None]
    read_body: Callable[[int], Awaitable[bytes]]
