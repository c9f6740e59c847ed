"""The way of a request to a decision API: which questions the router decides and which a decision
model answers, the reservation for both, the calls, and the answers in the order of the questions.

The model is called first: if it fails, the request fails, and no decision was made that nobody
gets."""

import string
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote

from edgeneuro.access.limits import Estimate, Reservation, refund_on_failure
from edgeneuro.call import Call
from edgeneuro.domain.decision import RouteRequest, Usage
from edgeneuro.domain.question import Answer, Refusal
from edgeneuro.domain.router_names import AUTO, is_router_name, router_named
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import UpstreamError
from edgeneuro.services import Services
from edgeneuro.synapsecore.decide import decide, plan_decision, reserve_for
from edgeneuro.synapsecore.decisions.asked import AskedQuestion, QuestionSet, invalid
from edgeneuro.synapsecore.decisions.facts import DecisionFacts
from edgeneuro.synapsecore.decisions.model import ModelAnswers, ModelQuestions
from edgeneuro.synapsecore.decisions.models import (
    automatic_models,
    named_models,
    require_known_name,
)
from edgeneuro.synapsecore.decisions.record import record_questions
from edgeneuro.synapsecore.decisions.routed import (
    RoutingQuestion,
    answer_of,
    chosen_agent,
    routing_question,
)
from edgeneuro.synapsecore.router import RoutingResult, estimate_routing
from edgeneuro.synapsecore.session import named_session
from edgeneuro.synapsecore.stage_clock import StageClock
from edgeneuro.synapsecore.turn import CallerContext, Turn

_VISIBLE = string.punctuation + " "


@dataclass(frozen=True)
class _Routing:
    question: RoutingQuestion
    turn: Turn


@dataclass(frozen=True)
class _Plan:
    """At least one of both is there."""

    asked: QuestionSet
    caller: CallerContext
    clock: StageClock
    routing: _Routing | None
    questions: ModelQuestions | None


@dataclass(frozen=True)
class Answered:
    """The answers in the order of the questions."""

    model: str
    answers: list[tuple[AskedQuestion, Answer]]
    usage: Usage
    facts: DecisionFacts
    headers: dict[str, str]


async def answer_questions(call: Call, asked: QuestionSet) -> Answered:
    """Raises InvalidRequestError, NotFoundError and ConflictError for what cannot be answered, what
    domain.permissions and limits.reserve raise, and the UpstreamError of models that failed."""
    plan = await _plan(call, asked)
    if plan.questions is not None:  # a question to the router runs its first stages meanwhile
        await call.admitted()
    caller, questions, routing = plan.caller, plan.questions, plan.routing
    reservation = await _reserve(call.services, plan)
    with refund_on_failure(call.services, reservation, caller.background):
        answered: ModelAnswers | None = None
        if questions is not None:
            with plan.clock.stage("questions"):
                answered = await _ask_model(questions, reservation, settles=routing is None)
        result: RoutingResult | None = None
        if routing is not None:
            with plan.clock.stage("route"):
                result = await _route(routing.turn, reservation, questions)
    return _answered(plan, answered, result)


async def _plan(call: Call, asked: QuestionSet) -> _Plan:
    require_known_name(asked.model)
    asked.options.session = named_session(call, asked.options.session)
    services, caller = call.services, CallerContext.of(call)
    clock = StageClock(services.monotonic, call.trace.spans)
    everything = await services.routing.current()
    permissions, by_router = caller.credential.permissions, is_router_name(asked.model)
    if by_router:
        everything = permissions.router_of(everything, router_named(asked.model), param="model")
    question, others = _split(asked, everything)
    routing = None
    if question is not None:
        routing = await _routing(call, asked, question, everything, caller)
    if not others:
        return _Plan(asked, caller, clock, routing, None)
    fallback = asked.options.fallback
    if by_router:
        models = automatic_models(everything, permissions, others, fallback=fallback)
    else:
        models = named_models(everything, permissions, asked.model, fallback=fallback)
    config = permissions.restrict(everything)
    questions = ModelQuestions(
        services=services,
        caller=caller,
        config=config,
        asked=asked,
        questions=tuple(others),
        models=models,
        chain=services.new_chain(config, purpose="questions", budget_ms=config.time_budget_ms),
        id=services.new_id("dec"),
        created_ms=services.now_ms(),
    )
    return _Plan(asked, caller, clock, routing, questions)


def _split(
    asked: QuestionSet, config: RoutingConfig
) -> tuple[RoutingQuestion | None, list[AskedQuestion]]:
    """The question that the router decides, and the others. One request has one decision, which is
    what its id, its label and its feedback are about."""
    if not is_router_name(asked.model):
        for each in asked.questions:
            if each.is_agent_question:
                raise invalid(
                    each.options_param,
                    "there are none; only the router (model 'auto') knows the agents",
                )
        return None, list(asked.questions)
    found = [routing_question(each, config) for each in asked.questions]
    routed = [each for each in found if each is not None]
    if len(routed) > 1:
        raise invalid(
            routed[1].asked.param,
            f"the router decides one question of a request, and {routed[0].asked.param} is one too;"
            " send it in a request of its own",
        )
    others = [each for each, is_routed in zip(asked.questions, found, strict=True) if not is_routed]
    return (routed[0] if routed else None), others


async def _routing(
    call: Call,
    asked: QuestionSet,
    question: RoutingQuestion,
    everything: RoutingConfig,
    caller: CallerContext,
) -> _Routing:
    if not asked.query:
        raise invalid(
            asked.state_param,
            "to choose an agent, the router needs a text in the last message of the role 'user';"
            " add one",
        )
    permissions, options = caller.credential.permissions, asked.options
    if question.agents is None:
        permissions.candidates(everything, None, param=question.asked.param)
    for option in question.agents or ():
        permissions.require_agent(option.id, param=option.param)
    request = RouteRequest(
        query=asked.query,
        context=asked.previous.shown(),
        user=options.user,
        session=options.session,
        metadata=options.metadata,
        cache=options.cache,
        fallback=options.fallback,
        policy=options.policy,
        # A request that offers "none" wants to know that no agent fits.
        on_no_fit="none" if question.none or not options.fallback else None,
    )
    offered = [option.id for option in question.agents or ()]
    if len(offered) < len(everything.agents):  # else it is the same decision as without candidates
        request = request.model_copy(update={"candidates": offered or None})
    clock = StageClock(call.services.monotonic)
    turn = await plan_decision(call.services, request, everything, caller, clock=clock)
    if not options.fallback:
        turn = replace(turn, models=turn.models[:1])
    if turn.fallback_agent is None:
        # Without a ranking there would be no answer at all, only equal probabilities.
        turn = replace(turn, fallback=False)
    return _Routing(question, turn)


async def _reserve(services: Services, plan: _Plan) -> Reservation | None:
    def wanted() -> Estimate:
        bound = Estimate()
        if plan.routing is not None:
            bound += estimate_routing(plan.routing.turn)
        if plan.questions is not None:
            bound += plan.questions.upper_bound()
        return bound

    return await reserve_for(services, plan.caller, plan.clock, wanted)


async def _ask_model(
    questions: ModelQuestions, reservation: Reservation | None, *, settles: bool
) -> ModelAnswers:
    """`settles` is false if the routing after it settles the reservation, for both."""
    clock = StageClock(questions.services.monotonic)
    answered: ModelAnswers | UpstreamError
    try:
        answered = await questions.answer()
    except UpstreamError as error:
        answered = error
    failed = isinstance(answered, UpstreamError)
    settlement = None
    if reservation is not None and (settles or failed):
        settlement = reservation.settle(questions.known(), [questions.unknown()])
    questions.caller.record(
        record_questions(questions, answered, latency_ms=clock.total_ms(), settlement=settlement)
    )
    if isinstance(answered, UpstreamError):
        raise answered
    return answered


async def _route(
    turn: Turn, reservation: Reservation | None, questions: ModelQuestions | None
) -> RoutingResult:
    clock = StageClock(turn.services.monotonic, turn.caller.trace.spans)
    turn = replace(turn, clock=clock)
    if questions is None:
        return await decide(turn, reservation)
    before_ms = questions.chain.upstream_ms
    try:
        return await decide(
            turn, reservation, before=questions.known(), unknown_before=questions.unknown()
        )
    finally:
        waited = turn.caller.facts.get("upstream_ms")
        if isinstance(waited, int | float):
            turn.caller.facts["upstream_ms"] = round(waited + before_ms, 2)


def _answered(plan: _Plan, answered: ModelAnswers | None, result: RoutingResult | None) -> Answered:
    found: Mapping[str, Answer] = {} if answered is None else answered.answers
    if plan.routing is not None and result is not None:
        question = plan.routing.question
        found = {**found, question.asked.id: answer_of(question, result)}
    answers = [(each, found[each.id]) for each in plan.asked.questions]
    usage = Usage()
    if plan.questions is not None:
        usage += plan.questions.chain.usage
    if result is not None:
        usage += result.call.usage
    facts = _facts(plan, answered, result)
    facts.refused = [
        each.name or each.param for each, answer in answers if isinstance(answer, Refusal)
    ]
    return Answered(
        _model(answered, result), answers, usage, facts, _headers(plan, facts, answered)
    )


def _facts(
    plan: _Plan, answered: ModelAnswers | None, result: RoutingResult | None
) -> DecisionFacts:
    questions = plan.questions
    facts = DecisionFacts(
        decision_id=questions.id if questions else "",
        questions_id=questions.id if questions else None,
        model=answered.model.id if answered else None,
        state_cut=answered.state_cut if answered else None,
        attempts=list(questions.chain.attempts) if questions else [],
        cost_usd=questions.chain.cost_usd if questions else 0.0,
        latency_ms=plan.clock.total_ms(),
    )
    if result is None:
        return facts
    decision, call = result.decision, result.call
    ranking = decision.ranking
    priced = facts.cost_usd is not None and call.cost_usd is not None
    return facts.model_copy(
        update={
            "decision_id": result.turn.id,
            "layer": decision.layer,
            "outcome": decision.outcome,
            "reason": decision.reason,
            "agent_id": chosen_agent(decision),
            "agents": list(decision.agents) or None,
            "clarify": decision.clarify,
            "confidence": decision.confidence,
            "confidence_source": decision.confidence_source,
            "none_probability": None if ranking is None else ranking.none,
            "calibrated": None if ranking is None else ranking.calibrated,
            "query_cut": plan.asked.query_is_cut,
            "session": None if result.turn.session is None else result.turn.session.id,
            "attempts": [*facts.attempts, *call.attempts],
            "cost_usd": (facts.cost_usd or 0) + (call.cost_usd or 0) if priced else None,
        }
    )


def _model(answered: ModelAnswers | None, result: RoutingResult | None) -> str:
    if answered is not None:
        return answered.model.id
    ranking = None if result is None else result.decision.ranking
    source = None if ranking is None else ranking.source
    return (source and (source.adapter or source.model)) or AUTO


def _headers(plan: _Plan, facts: DecisionFacts, answered: ModelAnswers | None) -> dict[str, str]:
    """A model's id may be any text: characters that a header cannot hold are percent-encoded."""
    named = {} if facts.agent_id is None else {"x-edgeneuro-agent": facts.agent_id}
    if answered is not None:
        named["x-edgeneuro-model"] = quote(answered.model.id, safe=_VISIBLE)
    return {
        **named,
        "x-edgeneuro-layer": facts.layer,
        "x-edgeneuro-decision-id": facts.decision_id,
        "server-timing": plan.clock.server_timing(),
    }
