"""The client of the models: chooses the transport, enforces time and size limits, reads the
responses, and raises no errors but our own."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from edgeneuro.domain.catalogue import BaseModelFacts
from edgeneuro.domain.decision import GatewayTrace
from edgeneuro.errors import (
    InvalidOutputError,
    JsonModeUnmetError,
    StaleAnswerError,
    UpstreamNotConfiguredError,
)
from edgeneuro.gateway.answers import read_answer
from edgeneuro.gateway.cloudflare_api import EMBEDDINGS, TEXT, read_catalogue, takes_questions
from edgeneuro.gateway.decisions.wire import read_decision
from edgeneuro.gateway.deltas import as_stream, read_deltas
from edgeneuro.gateway.embeddings import read_embeddings
from edgeneuro.gateway.http import (
    Fetch,
    HttpResponse,
    read_retry_after,
    read_start,
    read_whole,
    time_limit,
)
from edgeneuro.gateway.interface import (
    DecisionAnswer,
    DecisionRequest,
    Delta,
    EmbeddingAnswer,
    EmbeddingRequest,
    ModelAnswer,
    ModelRequest,
    ModelStream,
    UpstreamRequest,
)
from edgeneuro.gateway.transports import AiBinding, BindingTransport, HttpsTransport, Transport
from edgeneuro.gateway.upstream_errors import JSON_MODE_STREAMS_NOT, WORKERS_AI, upstream_error
from edgeneuro.gateway.vendors import CLOUDFLARE_TOKEN, is_own_workers_ai, vendor_name
from edgeneuro.settings import Settings

_Answer = TypeVar("_Answer")

_MAX_ANSWER_BYTES = 4_000_000
_MAX_ERROR_BYTES = 65_536
_CONTROL_SECONDS = 10.0  # for the catalogue and the logs
_PAGE_SIZE = 100
_MAX_PAGES = 10


def build_gateway(
    settings: Settings,
    *,
    binding: AiBinding | None,
    fetch: Fetch,
    secret: Callable[[str], str | None],
    now: Callable[[], float],
) -> "GatewayClient":
    own = None if binding is None else BindingTransport(binding, gateway_id=settings.gateway_id)
    return GatewayClient(
        own, HttpsTransport(fetch, settings, secret=secret), secret=secret, now=now
    )


class GatewayClient:
    """`own` reaches this account's Workers AI without a token, or is None; all other requests go
    over HTTPS. `secret(name)` gives a Worker secret, `now` unix seconds."""

    def __init__(
        self,
        own: Transport | None,
        https: HttpsTransport,
        *,
        secret: Callable[[str], str | None],
        now: Callable[[], float],
    ) -> None:
        self._own = own
        self._https = https
        self._secret = secret
        self._now = now

    async def run(self, request: ModelRequest, /) -> ModelAnswer:
        async with time_limit(request.timeout_ms / 1000, vendor=vendor_name(request)):
            return await self._read(await self._send(request, stream=False), request)

    async def stream(self, request: ModelRequest, /) -> ModelStream:
        """A model that does not stream in JSON mode is called for the whole answer, which then is a
        stream of one part: the caller gets the JSON and the stream that it asked for."""
        async with time_limit(request.timeout_ms / 1000, vendor=vendor_name(request)):
            try:
                response = await self._send(request, stream=True)
                deltas = await self._deltas(response, request)
                await anext(deltas)  # returns when the first part has arrived
            except JsonModeUnmetError as error:
                if error.upstream_code != JSON_MODE_STREAMS_NOT:
                    raise
                response = await self._send(request, stream=False)
                deltas = as_stream(await self._read(response, request))
                await anext(deltas)
        return ModelStream(deltas=deltas, trace=_trace(response))

    async def decide(self, request: DecisionRequest, /) -> DecisionAnswer:
        return await self._whole(
            request,
            self._transport(request).decide(request),
            lambda body, trace, vendor: read_decision(body, request, trace, vendor=vendor),
        )

    async def embed(self, request: EmbeddingRequest, /) -> EmbeddingAnswer:
        return await self._whole(
            request,
            self._transport(request).embed(request),
            lambda body, trace, vendor: read_embeddings(body, request, trace, vendor=vendor),
        )

    async def _whole(
        self,
        request: UpstreamRequest,
        response_of: Awaitable[HttpResponse],
        read: Callable[[bytes, GatewayTrace, str], _Answer],
    ) -> _Answer:
        """What `read` makes of the body, its trace and the vendor's name."""
        vendor = vendor_name(request)
        async with time_limit(request.timeout_ms / 1000, vendor=vendor):
            response = await response_of
            await self._require_ok(response, vendor=vendor)
            body = await read_whole(response, limit=_MAX_ANSWER_BYTES)
            trace = _trace(response)
            try:
                return read(body, trace, vendor)
            except InvalidOutputError as error:
                if trace.cache_status != "HIT":
                    raise
                raise StaleAnswerError(error.message) from error

    def supports_batch_fallback(self, request: ModelRequest, /) -> bool:
        return self._https.supports_batch_fallback(request)

    async def run_any(self, requests: Sequence[ModelRequest], /) -> tuple[int, ModelAnswer]:
        seconds = sum(request.timeout_ms for request in requests) / 1000
        async with time_limit(seconds, vendor="AI Gateway"):
            response = await self._https.send_any(requests)
            await self._require_ok(response, vendor=vendor_name(requests[-1]))
            step = response.header("cf-aig-step") or ""
            index = int(step) if step.isdecimal() else len(requests)
            if index >= len(requests):
                raise InvalidOutputError("AI Gateway did not say which request was answered.")
            return index, await self._read(response, requests[index])

    async def models(self) -> list[BaseModelFacts]:
        """Each once: an upstream may list all models for every task."""
        listed = [*await self._catalogue(TEXT), *await self._catalogue(EMBEDDINGS)]
        return list({each.id: each for each in listed}.values())

    async def _catalogue(self, task: str) -> list[BaseModelFacts]:
        found: list[BaseModelFacts] = []
        for page in range(1, _MAX_PAGES + 1):
            query = {"task": task, "page": page, "per_page": _PAGE_SIZE}
            async with time_limit(_CONTROL_SECONDS, vendor=WORKERS_AI):
                entries: Any = await self._workers_ai().models(query)
            if not isinstance(entries, list):
                raise InvalidOutputError("Workers AI's catalogue is of a shape that is not known.")
            found += read_catalogue(entries)
            if len(entries) < _PAGE_SIZE:
                break
        return found

    async def is_decision_model(self, model: str, /) -> bool | None:
        # The AI binding has no call for it.
        async with time_limit(_CONTROL_SECONDS, vendor=WORKERS_AI):
            schema = await self._https.schema(model)
        return None if schema is None else takes_questions(schema)

    async def patch_log(self, log_id: str, /, *, feedback: int, score: int | None = None) -> None:
        fields = {"feedback": feedback} | ({} if score is None else {"score": score})
        async with time_limit(_CONTROL_SECONDS, vendor="AI Gateway"):
            await self._workers_ai().patch_log(log_id, fields)

    def _workers_ai(self) -> Transport:
        """The transport to this account's Workers AI."""
        if self._own is not None:
            return self._own
        if not self._secret(CLOUDFLARE_TOKEN):
            raise UpstreamNotConfiguredError(
                "The Worker has no AI binding; add it to wrangler.toml, or set AI_GATEWAY_URL and"
                f" the secret {CLOUDFLARE_TOKEN}."
            )
        return self._https

    def _transport(self, request: UpstreamRequest) -> Transport:
        return self._workers_ai() if is_own_workers_ai(request) else self._https

    async def _send(self, request: ModelRequest, *, stream: bool) -> HttpResponse:
        response = await self._transport(request).send(request, stream=stream)
        await self._require_ok(response, vendor=vendor_name(request))
        return response

    async def _require_ok(self, response: HttpResponse, *, vendor: str) -> None:
        if 200 <= response.status < 300:
            return
        body = b""
        with suppress(OSError):  # the status says enough
            body = await read_start(response, limit=_MAX_ERROR_BYTES)
        raise upstream_error(
            response.status,
            body.decode(errors="replace"),
            vendor=vendor,
            retry_after=read_retry_after(response, self._now),
        )

    async def _read(self, response: HttpResponse, request: ModelRequest) -> ModelAnswer:
        body = await read_whole(response, limit=_MAX_ANSWER_BYTES)
        return read_answer(body, _trace(response), vendor=vendor_name(request))

    async def _deltas(
        self, response: HttpResponse, request: ModelRequest
    ) -> AsyncGenerator[Delta, None]:
        if (response.header("content-type") or "").startswith("application/json"):
            # AI Gateway's cache returns a whole answer, even if a stream was requested.
            return as_stream(await self._read(response, request))
        return read_deltas(response, vendor=vendor_name(request), idle_ms=request.idle_ms)


def _trace(response: HttpResponse) -> GatewayTrace:
    return GatewayTrace(
        log_id=response.header("cf-aig-log-id"),
        cache_status=response.header("cf-aig-cache-status"),
    )
