"""Providers: vendors of models behind AI Gateway. Their keys are Worker secrets; here are only the
secrets' names."""

from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    model_validator,
)

from edgeneuro.domain.agent import ModelId, without_defaults
from edgeneuro.domain.model import Pricing
from edgeneuro.domain.numbers import INTEGRAL
from edgeneuro.domain.signature import SIGNING_SECRET
from edgeneuro.domain.text import ID_RULE, Matches
from edgeneuro.domain.url import PublicUrl

Kind = Literal["workers-ai", "openai", "anthropic", "groq", "openai-compatible"]
ProviderId = Annotated[str, Matches(r"[a-z0-9][a-z0-9_-]{0,63}", ID_RULE)]
# Secrets of our own, which must never be sent to a vendor.
OWN_SECRETS = frozenset({"ADMIN_TOKEN", SIGNING_SECRET, "AI_GATEWAY_TOKEN", "CLOUDFLARE_API_TOKEN"})


def _not_our_own(name: str) -> str:
    if name in OWN_SECRETS:
        raise ValueError(f"{name} is EdgeNeuro's own; put the vendor's key into another secret")
    return name


SecretName = Annotated[
    str,
    Matches(
        r"[A-Z][A-Z0-9_]{0,63}",
        "must be the name of a secret: at most 64 capital letters, digits and underscores, with a"
        " letter first",
    ),
    AfterValidator(_not_our_own),
]
ModelIds = Annotated[list[ModelId], Field(max_length=100)]
Prices = Annotated[dict[ModelId, Pricing], Field(max_length=100)]
Priority = Annotated[int, Field(ge=0, le=1000), INTEGRAL]


class Provider(BaseModel):
    """`priority`: lower ones are tried first. `prices` are those of its models, by the vendor's own
    id; a key with a budget in USD can use no other models. `secret_set` tells whether the Worker
    has a secret of that name; its value is never shown."""

    object: Literal["provider"] = "provider"
    id: str
    kind: Kind
    base_url: str | None
    secret: str | None
    secret_set: bool = False
    models: list[str]
    prices: dict[str, Pricing] = Field(default_factory=dict)
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
    priority: Priority = 100
    enabled: bool = True

    @model_validator(mode="after")
    def _address_where_none_is_known(self) -> "ProviderCreate":
        if self.kind == "openai-compatible" and self.base_url is None:
            raise ValueError("a provider of kind 'openai-compatible' needs a base_url")
        return self


class ProviderPatch(BaseModel):
    """A field left out stays as it is; null empties the ones that may be empty."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra=without_defaults)

    base_url: PublicUrl | None = None
    secret: SecretName | None = None
    models: ModelIds = Field(default_factory=list)
    prices: Prices = Field(default_factory=dict)
    priority: Priority = 100
    enabled: bool = True


class ProviderDeleted(BaseModel):
    object: Literal["provider.deleted"] = "provider.deleted"
    id: str
    deleted: Literal[True] = True
