"""Bodies that come in parts: what fails before the first part becomes an answer, what fails later
breaks the stream off. Closing a wrapper closes what it wraps at once, also where nothing was taken
from it yet: so these are classes, since a generator that has not begun closes nothing."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Literal, Protocol

# "complete": all parts were taken; "cut": making them failed; "client_gone": it was closed before.
Ending = Literal["complete", "cut", "client_gone"]


class Parts(Protocol):
    """What a body is made of; every async generator of bytes is one. Who takes parts closes it."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    def __anext__(self) -> Awaitable[bytes]: ...

    def aclose(self) -> Awaitable[None]: ...


async def started(parts: Parts) -> Parts:
    """The same parts, the first one made already. Raises what making it raised."""
    return _Started(await anext(aiter(parts), None), parts)


class _Started:
    def __init__(self, first: bytes | None, rest: Parts) -> None:
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


class Watched:
    """The same parts; `ended` hears once how they ended, and of the failure if there was one."""

    def __init__(self, parts: Parts, ended: Callable[[Ending, Exception | None], None]) -> None:
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
        """Never raises: nobody is left to hear what fails while the parts are put away."""
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
