"""The Workers runtime: the only file that imports `workers`, `js` or `pyodide`. It turns what the
runtime gives into plain Python and back, and decides nothing."""

import asyncio
import json
import secrets
import string
import time
from contextlib import aclosing, suppress
from typing import Any
from urllib.parse import urlsplit

import js
from pyodide.ffi import JsException, to_js
from workers import Response as WorkersResponse
from workers import WorkerEntrypoint

from edgeneuro.app import App, build_app
from edgeneuro.controlplane.maintenance import run_maintenance
from edgeneuro.errors import BodyTooLargeError
from edgeneuro.gateway.binding import BindingGateway
from edgeneuro.identity import Identity
from edgeneuro.services import Failures, KeptRouting, Services
from edgeneuro.settings import read_settings
from edgeneuro.store.d1 import D1Database
from edgeneuro.web.cloudflare_access import Jwk, build_access
from edgeneuro.web.request import Request
from edgeneuro.web.streams import Parts

_RS256 = {"name": "RSASSA-PKCS1-v1_5", "hash": "SHA-256"}
_FETCH_MS = 5_000


class Default(WorkerEntrypoint):  # type: ignore[misc]  # the SDK is untyped here
    """Every public method here is callable over RPC, so there are only the two that Workers
    call."""

    async def fetch(self, request: Any) -> Any:
        response = await _app(self.env).handle(_plain(request), self.ctx.waitUntil)
        await _pass_over_rest(request.js_object)
        body: Any = response.body if response.status not in (204, 304) else None
        if body is not None and not isinstance(body, str):
            pipe = js.TransformStream.new()
            self.ctx.waitUntil(_send(body, pipe.writable.getWriter()))
            body = pipe.readable
        return WorkersResponse(body, status=response.status, headers=response.headers)

    async def scheduled(self, controller: Any, env: Any = None, ctx: Any = None) -> None:
        await run_maintenance(_services(self.env))


class _EdgeRateLimiter:
    def __init__(self, binding: Any) -> None:
        self._binding = binding

    async def allows(self, key: str) -> bool:
        outcome = await self._binding.limit({"key": key})
        return bool(outcome["success"])


class _AccessRuntime:
    async def verify(self, jwk: Jwk, signed: bytes, signature: bytes) -> bool:
        subtle, algorithm = js.crypto.subtle, _js_object(_RS256)
        try:
            key = await subtle.importKey(
                "jwk", _js_object(jwk), algorithm, False, to_js(["verify"])
            )
            return bool(await subtle.verify(algorithm, key, to_js(signature), to_js(signed)))
        except JsException:  # the key is none
            return False

    async def fetch_json(self, url: str) -> Any:
        # Not redirected: what another place says are not the team's keys.
        options = {"redirect": "manual", "signal": js.AbortSignal.timeout(_FETCH_MS)}
        try:
            response = await js.fetch(url, _js_object(options))
            text = await response.text()
        except JsException as error:
            raise OSError(str(error)) from error
        if response.status != 200:
            raise OSError(f"{url} answered with status {response.status}")
        return json.loads(text)


# One of each an isolate: they outlive the request, and hold nothing of it.
_kept: dict[str, Any] = {}


def _services(env: Any) -> Services:
    if "services" not in _kept:
        _kept["services"] = _build_services(env)
    services: Services = _kept["services"]
    return services


def _app(env: Any) -> App:
    if "app" not in _kept:
        _kept["app"] = build_app(_services(env))
    app: App = _kept["app"]
    return app


def _build_services(env: Any) -> Services:
    settings = read_settings(lambda name: getattr(env, name, None))
    db = D1Database(env.DB)
    failures = Failures()
    binding = getattr(env, "RATE_LIMITER", None)
    limiter = None if binding is None else _EdgeRateLimiter(binding)
    routing = KeptRouting(db, settings, monotonic=time.monotonic, failures=failures)
    access = build_access(settings, _AccessRuntime(), now=time.time, monotonic=time.monotonic)
    return Services(
        settings=settings,
        db=db,
        gateway=BindingGateway(getattr(env, "AI", None), gateway_id=settings.gateway_id),
        rate_limiter=limiter,
        routing=routing,
        identity=Identity(
            settings,
            db,
            revision=routing.revision,
            access=access,
            rate_limiter=limiter,
            now=time.time,
        ),
        failures=failures,
        now=time.time,
        monotonic=time.monotonic,
        new_id=_new_id,
        new_secret=_new_secret,
        new_hex=secrets.token_hex,
        sleep=asyncio.sleep,
        secret=lambda name: _secret(env, name),
    )


def _secret(env: Any, name: str) -> str | None:
    value = getattr(env, name, None)
    return value if isinstance(value, str) else None


def _new_id(prefix: str) -> str:
    # The time first: ids sort as they were made, which the logs' pages go by.
    return f"{prefix}_{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


def _new_secret() -> str:
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(40))


def _js_object(fields: dict[str, Any]) -> Any:
    return to_js(fields, dict_converter=js.Object.fromEntries)


def _plain(request: Any) -> Request:
    raw = request.js_object  # the SDK builds all headers anew at each look; this asks for one
    url = urlsplit(raw.url)

    def header(name: str) -> str | None:
        value = raw.headers.get(name)
        return value if isinstance(value, str) else None  # JavaScript's null has a type of its own

    return Request(
        method=raw.method,
        path=url.path,
        query_string=url.query,
        header=header,
        read_body=lambda limit: _read_body(raw, limit),
    )


async def _read_body(raw: Any, limit: int) -> bytes:
    """The body. One that declares its length is read at once, since the runtime holds it to that;
    any other is read no further than the limit."""
    if not raw.body:
        return b""
    length = raw.headers.get("content-length")
    if isinstance(length, str) and length.isdecimal():
        if int(length) > limit:
            raise _too_large(limit)
        content: bytes = (await raw.arrayBuffer()).to_bytes()
        return content
    reader = raw.body.getReader()
    parts: list[bytes] = []
    size = 0
    while not (chunk := await reader.read()).done:
        parts.append(chunk.value.to_bytes())
        size += len(parts[-1])
        if size > limit:
            reader.releaseLock()
            raise _too_large(limit)
    return b"".join(parts)


async def _send(parts: Parts, writer: Any) -> None:
    """Each part is made when the one before has been taken. Where the client has gone away, writing
    fails and the parts are closed; a failure of theirs breaks the stream off, so that the client
    does not take it for complete."""
    async with aclosing(parts):
        try:
            async for part in parts:
                await writer.write(to_js(part))
            await writer.close()
        except Exception as error:
            with suppress(JsException):
                await writer.abort(str(error))


async def _pass_over_rest(raw: Any) -> None:
    """Lets a body that nobody wanted run out. Left unread it resets the connection, and a client
    that is still sending never sees the answer."""
    if raw.body and not raw.body.locked:
        with suppress(OSError, JsException):  # the client may go away
            await raw.body.pipeTo(js.WritableStream.new())


def _too_large(limit: int) -> BodyTooLargeError:
    return BodyTooLargeError(f"The body is larger than {limit} bytes; send a smaller one.")
