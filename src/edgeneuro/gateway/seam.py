"""The seam to the models: one question to one model in, its answer out. Transports translate; who
is asked when another fails is decided above (synapsecore/ask.py)."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from edgeneuro.domain.catalogue import BaseModelFacts
from edgeneuro.domain.decision import GatewayTrace, Usage


@dataclass(frozen=True, kw_only=True)
class ModelRequest:
    """`response_schema` asks for JSON mode. `cache_key` None asks AI Gateway to skip its cache;
    `metadata` (at most 5 flat entries) is for AI Gateway's own logs. Times in milliseconds."""

    model: str
    adapter: str | None
    messages: list[dict[str, str]]
    response_schema: dict[str, Any] | None
    max_tokens: int
    timeout_ms: int
    cache_key: str | None
    cache_ttl_seconds: int
    metadata: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class ModelAnswer:
    """`content` is a text, or an object where the model answered in JSON mode."""

    content: str | dict[str, Any]
    usage: Usage = field(default_factory=Usage)
    trace: GatewayTrace = field(default_factory=GatewayTrace)
    engine: str | None = None


class Gateway(Protocol):
    async def run(self, request: ModelRequest, /) -> ModelAnswer:
        """Raises errors.UpstreamError, of the class that says why there is no answer."""

    async def models(self) -> list[BaseModelFacts]:
        """Workers AI's own catalogue of text generation models. Raises errors.UpstreamError."""
