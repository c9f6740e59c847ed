"""What a key may use and what it has used, by the minute and by the month in UTC."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime


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
        """With windows that are over begun anew. A later one than `now`'s, of an isolate whose
        clock is ahead, is the current one."""
        minute, month = windows(now)
        used = self
        if used.minute < minute:
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


def windows(now: float) -> tuple[int, int]:
    """The unix minute and the month of a time in unix seconds."""
    moment = datetime.fromtimestamp(now, UTC)
    return int(now // 60), moment.year * 100 + moment.month
