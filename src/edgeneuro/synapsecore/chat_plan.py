"""A chat's plan: who may answer, before anybody is asked. What is wrong with a request shows
here."""

from dataclasses import dataclass

from edgeneuro.access.limits import Estimate, Reservation, reserve
from edgeneuro.domain.agent import Agent
from edgeneuro.domain.chat import AGENT_PREFIX, AUTO, ChatRequest
from edgeneuro.domain.decision import RouteRequest
from edgeneuro.domain.model import Model
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import InvalidRequestError
from edgeneuro.services import Services
from edgeneuro.synapsecore.chat_limits import AnswerBounds
from edgeneuro.synapsecore.chat_models import (
    models_of_agent,
    named_agent,
    named_model,
    with_fallbacks,
)
from edgeneuro.synapsecore.question import Question, ask_question
from edgeneuro.synapsecore.record import Asker
from edgeneuro.synapsecore.router import estimate_routing
from edgeneuro.synapsecore.stages import StageClock
from edgeneuro.web.auth import authorize_explain


@dataclass(frozen=True)
class ToRoute:
    """What the router is to be asked."""

    request: RouteRequest
    question: Question


@dataclass(frozen=True)
class Plan:
    """Where the router is to choose, `to_route` is there and `agent` is not. `models` are those of
    the caller's choice, empty where that is an agent or the router."""

    services: Services
    request: ChatRequest
    asker: Asker
    config: RoutingConfig
    stages: StageClock
    bounds: AnswerBounds
    id: str
    created_ms: int
    to_route: ToRoute | None
    agent: Agent | None
    models: tuple[Model, ...]

    @property
    def fallback(self) -> bool:
        return self.request.edgeneuro.fallback


async def plan_turn(services: Services, request: ChatRequest, asker: Asker) -> Plan:
    """Raises NotFoundError and ConflictError for a model or agent that cannot answer,
    InvalidRequestError for what cannot be routed, and what web.auth and domain.permissions raise
    for what the caller may not use."""
    stages = StageClock(services.monotonic)
    turn_id, created_ms = services.new_id("dec"), services.now_ms()
    options, permissions = request.edgeneuro, asker.credential.permissions
    authorize_explain(asker.credential, options.explain, param="edgeneuro.explain")
    everything = await services.routing.current()
    config = permissions.restrict(everything)
    to_route: ToRoute | None = None
    agent: Agent | None = None
    models: tuple[Model, ...] = ()
    if request.model == AUTO:
        permissions.require_model(everything, None)
        allowed = permissions.candidates(config, options.candidates, param="edgeneuro.candidates")
        to_route = _to_route(request, config, asker, allowed)
    elif request.model.startswith(AGENT_PREFIX):
        agent = named_agent(config, request.model)
        permissions.require_agent(agent.id, param="model")
    else:
        permissions.require_model(everything, request.model)
        models = (named_model(config, request.model),)
        if request.edgeneuro.fallback:
            models = with_fallbacks(config, models)
    plan = Plan(
        services,
        request,
        asker,
        config,
        stages,
        AnswerBounds(request, asker.credential.limits),
        id=turn_id,
        created_ms=created_ms,
        to_route=to_route,
        agent=agent,
        models=models,
    )
    if config.withheld:  # an agent that no allowed model answers for is refused before any call
        for each in (agent,) if to_route is None else to_route.question.agents:
            _models_of(plan, each)
    return plan


async def reserve_turn(plan: Plan) -> Reservation | None:
    """Of the caller's limits, if there are some: routing, and the dearest answer that it may lead
    to. Raises what limits.reserve raises."""
    asker = plan.asker
    if asker.credential.limits is None:
        return None
    with plan.stages.stage("reserve"):
        reservation = await reserve(plan.services, asker.credential, _most(plan))
    if reservation is not None:
        asker.headers.update(reservation.headers())
    return reservation


def _most(plan: Plan) -> Estimate:
    if plan.to_route is None:
        models = plan.models or _models_of(plan, plan.agent)
        return _sum(plan, models, plan.agent)
    question = plan.to_route.question
    found = [_sum(plan, _models_of(plan, agent), agent) for agent in question.agents]
    answer = Estimate(max(each.tokens for each in found), max(each.cost_usd for each in found))
    return estimate_routing(question) + answer


def _models_of(plan: Plan, agent: Agent | None) -> tuple[Model, ...]:
    return () if agent is None else models_of_agent(plan.config, agent, fallback=plan.fallback)


def _sum(plan: Plan, models: tuple[Model, ...], agent: Agent | None) -> Estimate:
    return sum((plan.bounds.estimate(model, agent) for model in models), Estimate())


def _to_route(
    request: ChatRequest, config: RoutingConfig, asker: Asker, candidates: list[str] | None
) -> ToRoute:
    if not request.text:
        raise InvalidRequestError(
            "messages: to choose an agent, the router needs a text in the last message of the role"
            " 'user'. Add one, or name the agent as model 'agent:ID'.",
            param="messages",
        )
    options = request.edgeneuro
    asked = RouteRequest(
        query=request.text,
        candidates=candidates,
        cache=options.cache is not False,
        fallback=options.fallback,
        on_no_fit=options.on_no_fit,
    )
    try:
        return ToRoute(asked, ask_question(asked, config, key_id=asker.credential.key_id))
    except InvalidRequestError as error:  # of the candidates: nothing else can be wrong by now
        raise InvalidRequestError(
            error.message, code=error.code, param=f"edgeneuro.{error.param}"
        ) from error
