"""Bodies that come in parts: what fails before the first part becomes an answer, what fails later
breaks the stream off."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing


async def started(
    body: AsyncGenerator[bytes, None], note: Callable[[Exception], None]
) -> AsyncGenerator[bytes, None]:
    """The same parts, the first one made already. Raises what making it raised; `note` hears of a
    later failure. Closing it closes the body, also before a part was taken."""
    parts = _parts(body, note)
    await anext(parts)
    return parts


async def _parts(
    body: AsyncGenerator[bytes, None], note: Callable[[Exception], None]
) -> AsyncGenerator[bytes, None]:
    async with aclosing(body):
        first = await anext(body, b"")
        yield b""  # for `started` alone: only a generator that has run can be closed
        try:
            if first:
                yield first
            async for part in body:
                yield part
        except Exception as error:
            note(error)
            raise
