"""A chat request before any model is called: who may answer it, and the most that it may use.
Errors of the request are raised here."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgeneuro.access.limits import Estimate, Reservation, estimate, reserve
from edgeneuro.domain.agent import Agent
from edgeneuro.domain.background_prompt import is_background_prompt
from edgeneuro.domain.chat import AGENT_PREFIX, ChatRequest
from edgeneuro.domain.conversation import with_agent
from edgeneuro.domain.decision import RouteRequest
from edgeneuro.domain.key import KeyLimits
from edgeneuro.domain.model import Model
from edgeneuro.domain.outcome import NO_OTHER_OUTCOME, PolicyOptions
from edgeneuro.domain.router_names import is_router_name, router_named
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import EdgeNeuroError, InvalidRequestError
from edgeneuro.services import Services
from edgeneuro.synapsecore.chat.models import (
    default_models,
    endpoint_model,
    is_endpoint,
    map_image_urls,
    models_of_agent,
    named_agent,
    named_model,
    with_fallbacks,
)
from edgeneuro.synapsecore.policy import MAX_SEVERAL
from edgeneuro.synapsecore.router import estimate_routing
from edgeneuro.synapsecore.session import OpenSession, open_session
from edgeneuro.synapsecore.stage_clock import StageClock
from edgeneuro.synapsecore.turn import CallerContext, Turn, build_turn
from edgeneuro.web.auth import authorize_explain

# After so many hand-backs in one request ("not mine") the fallback agent answers, or nobody: an
# agent that hands back for ever costs two calls.
MAX_HAND_BACKS = 2
_MAX_TOKENS = 4_096
# About what an image takes in most models, as bytes of text; its address is shorter.
_IMAGE_BYTES = 8_192


@dataclass(frozen=True)
class ChatPlan:
    """If the router is to choose the agent, `routing` is its turn and `agent` is None. `models` are
    those of the model that the caller named, else empty. `session` is the session of the request,
    if it names one that is remembered. `background`: a chat interface has sent it, no person, so it
    is answered by the default models. No session is part of such a message, routed or not."""

    services: Services
    request: ChatRequest
    caller: CallerContext
    config: RoutingConfig
    clock: StageClock
    bounds: "AnswerBounds"
    id: str
    created_ms: int
    routing: Turn | None
    agent: Agent | None
    models: tuple[Model, ...]
    session: OpenSession | None = None
    background: bool = False

    @property
    def fallback(self) -> bool:
        return self.request.edgeneuro.fallback

    @property
    def all_answer(self) -> bool:
        """Whether several agents may answer one after another: as one text, without tools."""
        if self.routing is None or not self.routing.several:
            return False
        request = self.request
        return (
            self.config.several_answers == "all" and request.accepts_text and not request.has_tools
        )


async def plan_chat(services: Services, request: ChatRequest, caller: CallerContext) -> ChatPlan:
    """Raises NotFoundError and ConflictError for a model or agent that cannot answer,
    InvalidRequestError for a request that cannot be routed, and what web.auth and
    domain.permissions raise for what the caller may not use."""
    clock = StageClock(services.monotonic, caller.trace.spans)
    chat_id = services.new_id("dec")
    options, permissions = request.edgeneuro, caller.credential.permissions
    authorize_explain(caller.credential, options.explain, param="edgeneuro.explain")
    everything = await services.routing.current()
    by_router = is_router_name(request.model)
    if by_router:
        everything = permissions.router_of(everything, router_named(request.model), param="model")
    config = permissions.restrict(everything)
    by_interface = is_background_prompt(request.messages)
    background = _background_models(request, config) if by_router and by_interface else ()
    session: OpenSession | None = None
    if options.session is not None and not by_interface:
        with clock.stage("session_read"):
            session = await open_session(services, config, caller.credential, options.session)
    routing: Turn | None = None
    agent: Agent | None = None
    models: tuple[Model, ...] = ()
    if background:
        permissions.require_model(everything, None)
        models = background
    elif by_router:
        permissions.require_model(everything, None)
        allowed = permissions.candidates(config, options.candidates, param="edgeneuro.candidates")
        routing = _routing_turn(
            services,
            request,
            config,
            caller,
            allowed,
            session,
            id=chat_id,
            clock=clock,
            policy=NO_OTHER_OUTCOME if by_interface else _policy(request),
        )
    elif request.model.startswith(AGENT_PREFIX):
        agent = named_agent(config, request.model)
        permissions.require_agent(agent.id, param="model")
    else:
        permissions.require_model(everything, request.model)
        models = (named_model(config, request.model),)
        if request.edgeneuro.fallback:
            models = with_fallbacks(config, models)
    plan = ChatPlan(
        services,
        request,
        caller,
        config,
        clock,
        AnswerBounds(request, caller.credential.limits),
        id=chat_id,
        created_ms=services.now_ms() if routing is None else routing.created_ms,
        routing=routing,
        agent=agent,
        models=models,
        session=session,
        background=bool(background),
    )
    if config.withheld:  # an agent without an allowed model is refused before any call
        for each in (agent,) if routing is None else routing.agents:
            _models_of(plan, each)
    return plan


def _background_models(request: ChatRequest, config: RoutingConfig) -> tuple[Model, ...]:
    """Those that answer a background prompt; empty if the router is to choose an agent for it. Then
    one whose endpoint or own model answers is still found."""
    if config.route_background_prompts:
        return ()
    try:
        return default_models(config, fallback=request.edgeneuro.fallback)
    except EdgeNeuroError:  # there is no such model, or the caller may use none
        return ()


async def reserve_chat(plan: ChatPlan) -> Reservation | None:
    """Reserves an upper bound of the caller's limits, if there are some: for routing, and for the
    most expensive answers that it may lead to. Raises what limits.reserve raises."""
    caller = plan.caller
    if caller.credential.limits is None:
        return None
    await caller.admitted()
    with plan.clock.stage("reserve"):
        reservation = await reserve(plan.services, caller.credential, _upper_bound(plan))
    if reservation is not None:
        caller.headers.update(reservation.headers())
    return reservation


def _upper_bound(plan: ChatPlan) -> Estimate:
    if plan.routing is None:
        models = plan.models or _models_of(plan, plan.agent)
        return _sum(plan, models, plan.agent)
    turn = plan.routing
    found = [_sum(plan, _models_of(plan, agent), agent) for agent in turn.agents]
    answers = MAX_SEVERAL if plan.all_answer else 1
    tokens = sorted((each.tokens for each in found), reverse=True)[:answers]
    costs = sorted((each.cost_usd for each in found), reverse=True)[:answers]
    once, more = estimate_routing(turn), _handed_back(plan, turn.agents)
    bound = once + Estimate(sum(tokens), sum(costs))
    return bound if more is None else bound + once + more


def _handed_back(plan: ChatPlan, agents: Sequence[Agent]) -> Estimate | None:
    """The most that agents' endpoints may use to say that the turn is not for them; None if none
    can. The router decides once more then."""
    able = [agent for agent in agents if agent.endpoint and agent.protocol != "handoff"]
    if not able:
        return None
    found = [plan.bounds.estimate(endpoint_model(agent), agent) for agent in able]
    found.sort(key=lambda each: each.tokens, reverse=True)
    return sum(found[:MAX_HAND_BACKS], Estimate())


def _models_of(plan: ChatPlan, agent: Agent | None) -> tuple[Model, ...]:
    return () if agent is None else models_of_agent(plan.config, agent, fallback=plan.fallback)


def _sum(plan: ChatPlan, models: tuple[Model, ...], agent: Agent | None) -> Estimate:
    return sum((plan.bounds.estimate(model, agent) for model in models), Estimate())


def _routing_turn(
    services: Services,
    request: ChatRequest,
    config: RoutingConfig,
    caller: CallerContext,
    candidates: list[str] | None,
    session: OpenSession | None,
    *,
    id: str,
    clock: StageClock,
    policy: PolicyOptions | None,
) -> Turn:
    said = with_agent(request.conversation, request.edgeneuro.context, param="edgeneuro.context")
    if not said.query:
        raise InvalidRequestError(
            "messages: to choose an agent, the router needs a text in the last message of the role"
            " 'user'. Add one, or name the agent as model 'agent:ID'.",
            param="messages",
        )
    options = request.edgeneuro
    asked = RouteRequest(
        query=said.query,
        context=said.previous.shown(),
        candidates=candidates,
        cache=options.cache is not False,
        fallback=options.fallback,
        on_no_fit=options.on_no_fit,
        session=options.session,
        policy=policy,
    )
    try:
        return build_turn(
            services,
            asked,
            config,
            caller,
            id=id,
            clock=clock,
            session=session,
            continues=said.continues,
        )
    except InvalidRequestError as error:  # of the candidates: nothing else can be wrong here
        raise InvalidRequestError(
            error.message, code=error.code, param=f"edgeneuro.{error.param}"
        ) from error


def _policy(request: ChatRequest) -> PolicyOptions | None:
    """A client that cannot show a question gets none."""
    policy = request.edgeneuro.policy
    if request.accepts_text:
        return policy
    return (policy or PolicyOptions()).model_copy(update={"clarify": False})


class AnswerBounds:
    """If the caller has a budget, every answer has an upper bound, which the model gets as
    max_tokens."""

    def __init__(self, request: ChatRequest, limits: KeyLimits | None) -> None:
        self._bounded = limits is not None and limits.has_budget
        self._parameters = request.parameters(extras=False)
        self._bytes = _size(request, self._parameters) if self._bounded else 0

    def parameters(self, model: Model) -> dict[str, Any]:
        """All that an answer depends on beside the messages, named as OpenAI does."""
        if not self._bounded or "max_tokens" in self._parameters:
            return self._parameters
        return {**self._parameters, "max_tokens": _max_tokens(model)}

    def estimate(self, model: Model, agent: Agent | None) -> Estimate:
        """For one model's answer; nothing for a caller without a budget. Agents' endpoints with a
        protocol other than OpenAI's report no usage and accept no bound: nothing is counted for
        them."""
        if not self._bounded:
            return Estimate()
        prompt = ""
        if agent is not None:
            if is_endpoint(model, agent) and agent.protocol != "openai":
                return Estimate()
            prompt = agent.system_prompt or ""
        max_tokens = self.parameters(model)["max_tokens"]
        return estimate(
            [model], self._bytes + len(prompt.encode(errors="surrogatepass")), max_tokens
        )


def _max_tokens(model: Model) -> int:
    """Half of a small context is left for the messages."""
    half = (model.context_window or 2 * _MAX_TOKENS) // 2
    return max(1, min(_MAX_TOKENS, half))


def _size(request: ChatRequest, parameters: dict[str, Any]) -> int:
    """Bytes of text, and a fixed number for each image: what a model makes of an image does not
    depend on the length of its address or of its data."""
    images = 0

    def counted(url: str) -> str:
        nonlocal images
        images += 1
        return ""

    sent = map_image_urls(request.sent_messages(extras=True), counted)
    others = [parameters.get("tools"), parameters.get("response_format")]
    text = json.dumps([sent, *others], ensure_ascii=False)
    return len(text.encode(errors="surrogatepass")) + images * _IMAGE_BYTES
