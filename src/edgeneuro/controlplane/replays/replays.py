"""Replays in the control plane: started, listed, read, cancelled and deleted."""

from collections.abc import Sequence
from typing import Any

from edgeneuro.call import Call
from edgeneuro.controlplane.access.audit import commit
from edgeneuro.controlplane.jobs.runner import cancel_work, wake
from edgeneuro.controlplane.proposals import Present, propose, touched
from edgeneuro.domain.decision import RouteRequest
from edgeneuro.domain.fields import MAX_QUERY_CHARACTERS, Page, PageQuery, page_of
from edgeneuro.domain.proposal import Proposal, fingerprint_of_routers
from edgeneuro.domain.replay import (
    ID_PREFIX,
    MAX_QUERIES,
    Replay,
    ReplayCreate,
    ReplayDeleted,
    ReplayEstimate,
    field_of_changes,
)
from edgeneuro.domain.replay_report import ChangesQuery, ReplayChange
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.domain.rule_matching import ROUTES_BY
from edgeneuro.errors import ConflictError, InvalidRequestError, NotFoundError
from edgeneuro.services import Services
from edgeneuro.store import replays as store
from edgeneuro.store.replay_report import list_changes
from edgeneuro.store.replay_selection import MAX_ROWS, Selection, Survey, survey
from edgeneuro.store.replays import StoredReplay
from edgeneuro.store.sql import rfc3339, unix_ms
from edgeneuro.synapsecore.rankers.label import MODEL_NAMED, WITHOUT_CACHE
from edgeneuro.synapsecore.router import estimate_routing
from edgeneuro.synapsecore.stage_clock import StageClock
from edgeneuro.synapsecore.turn import CallerContext, build_turn


async def create_replay(call: Call, body: ReplayCreate) -> Replay:
    """Replay logged queries with changes: other agents, rules or settings, another model or
    classifier. Nothing is changed, and nothing is written but the report. The job starts within a
    minute; read the replay to see its progress."""
    services = call.services
    config = await services.routing.fresh()
    config.require_agents()
    proposal = body.changes.proposal()
    present = await Present.read(services, proposal)
    proposed = await propose(services, config, proposal, present=present, named=field_of_changes)
    _require_a_change(config, proposed)
    sides = [config, proposed] if body.baseline == "current" else [proposed]
    if body.max_cost_usd is not None:
        _require_prices(sides)
    now_ms = services.now_ms()
    selection = _selection(body, now_ms)
    found = await survey(services.db, selection)
    limit = _queries(body, found)
    estimate = _estimate(call, sides, limit, found.mean_bytes)
    replay_id = services.new_id(ID_PREFIX)
    rows = await commit(
        call,
        store.insert_replay(
            replay_id,
            created_ms=now_ms,
            created_by=call.credential.key_id,
            request=_stored_request(body, selection),
            basis={
                "present": fingerprint_of_routers(config),
                "proposed": fingerprint_of_routers(proposed),
                "touched": touched(config, present, proposal),
            },
            survey={
                "rows": found.rows,
                "looked_at": found.looked_at,
                "eligible": found.eligible,
                "left_out": found.left_out,
                "estimate": estimate.model_dump(),
                "warnings": _warnings(proposal, config),
            },
            selection=selection,
            limit=limit,
        ),
        action="create",
        resource="replay",
        resource_id=replay_id,
        after=body,
    )
    if not rows:
        raise ConflictError(
            "Another replay is under way. Wait for it, or cancel it with POST"
            " /v1/replays/{replay_id}/cancel.",
            code="replay_under_way",
        )
    wake(call)
    return store.replay_from_row(rows[0]).replay


async def list_replays(call: Call, query: PageQuery) -> Page[Replay]:
    """List replays, newest first."""
    found = await store.list_replays(call.services.db, limit=query.limit + 1, after=query.after)
    now = fingerprint_of_routers(await call.services.routing.current())
    return page_of([_shown(each, now) for each in found], limit=query.limit)


async def get_replay(call: Call, replay_id: str) -> Replay:
    """Read one replay: its progress, and its report once it has succeeded."""
    stored = await find_stored(call.services, replay_id)
    return _shown(stored, fingerprint_of_routers(await call.services.routing.current()))


async def list_replay_changes(
    call: Call, replay_id: str, query: ChangesQuery
) -> Page[ReplayChange]:
    """List the queries that go elsewhere, newest first; `only` those that a label shows to be right
    or wrong now. Queries whose log row is gone are not listed."""
    await find_stored(call.services, replay_id)
    found = await list_changes(call.services.db, replay_id, query, limit=query.limit + 1)
    return page_of(found, limit=query.limit)


async def cancel_replay(call: Call, replay_id: str) -> Replay:
    """Stop a running replay; it has no report."""
    before = (await find_stored(call.services, replay_id)).replay
    ended = ConflictError(f"The replay {replay_id!r} has ended already.", code="replay_ended")
    await cancel_work(call, "replay", replay_id, before=before, ended=ended)
    return await get_replay(call, replay_id)


async def delete_replay(call: Call, replay_id: str) -> ReplayDeleted:
    """Delete a replay with its report."""
    before = (await find_stored(call.services, replay_id)).replay
    rows = await commit(
        call,
        [store.delete_replay(replay_id)],
        action="delete",
        resource="replay",
        resource_id=replay_id,
        before=before,
    )
    if not rows:
        raise ConflictError("This replay is under way. Cancel it first.", code="replay_under_way")
    return ReplayDeleted(id=replay_id)


async def find_stored(services: Services, replay_id: str) -> StoredReplay:
    """Raises NotFoundError."""
    found = await store.find_replay(services.db, replay_id)
    if found is None:
        raise NotFoundError(
            f"There is no replay {replay_id[:200]!r}. GET /v1/replays lists them.",
            code="unknown_replay",
            param="replay_id",
        )
    return found


def _shown(stored: StoredReplay, now: str) -> Replay:
    """`now` is the fingerprint of the configuration. `outdated` says nothing of a replay that was
    applied: it changed the configuration itself."""
    replay = stored.replay
    outdated = replay.applied_at is None and stored.basis.get("present") != now
    return replay.model_copy(update={"outdated": outdated})


def _require_a_change(config: RoutingConfig, proposed: RoutingConfig) -> None:
    if fingerprint_of_routers(proposed) == fingerprint_of_routers(config):
        raise InvalidRequestError(
            "changes: with them every query would be routed as it is now. Change the description,"
            " name or examples of an agent, a rule, a setting, the model or the classifier.",
            code="no_changes",
            param="changes",
        )


def _require_prices(sides: Sequence[RoutingConfig]) -> None:
    """Of all models that may be called: those of the chains of all routers, and those of rules."""
    for config in (view for side in sides for view in side.all_routers()):
        of_rules = [rule.then.model for rule in config.rules if rule.then and rule.then.model]
        named = [config.models[name] for name in of_rules if name in config.models]
        without = next((each for each in (*config.chain, *named) if each.pricing is None), None)
        if without is not None:
            raise InvalidRequestError(
                f"max_cost_usd: the model {without.id!r} may be called and has no price. Set"
                " `pricing` with PATCH /v1/models/{model_id}, or leave out `max_cost_usd`.",
                code="model_unpriced",
                param="max_cost_usd",
            )


def _selection(body: ReplayCreate, now_ms: int) -> Selection:
    """Rows that are written from now on do not count, so that both looks at the window find the
    same ones."""
    to_ms = now_ms if body.to is None else min(unix_ms(body.to), now_ms)
    return Selection(
        since_ms=unix_ms(body.since),
        to_ms=to_ms,
        seed=body.seed,
        filter=body.filter,
        logged=body.baseline == "logged",
        bypasses=(MODEL_NAMED, WITHOUT_CACHE),
        by_rule=ROUTES_BY,
    )


def _queries(body: ReplayCreate, found: Survey) -> int:
    """How many are drawn. Raises InvalidRequestError for a window that is too large, ConflictError
    for one without a query that can be replayed."""
    if found.rows > MAX_ROWS:
        raise InvalidRequestError(
            f"from: the window has more than {MAX_ROWS:,} log rows. Choose a shorter one.",
            code="window_too_large",
            param="from",
        )
    if not found.eligible:
        raise ConflictError(
            f"from: no logged query can be replayed. The window has {found.rows} log rows"
            f"{_reasons(found)}. Choose another window, or another `filter`.",
            code="no_queries",
            param="from",
        )
    if body.sample >= 1:
        return min(int(body.sample), found.eligible)
    return max(1, min(round(body.sample * found.eligible), MAX_QUERIES))


def _reasons(found: Survey) -> str:
    if not found.left_out:
        return ", none of which was routed and fits the filter" if found.rows else ""
    return "; left out: " + ", ".join(f"{n} {why}" for why, n in found.left_out.items())


def _estimate(
    call: Call, sides: Sequence[RoutingConfig], queries: int, mean_bytes: float
) -> ReplayEstimate:
    """For texts of the mean size, because the bound of a query is linear in the size of its text;
    of several routers that with the highest bound."""
    text = "x" * max(1, min(round(mean_bytes), MAX_QUERY_CHARACTERS))
    cost_usd: float | None = 0.0
    for side in sides:
        views = [view for view in side.all_routers() if view.agents]
        if cost_usd is None or any(view.active.pricing is None for view in views):
            cost_usd = None
        else:
            cost_usd += max(_bound_usd(call, view, text) for view in views)
    return ReplayEstimate(
        model_calls=queries * len(sides),
        cost_usd=None if cost_usd is None else round(queries * cost_usd, 9),
    )


def _bound_usd(call: Call, config: RoutingConfig, text: str) -> float:
    """Of asking the active model."""
    turn = build_turn(
        call.services,
        RouteRequest.model_construct(query=text, cache=False),
        config,
        CallerContext.of(call),
        id=call.request_id,
        clock=StageClock(call.services.monotonic),
        purpose="replay",
    )
    return estimate_routing(turn, turn.models[:1]).cost_usd


def _warnings(proposal: Proposal, config: RoutingConfig) -> list[str]:
    found = [
        f"changes.rules[{index}]: the rule has no condition, so it holds for every message."
        for index, rule in enumerate(proposal.rules)
        if "when" in rule.model_fields_set and rule.when.is_empty and rule.enabled
    ]
    classifier = proposal.classifier_id or config.classifier
    model = config.classifiers.get(classifier or "")
    known = None if model is None else model.agents
    new = [each.id for each in proposal.agents if each.enabled and each.id not in config.agents]
    if known is not None and any(each not in known for each in new):
        found.append(
            f"The classifier {classifier!r} does not know the new agent, so it decides nothing"
            " until another one is trained."
        )
    return found


def _stored_request(body: ReplayCreate, selection: Selection) -> dict[str, Any]:
    return {
        "from": rfc3339(selection.since_ms),
        "to": rfc3339(selection.to_ms),
        "sample": int(body.sample) if body.sample >= 1 else body.sample,
        "seed": body.seed,
        "filter": body.filter.model_dump(exclude_none=True),
        "baseline": body.baseline,
        "max_cost_usd": body.max_cost_usd,
        "changes": body.changes.content(),
    }
