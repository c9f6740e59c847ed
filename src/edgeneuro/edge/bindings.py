"""The bindings of D1 and of the rate limiter, and the runtime's part in checking Cloudflare
Access."""

from collections.abc import Sequence
from typing import Any

import js
from pyodide.ffi import JsException, to_js
from workers import python_from_rpc, python_to_rpc

from edgeneuro import bounded_json
from edgeneuro.edge.fetch import JsHttpResponse, network_error
from edgeneuro.edge.values import js_object, unwrapped
from edgeneuro.errors import InvalidOutputError
from edgeneuro.gateway.http import read_whole
from edgeneuro.store.database import Value
from edgeneuro.web.cloudflare_access import Jwk

_RS256 = {"name": "RSASSA-PKCS1-v1_5", "hash": "SHA-256"}
_FETCH_MS = 5_000
_MAX_KEYS_BYTES = 1_000_000


class EdgeD1:
    """D1 without the SDK's wrapper around each statement. That one keeps a function that refers
    back to it, so a statement and the runtime's objects behind it would stay until Python looks for
    cycles, and Python knows nothing of their size."""

    def __init__(self, binding: Any) -> None:
        self._binding = unwrapped(binding)

    def prepare(self, sql: str) -> "EdgeStatement":
        return EdgeStatement(self._binding.prepare(sql))

    async def batch(self, statements: Sequence["EdgeStatement"]) -> Any:
        raw = to_js([each.raw for each in statements])
        return python_from_rpc(await self._binding.batch(raw))


class EdgeStatement:
    def __init__(self, raw: Any) -> None:
        self.raw = raw

    def bind(self, *parameters: Value) -> "EdgeStatement":
        return EdgeStatement(self.raw.bind(*map(python_to_rpc, parameters)))

    async def all(self) -> Any:
        return python_from_rpc(await self.raw.all())


class EdgeRateLimiter:
    def __init__(self, binding: Any) -> None:
        self._binding = binding

    async def allows(self, key: str) -> bool:
        outcome = await self._binding.limit({"key": key})
        return bool(outcome["success"])


class AccessRuntime:
    async def verify(self, jwk: Jwk, signed: bytes, signature: bytes) -> bool:
        subtle, algorithm = js.crypto.subtle, js_object(_RS256)
        try:
            key = await subtle.importKey("jwk", js_object(jwk), algorithm, False, to_js(["verify"]))
            return bool(await subtle.verify(algorithm, key, to_js(signature), to_js(signed)))
        except JsException:  # the key is none
            return False

    async def fetch_json(self, url: str) -> Any:
        # Not redirected: what another place says are not the team's keys.
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
