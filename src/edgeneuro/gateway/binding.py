"""The way over the AI binding of the Workers runtime, which reaches Workers AI through AI Gateway
when it is told a gateway's id."""

from typing import Any, Protocol

from edgeneuro.errors import UpstreamNotConfiguredError
from edgeneuro.gateway.gateway_headers import log_headers
from edgeneuro.gateway.http import HttpResponse
from edgeneuro.gateway.seam import ModelRequest
from edgeneuro.gateway.workers_ai import text_generation_inputs


class AiBinding(Protocol):
    """env.AI. `run` gives the raw response: it carries the log id of this very call, where the
    binding's property of that name holds the last call's, whosever that was."""

    async def run(
        self, model: str, inputs: dict[str, Any], options: dict[str, Any], /
    ) -> HttpResponse: ...

    async def models(self, query: dict[str, Any], /) -> Any: ...

    async def patch_log(self, gateway_id: str, log_id: str, fields: dict[str, int], /) -> None: ...


class BindingTransport:
    """Without a gateway id Workers AI is asked directly."""

    def __init__(self, binding: AiBinding, *, gateway_id: str) -> None:
        self._binding = binding
        self._gateway_id = gateway_id

    async def send(self, request: ModelRequest, /, *, stream: bool) -> HttpResponse:
        inputs = request.images.restored(text_generation_inputs(request, stream=stream))
        return await self._binding.run(request.model, inputs, self._options(request))

    async def models(self, query: dict[str, Any], /) -> Any:
        return await self._binding.models(query)

    async def patch_log(self, log_id: str, fields: dict[str, int], /) -> None:
        if not self._gateway_id:
            raise UpstreamNotConfiguredError(
                "No gateway keeps logs; set AI_GATEWAY_URL in wrangler.toml."
            )
        await self._binding.patch_log(self._gateway_id, log_id, fields)

    def _options(self, request: ModelRequest) -> dict[str, Any]:
        if not self._gateway_id:
            return {}
        gateway: dict[str, Any] = {
            "id": self._gateway_id,
            "metadata": request.metadata,
            "requestTimeoutMs": request.timeout_ms,
        }
        # Always one or the other: left to itself a gateway may cache by the body alone.
        if request.cache_key is None:
            gateway["skipCache"] = True
        else:
            gateway |= {"cacheKey": request.cache_key, "cacheTtl": request.cache_ttl_seconds}
        headers = log_headers(request)
        return {"gateway": gateway, **({"extraHeaders": headers} if headers else {})}
