"""HTTP requests of our own, and their responses: read chunk by chunk, and stopped when nobody waits
for them any more."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, suppress
from typing import Any

import js
from pyodide.ffi import JsException, to_js

from edgeneuro.edge.values import js_object, unwrapped
from edgeneuro.gateway.http import HttpResponse, SizedBody


class JsHttpResponse:
    """HttpResponse over the runtime's Response. `stop` aborts the request that it answers."""

    def __init__(self, raw: Any, stop: Callable[[], None]) -> None:
        self._raw = raw
        self._stop = stop

    @property
    def status(self) -> int:
        return int(self._raw.status)

    def header(self, name: str, /) -> str | None:
        value = self._raw.headers.get(name)
        return value if isinstance(value, str) else None

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        if not self._raw.body:
            return
        reader = self._raw.body.getReader()
        ended = False
        try:
            while not (chunk := await reader.read()).done:
                yield chunk.value.to_bytes()
            ended = True
        except JsException as error:
            raise network_error(error) from error
        finally:
            if not ended:
                self._stop()
                with suppress(JsException):  # it may have been stopped by then
                    await reader.cancel()


class Fetcher:
    """Through `outbound` where that service is bound, else over the internet. Redirects are not
    followed: they would carry credentials elsewhere."""

    def __init__(self, outbound: Any) -> None:
        self._through = js if outbound is None else unwrapped(outbound)

    async def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | SizedBody, /
    ) -> HttpResponse:
        controller = js.AbortController.new()
        options: dict[str, Any] = {
            "method": method,
            "headers": dict(headers),
            "redirect": "manual",
            "signal": controller.signal,
        }
        if isinstance(body, SizedBody):
            return await self._send(url, options, body, controller)
        if body:
            options["body"] = to_js(body)
        return await self._fetch(url, options, controller)

    async def _fetch(self, url: str, options: dict[str, Any], controller: Any) -> HttpResponse:
        asked = self._through.fetch(url, js_object(options))
        return JsHttpResponse(await stoppable(asked, controller), controller.abort)

    async def _send(
        self, url: str, options: dict[str, Any], body: SizedBody, controller: Any
    ) -> HttpResponse:
        """Each part is made when the one before has gone out. An answer may come before all of it
        has; nothing more is made then."""
        pipe = js.FixedLengthStream.new(body.size)
        writing = asyncio.ensure_future(_write(body, pipe.writable.getWriter(), controller))
        try:
            return await self._fetch(url, {**options, "body": pipe.readable}, controller)
        except OSError:
            if writing.done() and not writing.cancelled():
                writing.result()  # why it was broken off, where that is on our side
            raise
        finally:
            writing.cancel()
            await asyncio.wait([writing])


async def _write(body: SizedBody, writer: Any, controller: Any) -> None:
    """What fails in the making breaks the request off."""
    try:
        async with aclosing(body.chunks) as chunks:
            async for chunk in chunks:
                await writer.write(to_js(chunk))
        await writer.close()
    except Exception as error:
        controller.abort(str(error))
        raise


async def stoppable(asked: Any, controller: Any) -> Any:
    """What was asked for; stopped where the caller no longer waits. Raises OSError."""
    try:
        return await asked
    except JsException as error:
        raise network_error(error) from error
    except asyncio.CancelledError:
        controller.abort()
        raise


def network_error(error: JsException) -> OSError:
    return OSError(str(getattr(error, "message", error)))
