"""The table `webhook_deliveries`: the outbox. A row is written in the transaction of what it
reports, or once by its name in `once`, and the cron delivers it. A trigger of the table `jobs`
writes the ends of jobs."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from edgeneuro.domain.erasure import ErasureTarget
from edgeneuro.domain.webhook import DeliveriesQuery, Event, WebhookDelivery
from edgeneuro.store.database import Database, Row, Statement, statement
from edgeneuro.store.sql import (
    PURGE_CHUNK,
    Conditions,
    compact_json,
    purge_in_chunks,
    rfc3339,
)
from edgeneuro.store.webhooks import subscribed

_COLUMNS = (
    "id, webhook_id, event, data, state, created_at, attempts, next_attempt_at, last_status,"
    " last_error, delivered_at"
)
# An id that sorts by time, as all ids do; ?1 is the time.
_NEW_ID = "printf('whd_%012x%s', ?1, lower(hex(randomblob(10))))"
_INSERT = (
    "INSERT INTO webhook_deliveries (id, webhook_id, event, once, data, state, created_at,"
    f" next_attempt_at) SELECT {_NEW_ID}, id, ?2, ?3, ?4, 'waiting', ?1, ?1 FROM webhooks"
)
_TWICE = "ON CONFLICT (webhook_id, once) WHERE once IS NOT NULL DO NOTHING"


@dataclass(frozen=True)
class DueDelivery:
    """One that this run delivers. `secrets` are those to sign with, `attempts` includes this
    one."""

    id: str
    webhook_id: str
    url: str
    secrets: tuple[str, ...]
    event: str
    data: dict[str, Any]
    created_at: int
    attempts: int


def insert_event(event: Event, data: Mapping[str, Any], *, now_ms: int, once: str) -> Statement:
    """A delivery for each webhook that receives this kind of event and has none of this one."""
    return statement(
        f"{_INSERT} WHERE {subscribed(event)} {_TWICE}", now_ms, event, once, compact_json(data)
    )


def insert_event_of(row: Row, event: Event, data: Mapping[str, Any], *, now_ms: int) -> Statement:
    """A delivery for the webhook of this row of `count_low_confidence`, unless another run was
    faster."""
    return statement(
        f"{_INSERT} WHERE id = ?5 AND seen_seq = ?6",
        now_ms,
        event,
        None,
        compact_json(data),
        row["id"],
        row["seen_seq"],
    )


def insert_test(delivery_id: str, webhook_id: str, event: str, *, now_ms: int) -> Statement:
    """A delivery that no run of the cron tries."""
    return statement(
        "INSERT INTO webhook_deliveries (id, webhook_id, event, data, state, created_at, attempts,"
        " next_attempt_at, last_error) SELECT ?1, id, ?3, ?4, 'failed', ?5, 1, ?5,"
        " 'It is being tried.' FROM webhooks WHERE id = ?2 RETURNING id",
        delivery_id,
        webhook_id,
        event,
        compact_json({"webhook_id": webhook_id}),
        now_ms,
    )


async def take_due(
    db: Database, *, now_ms: int, until_ms: int, without: Collection[str]
) -> DueDelivery | None:
    """The delivery that waits longest, of another webhook than `without`. No other run takes it
    before `until_ms`: if this one is killed, it is tried again then."""
    rows = await db.run(
        statement(
            "UPDATE webhook_deliveries SET attempts = attempts + 1, next_attempt_at = ?2"
            " WHERE id = (SELECT d.id FROM webhook_deliveries AS d"
            " JOIN webhooks ON webhooks.id = d.webhook_id AND webhooks.enabled = 1"
            " WHERE d.state = 'waiting' AND d.next_attempt_at <= ?1"
            " AND d.webhook_id NOT IN (SELECT value FROM json_each(?3))"
            f" ORDER BY d.next_attempt_at, d.id LIMIT 1) RETURNING {_due_columns('?1')}",
            now_ms,
            until_ms,
            json.dumps(list(without)),
        )
    )
    return _due(rows[0]) if rows else None


async def find_due(db: Database, delivery_id: str, *, now_ms: int) -> DueDelivery | None:
    """This delivery, whatever its state."""
    rows = await db.run(
        statement(
            f"SELECT {_due_columns('?2')} FROM webhook_deliveries WHERE id = ?1",
            delivery_id,
            now_ms,
        )
    )
    return _due(rows[0]) if rows else None


def _due_columns(now: str) -> str:
    webhook = "FROM webhooks WHERE webhooks.id = webhook_deliveries.webhook_id"
    return (
        "id, webhook_id, event, data, created_at, attempts,"
        f" (SELECT url {webhook}) AS url, (SELECT secret {webhook}) AS secret,"
        f" (SELECT previous_secret {webhook} AND previous_until > {now}) AS previous_secret"
    )


def _due(row: Row) -> DueDelivery:
    secrets = (row["secret"], row["previous_secret"])
    return DueDelivery(
        id=row["id"],
        webhook_id=row["webhook_id"],
        url=row["url"],
        secrets=tuple(each for each in secrets if each is not None),
        event=row["event"],
        data=json.loads(row["data"]),
        created_at=row["created_at"],
        attempts=row["attempts"],
    )


def end_attempt(
    due: DueDelivery,
    *,
    now_ms: int,
    status: int | None,
    error: str | None,
    retry_at_ms: int | None,
) -> Statement:
    """What the attempt came to. Without an error it is delivered; without `retry_at_ms` it is given
    up."""
    state = "delivered" if error is None else "failed" if retry_at_ms is None else "waiting"
    return statement(
        "UPDATE webhook_deliveries SET state = ?2, last_status = ?3, last_error = ?4,"
        " next_attempt_at = coalesce(?5, next_attempt_at), delivered_at = iif(?4 IS NULL, ?6, NULL)"
        f" WHERE id = ?1 AND attempts = ?7 RETURNING {_COLUMNS}",
        due.id,
        state,
        status,
        error,
        retry_at_ms,
        now_ms,
        due.attempts,
    )


def give_up_waiting(webhook_id: str, error: str) -> Statement:
    return statement(
        "UPDATE webhook_deliveries SET state = 'failed', last_error = ?2"
        " WHERE webhook_id = ?1 AND state = 'waiting'",
        webhook_id,
        error,
    )


def retry_delivery(webhook_id: str, delivery_id: str, *, now_ms: int) -> Statement:
    """As if it were new. No row comes back where it waits or was delivered."""
    return statement(
        "UPDATE webhook_deliveries SET state = 'waiting', attempts = 0, next_attempt_at = ?3"
        f" WHERE id = ?2 AND webhook_id = ?1 AND state = 'failed' RETURNING {_COLUMNS}",
        webhook_id,
        delivery_id,
        now_ms,
    )


async def find_delivery(db: Database, webhook_id: str, delivery_id: str) -> WebhookDelivery | None:
    rows = await db.run(
        statement(
            f"SELECT {_COLUMNS} FROM webhook_deliveries WHERE id = ?1 AND webhook_id = ?2",
            delivery_id,
            webhook_id,
        )
    )
    return delivery_from_row(rows[0]) if rows else None


async def list_deliveries(
    db: Database, webhook_id: str, query: DeliveriesQuery, *, limit: int
) -> list[WebhookDelivery]:
    """Newest first."""
    wanted = Conditions()
    wanted.add("webhook_id = ?", webhook_id)
    if query.after is not None:
        wanted.add("id < ?", query.after)
    if query.state is not None:
        wanted.add("state = ?", query.state)
    rows = await db.run(
        statement(
            f"SELECT {_COLUMNS} FROM webhook_deliveries WHERE {wanted.sql}"
            " ORDER BY id DESC LIMIT ?",
            *wanted.values,
            limit,
        )
    )
    return [delivery_from_row(row) for row in rows]


async def purge_deliveries(db: Database, *, before_ms: int) -> int:
    chunk = statement(
        "DELETE FROM webhook_deliveries WHERE id IN (SELECT id FROM webhook_deliveries"
        f" WHERE created_at < ?1 LIMIT {PURGE_CHUNK}) RETURNING id",
        before_ms,
    )
    return await purge_in_chunks(db, chunk, max_chunks=2)


def erase_deliveries(target: ErasureTarget) -> Statement:
    """Those about the keys of the person. Others hold nothing of what anybody sent."""
    return statement(
        "DELETE FROM webhook_deliveries"
        " WHERE data ->> '$.key_id' IN (SELECT value FROM json_each(?1))",
        json.dumps(target.key_ids),
    )


def delivery_from_row(row: Row) -> WebhookDelivery:
    waits = row["state"] == "waiting"
    delivered_at = row["delivered_at"]
    return WebhookDelivery.model_validate(
        {
            **row,
            "data": json.loads(row["data"]),
            "created_at": rfc3339(row["created_at"]),
            "next_attempt_at": rfc3339(row["next_attempt_at"]) if waits else None,
            "delivered_at": None if delivered_at is None else rfc3339(delivered_at),
        }
    )
