"""What the crons of wrangler.toml do: every minute jobs run, new log rows are added to the sums and
expired rows are deleted, every hour finished days are summed too. The consumer of the job queue
runs jobs alone."""

from collections.abc import Awaitable, Callable
from functools import partial

from edgeneuro.controlplane.jobs.embedding_training import embedding_model
from edgeneuro.controlplane.jobs.kinds import KINDS
from edgeneuro.controlplane.jobs.runner import MAX_QUERIES_BEFORE_A_SLICE, run_due, wake_by
from edgeneuro.controlplane.learning.enabling import enable_by_rule
from edgeneuro.controlplane.learning.retraining import retrain_by_rule
from edgeneuro.controlplane.models.promotion import promote_by_rule
from edgeneuro.controlplane.observe.log_slices import write_log_slices
from edgeneuro.controlplane.unmatched import cluster_by_rule
from edgeneuro.controlplane.webhooks.delivery import purge_old
from edgeneuro.controlplane.webhooks.events import report_drift, run_webhooks
from edgeneuro.errors import SchemaMismatchError
from edgeneuro.services import Services
from edgeneuro.store.answer_cache import CHATS, DECISIONS
from edgeneuro.store.audit import delete_audit_before
from edgeneuro.store.comparisons import delete_challenger_answers_before
from edgeneuro.store.database import CountedDatabase
from edgeneuro.store.dead_letters import purge_dead_letters
from edgeneuro.store.idempotency import purge_idempotency
from edgeneuro.store.imports import purge_staged
from edgeneuro.store.label_vectors import purge_vectors
from edgeneuro.store.learning import delete_observed_before
from edgeneuro.store.logs import delete_logs_before
from edgeneuro.store.lora_files import purge_files
from edgeneuro.store.refusals import merge_refusals
from edgeneuro.store.rehash import rehash_window
from edgeneuro.store.sessions import purge_expired_sessions
from edgeneuro.store.usage import add_new_logs, purge_slots, sum_finished_days

Task = Callable[[Services], Awaitable[object]]
_DAY_MS = 86_400_000
_REHASH_WINDOWS = 4  # of 500 rows, half a second of CPU time each
_STAGED_KEPT_MS = 3_600_000  # rows of a file whose reading did not end
_OBSERVED_KEPT_DAYS = 90
# Log rows that are added to the sums at once: answers then share rows of sums, and who reads
# the sums adds what is left in some milliseconds.
_MANY_ROWS = 1_000
_FILES_KEPT_DAYS = 7  # of an adapter that has failed and waits for another try


EVERY_MINUTE = "* * * * *"


async def run_scheduled(services: Services, cron: str) -> None:
    """`cron` is the expression that fired; one fired by hand has none and does everything. Each
    task and each job fails alone. On a schema that this version must not change, nothing runs: jobs
    would fail, and not be tried again."""
    if not await _may_run(services):
        return
    counted = CountedDatabase(services.db)
    services = services.over(counted)
    await (delete_expired if cron == EVERY_MINUTE else run_maintenance)(services)
    for event, task in (
        ("promotion", promote_by_rule),
        ("learning", enable_by_rule),
        ("retraining", retrain_by_rule),
    ):
        if counted.queries <= MAX_QUERIES_BEFORE_A_SLICE:
            await run_alone(services, event, partial(task, services))
    await run_alone(services, "log_slices", partial(write_log_slices, services))
    await run_alone(services, "webhooks", partial(run_webhooks, services))
    await run_alone(services, "jobs", partial(run_due, services, counted, KINDS))


async def run_queue(services: Services) -> None:
    """Runs jobs because a message came, and sends another message if some of them can continue at
    once. A job that paused is continued by the cron."""
    if not await _may_run(services):
        return
    counted = CountedDatabase(services.db)
    services = services.over(counted)

    async def run() -> None:
        if await run_due(services, counted, KINDS):
            await wake_by(services)

    await run_alone(services, "jobs", run)


async def _may_run(services: Services) -> bool:
    try:
        await services.schema.require_changes()
    except SchemaMismatchError as error:
        services.failures.note("schema_mismatch", error)
        return False
    return True


async def run_alone(services: Services, event: str, work: Callable[[], Awaitable[object]]) -> None:
    """Runs one task of the cron. Whatever it raises is counted as `event`, and the tasks after it
    still run."""
    try:
        await work()
    except Exception as error:
        services.failures.note(event, error)


async def delete_expired(services: Services) -> None:
    """Every minute, 50,000 rows of a kind at most: what a run leaves, the next one takes, so that
    retention keeps up with what is written. Each task fails alone."""
    await _run(
        services,
        ("cache_purge", _purge_cache),
        ("chat_cache_purge", _purge_chat_cache),
        ("idempotency_purge", _purge_idempotency),
        ("session_purge", _purge_sessions),
        ("log_sums", _add_new_logs),
        ("log_retention", _delete_old_logs),
        ("dead_letter_retention", _delete_old_dead_letters),
        ("rehash", _rehash),
        ("import_purge", _purge_staged_imports),
    )


async def run_maintenance(services: Services) -> None:
    """Every hour: what reads more, and what can wait."""
    await delete_expired(services)
    await _run(
        services,
        ("challenger_answers_purge", _purge_challenger_answers),
        ("lora_files_purge", _purge_lora_files),
        ("label_vectors_purge", _purge_label_vectors),
        ("audit_retention", _delete_old_audit),
        ("observed_purge", _purge_observed),
        ("day_sums", _sum_finished_days),
        ("slot_purge", _purge_slots),
        ("refusal_merge", _merge_refusals),
        ("clustering_rule", cluster_by_rule),
        ("webhook_drift", report_drift),
        ("webhook_purge", purge_old),
    )


async def _run(services: Services, *tasks: tuple[str, Task]) -> None:
    for name, task in tasks:
        await run_alone(services, name, partial(task, services))


async def _purge_cache(services: Services) -> None:
    await DECISIONS.purge_expired(services.db, now_ms=services.now_ms())


async def _purge_chat_cache(services: Services) -> None:
    await CHATS.purge_expired(services.db, now_ms=services.now_ms())


async def _rehash(services: Services) -> None:
    for _ in range(_REHASH_WINDOWS):
        if not await rehash_window(services.db):
            break


async def _purge_staged_imports(services: Services) -> None:
    await purge_staged(services.db, before_ms=services.now_ms() - _STAGED_KEPT_MS)


async def _purge_idempotency(services: Services) -> None:
    await purge_idempotency(services.db, now_ms=services.now_ms())


async def _purge_sessions(services: Services) -> None:
    await purge_expired_sessions(services.db, now_ms=services.now_ms())


async def _purge_lora_files(services: Services) -> None:
    await purge_files(services.db, before_ms=services.now_ms() - _FILES_KEPT_DAYS * _DAY_MS)


async def _purge_label_vectors(services: Services) -> None:
    config = await services.routing.current()
    model = embedding_model(config)
    kept = [] if model is None else [config.identity_hash(model)]
    await purge_vectors(services.db, models=kept, now_ms=services.now_ms())


async def _add_new_logs(services: Services) -> None:
    await add_new_logs(services.db, at_least=_MANY_ROWS)


async def _delete_old_logs(services: Services) -> None:
    await delete_logs_before(services.db, await _retention_began_ms(services))


async def _delete_old_dead_letters(services: Services) -> None:
    await purge_dead_letters(services.db, before_ms=await _retention_began_ms(services))


async def _purge_challenger_answers(services: Services) -> None:
    await delete_challenger_answers_before(services.db, await _retention_began_ms(services))


async def _purge_observed(services: Services) -> None:
    await delete_observed_before(services.db, services.now_ms() - _OBSERVED_KEPT_DAYS * _DAY_MS)


async def _retention_began_ms(services: Services) -> int:
    config = await services.routing.current()
    return services.now_ms() - config.retention_days * _DAY_MS


async def _delete_old_audit(services: Services) -> None:
    days = (await services.routing.current()).audit_retention_days
    if days is not None:
        await delete_audit_before(services.db, services.now_ms() - days * _DAY_MS)


async def _sum_finished_days(services: Services) -> None:
    await sum_finished_days(services.db, now_ms=services.now_ms())


async def _purge_slots(services: Services) -> None:
    await purge_slots(services.db, now_ms=services.now_ms())


async def _merge_refusals(services: Services) -> None:
    await merge_refusals(services.db, now_ms=services.now_ms())
