"""A call: what a handler gets besides the parsed request."""

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from edgeneuro.domain.trace import Trace
from edgeneuro.services import Services
from edgeneuro.web.auth import Credential
from edgeneuro.web.routing import RouteTable

Background = Callable[[Coroutine[Any, Any, None]], None]
Facts = dict[str, str | int | float | None]


async def admit() -> None:
    """Nothing is limited."""


@dataclass(frozen=True)
class Call:
    """`background(coroutine)` runs after the response is sent; `table` has all routes; `headers`
    are added to the response, also to an error. `facts` are additional fields of the request's line
    in the Worker's log (app/request_log.py): names and numbers, never texts of callers. Fields that
    are set before a stream ends are in it too; a handler may set `ending` if it knows better than
    the stream how it ended. `session_header` is the header that names a session, for calls that may
    have one. `admitted()` waits for the rate limiter, and raises RateLimitedError: the handler of a
    route with `awaits_limit` calls it before anything is written or paid for. `if_match` is
    the header If-Match. `recorder(coroutine)` is for the write of an answer's log row, before the
    response is sent; without it `background` is."""

    services: Services
    credential: Credential
    request_id: str
    background: Background
    table: RouteTable
    trace: Trace
    facts: Facts = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    session_header: str | None = None
    admitted: Callable[[], Awaitable[None]] = admit
    if_match: str | None = None
    recorder: Background | None = None
