"""The table `rules`. Positions count from 1 without gaps: what moves other rules is in one batch
with the write."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from edgeneuro.domain.decision import MetadataValue
from edgeneuro.domain.rule import MAX_RULES, Rule
from edgeneuro.store.database import Database, Row, Rows, Statement, Value, statement
from edgeneuro.store.sql import rfc3339, unix_ms, update_row

_COLUMNS = "id, position, name, conditions, effect, enabled, created_at, updated_at, router"
_COLUMN_OF_FIELD = {
    "position": "position",
    "name": "name",
    "when": "conditions",
    "then": "effect",
    "enabled": "enabled",
    "router": "router",
}
_LOGGED = (
    "id, created_at, query, key_id, user, metadata, candidates, agent_id, outcome, reason, model,"
    " adapter, router"
)


def select_rules() -> Statement:
    return statement(f"SELECT {_COLUMNS} FROM rules ORDER BY position, id")


async def list_rules(db: Database) -> list[Rule]:
    return [rule_from_row(row) for row in await db.run(select_rules())]


async def get_rule(db: Database, rule_id: str) -> Rule | None:
    rows = await db.run(statement(f"SELECT {_COLUMNS} FROM rules WHERE id = ?1", rule_id))
    return rule_from_row(rows[0]) if rows else None


def insert_rule(rule: Rule) -> list[Statement]:
    """Rules from the position on move by one; a position beyond the end is the end. No row comes
    back where there are 100 rules already."""
    has_room = f"(SELECT count(*) FROM rules) < {MAX_RULES}"
    return [
        statement(
            f"UPDATE rules SET position = position + 1 WHERE position >= ?1 AND {has_room}",
            rule.position,
        ),
        statement(
            f"INSERT INTO rules ({_COLUMNS})"
            " SELECT ?1, min(?2, (SELECT count(*) + 1 FROM rules)), ?3, ?4, ?5, ?6, ?7, ?7, ?8"
            f" WHERE {has_room} RETURNING {_COLUMNS}",
            rule.id,
            rule.position,
            rule.name,
            _value(rule.when),
            _value(rule.then),
            rule.enabled,
            unix_ms(rule.created_at),
            rule.router,
        ),
    ]


def update_rule(rule_id: str, changes: Mapping[str, Any], *, now_ms: int) -> list[Statement]:
    """Only the fields in `changes`, as the model has them, so that simultaneous changes of others
    stay. No row comes back where there is no such rule."""
    columns = {_COLUMN_OF_FIELD[name]: _value(value) for name, value in changes.items()}
    columns["updated_at"] = now_ms
    moves: list[Statement] = []
    if "position" in changes:
        moves = [
            _close_gap(rule_id),
            statement(
                "UPDATE rules SET position = position + 1 WHERE position >= ?2 AND id <> ?1"
                " AND EXISTS (SELECT 1 FROM rules WHERE id = ?1)",
                rule_id,
                changes["position"],
            ),
        ]
    return [*moves, update_row("rules", rule_id, columns, returning=_COLUMNS)]


def delete_rule(rule_id: str) -> list[Statement]:
    """No row comes back where there is no such rule."""
    return [
        _close_gap(rule_id),
        statement("DELETE FROM rules WHERE id = ?1 RETURNING id", rule_id),
    ]


def order_rules(rule_ids: Sequence[str], *, now_ms: int) -> Statement:
    """Puts the rules into this order. The ids of those that have moved come back."""
    place = "(SELECT key + 1 FROM json_each(?1) WHERE value = rules.id)"
    return statement(
        f"UPDATE rules SET position = {place}, updated_at = ?2"
        f" WHERE id IN (SELECT value FROM json_each(?1)) AND position <> {place} RETURNING id",
        json.dumps(rule_ids),
        now_ms,
    )


def _close_gap(rule_id: str) -> Statement:
    """The rules after this one move forward."""
    return statement(
        "UPDATE rules SET position = position - 1"
        " WHERE position > (SELECT position FROM rules WHERE id = ?1)",
        rule_id,
    )


def rule_from_row(row: Row) -> Rule:
    """Raises ValidationError for a row that is damaged."""
    return Rule.model_validate(
        {
            "id": row["id"],
            "position": row["position"],
            "name": row["name"],
            "when": json.loads(row["conditions"]),
            "then": None if row["effect"] is None else json.loads(row["effect"]),
            "router": row["router"],
            "enabled": bool(row["enabled"]),
            "created_at": rfc3339(row["created_at"]),
            "updated_at": rfc3339(row["updated_at"]),
        }
    )


def intact_rules(rows: Rows) -> list[Rule]:
    """Without those that are damaged (edited by hand, say): they must not end routing."""
    found = []
    for row in rows:
        with suppress(ValueError):
            found.append(rule_from_row(row))
    return found


@dataclass(frozen=True)
class LoggedDecision:
    """Of a log row: what the conditions of rules are about, and what was decided. `created_at` is
    RFC 3339 in UTC; `router` is None for the default one."""

    id: str
    created_at: str
    query: str
    key_id: str
    user: str | None
    metadata: dict[str, MetadataValue] | None
    candidates: list[str] | None
    agent_id: str | None
    outcome: str | None
    reason: str | None
    model: str | None
    adapter: str | None
    router: str | None


async def read_routed(
    db: Database, *, before: int | None, limit: int
) -> tuple[list[LoggedDecision], int | None]:
    """Of the `limit` log rows that were written before the row number `before` (None: the newest),
    those that were routed and whose text is stored, newest first; and the number of the oldest row
    that was read, None if there are no more."""
    oldest, rows = await db.batch(
        [
            statement(
                "SELECT min(seq) AS seq, count(*) AS n FROM (SELECT seq FROM logs"
                " WHERE ?1 IS NULL OR seq < ?1 ORDER BY seq DESC LIMIT ?2)",
                before,
                limit,
            ),
            statement(
                f"SELECT {_LOGGED} FROM (SELECT * FROM logs WHERE ?1 IS NULL OR seq < ?1"
                " ORDER BY seq DESC LIMIT ?2) WHERE status = 200 AND query_hash IS NOT NULL"
                " AND query <> '' AND layer <> 'direct' AND other_kind IS NULL ORDER BY seq DESC",
                before,
                limit,
            ),
        ]
    )
    found = oldest[0]
    decisions = [_decision_from_row(row) for row in rows]
    return decisions, found["seq"] if found["n"] == limit else None


def _decision_from_row(row: Row) -> LoggedDecision:
    metadata, candidates = row["metadata"], row["candidates"]
    return LoggedDecision(
        **{
            **row,
            "created_at": rfc3339(row["created_at"]),
            "metadata": None if metadata is None else json.loads(metadata),
            "candidates": None if candidates is None else json.loads(candidates),
        }
    )


def _value(value: Any) -> Value:
    if not isinstance(value, BaseModel):
        plain: Value = value
        return plain
    return json.dumps(value.model_dump(), ensure_ascii=False)
