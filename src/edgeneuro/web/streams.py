"""Bodies that come in parts: what fails before the first part becomes an answer, what fails later
breaks the stream off."""

from collections.abc import AsyncIterator, Callable


async def started(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same parts, the first one made already. Raises what making it raised."""
    first = await anext(body, b"")
    return _joined(first, body)


async def _joined(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if first:
        yield first
    async for part in rest:
        yield part


async def watched(
    body: AsyncIterator[bytes], note: Callable[[Exception], None]
) -> AsyncIterator[bytes]:
    """The same parts; `note` hears of the failure that ends them."""
    try:
        async for part in body:
            yield part
    except Exception as error:
        note(error)
        raise
