"""The table `webhooks`: which address receives which events."""

import json
from collections.abc import Mapping
from typing import Any

from edgeneuro.domain.webhook import MAX_WEBHOOKS, Event, Webhook
from edgeneuro.store.database import Database, Row, Rows, Statement, statement
from edgeneuro.store.sql import rfc3339, unix_ms, update_row

_COLUMNS = (
    "id, url, events, enabled, previous_until, created_at, updated_at,"
    " (SELECT count(*) FROM webhook_deliveries AS d WHERE d.webhook_id = webhooks.id"
    " AND d.state = 'waiting') AS waiting,"
    " (SELECT count(*) FROM webhook_deliveries AS d WHERE d.webhook_id = webhooks.id"
    " AND d.state = 'failed') AS failed,"
    " (SELECT max(d.delivered_at) FROM webhook_deliveries AS d"
    " WHERE d.webhook_id = webhooks.id) AS last_delivered_at"
)
_NEWEST_LOG = "(SELECT coalesce(max(seq), 0) FROM logs)"


def subscribed(event: Event) -> str:
    """A condition in SQL on a row of `webhooks`."""
    return f"enabled = 1 AND EXISTS (SELECT 1 FROM json_each(events) WHERE value = '{event}')"


async def list_webhooks(db: Database) -> list[Webhook]:
    rows = await db.run(statement(f"SELECT {_COLUMNS} FROM webhooks ORDER BY id"))
    return [webhook_from_row(row) for row in rows]


async def get_webhook(db: Database, webhook_id: str) -> Webhook | None:
    rows = await db.run(statement(f"SELECT {_COLUMNS} FROM webhooks WHERE id = ?1", webhook_id))
    return webhook_from_row(rows[0]) if rows else None


def insert_webhook(webhook: Webhook, secret: str) -> Statement:
    """No row comes back where there are `MAX_WEBHOOKS` already. It receives what happens from now
    on."""
    return statement(
        "INSERT INTO webhooks (id, url, events, secret, enabled, seen_seq, seen_at, created_at,"
        f" updated_at) SELECT ?1, ?2, ?3, ?4, ?5, {_NEWEST_LOG}, ?6, ?6, ?6"
        f" WHERE (SELECT count(*) FROM webhooks) < {MAX_WEBHOOKS} RETURNING {_COLUMNS}",
        webhook.id,
        webhook.url,
        json.dumps(webhook.events),
        secret,
        webhook.enabled,
        unix_ms(webhook.created_at),
    )


def update_webhook(webhook_id: str, changes: Mapping[str, Any], *, now_ms: int) -> Statement:
    """No row comes back where there is no such webhook."""
    columns = {**changes, "updated_at": now_ms}
    if "events" in columns:
        columns["events"] = json.dumps(columns["events"])
    return update_row("webhooks", webhook_id, columns, returning=_COLUMNS)


def forget_unseen(webhook_id: str, *, now_ms: int) -> Statement:
    """It receives what happens from now on: it was disabled, or received other events."""
    return statement(
        f"UPDATE webhooks SET seen_seq = {_NEWEST_LOG}, seen_at = ?2 WHERE id = ?1",
        webhook_id,
        now_ms,
    )


def rotate_secret(webhook_id: str, secret: str, *, now_ms: int, until_ms: int) -> Statement:
    """The secret until now is valid until then. No row comes back where there is no such
    webhook."""
    return statement(
        "UPDATE webhooks SET previous_secret = secret, previous_until = ?4, secret = ?2,"
        f" updated_at = ?3 WHERE id = ?1 RETURNING {_COLUMNS}",
        webhook_id,
        secret,
        now_ms,
        until_ms,
    )


def delete_webhook(webhook_id: str) -> Statement:
    """With its deliveries."""
    return statement("DELETE FROM webhooks WHERE id = ?1 RETURNING id", webhook_id)


async def enabled_events(db: Database) -> set[str]:
    """The events that some webhook receives."""
    rows = await db.run(statement("SELECT events FROM webhooks WHERE enabled = 1"))
    return {event for row in rows for event in json.loads(row["events"])}


# How many decisions were not confident enough: log rows are counted by the order in which they were
# written, so each counts once for a webhook, whenever it was written.


async def count_low_confidence(db: Database, *, before_ms: int) -> Rows:
    """`id`, `seen_seq`, `seen_at`, `newest` and `decisions` of each webhook that has not counted
    since then."""
    return await db.run(
        statement(
            f"SELECT id, seen_seq, seen_at, {_NEWEST_LOG} AS newest, (SELECT count(*) FROM logs"
            # The first condition is that of an index.
            " WHERE reason IN ('low_confidence', 'out_of_scope') AND reason = 'low_confidence'"
            " AND seq > webhooks.seen_seq) AS decisions FROM webhooks"
            f" WHERE seen_at <= ?1 AND {subscribed('decision.low_confidence')}",
            before_ms,
        )
    )


def move_seen(row: Row, *, now_ms: int) -> Statement:
    """After the event of `row` of `count_low_confidence` was written, in the same batch."""
    return statement(
        "UPDATE webhooks SET seen_seq = ?3, seen_at = ?4 WHERE id = ?1 AND seen_seq = ?2",
        row["id"],
        row["seen_seq"],
        row["newest"],
        now_ms,
    )


def webhook_from_row(row: Row) -> Webhook:
    times = ("created_at", "updated_at", "last_delivered_at", "previous_until")
    at = {name: None if row[name] is None else rfc3339(row[name]) for name in times}
    return Webhook.model_validate(
        {
            **{name: row[name] for name in ("id", "url", "waiting", "failed")},
            "events": json.loads(row["events"]),
            "enabled": bool(row["enabled"]),
            "previous_secret_until": at.pop("previous_until"),
            **at,
        }
    )
