"""The table `users`."""

from collections.abc import Mapping
from typing import Any

from edgeneuro.domain.permissions import Permissions
from edgeneuro.domain.user import KnownUser, User
from edgeneuro.store.config import revisions_from_rows, select_revisions
from edgeneuro.store.database import Database, Row, Statement, statement
from edgeneuro.store.sql import ids, ids_json, rfc3339, unix_ms, update_row
from edgeneuro.store.teams import grant_columns, grant_from_row

_COLUMNS = "id, email, name, role, enabled, created_at, updated_at, team_id, agents, models, router"


async def list_users(
    db: Database, *, limit: int, after: str | None, email: str | None
) -> list[User]:
    rows = await db.run(
        statement(
            f"SELECT {_COLUMNS} FROM users WHERE id > ?1 AND (?2 IS NULL OR email = ?2)"
            " ORDER BY id LIMIT ?3",
            after or "",
            email,
            limit,
        )
    )
    return [user_from_row(row) for row in rows]


async def get_user(db: Database, user_id: str) -> User | None:
    rows = await db.run(statement(f"SELECT {_COLUMNS} FROM users WHERE id = ?1", user_id))
    return user_from_row(rows[0]) if rows else None


async def find_user(db: Database, email: str) -> tuple[KnownUser | None, int]:
    """The user with this address, and the access revision at which that was so."""
    revisions, rows = await db.batch(
        [
            select_revisions(),
            statement(
                f"SELECT u.id, u.email, u.role, u.enabled, {grant_columns('u')},"
                f" team.name AS team, {grant_columns('team')}"
                " FROM users u LEFT JOIN teams team ON team.id = u.team_id WHERE u.email = ?1",
                email,
            ),
        ]
    )
    return _known(rows[0]) if rows else None, revisions_from_rows(revisions).access


def _known(row: Row) -> KnownUser:
    return KnownUser(
        id=row["id"],
        email=row["email"],
        role=row["role"],
        enabled=bool(row["enabled"]),
        groups=() if row["team"] is None else (row["team"],),
        permissions=Permissions.of(
            grant_from_row(row, "u", "user", "This user"),
            grant_from_row(row, "team", "team", f"This user's team {row['team']!r}"),
        ),
    )


def insert_user(user: User) -> Statement:
    """An address that is taken, or a team that does not exist, is a constraint error."""
    return statement(
        f"INSERT INTO users ({_COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8, ?9, ?10)"
        f" RETURNING {_COLUMNS}",
        user.id,
        user.email,
        user.name,
        user.role,
        user.enabled,
        unix_ms(user.created_at),
        user.team_id,
        ids_json(user.agents),
        ids_json(user.models),
        user.router,
    )


def update_user(user_id: str, changes: Mapping[str, Any], *, now_ms: int) -> Statement:
    """Only the fields in `changes`. No row comes back where there is no such user."""
    columns = {**changes, "updated_at": now_ms}
    for name in columns.keys() & {"agents", "models"}:
        columns[name] = ids_json(columns[name])
    return update_row("users", user_id, columns, returning=_COLUMNS)


def delete_user(user_id: str) -> Statement:
    """Goes after store.keys.detach_keys: the keys point to the user."""
    return statement("DELETE FROM users WHERE id = ?1 RETURNING id", user_id)


def user_from_row(row: Row) -> User:
    return User(
        id=row["id"],
        email=row["email"],
        name=row["name"],
        role=row["role"],
        enabled=bool(row["enabled"]),
        created_at=rfc3339(row["created_at"]),
        updated_at=rfc3339(row["updated_at"]),
        team_id=row["team_id"],
        agents=ids(row["agents"]),
        models=ids(row["models"]),
        router=row["router"],
    )
