"""Runs of the routing tests against the configuration in force or a proposed one: jobs, as
evaluations are."""

from typing import Any

from edgeneuro.call import Call
from edgeneuro.controlplane.access.audit import commit, rule_audit_row
from edgeneuro.controlplane.jobs.runner import cancel_work, wake
from edgeneuro.controlplane.proposals import propose
from edgeneuro.domain.classifier import RULE
from edgeneuro.domain.fields import Page, PageQuery, page_of
from edgeneuro.domain.prompt import prompt_versions
from edgeneuro.domain.proposal import fingerprint
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.domain.routing_test import (
    RUN_PREFIX,
    ResultsQuery,
    RoutingTestResult,
    RoutingTestRun,
    RunCreate,
    RunQuery,
)
from edgeneuro.errors import ConflictError, InvalidRequestError, NotFoundError
from edgeneuro.services import Services
from edgeneuro.store import routing_tests as store
from edgeneuro.store.database import Statement


async def create_run(call: Call, body: RunCreate) -> RoutingTestRun:
    """Run the routing tests with the present configuration, or with changes: another active model,
    classifier or threshold, other agents. Nothing is selected or changed. The job starts within a
    minute; read the run to see its progress."""
    services = call.services
    config = await services.routing.fresh()
    proposed = await propose(services, config, body)
    if await store.find_set(services.db) is None:
        raise ConflictError(
            "There are no routing tests. Store some with PUT /v1/routing-tests.",
            code="no_routing_tests",
        )
    run_id = services.new_id(RUN_PREFIX)
    changes = body.changes()
    labels = bool(changes.pop("labels", True))
    rows = await commit(
        call,
        _insert(services, run_id, proposed, changes, by=call.credential.key_id, label_layer=labels),
        action="create",
        resource="routing_test_run",
        resource_id=run_id,
        after=body,
    )
    if not rows:
        raise ConflictError(
            "Another run of the routing tests is under way. Wait for it, or cancel it with"
            " POST /v1/routing-tests/runs/{run_id}/cancel.",
            code="run_under_way",
        )
    wake(call)
    return store.run_from_row(rows[0])


async def begin_by_rule(services: Services, proposed: RoutingConfig, model_id: str) -> None:
    """Tries a model that a rule would select, unless that was done before."""
    if await store.was_tried(services.db, fingerprint(proposed)):
        return
    run_id = services.new_id(RUN_PREFIX)
    changes = {"model_id": model_id}
    audited = rule_audit_row(
        services,
        action="create",
        resource="routing_test_run",
        resource_id=run_id,
        after=RunCreate(model_id=model_id),
    )
    begun = _insert(services, run_id, proposed, changes, by=RULE, label_layer=True)
    await services.db.batch([*begun, audited])


def _insert(
    services: Services,
    run_id: str,
    proposed: RoutingConfig,
    changes: dict[str, Any],
    *,
    by: str,
    label_layer: bool,
) -> list[Statement]:
    return store.insert_run(
        run_id,
        created_ms=services.now_ms(),
        created_by=by,
        label_layer=label_layer,
        agents_revision=proposed.agents_revision,
        prompt_version=prompt_versions(model.type for model in proposed.chain),
        threshold=proposed.confidence_threshold,
        proposal={
            "changes": changes,
            "active": proposed.active.id,
            "classifier": proposed.classifier,
            "fingerprint": fingerprint(proposed),
        },
    )


async def list_runs(call: Call, query: PageQuery) -> Page[RoutingTestRun]:
    """List runs, newest first; `done` and `flips` are only in each run's own response."""
    found = await store.list_runs(call.services.db, limit=query.limit + 1, after=query.after)
    return page_of(found, limit=query.limit)


async def get_run(call: Call, run_id: str, query: RunQuery) -> RoutingTestRun:
    """Read one run: its progress, its result, and how many tests changed since the last run, or
    since the run `compare_with`."""
    run = await _find(call, run_id)
    if run.state != "succeeded":
        return run
    other = await _compared_with(call, run, query.compare_with)
    if other is None:
        return run
    flips = await store.count_flips(call.services.db, run.id, other)
    return run.model_copy(update={"flips": flips})


async def list_results(call: Call, run_id: str, query: ResultsQuery) -> Page[RoutingTestResult]:
    """List what was decided for each test; `only` the failed ones, or those that changed."""
    run = await _find(call, run_id)
    other = await _compared_with(call, run, query.compare_with)
    found = await store.list_results(
        call.services.db, run_id, query, compared_with=other, limit=query.limit + 1
    )
    return page_of(found, limit=query.limit)


async def cancel_run(call: Call, run_id: str) -> RoutingTestRun:
    """Stop a running run of the routing tests."""
    before = await _find(call, run_id)
    ended = ConflictError(f"The run {run_id!r} has ended already.", code="run_ended")
    await cancel_work(call, "routing_test_run", run_id, before=before, ended=ended)
    return await _find(call, run_id)


async def _compared_with(call: Call, run: RoutingTestRun, wanted: str | None) -> str | None:
    if wanted is None:
        newest = await store.newest_run(call.services.db, before=run.id)
        return None if newest is None else newest.id
    other = await store.find_run(call.services.db, wanted)
    if other is None:
        raise InvalidRequestError(
            f"compare_with: there is no run {wanted!r}. GET /v1/routing-tests/runs lists them.",
            code="unknown_run",
            param="compare_with",
        )
    return other.id


async def _find(call: Call, run_id: str) -> RoutingTestRun:
    found = await store.find_run(call.services.db, run_id)
    if found is None:
        raise NotFoundError(
            f"There is no run {run_id[:200]!r}. GET /v1/routing-tests/runs lists them.",
            code="unknown_run",
            param="run_id",
        )
    return found
