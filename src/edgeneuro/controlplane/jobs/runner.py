"""The runner of background jobs: it acquires a lease on a job, runs one slice of it, and writes
what the slice came to. The cron starts the runner, and the queue JOB_QUEUE where one is bound. A
request that reads a job never does: the runtime ends the work after a response after 30 s, and
reading must not start work that costs money.

A slice is one call of `JobKind.run_slice`. Whatever it raises is counted and noted in the job's
row, and the job is retried later; after some failures in a row the job has failed. So one job
cannot stop the others."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, Protocol

from pydantic import BaseModel

from edgeneuro.call import Call
from edgeneuro.controlplane.access.audit import commit
from edgeneuro.domain.job import JobKindName
from edgeneuro.errors import ConflictError, ConstraintError, DatabaseError
from edgeneuro.services import Services
from edgeneuro.store import jobs as store
from edgeneuro.store.database import CountedDatabase, Rows, Statement, is_unreached
from edgeneuro.store.jobs import LeasedJob, error_text

# An invocation may make 1,000 queries of D1. Once it has made so many, no further slice or task
# begins: the next run begins it. What is left has to be enough for the one that began last.
MAX_QUERIES_BEFORE_A_SLICE = 450
_RUN_MS = 40_000  # no second slice of a job begins later: the cron fires every minute
_MAX_ERROR_CHARACTERS = 500
# Failures in a row because D1 was away, which say nothing of the job. Their pauses come to days.
_MAX_AWAY = 100


class LostLeaseError(Exception):
    """The job was cancelled, or another run has acquired it."""


@dataclass(frozen=True, kw_only=True)
class SliceOutcome:
    """What a slice came to. The runner writes it together with `statements`, in one batch, only
    while the lease holds. `running`: another slice continues, after `pause_ms`. `advanced`: the
    slice brought the job further, so its attempts count from here. `checkpoint` (JSON), `done` and
    `total` are what the job's row says from now on; what is left out stays. `error` is what is
    stored of a failure (store.jobs.error_text)."""

    state: Literal["running", "succeeded", "failed"] = "running"
    statements: Sequence[Statement] = ()
    pause_ms: int = 0
    advanced: bool = True
    checkpoint: str | None = None
    done: int | None = None
    total: int | None = None
    error: str | None = None


@dataclass(frozen=True)
class Lease:
    """A job that belongs to this run until its lease ends."""

    services: Services
    job: LeasedJob

    async def write(self, *statements: Statement) -> list[Rows]:
        """Runs the statements in one batch; returns the rows of each. Raises LostLeaseError, and
        writes nothing, where the lease does not hold any more."""
        return await self._batch([*statements, store.require_lease(self.job)])

    async def write_and(self, of_job: Statement, *statements: Statement) -> list[Rows]:
        """The same with a change of the job itself, which comes last and refuses the batch in place
        of a statement of its own."""
        rows = await self._batch([*statements, of_job])
        if not rows[-1]:
            raise LostLeaseError  # the job is gone, with its resource
        return rows

    async def advance(
        self,
        *statements: Statement,
        checkpoint: str | None = None,
        done: int | None = None,
        total: int | None = None,
        advanced: bool = True,
    ) -> list[Rows]:
        """Stores in the middle of a slice how far the job has come; what is left out stays."""
        stored = store.store_checkpoint(
            self.job,
            now_ms=self.services.now_ms(),
            checkpoint=checkpoint,
            done=done,
            total=total,
            advanced=advanced,
        )
        return await self.write_and(stored, *statements)

    async def _batch(self, statements: Sequence[Statement]) -> list[Rows]:
        db = self.services.db
        try:
            return await db.batch(statements)
        except ConstraintError as error:
            if await store.holds(db, self.job):
                raise
            raise LostLeaseError from error


class JobKind(Protocol):
    """One kind of job. `event` names its failures in /metrics, `resource` what it works on in the
    audit. A lease holds for `lease_ms`, longer than any slice may take. A run of the cron makes at
    most `slices_per_run` slices of one job. After `max_attempts` slices that did not advance the
    job, `exhausted` ends it; after `max_failures` in a row it has failed."""

    @property
    def name(self) -> JobKindName: ...
    @property
    def event(self) -> str: ...
    @property
    def resource(self) -> str: ...
    @property
    def lease_ms(self) -> int: ...
    @property
    def slices_per_run(self) -> int: ...
    @property
    def max_attempts(self) -> int: ...
    @property
    def max_failures(self) -> int: ...

    async def run_slice(self, lease: Lease) -> SliceOutcome:
        """Runs one slice, of some 20 s at most."""

    async def exhausted(self, lease: Lease) -> SliceOutcome:
        """What ends a job whose last `max_attempts` slices did not advance it."""

    def clean_up(self, resource_id: str) -> Sequence[Statement]:
        """What is deleted once a job was cancelled or set aside. Parses no row."""


async def run_slice(services: Services, kind: JobKind, job_id: str) -> bool:
    """Runs the job's next slice, if no other run has a lease on it. Returns whether another slice
    may follow at once; raises nothing."""
    now_ms = services.now_ms()
    try:
        job = await store.acquire(
            services.db, job_id, now_ms=now_ms, until_ms=now_ms + kind.lease_ms
        )
    except DatabaseError as error:
        services.failures.note(kind.event, error)
        return False
    if job is None:
        return False
    try:
        return await _run_leased(kind, Lease(services, job))
    except LostLeaseError:
        return False
    except Exception as error:
        services.failures.note(kind.event, error)
        is_away = isinstance(error, DatabaseError) and is_unreached(error)
        reason = f"{type(error).__name__}: {error}"[:_MAX_ERROR_CHARACTERS]
    with suppress(DatabaseError):  # noted above; the lease ends without it
        stored = error_text("job_failed", reason)
        now_ms = services.now_ms()
        if await store.record_failure(
            services.db,
            job,
            now_ms=now_ms,
            error=stored,
            max_failures=_MAX_AWAY if is_away else kind.max_failures,
            is_attempt=not is_away,
        ):
            await _clean_up(services, kind.clean_up(job.resource_id))
    return False


async def _run_leased(kind: JobKind, lease: Lease) -> bool:
    job, now_ms = lease.job, lease.services.now_ms
    exhausted = job.attempts > kind.max_attempts
    result = await (kind.exhausted(lease) if exhausted else kind.run_slice(lease))
    of_job = store.end_slice(
        job,
        result.state,
        now_ms=now_ms(),
        run_after_ms=now_ms() + result.pause_ms if result.pause_ms else 0,
        advanced=result.advanced,
        checkpoint=result.checkpoint,
        done=result.done,
        total=result.total,
        error=result.error,
    )
    await lease.write_and(of_job, *result.statements)
    return result.state == "running" and not result.pause_ms


async def _clean_up(services: Services, statements: Sequence[Statement]) -> None:
    if statements:
        await services.db.batch(statements)


async def cancel_work(
    call: Call,
    resource: str,
    resource_id: str,
    *,
    before: BaseModel,
    ended: ConflictError,
    clean_up: Sequence[Statement] = (),
) -> None:
    """Ends the job that works on this resource, then runs the kind's `clean_up`. `before` is the
    resource or the job, for the audit. Raises `ended` if the job has ended already."""
    services = call.services
    rows = await commit(
        call,
        [store.cancel_job(resource_id, now_ms=services.now_ms())],
        action="cancel",
        resource=resource,
        resource_id=resource_id,
        before=before,
    )
    if not rows:
        raise ended
    await _clean_up(services, clean_up)


@dataclass
class _Run:
    """One invocation of the runner. `finished` are jobs of which it makes no further slice;
    `more`: some of them can continue at once."""

    services: Services
    queries: CountedDatabase
    ends_at: int
    slices: Counter[str] = field(default_factory=Counter)
    finished: set[str] = field(default_factory=set)
    more: bool = False

    def may_begin(self) -> bool:
        return self.queries.queries <= MAX_QUERIES_BEFORE_A_SLICE


async def run_due(services: Services, queries: CountedDatabase, kinds: Sequence[JobKind]) -> bool:
    """Runs slices of all jobs that are due, in rounds: each job has one slice in a round, and of
    each kind a job has its turn before the second of any. Returns whether some jobs can
    continue at once. Raises DatabaseError where the jobs cannot be read."""
    by_name: dict[str, JobKind] = {kind.name: kind for kind in kinds}
    run = _Run(services, queries, services.now_ms() + _RUN_MS)
    first = True
    while True:
        due = await store.select_due(services.db, list(by_name), services.now_ms())
        due = [row for row in due if row["id"] not in run.finished]
        if not due:
            return run.more
        for row in due:
            late = not first and services.now_ms() >= run.ends_at
            if late or not run.may_begin():
                return True
            kind, job_id = by_name[row["kind"]], row["id"]
            again = await run_slice(services, kind, job_id)
            run.slices[job_id] += 1
            if not again or run.slices[job_id] >= kind.slices_per_run:
                run.finished.add(job_id)
                run.more |= again
        first = False


def wake(call: Call) -> None:
    """Has the runner start at once, where a queue is bound; else the cron does within a minute."""
    queue = call.services.job_queue
    if queue is not None:
        call.background(wake_by(call.services))


async def wake_by(services: Services) -> None:
    if services.job_queue is not None:
        try:
            await services.job_queue.send()
        except Exception as error:  # the cron runs the job all the same
            services.failures.note("job_queue", error)
