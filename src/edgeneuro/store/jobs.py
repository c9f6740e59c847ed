"""What the tables of jobs share: which jobs may run now, and what is written of a failed run.

`classifiers`, `evaluations` and `loras` have the columns `state`, `claimed_until`, `failures`,
`error` and `finished_at`. These statements never parse a row, so that they also work for a row that
cannot be read."""

from collections.abc import Callable, Mapping
from typing import Literal, TypeVar

from edgeneuro.store.database import Database, Row, Statement, Value, statement

JobTable = Literal["classifiers", "evaluations", "loras"]
MAX_FAILURES = 5  # in a row
RETRY_MS = 60_000  # after the first failure; doubled with each further one
_JOBS_PER_RUN = 10
T = TypeVar("T")


def select_due(table: JobTable, now_ms: int) -> Statement:
    """The ids of jobs that nobody holds, those that have waited longest first."""
    return statement(
        f"SELECT id FROM {table} WHERE state IN ('queued', 'running') AND claimed_until <= ?1"
        " ORDER BY claimed_until, id LIMIT ?2",
        now_ms,
        _JOBS_PER_RUN,
    )


async def record_failure(
    db: Database, table: JobTable, job_id: str, *, until_ms: int, now_ms: int, error: str
) -> None:
    """Counts a failure of the run that held the job until `until_ms`, and lets the job run again
    after a pause. After MAX_FAILURES in a row the job has failed."""
    # An adapter's error is an object (domain.lora.LoraError).
    as_object = "json_object('code', 'job_failed', 'message', ?4, 'retryable', json('true'))"
    await db.run(
        statement(
            f"UPDATE {table} SET failures = failures + 1,"
            f" error = {as_object if table == 'loras' else '?4'},"
            f" claimed_until = ?3 + ({RETRY_MS} << failures),"
            f" state = iif(failures + 1 >= {MAX_FAILURES}, 'failed', state),"
            f" finished_at = iif(failures + 1 >= {MAX_FAILURES}, ?3, NULL)"
            " WHERE id = ?1 AND state IN ('queued', 'running')"
            # Not where another run has acquired the job since.
            " AND (claimed_until = ?2 OR claimed_until <= ?3)",
            job_id,
            until_ms,
            now_ms,
            error,
        )
    )


def read_or_substitute(
    read: Callable[[Row], T],
    row: Row,
    substitute: Mapping[str, Value],
    *,
    error: Callable[[str], str],
) -> T:
    """The record of a row. Where the row cannot be read, the record is a failed one: `substitute`
    replaces the columns that may be at fault, and `error` of the reason is its error. One bad row
    must not hide the others of a list."""
    try:
        return read(row)
    except (ValueError, TypeError) as unreadable:
        reason = error(f"This record cannot be read: {unreadable}"[:500])
        return read({**row, "error": reason, **substitute, "state": "failed"})
