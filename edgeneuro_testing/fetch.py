"""A fetch that answers from a script: the fake for tests of what speaks HTTP."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgeneuro import bounded_json
from edgeneuro.gateway.http import SizedBody


@dataclass(frozen=True)
class ScriptedResponse:
    """An error among the parts breaks the body off; None stays silent for ever."""

    status: int = 200
    parts: Sequence[bytes | Exception | None] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fetched:
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return bounded_json.loads(self.body)


class ScriptedFetch:
    """Plays what was enqueued, in order; None instead of a response never answers. `requests` is
    what was sent, `stopped` how many bodies were closed before their end. Asked once too often, it
    fails as a network does."""

    def __init__(self, *script: ScriptedResponse | Exception | None) -> None:
        self._script = deque(script)
        self.requests: list[Fetched] = []
        self.stopped = 0

    def enqueue(self, *script: ScriptedResponse | Exception | None) -> None:
        self._script.extend(script)

    async def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | SizedBody, /
    ) -> "PlayedResponse":
        sent = body if isinstance(body, bytes) else await _whole(body)
        self.requests.append(Fetched(method, url, dict(headers), sent))
        step = self._script.popleft() if self._script else OSError("The script has ended.")
        if step is None:
            await asyncio.Event().wait()
        if isinstance(step, Exception):
            raise step
        assert step is not None
        return PlayedResponse(step, self)


async def _whole(body: SizedBody) -> bytes:
    """As the runtime does, it holds a body to its size."""
    content = b"".join([chunk async for chunk in body.chunks])
    if len(content) != body.size:
        raise OSError("The body is not of the size that it said.")
    return content


class PlayedResponse:
    def __init__(self, script: ScriptedResponse, fetch: ScriptedFetch) -> None:
        self._script = script
        self._fetch = fetch

    @property
    def status(self) -> int:
        return self._script.status

    def header(self, name: str, /) -> str | None:
        return {key.lower(): value for key, value in self._script.headers.items()}.get(name.lower())

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        try:
            for part in self._script.parts:
                if part is None:
                    await asyncio.Event().wait()
                elif isinstance(part, Exception):
                    raise part
                else:
                    yield part
        except (GeneratorExit, asyncio.CancelledError):
            self._fetch.stopped += 1
            raise
