"""A scripted fetch: the fake for tests of HTTP clients."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgeneuro import bounded_json
from edgeneuro.gateway.http import SizedBody


@dataclass(frozen=True)
class ScriptedResponse:
    """An exception among the parts breaks off the body; None sends nothing, forever."""

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
    """Returns the enqueued responses in order; None never answers. `requests` are the requests it
    got, `stopped` the number of bodies that were closed before their end. Without a next response
    it raises OSError."""

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
    """Checks the size of the body, as the runtime does."""
    content = b"".join([chunk async for chunk in body.chunks])
    if len(content) != body.size:
        raise OSError("The body does not have its declared size.")
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
