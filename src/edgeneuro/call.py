"""A call: what a handler gets beside the parsed request."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from edgeneuro.domain.trace import Trace
from edgeneuro.services import Services
from edgeneuro.web.auth import Credential
from edgeneuro.web.routing import RouteTable

Background = Callable[[Coroutine[Any, Any, None]], None]
Facts = dict[str, str | int | float | None]


@dataclass(frozen=True)
class Call:
    """`background(coroutine)` does something after the answer is out; `table` is the HTTP surface;
    `headers` go on the answer, also where it is an error. `facts` is what the request's line in the
    Worker's log says beside the usual (request_log.py): names and numbers, never what callers
    wrote. Those noted up to the end of a streamed answer are in it too; who knows better than the
    stream itself how it ended notes `ending`."""

    services: Services
    credential: Credential
    request_id: str
    background: Background
    table: RouteTable
    trace: Trace
    facts: Facts = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
