"""The table `agents`. That exactly one agent is the default is kept here, in one batch with the
write."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from edgeneuro.domain.agent import Agent
from edgeneuro.domain.agent_auth import AgentAuth
from edgeneuro.store.database import Database, Row, Statement, statement
from edgeneuro.store.sql import rfc3339, unix_ms, update_row

_COLUMNS = (
    "id, name, description, examples, endpoint, protocol, system_prompt, model, enabled,"
    " is_default, created_at, updated_at, auth, demonstration"
)
_COLUMN_OF_FIELD = {
    "name": "name",
    "description": "description",
    "examples": "examples",
    "endpoint": "endpoint",
    "protocol": "protocol",
    "system_prompt": "system_prompt",
    "model": "model",
    "enabled": "enabled",
    "default": "is_default",
    "auth": "auth",
}


def select_enabled() -> Statement:
    return statement("SELECT * FROM agents WHERE enabled = 1 ORDER BY id")


def select_agents() -> Statement:
    return statement(f"SELECT {_COLUMNS} FROM agents ORDER BY id")


async def list_agents(db: Database, *, limit: int, after: str | None) -> list[Agent]:
    rows = await db.run(
        statement("SELECT * FROM agents WHERE id > ?1 ORDER BY id LIMIT ?2", after or "", limit)
    )
    return [agent_from_row(row) for row in rows]


async def get_agent(db: Database, agent_id: str) -> Agent | None:
    rows = await db.run(statement(f"SELECT {_COLUMNS} FROM agents WHERE id = ?1", agent_id))
    return agent_from_row(rows[0]) if rows else None


async def count_agents(db: Database) -> int:
    rows = await db.run(statement("SELECT count(*) AS n FROM agents"))
    return int(rows[0]["n"])


async def list_agent_ids(db: Database) -> set[str]:
    """Of all agents, disabled ones too."""
    return {row["id"] for row in await db.run(statement("SELECT id FROM agents"))}


def insert_agent(agent: Agent) -> list[Statement]:
    """The first agent becomes the default whatever it says; an id that is taken is a constraint
    error."""
    insert = statement(
        f"INSERT INTO agents ({_COLUMNS}) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8,"
        " ?9 OR NOT EXISTS (SELECT 1 FROM agents), ?10 OR NOT EXISTS (SELECT 1 FROM agents),"
        f" ?11, ?11, ?12, 0 RETURNING {_COLUMNS}",
        agent.id,
        agent.name,
        agent.description,
        _examples(agent.examples),
        agent.endpoint,
        agent.protocol,
        agent.system_prompt,
        agent.model,
        agent.enabled,
        agent.default,
        unix_ms(agent.created_at),
        _auth_json(agent.auth),
    )
    clear = statement("UPDATE agents SET is_default = 0 WHERE is_default = 1")
    return [clear, insert] if agent.default else [insert]


def insert_agents(agents: Sequence[Agent]) -> Statement:
    """Many new agents with a description alone, in one statement; the first agent of all becomes
    the default. An id that is taken is a constraint error."""
    rows = [(each.id, each.name, each.description, unix_ms(each.created_at)) for each in agents]
    return statement(
        f"INSERT INTO agents ({_COLUMNS}) SELECT value ->> 0, value ->> 1, value ->> 2, '[]', NULL,"
        " 'openai', NULL, NULL, 1, key = 0 AND NOT EXISTS (SELECT 1 FROM agents), value ->> 3,"
        " value ->> 3, NULL, 0 FROM json_each(?1)",
        json.dumps(rows, ensure_ascii=False),
    )


def update_agent(agent_id: str, changes: Mapping[str, Any], *, now_ms: int) -> list[Statement]:
    """Only the fields in `changes`, so that simultaneous changes of others stay. No row comes back
    where there is no such agent; a disabled default agent is a constraint error."""
    columns = {_COLUMN_OF_FIELD[name]: value for name, value in changes.items()}
    if "examples" in columns:
        columns["examples"] = _examples(columns["examples"])
    if "auth" in columns:
        columns["auth"] = _auth_json(columns["auth"])
    if changes.keys() - {"enabled", "default"}:
        columns["demonstration"] = 0
    columns["updated_at"] = now_ms
    update = update_row("agents", agent_id, columns, returning=_COLUMNS)
    clear = statement(
        "UPDATE agents SET is_default = 0 WHERE is_default = 1 AND id <> ?1"
        " AND EXISTS (SELECT 1 FROM agents WHERE id = ?1)",
        agent_id,
    )
    return [clear, update] if changes.get("default") else [update]


def delete_agent(agent_id: str) -> Statement:
    """No row comes back where the agent is the default one of several."""
    return statement(
        "DELETE FROM agents WHERE id = ?1"
        " AND (is_default = 0 OR (SELECT count(*) FROM agents) = 1) RETURNING id",
        agent_id,
    )


def agent_from_row(row: Row) -> Agent:
    return Agent(
        id=row["id"],
        name=row["name"],
        description=row["description"],
        examples=json.loads(row["examples"]),
        endpoint=row["endpoint"],
        protocol=row["protocol"],
        system_prompt=row["system_prompt"],
        model=row["model"],
        enabled=bool(row["enabled"]),
        default=bool(row["is_default"]),
        # An older schema has neither, and what it has is routed all the same.
        auth=_auth(row.get("auth")),
        demonstration=bool(row.get("demonstration")),
        created_at=rfc3339(row["created_at"]),
        updated_at=rfc3339(row["updated_at"]),
    )


def _auth_json(auth: AgentAuth | None) -> str | None:
    return None if auth is None else auth.model_dump_json()


def _auth(text: str | None) -> AgentAuth | None:
    """One that is damaged (edited by hand, say) counts as none: nothing is sent then."""
    with suppress(ValueError):
        return None if text is None else AgentAuth.model_validate_json(text)
    return None


def _examples(examples: Sequence[str]) -> str:
    return json.dumps(examples, ensure_ascii=False)
