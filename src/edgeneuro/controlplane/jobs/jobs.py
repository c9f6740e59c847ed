"""Jobs in the control plane: which there are, how far each is, and the end of one."""

from edgeneuro.call import Call
from edgeneuro.controlplane.jobs.kinds import BY_NAME
from edgeneuro.controlplane.jobs.runner import cancel_work
from edgeneuro.domain.fields import Page, page_of
from edgeneuro.domain.job import Job, JobsQuery
from edgeneuro.errors import ConflictError, NotFoundError
from edgeneuro.store import jobs as store


async def list_jobs(call: Call, query: JobsQuery) -> Page[Job]:
    """List jobs, newest first: trainings, evaluations, runs of the routing tests, replays, uploads
    of adapters, erasures and clusterings, finished ones too."""
    found = await store.list_jobs(call.services.db, query, limit=query.limit + 1)
    return page_of(found, limit=query.limit)


async def get_job(call: Call, job_id: str) -> Job:
    """Read one job. Reading never starts one: the cron or the job queue does."""
    return await _find(call, job_id)


async def cancel_job(call: Call, job_id: str) -> Job:
    """End a job that is queued or running. What it works on shows what was done so far."""
    before = await _find(call, job_id)
    ended = ConflictError(f"The job {job_id!r} has ended already.", code="job_ended")
    kind, resource_id = BY_NAME[before.kind], before.resource_id
    statements = kind.clean_up(resource_id)
    await cancel_work(
        call, kind.resource, resource_id, before=before, ended=ended, clean_up=statements
    )
    return await _find(call, job_id)


async def _find(call: Call, job_id: str) -> Job:
    found = await store.find_job(call.services.db, job_id)
    if found is None:
        raise NotFoundError(
            f"There is no job {job_id[:200]!r}. GET /v1/jobs lists them.",
            code="unknown_job",
            param="job_id",
        )
    return found
