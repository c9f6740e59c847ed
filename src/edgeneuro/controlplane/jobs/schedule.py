"""What the crons of wrangler.toml do: every minute jobs run and expired rows are deleted, every
hour finished days are summed."""

from collections.abc import Awaitable, Callable
from functools import partial

from edgeneuro.controlplane.adapters.lora_steps import run_lora
from edgeneuro.controlplane.evaluations.evaluation_job import run_slices
from edgeneuro.controlplane.jobs.jobs import EVENTS, run_alone
from edgeneuro.controlplane.jobs.maintenance import delete_expired, run_maintenance
from edgeneuro.controlplane.labels.erasure import go_on
from edgeneuro.controlplane.learning.retraining import retrain_by_rule
from edgeneuro.controlplane.learning.training import run_slice
from edgeneuro.controlplane.models.promotion import promote_by_rule
from edgeneuro.services import Services
from edgeneuro.store.database import CountedDatabase
from edgeneuro.store.jobs import JobTable, select_due

EVERY_MINUTE = "* * * * *"
Run = Callable[[Services, str], Awaitable[None]]
_JOBS: tuple[tuple[JobTable, Run], ...] = (
    ("classifiers", run_slice),
    ("evaluations", run_slices),
    ("loras", run_lora),  # last: an upload may take minutes
)


# A run may make 1,000 queries of D1. Once it has made so many, no further task begins: the next run
# begins it, a minute later. What is left has to be enough for the one that began last.
_MAX_QUERIES_BEFORE_A_TASK = 450


async def run_scheduled(services: Services, cron: str) -> None:
    """`cron` is the expression that fired; one fired by hand has none and does everything. Each
    task and each job fails alone."""
    counted = CountedDatabase(services.db)
    services = services.over(counted)
    await (delete_expired if cron == EVERY_MINUTE else run_maintenance)(services)
    for event, task in (
        ("erasure", go_on),
        ("promotion", promote_by_rule),
        ("retraining", retrain_by_rule),
    ):
        if _may_begin(counted):
            await run_alone(services, event, partial(task, services))
    for table, run in _JOBS:
        await run_alone(services, EVENTS[table], partial(_run_jobs, services, counted, table, run))


async def _run_jobs(
    services: Services, counted: CountedDatabase, table: JobTable, run: Run
) -> None:
    for row in await services.db.run(select_due(table, services.now_ms())):
        if _may_begin(counted):
            await run(services, row["id"])


def _may_begin(counted: CountedDatabase) -> bool:
    return counted.queries <= _MAX_QUERIES_BEFORE_A_TASK
