"""AI Gateway's exact cache: identical requests only; the least recently used entry is evicted."""

from __future__ import annotations

import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from local.answers import Answer

CAPACITY = 1_000


class Cache:
    def __init__(self, *, now: Callable[[], float] = time.time, capacity: int = CAPACITY) -> None:
        self._now = now
        self._capacity = capacity
        self._entries: OrderedDict[str, tuple[float, Answer]] = OrderedDict()

    def get(self, key: str) -> Answer | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        expires, answer = entry
        if expires <= self._now():
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return answer

    def put(self, key: str, answer: Answer, ttl: float) -> None:
        self._entries[key] = (self._now() + ttl, answer)
        self._entries.move_to_end(key)
        while len(self._entries) > self._capacity:
            self._entries.popitem(last=False)

    def clear(self) -> None:
        self._entries.clear()


def request_key(gateway: str, provider: str, endpoint: str, credential: str, body: Any) -> str:
    """Without a custom key: gateway, provider, endpoint, provider credential and body, hashed."""
    parts = json.dumps([gateway, provider, endpoint, credential, body], sort_keys=True)
    return hashlib.sha256(parts.encode()).hexdigest()


def custom_key(gateway: str, key: str) -> str:
    return f"{gateway} {key}"
