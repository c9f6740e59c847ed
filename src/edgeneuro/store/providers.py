"""The table `providers`."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from edgeneuro.domain.provider import Provider
from edgeneuro.store.database import Database, Row, Statement, statement
from edgeneuro.store.sql import rfc3339, unix_ms, update_row

_COLUMNS = (
    "id, kind, base_url, secret, models, priority, enabled, created_at, updated_at, prices,"
    " decision_models"
)


def select_enabled_providers() -> Statement:
    return statement(f"SELECT {_COLUMNS} FROM providers WHERE enabled = 1 ORDER BY priority, id")


def select_providers() -> Statement:
    return statement(f"SELECT {_COLUMNS} FROM providers ORDER BY id")


async def list_providers(db: Database, *, limit: int, after: str | None) -> list[Provider]:
    rows = await db.run(
        statement(
            f"SELECT {_COLUMNS} FROM providers WHERE id > ?1 ORDER BY id LIMIT ?2",
            after or "",
            limit,
        )
    )
    return [provider_from_row(row) for row in rows]


async def get_provider(db: Database, provider_id: str) -> Provider | None:
    rows = await db.run(statement(f"SELECT {_COLUMNS} FROM providers WHERE id = ?1", provider_id))
    return provider_from_row(rows[0]) if rows else None


def insert_provider(provider: Provider) -> Statement:
    """An id that is taken is a constraint error."""
    return statement(
        f"INSERT INTO providers ({_COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9, ?10)",
        provider.id,
        provider.kind,
        provider.base_url,
        provider.secret,
        json.dumps(provider.models),
        provider.priority,
        provider.enabled,
        unix_ms(provider.created_at),
        json.dumps({name: price.model_dump() for name, price in provider.prices.items()}),
        _json_or_null(provider.decision_models),
    )


def update_provider(provider_id: str, changes: Mapping[str, Any], *, now_ms: int) -> Statement:
    """No row comes back where there is no such provider."""
    columns = {**changes, "updated_at": now_ms}
    for name in ("models", "prices"):
        if name in columns:
            columns[name] = json.dumps(columns[name])
    if "decision_models" in columns:
        columns["decision_models"] = _json_or_null(columns["decision_models"])
    return update_row("providers", provider_id, columns, returning=_COLUMNS)


def delete_provider(provider_id: str) -> Statement:
    return statement("DELETE FROM providers WHERE id = ?1 RETURNING id", provider_id)


def _json_or_null(names: Sequence[str] | None) -> str | None:
    return None if names is None else json.dumps(names)


def provider_from_row(row: Row) -> Provider:
    named = row["decision_models"]
    return Provider(
        id=row["id"],
        kind=row["kind"],
        base_url=row["base_url"],
        secret=row["secret"],
        models=json.loads(row["models"]),
        prices=json.loads(row["prices"]),
        decision_models=None if named is None else json.loads(named),
        priority=row["priority"],
        enabled=bool(row["enabled"]),
        created_at=rfc3339(row["created_at"]),
        updated_at=rfc3339(row["updated_at"]),
    )
