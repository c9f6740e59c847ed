"""What follows when an agent, or the caller for it, says "not mine": the same turn without the
agents that were refused, and weak feedback on the decision. Its cached rankings are dropped, so
that the next caller does not get the same agent unasked. A label of the question stays in
force."""

from collections.abc import Sequence
from dataclasses import replace

from edgeneuro.domain.signal import Signal, SignalKind
from edgeneuro.store.answer_cache import DECISIONS
from edgeneuro.store.database import Statement
from edgeneuro.store.signals import insert_signal
from edgeneuro.store.sql import rfc3339
from edgeneuro.synapsecore.rankers.next_best import (
    EarlierRanking,
    NextBestRanker,
    NobodyLeftRanker,
)
from edgeneuro.synapsecore.ranking import Ranker
from edgeneuro.synapsecore.router import LABEL, MEMORY_CACHE, MODEL, RULES, STORED_CACHE
from edgeneuro.synapsecore.stored_text import stored_text
from edgeneuro.synapsecore.turn import Turn

# Decides that no agent fits, so that the fallback agent answers, or nobody.
NOBODY_LEFT: tuple[Ranker, ...] = (NobodyLeftRanker(),)


def next_decision(
    turn: Turn, left: Sequence[str], earlier: EarlierRanking | None
) -> tuple[Turn, tuple[Ranker, ...]]:
    """The turn with these agents alone, and the stages that decide on it. The classifier is none of
    them: it has decided, or was not sure. One agent is decided on, or nobody: a person who was sent
    on once is not asked. Without an `earlier` ranking, the caches and the models are asked."""
    turn = replace(turn, candidates=left, clarify=False, several=False)
    if not left:  # the agents stay, so that the question can still be shown
        return replace(turn, fallback_agent=None, preferred_agent=None), NOBODY_LEFT
    turn = turn.without({agent.id for agent in turn.agents} - set(left))
    next_best = [] if earlier is None else [NextBestRanker(earlier)]
    return turn, (RULES, LABEL, *next_best, MEMORY_CACHE, STORED_CACHE, MODEL)


def misroute_writes(
    turn: Turn,
    kind: SignalKind,
    *,
    log_id: str,
    agent_id: str | None,
    query_hash: str | None,
    reason: str | None,
) -> list[Statement]:
    """For the batch of a log row. `log_id` and `agent_id` are those of the decision that was wrong,
    `query_hash` is that of its question, None if it is not stored."""
    services, config = turn.services, turn.config
    kept = reason if config.log_queries else None
    signal = Signal(
        id=services.new_id("sig"),
        kind=kind,
        agent_id=agent_id,
        reason=kept and stored_text(config, kept),
        key_id=turn.caller.credential.key_id,
        created_at=rfc3339(services.now_ms()),
    )
    if query_hash is None:
        return [insert_signal(signal, log_id)]
    now_ms, ttl_seconds = services.now_ms(), config.cache_ttl_seconds
    dropped = DECISIONS.drop(query_hash, now_ms=now_ms, ttl_seconds=ttl_seconds)
    return [insert_signal(signal, log_id), *dropped]
