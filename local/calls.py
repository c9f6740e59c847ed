"""The last thousand calls that reached a model, for tests to look at. Credentials are not kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

CAPACITY = 1_000
_SECRET = frozenset({"cf-aig-authorization"})


@dataclass(frozen=True)
class Origin:
    """Where a call came in: its path, its gateway if any, its cf-aig-* headers."""

    path: str
    gateway: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Call:
    model: str
    gateway: str | None
    path: str
    headers: Mapping[str, str]
    metadata: Mapping[str, Any]
    inputs: Any
    status: int | None = None  # None: not answered yet, or never


class CallLog:
    def __init__(self) -> None:
        self._calls: deque[Call] = deque(maxlen=CAPACITY)

    def open(self, model: str, inputs: Any, origin: Origin) -> Call:
        call = Call(model, origin.gateway, origin.path, origin.headers, origin.metadata, inputs)
        self._calls.append(call)
        return call

    def clear(self) -> None:
        self._calls.clear()

    def as_list(self) -> list[dict[str, Any]]:
        return [asdict(call) for call in self._calls]


def gateway_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The cf-aig-* headers of a request, the gateway's credential blanked."""
    kept = {name.lower(): value for name, value in headers.items()}
    return {
        name: "(present)" if name in _SECRET else value
        for name, value in kept.items()
        if name.startswith("cf-aig-")
    }
