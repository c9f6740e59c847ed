"""The table `routers`."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from edgeneuro.domain.config import ROUTER_SETTINGS
from edgeneuro.domain.router import MAX_ROUTERS, Router
from edgeneuro.store.database import Database, Row, Rows, Statement, statement
from edgeneuro.store.sql import ids, ids_json, rfc3339, unix_ms

_COLUMNS = "id, name, agents, default_agent, settings, created_at, updated_at"
# Who uses a router, or is about it. A revoked key uses none.
_USERS = (
    ("key", "SELECT id, name FROM keys WHERE router = ?1 AND revoked_at IS NULL"),
    ("user", "SELECT id, email FROM users WHERE router = ?1"),
    ("team", "SELECT id, name FROM teams WHERE router = ?1"),
    ("rule", "SELECT id, name FROM rules WHERE router = ?1"),
)
_MAX_NAMED = 10


def select_routers() -> Statement:
    return statement(f"SELECT {_COLUMNS} FROM routers ORDER BY id")


async def list_routers(db: Database) -> list[Router]:
    return intact_routers(await db.run(select_routers()))


async def get_router(db: Database, router_id: str) -> Router | None:
    rows = await db.run(statement(f"SELECT {_COLUMNS} FROM routers WHERE id = ?1", router_id))
    return router_from_row(rows[0]) if rows else None


def insert_router(router: Router) -> Statement:
    """An id that is taken is a constraint error. No row comes back where there are `MAX_ROUTERS`
    already."""
    return statement(
        f"INSERT INTO routers ({_COLUMNS}) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?6"
        f" WHERE (SELECT count(*) FROM routers) < {MAX_ROUTERS} RETURNING {_COLUMNS}",
        router.id,
        router.name,
        ids_json(router.agents),
        router.default_agent,
        json.dumps(router.own()),
        unix_ms(router.created_at or ""),
    )


def update_router(router_id: str, changes: Mapping[str, Any], *, now_ms: int) -> Statement:
    """Only the fields in `changes`, so that simultaneous changes of others stay; a setting that is
    null goes. No row comes back where there is no such router."""
    columns: dict[str, Any] = {
        name: value for name, value in changes.items() if name not in ROUTER_SETTINGS
    }
    if "agents" in columns:
        columns["agents"] = ids_json(columns["agents"])
    columns["updated_at"] = now_ms
    assignments = ", ".join(f"{column} = ?{n}" for n, column in enumerate(columns, start=3))
    settings = {name: value for name, value in changes.items() if name in ROUTER_SETTINGS}
    # A patch as RFC 7396 has it: null removes.
    return Statement(
        f"UPDATE routers SET settings = json_patch(settings, ?2), {assignments} WHERE id = ?1"
        f" RETURNING {_COLUMNS}",
        (router_id, json.dumps(settings), *columns.values()),
    )


async def read_uses(db: Database, router_id: str) -> Rows:
    """Who names the router: `kind` ("key", "user", "team" or "rule"), `id` and `name`, at most 10
    of each."""
    found = await db.batch(
        [statement(f"{sql} ORDER BY 1 LIMIT {_MAX_NAMED}", router_id) for _, sql in _USERS]
    )
    return [
        {"kind": kind, **dict(zip(("id", "name"), row.values(), strict=True))}
        for (kind, _), rows in zip(_USERS, found, strict=True)
        for row in rows
    ]


async def read_users_of(db: Database, router_ids: Sequence[str]) -> Rows:
    """The keys, users and teams that name one of these routers, at most 100: `router`, `kind`
    ("key", "user" or "team"), `id` and `name`."""
    named = "router IN (SELECT value FROM json_each(?1))"
    sql = (
        f"SELECT router, 'key' AS kind, id, name FROM keys WHERE {named} AND revoked_at IS NULL"
        f" UNION ALL SELECT router, 'user', id, email FROM users WHERE {named}"
        f" UNION ALL SELECT router, 'team', id, name FROM teams WHERE {named} LIMIT 100"
    )
    return await db.run(statement(sql, json.dumps(router_ids)))


def delete_router(router_id: str) -> Statement:
    """No row comes back where a key, a user, a team or a rule names it."""
    unused = " AND ".join(f"NOT EXISTS ({sql})" for _, sql in _USERS)
    return statement(f"DELETE FROM routers WHERE id = ?1 AND {unused} RETURNING id", router_id)


def router_from_row(row: Row) -> Router:
    """A setting that is damaged, or that is none any more, counts as not set. Raises
    ValidationError for a row that is damaged otherwise."""
    about = {
        "id": row["id"],
        "name": row["name"],
        "agents": ids(row["agents"]),
        "default_agent": row["default_agent"],
        "created_at": rfc3339(row["created_at"]),
        "updated_at": rfc3339(row["updated_at"]),
    }
    settings = json.loads(row["settings"])
    with suppress(ValueError):
        return Router.model_validate(about | settings)
    return Router.model_validate(about | _valid(settings))


def _valid(settings: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for name, value in settings.items():
        with suppress(ValueError):
            Router.model_validate({"id": "", name: value})
            found[name] = value
    return found


def intact_routers(rows: Rows) -> list[Router]:
    """Without those that are damaged (edited by hand, say): they must not end routing."""
    found = []
    for row in rows:
        with suppress(ValueError):
            found.append(router_from_row(row))
    return found
