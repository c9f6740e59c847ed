"""Providers: vendors of models behind AI Gateway. Their keys are Worker secrets; here are only the
secrets' names."""

import re
from collections.abc import Collection
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    model_validator,
)

from edgeneuro.domain.agent import ModelId
from edgeneuro.domain.fields import ID_RULE, INTEGRAL, Matches, hide_defaults
from edgeneuro.domain.model import Pricing
from edgeneuro.domain.url import PublicUrl

Kind = Literal["workers-ai", "openai", "anthropic", "groq", "openai-compatible", "systemone"]
# The vendor has no one address: every provider of these kinds has its own.
ADDRESS_NEEDED: tuple[Kind, ...] = ("openai-compatible", "systemone")
# Kinds whose models are decision models only if they are named so.
DECISION_KINDS: tuple[Kind, ...] = ("openai", "openai-compatible")
ProviderId = Annotated[str, Matches(r"[a-z0-9][a-z0-9_-]{0,63}", ID_RULE)]
# A key of the control plane chooses which secret goes where. It can choose only secrets that the
# deployer has named for vendors, and only hosts that the deployer has named, or the vendors' own.
SECRET_PREFIX = "PROVIDER_"
HOSTS_VAR = "PROVIDER_HOSTS"
VENDOR_HOSTS = frozenset(
    {"api.anthropic.com", "api.cloudflare.com", "api.groq.com", "api.openai.com"}
)
_SECRET_PATTERN = rf"{SECRET_PREFIX}[A-Z0-9][A-Z0-9_]{{0,54}}"


def is_provider_secret(name: str) -> bool:
    return name != HOSTS_VAR and re.fullmatch(_SECRET_PATTERN, name) is not None


def may_send_secret(base_url: str | None, hosts: Collection[str]) -> bool:
    """Whether a vendor's key may go to this address; `hosts` are the ones in PROVIDER_HOSTS. None
    is the vendor's own address."""
    if base_url is None:
        return True
    host = urlsplit(base_url).netloc.lower().removesuffix(":443")
    return host in VENDOR_HOSTS or host in hosts


def _not_the_hosts(name: str) -> str:
    if name == HOSTS_VAR:
        raise ValueError(f"{HOSTS_VAR} is no secret; name another")
    return name


_SECRET_RULE = (
    f"must be the name of a secret that begins with {SECRET_PREFIX}, in capital letters, digits and"
    f" underscores, such as {SECRET_PREFIX}GROQ_KEY"
)
SecretName = Annotated[
    str,
    Matches(_SECRET_PATTERN, _SECRET_RULE),
    AfterValidator(_not_the_hosts),
]
ModelIds = Annotated[list[ModelId], Field(max_length=100)]
Prices = Annotated[dict[ModelId, Pricing], Field(max_length=100)]
Priority = Annotated[int, Field(ge=0, le=1000), INTEGRAL]


class Provider(BaseModel):
    """`priority`: lower ones are called first. `prices` are those of its models, by the provider's
    own id; a key with a budget in USD can use no other models. `decision_models` are those of
    `models` that are called as decision models; null stands for those that are known to be, and all
    models of a provider of kind "systemone" are. `secret_set`: the Worker has a secret of that
    name; its value is never shown."""

    object: Literal["provider"] = "provider"
    id: str
    kind: Kind
    base_url: str | None
    secret: str | None
    secret_set: bool = False
    models: list[str]
    prices: dict[str, Pricing] = Field(default_factory=dict)
    decision_models: list[str] | None = None
    priority: int
    enabled: bool
    created_at: str
    updated_at: str


class ProviderCreate(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    id: ProviderId
    kind: Kind
    base_url: PublicUrl | None = None
    secret: SecretName | None = None
    models: ModelIds = Field(default_factory=list)
    prices: Prices = Field(default_factory=dict)
    decision_models: ModelIds | None = None
    priority: Priority = 100
    enabled: bool = True

    @model_validator(mode="after")
    def _address_where_none_is_known(self) -> "ProviderCreate":
        if self.kind in ADDRESS_NEEDED and self.base_url is None:
            raise ValueError(f"a provider of kind {self.kind!r} needs a base_url")
        return self


class ProviderPatch(BaseModel):
    """A field that is left out stays as it is; null empties the fields that may be empty."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra=hide_defaults)

    base_url: PublicUrl | None = None
    secret: SecretName | None = None
    models: ModelIds = Field(default_factory=list)
    prices: Prices = Field(default_factory=dict)
    decision_models: ModelIds | None = None
    priority: Priority = 100
    enabled: bool = True


class ProviderDeleted(BaseModel):
    object: Literal["provider.deleted"] = "provider.deleted"
    id: str
    deleted: Literal[True] = True
