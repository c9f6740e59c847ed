"""AI Gateway: rate limit, then for each step in order its cache, its attempts and its timeout.

A provider endpoint is a single step; the universal endpoint is a list of them, and the first that
answers without an error wins.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from local.answers import Answer, ConnectionDropped, json_answer
from local.cache import Cache, custom_key, request_key
from local.calls import Origin, gateway_headers
from local.errors import GATEWAY_ERRORS, gateway_error_body
from local.gateway_logs import GatewayLog, GatewayLogs, uuid7
from local.handling import Handling, Step, read_handling
from local.rate_limit import RateLimiter
from local.vendors import (
    GATEWAY_DECISIONS,
    GATEWAY_EMBEDDINGS,
    GATEWAY_VENDORS,
    Vendors,
    model_name,
)
from local.workers_ai import WorkersAi

_CHAT_ENDPOINTS = {"workers-ai": "v1/chat/completions", **GATEWAY_VENDORS}
_OWN_EMBEDDINGS = "v1/embeddings"
_NAMED_IN_BODY = (_CHAT_ENDPOINTS["workers-ai"], _OWN_EMBEDDINGS)


@dataclass(frozen=True)
class GatewayRequest:
    gateway: str
    path: str
    headers: Mapping[str, str]
    steps: Sequence[Step]


@dataclass(frozen=True)
class _Asked:
    """One step of a request: who is asked for what, and how the gateway shall go about it."""

    step: Step
    headers: Mapping[str, str]
    handling: Handling
    origin: Origin


@dataclass
class AiGateway:
    workers_ai: WorkersAi
    cache: Cache = field(default_factory=Cache)
    limiter: RateLimiter = field(default_factory=RateLimiter)
    logs: GatewayLogs = field(default_factory=GatewayLogs)
    now: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def __post_init__(self) -> None:
        self.vendors = Vendors(self.workers_ai.engine, self.workers_ai.serving)

    async def serve(self, request: GatewayRequest) -> Answer:
        started = self.now()
        refused = self.limiter.refuse(request.gateway)
        if refused is not None:
            limited = gateway_error(2003).with_headers(refused)
            return self._finish(request, 0, limited, "MISS", started)
        last = len(request.steps) - 1
        for at in range(last):
            answer, cache_status = await self._step(request, at)
            if answer.ok:
                return self._finish(request, at, answer, cache_status, started)
        answer, cache_status = await self._step(request, last)
        return self._finish(request, last, answer, cache_status, started)

    async def _step(self, request: GatewayRequest, at: int) -> tuple[Answer, str]:
        asked = _asked(request, at)
        handling, key = asked.handling, _cache_key(request.gateway, asked)
        cached = self.cache.get(key) if _caches(handling) else None
        if cached is not None:
            return cached, "HIT"
        answer = await self._attempts(asked)
        is_whole = answer.parts is None
        if answer.ok and is_whole and handling.cache_ttl is not None and _caches(handling):
            self.cache.put(key, answer, handling.cache_ttl)
        return answer, "MISS"

    async def _attempts(self, asked: _Asked) -> Answer:
        handling = asked.handling
        for attempt in range(1, handling.max_attempts):
            try:
                answer = await self._attempt(asked, attempt)
            except ConnectionDropped:
                answer = None
            if answer is not None and answer.ok:
                return answer
            await self.sleep(handling.delay_ms(attempt) / 1000)
        return await self._attempt(asked, handling.max_attempts)

    async def _attempt(self, asked: _Asked, attempt: int) -> Answer:
        try:
            async with asyncio.timeout(asked.handling.timeout_s(attempt)):
                return await self._upstream(asked)
        except TimeoutError:
            return gateway_error(2014)

    async def _upstream(self, asked: _Asked) -> Answer:
        step, origin = asked.step, asked.origin
        if step.provider == "workers-ai":
            if step.endpoint == _CHAT_ENDPOINTS["workers-ai"]:
                return await self.workers_ai.chat(step.query, origin)
            if step.endpoint == _OWN_EMBEDDINGS:
                return await self.workers_ai.embeddings(step.query, origin)
            return await self.workers_ai.run(step.endpoint, step.query, origin)
        if GATEWAY_VENDORS.get(step.provider) == step.endpoint:
            return await self.vendors.through_gateway("chat", step.query, asked.headers, origin)
        if (step.provider, step.endpoint) == GATEWAY_DECISIONS:
            return await self.vendors.through_gateway(
                "openai_decisions", step.query, asked.headers, origin
            )
        if (step.provider, step.endpoint) == GATEWAY_EMBEDDINGS:
            return await self.vendors.through_gateway(
                "embeddings", step.query, asked.headers, origin
            )
        return gateway_error(2008)

    def _finish(
        self, request: GatewayRequest, at: int, answer: Answer, cache: str, started: float
    ) -> Answer:
        """With the gateway's headers, and written into its logs unless that is not wanted."""
        asked = _asked(request, at)
        request_id, log_id = uuid7(self.now()), uuid7(self.now())
        headers = {
            "cf-aig-cache-status": cache,
            "cf-aig-log-id": log_id,
            "cf-aig-event-id": request.headers.get("cf-aig-event-id") or request_id,
            "cf-aig-request-id": request_id,
            "cf-aig-step": str(at),
        }
        answer = answer.with_headers(headers)
        if not asked.handling.collect_log:
            return answer
        log = GatewayLog(
            id=log_id,
            gateway=request.gateway,
            created=started,
            path=asked.step.endpoint,
            provider=asked.step.provider,
            model=_model(asked.step),
            step=at,
            cached=cache == "HIT",
            metadata=asked.handling.metadata,
            keeps_payload=asked.handling.collect_payload,
            request=json.dumps(asked.step.query, ensure_ascii=False).encode(),
        )
        self.logs.keep(log)
        return log.watch(answer, self.now())


def gateway_error(code: int, message: str | None = None) -> Answer:
    return json_answer(GATEWAY_ERRORS[code][0], gateway_error_body(code, message))


def _caches(handling: Handling) -> bool:
    return handling.cache_ttl is not None and not handling.skip_cache


def _cache_key(gateway: str, asked: _Asked) -> str:
    if asked.handling.cache_key is not None:
        return custom_key(gateway, asked.handling.cache_key)
    step, credential = asked.step, asked.headers.get("authorization", "")
    return request_key(gateway, step.provider, step.endpoint, credential, step.query)


def _asked(request: GatewayRequest, at: int) -> _Asked:
    step = _unified(request.steps[at])
    headers = {**request.headers, **step.headers}
    handling = read_handling(headers, step.config)
    origin = Origin(request.path, request.gateway, gateway_headers(headers), handling.metadata)
    return _Asked(step, headers, handling, origin)


def _unified(step: Step) -> Step:
    """The unified endpoint names a model with its provider: workers-ai/@cf/…, openai/gpt-…"""
    model = step.query.get("model") if isinstance(step.query, dict) else None
    if (step.provider, step.endpoint) != ("compat", "chat/completions"):
        return step
    provider, _, name = str(model).partition("/")
    endpoint = _CHAT_ENDPOINTS.get(provider)
    if endpoint is None or not name:
        return step
    return replace(step, provider=provider, endpoint=endpoint, query={**step.query, "model": name})


def _model(step: Step) -> str:
    if step.provider == "workers-ai" and step.endpoint not in _NAMED_IN_BODY:
        return step.endpoint
    return model_name(step.query)
