"""How AI Gateway handles one request: its cf-aig-* headers, as Cloudflare documents them.

Invalid values are ignored, also those of a universal step's `config`, which has precedence.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MIN_TTL = 60
MAX_TTL = 31 * 24 * 3600
CUSTOM_KEY_TTL = 300  # with a custom key and no ttl
MAX_ATTEMPTS = 5
MAX_RETRY_DELAY_MS = 5_000
METADATA_ENTRIES = 5


@dataclass(frozen=True)
class Handling:
    skip_cache: bool = False
    cache_ttl: int | None = None
    cache_key: str | None = None
    timeout_ms: int | None = None
    max_attempts: int = 1
    retry_delay_ms: int = 0
    backoff: str = "constant"
    event_id: str | None = None
    collect_log: bool = True
    collect_payload: bool = True
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def delay_ms(self, attempt: int) -> int:
        """How long to wait after the given attempt, the first being 1."""
        factors = {"linear": attempt, "exponential": 1 << (attempt - 1)}
        return self.retry_delay_ms * factors.get(self.backoff, 1)

    def timeout_s(self, attempt: int) -> float | None:
        """To the first byte. The last of several attempts waits as long as it takes."""
        if self.timeout_ms is None or attempt == self.max_attempts > 1:
            return None
        return self.timeout_ms / 1000


def read_handling(headers: Mapping[str, str], config: Mapping[str, Any] | None = None) -> Handling:
    """Header names are lowercase; the pre-2024 names of the cache headers still count."""
    config = config or {}
    ttl = _whole(headers.get("cf-aig-cache-ttl") or headers.get("cf-cache-ttl"))
    skip = headers.get("cf-aig-skip-cache") or headers.get("cf-skip-cache") or ""
    attempts = _whole(config.get("maxAttempts", headers.get("cf-aig-max-attempts"))) or 1
    delay = _whole(config.get("retryDelay", headers.get("cf-aig-retry-delay"))) or 0
    key = headers.get("cf-aig-cache-key") or None
    return Handling(
        skip_cache=skip.lower() == "true",
        cache_ttl=_ttl(ttl, key),
        cache_key=key,
        timeout_ms=_whole(config.get("requestTimeout", headers.get("cf-aig-request-timeout"))),
        max_attempts=max(1, min(attempts, MAX_ATTEMPTS)),
        retry_delay_ms=max(0, min(delay, MAX_RETRY_DELAY_MS)),
        backoff=str(config.get("backoff", headers.get("cf-aig-backoff", "constant"))),
        event_id=headers.get("cf-aig-event-id") or None,
        collect_log=headers.get("cf-aig-collect-log", "").lower() != "false",
        collect_payload=headers.get("cf-aig-collect-log-payload", "").lower() != "false",
        metadata=_metadata(headers.get("cf-aig-metadata")),
    )


def _ttl(given: int | None, key: str | None) -> int | None:
    """None: no caching, the default of a gateway."""
    if not given:
        return CUSTOM_KEY_TTL if key else None
    return max(MIN_TTL, min(given, MAX_TTL))


def _whole(value: Any) -> int | None:
    try:
        number = int(value)
    except (TypeError, ValueError):
        return None
    return number if number >= 0 else None


def _metadata(value: str | None) -> dict[str, Any]:
    """The first five entries; one null or nested value was seen to lose the whole of it."""
    try:
        given = json.loads(value) if value else {}
    except (ValueError, RecursionError):
        return {}
    if not isinstance(given, dict):
        return {}
    if not all(isinstance(entry, str | int | float) for entry in given.values()):
        return {}
    return dict(list(given.items())[:METADATA_ENTRIES])


@dataclass(frozen=True)
class Step:
    provider: str
    endpoint: str
    query: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)


class UniversalError(ValueError):
    """A universal request that is not a list of steps; the text is one sentence."""


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
