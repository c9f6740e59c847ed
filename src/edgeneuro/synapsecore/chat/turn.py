"""A chat turn: one request, who answers it, and with what."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from edgeneuro.access.limits import Estimate, Reservation
from edgeneuro.domain.agent import Agent
from edgeneuro.domain.chat import ChatRequest
from edgeneuro.domain.clarification import Clarification
from edgeneuro.domain.decision import Attempt, Layer, Usage
from edgeneuro.domain.model import Model
from edgeneuro.domain.outcome import ChosenAgent, Outcome, SharedAgent
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.domain.session import AgentMemory
from edgeneuro.errors import EdgeNeuroError, NoAgentFitsError, Reason
from edgeneuro.gateway.chain import Chain
from edgeneuro.gateway.interface import AgentState
from edgeneuro.services import Services
from edgeneuro.store.additions import Addition, Write
from edgeneuro.synapsecore.cache_key import key_of, model_identity, owner
from edgeneuro.synapsecore.chat.clarified import with_asked_message
from edgeneuro.synapsecore.chat.models import (
    Kinds,
    map_image_urls,
    models_of_agent,
    sent_messages,
    sent_parameters,
    stale_model,
    upstream_kind,
)
from edgeneuro.synapsecore.chat.request import AnswerBounds, ChatPlan
from edgeneuro.synapsecore.chat.usage import ChatUsage, EarlierTurn
from edgeneuro.synapsecore.observers import observe
from edgeneuro.synapsecore.router import RoutingResult, estimate_unknown, run_pipeline
from edgeneuro.synapsecore.session import OpenSession
from edgeneuro.synapsecore.stage_clock import StageClock
from edgeneuro.synapsecore.turn import CallerContext

_NAMED_BY_CALLER = 1.0  # the confidence if the caller named who answers


@dataclass(frozen=True)
class ChatTurn:
    """`routing` is None if the caller named who answers, `agent` is None if that is a model.
    `writes` belong to the routing, and go into the batch of the log row. `models` are called in
    this order through `chain`; there is at least one, unless there is an `error`, or a question to
    `clarify`. If several agents answer, `shared` are these, and `answers` their turns as far as
    they have begun; nothing is called through `chain` then. `session` is the session of the
    request, if it names one that is remembered. `states` are what agents' endpoints have said of
    themselves, by the agent's id. `background`: a chat interface has sent it, no person, so
    there is no agent. `earlier` are the decisions of the same request whose agents handed the turn
    back."""

    services: Services
    request: ChatRequest
    caller: CallerContext
    config: RoutingConfig
    clock: StageClock
    chain: Chain
    bounds: AnswerBounds
    id: str
    created_ms: int
    reservation: Reservation | None
    routing: RoutingResult | None
    writes: tuple[Write, ...]
    agent: Agent | None
    models: tuple[Model, ...]
    session: OpenSession | None = None
    background: bool = False
    shared: tuple[SharedAgent, ...] = ()
    answers: "list[ChatTurn]" = field(default_factory=list)
    states: dict[str, AgentState] = field(default_factory=dict)
    earlier: tuple[EarlierTurn, ...] = ()

    @property
    def endpoint(self) -> Model | None:
        """The agent's endpoint among `models`, if it has one."""
        return self.models[0] if self.agent is not None and self.agent.endpoint else None

    @property
    def memory(self) -> AgentMemory | None:
        """The ids under which the agent's endpoint knows the conversation."""
        if self.session is None or self.agent is None:
            return None
        return self.session.memory(self.agent)

    def note_state(self, model: Model, state: AgentState | None) -> None:
        """Only an endpoint speaks for the agent, not the model that answers instead of it."""
        if state is not None and self.agent is not None and model is self.endpoint:
            self.states[self.agent.id] = state

    def messages(self, model: Model) -> list[dict[str, Any]]:
        """The messages that this model gets: the agent's system prompt, then what the client
        sent."""
        messages = sent_messages(self.request, self._kind(model))
        if self.routing is not None:
            turn, agent = self.routing.turn, self.agent
            only_last = agent is not None and model is self.endpoint and agent.protocol != "openai"
            messages = with_asked_message(messages, self.request, turn, agent, only_last=only_last)
        if self.agent is None or self.agent.system_prompt is None:
            return messages
        return [{"role": "system", "content": self.agent.system_prompt}, *messages]

    def parameters(self, model: Model) -> dict[str, Any]:
        """The parameters that this model gets."""
        return sent_parameters(self.request, self.bounds.parameters(model), self._kind(model))

    def _kind(self, model: Model) -> Kinds:
        return upstream_kind(self.config, model, self.endpoint)

    @cached_property
    def cache_key(self) -> str | None:
        """The key of the first model: only its answers are cached. None: nothing is cached."""
        if not self.models or not self._may_cache():
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
            *owner(self.config, self.caller.credential.key_id),
        ]
        return key_of(parts)

    def _may_cache(self) -> bool:
        """If the same request gets the same answer, or the caller asks for it. The result of a tool
        is valid only for a moment, and so may be an answer of an agent's endpoint."""
        wanted = self.request.edgeneuro.cache
        tool_results = (each.role in ("tool", "function") for each in self.request.messages)
        if self.shared or wanted is False or any(tool_results):
            return False
        if self.endpoint is not None:
            return wanted is True and self.hands_off is None and not self._for_this_once
        return wanted is True or self.request.temperature == 0

    @property
    def clarify(self) -> Clarification | None:
        """The question that is the answer."""
        return self.routing.decision.clarify if self.routing and self.agent is None else None

    @property
    def named(self) -> tuple[SharedAgent, ...]:
        """The agents of a message that is for several."""
        return self.routing.decision.agents if self.routing else ()

    @property
    def closing_sentence(self) -> str | None:
        """What follows the answer of the first of several agents; None if nothing does."""
        sentence, names = self.config.several_text, [each.name for each in self.named]
        applies = bool(names) and not self.shared and self.hands_off is None
        if not applies or not sentence or not self.request.accepts_text:
            return None
        others = ", ".join(names[1:])
        return sentence.replace("{agent}", names[0]).replace("{others}", others)

    @property
    def _for_this_once(self) -> bool:
        """The agent must get each message, or its answer may be for this caller alone."""
        agent, in_session = self.agent, self.session is not None
        remembers = agent is not None and agent.protocol == "a2a" and in_session
        return remembers or (agent is not None and agent.knows_caller)

    @property
    def hands_off(self) -> Agent | None:
        """The agent that the client itself has to call."""
        agent = self.agent if self.endpoint is not None else None
        return agent if agent is not None and agent.protocol == "handoff" else None

    @property
    def chosen(self) -> ChosenAgent | None:
        return None if self.agent is None else ChosenAgent.of(self.agent)

    @property
    def layer(self) -> Layer:
        return self.routing.decision.layer if self.routing else "direct"

    @property
    def outcome(self) -> Outcome | None:
        if self.routing is None:
            return None if self.agent is None else "agent"
        return self.routing.decision.outcome

    @property
    def reason(self) -> Reason | None:
        """Of the decision, or why there is none although no agent or model was named."""
        if self.background:
            return "background_prompt"
        return self.routing.decision.reason if self.routing else None

    @property
    def confidence(self) -> float | None:
        return self.routing.decision.confidence if self.routing else self._confidence_of_caller

    @property
    def stated_confidence(self) -> float | None:
        if self.routing is None:
            return self._confidence_of_caller
        return self.routing.decision.stated_confidence

    @property
    def _confidence_of_caller(self) -> float | None:
        return None if self.background else _NAMED_BY_CALLER

    @property
    def error(self) -> EdgeNeuroError | None:
        """Why no model is called: routing failed, or found no agent that answers."""
        if self.routing is None or self.agent is not None or self.clarify is not None:
            return None
        names = " and ".join(repr(each.agent_id) for each in self.earlier)
        refused = f"{names} handed this conversation back. " if names else ""
        return self.routing.failure or NoAgentFitsError(
            f"{refused}No agent fits this conversation, and no fallback agent may answer. Name one"
            " as model 'agent:ID', or allow the default agent: `on_no_fit` \"fallback\", and among"
            " the `candidates`."
        )

    @property
    def attempts(self) -> list[Attempt]:
        """Of routing and answering together, as the next three are."""
        routing = self.routing.call.attempts if self.routing else ()
        return [*routing, *(attempt for chain in self._chains for attempt in chain.attempts)]

    @property
    def usage(self) -> Usage:
        answering = sum((chain.usage for chain in self._chains), Usage())
        return self.routing.call.usage + answering if self.routing else answering

    @property
    def cost_usd(self) -> float | None:
        total = 0.0
        routing = self.routing.call.cost_usd if self.routing else 0.0
        for cost in (routing, *(chain.cost_usd for chain in self._chains)):
            if cost is None:
                return None
            total += cost
        return total

    @property
    def upstream_ms(self) -> float:
        routing_ms = round(self.routing.call.upstream_ms, 2) if self.routing else 0.0
        return routing_ms + sum(chain.upstream_ms for chain in self._chains)

    @property
    def answered_by(self) -> Agent | None:
        """Of several agents the first that has answered."""
        answered = (each.agent for each in self.answers if each.has_answered)
        return next(answered, self.agent)

    @property
    def has_answered(self) -> bool:
        """After a handoff, which calls nobody, the agent's address is the answer."""
        attempts = self.chain.attempts
        return not attempts or attempts[-1].outcome == "ok"

    @property
    def handed_back(self) -> bool:
        """Whether the agent said that the turn is not for it."""
        attempts = self.chain.attempts
        return bool(attempts) and attempts[-1].outcome == "not_mine"

    @property
    def used(self) -> ChatUsage:
        """What this decision and its answer took."""
        spent = sum(chain.spent_usd for chain in self._chains)
        spent += self.routing.call.spent_usd if self.routing else 0.0
        known = Estimate(self.usage.total_tokens, spent)
        unknown = [each for turn in (self, *self.answers) for each in turn._unknown()]
        if self.routing is not None:
            unknown.append(estimate_unknown(self.routing))
        return ChatUsage(self.attempts, self.usage, self.cost_usd, known, unknown)

    @property
    def total(self) -> ChatUsage:
        """What the whole request took."""
        total = self.used
        for turn in reversed(self.earlier):
            total = turn.used + total
        return total

    def settlement(self) -> Addition | None:
        """Replaces the reservation by what the whole request has used, for routing and answering
        together."""
        if self.reservation is None:
            return None
        total = self.total
        return self.reservation.settle(total.known, total.unknown)

    def _unknown(self) -> list[Estimate]:
        models = {model.id: model for model in self.chain.usage_unknown}.values()
        return [self.bounds.estimate(model, self.agent) for model in models]

    @property
    def _chains(self) -> list[Chain]:
        return [self.chain, *(answer.chain for answer in self.answers)]


async def begin_chat(plan: ChatPlan, reservation: Reservation | None) -> ChatTurn:
    """Routes, if the router is to choose the agent."""
    services, config, agent, models = plan.services, plan.config, plan.agent, plan.models
    routing = None if plan.routing is None else await run_pipeline(plan.routing)
    await plan.caller.admitted()
    # Routing takes a part of the chat's time: its own budget at most, even if the clock jumps.
    routing_ms = min(round(plan.clock.total_ms()), config.time_budget_ms) if routing else 0
    left_ms = config.chat_timeout_ms - routing_ms
    if routing is not None and routing.error is None:
        agent = routing.decision.answering
    if agent is not None:
        models = answering_models(services, config, agent, fallback=plan.fallback)
    return ChatTurn(
        services,
        plan.request,
        plan.caller,
        config,
        plan.clock,
        services.new_chain(config, purpose="chat", budget_ms=left_ms),
        plan.bounds,
        id=plan.id,
        created_ms=plan.created_ms,
        reservation=reservation,
        routing=routing,
        writes=() if routing is None else tuple(observe(routing)),
        agent=agent,
        models=models,
        session=plan.session,
        background=plan.background,
        shared=_shared(plan, routing),
    )


def _shared(plan: ChatPlan, routing: RoutingResult | None) -> tuple[SharedAgent, ...]:
    """The agents that all answer; empty if one does."""
    return routing.decision.agents if routing is not None and plan.all_answer else ()


def answering_models(
    services: Services, config: RoutingConfig, agent: Agent, *, fallback: bool
) -> tuple[Model, ...]:
    """As `models_of_agent`; a model of the agent that cannot be used is counted."""
    stale = stale_model(config, agent)
    if stale is not None:
        services.failures.note("agent_model", stale)
    return models_of_agent(config, agent, fallback=fallback)
