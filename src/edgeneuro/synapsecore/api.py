"""The router over HTTP: POST /v1/route."""

from edgeneuro.access.limits import Estimate, Reservation, refund_on_failure, reserve
from edgeneuro.call import Call
from edgeneuro.domain.decision import ChosenAgent, RouteRequest, RouteResponse
from edgeneuro.synapsecore.decision_log import log_decision, note_decision
from edgeneuro.synapsecore.observers import observe
from edgeneuro.synapsecore.router import (
    RoutingResult,
    estimate_routing,
    estimate_unknown,
    explain,
    run_pipeline,
)
from edgeneuro.synapsecore.turn import CallerContext, StageClock, Turn, build_turn
from edgeneuro.web.auth import authorize_explain
from edgeneuro.web.response import Reply


async def route(call: Call, body: RouteRequest) -> Reply[RouteResponse]:
    """Decide which agent answers a query."""
    result = await _route_query(call, body)
    agent, clock = result.decision.agent, result.turn.clock
    response = _response(result, body)
    named = {} if agent is None else {"x-edgeneuro-agent": agent.id}
    layer = {"x-edgeneuro-layer": response.layer}
    return Reply(response, {**named, **layer, "server-timing": clock.server_timing()})


async def _route_query(call: Call, request: RouteRequest) -> RoutingResult:
    """Raises what web.auth and domain.permissions raise for what the caller may not use,
    InvalidRequestError for unknown candidates, ConflictError without agents, what limits.reserve
    raises, and the UpstreamError of a failed call if the request forbids a fallback."""
    services, caller = call.services, CallerContext.of(call)
    clock = StageClock(services.monotonic)
    authorize_explain(caller.credential, request.explain, param="explain")
    permissions = caller.credential.permissions
    config = await services.routing.current()
    permissions.require_model(config, request.model)
    config = permissions.restrict(config)
    allowed = permissions.candidates(config, request.candidates, param="candidates")
    request = request.model_copy(update={"candidates": allowed})
    turn = build_turn(services, request, config, caller, id=services.new_id("dec"), clock=clock)
    reservation = await _reserve(turn)
    with refund_on_failure(services, reservation, caller.background):
        result = await run_pipeline(turn)
        writes = observe(result)
        note_decision(result)
        if reservation is not None:
            known = Estimate(result.call.usage.total_tokens, result.call.spent_usd)
            writes.append(reservation.settle(known, [estimate_unknown(result)]))
        caller.background(log_decision(result, writes))
        if result.error is not None:
            raise result.error
    return result


async def _reserve(turn: Turn) -> Reservation | None:
    """The upper bound of what the decision may use of the caller's limits, if there are some."""
    caller = turn.caller
    if caller.credential.limits is None:
        return None
    with turn.clock.stage("reserve"):
        reservation = await reserve(turn.services, caller.credential, estimate_routing(turn))
    if reservation is not None:
        caller.headers.update(reservation.headers())
    return reservation


def _response(result: RoutingResult, request: RouteRequest) -> RouteResponse:
    turn, decision, call = result.turn, result.decision, result.call
    ranking = decision.ranking
    return RouteResponse(
        id=turn.id,
        created=turn.created_ms // 1000,
        outcome=decision.outcome,
        agent=None if decision.agent is None else ChosenAgent.of(decision.agent),
        confidence=decision.confidence,
        confidence_source=decision.confidence_source,
        layer=decision.layer,
        reason=decision.reason,
        scores=[] if ranking is None else ranking.scores(request.top_k),
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
        explanation=explain(result) if request.explain else None,
    )
