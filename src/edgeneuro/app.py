"""The application: a request in, a response out, in the order in which things are checked."""

import json
import re
import traceback

from pydantic import BaseModel

from edgeneuro.call import Background, Call
from edgeneuro.errors import DatabaseError, EdgeNeuroError, RateLimitedError
from edgeneuro.idempotency import once
from edgeneuro.routes import ROUTES
from edgeneuro.services import Services
from edgeneuro.web.auth import ANONYMOUS, Access, Credential, authorize
from edgeneuro.web.cors import cors_headers, preflight_response
from edgeneuro.web.request import Request
from edgeneuro.web.response import Reply, Response, error_response, json_response
from edgeneuro.web.routing import Found, Route, RouteTable
from edgeneuro.web.streams import started

_RATE_LIMIT_PERIOD_SECONDS = 60  # that of RATE_LIMITER in wrangler.toml
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_TABLE = RouteTable(ROUTES)


class App:
    def __init__(self, services: Services) -> None:
        self._services = services

    async def handle(self, request: Request, background: Background) -> Response:
        """Never raises: what goes wrong becomes an answer in the one error shape."""
        request_id = self._request_id(request)
        started_at = self._services.monotonic()
        found: Found | None = None
        try:
            if request.method == "OPTIONS":
                response = preflight_response(_TABLE.methods_of(request.path))
            else:
                found = _TABLE.find(request.method, request.path)
                response = await self._respond(found, request, request_id, background)
        except DatabaseError as error:
            self._services.failures.note("request", error)
            response = error_response(error, request_id)
        except EdgeNeuroError as error:
            response = error_response(error, request_id)
        except Exception:
            # A fault of ours: the trace is for the Worker's log; the id leads to it.
            trace = traceback.format_exc()
            print(json.dumps({"level": "error", "request_id": request_id, "trace": trace}))
            fault = EdgeNeuroError(
                "Something went wrong on our side. Report it with the request id."
            )
            response = error_response(fault, request_id)
        response.headers |= {
            "x-request-id": request_id,
            "x-content-type-options": "nosniff",
            "cache-control": "no-store",
            **cors_headers(request, self._services.settings.allowed_origins),
        }
        self._observe(found, response, self._services.monotonic() - started_at)
        return response

    def _observe(self, found: Found | None, response: Response, seconds: float) -> None:
        """By the route's template, which has no end of paths: those unknown are one."""
        labels = ("none", "none") if found is None else (found.route.method, found.route.path)
        self._services.metrics.request_seconds.observe(
            seconds, *labels, f"{response.status // 100}xx"
        )

    async def _respond(
        self, found: Found, request: Request, request_id: str, background: Background
    ) -> Response:
        credential = await self._admit(found.route, request)
        call = Call(self._services, credential, request_id, background, _TABLE)
        body = b""
        if found.handler.body is not None:
            body = await request.read_body(found.route.max_body_bytes)

        async def perform() -> Response:
            content = await found.handler(call, body, request.query_string, found.path_values)
            if isinstance(content, BaseModel):
                content = Reply(content)
            if isinstance(content, Reply):
                return json_response(found.route.status, content)
            return await self._begun(request, content)

        return await once(call, request, found.route, body, perform)

    async def _begun(self, request: Request, response: Response) -> Response:
        """A response that can be sent. A stream has its first part, so that a failure before it is
        an error in the one shape; for HEAD none is begun."""
        if isinstance(response.body, str):
            return response
        if request.method == "HEAD":
            response.body = ""
            return response
        failures = self._services.failures
        response.body = await started(response.body, lambda error: failures.note("stream", error))
        return response

    async def _admit(self, route: Route, request: Request) -> Credential:
        if route.access is Access.PUBLIC:
            return ANONYMOUS
        credential = await self._services.identity.authenticate(request)
        authorize(credential, route.access)
        limiter = self._services.rate_limiter
        if limiter is not None and not await limiter.allows(credential.key_id):
            raise RateLimitedError(
                "Too many requests with this key. Wait a minute, or raise the limit of RATE_LIMITER"
                " in wrangler.toml.",
                headers={"retry-after": str(_RATE_LIMIT_PERIOD_SECONDS)},
            )
        return credential

    def _request_id(self, request: Request) -> str:
        given = request.header("x-request-id")
        if given is not None and _REQUEST_ID.fullmatch(given):
            return given
        return self._services.new_id("req")


def build_app(services: Services) -> App:
    return App(services)
