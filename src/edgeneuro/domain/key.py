"""Keys: what programs call with. A key's value is shown once; afterwards only its hash is there."""

from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from edgeneuro.domain.agent import AgentId, ModelId
from edgeneuro.domain.limits import KeyLimits, limits_of
from edgeneuro.domain.moment import Moment
from edgeneuro.domain.numbers import INTEGRAL
from edgeneuro.domain.page import PageQuery
from edgeneuro.domain.permissions import Permissions
from edgeneuro.domain.user import DisplayName, Role, Scope, without_defaults

Name = TypeVar("Name", bound=str)
KEY_PREFIX = "en_"
HINT_CHARACTERS = 8


def _distinct(names: list[Name]) -> list[Name]:
    return list(dict.fromkeys(names))


Scopes = Annotated[list[Scope], Field(min_length=1, max_length=8), AfterValidator(_distinct)]
Expiry = Annotated[Moment, Field(description="RFC 3339, in the future")]
AllowedAgents = Annotated[
    list[AgentId],
    Field(min_length=1, max_length=250, description="The agents that it may use; null is all"),
    AfterValidator(_distinct),
]
AllowedModels = Annotated[
    list[ModelId],
    Field(
        min_length=1,
        max_length=100,
        description="The models that may be called for it, to route and to answer; null is all",
    ),
    AfterValidator(_distinct),
]
RequestsPerMinute = Annotated[
    int,
    Field(ge=1, le=1_000_000, description="Of POST /v1/route and feedback, by the clock; enforced"),
    INTEGRAL,
]
MonthlyTokenBudget = Annotated[
    int,
    Field(ge=1, le=10**12, description="Prompt and completion, by the month in UTC; enforced"),
    INTEGRAL,
]
MonthlyBudget = Annotated[
    float,
    Field(
        ge=0,
        le=1e9,
        allow_inf_nan=False,
        description="USD by the month in UTC; enforced. Models without a price cannot be used",
    ),
]


class Key(BaseModel):
    """`hint` is how the key begins. A key with a `user_id` may do no more than the user's role
    allows, and stops with the user."""

    object: Literal["key"] = "key"
    id: str
    name: str
    hint: str
    scopes: list[Scope]
    user_id: str | None
    expires_at: str | None
    requests_per_minute: RequestsPerMinute | None
    monthly_token_budget: MonthlyTokenBudget | None
    monthly_budget_usd: MonthlyBudget | None
    agents: list[str] | None
    models: list[str] | None
    revoked_at: str | None
    created_at: str

    @property
    def limits(self) -> KeyLimits | None:
        """None for a key without any."""
        return limits_of(
            self.requests_per_minute, self.monthly_token_budget, self.monthly_budget_usd
        )


class KeyUsage(BaseModel):
    """In the current minute and in `month`, in UTC; tokens and cost with what is reserved for
    answers under way."""

    minute_requests: int
    month: str
    tokens: int
    cost_usd: float


class KeyWithUsage(Key):
    """`usage` is counted while the key has a limit; null without one."""

    usage: KeyUsage | None


class KeyCreated(KeyWithUsage):
    """`key` is the key itself. Keep it: nobody can show it again."""

    key: str


class KeyCreate(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: DisplayName
    scopes: Scopes
    user_id: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = None
    expires_at: Expiry | None = None
    requests_per_minute: RequestsPerMinute | None = None
    monthly_token_budget: MonthlyTokenBudget | None = None
    monthly_budget_usd: MonthlyBudget | None = None
    agents: AllowedAgents | None = None
    models: AllowedModels | None = None


class KeyPatch(BaseModel):
    """A field left out stays as it is; null takes an expiry, a limit or a list away."""

    # The defaults below only make the fields optional; nothing ever takes their values.
    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra=without_defaults)

    name: DisplayName = ""
    scopes: Scopes = Field(default_factory=list)
    expires_at: Expiry | None = None
    requests_per_minute: RequestsPerMinute | None = None
    monthly_token_budget: MonthlyTokenBudget | None = None
    monthly_budget_usd: MonthlyBudget | None = None
    agents: AllowedAgents | None = None
    models: AllowedModels | None = None


class KeyQuery(PageQuery):
    """`user_id` lists the keys of one user."""

    user_id: Annotated[str, Field(min_length=1, max_length=128)] | None = None


@dataclass(frozen=True)
class KnownKey:
    """What letting a key in takes; role and `user_enabled` are those of its user, if it has one."""

    id: str
    scopes: tuple[Scope, ...]
    expires_at_ms: int | None
    revoked: bool
    role: Role | None
    user_enabled: bool
    limits: KeyLimits | None
    permissions: Permissions
