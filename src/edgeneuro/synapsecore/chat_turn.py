"""A chat's turn: one request, who answers it, and with what. The first stage of a chat makes it."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from edgeneuro.domain.agent import Agent
from edgeneuro.domain.chat import AGENT_PREFIX, AUTO, ChatRequest
from edgeneuro.domain.decision import Attempt, ChosenAgent, Layer, RouteRequest, Usage
from edgeneuro.domain.model import Model
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import InvalidRequestError
from edgeneuro.gateway.chain import Chain
from edgeneuro.services import Services
from edgeneuro.synapsecore.chat_models import (
    model_of_agent,
    named_agent,
    named_model,
    with_fallbacks,
)
from edgeneuro.synapsecore.question import ask_question
from edgeneuro.synapsecore.record import Asker
from edgeneuro.synapsecore.routed import Routed
from edgeneuro.synapsecore.router import decide_route
from edgeneuro.synapsecore.stages import StageClock

_NAMED_BY_CALLER = 1.0  # the confidence where nothing was decided


@dataclass(frozen=True)
class Turn:
    """`routed` is None where the caller named who answers, `agent` where that is a model. `models`
    are asked in this order through `chain`, with `messages`; there is at least one, unless routing
    was refused."""

    services: Services
    request: ChatRequest
    asker: Asker
    config: RoutingConfig
    stages: StageClock
    chain: Chain
    id: str
    created_ms: int
    routed: Routed | None
    agent: Agent | None
    models: tuple[Model, ...]

    @cached_property
    def messages(self) -> list[dict[str, Any]]:
        """The agent's system prompt goes before all that the client sends."""
        messages = [message.sent() for message in self.request.messages]
        if self.agent is None or self.agent.system_prompt is None:
            return messages
        return [{"role": "system", "content": self.agent.system_prompt}, *messages]

    @cached_property
    def parameters(self) -> dict[str, Any]:
        return self.request.parameters()

    @cached_property
    def cache_key(self) -> str | None:
        """A hash over all that the answer depends on; None where it is not to be kept."""
        if not self._may_keep():
            return None
        first = self.models[0]
        parts = [first.provider, first.base_model, first.adapter, self.messages, self.parameters]
        canonical = json.dumps(parts, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()

    def _may_keep(self) -> bool:
        """Where the same request has the same answer, or the caller says so. What a tool has said
        holds for its moment alone."""
        wanted = self.request.edgeneuro.cache
        if wanted is False or any(message.role == "tool" for message in self.request.messages):
            return False
        return wanted is True or self.request.temperature == 0

    @property
    def chosen(self) -> ChosenAgent | None:
        agent = self.agent
        if agent is None:
            return None
        return ChosenAgent(id=agent.id, name=agent.name, endpoint=agent.endpoint)

    @property
    def layer(self) -> Layer:
        return self.routed.decision.layer if self.routed else "direct"

    @property
    def confidence(self) -> float:
        return self.routed.decision.confidence if self.routed else _NAMED_BY_CALLER

    @property
    def attempts(self) -> list[Attempt]:
        """Of routing and answering together, as the next ones."""
        routing = self.routed.decision.attempts if self.routed else []
        return [*routing, *self.chain.attempts]

    @property
    def usage(self) -> Usage:
        routing = self.routed.decision.usage if self.routed else Usage()
        return routing + self.chain.usage

    @property
    def cost_usd(self) -> float | None:
        routing = self.routed.decision.cost_usd if self.routed else 0.0
        answering = self.chain.cost_usd
        return None if routing is None or answering is None else routing + answering

    @property
    def upstream_ms(self) -> float:
        return (self.routed.upstream_ms if self.routed else 0.0) + self.chain.upstream_ms


async def begin_turn(services: Services, request: ChatRequest, asker: Asker) -> Turn:
    """Routes where the model is "auto". Raises NotFoundError and ConflictError for a model or agent
    that cannot answer, and what routing raises for a request that it cannot take."""
    stages = StageClock(services.monotonic)
    turn_id, created_ms = services.new_id("dec"), services.now_ms()
    config = await services.routing.current()
    routed: Routed | None = None
    agent: Agent | None = None
    models: tuple[Model, ...] = ()
    if request.model == AUTO:
        routed = await _route(
            services, request, config, asker, stages, turn_id=turn_id, created_ms=created_ms
        )
        agent = None if routed.refused else config.agents[routed.decision.agent.id]
    elif request.model.startswith(AGENT_PREFIX):
        agent = named_agent(config, request.model)
    else:
        models = (named_model(config, request.model),)
    # Routing is a part of its time; no more than it may take, however far the clock went meanwhile.
    routing_ms = min(round(stages.total_ms()), config.time_budget_ms) if routed else 0
    chain = services.new_chain(
        config, purpose="chat", budget_ms=config.chat_timeout_ms - routing_ms
    )
    if agent is not None:
        models = (model_of_agent(services, config, agent),)
    if request.edgeneuro.fallback:
        models = with_fallbacks(config, models)
    return Turn(
        services,
        request,
        asker,
        config,
        stages,
        chain,
        id=turn_id,
        created_ms=created_ms,
        routed=routed,
        agent=agent,
        models=models,
    )


async def _route(
    services: Services,
    request: ChatRequest,
    config: RoutingConfig,
    asker: Asker,
    stages: StageClock,
    *,
    turn_id: str,
    created_ms: int,
) -> Routed:
    if not request.text:
        raise InvalidRequestError(
            "messages: to choose an agent, the router needs a text in the last message of the role"
            " 'user'. Add one, or name the agent as model 'agent:ID'.",
            param="messages",
        )
    options = request.edgeneuro
    asked = RouteRequest(
        query=request.text,
        candidates=options.candidates,
        cache=options.cache is not False,
        fallback=options.fallback,
    )
    try:
        question = ask_question(asked, config)
    except InvalidRequestError as error:  # of the candidates: nothing else can be wrong by now
        raise InvalidRequestError(
            error.message, code=error.code, param=f"edgeneuro.{error.param}"
        ) from error
    return await decide_route(
        services,
        asked,
        asker,
        config=config,
        question=question,
        stages=stages,
        decision_id=turn_id,
        created_ms=created_ms,
    )
