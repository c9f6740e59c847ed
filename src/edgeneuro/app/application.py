"""The application: a request in, a response out, with all checks in their order."""

import re
from dataclasses import replace
from functools import partial

from pydantic import BaseModel

from edgeneuro.access.admission import Admission
from edgeneuro.access.limits import REQUESTS_LIMIT, count_refused
from edgeneuro.app.durable_log import Recorder
from edgeneuro.app.idempotency import with_idempotency
from edgeneuro.app.read_session import BOOKMARK, session_of
from edgeneuro.app.refusals import refusal_of
from edgeneuro.app.request_log import RequestLog
from edgeneuro.app.routes import ABSENT_PATHS, ROUTES
from edgeneuro.call import Background, Call
from edgeneuro.domain.session import SESSION_HEADER
from edgeneuro.domain.trace import continue_trace
from edgeneuro.errors import (
    ConflictError,
    DatabaseError,
    EdgeNeuroError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
)
from edgeneuro.services import Services
from edgeneuro.web.auth import ANONYMOUS, Access, Credential, authorize, is_operator
from edgeneuro.web.origins import cors_headers, preflight_response, require_host
from edgeneuro.web.request import Request, decoded, read_encoding
from edgeneuro.web.response import Reply, Response, error_response, json_response, unless_present
from edgeneuro.web.routing import Found, Route, RouteTable, canonical_path
from edgeneuro.web.streams import ObservedStream, started
from edgeneuro.web.upload import Upload

_RATE_LIMIT_PERIOD_SECONDS = 60  # that of RATE_LIMITER in wrangler.toml
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
# What a caller is refused for what it asks, mostly after its body was read.
_REFUSALS = (InvalidRequestError, NotFoundError, PermissionDeniedError, ConflictError)
_TABLE = RouteTable(ROUTES, absent=ABSENT_PATHS)


class App:
    def __init__(self, services: Services) -> None:
        self._services = services

    async def handle(self, request: Request, background: Background) -> Response:
        """Never raises: an exception becomes a response in the one error shape."""
        services = self._services
        request = replace(request, path=canonical_path(request.path))
        exporter = services.span_exporter
        trace = continue_trace(
            request.header("traceparent"),
            services.new_hex,
            recorded_share=None if exporter is None else exporter.share,
        )
        log = RequestLog(services, request.method, self._request_id(request), trace, background)
        headers: dict[str, str] = {}
        try:
            response = await self._answer(request, log, background, headers)
        except Exception as error:
            self._count_refusal(error, log, background)
            response = self._failed(error, log)
        response.headers |= headers | {
            "x-request-id": log.request_id,
            "traceparent": trace.traceparent,
            "x-content-type-options": "nosniff",
            "cache-control": response.headers.get("cache-control", "no-store"),
            **cors_headers(request, services.settings.allowed_origins),
        }
        if isinstance(response.body, str):
            log.end(response.status)
        else:
            response.body = ObservedStream(response.body, partial(log.end, response.status))
        return response

    def _count_refusal(self, error: Exception, log: RequestLog, background: Background) -> None:
        if log.route is None:
            return
        refusal = refusal_of(error, log.route.access, log.key_id)
        if refusal is None:
            return
        services = self._services
        services.metrics.refusals.add(1, refusal.reason)
        if services.refusals.add(refusal, services.now_ms()):
            background(services.refusals.write_later(services.db))

    def _failed(self, error: Exception, log: RequestLog) -> Response:
        if isinstance(error, DatabaseError):
            self._services.failures.note("request", error)
        if not isinstance(error, EdgeNeuroError):
            log.note_fault(error)
            error = EdgeNeuroError(
                "Something went wrong on our side. Report it with the request id."
            )
        log.facts["error_code"] = error.code
        return error_response(error, log.request_id, for_operator=log.is_operator)

    async def _answer(
        self,
        request: Request,
        log: RequestLog,
        background: Background,
        headers: dict[str, str],
    ) -> Response:
        require_host(request.header("host"), self._services.settings.allowed_hosts)
        if request.method == "OPTIONS":
            origins = self._services.settings.allowed_origins
            return preflight_response(request, _TABLE.methods_of(request.path), origins)
        found = _TABLE.find(request.method, request.path)
        log.route = found.route
        credential = await self._authenticate(found.route, request)
        log.key_id = credential.key_id
        log.is_operator = is_operator(credential)
        authorize(credential, found.route.access)
        admission = self._admission(credential, found.route, request)
        session = None
        recorder = Recorder(self._services.settings, background)
        try:
            session = session_of(self._services, found.route, request)
            call = Call(
                self._services if session is None else self._services.over(session),
                credential,
                log.request_id,
                background,
                _TABLE,
                log.trace,
                log.facts,
                headers,
                request.header(SESSION_HEADER) if found.route.access is Access.ROUTE else None,
                admission.wait,
                request.header("if-match"),
                recorder,
            )
            return await self._admitted(call, request, found, admission, recorder)
        except _REFUSALS:
            # A call that has reserved its usage is counted.
            if found.route.access is Access.ROUTE and REQUESTS_LIMIT not in headers:
                await count_refused(self._services, credential)
            raise
        finally:
            admission.close()
            if session is not None and session.bookmark is not None:
                headers[BOOKMARK] = session.bookmark

    async def _admitted(
        self, call: Call, request: Request, found: Found, admission: Admission, recorder: Recorder
    ) -> Response:
        """The response once the rate limiter admits the call: a refusal of it comes before all that
        the call itself is refused for."""
        if not found.route.awaits_limit:
            await admission.wait()
        try:
            response = await self._performed(call, request, found, recorder)
        except Exception:
            await admission.wait()
            raise
        try:
            await admission.wait()
        except BaseException:
            if not isinstance(response.body, str):
                await response.body.aclose()
            raise
        return response

    async def _performed(
        self, call: Call, request: Request, found: Found, recorder: Recorder
    ) -> Response:
        if _changes(found.route):
            await self._services.schema.require_changes()
        body = await _body(request, found)
        # Before the Idempotency-Key is looked up: a refused body leaves no row.
        arguments = found.handler.arguments(body, request.query_string, found.path_values)

        async def perform() -> Response:
            try:
                content = await found.handler.function(call, **arguments)
            finally:
                await recorder.written()
            if isinstance(content, BaseModel):
                content = Reply(content)
            if isinstance(content, Reply):
                return json_response(found.route.status, content)
            return await _begun(request, unless_present(content, request.header("if-none-match")))

        return await with_idempotency(call, request, found.route, body, perform)

    async def _authenticate(self, route: Route, request: Request) -> Credential:
        if route.access is Access.PUBLIC:
            return ANONYMOUS
        return await self._services.identity.authenticate(request)

    def _admission(self, credential: Credential, route: Route, request: Request) -> Admission:
        if route.access is not Access.PUBLIC:
            return Admission(self._services, credential.key_id, lambda: _refusal("with this key"))
        key = f"public {request.header('cf-connecting-ip') or ''}" if route.limited else None
        return Admission(self._services, key, lambda: _refusal("from this address"))

    def _request_id(self, request: Request) -> str:
        given = request.header("x-request-id")
        if given is not None and _REQUEST_ID.fullmatch(given):
            return given
        return self._services.new_id("req")


def _refusal(who: str) -> RateLimitedError:
    return RateLimitedError(
        f"Too many requests {who}. Wait a minute.",
        hint="RATE_LIMITER in wrangler.toml has the limit.",
        headers={"retry-after": str(_RATE_LIMIT_PERIOD_SECONDS)},
    )


def _changes(route: Route) -> bool:
    """Whether a call changes the installation. Those of callers that route are not held up: what
    the database cannot take of them fails by itself."""
    return route.method not in ("GET", "HEAD") and route.access in (Access.LABEL, Access.ADMIN)


async def _body(request: Request, found: Found) -> bytes | Upload:
    limit = found.route.max_body_bytes
    if found.handler.body is None:
        return b""
    encoding = read_encoding(request.header("content-encoding"))
    is_upload = found.handler.body is Upload
    if encoding is None and not is_upload:
        return await request.read_body(limit)
    chunks = request.body_chunks(limit)
    if encoding is not None:
        chunks = decoded(chunks, encoding, limit=limit)
    if is_upload:
        return Upload(request.header("content-type") or "", chunks)
    return b"".join([chunk async for chunk in chunks])


async def _begun(request: Request, response: Response) -> Response:
    """A response that can be sent. The first part of a stream is made here, so that a failure
    before it is an error in the one shape. For HEAD no stream is started."""
    if isinstance(response.body, str):
        return response
    if request.method == "HEAD":
        await response.body.aclose()
        response.body = ""
        return response
    response.body = await started(response.body)
    return response


def build_app(services: Services) -> App:
    return App(services)
