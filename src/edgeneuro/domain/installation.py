"""The installation as one document: agents, rules, routers, settings and providers, and the plan
that makes a database match it. No times, no secrets, and nothing that was learned."""

import hashlib
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgeneuro.domain.agent import MAX_STORED_AGENTS, AgentCreate
from edgeneuro.domain.config import ROUTER_SETTINGS, SETTINGS, with_settings
from edgeneuro.domain.fields import ID_RULE, Matches, hide_defaults, is_none, renamed
from edgeneuro.domain.provider import ProviderCreate
from edgeneuro.domain.router import (
    MAX_ROUTERS,
    NO_CLASSIFIER,
    DefaultAgent,
    Name,
    RouterAgents,
    RouterCreate,
)
from edgeneuro.domain.router_names import RouterId
from edgeneuro.domain.rule import MAX_RULES, RuleConditions, RuleEffect, RuleName
from edgeneuro.domain.setting import Declared

MAX_PROVIDERS = 100
# The id of a classifier is learned, and one of this database: it is no part of a document.
LEARNED = "classifier"
_OLD_NAMES = {old: name for name, each in SETTINGS.items() for old in each.about.deprecated}

Action = Literal["create", "update", "delete"]
Resource = Literal["agent", "rule", "router", "setting", "provider"]
RuleId = Annotated[str, Matches(r"[a-z0-9][a-z0-9_-]{0,63}", ID_RULE)]


def _but_learned(settings: dict[str, Declared]) -> dict[str, Declared]:
    return {name: each for name, each in settings.items() if name != LEARNED}


def _shown_if_set(each: Declared) -> tuple[Any, Any]:
    return (
        each.type | None,
        Field(default=None, description=each.about.text, exclude_if=is_none),
    )


class InstallationRule(BaseModel):
    """A rule as POST /v1/rules takes it, with an id of your own; its place is that in the list."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: RuleId
    name: RuleName | None = None
    when: RuleConditions
    then: RuleEffect | None = None
    router: RouterId | None = None
    enabled: bool = True


@with_settings(_shown_if_set, _but_learned(ROUTER_SETTINGS))
class InstallationRouter(BaseModel):
    """A router as POST /v1/routers takes it. `classifier` "none": it has none; a classifier that it
    has of its own is kept."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: RouterId
    name: Name | None = None
    agents: RouterAgents | None = None
    default_agent: DefaultAgent | None = None
    classifier: Literal["none"] | None = Field(default=None, exclude_if=is_none)

    @model_validator(mode="before")
    @classmethod
    def _deprecated_names(cls, given: object) -> object:
        return renamed(given, _OLD_NAMES)


@with_settings(_shown_if_set, _but_learned(SETTINGS))
class InstallationSettings(BaseModel):
    """The stored settings. One that is left out, or null, is not stored: the variable or the
    default applies. `classifier` is none of them, because it is learned."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _deprecated_names(cls, given: object) -> object:
        return renamed(given, _OLD_NAMES)


class InstallationDocument(BaseModel):
    """A section that is left out stays as it is; one that is there is the whole list. Rules are in
    their order. The router "default" has its settings in `settings`."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra=hide_defaults)
    lists_faults: ClassVar[bool] = True

    object: Literal["installation"] = "installation"
    agents: Annotated[list[AgentCreate], Field(max_length=MAX_STORED_AGENTS)] = Field(
        default_factory=list
    )
    rules: Annotated[list[InstallationRule], Field(max_length=MAX_RULES)] = Field(
        default_factory=list
    )
    routers: Annotated[list[InstallationRouter], Field(max_length=MAX_ROUTERS)] = Field(
        default_factory=list
    )
    settings: InstallationSettings = Field(default_factory=InstallationSettings)
    providers: Annotated[list[ProviderCreate], Field(max_length=MAX_PROVIDERS)] = Field(
        default_factory=list
    )

    @property
    def etag(self) -> str:
        """The same for the same content."""
        content = self.model_dump_json().encode()
        return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


class InstallationQuery(BaseModel):
    """With `plan` nothing is changed; without `delete` nothing is deleted: what would be is a 409
    `deletes_not_confirmed`."""

    model_config = ConfigDict(extra="forbid")

    plan: bool = False
    delete: bool = False


class FieldChange(BaseModel):
    """`before` is null for what is created, `after` for what is deleted."""

    field: str
    before: Any
    after: Any


class PlannedChange(BaseModel):
    """`fields` are those that differ; of what is created or deleted those that are not null. A
    setting has its name as `id`, and the field `value`. The `position` of a rule counts from 1."""

    action: Action
    resource: Resource
    id: str
    fields: list[FieldChange]


class ChangeCounts(BaseModel):
    create: int = 0
    update: int = 0
    delete: int = 0


class InstallationPlan(BaseModel):
    """What differs between the document and the installation, in the order in which it is changed.
    `applied`: whether it was changed. `warnings` are about changes that are possible and may not be
    meant."""

    object: Literal["installation.plan"] = "installation.plan"
    applied: bool
    counts: ChangeCounts
    changes: list[PlannedChange]
    warnings: list[str]


def router_create(router: InstallationRouter) -> RouterCreate:
    return RouterCreate.model_validate(router.model_dump())


def has_own_classifier(classifier: str | None) -> bool:
    """Whether a router's classifier is one that was learned, which no document names."""
    return classifier not in (None, NO_CLASSIFIER)
