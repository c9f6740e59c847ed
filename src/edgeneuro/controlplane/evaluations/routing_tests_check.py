"""The check by routing tests, where the setting `routing_tests_required` is on: what is selected
must have passed them as it would route, with the agents and the tests as they are now."""

from edgeneuro.domain.proposal import fingerprint
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.domain.routing_test import RoutingTestRun
from edgeneuro.errors import ConflictError
from edgeneuro.store.database import Database
from edgeneuro.store.routing_tests import newest_run


async def require_tests(db: Database, config: RoutingConfig, proposed: RoutingConfig) -> None:
    """`proposed` is the configuration with the selection. Raises ConflictError
    `routing_tests_failed`."""
    if not config.routing_tests_required:
        return
    run = await newest_run(db, fingerprint=fingerprint(proposed))
    if run is None or not run.passed:
        raise ConflictError(
            f"Routing tests failed: {_why(run, config, proposed)}; or select with `check` false.",
            code="routing_tests_failed",
            param="check",
        )


def _why(run: RoutingTestRun | None, config: RoutingConfig, proposed: RoutingConfig) -> str:
    if run is None:
        return (
            "no run has tried this selection with the agents, tests and settings as they are now"
            f" (`routing_tests_required`). Start one: POST /v1/routing-tests/runs"
            f" {_body(config, proposed)}"
        )
    outcome = run.outcome
    wrong = 0 if outcome is None else outcome.failed + outcome.errors
    return (
        f"{wrong} of {run.tests} tests did not pass in the newest run with this selection. See GET"
        f" /v1/routing-tests/runs/{run.id}/results?only=failed"
    )


def _body(config: RoutingConfig, proposed: RoutingConfig) -> str:
    if proposed.active.id != config.active.id:
        return f'{{"model_id": "{proposed.active.id}"}}'
    if proposed.classifier != config.classifier:
        return f'{{"classifier_id": "{proposed.classifier}"}}'
    return "{}"
