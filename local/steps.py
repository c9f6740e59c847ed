"""The steps of a request to AI Gateway: one for a provider's endpoint, a list for the universal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Step:
    provider: str
    endpoint: str
    query: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)


class UniversalError(ValueError):
    """A universal request that is no list of steps, told in one sentence."""


def read_steps(given: Any) -> list[Step]:
    """The body of the universal endpoint."""
    if not isinstance(given, list) or not given:
        raise UniversalError("The universal endpoint takes a non-empty JSON array of requests.")
    return [_read_step(item, at) for at, item in enumerate(given)]


def _read_step(item: Any, at: int) -> Step:
    if not isinstance(item, dict):
        raise UniversalError(f"Request {at} must be an object.")
    for name in ("provider", "endpoint"):
        if not isinstance(item.get(name), str):
            raise UniversalError(f"Request {at} needs the text {name!r}.")
    headers, config = item.get("headers") or {}, item.get("config") or {}
    if not isinstance(headers, dict) or not isinstance(config, dict):
        raise UniversalError(f"Request {at} has 'headers' or 'config' that is no object.")
    lowered = {name.lower(): str(value) for name, value in headers.items()}
    return Step(item["provider"], item["endpoint"].lstrip("/"), item.get("query"), lowered, config)
