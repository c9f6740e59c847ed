"""The last thousand calls: those that reached a model, and those that left for another host.
Credentials are not stored."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

CAPACITY = 1_000
MAX_STORED_BYTES = 65_536  # of a longer body, and of any form, only the size is stored

# "client_gone": the caller closed the connection, the client or AI Gateway at its timeout.
Ended = Literal["complete", "client_gone", "cut"]

_GATEWAY_KEY = "cf-aig-authorization"
_CREDENTIALS = frozenset(
    {"authorization", "proxy-authorization", "x-api-key", "api-key", "cookie", _GATEWAY_KEY}
)
_SHOWN = 4


@dataclass(frozen=True)
class Origin:
    """Where a call came in: its path, its gateway if any, the headers that are stored."""

    path: str
    gateway: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Call:
    """`host` is that of an outbound call, `body` its bytes as text if that is stored, and `size`
    their number; `model` None is no model's."""

    model: str | None
    gateway: str | None
    path: str
    headers: Mapping[str, str]
    metadata: Mapping[str, Any]
    inputs: Any
    status: int | None = None  # None: not answered yet, or never
    ended: Ended | None = None  # None: not yet
    host: str | None = None
    method: str = "POST"
    body: str | None = None
    size: int | None = None


class CallLog:
    def __init__(self) -> None:
        self._calls: deque[Call] = deque(maxlen=CAPACITY)

    def open(self, model: str, inputs: Any, origin: Origin) -> Call:
        return self.keep(
            Call(model, origin.gateway, origin.path, origin.headers, origin.metadata, inputs)
        )

    def keep(self, call: Call) -> Call:
        self._calls.append(call)
        return call

    def clear(self) -> None:
        self._calls.clear()

    def as_list(self) -> list[dict[str, Any]]:
        return [asdict(call) for call in self._calls]


def gateway_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The cf-aig-* headers of a request, the gateway's credential blanked."""
    stored = {name.lower(): value for name, value in headers.items()}
    return {
        name: "(present)" if name == _GATEWAY_KEY else value
        for name, value in stored.items()
        if name.startswith("cf-aig-")
    }


def masked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """All headers; of a credential no more than shows which one it is."""
    return {
        name: _masked(value) if name in _CREDENTIALS else value for name, value in headers.items()
    }


def _masked(value: str) -> str:
    scheme, space, credential = value.rpartition(" ")
    return f"{scheme}{space}{credential[:_SHOWN]}…"
