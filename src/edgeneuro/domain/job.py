"""Background jobs as the API shows them."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from edgeneuro.domain.fields import PageQuery

ID_PREFIX = "job"
JobKindName = Literal[
    "training",
    "evaluation",
    "routing_test_run",
    "adapter_upload",
    "erasure",
    "replay",
    "clustering",
    "embedding_training",
]
JobState = Literal["queued", "running", "succeeded", "failed", "cancelled"]
JobId = Annotated[str, Field(min_length=1, max_length=200)]


def job_id_of(resource_id: str) -> str:
    """The id of the job of a classifier, evaluation, run, adapter or replay: that of the resource
    with another prefix."""
    return f"{ID_PREFIX}_{resource_id.partition('_')[2] or resource_id}"


class JobProgress(BaseModel):
    """`done` of `of` units of the kind: passes of a training or an embedding training, answers of
    an evaluation or of a run of the routing tests, steps of an upload, queries of a replay, passes
    of a clustering. An erasure has none. `of` null: it is not known yet."""

    done: int
    of: int | None


class JobError(BaseModel):
    """Why the job failed, or why its last slice did."""

    code: str
    message: str


class Job(BaseModel):
    """Background work on `resource_id`: a classifier, the second classifier of one, an evaluation,
    a run of the routing tests, an adapter, a replay or a clustering; of an erasure the erasure's
    id. `attempts` counts the slices that began since the last one that advanced the job, `failures`
    those that failed in a row. A job that has failed or was cancelled is not run again, except by a
    request to retry it. `run_after` is when the next slice may begin, if not at once."""

    object: Literal["job"] = "job"
    id: str
    kind: JobKindName
    state: JobState
    resource_id: str
    progress: JobProgress
    attempts: int
    failures: int
    error: JobError | None
    created_at: str
    updated_at: str
    started_at: str | None
    ended_at: str | None
    run_after: str | None


class JobsQuery(PageQuery):
    kind: JobKindName | None = None
    state: JobState | None = None
