"""Routers: several in one installation, each with its own agents and its own values of some
settings. The router "default" is always there: all agents, with the installation's settings."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from edgeneuro.domain.agent import AgentId
from edgeneuro.domain.config import ROUTER_SETTINGS
from edgeneuro.domain.config_models import with_router_settings
from edgeneuro.domain.fields import DisplayName, distinct, hide_defaults
from edgeneuro.domain.router_names import RouterId

MAX_ROUTERS = 50  # every isolate keeps them all
# A router's own `classifier`: it has none, whatever the installation's is.
NO_CLASSIFIER = "none"

RouterAgents = Annotated[
    list[AgentId],
    Field(min_length=1, max_length=250, description="The agents of the router; null is all"),
    AfterValidator(distinct),
]
DefaultAgent = Annotated[
    AgentId,
    Field(description="The router's fallback agent; null is the installation's, if it is in it"),
]
Name = Annotated[DisplayName, Field(description="Null: the router is shown by its id")]


@with_router_settings
class Router(BaseModel):
    """`agents` null: all. A setting that is null is the installation's; `classifier` "none" means
    that the router has none. `created_at` and `updated_at` are RFC 3339 in UTC, null for the router
    "default"."""

    object: Literal["router"] = "router"
    id: str
    name: str | None = None
    agents: list[str] | None = None
    default_agent: str | None = None
    created_at: str | None = None
    updated_at: str | None = None

    def own(self) -> dict[str, Any]:
        """The settings that it has of its own, by name."""
        values = {name: getattr(self, name) for name in ROUTER_SETTINGS}
        return {name: value for name, value in values.items() if value is not None}


@with_router_settings
class RouterCreate(BaseModel):
    """Beside agents and fallback agent the settings that the router has of its own; the others are
    the installation's."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: RouterId
    name: Name | None = None
    agents: RouterAgents | None = None
    default_agent: DefaultAgent | None = None


@with_router_settings
class RouterPatch(BaseModel):
    """A field that is left out stays as it is; null removes the router's own value: its agents are
    then all, a setting is the installation's."""

    # The defaults below only make the fields optional; nothing ever takes their values.
    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra=hide_defaults)

    name: Name | None = None
    agents: RouterAgents | None = None
    default_agent: DefaultAgent | None = None


class RouterDeleted(BaseModel):
    object: Literal["router.deleted"] = "router.deleted"
    id: str
    deleted: Literal[True] = True
