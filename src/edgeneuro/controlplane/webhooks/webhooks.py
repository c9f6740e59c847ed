"""Webhooks in the control plane. The secret is in the answers that create and rotate it, and
nowhere else."""

import base64

from edgeneuro.call import Call
from edgeneuro.controlplane.access.audit import commit
from edgeneuro.controlplane.webhooks.delivery import try_delivery
from edgeneuro.domain.agent_endpoint import is_local
from edgeneuro.domain.fields import Page, page_of
from edgeneuro.domain.webhook import (
    MAX_WEBHOOKS,
    SECRET_BYTES,
    SECRET_PREFIX,
    TEST_EVENT,
    DeliveriesQuery,
    Webhook,
    WebhookCreate,
    WebhookDeleted,
    WebhookDelivery,
    WebhookPatch,
    WebhookWithSecret,
)
from edgeneuro.errors import ConflictError, InvalidRequestError, NotFoundError
from edgeneuro.store import webhook_deliveries as deliveries
from edgeneuro.store import webhooks as store
from edgeneuro.store.sql import rfc3339

_ROTATION_MS = 86_400_000  # how long the secret before signs too


async def list_webhooks(call: Call) -> Page[Webhook]:
    """List all webhooks, oldest first, without their secrets."""
    return page_of(await store.list_webhooks(call.services.db), limit=MAX_WEBHOOKS)


async def create_webhook(call: Call, body: WebhookCreate) -> WebhookWithSecret:
    """Create a webhook: an https address that receives events from now on. Only this response
    shows the secret that deliveries are signed with."""
    services = call.services
    _require_reachable(call, body.url)
    created = rfc3339(services.now_ms())
    webhook = Webhook(
        **body.model_dump(exclude={"secret"}),
        id=services.new_id("whk"),
        created_at=created,
        updated_at=created,
    )
    secret = body.secret or _new_secret(call)
    rows = await commit(
        call,
        [store.insert_webhook(webhook, secret)],
        action="create",
        resource="webhook",
        resource_id=webhook.id,
        after=webhook,
    )
    if not rows:
        raise ConflictError(
            f"There are {MAX_WEBHOOKS} webhooks already; delete one first.",
            code="too_many_webhooks",
        )
    return WebhookWithSecret(**webhook.model_dump(), secret=secret)


async def get_webhook(call: Call, webhook_id: str) -> Webhook:
    """Read one webhook, without its secret."""
    return await _find(call, webhook_id)


async def update_webhook(call: Call, webhook_id: str, body: WebhookPatch) -> Webhook:
    """Change the fields that are in the body. What waits for a webhook is given up if it is
    disabled."""
    before = await _find(call, webhook_id)
    changes = body.model_dump(include=body.model_fields_set)
    if not changes:
        return before
    if "url" in changes:
        _require_reachable(call, body.url)
    now_ms = call.services.now_ms()
    update = store.update_webhook(webhook_id, changes, now_ms=now_ms)
    first = []
    if not changes.get("enabled", before.enabled):
        first.append(deliveries.give_up_waiting(webhook_id, "The webhook was disabled."))
    elif not before.enabled or changes.get("events", before.events) != before.events:
        first.append(store.forget_unseen(webhook_id, now_ms=now_ms))
    rows = await commit(
        call,
        [*first, update],
        action="update",
        resource="webhook",
        resource_id=webhook_id,
        before=before,
        after=before.model_copy(update=changes),
    )
    if not rows:
        raise _unknown(webhook_id)
    return store.webhook_from_row(rows[0])


async def delete_webhook(call: Call, webhook_id: str) -> WebhookDeleted:
    """Delete a webhook with its deliveries."""
    before = await _find(call, webhook_id)
    await commit(
        call,
        [store.delete_webhook(webhook_id)],
        action="delete",
        resource="webhook",
        resource_id=webhook_id,
        before=before,
    )
    return WebhookDeleted(id=webhook_id)


async def rotate_secret(call: Call, webhook_id: str) -> WebhookWithSecret:
    """Make a new secret, which only this response shows. For 24 hours deliveries are signed with
    the one before, too."""
    before = await _find(call, webhook_id)
    now_ms = call.services.now_ms()
    secret = _new_secret(call)
    rotate = store.rotate_secret(webhook_id, secret, now_ms=now_ms, until_ms=now_ms + _ROTATION_MS)
    rows = await commit(
        call,
        [rotate],
        action="rotate_secret",
        resource="webhook",
        resource_id=webhook_id,
        before=before,
    )
    if not rows:
        raise _unknown(webhook_id)
    return WebhookWithSecret(**store.webhook_from_row(rows[0]).model_dump(), secret=secret)


async def test_webhook(call: Call, webhook_id: str) -> WebhookDelivery:
    """Send the event "webhook.test" at once, also to a webhook that is disabled. The response says
    what came of it; it is not tried again."""
    services = call.services
    await _find(call, webhook_id)
    delivery_id = services.new_id("whd")
    insert = deliveries.insert_test(delivery_id, webhook_id, TEST_EVENT, now_ms=services.now_ms())
    await services.db.run(insert)
    due = await deliveries.find_due(services.db, delivery_id, now_ms=services.now_ms())
    ended = None if due is None else await try_delivery(services, due, retry=False)
    if ended is None:
        raise _unknown(webhook_id)  # it was deleted meanwhile
    return ended


async def list_deliveries(
    call: Call, webhook_id: str, query: DeliveriesQuery
) -> Page[WebhookDelivery]:
    """List the deliveries of a webhook in the last 35 days, those to come too, newest first."""
    await _find(call, webhook_id)
    found = await deliveries.list_deliveries(
        call.services.db, webhook_id, query, limit=query.limit + 1
    )
    return page_of(found, limit=query.limit)


async def retry_delivery(call: Call, webhook_id: str, delivery_id: str) -> WebhookDelivery:
    """Try a delivery that was given up again, as if it were new. The cron sends it within a
    minute."""
    services = call.services
    webhook = await _find(call, webhook_id)
    if not webhook.enabled:
        raise ConflictError("The webhook is disabled: enable it first.", code="webhook_disabled")
    retry = deliveries.retry_delivery(webhook_id, delivery_id, now_ms=services.now_ms())
    rows = await services.db.run(retry)
    if rows:
        return deliveries.delivery_from_row(rows[0])
    found = await deliveries.find_delivery(services.db, webhook_id, delivery_id)
    if found is None:
        raise NotFoundError(
            f"There is no delivery {delivery_id[:100]!r} of this webhook.",
            code="unknown_delivery",
            param="delivery_id",
        )
    raise ConflictError(
        f"This delivery is {found.state!r}: only one that was given up is tried again.",
        code="delivery_not_failed",
    )


def _require_reachable(call: Call, url: str) -> None:
    if is_local(url) and not call.services.settings.local_agents:
        raise InvalidRequestError(
            "url: must begin with https:// and a public host. Only `npm start` may call programs on"
            " its own machine over http.",
            param="url",
        )


async def _find(call: Call, webhook_id: str) -> Webhook:
    webhook = await store.get_webhook(call.services.db, webhook_id)
    if webhook is None:
        raise _unknown(webhook_id)
    return webhook


def _unknown(webhook_id: str) -> NotFoundError:
    return NotFoundError(
        f"There is no webhook {webhook_id[:100]!r}. GET /v1/webhooks lists them.",
        code="unknown_webhook",
        param="webhook_id",
    )


def _new_secret(call: Call) -> str:
    key = bytes.fromhex(call.services.new_hex(SECRET_BYTES))
    return SECRET_PREFIX + base64.b64encode(key).decode()
