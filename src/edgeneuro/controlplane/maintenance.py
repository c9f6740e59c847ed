"""What the hourly cron does: it lets go of what has had its time."""

from collections.abc import Awaitable, Callable
from functools import partial

from edgeneuro.controlplane.jobs import run_alone
from edgeneuro.services import Services
from edgeneuro.store.answer_cache import CHATS, DECISIONS
from edgeneuro.store.candidates import delete_candidates_before
from edgeneuro.store.idempotency import purge_idempotency
from edgeneuro.store.logs import delete_logs_before
from edgeneuro.store.lora_files import purge_files
from edgeneuro.store.usage import sum_finished_days

_DAY_MS = 86_400_000
_FILES_KEPT_DAYS = 7  # of an adapter that has failed and waits for another try


async def run_maintenance(services: Services) -> None:
    """Each task by itself: one that fails is counted, and the others still run. What a run leaves
    over, the next one takes."""
    tasks: tuple[tuple[str, Callable[[Services], Awaitable[object]]], ...] = (
        ("cache_purge", _purge_cache),
        ("chat_cache_purge", _purge_chat_cache),
        ("idempotency_purge", _purge_idempotency),
        ("lora_files_purge", _purge_lora_files),
        ("log_retention", _delete_old_logs),
        ("day_sums", _sum_finished_days),
    )
    for name, task in tasks:
        await run_alone(services, name, partial(task, services))


async def _purge_cache(services: Services) -> None:
    await DECISIONS.purge_expired(services.db, now_ms=services.now_ms())


async def _purge_chat_cache(services: Services) -> None:
    await CHATS.purge_expired(services.db, now_ms=services.now_ms())


async def _purge_idempotency(services: Services) -> None:
    await purge_idempotency(services.db, now_ms=services.now_ms())


async def _purge_lora_files(services: Services) -> None:
    await purge_files(services.db, before_ms=services.now_ms() - _FILES_KEPT_DAYS * _DAY_MS)


async def _delete_old_logs(services: Services) -> None:
    config = await services.routing.current()
    moment_ms = services.now_ms() - config.retention_days * _DAY_MS
    await delete_logs_before(services.db, moment_ms)
    await services.db.run(delete_candidates_before(moment_ms))


async def _sum_finished_days(services: Services) -> None:
    await sum_finished_days(services.db, now_ms=services.now_ms())
