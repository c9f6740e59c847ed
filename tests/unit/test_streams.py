"""Bodies in parts: closing the outermost wrapper closes the handler's generator at once, and how
the stream ended is reported."""

from collections.abc import AsyncGenerator

import pytest

from edgeneuro.web.streams import ByteStream, Ending, ObservedStream, started


class Source:
    """A handler's generator that notes whether it was put away."""

    def __init__(self, *parts: bytes | Exception, at_the_end: Exception | None = None) -> None:
        self._script = parts
        self._at_the_end = at_the_end
        self.closed = False

    async def parts(self) -> AsyncGenerator[bytes, None]:
        try:
            for part in self._script:
                if isinstance(part, Exception):
                    raise part
                yield part
        finally:
            self.closed = True
            if self._at_the_end is not None:
                raise self._at_the_end


class Listener:
    def __init__(self) -> None:
        self.heard: list[tuple[Ending, Exception | None]] = []

    def __call__(self, ending: Ending, error: Exception | None) -> None:
        self.heard.append((ending, error))


async def begun(source: Source) -> tuple[ByteStream, Listener]:
    listener = Listener()
    return ObservedStream(await started(source.parts()), listener), listener


async def test_all_parts_arrive_and_the_end_is_reported_once() -> None:
    source = Source(b"a", b"", b"c")
    parts, listener = await begun(source)
    assert [part async for part in parts] == [b"a", b"", b"c"]
    await parts.aclose()
    assert (source.closed, listener.heard) == (True, [("complete", None)])


async def test_a_body_without_parts_is_complete() -> None:
    parts, listener = await begun(Source())
    assert [part async for part in parts] == []
    assert listener.heard == [("complete", None)]


async def test_a_failure_before_the_first_part_is_raised_at_the_start() -> None:
    with pytest.raises(ValueError, match="early"):
        await started(Source(ValueError("early")).parts())


async def test_a_later_failure_is_raised_and_reported() -> None:
    failure = ValueError("late")
    parts, listener = await begun(Source(b"a", failure))
    assert await anext(aiter(parts)) == b"a"
    with pytest.raises(ValueError, match="late"):
        await anext(aiter(parts))
    await parts.aclose()
    assert listener.heard == [("cut", failure)]


@pytest.mark.parametrize("taken", [0, 1, 2])
async def test_a_client_that_disconnects_ends_the_handlers_work_at_once(taken: int) -> None:
    source = Source(b"a", b"b", b"c")
    parts, listener = await begun(source)
    for _ in range(taken):
        await anext(aiter(parts))
    assert not source.closed
    await parts.aclose()
    assert (source.closed, listener.heard) == (True, [("client_gone", None)])
    assert [part async for part in parts] == []
    assert len(listener.heard) == 1


async def test_a_failure_while_closing_is_reported_and_not_raised() -> None:
    failure = ValueError("in the finally")
    parts, listener = await begun(Source(b"a", b"b", at_the_end=failure))
    await parts.aclose()
    assert listener.heard == [("client_gone", failure)]
