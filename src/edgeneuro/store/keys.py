"""The tables `keys` and `key_usage`. A key is found by the hash of its value, the only thing kept
of it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from edgeneuro.domain.key import (
    MINUTES_AHEAD,
    UNUSED,
    Key,
    KeyLimits,
    KnownKey,
    Used,
    limits_of,
    windows,
)
from edgeneuro.domain.permissions import Permissions
from edgeneuro.store.additions import NEW_ANSWERS, Addition, added
from edgeneuro.store.config import revisions_from_rows, select_revisions
from edgeneuro.store.database import Database, Row, Statement, statement
from edgeneuro.store.sql import ids, ids_json, rfc3339, unix_ms, update_row
from edgeneuro.store.teams import grant_columns, grant_from_row

_COLUMNS = (
    "id, name, hint, scopes, user_id, expires_at, requests_per_minute, monthly_token_budget,"
    " monthly_budget_usd, revoked_at, created_at, agents, models, router, team_id"
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
                " k.monthly_token_budget, k.monthly_budget_usd, u.role, u.enabled,"
                " u.id AS user_id, u.email AS user_email,"
                f" {grant_columns('k')}, {grant_columns('u')}, team.name AS team,"
                f" {grant_columns('team')}, user_team.name AS user_team,"
                f" {grant_columns('user_team')} FROM keys k"
                " LEFT JOIN users u ON u.id = k.user_id"
                " LEFT JOIN teams team ON team.id = k.team_id"
                " LEFT JOIN teams user_team ON user_team.id = u.team_id WHERE k.hash = ?1",
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
    """A user or a team that does not exist is a constraint error."""
    return statement(
        f"INSERT INTO keys ({_COLUMNS}, hash)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, NULL, ?10, ?11, ?12, ?13, ?14, ?15)"
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
        ids_json(key.agents),
        ids_json(key.models),
        key.router,
        key.team_id,
        key_hash,
    )


def update_key(key_id: str, changes: Mapping[str, Any]) -> Statement:
    """Only the fields in `changes`, of which there is one at least. No row comes back where there
    is no such key, or it is revoked."""
    columns = dict(changes)
    for name in ("scopes", "agents", "models"):
        if name in columns:
            columns[name] = ids_json(columns[name])
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
        agents=ids(row["agents"]),
        models=ids(row["models"]),
        router=row["router"],
        team_id=row["team_id"],
    )


def _known(row: Row) -> KnownKey:
    return KnownKey(
        id=row["id"],
        scopes=tuple(json.loads(row["scopes"])),
        expires_at_ms=row["expires_at"],
        revoked=row["revoked_at"] is not None,
        role=row["role"],
        user_id=row["user_id"],
        email=row["user_email"],
        groups=tuple(dict.fromkeys(filter(None, (row["team"], row["user_team"])))),
        user_enabled=bool(row["enabled"]),
        limits=limits_of(
            row["requests_per_minute"], row["monthly_token_budget"], row["monthly_budget_usd"]
        ),
        permissions=Permissions.of(
            grant_from_row(row, "k", "key", "This key"),
            grant_from_row(row, "team", "team", f"This key's team {row['team']!r}"),
            grant_from_row(row, "u", "user", "This key's user"),
            grant_from_row(row, "user_team", "team", f"The user's team {row['user_team']!r}"),
            only_priced=row["monthly_budget_usd"] is not None,
        ),
    )


# The table `key_usage`: what each limited key has used in its current minute and month.
#
# Each statement rolls the windows over, checks and writes at once, so isolates that count for the
# same key at the same time cannot pass a limit together.

_USAGE_COLUMNS = "minute, minute_requests, month, tokens, cost_usd"
# Of the stored row: a window that is over counts nothing; a later window than the isolate's is
# current, as long as its time is plausible.
_SAME_MINUTE = f"key_usage.minute BETWEEN excluded.minute AND excluded.minute + {MINUTES_AHEAD}"
_REQUESTS = f"CASE WHEN {_SAME_MINUTE} THEN key_usage.minute_requests ELSE 0 END"
_TOKENS, _COST_USD = (
    f"CASE WHEN key_usage.month >= excluded.month THEN key_usage.{column} ELSE 0 END"
    for column in ("tokens", "cost_usd")
)


def _fits(requests: str, tokens: str, cost_usd: str) -> str:
    """A request that takes no tokens, or no USD, is not refused where that budget is used up. Sums
    of USD are rounded, since 0.1 + 0.2 is more than 0.3."""
    return (
        f"(?6 IS NULL OR {requests} < ?6)"
        f" AND (?7 IS NULL OR ?4 = 0 OR {tokens} + ?4 <= ?7)"
        f" AND (?8 IS NULL OR ?5 = 0 OR round({cost_usd} + ?5, 12) <= ?8)"
    )


_RESERVE = (
    f"INSERT INTO key_usage (key_id, {_USAGE_COLUMNS})"
    f" SELECT ?1, ?2, 1, ?3, ?4, ?5 WHERE {_fits('0', '0', '0')}"
    " ON CONFLICT (key_id) DO UPDATE SET"
    f" minute = CASE WHEN {_SAME_MINUTE} THEN key_usage.minute ELSE excluded.minute END,"
    f" minute_requests = {_REQUESTS} + 1,"
    f" month = max(month, excluded.month), tokens = {_TOKENS} + excluded.tokens,"
    f" cost_usd = round({_COST_USD} + excluded.cost_usd, 12)"
    f" WHERE {_fits(_REQUESTS, _TOKENS, _COST_USD)}"
    f" RETURNING {_USAGE_COLUMNS}"
)


async def reserve_usage(
    db: Database, key_id: str, limits: KeyLimits, *, now: float, tokens: int, cost_usd: float
) -> tuple[bool, Used]:
    """Takes one request, the tokens and the USD, or nothing where they do not fit; what is used
    then."""
    reserve = statement(
        _RESERVE,
        key_id,
        *windows(now),
        tokens,
        cost_usd,
        limits.requests_per_minute,
        limits.monthly_token_budget,
        limits.monthly_budget_usd,
    )
    rows = await db.run(reserve)
    if not rows:
        # Once more with the read in one transaction, so that what is read is why it was refused.
        rows, found = await db.batch([reserve, _select([key_id])])
        if not rows:
            return False, (_used(found[0]) if found else UNUSED).at(now)
    return True, _used(rows[0])


def settle_usage(key_id: str, month: int, *, tokens: int, cost_usd: float) -> Statement:
    """Adds what was used beyond a reservation of this month; less than it was is negative. What
    was reserved in a month that is over ended with it."""
    return statement(
        "UPDATE key_usage SET tokens = max(0, tokens + ?3),"
        " cost_usd = max(0, round(cost_usd + ?4, 12)) WHERE key_id = ?1 AND month = ?2",
        key_id,
        month,
        tokens,
        cost_usd,
    )


def settle_with_answer(key_id: str, month: int, *, tokens: int, cost_usd: float) -> Addition:
    """The same, once with the log row of the answer."""
    return Addition("usage", (key_id, month, tokens, cost_usd))


SETTLE_MANY = (
    "UPDATE key_usage SET tokens = max(0, key_usage.tokens + sums.tokens),"
    " cost_usd = max(0, round(key_usage.cost_usd + sums.cost_usd, 12)) FROM"
    f" (SELECT {added(1)} AS key_id, {added(2)} AS month, sum({added(3)}) AS tokens,"
    f" total({added(4)}) AS cost_usd FROM {NEW_ANSWERS} GROUP BY 1, 2) AS sums"
    " WHERE key_usage.key_id = sums.key_id AND key_usage.month = sums.month"
)


async def read_usage(db: Database, key_ids: Sequence[str], *, now: float) -> dict[str, Used]:
    """By key; one that has used nothing yet is not in it."""
    rows = await db.run(_select(key_ids))
    return {row["key_id"]: _used(row).at(now) for row in rows}


def _select(key_ids: Sequence[str]) -> Statement:
    return statement(
        f"SELECT key_id, {_USAGE_COLUMNS} FROM key_usage"
        " WHERE key_id IN (SELECT value FROM json_each(?1))",
        json.dumps(list(key_ids)),
    )


def _used(row: Row) -> Used:
    return Used(
        minute=row["minute"],
        minute_requests=row["minute_requests"],
        month=row["month"],
        tokens=row["tokens"],
        cost_usd=row["cost_usd"],
    )
