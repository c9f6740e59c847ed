"""What the crons of wrangler.toml do: every minute trainings, uploads and evaluations
go on, every hour what has had its time is let go of."""

from collections.abc import Awaitable

from edgeneuro.controlplane import evaluation_job, lora_steps
from edgeneuro.controlplane.maintenance import run_maintenance
from edgeneuro.controlplane.promotion import promote_by_rule
from edgeneuro.controlplane.retraining import retrain_by_rule
from edgeneuro.controlplane.training import run_slice
from edgeneuro.errors import DatabaseError
from edgeneuro.services import Services
from edgeneuro.store.classifiers import classifier_from_row, select_under_way

EVERY_MINUTE = "* * * * *"


async def run_scheduled(services: Services, cron: str) -> None:
    """`cron` is the expression that fired; one fired by hand has none and does everything."""
    if cron != EVERY_MINUTE:
        await run_maintenance(services)
    await _noting("lora_upload", services, lora_steps.go_on(services))
    await _noting("evaluation", services, evaluation_job.go_on(services))
    await _noting("promotion", services, promote_by_rule(services))
    try:
        await retrain_by_rule(services)
        rows = await services.db.run(select_under_way())
    except DatabaseError as error:
        services.failures.note("classifier_training", error)
        return
    for row in rows:
        await run_slice(services, classifier_from_row(row).id)


async def _noting(what: str, services: Services, work: Awaitable[None]) -> None:
    """One that fails is counted, and the others still run."""
    try:
        await work
    except DatabaseError as error:
        services.failures.note(what, error)
