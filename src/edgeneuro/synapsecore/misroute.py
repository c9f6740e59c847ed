"""What is recorded when an agent, or the caller for it, says "not mine": weak feedback on the
decision. Its cached rankings are dropped, so that the next caller does not get the same agent
unasked. A label of the question stays in force."""

from edgeneuro.domain.signal import Signal, SignalKind
from edgeneuro.store.answer_cache import DECISIONS
from edgeneuro.store.database import Statement
from edgeneuro.store.signals import insert_signal
from edgeneuro.store.sql import rfc3339
from edgeneuro.synapsecore.stored_text import stored_text
from edgeneuro.synapsecore.turn import Turn


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
    dropped = [] if query_hash is None else DECISIONS.drop(query_hash)
    return [insert_signal(signal, log_id), *dropped]
