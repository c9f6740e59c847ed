"""Outgoing HTTP requests and their responses: read chunk by chunk, and aborted when the caller is
canceled."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, suppress
from typing import Any

import js
from pyodide.ffi import JsException, to_js

from edgeneuro.edge.crossing import js_object, unwrapped
from edgeneuro.gateway.http import HttpResponse, SizedBody

_MAX_ONE_CALL_BYTES = 65_536  # of a body that is read at once


class JsHttpResponse:
    """HttpResponse over the runtime's Response. `stop` aborts the request."""

    def __init__(self, raw: Any, stop: Callable[[], None]) -> None:
        self._raw = raw
        self._get = raw.headers.get
        self._stop = stop

    @property
    def status(self) -> int:
        return int(self._raw.status)

    def header(self, name: str, /) -> str | None:
        value = self._get(name)
        return value if isinstance(value, str) else None

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        if self._is_small():
            yield await self._whole()
            return
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
                with suppress(JsException):  # it may be aborted already
                    await reader.cancel()

    def _is_small(self) -> bool:
        length = self.header("content-length") or ""
        is_plain = self.header("content-encoding") is None  # else it may become larger
        return is_plain and length.isdecimal() and 0 < int(length) <= _MAX_ONE_CALL_BYTES

    async def _whole(self) -> bytes:
        """In one call instead of three. The runtime enforces the content-length."""
        try:
            content: bytes = (await self._raw.arrayBuffer()).to_bytes()
        except JsException as error:
            raise network_error(error) from error
        except BaseException:
            self._stop()
            raise
        return content


class Fetcher:
    """Through the binding if there is one, else over the internet. Redirects are not followed: they
    would send credentials to another host."""

    def __init__(self, binding: Any = None) -> None:
        self._through = js if binding is None else unwrapped(binding)

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
        pending = self._through.fetch(url, js_object(options))
        return JsHttpResponse(await stoppable(pending, controller), controller.abort)

    async def _send(
        self, url: str, options: dict[str, Any], body: SizedBody, controller: Any
    ) -> HttpResponse:
        """A part is made when the one before was sent. If the response arrives before the whole
        body was sent, no further part is made."""
        pipe = js.FixedLengthStream.new(body.size)
        writing = asyncio.ensure_future(_write(body, pipe.writable.getWriter(), controller))
        try:
            return await self._fetch(url, {**options, "body": pipe.readable}, controller)
        except OSError:
            if writing.done() and not writing.cancelled():
                writing.result()  # raises the cause, if the body's generator failed
            raise
        finally:
            writing.cancel()
            await asyncio.wait([writing])


async def _write(body: SizedBody, writer: Any, controller: Any) -> None:
    """An error in the body's generator aborts the request."""
    try:
        async with aclosing(body.chunks) as chunks:
            async for chunk in chunks:
                await writer.write(to_js(chunk))
        await writer.close()
    except Exception as error:
        controller.abort(str(error))
        raise


async def stoppable(pending: Any, controller: Any) -> Any:
    """The result; aborted if the caller is canceled. Raises OSError."""
    try:
        return await pending
    except JsException as error:
        raise network_error(error) from error
    except asyncio.CancelledError:
        controller.abort()
        raise


def network_error(error: JsException) -> OSError:
    return OSError(str(getattr(error, "message", error)))
