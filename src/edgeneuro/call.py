"""A call: what a handler gets beside the parsed request."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from edgeneuro.services import Services
from edgeneuro.web.auth import Credential
from edgeneuro.web.routing import RouteTable

Background = Callable[[Coroutine[Any, Any, None]], None]


@dataclass(frozen=True)
class Call:
    """`background(coroutine)` does something after the answer is out; `table` is the HTTP
    surface; `headers` go on the answer, also where it is an error."""

    services: Services
    credential: Credential
    request_id: str
    background: Background
    table: RouteTable
    headers: dict[str, str] = field(default_factory=dict)
