"""Running jobs: trainings, evaluations and uploads of adapters, slice by slice under a lease.

The cron runs them. A request that reads a job never does: the runtime ends the work that follows a
response after 30 s, and reading must not start work that costs money. A request that creates a job
may run a first slice, if that is certain to end well within those 30 s."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

from edgeneuro.errors import DatabaseError
from edgeneuro.services import Services
from edgeneuro.store.jobs import JobTable, record_failure

EVENTS: dict[JobTable, str] = {
    "classifiers": "classifier_training",
    "evaluations": "evaluation",
    "loras": "lora_upload",
}
_SHOWN_CHARACTERS = 500


class LostLeaseError(Exception):
    """The job was cancelled, or another run has acquired it."""


async def run_slice_of(
    services: Services,
    table: JobTable,
    job_id: str,
    run: Callable[[int, int], Awaitable[bool]],
    *,
    lease_ms: int,
) -> bool:
    """Runs one slice of a job: `run(now_ms, until_ms)` acquires the job until `until_ms` and
    returns whether the next slice may follow at once. Whatever it raises is counted, noted in the
    job's row and retried later, so that one job cannot stop the others."""
    now_ms = services.now_ms()
    until_ms = now_ms + lease_ms
    try:
        return await run(now_ms, until_ms)
    except LostLeaseError:
        return False
    except Exception as error:
        services.failures.note(EVENTS[table], error)
        reason = f"{type(error).__name__}: {error}"[:_SHOWN_CHARACTERS]
    with suppress(DatabaseError):  # noted above; the lease ends by itself
        await record_failure(
            services.db,
            table,
            job_id,
            until_ms=until_ms,
            now_ms=services.now_ms(),
            error=reason,
        )
    return False


async def run_alone(services: Services, event: str, work: Callable[[], Awaitable[object]]) -> None:
    """Runs one task of the cron. Whatever it raises is counted as `event`, and the tasks after it
    still run."""
    try:
        await work()
    except Exception as error:
        services.failures.note(event, error)
