"""One decision by the pipeline with all that belongs to it: permissions, the key's limits, the
observers, the log row. POST /v1/route and the decision APIs (decisions/) make theirs here."""

from collections.abc import Callable, Sequence

from edgeneuro.access.limits import Estimate, Reservation, reserve
from edgeneuro.domain.conversation import previous_text
from edgeneuro.domain.decision import RouteRequest
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.services import Services
from edgeneuro.store.additions import Write
from edgeneuro.synapsecore.decision_log import log_decision, note_decision
from edgeneuro.synapsecore.observers import observe
from edgeneuro.synapsecore.ranking import Ranker
from edgeneuro.synapsecore.router import (
    PIPELINE,
    RoutingResult,
    estimate_unknown,
    run_pipeline,
)
from edgeneuro.synapsecore.session import AnsweredTurn, open_session
from edgeneuro.synapsecore.stage_clock import StageClock
from edgeneuro.synapsecore.turn import CallerContext, Turn, build_turn


async def plan_decision(
    services: Services,
    request: RouteRequest,
    everything: RoutingConfig,
    caller: CallerContext,
    *,
    clock: StageClock,
) -> Turn:
    """A turn with the models and agents of this router's configuration that the caller may use, and
    with the session that the request names. Raises what domain.permissions raises for the others,
    and what `build_turn` raises."""
    permissions = caller.credential.permissions
    permissions.require_model(everything, request.model)
    config = permissions.restrict(everything)
    allowed = permissions.candidates(config, request.candidates, param="candidates")
    request = request.model_copy(update={"candidates": allowed})
    session = None
    if request.session is not None:
        with clock.stage("session_read"):
            session = await open_session(services, config, caller.credential, request.session)
    return build_turn(
        services,
        request,
        config,
        caller,
        id=services.new_id("dec"),
        clock=clock,
        session=session,
    )


async def reserve_for(
    services: Services, caller: CallerContext, clock: StageClock, wanted: Callable[[], Estimate]
) -> Reservation | None:
    """Reserves the upper bound `wanted` of the caller's limits, if there are some; the headers of
    the response then say what is left. A bound takes as long as a prompt, so without limits none is
    made. Raises what limits.reserve raises."""
    if caller.credential.limits is None:
        return None
    await caller.admitted()
    with clock.stage("reserve"):
        reservation = await reserve(services, caller.credential, wanted())
    if reservation is not None:
        caller.headers.update(reservation.headers())
    return reservation


async def decide(
    turn: Turn,
    reservation: Reservation | None,
    *,
    rankers: Sequence[Ranker] = PIPELINE,
    also: Sequence[Write] = (),
    before: Estimate | None = None,
    unknown_before: Estimate | None = None,
) -> RoutingResult:
    """The decision. Its log row, and the reservation's settlement, are written after the answer is
    sent; `also` goes into the same batch, before what the observers write. `before` is what the
    same request has used already, `unknown_before` the upper bound for what it has used and does
    not know. Raises the UpstreamError of a failed call if the turn forbids a fallback."""
    result = await run_pipeline(turn, rankers)
    await turn.caller.admitted()
    writes: list[Write] = [*also, *observe(result)]
    in_session = remember_decision(result)
    if in_session is not None:
        writes.append(in_session)
    note_decision(result)
    if reservation is not None:
        known = Estimate(result.call.usage.total_tokens, result.call.spent_usd)
        unknown = [estimate_unknown(result), unknown_before or Estimate()]
        writes.append(reservation.settle(known + (before or Estimate()), unknown))
    turn.caller.record(log_decision(result, writes))
    if result.error is not None:
        raise result.error
    return result


def remember_decision(result: RoutingResult) -> Write | None:
    """The write of the session, if the request has one. What the agent answers is not known here:
    the next request may say it as `context.previous_assistant`. An agent that waited has got what
    it waited for."""
    turn, agent = result.turn, result.decision.agent
    if turn.session is None:
        return None
    clarify = result.decision.clarify
    if (agent is None and clarify is None) or result.error is not None:
        return turn.session.prolong()
    return turn.session.remember(
        AnsweredTurn(
            agent_id=agent.id if agent and clarify is None else None,
            assistant=None if clarify is None else previous_text(clarify.text),
            asked_by_router=clarify is not None,
            again=turn.rerouted_from is not None,
            user=turn.query,
            query_hash=turn.query_hash,
            caller_user=turn.context.user,
        )
    )
