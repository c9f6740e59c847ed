"""The beginning of a stream. Where its first part comes in time, a failure before it is an answer
with a status of its own. Where it does not, the response begins with comments, since proxies and
clients give up on a response that has not begun; a failure is then an event."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

from edgeneuro.call import Call
from edgeneuro.synapsecore.chat_stream import (
    COMMENT,
    EVENT_STREAM,
    error_event,
    is_silent,
    known_error,
)
from edgeneuro.web.response import Response
from edgeneuro.web.streams import ByteStream, started


class Beginning:
    """`has_begun` says that the response is on its way, so that its status can no longer change."""

    def __init__(self, call: Call, make: Callable[["Beginning"], Awaitable[Response]]) -> None:
        self.has_begun = False
        self._call = call
        self._making = asyncio.ensure_future(self._started(make))

    async def response(self) -> Response:
        """What `make` came to, or after the longest silence a response that waits for it. Raises
        what `make` raised in time."""
        try:
            late = await is_silent(self._making, self._call.services.stream_silence_seconds)
        except asyncio.CancelledError:
            await self._stop()
            raise
        if not late:
            return self._making.result()
        self.has_begun = True
        return Response(200, self._events(), {"content-type": EVENT_STREAM})

    async def _started(self, make: Callable[["Beginning"], Awaitable[Response]]) -> Response:
        """With its first part: a stream that has not begun would close nothing."""
        response = await make(self)
        response.body = await started(_parts(response))
        return response

    async def _events(self) -> AsyncGenerator[bytes, None]:
        parts: ByteStream | None = None
        try:
            yield COMMENT
            while await is_silent(self._making, self._call.services.stream_silence_seconds):
                yield COMMENT
            parts = _parts(self._making.result())
            async for part in parts:
                yield part
        except Exception as error:
            known = known_error(error, self._call.services)
            self._call.facts["error_code"] = known.code
            yield error_event(known, self._call.request_id, self._call.credential)
        finally:
            if parts is None:
                parts = await self._stop()
            if parts is not None:
                await parts.aclose()

    async def _stop(self) -> ByteStream | None:
        """Stops what is being made; returns the parts where they are there already."""
        self._making.cancel()
        [made] = await asyncio.gather(self._making, return_exceptions=True)
        return _parts(made) if isinstance(made, Response) else None


def _parts(response: Response) -> ByteStream:
    assert not isinstance(response.body, str), "a stream comes in parts"
    return response.body
