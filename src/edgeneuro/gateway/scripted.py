"""A gateway that answers from a script: the fake for tests of everything above the seam."""

from collections import deque

from edgeneuro.domain.catalogue import BaseModelFacts
from edgeneuro.errors import UpstreamError
from edgeneuro.gateway.seam import ModelAnswer, ModelRequest


class ScriptedGateway:
    """Plays what was enqueued, in order; `requests` is what it was asked. Asked once too often, it
    fails as an upstream does."""

    def __init__(self, *script: ModelAnswer | Exception) -> None:
        self._script = deque(script)
        self.requests: list[ModelRequest] = []
        self.catalogue: list[BaseModelFacts] | UpstreamError = []

    def enqueue(self, *script: ModelAnswer | Exception) -> None:
        self._script.extend(script)

    async def run(self, request: ModelRequest, /) -> ModelAnswer:
        self.requests.append(request)
        if not self._script:
            raise UpstreamError("The script has ended.")
        step = self._script.popleft()
        if isinstance(step, Exception):
            raise step
        return step

    async def models(self) -> list[BaseModelFacts]:
        if isinstance(self.catalogue, UpstreamError):
            raise self.catalogue
        return self.catalogue
