"""The router over HTTP: POST /v1/route."""

from functools import partial

from edgeneuro.access.limits import refund_on_failure
from edgeneuro.call import Call
from edgeneuro.domain.decision import RouteRequest, RouteResponse
from edgeneuro.domain.outcome import ChosenAgent
from edgeneuro.synapsecore.decide import decide, plan_decision, reserve_for
from edgeneuro.synapsecore.router import RoutingResult, estimate_routing, explain
from edgeneuro.synapsecore.session import named_session
from edgeneuro.synapsecore.stage_clock import StageClock
from edgeneuro.synapsecore.turn import CallerContext
from edgeneuro.web.auth import authorize_explain
from edgeneuro.web.response import Reply


async def route(call: Call, body: RouteRequest) -> Reply[RouteResponse]:
    """Decide which agent answers a query."""
    result = await _route_query(call, body)
    return decision_reply(result, top_k=body.top_k, explained=body.explain)


async def _route_query(call: Call, request: RouteRequest) -> RoutingResult:
    """Raises what web.auth and domain.permissions raise for what the caller may not see or use,
    what `plan_decision` raises, what limits.reserve raises, and what `decide` raises."""
    services, caller = call.services, CallerContext.of(call)
    clock = StageClock(services.monotonic, call.trace.spans)
    authorize_explain(caller.credential, request.explain, param="explain")
    request.session = named_session(call, request.session)
    config = await services.routing.current()
    permissions = caller.credential.permissions
    config = permissions.router_of(config, request.router, param="router")
    turn = await plan_decision(services, request, config, caller, clock=clock)
    reservation = await reserve_for(services, caller, clock, partial(estimate_routing, turn))
    with refund_on_failure(services, reservation, caller.background):
        return await decide(turn, reservation)


def decision_reply(
    result: RoutingResult, *, top_k: int, explained: bool = False
) -> Reply[RouteResponse]:
    response = _response(result, top_k, explained)
    return Reply(response, headers_of(response, result.turn.clock))


def headers_of(response: RouteResponse, clock: StageClock) -> dict[str, str]:
    agent = response.agent
    named = {} if agent is None else {"x-edgeneuro-agent": agent.id}
    layer = {"x-edgeneuro-layer": response.layer}
    return {**named, **layer, "server-timing": clock.server_timing()}


def _response(result: RoutingResult, top_k: int, explained: bool) -> RouteResponse:
    turn, decision, call = result.turn, result.decision, result.call
    ranking = decision.ranking
    return RouteResponse(
        id=turn.id,
        created=turn.created_ms // 1000,
        outcome=decision.outcome,
        agent=None if decision.agent is None else ChosenAgent.of(decision.agent),
        agents=list(decision.agents) or None,
        clarify=decision.clarify,
        confidence=decision.confidence,
        confidence_source=decision.confidence_source,
        calibrated=ranking is not None and ranking.calibrated,
        layer=decision.layer,
        follow_up=result.follow_up,
        reason=decision.reason,
        scores=[] if ranking is None else ranking.scores(top_k),
        none_probability=None if ranking is None else ranking.none,
        alternatives=list(decision.alternatives),
        model=ranking.source.model if ranking else None,
        adapter=ranking.source.adapter if ranking else None,
        cache=result.cache,
        classifier=result.classifier_verdict,
        attempts=list(call.attempts),
        usage=call.usage,
        cost_usd=call.cost_usd,
        latency_ms=result.latency_ms,
        gateway=call.trace,
        session=None if turn.session is None else turn.session.id,
        rerouted_from=turn.rerouted_from,
        explanation=explain(result) if explained else None,
    )
