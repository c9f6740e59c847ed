"""Bodies that come in parts: whoever makes them hears when nobody reads on."""

from collections.abc import AsyncGenerator

import pytest

from edgeneuro.web.streams import started


class Body:
    def __init__(self, *parts: bytes | Exception) -> None:
        self._given = parts
        self.made = 0
        self.closed = False

    async def parts(self) -> AsyncGenerator[bytes, None]:
        try:
            for part in self._given:
                if isinstance(part, Exception):
                    raise part
                self.made += 1
                yield part
        finally:
            self.closed = True


async def test_the_parts_stay_as_they_are() -> None:
    failures: list[Exception] = []
    parts = await started(Body(b"a", b"b").parts(), failures.append)
    assert [part async for part in parts] == [b"a", b"b"]
    assert [part async for part in await started(Body().parts(), failures.append)] == []
    assert failures == []


async def test_a_failure_before_the_first_part_is_raised_and_a_later_one_noted() -> None:
    failures: list[Exception] = []
    with pytest.raises(OSError):
        await started(Body(OSError()).parts(), failures.append)
    assert failures == []
    parts = await started(Body(b"a", OSError("gone")).parts(), failures.append)
    with pytest.raises(OSError):
        _ = [part async for part in parts]
    assert [str(failure) for failure in failures] == ["gone"]


@pytest.mark.parametrize("taken", [0, 1, 2])
async def test_closing_closes_the_body(taken: int) -> None:
    body = Body(b"a", b"b", b"c")
    parts = await started(body.parts(), lambda error: None)
    for _ in range(taken):
        await anext(parts)
    assert not body.closed
    await parts.aclose()
    assert (body.closed, body.made) == (True, max(1, taken))
