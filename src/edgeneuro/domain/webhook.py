"""Webhooks: an operator's address that receives events. A delivery is signed and has the form
of Standard Webhooks (standardwebhooks.com), so that its libraries verify it."""

import base64
import hmac
import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from edgeneuro.domain.agent_endpoint import is_local
from edgeneuro.domain.fields import Matches, PageQuery, distinct, hide_defaults
from edgeneuro.domain.url import require_public_https

MAX_WEBHOOKS = 20
SECRET_PREFIX = "whsec_"
SECRET_BYTES = 32
_BASE64 = "[A-Za-z0-9+/]"
# 24 to 63 bytes; Standard Webhooks allows 24 to 64.
_SECRET_PATTERN = (
    rf"{SECRET_PREFIX}(?:{_BASE64}{{4}}){{8}}(?:(?:{_BASE64}{{4}}){{0,12}}"
    rf"(?:{_BASE64}{{4}}|{_BASE64}{{3}}=|{_BASE64}{{2}}==))?"
)

Event = Literal["decision.low_confidence", "classifier.drift", "job.ended", "budget.exhausted"]
TEST_EVENT = "webhook.test"
DeliveryState = Literal["waiting", "delivered", "failed"]


def secret_bytes(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(SECRET_PREFIX))


def require_address(url: str) -> str:
    """Raises ValueError, which says what is wrong with it. An address of this machine is one, too:
    who calls it knows whether that is allowed."""
    return url if is_local(url) else require_public_https(url)


WebhookUrl = Annotated[
    str,
    StringConstraints(max_length=2000),
    AfterValidator(require_address),
    Field(
        json_schema_extra={"pattern": r"^(https://|http://(127\.0\.0\.1|localhost))[!-\[\]-~]+$"}
    ),
]
Secret = Annotated[
    str,
    Matches(
        _SECRET_PATTERN,
        f"must be {SECRET_PREFIX} and 24 to 63 bytes in Base64; leave it out to get a new one",
    ),
]
Events = Annotated[list[Event], Field(min_length=1, max_length=20), AfterValidator(distinct)]


class Webhook(BaseModel):
    """`waiting` and `failed` count its deliveries of the last 35 days that are still tried, and
    that were given up. `previous_secret_until`: until then deliveries are signed with the secret
    before the last rotation as well."""

    object: Literal["webhook"] = "webhook"
    id: str
    url: str
    events: list[Event]
    enabled: bool
    previous_secret_until: str | None = None
    waiting: int = 0
    failed: int = 0
    last_delivered_at: str | None = None
    created_at: str
    updated_at: str


class WebhookCreate(BaseModel):
    """Without `secret` a new one is made."""

    model_config = ConfigDict(extra="forbid", strict=True)

    url: WebhookUrl
    events: Events
    secret: Secret | None = None
    enabled: bool = True


class WebhookPatch(BaseModel):
    """A field that is left out stays as it is. A webhook that is disabled gets nothing, and what
    was waiting for it is given up."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra=hide_defaults)

    url: WebhookUrl = ""
    events: Events = Field(default_factory=list)
    enabled: bool = True


class WebhookWithSecret(Webhook):
    """`secret` is in no other answer."""

    secret: str


class WebhookDeleted(BaseModel):
    object: Literal["webhook.deleted"] = "webhook.deleted"
    id: str
    deleted: Literal[True] = True


class WebhookDelivery(BaseModel):
    """One event for one webhook. `state` "waiting": it is tried, next at `next_attempt_at`;
    "failed": it was given up. `last_status` is the HTTP status of the last answer, and `last_error`
    says why the last attempt failed."""

    object: Literal["webhook_delivery"] = "webhook_delivery"
    id: str
    webhook_id: str
    event: str
    data: dict[str, Any]
    state: DeliveryState
    attempts: int
    next_attempt_at: str | None
    last_status: int | None
    last_error: str | None
    created_at: str
    delivered_at: str | None


class DeliveriesQuery(PageQuery):
    state: DeliveryState | None = None


def delivery_body(event: str, timestamp: str, data: dict[str, Any]) -> bytes:
    """`timestamp` is when the event occurred."""
    fields = {"type": event, "timestamp": timestamp, "data": data}
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def signed_headers(
    secrets: Sequence[str], *, message_id: str, now: float, body: bytes
) -> dict[str, str]:
    """One signature for each secret: a receiver accepts any of them."""
    seconds = int(now)
    signed = f"{message_id}.{seconds}.".encode() + body
    signatures = [
        base64.b64encode(hmac.digest(secret_bytes(secret), signed, "sha256")).decode()
        for secret in secrets
    ]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
