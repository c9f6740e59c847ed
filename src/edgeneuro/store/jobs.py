"""The table `jobs`: background work of every kind. Whoever runs a slice of a job has acquired a
lease on it, and writes only while that lease holds.

No statement here parses what a kind stores, so that all of them also work for a job whose row, or
whose resource, cannot be read."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from edgeneuro.domain.job import Job, JobError, JobKindName, JobProgress, JobsQuery, job_id_of
from edgeneuro.store.database import Database, Row, Rows, Statement, Value, statement
from edgeneuro.store.sql import Conditions, rfc3339

MAX_FAILURES = 5  # in a row
RETRY_MS = 60_000  # after the first failure; doubled with each further one, up to an hour
_MAX_DOUBLINGS = 6
UNFINISHED = "state IN ('queued', 'running')"
_JOBS_OF_A_KIND = 10  # in one run
_COLUMNS = (
    "id, kind, resource_id, state, created_at, updated_at, started_at, ended_at, run_after,"
    " attempts, failures, done, total, error"
)
T = TypeVar("T")


@dataclass(frozen=True)
class LeasedJob:
    """A job that one run has acquired until `until` (unix ms). `attempts` includes this slice;
    `checkpoint` is the JSON text that the slice before it stored."""

    id: str
    kind: str
    resource_id: str
    attempts: int
    done: int
    checkpoint: str
    until: int


def insert_job(
    kind: JobKindName,
    resource_id: str,
    *,
    created_ms: int,
    total: int | None = None,
    checkpoint: str = "{}",
) -> Statement:
    """Goes right after the statement that stores the resource: where that one stored nothing, there
    is no job either."""
    return statement(
        "INSERT INTO jobs (id, kind, resource_id, state, created_at, updated_at, total, checkpoint)"
        " SELECT ?1, ?2, ?3, 'queued', ?4, ?4, ?5, ?6 WHERE changes() > 0",
        job_id_of(resource_id),
        kind,
        resource_id,
        created_ms,
        total,
        checkpoint,
    )


async def select_due(db: Database, kinds: Sequence[str], now_ms: int) -> Rows:
    """`id` and `kind` of jobs that may run and that nobody has acquired: of each kind the one that
    has waited longest, then of each kind the next, so that no kind delays the others."""
    return await db.run(
        statement(
            "SELECT id, kind FROM (SELECT id, kind, updated_at, row_number() OVER"
            " (PARTITION BY kind ORDER BY updated_at, id) AS place FROM jobs"
            f" WHERE {UNFINISHED} AND run_after <= ?1 AND lease_until <= ?1"
            " AND kind IN (SELECT value FROM json_each(?2))) WHERE place <= ?3"
            " ORDER BY place, updated_at, id",
            now_ms,
            json.dumps(kinds),
            _JOBS_OF_A_KIND,
        )
    )


async def acquire(db: Database, job_id: str, *, now_ms: int, until_ms: int) -> LeasedJob | None:
    """A lease on the job; None where it is not to be run now, or another run has one."""
    rows = await db.run(
        statement(
            "UPDATE jobs SET state = 'running', lease_until = ?3, attempts = attempts + 1,"
            " started_at = coalesce(started_at, ?2), updated_at = ?2"
            f" WHERE id = ?1 AND {UNFINISHED} AND run_after <= ?2 AND lease_until <= ?2"
            " RETURNING id, kind, resource_id, attempts, done, checkpoint, lease_until AS until",
            job_id,
            now_ms,
            until_ms,
        )
    )
    return LeasedJob(**rows[0]) if rows else None


def require_lease(job: LeasedJob) -> Statement:
    """Refuses the whole batch that it begins where the lease does not hold any more: the job was
    cancelled or deleted, or another run has acquired it. A batch is written whole or not at all,
    and the null below breaks a constraint."""
    return statement(
        "INSERT INTO jobs (id, kind) SELECT NULL, NULL WHERE NOT EXISTS (SELECT 1 FROM jobs"
        " WHERE id = ?1 AND state = 'running' AND lease_until = ?2)",
        job.id,
        job.until,
    )


async def holds(db: Database, job: LeasedJob) -> bool:
    rows = await db.run(
        statement(
            "SELECT 1 FROM jobs WHERE id = ?1 AND state = 'running' AND lease_until = ?2",
            job.id,
            job.until,
        )
    )
    return bool(rows)


# As a value of `state`, which may not be null: like require_lease it refuses the whole batch.
_OWN = "iif(state = 'running' AND lease_until = ?2, {}, NULL)"


def store_checkpoint(
    job: LeasedJob,
    *,
    now_ms: int,
    checkpoint: str | None = None,
    done: int | None = None,
    total: int | None = None,
    advanced: bool = True,
) -> Statement:
    """In the middle of a slice; what is left out stays. The attempts count from here if the job has
    `advanced`. As `end_slice` it goes last in a batch."""
    return statement(
        f"UPDATE jobs SET state = {_OWN.format('state')}, updated_at = ?3,"
        " checkpoint = coalesce(?4, checkpoint), done = coalesce(?5, done),"
        " total = coalesce(?6, total), attempts = iif(?7, 0, attempts), failures = 0,"
        " error = NULL WHERE id = ?1 RETURNING id",
        job.id,
        job.until,
        now_ms,
        checkpoint,
        done,
        total,
        int(advanced),
    )


def end_slice(
    job: LeasedJob,
    state: str,
    *,
    now_ms: int,
    run_after_ms: int,
    advanced: bool,
    checkpoint: str | None,
    done: int | None,
    total: int | None,
    error: str | None,
) -> Statement:
    """Ends the lease. `state` "running": another slice continues, from `run_after_ms` on."""
    return statement(
        f"UPDATE jobs SET state = {_OWN.format('?3')}, lease_until = 0, updated_at = ?4,"
        " run_after = ?5, ended_at = iif(?3 = 'running', NULL, ?4),"
        " attempts = iif(?6, 0, attempts), failures = 0, checkpoint = coalesce(?7, checkpoint),"
        " total = coalesce(?9, total), error = ?10, done = iif(?3 = 'succeeded',"
        " coalesce(?9, total, done), coalesce(?8, done)) WHERE id = ?1 RETURNING id",
        job.id,
        job.until,
        state,
        now_ms,
        run_after_ms,
        int(advanced),
        checkpoint,
        done,
        total,
        error,
    )


async def record_failure(
    db: Database,
    job: LeasedJob,
    *,
    now_ms: int,
    error: str,
    max_failures: int,
    is_attempt: bool = True,
) -> bool:
    """Counts a slice that raised an error; the job runs again after a pause. After `max_failures`
    in a row it has failed: True. `is_attempt` is false where the slice could not work at all."""
    rows = await db.run(
        statement(
            "UPDATE jobs SET failures = failures + 1, error = ?4, lease_until = 0,"
            " attempts = max(attempts - iif(?6, 0, 1), 0),"
            f" updated_at = ?3, run_after = ?3 + ({RETRY_MS} << min(failures, {_MAX_DOUBLINGS})),"
            " state = iif(failures + 1 >= ?5, 'failed', state),"
            " ended_at = iif(failures + 1 >= ?5, ?3, NULL)"
            f" WHERE id = ?1 AND {UNFINISHED} AND lease_until = ?2 RETURNING state",
            job.id,
            job.until,
            now_ms,
            error,
            max_failures,
            int(is_attempt),
        )
    )
    return bool(rows) and rows[0]["state"] == "failed"


def cancel_job(resource_id: str, *, now_ms: int) -> Statement:
    """No row comes back where the job has ended. A slice that is under way loses its lease."""
    return statement(
        "UPDATE jobs SET state = 'cancelled', ended_at = ?2, updated_at = ?2, lease_until = 0,"
        f" run_after = 0 WHERE resource_id = ?1 AND {UNFINISHED} RETURNING id",
        resource_id,
        now_ms,
    )


def clear_checkpoint(resource_id: str) -> Statement:
    return statement("UPDATE jobs SET checkpoint = '{}' WHERE resource_id = ?1", resource_id)


def unfinished(kind: JobKindName) -> str:
    """A condition in SQL: there is a job of the kind that has not ended."""
    return f"EXISTS (SELECT 1 FROM jobs WHERE kind = '{kind}' AND {UNFINISHED})"


async def find_job(db: Database, job_id: str) -> Job | None:
    rows = await db.run(statement(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?1", job_id))
    return job_from_row(rows[0]) if rows else None


async def list_jobs(db: Database, query: JobsQuery, *, limit: int) -> list[Job]:
    """Newest first."""
    wanted = Conditions()
    if query.after is not None:
        wanted.add("id < ?", query.after)
    if query.kind is not None:
        wanted.add("kind = ?", query.kind)
    if query.state is not None:
        wanted.add("state = ?", query.state)
    rows = await db.run(
        statement(
            f"SELECT {_COLUMNS} FROM jobs WHERE {wanted.sql} ORDER BY id DESC LIMIT ?",
            *wanted.values,
            limit,
        )
    )
    return [job_from_row(row) for row in rows]


def job_from_row(row: Row) -> Job:
    times = ("created_at", "updated_at", "started_at", "ended_at")
    return Job.model_validate(
        {
            **row,
            **{name: None if row[name] is None else rfc3339(row[name]) for name in times},
            "run_after": rfc3339(row["run_after"]) if row["run_after"] else None,
            "progress": JobProgress(done=row["done"], of=row["total"]),
            "error": None if row["error"] is None else JobError(**error_fields(row["error"])),
        }
    )


def error_text(code: str, message: str) -> str:
    """An error as the column `error` stores it."""
    return JobError(code=code, message=message).model_dump_json()


def error_fields(stored: str) -> dict[str, str]:
    """`code` and `message` of a stored error."""
    try:
        found = json.loads(stored)
        return {name: str(found[name]) for name in ("code", "message")}
    except (ValueError, KeyError, TypeError):
        return {"code": "job_failed", "message": stored}


def message_of(stored: str | None) -> str | None:
    return None if stored is None else error_fields(stored)["message"]


def read_or_substitute(read: Callable[[Row], T], row: Row, substitute: Mapping[str, Value]) -> T:
    """The resource of a row. Where the row cannot be read, the resource is a failed one:
    `substitute` replaces the columns that may be at fault. One bad row must not hide the others of
    a list."""
    try:
        return read(row)
    except (ValueError, TypeError) as unreadable:
        reason = error_text("job_failed", f"This record cannot be read: {unreadable}"[:500])
        return read({**row, "error": reason, **substitute, "state": "failed"})
