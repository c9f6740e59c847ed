"""What the crons of wrangler.toml do: every minute a training and the adapters that are under way
go on, every hour what has had its time is let go of."""

from edgeneuro.controlplane.lora_steps import go_on
from edgeneuro.controlplane.maintenance import run_maintenance
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
    try:
        await go_on(services)
    except DatabaseError as error:
        services.failures.note("lora_upload", error)
    try:
        await retrain_by_rule(services)
        rows = await services.db.run(select_under_way())
    except DatabaseError as error:
        services.failures.note("classifier_training", error)
        return
    for row in rows:
        await run_slice(services, classifier_from_row(row).id)
