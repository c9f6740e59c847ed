"""How EdgeNeuro signs in at an agent's endpoint, by the names of Worker secrets: here are never the
secrets themselves."""

import re
from collections.abc import Collection
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from edgeneuro.domain.fields import Matches, is_none

# A key of the control plane chooses which secret goes where, and which binding is called. It can
# choose only what the deployer has named for agents.
AGENT_PREFIX = "AGENT_"
HOSTS_VAR = "AGENT_HOSTS"
IDENTITY_KEY = "AGENT_IDENTITY_KEY"
PREVIOUS_IDENTITY_KEY = "AGENT_IDENTITY_KEY_PREVIOUS"
IDENTITY_ISSUER = "AGENT_IDENTITY_ISSUER"
_OF_THE_INSTALLATION = frozenset(
    {"AGENT_SIGNING_SECRET", HOSTS_VAR, IDENTITY_KEY, PREVIOUS_IDENTITY_KEY, IDENTITY_ISSUER}
)
_NAME = rf"{AGENT_PREFIX}[A-Z0-9][A-Z0-9_]{{0,57}}"
# Headers that are ours, or the runtime's.
_TAKEN = re.compile(
    r"accept.*|authorization|cf-.*|connection|content-.*|cookie|date|expect|forwarded|host"
    r"|keep-alive|origin|proxy-.*|referer|te|trace.*|trailer|transfer-encoding|upgrade|via"
    r"|x-edgeneuro-.*|x-forwarded-.*|x-real-ip|x-request-id"
)


def is_agent_name(name: str) -> bool:
    """Whether a secret or a binding of this name is for agents."""
    return name not in _OF_THE_INSTALLATION and re.fullmatch(_NAME, name) is not None


def may_send_secret(url: str, hosts: Collection[str]) -> bool:
    """Whether a secret may go to this address; `hosts` are the ones in AGENT_HOSTS."""
    return urlsplit(url).netloc.lower().removesuffix(":443") in hosts


def _for_agents(name: str) -> str:
    if not is_agent_name(name):
        raise ValueError(f"{name} is for the installation itself; name another")
    return name


def _free(name: str) -> str:
    if _TAKEN.fullmatch(name) is not None:
        raise ValueError(f"{name!r} is a header that EdgeNeuro or the network sets; name another")
    return name


AgentSecret = Annotated[
    str,
    Matches(
        _NAME,
        f"must be the name of a secret that begins with {AGENT_PREFIX}, in capital letters, digits"
        f" and underscores, such as {AGENT_PREFIX}HR_TOKEN",
    ),
    AfterValidator(_for_agents),
]
HeaderName = Annotated[
    str,
    Matches(r"[a-z][a-z0-9-]{0,63}", "must be a header's name in small letters, such as x-api-key"),
    AfterValidator(_free),
]


class ApiKey(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    header: HeaderName = "x-api-key"
    secret: AgentSecret


class ServiceToken(BaseModel):
    """A service token of Cloudflare Access: its two parts."""

    model_config = ConfigDict(extra="forbid", strict=True)

    client_id: AgentSecret
    client_secret: AgentSecret


class AgentAuth(BaseModel):
    """What an agent's endpoint is sent beside the signature; at least one. `bearer` is the name of
    the secret that goes into `Authorization: Bearer …`, `api_key` one in another header, `access` a
    service token of Cloudflare Access. `identity`: who asks, as a signed token."""

    model_config = ConfigDict(extra="forbid", strict=True)

    bearer: AgentSecret | None = Field(default=None, exclude_if=is_none)
    api_key: ApiKey | None = Field(default=None, exclude_if=is_none)
    access: ServiceToken | None = Field(default=None, exclude_if=is_none)
    identity: bool = False

    @model_validator(mode="after")
    def _something(self) -> "AgentAuth":
        if not (self.secrets or self.identity):
            raise ValueError(
                "names nothing; give `bearer`, `api_key`, `access` or `identity`, or null"
            )
        return self

    @property
    def secrets(self) -> list[str]:
        """The names of the secrets that are sent."""
        found = [] if self.bearer is None else [self.bearer]
        if self.api_key is not None:
            found.append(self.api_key.secret)
        if self.access is not None:
            found += [self.access.client_id, self.access.client_secret]
        return found
