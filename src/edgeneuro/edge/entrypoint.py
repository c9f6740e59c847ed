"""The entrypoint that the runtime calls, and the services of an isolate, built once from its
bindings."""

import asyncio
import secrets
import string
import time
from collections.abc import Coroutine
from functools import partial
from typing import Any

import js
from workers import WorkerEntrypoint

from edgeneuro.access.cloudflare_access import build_access
from edgeneuro.access.identity import Identity
from edgeneuro.app.application import App, build_app
from edgeneuro.controlplane.jobs.schedule import run_queue, run_scheduled
from edgeneuro.domain.agent_endpoint import is_local
from edgeneuro.edge.bindings import (
    AccessRuntime,
    EdgeAi,
    EdgeD1,
    EdgeJobQueue,
    EdgeLogBucket,
    EdgeLogQueue,
    EdgeRateLimiter,
    EdgeSigner,
)
from edgeneuro.edge.crossing import unwrapped
from edgeneuro.edge.event_loop import EdgeLoop
from edgeneuro.edge.fetch import Fetcher
from edgeneuro.edge.http import IncomingBody, plain_request, workers_response
from edgeneuro.gateway.agents.endpoint import AgentEndpoints
from edgeneuro.gateway.agents.identity import IdentityTokens
from edgeneuro.gateway.client import build_gateway
from edgeneuro.gateway.cloudflare_api import CloudflareApi, FinetuneClient
from edgeneuro.gateway.span_exporter import SpanExporter, read_headers
from edgeneuro.gateway.webhooks import WebhookSender
from edgeneuro.isolate.clock import MonotonicClock
from edgeneuro.isolate.metrics import Failures, Metrics
from edgeneuro.isolate.routing_config import RoutingConfigCache
from edgeneuro.services import Services
from edgeneuro.settings import read_settings
from edgeneuro.store.database import D1Database
from edgeneuro.web.auth import cron_of

_RESPONSE_IS_SENT_SECONDS = 0.003


class Default(WorkerEntrypoint):  # type: ignore[misc]  # the SDK is untyped here
    """Every public method here can be called over RPC, so there are only those that Workers
    calls."""

    async def fetch(self, request: Any) -> Any:
        """If the client disconnects, what was begun is still finished and logged, for up to 30 s.
        Otherwise the runtime would stop here without notice: the model paid for, nothing logged or
        cached, and who waits for the same answer left waiting."""
        raw, wait_until = request.js_object, self.ctx.waitUntil
        answering = js.Promise.withResolvers()
        wait_until(answering.promise)
        try:
            body = IncomingBody(raw)
            response = await _app(self.env).handle(
                plain_request(raw, body), partial(_do_later, wait_until)
            )
            await body.drain()
            return workers_response(response, raw, wait_until)
        finally:
            answering.resolve()

    async def scheduled(self, controller: Any, env: Any = None, ctx: Any = None) -> None:
        services = _services(self.env)
        await run_scheduled(services, cron_of(str(controller.cron), services.settings.cron_token))

    async def queue(self, batch: Any, env: Any = None, ctx: Any = None) -> None:
        """Messages of LOG_QUEUE have log rows, which are written first; all others wake the runner
        of the jobs, whatever they say."""
        services = _services(self.env)
        texts = [str(each.body) for each in unwrapped(batch).messages]
        if rows := [text for text in texts if text.startswith("[")]:
            await services.log_sink.consume(services.db, rows)
        if len(rows) < len(texts):
            await run_queue(services)


def _do_later(wait_until: Any, work: Coroutine[Any, Any, None]) -> None:
    wait_until(_after_answer(work))


async def _after_answer(work: Coroutine[Any, Any, None]) -> None:
    """Without the pause its first steps would run before the response is sent."""
    await asyncio.sleep(_RESPONSE_IS_SENT_SECONDS)
    await work


# One of each in an isolate: they outlive the request and hold nothing that belongs to it.
_isolate: dict[str, Any] = {}


def _services(env: Any) -> Services:
    if "services" not in _isolate:
        _isolate["services"] = _build_services(env)
    services: Services = _isolate["services"]
    return services


def _app(env: Any) -> App:
    if "app" not in _isolate:
        _isolate["app"] = build_app(_services(env))
    app: App = _isolate["app"]
    return app


def _build_services(env: Any) -> Services:
    EdgeLoop.replace_running()
    settings = read_settings(lambda name: getattr(env, name, None))
    metrics = Metrics()
    db = D1Database(EdgeD1(env.DB), metrics.note_d1_rows)
    failures = Failures()
    monotonic = MonotonicClock(time.monotonic)
    rate_limiter = getattr(env, "RATE_LIMITER", None)
    limiter = None if rate_limiter is None else EdgeRateLimiter(rate_limiter)
    ai = getattr(env, "AI", None)
    job_queue = getattr(env, "JOB_QUEUE", None)
    log_queue = getattr(env, "LOG_QUEUE", None) if settings.log_queue else None
    log_bucket = getattr(env, "LOG_SINK", None) if settings.log_sink else None
    routing = RoutingConfigCache(db, settings, monotonic=monotonic, failures=failures)
    outbound = getattr(env, "OUTBOUND", None)  # the emulator's: only `npm start` binds it
    fetch = Fetcher(outbound)
    local = Fetcher() if settings.local_agents else None
    access = build_access(settings, AccessRuntime(), now=time.time, monotonic=monotonic)

    def secret(name: str) -> str | None:
        value = getattr(env, name, None)
        return value if isinstance(value, str) else None

    def service(name: str) -> Fetcher | None:
        """A secret of this name is no binding."""
        binding = getattr(env, name, None)
        is_bound = binding is not None and not isinstance(binding, str)
        return Fetcher(binding) if is_bound and hasattr(binding, "fetch") else None

    identity_tokens = IdentityTokens(
        EdgeSigner(), secret=secret, issuer=settings.identity_issuer, now=time.time
    )
    span_exporter = None
    if settings.otlp_endpoint:
        span_exporter = SpanExporter(
            settings.otlp_endpoint,
            read_headers(secret("OTLP_HEADERS") or ""),
            share=settings.otlp_sample,
            fetch=local if local and is_local(settings.otlp_endpoint) else fetch,
            now=time.time,
            monotonic=monotonic,
            sleep=asyncio.sleep,
            new_hex=secrets.token_hex,
            count=metrics.spans.add,
        )

    return Services(
        settings=settings,
        db=db,
        gateway=build_gateway(
            settings,
            binding=None if ai is None else EdgeAi(ai),
            fetch=fetch,
            secret=secret,
            now=time.time,
        ),
        finetunes=FinetuneClient(
            CloudflareApi(fetch, settings, secret=secret), new_hex=secrets.token_hex
        ),
        endpoints=AgentEndpoints(
            fetch,
            secret=secret,
            now=time.time,
            new_id=_new_id,
            identity=identity_tokens,
            hosts=settings.agent_hosts,
            service=service,
            local=local,
        ),
        webhooks=WebhookSender(fetch, now=time.time, local=local),
        rate_limiter=limiter,
        routing=routing,
        identity=Identity(
            settings,
            db,
            access_revision=routing.access_revision,
            access=access,
            rate_limiter=limiter,
            now=time.time,
        ),
        failures=failures,
        metrics=metrics,
        now=time.time,
        monotonic=monotonic,
        new_id=_new_id,
        new_secret=_new_secret,
        new_hex=secrets.token_hex,
        sleep=asyncio.sleep,
        secret=secret,
        emulated=outbound is not None,
        job_queue=None if job_queue is None else EdgeJobQueue(job_queue),
        open_session=db.open_session,
        log_queue=None if log_queue is None else EdgeLogQueue(log_queue),
        span_exporter=span_exporter,
        log_bucket=None if log_bucket is None else EdgeLogBucket(log_bucket),
    )


def _new_id(prefix: str) -> str:
    # The time first: ids sort by creation time, which the pages of the logs rely on.
    return f"{prefix}_{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


def _new_secret() -> str:
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(40))
