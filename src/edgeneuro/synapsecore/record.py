"""The record of an answer: one log row, written after the answer has gone out."""

from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

from edgeneuro.call import Call, Facts
from edgeneuro.domain.decision import Attempt, MetadataValue, RouteRequest, Usage
from edgeneuro.domain.log import LogEntry
from edgeneuro.domain.prompt import PROMPT_VERSION
from edgeneuro.domain.query import query_hash
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.domain.trace import Trace
from edgeneuro.errors import DatabaseError
from edgeneuro.isolate.metrics import Metrics
from edgeneuro.services import Services
from edgeneuro.store.database import Statement
from edgeneuro.store.logs import insert_log
from edgeneuro.store.sql import rfc3339
from edgeneuro.store.usage import count_answer
from edgeneuro.synapsecore.routed import Routed
from edgeneuro.synapsecore.stored_text import stored_metadata, stored_text
from edgeneuro.web.auth import Credential


@dataclass(frozen=True)
class Asker:
    """Who asked, the way to do something after they have their answer, the headers that go on it,
    and what the request's line in the Worker's log is to say."""

    request_id: str
    credential: Credential
    background: Callable[[Coroutine[Any, Any, None]], None]
    headers: dict[str, str]
    trace: Trace
    facts: Facts

    @classmethod
    def of(cls, call: Call) -> "Asker":
        return cls(
            call.request_id, call.credential, call.background, call.headers, call.trace, call.facts
        )


def note_decision(facts: Facts, routed: Routed) -> None:
    """Says of the decision what the request's line in the Worker's log has of it."""
    decision = routed.decision
    facts.update(
        decision_id=decision.id,
        agent=decision.agent.id if decision.agent and routed.refused is None else None,
        layer=decision.layer,
        reason=decision.reason,
        model=decision.model,
        adapter=decision.adapter,
        cache=decision.cache,
        attempts=len(decision.attempts),
        upstream_ms=routed.upstream_ms,
    )


def _log_entry(request: RouteRequest, routed: Routed, asker: Asker, *, created_ms: int) -> LogEntry:
    decision, config, failure = routed.decision, routed.config, routed.refused
    return LogEntry(
        **stored_texts(
            config,
            query=request.query,
            user=request.user,
            session=request.session,
            metadata=request.metadata,
        ),
        id=decision.id,
        kind="route",
        created_at=rfc3339(created_ms),
        request_id=asker.request_id,
        trace_id=asker.trace.trace_id,
        key_id=asker.credential.key_id,
        candidates=request.candidates,
        status=200 if failure is None else failure.status,
        outcome=decision.outcome if failure is None else None,
        agent_id=decision.agent.id if decision.agent and failure is None else None,
        confidence=decision.confidence,
        stated_confidence=routed.stated_confidence,
        confidence_source=routed.confidence_source,
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
        classifier=decision.classifier,
        latency_ms=decision.latency_ms,
        upstream_ms=routed.upstream_ms,
        gateway=decision.gateway,
        prompt_version=PROMPT_VERSION,
        agents_revision=config.agents_revision,
    )


def stored_texts(
    config: RoutingConfig,
    *,
    query: str,
    user: str | None,
    session: str | None,
    metadata: dict[str, MetadataValue] | None,
) -> dict[str, Any]:
    """What callers wrote, as far as the settings let it be stored. The question's identity is that
    of the stored text, since the labels know no other."""
    if not config.log_queries:
        return {"query": "", "query_hash": None, "user": None, "session": None, "metadata": None}
    query = stored_text(config, query)
    return {
        "query": query,
        "query_hash": query_hash(query),
        "user": user and stored_text(config, user),
        "session": session and stored_text(config, session),
        "metadata": metadata and stored_metadata(config, metadata),
    }


def count(metrics: Metrics, entry: LogEntry) -> None:
    """Counts the answer for /metrics."""
    metrics.answers.add(1, entry.layer, entry.reason or "")
    count_asking(metrics, entry.attempts, entry.usage, entry.cost_usd)


def count_asking(
    metrics: Metrics, attempts: Iterable[Attempt], usage: Usage, cost_usd: float | None
) -> None:
    """Counts what asking models came to."""
    for attempt in attempts:
        model = attempt.adapter or attempt.model
        metrics.attempts.add(1, model, attempt.outcome)
        if attempt.outcome != "circuit_open":  # then nobody was asked
            metrics.upstream_seconds.observe(attempt.ms / 1000, model)
    metrics.tokens.add(usage.prompt_tokens, "prompt")
    metrics.tokens.add(usage.completion_tokens, "completion")
    metrics.cost_usd.add(cost_usd or 0)


async def record(
    services: Services,
    request: RouteRequest,
    routed: Routed,
    asker: Asker,
    *,
    created_ms: int,
    settlement: Statement | None,
) -> None:
    """Makes the row, which nobody waits for, and writes it."""
    entry = _log_entry(request, routed, asker, created_ms=created_ms)
    await write(services, entry, *routed.writes, settlement)


async def write(services: Services, entry: LogEntry, *also: Statement | None) -> None:
    """Writes a row, the sums that it adds to and what else belongs to the answer in one batch: log
    rows and sums never part. The answer is out already, so a failure cannot reach anybody: it is
    counted."""
    count(services.metrics, entry)
    statements = [insert_log(entry), *count_answer(entry.id)]
    statements += [each for each in also if each is not None]
    try:
        await services.db.batch(statements)
    except DatabaseError as error:
        services.failures.note("log_write", error)
