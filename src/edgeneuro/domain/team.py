"""Teams: keys and users that may use the same."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from edgeneuro.domain.fields import DisplayName, hide_defaults
from edgeneuro.domain.permissions import AllowedAgents, AllowedModels, AllowedRouter


class Team(BaseModel):
    """Its keys and users may use no more than its `agents` and `models`, and only its `router`;
    null is everything. `created_at` and `updated_at` are RFC 3339 in UTC."""

    object: Literal["team"] = "team"
    id: str
    name: str
    agents: list[str] | None
    models: list[str] | None
    router: str | None
    created_at: str
    updated_at: str


class TeamCreate(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: DisplayName
    agents: AllowedAgents | None = None
    models: AllowedModels | None = None
    router: AllowedRouter | None = None


class TeamPatch(BaseModel):
    """A field that is left out stays as it is; null allows everything. It applies to the keys and
    users of the team."""

    # The defaults below only make the fields optional; nothing ever takes their values.
    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra=hide_defaults)

    name: DisplayName = ""
    agents: AllowedAgents | None = None
    models: AllowedModels | None = None
    router: AllowedRouter | None = None


class TeamDeleted(BaseModel):
    object: Literal["team.deleted"] = "team.deleted"
    id: str
    deleted: Literal[True] = True
