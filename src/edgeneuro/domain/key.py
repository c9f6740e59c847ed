"""Keys of programs: what a key is, what it may use and what it has used. The key's value is shown
once; afterwards only its hash is stored."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from edgeneuro.domain.fields import (
    INTEGRAL,
    DisplayName,
    Id,
    PageQuery,
    Timestamp,
    distinct,
    hide_defaults,
)
from edgeneuro.domain.permissions import (
    AllowedAgents,
    AllowedModels,
    AllowedRouter,
    Permissions,
)
from edgeneuro.domain.user import Role, Scope

# What isolates' clocks may be apart. A minute further ahead is that of a clock which was wrong, and
# would lock its key until it comes.
MINUTES_AHEAD = 1


@dataclass(frozen=True)
class KeyLimits:
    """None is no limit."""

    requests_per_minute: int | None = None
    monthly_token_budget: int | None = None
    monthly_budget_usd: float | None = None

    @property
    def has_budget(self) -> bool:
        return self.monthly_token_budget is not None or self.monthly_budget_usd is not None


def limits_of(
    requests_per_minute: int | None,
    monthly_token_budget: int | None,
    monthly_budget_usd: float | None,
) -> KeyLimits | None:
    """None where there is no limit at all."""
    limits = KeyLimits(requests_per_minute, monthly_token_budget, monthly_budget_usd)
    return None if limits == KeyLimits() else limits


@dataclass(frozen=True)
class Used:
    """`minute` is in unix minutes, `month` as 202611; tokens and cost are with what is reserved."""

    minute: int
    minute_requests: int
    month: int
    tokens: int
    cost_usd: float

    def at(self, now: float) -> "Used":
        """The usage at `now`: windows that are over start again at zero. A next window, of an
        isolate whose clock is ahead, counts as the current one."""
        minute, month = windows(now)
        used = self
        if not minute <= used.minute <= minute + MINUTES_AHEAD:
            used = replace(used, minute=minute, minute_requests=0)
        if used.month < month:
            used = replace(used, month=month, tokens=0, cost_usd=0.0)
        return used

    @property
    def month_name(self) -> str:
        return f"{self.month // 100:04}-{self.month % 100:02}"

    @property
    def minute_ends(self) -> int:
        """In unix seconds, as `month_ends` is."""
        return (self.minute + 1) * 60

    @property
    def month_ends(self) -> int:
        year, month = divmod(self.month, 100)
        following = (year + 1, 1) if month == 12 else (year, month + 1)
        return int(datetime(*following, 1, tzinfo=UTC).timestamp())


UNUSED = Used(minute=0, minute_requests=0, month=0, tokens=0, cost_usd=0.0)


def month_starts(now: float) -> int:
    """The beginning of the month of a time, both in unix seconds."""
    moment = datetime.fromtimestamp(now, UTC)
    return int(datetime(moment.year, moment.month, 1, tzinfo=UTC).timestamp())


def windows(now: float) -> tuple[int, int]:
    """The unix minute and the month of a time in unix seconds."""
    moment = datetime.fromtimestamp(now, UTC)
    return int(now // 60), moment.year * 100 + moment.month


KEY_PREFIX = "en_"
HINT_CHARACTERS = 8


Scopes = Annotated[list[Scope], Field(min_length=1, max_length=8), AfterValidator(distinct)]
Expiry = Annotated[Timestamp, Field(description="RFC 3339, in the future")]
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
    allows, and stops with the user. What it may use is what the key, its user and their teams
    allow together."""

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
    router: str | None
    team_id: str | None
    revoked_at: str | None
    created_at: str

    @property
    def limits(self) -> KeyLimits | None:
        """None for a key without any."""
        return limits_of(
            self.requests_per_minute, self.monthly_token_budget, self.monthly_budget_usd
        )


class KeyUsage(BaseModel):
    """In the current minute and in `month`, in UTC; tokens and cost include what is reserved for
    running requests."""

    minute_requests: int
    month: str
    tokens: int
    cost_usd: float


class KeyActivity(BaseModel):
    """The requests with a key since `since`, of which `refused` were refused before they were
    routed: `refusals` counts these by reason. `cost_usd` is what the others have cost, as far as
    the prices are known."""

    since: str
    requests: int
    refused: int
    refusals: dict[str, int]
    cost_usd: float


class KeyWithUsage(Key):
    """`usage` is counted while the key has a limit; null without one. `last_used_at` is the start
    of the hour of its last logged answer in the last 31 days, of an older one the day; null if
    there is none. `cost_usd` is what its logged answers have cost in this month in UTC, as far as
    the prices are known. `recent` is the present hour and the one before; days and months are those
    of UTC. `last_refused_at` is the time of its last refused request in the last 31 days."""

    usage: KeyUsage | None
    last_used_at: str | None
    cost_usd: float
    recent: KeyActivity
    this_month: KeyActivity
    last_30_days: KeyActivity
    last_refused_at: str | None


class KeyCreated(KeyWithUsage):
    """`key` is the key itself. Store it: it cannot be shown again."""

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
    router: AllowedRouter | None = None
    team_id: Id | None = None


class KeyPatch(BaseModel):
    """A field that is left out stays as it is; null removes an expiry, a limit, a list, the
    router or the team."""

    # The defaults below only make the fields optional; nothing ever takes their values.
    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra=hide_defaults)

    name: DisplayName = ""
    scopes: Scopes = Field(default_factory=list)
    expires_at: Expiry | None = None
    requests_per_minute: RequestsPerMinute | None = None
    monthly_token_budget: MonthlyTokenBudget | None = None
    monthly_budget_usd: MonthlyBudget | None = None
    agents: AllowedAgents | None = None
    models: AllowedModels | None = None
    router: AllowedRouter | None = None
    team_id: Id | None = None


class KeyQuery(PageQuery):
    """`user_id` lists the keys of one user."""

    user_id: Annotated[str, Field(min_length=1, max_length=128)] | None = None


@dataclass(frozen=True)
class KnownKey:
    """What letting a key in takes; role, `user_enabled`, `user_id` and `email` are those of its
    user, if it has one. `groups` are the names of the teams, the key's and the user's."""

    id: str
    scopes: tuple[Scope, ...]
    expires_at_ms: int | None
    revoked: bool
    role: Role | None
    user_enabled: bool
    limits: KeyLimits | None
    permissions: Permissions
    user_id: str | None = None
    email: str | None = None
    groups: tuple[str, ...] = ()
