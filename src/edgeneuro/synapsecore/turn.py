"""A turn: one query made ready for the stages, with all that they need to know of it."""

from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from edgeneuro.call import Background, Call, Facts, admit
from edgeneuro.domain.agent import Agent
from edgeneuro.domain.catalogue import find_routing_model
from edgeneuro.domain.classifier import MAX_WHOLE_QUESTION
from edgeneuro.domain.conversation import NOTHING_BEFORE, PreviousTurn
from edgeneuro.domain.decision import MetadataValue, RouteRequest
from edgeneuro.domain.model import Model
from edgeneuro.domain.outcome import PolicyOptions
from edgeneuro.domain.prompt import CONTEXT_VERSION, prompt_version
from edgeneuro.domain.query import query_hash
from edgeneuro.domain.router_names import DEFAULT_ROUTER
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.domain.rule_matching import Outcome
from edgeneuro.domain.session import complete_turn
from edgeneuro.domain.trace import Trace
from edgeneuro.errors import InvalidRequestError
from edgeneuro.isolate.classifier_cache import LoadedClassifier
from edgeneuro.services import Services
from edgeneuro.store.database import Rows
from edgeneuro.synapsecore.agent_selection import MAX_AGENTS, select_agents
from edgeneuro.synapsecore.cache_key import key_of, model_identity, owner
from edgeneuro.synapsecore.session import OpenSession
from edgeneuro.synapsecore.stage_clock import StageClock
from edgeneuro.synapsecore.stored_text import stored_context, stored_text
from edgeneuro.web.auth import Credential

# Why the query is routed: for a caller, for an evaluation, again with other settings, or for a
# comparison with the decision that the caller got.
Purpose = Literal["route", "evaluation", "replay", "challenger", "audit_sample"]


@dataclass(frozen=True)
class CallerContext:
    """Who sent the request. `background` runs work after the answer is sent, `record` writes a log
    row, `headers` go on the answer, and `facts` into the request's line in the Worker's log.
    `admitted()` waits for the rate limiter (call.py)."""

    request_id: str
    credential: Credential
    background: Callable[[Coroutine[Any, Any, None]], None]
    headers: dict[str, str]
    trace: Trace
    facts: Facts
    admitted: Callable[[], Awaitable[None]] = admit
    recorder: Background | None = None

    def record(self, work: Coroutine[Any, Any, None]) -> None:
        (self.recorder or self.background)(work)

    @classmethod
    def of(cls, call: Call) -> "CallerContext":
        return cls(
            call.request_id,
            call.credential,
            call.background,
            call.headers,
            call.trace,
            call.facts,
            call.admitted,
            call.recorder,
        )


@dataclass(frozen=True)
class TurnContext:
    """What the caller says about the person and the conversation. It is stored in the log row and
    sent to no model."""

    user: str | None = None
    session: str | None = None
    metadata: dict[str, MetadataValue] | None = None


@dataclass
class Lookup:
    """What one stage has found and a later one needs too: what was read from D1, so that both take
    one round trip, and `rules`, what the rules come to (None: they were not applied yet).
    `labels_revision` is the revision of the labels that the reads are valid for, and `label_failed`
    is true if the label could not be read. `cached_rows` is the row of the decision cache, None if
    it was not read yet; `dropped` is true if feedback has made it invalid, so that AI Gateway's
    cache must be skipped too."""

    labels_revision: int = 0
    label_failed: bool = False
    cached_rows: Rows | None = None
    dropped: bool = False
    rules: Outcome | None = None


@dataclass(frozen=True, kw_only=True)
class Turn:
    """Immutable but for `clock` and `lookup`. `agents` are the allowed agents, and `fallback_agent`
    is the one that answers if nothing is decided; None: nobody does. `models` are called in this
    order, within `time_budget_ms`. `model_named` is true if the caller named the model: then only
    that model's own ranking counts. Without `cache` nothing is read from a cache or written to one.
    Without `fallback` a failed model call is an error. `candidates` are the allowed agents as the
    request named them; `narrowed` is true if rules have excluded some. `preferred_agent` is the one
    that rules prefer to the fallback agent. `previous` is the turn before the message; its agent is
    an allowed one, unless it was excluded since. `clarify` and `several` say whether the policy may
    ask which agent is meant, and name several. `session` is the session of the request, if it names
    one that is remembered, and `waiting` the id of the agent that waits for this message in it.
    `loaded` is the classifier of a proposed configuration, which the isolate does not serve with.
    `rerouted_from` is the decision that this one replaces. `offered` are the agents that a model is
    offered, with their examples, if these are not all (shortlist.py)."""

    services: Services
    caller: CallerContext
    config: RoutingConfig
    clock: StageClock
    id: str
    created_ms: int
    query: str
    previous: PreviousTurn = NOTHING_BEFORE
    agents: tuple[Agent, ...]
    fallback_agent: Agent | None
    models: tuple[Model, ...]
    time_budget_ms: int
    model_named: bool = False
    cache: bool = False
    fallback: bool = True
    candidates: Sequence[str] | None = None
    context: TurnContext = field(default_factory=TurnContext)
    purpose: Purpose = "route"
    lookup: Lookup = field(default_factory=Lookup)
    preferred_agent: Agent | None = None
    narrowed: bool = False
    clarify: bool = False
    several: bool = False
    session: OpenSession | None = None
    waiting: str | None = None
    loaded: LoadedClassifier | None = None
    rerouted_from: str | None = None
    offered: tuple[Agent, ...] | None = None

    def agent(self, agent_id: str | None) -> Agent | None:
        """The allowed agent with this id."""
        for agent in self.agents:
            if agent.id == agent_id:
                return agent
        return None

    def variant(self, **changes: Any) -> "Turn":
        """The same turn with changes, measured by a clock of its own."""
        clock = StageClock(self.services.monotonic)
        return replace(self, **{"clock": clock, "lookup": Lookup(), **changes})

    def without(self, agent_ids: Collection[str]) -> "Turn":
        """The same turn without these agents, of which none answers, as the fallback agent or one
        that rules prefer either. At least one agent must be left."""

        def unless_gone(agent: Agent | None) -> Agent | None:
            return None if agent is not None and agent.id in agent_ids else agent

        return replace(
            self,
            agents=tuple(agent for agent in self.agents if agent.id not in agent_ids),
            fallback_agent=unless_gone(self.fallback_agent),
            preferred_agent=unless_gone(self.preferred_agent),
            narrowed=True,
        )

    @cached_property
    def query_hash(self) -> str:
        """The identity of the question: a hash of its text and its context as they are stored."""
        context = stored_context(self.config, self.previous)
        return query_hash(stored_text(self.config, self.query), context.identity)

    @cached_property
    def cache_key(self) -> str:
        """The key of the first model: only its rankings are cached. If a shorter question may be
        put first, which agents it has follows from the classifier that chooses them."""
        key = self._new_key(self.models[0])
        chosen_by = self.shortlisted_by
        if chosen_by is None:
            return key
        return key_of([key, "shortlist", chosen_by.id, chosen_by.version])

    @cached_property
    def shortlisted_by(self) -> LoadedClassifier | None:
        """The classifier whose best agents a model is offered first; None if it is offered all. A
        caller who names a model, or wants nothing cached, gets the model's own decision, and what
        is measured is the model. An adapter has learned the question with all agents."""
        is_own = self.model_named or not self.cache or self.models[0].type == "lora"
        if self.config.model_shortlist == "off" or is_own or self.purpose != "route":
            return None
        if len(self.agents) <= MAX_WHOLE_QUESTION or self.config.classifier is None:
            return None
        loaded = self.classifier
        if loaded is None or loaded.shortlist is None or loaded.shortlist.agents is None:
            return None
        return None if self.config.suspension(loaded.agents) else loaded

    @cached_property
    def flight_key(self) -> str:
        """A hash over everything that may change the result of calling the models."""
        keys = [self.key_for(model) for model in self.models]
        return key_of([*keys, self.config.revision, self.config.router])

    def key_for(self, model: Model) -> str:
        """A hash over exactly what this model is sent."""
        if model.id not in self._keys:
            key = self._new_key(model)
            if self.offered is not None and model.type != "lora":
                shown = [[agent.id, agent.examples] for agent in self.offered]
                key = key_of([key, "offered", shown])
            self._keys[model.id] = key
        return self._keys[model.id]

    @cached_property
    def _keys(self) -> dict[str, str]:
        return {}

    def _new_key(self, model: Model) -> str:
        config = self.config
        is_part = self.candidates or self.narrowed
        ids = sorted(agent.id for agent in self.agents) if is_part else None
        caller = owner(config, self.caller.credential.key_id)
        sent: list[Any] = [
            self.query,
            config.agents_revision,
            prompt_version(model.type),
            ids,
            *caller,
        ]
        if self.previous:
            previous = self.previous
            sent.append([CONTEXT_VERSION, previous.agent, previous.user, previous.assistant])
        if model.type == "decision":
            # How far the question is cut, and who is offered.
            sent.append(model.context_window)
            if len(self.agents) > MAX_AGENTS:
                sent.append([agent.id for agent in self._selected_agents])
        return key_of([*sent, *model_identity(model, config)])

    def agents_for(self, model: Model) -> tuple[Agent, ...]:
        """The allowed agents that this model is offered: those of the shorter question, all, or of
        more than a decision model can be offered the best 254."""
        if self.offered is not None and model.type != "lora":
            return self.offered
        return self._selected_agents if model.type == "decision" else self.agents

    @cached_property
    def _selected_agents(self) -> tuple[Agent, ...]:
        if len(self.agents) <= MAX_AGENTS:
            return self.agents
        return select_agents(self.agents, self.query, self.config, self.classifier, self.previous)

    @cached_property
    def classifier(self) -> LoadedClassifier | None:
        """The classifier that this isolate has loaded now; another one may be loading. In a replay
        that of the proposed configuration."""
        if self.loaded is not None or self.purpose == "replay":
            return self.loaded
        config, background = self.config, self.caller.background
        return self.services.classifier.current(
            config.router, config.classifier, config, background
        )


def build_turn(
    services: Services,
    request: RouteRequest,
    config: RoutingConfig,
    caller: CallerContext,
    *,
    id: str,
    clock: StageClock,
    purpose: Purpose = "route",
    session: OpenSession | None = None,
    continues: bool = False,
    loaded: LoadedClassifier | None = None,
) -> Turn:
    """`continues` is that of the conversation, if the request is made from one. Raises what
    `RouteRequest.conversation` raises, InvalidRequestError for candidates that are not enabled
    agents and for a model that does not exist, ConflictError if the router has no agent at all."""
    conversation = request.conversation()
    continues = continues or conversation.continues
    previous, waiting = conversation.previous, None
    if session is not None:
        previous = complete_turn(session.last, previous, continues=continues)
        waiting = session.waiting_agent(continues=continues)
    config.require_agents()
    default_agent = config.default_agent
    agents = _allowed_agents(request.candidates, config)
    on_no_fit = request.on_no_fit or config.on_no_fit
    policy = request.policy or PolicyOptions()
    has_fallback = on_no_fit == "fallback" and default_agent in agents
    return Turn(
        services=services,
        caller=caller,
        config=config,
        clock=clock,
        id=id,
        created_ms=services.now_ms(),
        query=conversation.query,
        previous=previous.of_agents([agent.id for agent in agents]) if previous else previous,
        agents=agents,
        fallback_agent=default_agent if has_fallback else None,
        models=_models(request, config),
        time_budget_ms=config.time_budget_ms,
        model_named=request.model is not None,
        cache=request.cache,
        fallback=request.fallback,
        candidates=request.candidates,
        context=TurnContext(request.user, request.session, request.metadata),
        purpose=purpose,
        clarify=config.clarify if policy.clarify is None else policy.clarify,
        several=config.several if policy.several is None else policy.several,
        session=session,
        waiting=waiting,
        loaded=loaded,
    )


def _models(request: RouteRequest, config: RoutingConfig) -> tuple[Model, ...]:
    if request.model is None:
        return config.chain
    model = find_routing_model(config.models, request.model)
    if model is None:
        raise InvalidRequestError(
            f"{request.model!r} is not a model that can be asked. GET /v1/models lists those that"
            " are available.",
            code="unknown_model",
            param="model",
        )
    # A caller who names a model and forbids a fallback gets no other model's answer.
    others = config.chain if request.fallback else ()
    return (model, *(other for other in others if other.id != model.id))


def _allowed_agents(wanted: Sequence[str] | None, config: RoutingConfig) -> tuple[Agent, ...]:
    if wanted is None:
        return tuple(config.agents.values())
    for index, agent_id in enumerate(wanted):
        if agent_id not in config.agents:
            where = "" if config.router == DEFAULT_ROUTER else f" of the router {config.router!r}"
            raise InvalidRequestError(
                f"{agent_id!r} is not an enabled agent{where}. GET /v1/agents lists them.",
                code="unknown_agent",
                param=f"candidates[{index}]",
            )
    # In the configuration's order: the same agents make the same prompt.
    return tuple(agent for agent in config.agents.values() if agent.id in set(wanted))
