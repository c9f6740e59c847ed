"""The document of a stored installation, and the installation that a document describes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import BaseModel

from edgeneuro.controlplane.agents import new_agent
from edgeneuro.controlplane.models.providers import new_provider
from edgeneuro.domain.agent import Agent, AgentCreate
from edgeneuro.domain.config import SETTINGS, StoredConfig
from edgeneuro.domain.installation import (
    LEARNED,
    InstallationDocument,
    InstallationRouter,
    InstallationRule,
    InstallationSettings,
    has_own_classifier,
    router_create,
)
from edgeneuro.domain.provider import Provider, ProviderCreate
from edgeneuro.domain.router import Router
from edgeneuro.domain.routing import RoutingConfig, build_routing_config
from edgeneuro.domain.rule import Rule
from edgeneuro.services import Services
from edgeneuro.store.installation import StoredInstallation
from edgeneuro.store.sql import rfc3339

# The fields of a section's objects, but for `labels`: it says what to do, not what is.
AGENT_FIELDS = tuple(name for name in AgentCreate.model_fields if name not in ("id", "labels"))
RULE_FIELDS = tuple(name for name in InstallationRule.model_fields if name != "id")
ROUTER_FIELDS = tuple(name for name in InstallationRouter.model_fields if name != "id")
PROVIDER_FIELDS = tuple(name for name in ProviderCreate.model_fields if name != "id")


def document_of(stored: StoredInstallation) -> InstallationDocument:
    """Not validated: a row may be older than the rules."""
    return InstallationDocument.model_construct(
        agents=[_shown(AgentCreate, each, AGENT_FIELDS) for each in stored.agents],
        rules=[_shown(InstallationRule, each, RULE_FIELDS) for each in stored.rules],
        routers=[
            _shown(InstallationRouter, shown_router(r), ROUTER_FIELDS) for r in stored.routers
        ],
        settings=InstallationSettings.model_construct(**setting_values(stored.config)),
        providers=[_shown(ProviderCreate, each, PROVIDER_FIELDS) for each in stored.providers],
    )


def _shown(model: type[BaseModel], one: Any, fields: Sequence[str]) -> Any:
    return model.model_construct(id=one.id, **{name: getattr(one, name) for name in fields})


def shown_router(router: Router) -> Router:
    """Without a classifier that was learned."""
    if not has_own_classifier(router.classifier):  # type: ignore[attr-defined]  # a setting
        return router
    return router.model_copy(update={"classifier": None})


def setting_values(config: StoredConfig) -> dict[str, Any]:
    """The stored settings that a document has."""
    names = [name for name in SETTINGS if name in config.model_fields_set and name != LEARNED]
    values = {name: getattr(config, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Target:
    """The installation as the document has it: in sections that it leaves out as it is. The rules
    are in their order. Of an id that is there twice the last one counts."""

    services: Services
    stored: StoredInstallation
    document: InstallationDocument
    agents: Mapping[str, Agent]
    rules: Sequence[Rule]
    routers: Mapping[str, Router]
    settings: Mapping[str, Any]
    providers: Mapping[str, Provider]

    @classmethod
    def of(
        cls, services: Services, stored: StoredInstallation, document: InstallationDocument
    ) -> "Target":
        given = document.model_fields_set
        agents = stored.agents
        if "agents" in given:
            known = {each.id: each for each in stored.agents}
            agents = [_agent(services, known.get(each.id), each) for each in document.agents]
        rules = stored.rules
        if "rules" in given:
            rules = _rules(services, stored.rules, document.rules)
        routers = stored.routers
        if "routers" in given:
            known_routers = {each.id: each for each in stored.routers}
            routers = [
                _router(services, known_routers.get(each.id), each) for each in document.routers
            ]
        settings = setting_values(stored.config)
        if "settings" in given:
            settings = document.settings.model_dump(exclude_none=True)
        providers = stored.providers
        if "providers" in given:
            known_providers = {each.id: each for each in stored.providers}
            providers = [
                _provider(services, known_providers.get(each.id), each)
                for each in document.providers
            ]
        return cls(
            services=services,
            stored=stored,
            document=document,
            agents={each.id: each for each in agents},
            rules=rules,
            routers={each.id: each for each in routers},
            settings=settings,
            providers={each.id: each for each in providers},
        )

    @cached_property
    def before(self) -> RoutingConfig:
        stored = self.stored
        return _routing_config(
            self, stored.config, stored.agents, stored.rules, stored.routers, stored.providers
        )

    @cached_property
    def after(self) -> RoutingConfig:
        config = self.stored.config
        kept = {
            name: getattr(config, name)
            for name in config.model_fields_set
            if name not in SETTINGS or name == LEARNED
        }
        return _routing_config(
            self,
            StoredConfig.model_validate(kept | dict(self.settings)),
            [self.agents[name] for name in sorted(self.agents)],
            self.rules,
            list(self.routers.values()),
            list(self.providers.values()),
        )


def _routing_config(
    target: Target,
    config: StoredConfig,
    agents: Sequence[Agent],
    rules: Sequence[Rule],
    routers: Sequence[Router],
    providers: Sequence[Provider],
) -> RoutingConfig:
    stored = target.stored
    enabled = [each for each in providers if each.enabled]
    return build_routing_config(
        target.services.settings,
        stored.revision,
        config,
        [each for each in agents if each.enabled],
        stored.models,
        stored.discovered,
        sorted(enabled, key=lambda each: (each.priority, each.id)),
        rules=rules,
        routers=routers,
    )


def _agent(services: Services, before: Agent | None, body: AgentCreate) -> Agent:
    if before is None:
        return new_agent(services, body)
    return before.model_copy(update={name: getattr(body, name) for name in AGENT_FIELDS})


def _rules(
    services: Services, before: Sequence[Rule], bodies: Sequence[InstallationRule]
) -> list[Rule]:
    known = {each.id: each for each in before}
    created = rfc3339(services.now_ms())
    found = []
    for position, body in enumerate(bodies, start=1):
        fields = {name: getattr(body, name) for name in RULE_FIELDS}
        if body.id in known:
            found.append(known[body.id].model_copy(update={**fields, "position": position}))
        else:
            found.append(
                Rule(
                    id=body.id,
                    position=position,
                    created_at=created,
                    updated_at=created,
                    **fields,
                )
            )
    return found


def _router(services: Services, before: Router | None, body: InstallationRouter) -> Router:
    """A classifier of its own that was learned is kept."""
    fields = router_create(body).model_dump()
    if before is None:
        created = rfc3339(services.now_ms())
        return Router(**fields, created_at=created, updated_at=created)
    own = before.classifier  # type: ignore[attr-defined]  # a setting
    if body.classifier is None and has_own_classifier(own):
        fields["classifier"] = own
    return before.model_copy(update=fields)


def _provider(services: Services, before: Provider | None, body: ProviderCreate) -> Provider:
    if before is None:
        return new_provider(services, body)
    return before.model_copy(update={name: getattr(body, name) for name in PROVIDER_FIELDS})
