"""A chat's turn: one request, who answers it, and with what."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from edgeneuro.access.limits import Estimate, Reservation
from edgeneuro.domain.agent import Agent
from edgeneuro.domain.chat import ChatRequest
from edgeneuro.domain.decision import Attempt, ChosenAgent, Layer, Usage
from edgeneuro.domain.decision import Outcome as DecisionOutcome
from edgeneuro.domain.model import Model
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import EdgeNeuroError, NoAgentFitsError
from edgeneuro.gateway.chain import Chain
from edgeneuro.services import Services
from edgeneuro.store.database import Statement
from edgeneuro.synapsecore.cache_key import key_of, model_identity, owner
from edgeneuro.synapsecore.chat_limits import AnswerBounds
from edgeneuro.synapsecore.chat_models import models_of_agent, stale_model
from edgeneuro.synapsecore.chat_plan import Plan
from edgeneuro.synapsecore.chat_sent import (
    Kinds,
    map_image_urls,
    sent_messages,
    sent_parameters,
    upstream_kind,
)
from edgeneuro.synapsecore.record import Asker
from edgeneuro.synapsecore.routed import Routed
from edgeneuro.synapsecore.router import decide_route, estimate_unknown
from edgeneuro.synapsecore.stages import StageClock

_NAMED_BY_CALLER = 1.0  # the confidence where nothing was decided


@dataclass(frozen=True)
class Turn:
    """`routed` is None where the caller named who answers, `agent` where that is a model. `models`
    are asked in this order through `chain`, with `messages`; there is at least one, unless there is
    an `error`."""

    services: Services
    request: ChatRequest
    asker: Asker
    config: RoutingConfig
    stages: StageClock
    chain: Chain
    bounds: AnswerBounds
    id: str
    created_ms: int
    reservation: Reservation | None
    routed: Routed | None
    agent: Agent | None
    models: tuple[Model, ...]

    @property
    def endpoint(self) -> Model | None:
        """The agent's endpoint among `models`, where it has one."""
        return self.models[0] if self.agent is not None and self.agent.endpoint else None

    def messages(self, model: Model) -> list[dict[str, Any]]:
        """As this model gets them. The agent's system prompt goes before all that the client
        sends."""
        messages = sent_messages(self.request, self._kind(model))
        if self.agent is None or self.agent.system_prompt is None:
            return messages
        return [{"role": "system", "content": self.agent.system_prompt}, *messages]

    def parameters(self, model: Model) -> dict[str, Any]:
        """As this model gets them."""
        return sent_parameters(self.request, self.bounds.parameters(model), self._kind(model))

    def _kind(self, model: Model) -> Kinds:
        return upstream_kind(self.config, model, self.endpoint)

    @cached_property
    def cache_key(self) -> str | None:
        """That of the first model: only its answers are cached. None where none is to be."""
        if not self.models or not self._may_keep():
            return None
        return self.key_for(self.models[0])

    def key_for(self, model: Model) -> str:
        """A hash over exactly what this model or endpoint is sent."""
        endpoint = self.chosen if model is self.endpoint else None
        parts = [
            *model_identity(model, self.config),
            endpoint and endpoint.model_dump(),
            map_image_urls(self.messages(model), self.request.images.digest),
            self.parameters(model),
            *owner(self.config, self.asker.credential.key_id),
        ]
        return key_of(parts)

    def _may_keep(self) -> bool:
        """Where the same request has the same answer, or the caller says so. What a tool has said
        holds for its moment alone, and so does what an agent says at its endpoint, for all that is
        known of it."""
        wanted = self.request.edgeneuro.cache
        if wanted is False or any(
            message.role in ("tool", "function") for message in self.request.messages
        ):
            return False
        if self.endpoint is not None:
            return wanted is True and self.hands_off is None
        return wanted is True or self.request.temperature == 0

    @property
    def hands_off(self) -> Agent | None:
        """The agent with whom the client itself goes on."""
        agent = self.agent if self.endpoint is not None else None
        return agent if agent is not None and agent.protocol == "handoff" else None

    @property
    def chosen(self) -> ChosenAgent | None:
        return None if self.agent is None else ChosenAgent.of(self.agent)

    @property
    def layer(self) -> Layer:
        return self.routed.decision.layer if self.routed else "direct"

    @property
    def outcome(self) -> DecisionOutcome | None:
        if self.routed is None:
            return None if self.agent is None else "agent"
        return self.routed.decision.outcome

    @property
    def confidence(self) -> float | None:
        return self.routed.decision.confidence if self.routed else _NAMED_BY_CALLER

    @property
    def stated_confidence(self) -> float | None:
        return self.routed.stated_confidence if self.routed else _NAMED_BY_CALLER

    @property
    def error(self) -> EdgeNeuroError | None:
        """Why nobody is to be asked: routing failed, or found no agent that answers."""
        if self.routed is None or self.agent is not None:
            return None
        return self.routed.failure or NoAgentFitsError(
            "No agent fits this conversation, and no fallback agent may answer. Name one as model"
            " 'agent:ID', or allow the default agent: `on_no_fit` \"fallback\", and among the"
            " `candidates`."
        )

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

    def settlement(self) -> Statement | None:
        """Replaces what was reserved by what was used, of routing and answering together."""
        if self.reservation is None:
            return None
        spent = self.chain.spent_usd + (self.routed.spent_usd if self.routed else 0.0)
        models = {model.id: model for model in self.chain.usage_unknown}.values()
        unknown = [self.bounds.estimate(model, self.agent) for model in models]
        if self.routed is not None:
            unknown.append(estimate_unknown(self.routed))
        return self.reservation.settle(Estimate(self.usage.total_tokens, spent), unknown)


async def begin_turn(plan: Plan, reservation: Reservation | None) -> Turn:
    """Routes where the plan says so."""
    services, config, agent, models = plan.services, plan.config, plan.agent, plan.models
    routed = await _route(plan)
    # Routing is a part of its time; no more than it may take, however far the clock went meanwhile.
    routing_ms = min(round(plan.stages.total_ms()), config.time_budget_ms) if routed else 0
    left_ms = config.chat_timeout_ms - routing_ms
    if routed is not None and routed.refused is None and routed.decision.agent is not None:
        agent = config.agents[routed.decision.agent.id]
    if agent is not None:
        stale = stale_model(config, agent)
        if stale is not None:
            services.failures.note("agent_model", stale)
        models = models_of_agent(config, agent, fallback=plan.fallback)
    return Turn(
        services,
        plan.request,
        plan.asker,
        config,
        plan.stages,
        services.new_chain(config, purpose="chat", budget_ms=left_ms),
        plan.bounds,
        id=plan.id,
        created_ms=plan.created_ms,
        reservation=reservation,
        routed=routed,
        agent=agent,
        models=models,
    )


async def _route(plan: Plan) -> Routed | None:
    if plan.to_route is None:
        return None
    return await decide_route(
        plan.services,
        plan.to_route.request,
        plan.asker,
        config=plan.config,
        question=plan.to_route.question,
        stages=plan.stages,
        decision_id=plan.id,
        created_ms=plan.created_ms,
    )
