"""The limits of keys: the usage of an answer is reserved before it is made and settled with its log
row.

The reservation is an upper bound, so that concurrent answers cannot exceed a budget together. If a
settlement is lost, because D1 or the isolate fails, the upper bound stays counted until the month
ends: a key may then use less than its budget, but never more."""

import math
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from edgeneuro.domain.key import KeyLimits, Used
from edgeneuro.domain.model import Model
from edgeneuro.domain.webhook import Event
from edgeneuro.errors import (
    BudgetExceededError,
    DatabaseError,
    EdgeNeuroError,
    KeyRateLimitedError,
    TokenBudgetExceededError,
)
from edgeneuro.services import Services
from edgeneuro.store.additions import Addition
from edgeneuro.store.database import Statement
from edgeneuro.store.keys import reserve_usage, settle_usage, settle_with_answer
from edgeneuro.store.sql import rfc3339
from edgeneuro.store.webhook_deliveries import insert_event
from edgeneuro.web.auth import Credential

BYTES_PER_TOKEN = 2  # or more, in nearly all texts
# The header of a response that was counted against the limit of requests.
REQUESTS_LIMIT = "x-ratelimit-limit-requests"
# Clients sleep for as long as retry-after says, and nobody should sleep for a month.
_MAX_RETRY_AFTER_SECONDS = 3_600
_EXHAUSTED: Event = "budget.exhausted"
_TELL_AGAIN_MS = 300_000  # an isolate writes no more often; a webhook may be new
TEMPLATE_TOKENS = 50  # added to the messages by a model's chat template


@dataclass(frozen=True)
class Estimate:
    """An upper bound of the usage of an answer."""

    tokens: int = 0
    cost_usd: float = 0.0

    def __add__(self, other: "Estimate") -> "Estimate":
        return Estimate(self.tokens + other.tokens, round(self.cost_usd + other.cost_usd, 12))


def estimate(
    models: Iterable[Model], messages_bytes: int, max_tokens: int, *, attempts: int = 2
) -> Estimate:
    """An upper bound for `attempts` calls of each of the `models`: by default in JSON mode, then in
    text. Two attempts also cover one with a token for every byte. A model without a price counts no
    USD."""
    prompt_tokens = math.ceil(messages_bytes / BYTES_PER_TOKEN) + TEMPLATE_TOKENS
    tokens, micro_usd = 0, 0.0
    for model in models:
        tokens += attempts * (prompt_tokens + max_tokens)
        if model.pricing is not None:
            micro_usd += attempts * prompt_tokens * model.pricing.input_per_million
            micro_usd += attempts * max_tokens * model.pricing.output_per_million
    return Estimate(tokens, round(micro_usd / 1_000_000, 12))


class Reservation:
    """The usage that is reserved for an answer of a key. `settled` says whether `settle` was
    called."""

    def __init__(
        self, key_id: str, limits: KeyLimits, used: Used, reserved: Estimate, *, now: float
    ) -> None:
        self.settled = False
        self._key_id = key_id
        self._limits = limits
        self._used = used
        self._reserved = reserved
        self._now = now

    def headers(self) -> dict[str, str]:
        """The headers of the response: what was left after the reservation."""
        return _headers(self._limits, self._used, self._now)

    def settle(self, known: Estimate, unknown: Iterable[Estimate] = ()) -> Addition:
        """Replaces the reservation by the usage. `unknown` are upper bounds for calls whose usage
        is unknown: they count as far as they were reserved. It is written with the log row,
        once."""
        self.settled = True
        used = sum(unknown, known)
        return settle_with_answer(
            self._key_id,
            self._used.month,
            tokens=max(known.tokens, min(used.tokens, self._reserved.tokens))
            - self._reserved.tokens,
            cost_usd=max(known.cost_usd, min(used.cost_usd, self._reserved.cost_usd))
            - self._reserved.cost_usd,
        )

    def refund(self) -> Statement:
        """Takes the reservation back, where there is no answer and no log row."""
        self.settled = True
        reserved = self._reserved
        return settle_usage(
            self._key_id,
            self._used.month,
            tokens=-reserved.tokens,
            cost_usd=-reserved.cost_usd,
        )


async def reserve(
    services: Services, credential: Credential, wanted: Estimate
) -> Reservation | None:
    """Reserves one request and the wanted usage. None for a caller without limits, who costs no
    call of D1. Raises KeyRateLimitedError or BudgetExceededError if a limit would be exceeded,
    DatabaseError if D1 cannot say."""
    limits = credential.limits
    if limits is None:
        return None
    now = services.now()
    try:
        fits, used = await reserve_usage(
            services.db,
            credential.key_id,
            limits,
            now=now,
            tokens=wanted.tokens,
            cost_usd=wanted.cost_usd,
        )
    except DatabaseError as error:
        raise DatabaseError(error.message, headers={"retry-after": "1"}) from error
    if not fits:
        refusal = _refusal(limits, used, wanted, now)
        if isinstance(refusal, BudgetExceededError):
            await _report_exhausted(services, credential.key_id, limits, used, wanted, refusal)
        raise refusal
    return Reservation(credential.key_id, limits, used, wanted, now=now)


async def _report_exhausted(
    services: Services,
    key_id: str,
    limits: KeyLimits,
    used: Used,
    wanted: Estimate,
    error: BudgetExceededError,
) -> None:
    """Tells webhooks of the budget, once a month and key. A request that is larger than the whole
    budget says nothing of it."""
    limit, taken, more = _budget(limits, used, wanted, error)
    once = f"{_EXHAUSTED} {key_id} {used.month_name} {error.param}"
    now_ms = services.now_ms()
    if more > limit or services.told_budgets.get(once, now_ms=now_ms):
        return
    data = {
        "key_id": key_id,
        "budget": error.param,
        "month": used.month_name,
        "limit": limit,
        "used": taken,
        "resets_at": error.resets_at,
    }
    try:
        await services.db.run(insert_event(_EXHAUSTED, data, now_ms=now_ms, once=once))
    except DatabaseError as failure:
        services.failures.note("webhook_event", failure)
    else:
        services.told_budgets.put(once, True, expires_at_ms=now_ms + _TELL_AGAIN_MS)


def _budget(
    limits: KeyLimits, used: Used, wanted: Estimate, error: BudgetExceededError
) -> tuple[float, float, float]:
    """Of the budget that refused: the limit, what is used, and what the request may take."""
    if isinstance(error, TokenBudgetExceededError):
        return limits.monthly_token_budget or 0, used.tokens, wanted.tokens
    return limits.monthly_budget_usd or 0.0, used.cost_usd, wanted.cost_usd


async def count_refused(services: Services, credential: Credential) -> None:
    """Counts a request that was refused because of what it asks: until then it costs as much work
    as one that is answered. Raises KeyRateLimitedError if the minute's limit is reached."""
    if credential.limits is None or credential.limits.requests_per_minute is None:
        return
    try:
        await reserve(services, credential, Estimate())
    except DatabaseError as error:
        services.failures.note("limit_refused", error)


@contextmanager
def refund_on_failure(
    services: Services,
    reservation: Reservation | None,
    background: Callable[[Coroutine[Any, Any, None]], None],
) -> Iterator[None]:
    """Refunds the tokens and USD if an exception ends the answer before `settle` was called. The
    request stays counted."""
    try:
        yield
    except BaseException:
        if reservation is not None and not reservation.settled:
            background(_refund(services, reservation.refund()))
        raise


async def _refund(services: Services, refund: Statement) -> None:
    try:
        await services.db.run(refund)
    except DatabaseError as error:
        services.failures.note("limit_refund", error)


def _refusal(limits: KeyLimits, used: Used, wanted: Estimate, now: float) -> EdgeNeuroError:
    """The error for the first limit that is exceeded; the statement has found that one is."""
    headers = _headers(limits, used, now)
    per_minute = limits.requests_per_minute
    if per_minute is not None and used.minute_requests >= per_minute:
        seconds = _seconds(used.minute_ends, now)
        return KeyRateLimitedError(
            f"This key has made {used.minute_requests} requests in this minute, and its"
            f" requests_per_minute is {per_minute}. Try again in {seconds} s.",
            param="requests_per_minute",
            headers=headers | {"retry-after": str(seconds)},
        )
    kind: type[BudgetExceededError] = BudgetExceededError
    field, unit = "monthly_budget_usd", "USD"
    limit: float = limits.monthly_budget_usd or 0.0
    taken, more = used.cost_usd, wanted.cost_usd
    tokens = limits.monthly_token_budget
    if tokens is not None and used.tokens + wanted.tokens > tokens:
        kind, field, unit = TokenBudgetExceededError, "monthly_token_budget", "tokens"
        limit, taken, more = tokens, used.tokens, wanted.tokens
    resets_at = rfc3339(used.month_ends * 1000)
    retry_after = min(_seconds(used.month_ends, now), _MAX_RETRY_AFTER_SECONDS)
    way_out = (
        f"The budget is reset at {resets_at}, or ask for more."
        if more <= limit
        else "That is more than the whole budget: ask for more, or send less text."
    )
    return kind(
        f"This key's {field} is {_decimal(limit)} {unit}. {_decimal(taken)} of it are used or"
        f" reserved in {used.month_name}, and this request may take {_decimal(more)}. {way_out}",
        param=field,
        headers=headers | {"retry-after": str(retry_after), "x-should-retry": "false"},
        resets_at=resets_at,
    )


def _headers(limits: KeyLimits, used: Used, now: float) -> dict[str, str]:
    """Of each limit that the key has, in OpenAI's form."""
    found: dict[str, str] = {}
    minute, month = _seconds(used.minute_ends, now), _seconds(used.month_ends, now)
    for name, limit, taken, seconds in (
        ("requests", limits.requests_per_minute, used.minute_requests, minute),
        ("tokens", limits.monthly_token_budget, used.tokens, month),
        ("cost-usd", limits.monthly_budget_usd, used.cost_usd, month),
    ):
        if limit is not None:
            found[f"x-ratelimit-limit-{name}"] = _decimal(limit)
            found[f"x-ratelimit-remaining-{name}"] = _decimal(max(0, limit - taken))
            found[f"x-ratelimit-reset-{name}"] = _duration(seconds)
    return found


def _seconds(until: int, now: float) -> int:
    return max(1, math.ceil(until - now))


def _duration(seconds: int) -> str:
    """In OpenAI's format: 12s, 6m0s, 1h0m12s."""
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{seconds}s"
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"


def _decimal(number: float) -> str:
    """The number without an exponent."""
    return str(number) if isinstance(number, int) else f"{number:.12f}".rstrip("0").rstrip(".")
