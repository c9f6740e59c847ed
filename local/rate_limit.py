"""AI Gateway's rate limit: a fixed window over the whole gateway, aligned to the clock."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any


class RateLimitError(ValueError):
    """An invalid rate limit; the text is one sentence."""


@dataclass(frozen=True)
class RateLimit:
    limit: int
    interval_s: int
    # Cloudflare was seen to send none; some clients need one to be tried with.
    retry_after: bool = True


class RateLimiter:
    def __init__(self, *, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._rule: RateLimit | None = None
        self._counts: dict[str, tuple[int, int]] = {}

    def set(self, rule: RateLimit | None) -> None:
        self._rule = rule
        self._counts = {}

    def as_dict(self) -> dict[str, Any] | None:
        return None if self._rule is None else asdict(self._rule)

    def refuse(self, gateway: str) -> dict[str, str] | None:
        """Counts one request: None lets it pass, otherwise the headers of the 429."""
        if self._rule is None:
            return None
        now = self._now()
        window = int(now // self._rule.interval_s)
        counted, count = self._counts.get(gateway, (window, 0))
        count = count + 1 if counted == window else 1
        self._counts[gateway] = (window, count)
        if count <= self._rule.limit:
            return None
        left = (window + 1) * self._rule.interval_s - now
        return {"retry-after": str(max(1, math.ceil(left)))} if self._rule.retry_after else {}


def read_rate_limit(given: Any) -> RateLimit | None:
    if given is None:
        return None
    if not isinstance(given, dict) or not {"limit", "interval_s"} <= given.keys():
        raise RateLimitError('The rate limit must be {"limit": n, "interval_s": n} or null.')
    unknown = given.keys() - {"limit", "interval_s", "retry_after"}
    if unknown:
        raise RateLimitError(f"A rate limit has no field {min(unknown)!r}.")
    for name, least in (("limit", 0), ("interval_s", 1)):  # a limit of 0 refuses everything
        value = given[name]
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise RateLimitError(f"The rate limit's {name!r} must be a whole number from {least}.")
    if not isinstance(given.get("retry_after", True), bool):
        raise RateLimitError("The rate limit's 'retry_after' must be true or false.")
    return RateLimit(**given)
