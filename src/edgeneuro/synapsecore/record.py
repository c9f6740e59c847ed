"""The record of an answer: one log row, written after the answer has gone out."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from edgeneuro.domain.decision import Decision, RouteRequest
from edgeneuro.domain.log import LogEntry
from edgeneuro.domain.prompt import PROMPT_VERSION
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import DatabaseError, UpstreamError
from edgeneuro.services import Services
from edgeneuro.store.database import Statement
from edgeneuro.store.logs import insert_log
from edgeneuro.store.times import rfc3339


@dataclass(frozen=True)
class Asker:
    """Who asked, and the way to do something after they have their answer."""

    request_id: str
    key_id: str
    background: Callable[[Coroutine[Any, Any, None]], None]


def log_entry(
    request: RouteRequest,
    decision: Decision,
    config: RoutingConfig,
    asker: Asker,
    *,
    created_ms: int,
    failure: UpstreamError | None,
) -> LogEntry:
    """`failure` is set where the caller got it as an error instead of the decision."""
    return LogEntry(
        id=decision.id,
        created_at=rfc3339(created_ms),
        request_id=asker.request_id,
        key_id=asker.key_id,
        query=request.query,
        user=request.user,
        session=request.session,
        metadata=request.metadata,
        candidates=request.candidates,
        status=200 if failure is None else failure.status,
        agent_id=decision.agent.id if failure is None else None,
        confidence=decision.confidence,
        threshold=config.confidence_threshold,
        layer=decision.layer,
        reason=decision.reason,
        alternatives=decision.alternatives,
        model=decision.model,
        adapter=decision.adapter,
        cache=decision.cache,
        attempts=decision.attempts,
        usage=decision.usage,
        cost_usd=decision.cost_usd,
        latency_ms=decision.latency_ms,
        gateway=decision.gateway,
        prompt_version=PROMPT_VERSION,
        agents_revision=config.agents_revision,
    )


async def record(services: Services, entry: LogEntry, new_answer: Statement | None) -> None:
    """Writes the row, and the new answer for the cache with it, in one round trip. The answer is
    out already, so a failure cannot reach anybody: it is counted."""
    statements = [insert_log(entry)]
    if new_answer is not None:
        statements.append(new_answer)
    try:
        await services.db.batch(statements)
    except DatabaseError as error:
        services.failures.note("log_write", error)
