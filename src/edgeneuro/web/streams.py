"""Bodies in parts. An error before the first part becomes an error response; a later one aborts the
stream. Closing a wrapper closes the stream in it at once, even if no part was read. So the wrappers
are classes: a generator that has not started closes nothing."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Literal, Protocol

# "complete": all parts were read; "cut": making a part failed; "client_gone": closed before the
# end.
Ending = Literal["complete", "cut", "client_gone"]


class ByteStream(Protocol):
    """The parts of a body; every async generator of bytes is one. Whoever reads it closes it."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    def __anext__(self) -> Awaitable[bytes]: ...

    def aclose(self) -> Awaitable[None]: ...


async def started(parts: ByteStream) -> ByteStream:
    """The same parts, with the first one made already. Raises its error."""
    return _Started(await anext(aiter(parts), None), parts)


class _Started:
    def __init__(self, first: bytes | None, rest: ByteStream) -> None:
        self._first = first
        self._rest = rest

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        first, self._first = self._first, None
        return await self._rest.__anext__() if first is None else first

    async def aclose(self) -> None:
        self._first = None
        await self._rest.aclose()


class ObservedStream:
    """The same parts. `ended` is called once, with how they ended and the error, if there was
    one."""

    def __init__(
        self, parts: ByteStream, ended: Callable[[Ending, Exception | None], None]
    ) -> None:
        self._parts = parts
        self._ended = ended
        self._is_open = True

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self._parts.__anext__()
        except StopAsyncIteration:
            self._end("complete")
            raise
        except Exception as error:
            self._end("cut", error)
            raise

    async def aclose(self) -> None:
        """Never raises: the client is gone, so `ended` gets the error."""
        failure: Exception | None = None
        try:
            await self._parts.aclose()
        except Exception as error:
            failure = error
        self._end("client_gone", failure)

    def _end(self, ending: Ending, failure: Exception | None = None) -> None:
        if self._is_open:
            self._is_open = False
            self._ended(ending, failure)
