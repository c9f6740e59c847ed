"""The routing configuration: all that a decision needs to know, read together and kept in the
isolate."""

import hashlib
import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from edgeneuro.domain.agent import MAX_NEW_AGENTS, Agent
from edgeneuro.domain.calibration import Calibration
from edgeneuro.domain.catalogue import (
    BaseModelFacts,
    find_model,
    known_models,
    provider_model_id,
)
from edgeneuro.domain.config import ROUTER_SETTINGS, SettingValues, StoredConfig
from edgeneuro.domain.embedding import SelectedEmbedding
from edgeneuro.domain.model import Challenger, Model
from edgeneuro.domain.prompt import prompt_version
from edgeneuro.domain.provider import Provider
from edgeneuro.domain.router import NO_CLASSIFIER, Router
from edgeneuro.domain.router_names import DEFAULT_ROUTER
from edgeneuro.domain.rule import Rule, rules_of_router
from edgeneuro.errors import ConflictError, EdgeNeuroError
from edgeneuro.settings import Settings


@dataclass(frozen=True, order=True)
class Revisions:
    """What counts the changes in the database, so that an isolate learns with one small read
    whether its cache is still valid: `routing` those of the routing configuration, `access` those
    of keys and users, `labels` those of labels in force and of cached answers that were dropped (0:
    there never was one). Each only grows."""

    routing: int
    access: int
    labels: int


@dataclass(frozen=True, kw_only=True)
class StoredCalibration:
    """A calibration, and the identity of the model that it was made for (`identity_hash`)."""

    calibration: Calibration
    identity: str


def model_identity(model: Model, providers: Mapping[str, Provider]) -> list[str | int | None]:
    """What says which model answers. The id is not enough: it may be registered again, for another
    base model or adapter, and its provider may move."""
    provider = providers.get(model.provider)
    return [
        model.id,
        model.created,
        model.provider,
        None if provider is None else provider.base_url,
        model.base_model,
        model.adapter,
        model.logprobs,
    ]


@dataclass(frozen=True, kw_only=True)
class RoutingConfig(SettingValues):
    """The settings in force in one router, and what they apply to.

    `chain` is the active model, then its `fallbacks`, then the first model of each provider by
    priority, and after a decision model the provider's first one that writes text. `models` are all
    models by id, `classifiers` those that can answer; `agents` and `providers` are the enabled ones
    by id. `calibrations` are those in force, by the model's id. `stale` are the names of stored
    settings that are no longer valid. `withheld` has the models that a caller may not use, each
    with the error that says why (domain/permissions.py). `rules` are the enabled ones of this
    router, `all_rules` those of all routers. `fallback_names` are the fallback models as they are
    set. `routers` are the others by id; they are in the configuration of the router "default"
    alone. `embeddings` are the second classifiers that can answer, by the id of their
    classifier."""

    revision: int
    stored: StoredConfig
    stale: frozenset[str]
    models: Mapping[str, Model]
    classifiers: Mapping[str, Model]
    agents: Mapping[str, Agent]
    providers: Mapping[str, Provider]
    fallbacks: tuple[Model, ...]
    chain: tuple[Model, ...]
    challenger: Challenger | None
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)
    withheld: Mapping[str, EdgeNeuroError] = field(default_factory=dict)
    rules: Sequence[Rule] = ()
    router: str = DEFAULT_ROUTER
    routers: Mapping[str, Router] = field(default_factory=dict)
    all_rules: Sequence[Rule] = ()
    fallback_names: Sequence[str] = ()
    embeddings: Mapping[str, SelectedEmbedding] = field(default_factory=dict)

    def for_router(self, router_id: str) -> "RoutingConfig | None":
        """What holds for requests to this router; None if there is none. Made once for each
        revision. Only of the configuration of the router "default"."""
        if router_id == self.router:
            return self
        views = self._router_configs
        if router_id not in views and router_id in self.routers:
            views[router_id] = _of_router(self, self.routers[router_id])
        return views.get(router_id)

    @property
    def named_router(self) -> str | None:
        """The router as log rows have it: None for the default one."""
        return None if self.router == DEFAULT_ROUTER else self.router

    @cached_property
    def _router_configs(self) -> dict[str, "RoutingConfig"]:
        return {}

    @property
    def active(self) -> Model:
        return self.chain[0]

    @property
    def stores_texts(self) -> bool:
        """Whether texts may be stored as they are, with all that is in them."""
        return self.log_queries and not self.redact_personal_data

    @cached_property
    def default_agent(self) -> Agent | None:
        """The fallback agent, if there is an agent. The router "default" always has one: the first
        agent, if none is marked. Another router may have none among its agents."""
        agents = list(self.agents.values())
        first = agents[0] if agents and self.router == DEFAULT_ROUTER else None
        return next((agent for agent in agents if agent.default), first)

    def identity_hash(self, model: Model) -> str:
        """64 hex digits over the model's identity."""
        return _identity_hash(model, self.providers)

    def calibration_version(self, model_id: str) -> str | None:
        """That of the calibration in force for the model; None if there is none."""
        found = self.calibrations.get(model_id)
        return None if found is None else found.map.version

    def activation(self, model: Model) -> dict[str, object]:
        """The settings that make a model the active one, and keep the one before known."""
        settings: dict[str, object] = {"routing_model": model.id}
        if model.id != self.active.id:
            settings["previous_model"] = self.active.id
        return settings

    def suspension(self, known: Container[str]) -> str | None:
        """Why a classifier that knows these agents may not answer."""
        if (new := len(self.joined(known))) <= MAX_NEW_AGENTS:
            return None
        return f"{new} agents are new to it, more than {MAX_NEW_AGENTS}; train it again"

    def joined(self, known: Container[str]) -> list[str]:
        """The agents that are new to a classifier that knows these."""
        return [agent_id for agent_id in self.agents if agent_id not in known]

    def all_routers(self) -> list["RoutingConfig"]:
        """The default one first."""
        others = [self.for_router(each) for each in self.routers]
        return [self, *(each for each in others if each is not None)]

    def require_agents(self) -> None:
        """Raises ConflictError where there is no agent."""
        if self.agents:
            return
        message = "There is no enabled agent yet. Create one with POST /v1/agents."
        if self.router != DEFAULT_ROUTER:
            message = (
                f"The router {self.router!r} has no enabled agent. Enable one of its agents, or"
                f" give it others with PATCH /v1/routers/{self.router}."
            )
        raise ConflictError(message, code="not_configured")

    @cached_property
    def agents_revision(self) -> str:
        """A hash of all that a prompt says of the agents: the same agents have the same
        revision."""
        agents = [[a.id, a.name, a.description, a.examples] for a in self.agents.values()]
        return hashlib.sha256(json.dumps(agents).encode()).hexdigest()[:16]


def build_routing_config(
    settings: Settings,
    revision: int,
    stored: StoredConfig,
    agents: Sequence[Agent],
    models: Sequence[Model] = (),
    discovered: Sequence[BaseModelFacts] = (),
    providers: Sequence[Provider] = (),
    classifiers: Sequence[Model] = (),
    calibrations: Sequence[StoredCalibration] = (),
    rules: Sequence[Rule] = (),
    routers: Sequence[Router] = (),
    embeddings: Mapping[str, SelectedEmbedding] | None = None,
) -> RoutingConfig:
    """Stored settings over vars. A stored model that is no longer there gives way to the var. A
    calibration of another model of that id, or for another prompt, is left out."""
    known = known_models(settings, models, discovered, providers)
    stale = {"routing_model"}
    active = find_model(known, stored.values()["routing_model"] or "")
    if active is not None and active.status == "available":
        stale.clear()
    else:
        active = known[settings.routing_model]
    names = _fallback_names(stored, settings)
    fallbacks, chain = _chain(known, active, names, providers)
    enabled_rules = tuple(rule for rule in rules if rule.enabled)
    enabled = {provider.id: provider for provider in providers}
    return RoutingConfig(
        revision=revision,
        stored=stored,
        stale=frozenset(stale),
        models=known,
        classifiers={each.id: each for each in classifiers},
        agents={agent.id: agent for agent in agents},
        providers=enabled,
        fallbacks=fallbacks,
        chain=chain,
        challenger=stored.challenger,
        calibrations=_in_force(calibrations, known, enabled),
        rules=rules_of_router(enabled_rules, DEFAULT_ROUTER),
        routers={router.id: router for router in routers},
        all_rules=enabled_rules,
        fallback_names=names,
        embeddings=embeddings or {},
        **stored.values()
        | {"routing_model": active.id, "fallback_models": [each.id for each in fallbacks]},
    )


def _of_router(config: RoutingConfig, router: Router) -> RoutingConfig:
    """Its own settings over the installation's. A model of its own that cannot be called any more
    gives way to the installation's active model. A challenger is compared in the router "default"
    alone."""
    own = router.own()
    if own.get("classifier") == NO_CLASSIFIER:
        own["classifier"] = None
    active = find_model(config.models, own.get("routing_model", ""))
    if active is None or active.status != "available":
        active = config.active
    names = own.get("fallback_models", config.fallback_names)
    fallbacks, chain = _chain(config.models, active, names, list(config.providers.values()))
    values = {name: own.get(name, getattr(config, name)) for name in ROUTER_SETTINGS}
    models = {"routing_model": active.id, "fallback_models": [each.id for each in fallbacks]}
    return replace(
        config,
        router=router.id,
        routers={},
        stored=config.stored.model_copy(update=own),
        agents=_agents_of(config, router),
        fallbacks=fallbacks,
        chain=chain,
        challenger=None,
        rules=rules_of_router(config.all_rules, router.id),
        fallback_names=names,
        **values | models,
    )


def _agents_of(config: RoutingConfig, router: Router) -> dict[str, Agent]:
    """The router's enabled agents, its fallback agent marked as the default one."""
    wanted = config.agents if router.agents is None else set(router.agents)
    found = {name: agent for name, agent in config.agents.items() if name in wanted}
    default = router.default_agent
    if default not in found:
        default = None if config.default_agent is None else config.default_agent.id
    return {
        name: agent
        if agent.default == (name == default)
        else agent.model_copy(update={"default": name == default})
        for name, agent in found.items()
    }


def _in_force(
    stored: Sequence[StoredCalibration],
    known: Mapping[str, Model],
    providers: Mapping[str, Provider],
) -> dict[str, Calibration]:
    found = {}
    for each in stored:
        model = known.get(each.calibration.model_id)
        if model is None or each.calibration.prompt_version != prompt_version(model.type):
            continue
        if _identity_hash(model, providers) == each.identity:
            found[model.id] = each.calibration
    return found


def _identity_hash(model: Model, providers: Mapping[str, Provider]) -> str:
    return hashlib.sha256(json.dumps(model_identity(model, providers)).encode()).hexdigest()


def with_active(config: RoutingConfig, model: Model, settings: Settings) -> RoutingConfig:
    """The configuration with this model as the active one."""
    names = _fallback_names(config.stored, settings)
    fallbacks, chain = _chain(config.models, model, names, list(config.providers.values()))
    return replace(
        config,
        fallbacks=fallbacks,
        chain=chain,
        routing_model=model.id,
        fallback_models=[each.id for each in fallbacks],
    )


def _fallback_names(stored: StoredConfig, settings: Settings) -> Sequence[str]:
    wanted: Sequence[str] | None = stored.values()["fallback_models"]
    return settings.fallback_models if wanted is None else wanted


def _chain(
    known: Mapping[str, Model],
    active: Model,
    fallback_names: Sequence[str],
    providers: Sequence[Provider],
) -> tuple[tuple[Model, ...], tuple[Model, ...]]:
    """The fallbacks, and all models in the order in which they are asked."""
    fallbacks = _available(known, fallback_names, but=active)
    last = [name for provider in providers for name in _vendor_fallbacks(known, provider)]
    chain = {model.id: model for model in (active, *fallbacks, *_available(known, last))}
    return fallbacks, tuple(chain.values())


def _vendor_fallbacks(known: Mapping[str, Model], provider: Provider) -> list[str]:
    """The provider's first model; if that one writes no text, also the first that does: a chat
    needs one."""
    names = [provider_model_id(provider, name) for name in provider.models]
    names = [name for name in names if known[name].type != "embedding"]
    texts = [name for name in names[1:] if known[name].type != "decision"]
    first_decides = bool(names) and known[names[0]].type == "decision"
    return names[:1] + (texts[:1] if first_decides else [])


def _available(
    known: Mapping[str, Model], names: Sequence[str], *, but: Model | None = None
) -> tuple[Model, ...]:
    found = [find_model(known, name) for name in names]
    return tuple(
        model
        for model in found
        if model is not None
        and model.status == "available"
        and model.type != "embedding"
        and model != but
    )
