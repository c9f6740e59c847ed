"""The delivery of webhooks' events: the cron sends what is due. A run is bounded in deliveries and
in time, and an address that fails in a run is left to later ones, so that it holds up no other."""

from edgeneuro.domain.webhook import WebhookDelivery, delivery_body
from edgeneuro.services import Services
from edgeneuro.store import webhook_deliveries as store
from edgeneuro.store.sql import rfc3339
from edgeneuro.store.webhook_deliveries import DueDelivery

MAX_DELIVERIES = 20  # of a run; each is three queries of D1 at most
_RUN_MS = 15_000  # no further attempt begins later
_LEASE_MS = 120_000  # longer than a run: no other takes what this one sends
_MINUTE_MS = 60_000
# After the first attempt, the second, …; after the last one it is given up, 44 hours after the
# first.
PAUSES_MS = tuple(minutes * _MINUTE_MS for minutes in (1, 5, 30, 120, 360, 720, 1440))
MAX_ATTEMPTS = len(PAUSES_MS) + 1
KEPT_MS = 35 * 86_400_000  # longer than a month, so that a month's budget is delivered once


async def deliver_due(services: Services) -> None:
    """Sends what is due."""
    ends_at = services.now_ms() + _RUN_MS
    failing: set[str] = set()
    for _ in range(MAX_DELIVERIES):
        now_ms = services.now_ms()
        if now_ms >= ends_at:
            return
        due = await store.take_due(
            services.db, now_ms=now_ms, until_ms=now_ms + _LEASE_MS, without=failing
        )
        if due is None:
            return
        ended = await try_delivery(services, due, retry=True)
        if ended is not None and ended.last_error is not None:
            failing.add(due.webhook_id)


async def try_delivery(
    services: Services, due: DueDelivery, *, retry: bool
) -> WebhookDelivery | None:
    """One attempt, and what it came to; None if the delivery was deleted meanwhile. Without `retry`
    a failure is the end of it."""
    body = delivery_body(due.event, rfc3339(due.created_at), due.data)
    outcome = await services.webhooks.send(due.url, due.secrets, message_id=due.id, body=body)
    now_ms = services.now_ms()
    again = retry and due.attempts < MAX_ATTEMPTS
    rows = await services.db.run(
        store.end_attempt(
            due,
            now_ms=now_ms,
            status=outcome.status,
            error=outcome.error,
            retry_at_ms=now_ms + PAUSES_MS[due.attempts - 1] if again else None,
        )
    )
    return store.delivery_from_row(rows[0]) if rows else None


async def purge_old(services: Services) -> None:
    await store.purge_deliveries(services.db, before_ms=services.now_ms() - KEPT_MS)
