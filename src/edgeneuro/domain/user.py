"""Users: people, who come in through Cloudflare Access or with keys of their own."""

import re
import string
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from edgeneuro.domain.fields import Matches, PageQuery, hide_defaults

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
DisplayName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=100),
    Matches(r"[^\x00-\x1f\x7f]+", "must not hold control characters, such as line breaks"),
]


class User(BaseModel):
    """`email` is in lower case; the user's `role` also limits what the user's keys may do."""

    object: Literal["user"] = "user"
    id: str
    email: str
    name: str
    role: Role
    enabled: bool
    created_at: str
    updated_at: str


class UserCreate(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    email: Email
    name: DisplayName
    role: Role
    enabled: bool = True


class UserPatch(BaseModel):
    """A field that is left out stays as it is. A user who is not `enabled` is refused, and so are
    the user's keys."""

    # The defaults below only make the fields optional; nothing ever takes their values.
    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra=hide_defaults)

    email: Email = ""
    name: DisplayName = ""
    role: Role = "viewer"
    enabled: bool = True


class UserDeleted(BaseModel):
    """`revoked_keys` are the ids of the user's keys, which were revoked."""

    object: Literal["user.deleted"] = "user.deleted"
    id: str
    deleted: Literal[True] = True
    revoked_keys: list[str] = Field(default_factory=list)


class UserQuery(PageQuery):
    email: Email | None = None
