"""The seam within the gateway: what carries a question to a model and brings the response back as
it comes. What the response means is read in one place for all (client.py)."""

from typing import Any, Protocol

from edgeneuro.gateway.http import HttpResponse
from edgeneuro.gateway.seam import ModelRequest


class Transport(Protocol):
    """Raises errors.UpstreamError where something is not configured; whatever else it raises means
    that the upstream could not be reached."""

    async def send(self, request: ModelRequest, /, *, stream: bool) -> HttpResponse: ...

    async def models(self, query: dict[str, Any], /) -> Any:
        """A page of Workers AI's catalogue."""

    async def patch_log(self, log_id: str, fields: dict[str, int], /) -> None: ...
