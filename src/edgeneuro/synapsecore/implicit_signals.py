"""Implicit signals (setting `implicit_signals`, off by default): what a person writes next speaks
for or against the answer before. The same question in other words within a minute, and the wish for
a human, speak against it, thanks for it.

They are weak, and wrong now and then, so they count only in the label queue. The message before is
the caller's last one in the same session, or of the same `user`: a key alone may stand for many
people, so without both nothing is recorded. All of it happens after the answer is sent."""

from edgeneuro.classifier.scorer import likeness, read_query
from edgeneuro.domain.log import LogEntry
from edgeneuro.domain.query import near_form, normalise, similar_form
from edgeneuro.domain.reaction import reaction_of
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.domain.signal import Signal, SignalKind
from edgeneuro.errors import DatabaseError
from edgeneuro.services import Services
from edgeneuro.store.signals import AnsweredMessage, insert_signal, read_answered_before
from edgeneuro.store.sql import rfc3339, unix_ms

_REPHRASED_MS = 60_000
_REACTION_MS = 10 * 60_000
# Texts that share fewer words and word parts than this are two questions.
_MIN_LIKENESS = 0.65


async def note_reaction(services: Services, config: RoutingConfig, entry: LogEntry) -> None:
    """Records what this message says of the one before. A failure is only counted."""
    if not config.implicit_signals or not _may_react(entry):
        return
    try:
        before = await read_answered_before(
            services.db, entry, since_ms=unix_ms(entry.created_at) - _REACTION_MS
        )
        kind = None if before is None else _kind(entry, before)
        if before is None or kind is None:
            return
        signal = Signal(
            id=services.new_id("sig"),
            kind=kind,
            agent_id=before.agent_id,
            reason=None,
            key_id=entry.key_id,
            created_at=rfc3339(services.now_ms()),
        )
        await services.db.run(insert_signal(signal, before.id))
    except DatabaseError as error:
        services.failures.note("signal_write", error)


def _may_react(entry: LogEntry) -> bool:
    """A message of a known person, with its text; not the same one for the next best agent."""
    known = entry.session is not None or entry.user is not None
    return known and entry.query_hash is not None and entry.rerouted_from is None


def _kind(entry: LogEntry, before: AnsweredMessage) -> SignalKind | None:
    reaction = reaction_of(entry.query)
    if reaction is not None:
        return reaction
    if unix_ms(entry.created_at) - before.created_ms > _REPHRASED_MS:
        return None
    return "rephrased" if _is_rephrased(entry, before) else None


def _is_rephrased(entry: LogEntry, before: AnsweredMessage) -> bool:
    """The same text again may be a client that tried twice, so it says nothing. Texts that are only
    alike ("the weather in Rome", "in Paris") may be two questions for one agent: they count if
    another agent was decided on."""
    query, earlier = entry.query, before.query
    if normalise(query) == normalise(earlier):
        return False
    near, near_before = near_form(query), near_form(earlier)
    if near == near_before or similar_form(near) == similar_form(near_before):
        return True
    if entry.agent_id is None or entry.agent_id == before.agent_id:
        return False
    sketches = [read_query(text, None).sketch for text in (query, earlier)]
    return likeness(*sketches) >= _MIN_LIKENESS
