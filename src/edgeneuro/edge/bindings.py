"""The bindings of D1, Workers AI, the rate limiter and the job queue, and the runtime's part in
checking Cloudflare Access."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import js
from pyodide.ffi import JsException, to_js

from edgeneuro import bounded_json
from edgeneuro.access.cloudflare_access import Jwk
from edgeneuro.edge.crossing import bound, from_js, js_json, js_object, unwrapped
from edgeneuro.edge.fetch import JsHttpResponse, network_error, stoppable
from edgeneuro.errors import InvalidOutputError
from edgeneuro.gateway.http import HttpResponse, read_whole
from edgeneuro.store.database import Value

_RS256 = {"name": "RSASSA-PKCS1-v1_5", "hash": "SHA-256"}
_P256 = {"name": "ECDSA", "namedCurve": "P-256"}
_ES256 = {"name": "ECDSA", "hash": "SHA-256"}
_FETCH_MS = 5_000
_MAX_KEYS_BYTES = 1_000_000


class EdgeD1:
    """D1 without the SDK's wrapper around each statement. That wrapper is in a reference cycle, so
    a statement and the runtime's objects behind it would stay in memory until Python collects
    cycles, and Python does not know how large they are."""

    def __init__(self, binding: Any) -> None:
        self._binding = unwrapped(binding)

    def open_session(self, bookmark: str) -> "EdgeD1":
        return EdgeD1(self._binding.withSession(bookmark))

    def bookmark(self) -> str | None:
        """Of a session."""
        bookmark = self._binding.getBookmark()
        return bookmark if isinstance(bookmark, str) else None

    def prepare(self, sql: str) -> "EdgeStatement":
        return EdgeStatement(self._binding.prepare(sql))

    async def batch(self, statements: Sequence["EdgeStatement"]) -> Any:
        raw = to_js([each.raw for each in statements])
        return from_js(await self._binding.batch(raw))


class EdgeStatement:
    def __init__(self, raw: Any) -> None:
        self.raw = raw

    def bind(self, *parameters: Value) -> "EdgeStatement":
        return EdgeStatement(self.raw.bind(*map(bound, parameters)))

    async def all(self) -> Any:
        return from_js(await self.raw.all())


class EdgeRateLimiter:
    def __init__(self, binding: Any) -> None:
        self._binding = unwrapped(binding)

    async def allows(self, key: str) -> bool:
        outcome = await self._binding.limit(js_json({"key": key}))
        return bool(outcome.success)


class EdgeJobQueue:
    """A message says nothing: it wakes the runner of the jobs."""

    def __init__(self, binding: Any) -> None:
        self._binding = unwrapped(binding)

    async def send(self) -> None:
        await self._binding.send("run")


class EdgeLogQueue:
    """A message has log rows as JSON text (isolate/log_sink.py)."""

    def __init__(self, binding: Any) -> None:
        self._binding = unwrapped(binding)
        self._options = js_object({"contentType": "text"})

    async def send(self, text: str) -> None:
        try:
            await self._binding.send(text, self._options)
        except JsException as error:
            raise network_error(error) from error


class EdgeLogBucket:
    """An R2 bucket."""

    def __init__(self, binding: Any) -> None:
        self._binding = unwrapped(binding)
        self._options = js_object({"httpMetadata": {"contentType": "application/jsonl"}})

    async def put(self, name: str, content: bytes) -> None:
        try:
            await self._binding.put(name, to_js(content), self._options)
        except JsException as error:
            raise network_error(error) from error


class AccessRuntime:
    async def verify(self, jwk: Jwk, signed: bytes, signature: bytes) -> bool:
        subtle, algorithm = js.crypto.subtle, js_object(_RS256)
        try:
            key = await subtle.importKey("jwk", js_object(jwk), algorithm, False, to_js(["verify"]))
            return bool(await subtle.verify(algorithm, key, to_js(signature), to_js(signed)))
        except JsException:  # not a valid key
            return False

    async def fetch_json(self, url: str) -> Any:
        # Redirects are not followed: only the team's own host publishes its keys.
        controller = js.AbortController.new()
        signal = js.AbortSignal.any(to_js([controller.signal, js.AbortSignal.timeout(_FETCH_MS)]))
        options = {"redirect": "manual", "signal": signal}
        try:
            raw = await js.fetch(url, js_object(options))
        except JsException as error:
            raise network_error(error) from error
        response = JsHttpResponse(raw, controller.abort)
        if response.status != 200:
            raise OSError(f"{url} answered with status {response.status}")
        try:
            body = await read_whole(response, limit=_MAX_KEYS_BYTES)
        except InvalidOutputError as error:
            raise OSError(f"{url}: {error.message}") from error
        return bounded_json.loads(body)


class EdgeSigner:
    """ES256 by the runtime's WebCrypto. A key is imported once in an isolate."""

    def __init__(self) -> None:
        self._keys: dict[str, Any] = {}  # by the private part

    async def sign(self, jwk: Mapping[str, Any], data: bytes) -> bytes:
        subtle = js.crypto.subtle
        try:
            key = self._keys.get(jwk["d"])
            if key is None:
                key = await subtle.importKey(
                    "jwk", js_object(dict(jwk)), js_object(_P256), False, to_js(["sign"])
                )
                self._keys = {jwk["d"]: key}
            signature: bytes = (await subtle.sign(js_object(_ES256), key, to_js(data))).to_bytes()
        except JsException as error:
            raise network_error(error) from error
        return signature


class EdgeAi:
    """env.AI: the binding of Workers AI, or in local development the service that emulates it."""

    def __init__(self, binding: Any) -> None:
        self._binding = binding
        self._raw = unwrapped(binding)

    async def run(
        self, model: str, inputs: dict[str, Any], options: dict[str, Any], /
    ) -> HttpResponse:
        controller = js.AbortController.new()
        raw_options = js_json({**options, "returnRawResponse": True})
        raw_options.signal = controller.signal
        pending = self._raw.run(model, js_json(inputs), raw_options)
        return JsHttpResponse(await stoppable(pending, controller), controller.abort)

    async def models(self, query: dict[str, Any], /) -> Any:
        try:
            return await self._binding.models(query)
        except JsException as error:
            raise network_error(error) from error

    async def patch_log(self, gateway_id: str, log_id: str, fields: dict[str, int], /) -> None:
        try:
            gateway = self._binding.gateway(gateway_id)
            if inspect.isawaitable(gateway):  # over a service binding
                gateway = await gateway
            await gateway.patchLog(log_id, fields)
        except JsException as error:
            raise network_error(error) from error
