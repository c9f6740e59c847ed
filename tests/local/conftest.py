from collections.abc import AsyncIterator

import pytest

from tests.local.desk import Desk, build_desk


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = build_desk()
    async with desk.client:
        yield desk
