"""The table `keys`. A key is found by the hash of its value, the only thing kept of it."""

import json
from collections.abc import Mapping
from typing import Any

from edgeneuro.domain.key import Key, KnownKey, limits_of
from edgeneuro.domain.permissions import Permissions
from edgeneuro.store.changes import update_row
from edgeneuro.store.config import revisions_from_rows, select_revisions
from edgeneuro.store.database import Database, Row, Statement, statement
from edgeneuro.store.times import rfc3339, unix_ms

_COLUMNS = (
    "id, name, hint, scopes, user_id, expires_at, requests_per_minute, monthly_token_budget,"
    " monthly_budget_usd, revoked_at, created_at, agents, models"
)


async def list_keys(
    db: Database, *, limit: int, after: str | None, user_id: str | None
) -> list[Key]:
    rows = await db.run(
        statement(
            f"SELECT {_COLUMNS} FROM keys WHERE id > ?1 AND (?2 IS NULL OR user_id = ?2)"
            " ORDER BY id LIMIT ?3",
            after or "",
            user_id,
            limit,
        )
    )
    return [key_from_row(row) for row in rows]


async def get_key(db: Database, key_id: str) -> Key | None:
    rows = await db.run(statement(f"SELECT {_COLUMNS} FROM keys WHERE id = ?1", key_id))
    return key_from_row(rows[0]) if rows else None


async def find_key(db: Database, key_hash: str) -> tuple[KnownKey | None, int]:
    """The key with this hash, and the access revision at which that was so."""
    revisions, rows = await db.batch(
        [
            select_revisions(),
            statement(
                "SELECT k.id, k.scopes, k.expires_at, k.revoked_at, k.requests_per_minute,"
                " k.monthly_token_budget, k.monthly_budget_usd, k.agents, k.models, u.role,"
                " u.enabled"
                " FROM keys k LEFT JOIN users u ON u.id = k.user_id WHERE k.hash = ?1",
                key_hash,
            ),
        ]
    )
    return _known(rows[0]) if rows else None, revisions_from_rows(revisions).access


async def list_key_ids(db: Database, user_id: str) -> list[str]:
    """All keys of this user, revoked ones too."""
    rows = await db.run(statement("SELECT id FROM keys WHERE user_id = ?1 ORDER BY id", user_id))
    return [row["id"] for row in rows]


async def unrevoked_ids(db: Database, user_id: str) -> list[str]:
    rows = await db.run(
        statement(
            "SELECT id FROM keys WHERE user_id = ?1 AND revoked_at IS NULL ORDER BY id", user_id
        )
    )
    return [row["id"] for row in rows]


def insert_key(key: Key, key_hash: str) -> Statement:
    """A user that does not exist is a constraint error."""
    return statement(
        f"INSERT INTO keys ({_COLUMNS}, hash)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, NULL, ?10, ?11, ?12, ?13)"
        f" RETURNING {_COLUMNS}",
        key.id,
        key.name,
        key.hint,
        json.dumps(key.scopes),
        key.user_id,
        None if key.expires_at is None else unix_ms(key.expires_at),
        key.requests_per_minute,
        key.monthly_token_budget,
        key.monthly_budget_usd,
        unix_ms(key.created_at),
        _json(key.agents),
        _json(key.models),
        key_hash,
    )


def update_key(key_id: str, changes: Mapping[str, Any]) -> Statement:
    """Only the fields in `changes`, of which there is one at least. No row comes back where there
    is no such key, or it is revoked."""
    columns = dict(changes)
    for name in ("scopes", "agents", "models"):
        if name in columns:
            columns[name] = _json(columns[name])
    if columns.get("expires_at") is not None:
        columns["expires_at"] = unix_ms(columns["expires_at"])
    return update_row("keys", key_id, columns, returning=_COLUMNS, only_if="revoked_at IS NULL")


def revoke_key(key_id: str, *, now_ms: int) -> Statement:
    """No row comes back where it is revoked already."""
    return update_key(key_id, {"revoked_at": now_ms})


def detach_keys(user_id: str, *, now_ms: int) -> Statement:
    """Revokes a user's keys and takes the user's name off them, so that the user can go."""
    return statement(
        "UPDATE keys SET revoked_at = coalesce(revoked_at, ?2), user_id = NULL WHERE user_id = ?1",
        user_id,
        now_ms,
    )


def key_from_row(row: Row) -> Key:
    expires_at, revoked_at = row["expires_at"], row["revoked_at"]
    return Key(
        id=row["id"],
        name=row["name"],
        hint=row["hint"],
        scopes=json.loads(row["scopes"]),
        user_id=row["user_id"],
        expires_at=None if expires_at is None else rfc3339(expires_at),
        requests_per_minute=row["requests_per_minute"],
        monthly_token_budget=row["monthly_token_budget"],
        monthly_budget_usd=row["monthly_budget_usd"],
        revoked_at=None if revoked_at is None else rfc3339(revoked_at),
        created_at=rfc3339(row["created_at"]),
        agents=_list(row["agents"]),
        models=_list(row["models"]),
    )


def _json(names: list[str] | None) -> str | None:
    return None if names is None else json.dumps(names)


def _list(text: str | None) -> list[str] | None:
    names: list[str] | None = None if text is None else json.loads(text)
    return names


def _known(row: Row) -> KnownKey:
    agents, models = _list(row["agents"]), _list(row["models"])
    return KnownKey(
        id=row["id"],
        scopes=tuple(json.loads(row["scopes"])),
        expires_at_ms=row["expires_at"],
        revoked=row["revoked_at"] is not None,
        role=row["role"],
        user_enabled=bool(row["enabled"]),
        limits=limits_of(
            row["requests_per_minute"], row["monthly_token_budget"], row["monthly_budget_usd"]
        ),
        permissions=Permissions(
            agents=None if agents is None else frozenset(agents),
            models=None if models is None else frozenset(models),
            only_priced=row["monthly_budget_usd"] is not None,
        ),
    )
