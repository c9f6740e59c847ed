"""Log entries: one per answer of POST /v1/route, with all that led to it."""

from typing import Literal

from pydantic import BaseModel

from edgeneuro.domain.decision import (
    Alternative,
    Attempt,
    CacheState,
    GatewayTrace,
    Layer,
    MetadataValue,
    Usage,
)
from edgeneuro.errors import Reason


class LogEntry(BaseModel):
    """`agent_id` is null where the answer was an error; `status` is the answer's HTTP status;
    `agents_revision` and `prompt_version` say which agents and which prompt the model saw."""

    object: Literal["log"] = "log"
    id: str
    created_at: str
    request_id: str
    key_id: str
    query: str
    user: str | None
    session: str | None
    metadata: dict[str, MetadataValue] | None
    candidates: list[str] | None
    status: int
    agent_id: str | None
    confidence: float
    threshold: float
    layer: Layer
    reason: Reason | None
    alternatives: list[Alternative]
    model: str | None
    adapter: str | None
    cache: CacheState
    attempts: list[Attempt]
    usage: Usage
    cost_usd: float | None
    latency_ms: float
    gateway: GatewayTrace
    prompt_version: str
    agents_revision: str
