"""Upstreams for the gateway's tests: an ASGI application behind HttpResponse, called over HTTPS or
like the AI binding, and a stream that a test writes chunk by chunk."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgeneuro.gateway.http import HttpResponse, read_whole

SILENCE = "silence"
CUT = "cut"
Script = list[bytes | str]


class FakeResponse:
    """A response made by hand."""

    def __init__(
        self, status: int, body: Any = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        self.status = status
        self._body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self._headers = dict(headers or {})

    def header(self, name: str, /) -> str | None:
        return self._headers.get(name)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        yield self._body


class AsgiResponse:
    """What an ASGI application answers, as it sends it. Closing the chunks disconnects."""

    def __init__(self, app: ASGIApp, scope: Scope, body: bytes) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self._sent: asyncio.Queue[Message | None] = asyncio.Queue()
        self._left = asyncio.Event()
        self._body: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        self._failure: Exception | None = None
        self._work = asyncio.ensure_future(self._run(app, scope))

    def header(self, name: str, /) -> str | None:
        return self.headers.get(name)

    async def begin(self) -> None:
        try:
            start = await self._next()
        except asyncio.CancelledError:
            await self._leave()
            raise
        if start is None:
            raise OSError("the connection was closed without an answer")
        self.status = start["status"]
        self.headers = {name.decode(): value.decode() for name, value in start["headers"]}

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        try:
            while (message := await self._next()) is not None:
                if message["body"]:
                    yield message["body"]
        finally:
            await self._leave()

    async def _next(self) -> Message | None:
        message = await self._sent.get()
        if message is None and self._failure is not None:
            raise OSError(str(self._failure))
        return message

    async def _leave(self) -> None:
        self._left.set()
        await self._work

    async def _run(self, app: ASGIApp, scope: Scope) -> None:
        try:
            await app(scope, self._receive, self._send)
        except Exception as error:
            self._failure = error
        await self._sent.put(None)

    async def _receive(self) -> Message:
        if self._body:
            return self._body.pop()
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        await self._sent.put({"body": b"", **message})


class AsgiFetch:
    """Fetch over an ASGI application. `outbound` asks it as the internet, as env.OUTBOUND asks
    local/. `sent` is what went out."""

    def __init__(self, app: ASGIApp, *, outbound: bool = False) -> None:
        self._app = app
        self._outbound = outbound
        self.sent: list[tuple[str, str, dict[str, str], Any]] = []

    async def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: Any, /
    ) -> AsgiResponse:
        self.sent.append((method, url, dict(headers), json.loads(body) if body else None))
        parts = urlsplit(url)
        path = f"/_outbound/{parts.netloc}{parts.path}" if self._outbound else parts.path
        scope = {
            "type": "http",
            "method": method,
            "scheme": parts.scheme,
            "server": (parts.hostname, 443),
            "client": ("127.0.0.1", 1),
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": parts.query.encode(),
            "headers": [
                (b"host", parts.netloc.encode()),
                *((name.encode(), value.encode()) for name, value in headers.items()),
            ],
        }
        response = AsgiResponse(self._app, scope, body)
        await response.begin()
        if response.header("x-local-failure"):
            raise OSError("Network connection lost.")
        return response


class FetchedAi:
    """env.AI over such a fetch, as local/binding/worker.mjs is it over its own."""

    def __init__(self, fetch: AsgiFetch) -> None:
        self._fetch = fetch

    async def run(
        self, model: str, inputs: dict[str, Any], options: dict[str, Any], /
    ) -> HttpResponse:
        gateway = options["gateway"]
        wanted = {
            "content-type": "application/json",
            "cf-aig-skip-cache": gateway.get("skipCache") and "true",
            "cf-aig-cache-ttl": gateway.get("cacheTtl"),
            "cf-aig-cache-key": gateway.get("cacheKey"),
            "cf-aig-metadata": json.dumps(gateway["metadata"]),
            "cf-aig-request-timeout": gateway["requestTimeoutMs"],
            **options.get("extraHeaders", {}),
        }
        headers = {name: str(value) for name, value in wanted.items() if value is not None}
        url = f"https://emulator/v1/local/{gateway['id']}/workers-ai/{quote(model, safe='@/')}"
        response = await self._fetch("POST", url, headers, json.dumps(inputs).encode())
        if response.header("content-type") != "application/json":
            return response
        body = await read_whole(response, limit=100_000_000)
        return FakeResponse(response.status, _bare(body, response.status), response.headers)

    async def models(self, query: dict[str, Any], /) -> Any:
        url = f"https://emulator/client/v4/accounts/local/ai/models/search?{urlencode(query)}"
        response = await self._fetch("GET", url, {}, b"")
        return json.loads(await read_whole(response, limit=100_000_000))["result"]

    async def patch_log(self, gateway_id: str, log_id: str, fields: dict[str, int], /) -> None:
        raise NotImplementedError


def _bare(body: bytes, status: int) -> bytes:
    """REST wraps what the binding gives bare."""
    try:
        match json.loads(body):
            case {"success": True, "result": result}:
                return json.dumps(result).encode()
            case {"errors": [{"code": code, "message": message}, *_]}:
                inner = {"name": "AiError", "internalCode": code, "httpCode": status}
                return json.dumps({**inner, "description": message}).encode()
    except (ValueError, RecursionError):
        pass
    return body


class Switch:
    """An upstream that is `app` until it is given a stream to play; `stopped` counts the streams
    whose reader left before their end."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.script: Script | None = None
        self.head = {"content-type": "text/event-stream", "cf-aig-log-id": "log-1"}
        self.stopped = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.script is None:
            await self._app(scope, receive, send)
            return
        headers = [(name.encode(), value.encode()) for name, value in self.head.items()]
        await receive()  # the request itself
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for part in self.script:
            if part == CUT:
                raise ConnectionError("the connection was reset")
            if part == SILENCE:
                assert (await receive())["type"] == "http.disconnect"
                self.stopped += 1
                return
            assert isinstance(part, bytes)
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
