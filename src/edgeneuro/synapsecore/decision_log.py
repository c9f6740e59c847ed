"""The log row of a decision, which is written after the answer is sent."""

from collections.abc import Iterable, Sequence
from typing import Any

from edgeneuro.domain.conversation import NOTHING_BEFORE, PreviousTurn
from edgeneuro.domain.decision import Attempt, StageRecord, Usage
from edgeneuro.domain.log import LogEntry
from edgeneuro.domain.query import query_hash
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.isolate.metrics import Metrics
from edgeneuro.services import Services
from edgeneuro.store.additions import Write
from edgeneuro.store.log_rows import log_row
from edgeneuro.store.log_writes import new_entry
from edgeneuro.store.sql import rfc3339
from edgeneuro.synapsecore.beside import count_beside
from edgeneuro.synapsecore.implicit_signals import note_reaction
from edgeneuro.synapsecore.ranking import ModelCallResult
from edgeneuro.synapsecore.router import RoutingResult
from edgeneuro.synapsecore.stored_text import stored_context, stored_metadata, stored_text
from edgeneuro.synapsecore.turn import TurnContext


def note_decision(result: RoutingResult) -> None:
    """Adds the decision to the request's line in the Worker's log."""
    decision, call, turn = result.decision, result.call, result.turn
    source = None if decision.ranking is None else decision.ranking.source
    turn.caller.facts.update(
        decision_id=turn.id,
        agent=decision.answering.id if decision.answering and result.error is None else None,
        layer=decision.layer,
        reason=decision.reason,
        model=source.model if source else None,
        adapter=source.adapter if source else None,
        cache=result.cache,
        attempts=len(call.attempts),
        upstream_ms=round(call.upstream_ms, 2),
    )


def _log_entry(result: RoutingResult) -> LogEntry:
    turn, decision, call = result.turn, result.decision, result.call
    config, caller, failure = turn.config, turn.caller, result.error
    source = None if decision.ranking is None else decision.ranking.source
    return LogEntry(
        **stored_texts(config, turn.query, turn.context, turn.previous),
        id=turn.id,
        kind="route",
        created_at=rfc3339(turn.created_ms),
        request_id=caller.request_id,
        trace_id=caller.trace.trace_id,
        key_id=caller.credential.key_id,
        candidates=None if turn.candidates is None else list(turn.candidates),
        router=config.named_router,
        rerouted_from=turn.rerouted_from,
        status=200 if failure is None else failure.status,
        outcome=decision.outcome if failure is None else None,
        agent_id=decision.answering.id if decision.answering and failure is None else None,
        confidence=decision.confidence,
        stated_confidence=decision.stated_confidence,
        confidence_source=decision.stated_confidence_source,
        threshold=config.confidence_threshold,
        layer=decision.layer,
        reason=decision.reason,
        alternatives=list(decision.alternatives),
        model=source.model if source else None,
        adapter=source.adapter if source else None,
        cache=result.cache,
        attempts=list(call.attempts),
        usage=call.usage,
        cost_usd=call.cost_usd,
        routing_cost_usd=call.cost_usd,
        classifier=result.classifier_verdict,
        latency_ms=result.latency_ms,
        upstream_ms=round(call.upstream_ms, 2),
        gateway=call.trace,
        prompt_version=result.prompt_version,
        agents_revision=config.agents_revision,
    )


def stored_texts(
    config: RoutingConfig,
    query: str,
    context: TurnContext,
    previous: PreviousTurn = NOTHING_BEFORE,
) -> dict[str, Any]:
    """What the caller wrote, as far as the settings allow to store it. The identity of the question
    is that of the stored text, since labels know no other text."""
    if not config.log_queries:
        facts = dict.fromkeys(("query_hash", "user", "session", "metadata"))
        return {"query": "", "context": PreviousTurn(previous.agent).shown(), **facts}
    query, previous = stored_text(config, query), stored_context(config, previous)
    return {
        "query": query,
        "query_hash": query_hash(query, previous.identity),
        "context": previous.shown(),
        "user": context.user and stored_text(config, context.user),
        "session": context.session and stored_text(config, context.session),
        "metadata": context.metadata and stored_metadata(config, context.metadata),
    }


def count_model_call(metrics: Metrics, call: ModelCallResult) -> None:
    """Counts calls of models that have no log row."""
    _count_attempts(metrics, call.attempts)
    _count_usage(metrics, call.usage, call.cost_usd)


def _count_answer(metrics: Metrics, entry: LogEntry) -> None:
    metrics.answers.add(1, entry.layer, entry.reason or "")
    _count_attempts(metrics, entry.attempts)
    _count_usage(metrics, entry.usage, entry.cost_usd)


def _count_attempts(metrics: Metrics, attempts: Iterable[Attempt]) -> None:
    for attempt in attempts:
        model = attempt.adapter or attempt.model
        metrics.attempts.add(1, model, attempt.outcome)
        if attempt.outcome != "circuit_open":  # then the model was not called
            metrics.upstream_seconds.observe(attempt.ms / 1000, model)


def _count_usage(metrics: Metrics, usage: Usage, cost_usd: float | None) -> None:
    metrics.tokens.add(usage.prompt_tokens, "prompt")
    metrics.tokens.add(usage.completion_tokens, "completion")
    metrics.cost_usd.add(cost_usd or 0)


async def log_decision(result: RoutingResult, also: Sequence[Write]) -> None:
    """Builds the row, which nobody waits for, and writes it."""
    services, entry = result.turn.services, _log_entry(result)
    await write_log(services, entry, result.stage_records(), [*also, await count_beside(result)])
    await note_reaction(services, result.turn.config, entry)


async def write_log(
    services: Services,
    entry: LogEntry,
    stages: Sequence[StageRecord] | None,
    also: Sequence[Write | None],
) -> None:
    """Writes a row and what else belongs to the answer, together with those of answers that end at
    the same time. The answer is sent already, so a failure is only counted; with DURABLE_LOG it
    waits, and this raises DatabaseError. `stages` is None if nothing was routed."""
    _count_answer(services.metrics, entry)
    writes = [each for each in also if each is not None]
    await services.log_writer.write(services.db, new_entry(log_row(entry, stages), writes))
