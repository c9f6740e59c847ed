"""The table `teams`."""

from collections.abc import Mapping
from typing import Any

from edgeneuro.domain.permissions import Grant, Holder
from edgeneuro.domain.team import Team
from edgeneuro.store.database import Database, Row, Rows, Statement, statement
from edgeneuro.store.sql import ids, ids_json, rfc3339, unix_ms, update_row

_COLUMNS = "id, name, agents, models, router, created_at, updated_at"


async def list_teams(db: Database, *, limit: int, after: str | None) -> list[Team]:
    rows = await db.run(
        statement(
            f"SELECT {_COLUMNS} FROM teams WHERE id > ?1 ORDER BY id LIMIT ?2", after or "", limit
        )
    )
    return [team_from_row(row) for row in rows]


async def get_team(db: Database, team_id: str) -> Team | None:
    rows = await db.run(statement(f"SELECT {_COLUMNS} FROM teams WHERE id = ?1", team_id))
    return team_from_row(rows[0]) if rows else None


def insert_team(team: Team) -> Statement:
    return statement(
        f"INSERT INTO teams ({_COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6) RETURNING {_COLUMNS}",
        team.id,
        team.name,
        ids_json(team.agents),
        ids_json(team.models),
        team.router,
        unix_ms(team.created_at),
    )


def update_team(team_id: str, changes: Mapping[str, Any], *, now_ms: int) -> Statement:
    """Only the fields in `changes`. No row comes back where there is no such team."""
    columns = {**changes, "updated_at": now_ms}
    for name in columns.keys() & {"agents", "models"}:
        columns[name] = ids_json(columns[name])
    return update_row("teams", team_id, columns, returning=_COLUMNS)


async def read_members(db: Database, team_id: str) -> Rows:
    """The users of a team, and its keys that are not revoked: `kind`, `id` and `name`."""
    return await db.run(
        statement(
            "SELECT 'key' AS kind, id, name FROM keys WHERE team_id = ?1 AND revoked_at IS NULL"
            " UNION ALL SELECT 'user', id, email FROM users WHERE team_id = ?1 ORDER BY 1, 2",
            team_id,
        )
    )


def delete_team(team_id: str) -> list[Statement]:
    """Takes revoked keys off the team. A team with users or other keys is a constraint error: they
    would be allowed more without it."""
    return [
        statement(
            "UPDATE keys SET team_id = NULL WHERE team_id = ?1 AND revoked_at IS NOT NULL", team_id
        ),
        statement("DELETE FROM teams WHERE id = ?1 RETURNING id", team_id),
    ]


def team_from_row(row: Row) -> Team:
    return Team(
        id=row["id"],
        name=row["name"],
        agents=ids(row["agents"]),
        models=ids(row["models"]),
        router=row["router"],
        created_at=rfc3339(row["created_at"]),
        updated_at=rfc3339(row["updated_at"]),
    )


# What a key, a user or a team may use, read in one query with the others.

_GRANTED = ("agents", "models", "router")


def grant_columns(table: str) -> str:
    """The columns that `grant_from_row` reads, of a table in a join."""
    return ", ".join(f"{table}.{name} AS {table}_{name}" for name in _GRANTED)


def grant_from_row(row: Row, table: str, holder: Holder, title: str) -> Grant:
    agents, models = ids(row[f"{table}_agents"]), ids(row[f"{table}_models"])
    return Grant(
        holder,
        title,
        agents=None if agents is None else frozenset(agents),
        models=None if models is None else frozenset(models),
        router=row[f"{table}_router"],
    )
