"""The rate limiter, asked while the first stages of a request run. Its answer is awaited before
anything is paid for, written or sent."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from edgeneuro.access.identity import RateLimiter
from edgeneuro.errors import EdgeNeuroError
from edgeneuro.services import Services


class Admission:
    """One request. Without `key` it is admitted. A limiter that fails refuses nobody, since its
    failure would otherwise end all answers; the failure is counted."""

    def __init__(
        self, services: Services, key: str | None, refusal: Callable[[], EdgeNeuroError]
    ) -> None:
        self._refusal = refusal
        self._asked: asyncio.Task[bool] | None = None
        if key is not None and services.rate_limiter is not None:
            self._asked = _started(_ask(services.rate_limiter, key, services))

    async def wait(self) -> None:
        """Raises the refusal. Returns at once if the answer is known."""
        asked = self._asked
        if asked is None:
            return
        if not asked.done():
            await asyncio.wait([asked])  # which cancels nothing: others may wait as well
        if not asked.result():
            raise self._refusal()

    def close(self) -> None:
        """Nobody waits any longer."""
        if self._asked is not None:
            self._asked.cancel()


async def _ask(limiter: RateLimiter, key: str, services: Services) -> bool:
    try:
        return await limiter.allows(key)
    except Exception as error:
        services.failures.note("rate_limiter", error)
        return True


def _started(asking: Coroutine[Any, Any, bool]) -> asyncio.Task[bool]:
    """At once: in the Worker the first step of a task costs two timers of the runtime."""
    if sys.version_info >= (3, 12):
        return asyncio.Task(asking, loop=asyncio.get_running_loop(), eager_start=True)
    return asyncio.ensure_future(asking)
