"""The job that erases the texts of one question, or of one person. The request for it runs the
first slice, the runner the others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgeneuro.controlplane.jobs.runner import Lease, SliceOutcome
from edgeneuro.domain.erasure import ErasureCheckpoint, ErasureCounts
from edgeneuro.domain.job import JobKindName
from edgeneuro.store import erasures as store
from edgeneuro.store.answer_cache import CHATS
from edgeneuro.store.database import Statement
from edgeneuro.store.dead_letters import erase_dead_letters
from edgeneuro.store.jobs import clear_checkpoint, error_text
from edgeneuro.store.sessions import erase_sessions
from edgeneuro.store.webhook_deliveries import erase_deliveries

# A Worker may run 1,000 queries of D1 for a request; 250 rows take 10.
_MAX_STEPS = 20
_MAX_ROWS = 10_000
_MAX_ATTEMPTS = 100  # with an hour between the later ones; who asked for it does not look again
_NOTHING = "{}"  # in place of the checkpoint, which says whose texts they are


@dataclass(frozen=True, kw_only=True)
class ErasureKind:
    """`report(counts, done)` is called with what a slice has deleted."""

    name: JobKindName = "erasure"
    event: str = "erasure"
    resource: str = "erasure"
    lease_ms: int = 60_000
    slices_per_run: int = 1  # it takes half of the queries that a run may make
    max_attempts: int = _MAX_ATTEMPTS
    max_failures: int = _MAX_ATTEMPTS
    report: Callable[[ErasureCounts, bool], None] = lambda counts, done: None

    async def run_slice(self, lease: Lease) -> SliceOutcome:
        """Each step deletes what it finds, so a step that is run twice deletes nothing more."""
        services = lease.services
        services.recent_chats.clear()
        services.recent_answers.clear()
        services.recent_sessions.clear()
        await CHATS.flush(services.db)
        checkpoint = ErasureCheckpoint.model_validate_json(lease.job.checkpoint)
        await services.db.run(erase_sessions(checkpoint.target))
        await services.db.run(erase_dead_letters(checkpoint.target))
        await services.db.run(erase_deliveries(checkpoint.target))
        if checkpoint.target.query_hash is not None:
            counts, done = await _erase_question(lease, checkpoint)
        else:
            counts, done = await _erase_person(lease, checkpoint)
        self.report(counts, done)
        if done:
            return SliceOutcome(state="succeeded", checkpoint=_NOTHING)
        return SliceOutcome(checkpoint=checkpoint.model_dump_json())

    async def exhausted(self, lease: Lease) -> SliceOutcome:
        error = error_text("erasure_failed", "It was begun again and again and never ended.")
        return SliceOutcome(state="failed", checkpoint=_NOTHING, error=error)

    def clean_up(self, resource_id: str) -> Sequence[Statement]:
        return [clear_checkpoint(resource_id)]


async def _erase_question(
    lease: Lease, checkpoint: ErasureCheckpoint
) -> tuple[ErasureCounts, bool]:
    """What was deleted, and whether that is all. Moves the checkpoint."""
    db, target = lease.services.db, checkpoint.target
    assert target.query_hash is not None
    counts = await store.erase_question(db, target.query_hash)
    undecided = chunk = True
    for _ in range(_MAX_STEPS):
        found = await store.erase_undecided_logs(db, target, checkpoint.position)
        undecided = found is not None
        if found is None:
            break
        checkpoint.position, more = found
        counts.add(more)
    await lease.advance(checkpoint=checkpoint.model_dump_json())
    context = True
    for _ in range(_MAX_STEPS):
        removed = await store.erase_contexts(db, target.previous_hashes)
        context = removed is not None
        if removed is None:
            break
        counts.add(removed)
    for _ in range(_MAX_STEPS):
        deleted = await store.erase_question_logs(db, target)
        chunk = deleted is not None
        if deleted is None:
            break
        counts.add(deleted)
    return counts, not undecided and not context and not chunk


async def _erase_person(lease: Lease, checkpoint: ErasureCheckpoint) -> tuple[ErasureCounts, bool]:
    """The same for what a person sent."""
    db, target = lease.services.db, checkpoint.target
    counts = ErasureCounts()
    if target.key_ids and checkpoint.position == 0:
        anonymous_id = lease.services.new_id("usr")
        counts.add(await store.erase_person(db, target.key_ids, anonymous_id))
    for _ in range(_MAX_STEPS):
        if checkpoint.position >= target.until:
            return counts, True
        if counts.logs >= _MAX_ROWS:
            break
        counts.add(await store.erase_window(db, target, checkpoint.position))
        checkpoint.position += store.WINDOW_ROWS
        await lease.advance(checkpoint=checkpoint.model_dump_json())
    return counts, checkpoint.position >= target.until
