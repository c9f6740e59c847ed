from collections.abc import AsyncIterator

import pytest

from tests.local.emulator import Emulator, build_emulator


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    emulator = build_emulator()
    async with emulator.client:
        yield emulator
