"""Users: people, who come in through Cloudflare Access or with keys of their own."""

import re
import string
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from edgeneuro.domain.fields import DisplayName, Id, PageQuery, hide_defaults
from edgeneuro.domain.permissions import (
    AllowedAgents,
    AllowedModels,
    AllowedRouter,
    Permissions,
)

Scope = Literal["route", "read", "label", "admin"]
Role = Literal["viewer", "labeler", "admin"]
# What a role may do, in the scopes of keys.
SCOPES_OF_ROLE: dict[Role, tuple[Scope, ...]] = {
    "viewer": ("read",),
    "labeler": ("route", "label"),
    "admin": ("admin",),
}
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_EMAIL = re.compile(r"[^\s@\x00-\x1f\x7f\ud800-\udfff]+@[^\s@\x00-\x1f\x7f\ud800-\udfff]+")


def normalise_email(email: str) -> str:
    """The one spelling under which an address is stored: ASCII letters in lower case, all other
    characters as they are. Unicode's lower case would make one address of two: that of the Kelvin
    sign is k. Raises ValueError for what is none."""
    email = email.strip().translate(_LOWER)
    if len(email) > 254 or not _EMAIL.fullmatch(email):
        raise ValueError("this is no e-mail address")
    return email


Email = Annotated[str, AfterValidator(normalise_email)]


class User(BaseModel):
    """`email` is in lower case; the user's `role` also limits what the user's keys may do, and so
    do the lists of what the user and the team `team_id` may use; null is everything."""

    object: Literal["user"] = "user"
    id: str
    email: str
    name: str
    role: Role
    enabled: bool
    team_id: str | None
    agents: list[str] | None
    models: list[str] | None
    router: str | None
    created_at: str
    updated_at: str


class UserCreate(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    email: Email
    name: DisplayName
    role: Role
    enabled: bool = True
    team_id: Id | None = None
    agents: AllowedAgents | None = None
    models: AllowedModels | None = None
    router: AllowedRouter | None = None


class UserPatch(BaseModel):
    """A field that is left out stays as it is; null removes the team, a list or the router. A user
    who is not `enabled` is refused, and so are the user's keys."""

    # The defaults below only make the fields optional; nothing ever takes their values.
    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra=hide_defaults)

    email: Email = ""
    name: DisplayName = ""
    role: Role = "viewer"
    enabled: bool = True
    team_id: Id | None = None
    agents: AllowedAgents | None = None
    models: AllowedModels | None = None
    router: AllowedRouter | None = None


class UserDeleted(BaseModel):
    """`revoked_keys` are the ids of the user's keys, which were revoked."""

    object: Literal["user.deleted"] = "user.deleted"
    id: str
    deleted: Literal[True] = True
    revoked_keys: list[str] = Field(default_factory=list)


class UserQuery(PageQuery):
    email: Email | None = None


@dataclass(frozen=True)
class KnownUser:
    """What letting a user of Cloudflare Access in takes."""

    id: str
    email: str
    role: Role
    enabled: bool
    permissions: Permissions
    groups: tuple[str, ...] = ()
