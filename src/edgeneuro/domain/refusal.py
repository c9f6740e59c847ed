"""Requests that were refused before they were routed: why, and what is counted of them."""

from dataclasses import dataclass
from typing import Literal, get_args

from pydantic import BaseModel

RefusalReason = Literal[
    # A valid key, whose limit is reached,
    "key_rate_limited",
    "edge_rate_limited",
    "key_token_budget_exceeded",
    "key_budget_exceeded",
    # that may not do this,
    "missing_scope",
    "agent_not_allowed",
    "model_not_allowed",
    "router_not_allowed",
    "forbidden",
    # or whose request is wrong.
    "invalid_request",
    "body_too_large",
    "not_found",
    "conflict",
    # A credential that is not valid.
    "invalid_api_key",
    "key_expired",
    "key_revoked",
    "user_disabled",
    "unknown_user",
    "invalid_access_token",
]
REASONS: tuple[RefusalReason, ...] = get_args(RefusalReason)


@dataclass(frozen=True, slots=True)
class Refusal:
    """`key_id` is the id of the key or the user, empty if the credential is none that is known."""

    key_id: str
    reason: RefusalReason


class RefusalPeriod(BaseModel):
    """`reasons` counts the refused requests of the period by reason."""

    start: str
    reasons: dict[str, int]


class RefusedKey(BaseModel):
    """`key` is the id of the key or the user, null for credentials that are not known."""

    key: str | None
    requests: int
    reasons: dict[str, int]
    last_at: str


class Refusals(BaseModel):
    """Requests that were refused before they were routed. `keys` has the 100 with the most."""

    requests: int
    reasons: dict[str, int]
    series: list[RefusalPeriod]
    keys: list[RefusedKey]
