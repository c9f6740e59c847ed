"""AI Gateway: rate limit, then for each step in order its cache, its attempts and its timeout.

A provider endpoint is a single step; the universal endpoint is a list of them, and the first that
answers without an error wins.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from local.answers import Answer, ConnectionDropped, json_answer
from local.cache import Cache, custom_key, request_key
from local.calls import Origin, gateway_headers
from local.errors import GATEWAY_ERRORS, gateway_error_body
from local.handling import Handling, read_handling
from local.ids import uuid7
from local.rate_limit import RateLimiter
from local.workers_ai import WorkersAi

_COMPAT_PREFIX = "workers-ai/"


@dataclass(frozen=True)
class Step:
    provider: str
    endpoint: str
    query: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class GatewayRequest:
    gateway: str
    path: str
    headers: Mapping[str, str]
    steps: Sequence[Step]


class UniversalError(ValueError):
    """A universal request that is no list of steps, told in one sentence."""


@dataclass
class AiGateway:
    workers_ai: WorkersAi
    cache: Cache = field(default_factory=Cache)
    limiter: RateLimiter = field(default_factory=RateLimiter)
    now: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def serve(self, request: GatewayRequest) -> Answer:
        refused = self.limiter.refuse(request.gateway)
        if refused is not None:
            limited = gateway_error(2003).with_headers(refused)
            return limited.with_headers(self._headers(request, "MISS", 0))
        last = len(request.steps) - 1
        for at, step in enumerate(request.steps[:-1]):
            answer, cache_status = await self._step(request, step)
            if answer.ok:
                return answer.with_headers(self._headers(request, cache_status, at))
        answer, cache_status = await self._step(request, request.steps[last])
        return answer.with_headers(self._headers(request, cache_status, last))

    async def _step(self, request: GatewayRequest, step: Step) -> tuple[Answer, str]:
        headers = {**request.headers, **step.headers}
        handling = read_handling(headers, step.config)
        key = _cache_key(request.gateway, step, headers, handling)
        cached = self.cache.get(key) if _caches(handling) else None
        if cached is not None:
            return cached, "HIT"
        origin = Origin(request.path, request.gateway, gateway_headers(headers), handling.metadata)
        answer = await self._attempts(step, handling, origin)
        if answer.ok and handling.cache_ttl is not None and _caches(handling):
            self.cache.put(key, answer, handling.cache_ttl)
        return answer, "MISS"

    async def _attempts(self, step: Step, handling: Handling, origin: Origin) -> Answer:
        for attempt in range(1, handling.max_attempts):
            try:
                answer = await self._attempt(step, handling.timeout_s(attempt), origin)
            except ConnectionDropped:
                answer = None
            if answer is not None and answer.ok:
                return answer
            await self.sleep(handling.delay_ms(attempt) / 1000)
        return await self._attempt(step, handling.timeout_s(handling.max_attempts), origin)

    async def _attempt(self, step: Step, timeout: float | None, origin: Origin) -> Answer:
        try:
            async with asyncio.timeout(timeout):
                return await self._upstream(step, origin)
        except TimeoutError:
            return gateway_error(2014)

    async def _upstream(self, step: Step, origin: Origin) -> Answer:
        if step.provider == "workers-ai":
            if step.endpoint == "v1/chat/completions":
                return await self.workers_ai.chat(step.query, origin)
            return await self.workers_ai.run(step.endpoint, step.query, origin)
        if step.provider == "compat" and step.endpoint == "chat/completions":
            body = _without_prefix(step.query)
            if body is not None:
                return await self.workers_ai.chat(body, origin)
        return gateway_error(2008)

    def _headers(self, request: GatewayRequest, cache: str, step: int) -> dict[str, str]:
        now = self.now()
        request_id = uuid7(now)
        return {
            "cf-aig-cache-status": cache,
            "cf-aig-log-id": uuid7(now),
            "cf-aig-event-id": request.headers.get("cf-aig-event-id") or request_id,
            "cf-aig-request-id": request_id,
            "cf-aig-step": str(step),
        }


def gateway_error(code: int, message: str | None = None) -> Answer:
    return json_answer(GATEWAY_ERRORS[code][0], gateway_error_body(code, message))


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


def _caches(handling: Handling) -> bool:
    return handling.cache_ttl is not None and not handling.skip_cache


def _cache_key(gateway: str, step: Step, headers: Mapping[str, str], handling: Handling) -> str:
    if handling.cache_key is not None:
        return custom_key(gateway, handling.cache_key)
    credential = headers.get("authorization", "")
    return request_key(gateway, step.provider, step.endpoint, credential, step.query)


def _without_prefix(query: Any) -> dict[str, Any] | None:
    """The unified endpoint names a model with its provider: workers-ai/@cf/…"""
    model = query.get("model") if isinstance(query, dict) else None
    if not isinstance(model, str) or not model.startswith(_COMPAT_PREFIX):
        return None
    return {**query, "model": model.removeprefix(_COMPAT_PREFIX)}
