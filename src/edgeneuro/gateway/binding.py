"""Gateway over the AI binding of the Workers runtime, which reaches Workers AI through AI Gateway
when it is told a gateway's id."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from edgeneuro.domain.catalogue import BaseModelFacts
from edgeneuro.domain.decision import GatewayTrace
from edgeneuro.errors import (
    InvalidOutputError,
    UpstreamError,
    UpstreamNotConfiguredError,
    UpstreamTimeoutError,
)
from edgeneuro.gateway.catalogue import read_catalogue
from edgeneuro.gateway.seam import ModelAnswer, ModelRequest, ModelStream
from edgeneuro.gateway.upstream_errors import raised_error, upstream_error
from edgeneuro.gateway.workers_ai import (
    read_content,
    read_engine,
    read_usage,
    text_generation_inputs,
)

_CATALOGUE_SECONDS = 10.0
_PAGE_SIZE = 100
_MOST_PAGES = 10


@asynccontextmanager
async def _translated(seconds: float) -> AsyncIterator[None]:
    """No error but ours leaves: what the binding throws, and its taking too long, in our words."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except UpstreamError:
        raise
    except TimeoutError as error:
        raise UpstreamTimeoutError(f"No answer within {seconds * 1000:.0f} ms.") from error
    except Exception as error:
        raise raised_error(str(getattr(error, "message", error))) from error


class BindingGateway:
    """`binding` is env.AI as the Python SDK wraps it, or None where there is none. Without a
    gateway id Workers AI is asked directly."""

    def __init__(self, binding: Any, *, gateway_id: str) -> None:
        self._binding = binding
        self._gateway_id = gateway_id

    async def run(self, request: ModelRequest, /) -> ModelAnswer:
        async with _translated(request.timeout_ms / 1000):
            # The raw response: it carries the log id of this very call, where the binding's
            # property of that name holds the last call's, whosever that was.
            response = await self._ai.run(
                request.model, text_generation_inputs(request), self._options(request)
            )
            body = await response.text()
        if response.status != 200:
            raise upstream_error(
                response.status, body, retry_after=response.headers.get("retry-after")
            )
        return _read_answer(body, response.headers)

    async def stream(self, request: ModelRequest, /) -> ModelStream:
        raise NotImplementedError

    async def patch_log(self, log_id: str, /, *, feedback: int, score: int | None = None) -> None:
        raise NotImplementedError

    async def models(self) -> list[BaseModelFacts]:
        found: list[BaseModelFacts] = []
        for page in range(1, _MOST_PAGES + 1):
            async with _translated(_CATALOGUE_SECONDS):
                query = {"task": "Text Generation", "page": page, "per_page": _PAGE_SIZE}
                entries = await self._ai.models(query)
            if not isinstance(entries, list):
                raise InvalidOutputError("Workers AI's catalogue is of a shape that is not known.")
            found += read_catalogue(entries)
            if len(entries) < _PAGE_SIZE:
                break
        return found

    @property
    def _ai(self) -> Any:
        if self._binding is None:
            raise UpstreamNotConfiguredError(
                "The Worker has no AI binding; add it to wrangler.toml."
            )
        return self._binding

    def _options(self, request: ModelRequest) -> dict[str, Any]:
        options: dict[str, Any] = {"returnRawResponse": True}
        if self._gateway_id:
            options["gateway"] = {
                "id": self._gateway_id,
                "metadata": request.metadata,
                "requestTimeoutMs": request.timeout_ms,
                # Always one or the other: left to itself a gateway may cache by the body alone.
                **(
                    {"skipCache": True}
                    if request.cache_key is None
                    else {"cacheKey": request.cache_key, "cacheTtl": request.cache_ttl_seconds}
                ),
            }
        return options


def _read_answer(body: str, headers: Any) -> ModelAnswer:
    try:
        output = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidOutputError("Workers AI's answer is not JSON.") from error
    return ModelAnswer(
        content=read_content(output),
        usage=read_usage(output),
        trace=GatewayTrace(
            log_id=headers.get("cf-aig-log-id"), cache_status=headers.get("cf-aig-cache-status")
        ),
        engine=read_engine(output),
    )
