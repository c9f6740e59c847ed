"""The routing configuration: all that a decision needs to know, read together and kept in the
isolate."""

import hashlib
import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated

from pydantic import BaseModel, Field

from edgeneuro.domain.agent import Agent, ModelId
from edgeneuro.domain.catalogue import (
    BaseModelFacts,
    find_model,
    known_models,
    provider_model_id,
)
from edgeneuro.domain.decision import CacheScope, OnNoFit
from edgeneuro.domain.model import Model, RuleNotice
from edgeneuro.domain.provider import Provider
from edgeneuro.errors import ConflictError, EdgeNeuroError
from edgeneuro.settings import Settings


class Challenger(BaseModel):
    """A model that is tried beside the active one, for `percent` of its answers, since `since_ms`.
    `looked_at` is how many labeled answers there were when the rules last looked; `after_rule` is
    true if it was the active model until the rule promoted the present one; `notice` is why the
    rule did not select it when it last looked."""

    model_id: ModelId
    percent: Annotated[float, Field(gt=0, le=100)]
    since_ms: int
    looked_at: int = 0
    after_rule: bool = False
    notice: RuleNotice | None = None


class StoredConfig(BaseModel):
    """What the control plane may store; None leaves the var or the default below in force.
    `cache_epoch` counts the flushes of the caches, and is part of every cache key;
    `previous_model` was the active model before the present one was made active."""

    routing_model: ModelId | None = None
    fallback_models: list[ModelId] | None = None
    confidence_threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    on_no_fit: OnNoFit = "fallback"
    time_budget_ms: Annotated[int, Field(ge=100, le=60_000)] = 5_000
    max_retries: Annotated[int, Field(ge=0, le=4)] = 1
    chat_timeout_ms: Annotated[int, Field(ge=100, le=300_000)] = 60_000
    cache_ttl_seconds: Annotated[int, Field(ge=60, le=2_592_000)] = 3_600
    cache_scope: CacheScope = "all"
    log_queries: bool = True
    redact_personal_data: bool = False
    retention_days: Annotated[int, Field(ge=1, le=3_650)] = 90
    audit_retention_days: Annotated[int, Field(ge=30, le=3_650)] | None = None
    classifier: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    classifier_target: Annotated[float, Field(ge=0.5, le=0.9999)] = 0.98
    classifier_min_labels: Annotated[int, Field(ge=1, le=10_000)] = 5
    audit_sample_share: Annotated[float, Field(ge=0, le=1)] = 0.02
    retrain_after_labels: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    promotion_alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    promotion_margin: Annotated[float, Field(gt=0, le=0.5)] = 0.02
    promotion_min_labels: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    promotion_max_cost_ratio: Annotated[float, Field(ge=1, le=1_000)] = 2.0
    promotion_max_latency_ratio: Annotated[float, Field(ge=1, le=1_000)] = 2.0
    auto_promote: bool = False
    auto_rollback: bool = False
    routing_tests_required: bool = False
    challenger: Challenger | None = None
    cache_epoch: int = 0
    previous_model: ModelId | None = None


# What is stored like a setting and is none.
STATE = {"challenger", "cache_epoch", "previous_model"}


@dataclass(frozen=True, order=True)
class Revisions:
    """What counts the changes in the database, so that one small read tells an isolate whether what
    it caches is still true: `routing` those of the routing configuration, `access` those of keys
    and users, `labels` those of labels in force and of cached answers that were dropped (0: there
    never was one). Each only grows."""

    routing: int
    access: int
    labels: int


@dataclass(frozen=True)
class RoutingConfig:
    """`chain` is the active model, then its `fallbacks`, then the first model of each provider by
    priority; `models` are all there are by id, `classifiers` those that can answer, `classifier`
    the id of the selected one; `agents` and `providers` are the enabled ones by id. `stale` names
    stored settings that hold no more. `withheld` says of the models that a caller may not use why,
    where the others are left out (domain/permissions.py)."""

    revision: int
    stored: StoredConfig
    stale: frozenset[str]
    models: Mapping[str, Model]
    classifiers: Mapping[str, Model]
    agents: Mapping[str, Agent]
    providers: Mapping[str, Provider]
    fallbacks: tuple[Model, ...]
    chain: tuple[Model, ...]
    confidence_threshold: float
    on_no_fit: OnNoFit
    time_budget_ms: int
    max_retries: int
    chat_timeout_ms: int
    cache_ttl_seconds: int
    cache_scope: CacheScope
    log_queries: bool
    redact_personal_data: bool
    retention_days: int
    audit_retention_days: int | None
    classifier: str | None
    classifier_target: float
    classifier_min_labels: int
    audit_sample_share: float
    retrain_after_labels: int | None
    promotion_alpha: float
    promotion_margin: float
    promotion_min_labels: int
    promotion_max_cost_ratio: float
    promotion_max_latency_ratio: float
    auto_promote: bool
    auto_rollback: bool
    routing_tests_required: bool
    challenger: Challenger | None
    withheld: Mapping[str, EdgeNeuroError] = field(default_factory=dict)

    @property
    def active(self) -> Model:
        return self.chain[0]

    @property
    def stores_texts(self) -> bool:
        """Whether texts may be stored as they are, with all that is in them."""
        return self.log_queries and not self.redact_personal_data

    @cached_property
    def default_agent(self) -> Agent | None:
        """The default agent; without one (hand-edited data) the first; None where there is no
        agent."""
        agents = list(self.agents.values())
        return next((agent for agent in agents if agent.default), agents[0] if agents else None)

    def activation(self, model: Model) -> dict[str, object]:
        """The settings that make a model the active one. Whoever changes the active model stores
        these, so that the one before is always known."""
        settings: dict[str, object] = {"routing_model": model.id}
        if model.id != self.active.id:
            settings["previous_model"] = self.active.id
        return settings

    def suspension(self, known: Container[str]) -> str | None:
        """Why a classifier that knows these agents may not answer: what is new to it, it would take
        for something else."""
        new = next((agent_id for agent_id in self.agents if agent_id not in known), None)
        return None if new is None else f"agent {new!r} is new to it; train it again"

    def require_default_agent(self) -> Agent:
        """Raises ConflictError where there is no agent."""
        if self.default_agent is None:
            raise ConflictError(
                "There is no enabled agent yet. Create one with POST /v1/agents.",
                code="not_configured",
            )
        return self.default_agent

    @cached_property
    def agents_revision(self) -> str:
        """A hash of all that a prompt says of the agents: the same agents have the same
        revision."""
        told = [[a.id, a.name, a.description, a.examples] for a in self.agents.values()]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def build_routing_config(
    settings: Settings,
    revision: int,
    stored: StoredConfig,
    agents: Sequence[Agent],
    models: Sequence[Model] = (),
    discovered: Sequence[BaseModelFacts] = (),
    providers: Sequence[Provider] = (),
    classifiers: Sequence[Model] = (),
) -> RoutingConfig:
    """Stored settings over vars. A stored model that is no longer there gives way to the var."""
    known = known_models(settings, models, discovered, providers)
    stale = {"routing_model"}
    active = find_model(known, stored.routing_model or "")
    if active is not None and active.status == "available":
        stale.clear()
    else:
        active = known[settings.routing_model]
    fallbacks, chain = _chain(known, active, _fallback_names(stored, settings), providers)
    return RoutingConfig(
        revision=revision,
        stored=stored,
        stale=frozenset(stale),
        models=known,
        classifiers={each.id: each for each in classifiers},
        agents={agent.id: agent for agent in agents},
        providers={provider.id: provider for provider in providers},
        fallbacks=fallbacks,
        chain=chain,
        confidence_threshold=stored.confidence_threshold,
        on_no_fit=stored.on_no_fit,
        time_budget_ms=stored.time_budget_ms,
        max_retries=stored.max_retries,
        chat_timeout_ms=stored.chat_timeout_ms,
        cache_ttl_seconds=stored.cache_ttl_seconds,
        cache_scope=stored.cache_scope,
        log_queries=stored.log_queries,
        redact_personal_data=stored.redact_personal_data,
        retention_days=stored.retention_days,
        audit_retention_days=stored.audit_retention_days,
        classifier=stored.classifier,
        classifier_target=stored.classifier_target,
        classifier_min_labels=stored.classifier_min_labels,
        audit_sample_share=stored.audit_sample_share,
        retrain_after_labels=stored.retrain_after_labels,
        promotion_alpha=stored.promotion_alpha,
        promotion_margin=stored.promotion_margin,
        promotion_min_labels=stored.promotion_min_labels,
        promotion_max_cost_ratio=stored.promotion_max_cost_ratio,
        promotion_max_latency_ratio=stored.promotion_max_latency_ratio,
        auto_promote=stored.auto_promote,
        auto_rollback=stored.auto_rollback,
        routing_tests_required=stored.routing_tests_required,
        challenger=stored.challenger,
    )


def with_active(config: RoutingConfig, model: Model, settings: Settings) -> RoutingConfig:
    """The configuration with this model as the active one."""
    names = _fallback_names(config.stored, settings)
    fallbacks, chain = _chain(config.models, model, names, list(config.providers.values()))
    return replace(config, fallbacks=fallbacks, chain=chain)


def _fallback_names(stored: StoredConfig, settings: Settings) -> Sequence[str]:
    wanted = stored.fallback_models
    return settings.fallback_models if wanted is None else wanted


def _chain(
    known: Mapping[str, Model],
    active: Model,
    fallback_names: Sequence[str],
    providers: Sequence[Provider],
) -> tuple[tuple[Model, ...], tuple[Model, ...]]:
    """The fallbacks, and all models in the order in which they are asked."""
    fallbacks = _available(known, fallback_names, but=active)
    last = [provider_model_id(each, each.models[0]) for each in providers if each.models]
    chain = {model.id: model for model in (active, *fallbacks, *_available(known, last))}
    return fallbacks, tuple(chain.values())


def _available(
    known: Mapping[str, Model], names: Sequence[str], *, but: Model | None = None
) -> tuple[Model, ...]:
    found = [find_model(known, name) for name in names]
    return tuple(m for m in found if m is not None and m.status == "available" and m != but)
