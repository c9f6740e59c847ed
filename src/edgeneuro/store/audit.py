"""The table `audit`: who changed what. Its row is written in one batch with the change itself."""

import json
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel

from edgeneuro.domain.fields import PageQuery
from edgeneuro.store.database import Database, Row, Statement, Value, statement
from edgeneuro.store.sql import PURGE_CHUNK, purge_in_chunks, rfc3339, unix_ms


class AuditEntry(BaseModel):
    """`actor` is the key's id or the user's e-mail address; `before` and `after` never hold
    secrets."""

    object: Literal["audit"] = "audit"
    id: str
    created_at: str
    actor: str
    request_id: str
    action: str
    resource: str
    resource_id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class AuditQuery(PageQuery):
    resource: str | None = None
    resource_id: str | None = None


ENTRY_COLUMNS = "id, created_at, actor, request_id, action, resource, resource_id, before, after"


def insert_audit(entry: AuditEntry) -> Statement:
    """Goes right after the statement that makes the change: it writes nothing where that one
    changed nothing."""
    return statement(
        f"INSERT INTO audit ({ENTRY_COLUMNS}) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9"
        " WHERE changes() > 0",
        entry.id,
        unix_ms(entry.created_at),
        entry.actor,
        entry.request_id,
        entry.action,
        entry.resource,
        entry.resource_id,
        _json(entry.before),
        _json(entry.after),
    )


def insert_entries(entries: Sequence[AuditEntry]) -> Statement:
    """The same for a statement that makes many changes: all of them, or none."""
    rows = [
        (
            *(entry.id, unix_ms(entry.created_at), entry.actor, entry.request_id, entry.action),
            *(entry.resource, entry.resource_id, _json(entry.before), _json(entry.after)),
        )
        for entry in entries
    ]
    columns = ", ".join(f"value ->> {n}" for n in range(len(ENTRY_COLUMNS.split(", "))))
    return statement(
        f"INSERT INTO audit ({ENTRY_COLUMNS}) SELECT {columns} FROM json_each(?1)"
        " WHERE changes() > 0",
        json.dumps(rows, ensure_ascii=False),
    )


async def list_audit(
    db: Database, *, limit: int, after: str | None, resource: str | None, resource_id: str | None
) -> list[AuditEntry]:
    """Newest first; `after` is the id of the last entry seen."""
    rows = await db.run(
        statement(
            f"SELECT {ENTRY_COLUMNS} FROM audit WHERE (?1 IS NULL OR id < ?1)"
            " AND (?2 IS NULL OR resource = ?2) AND (?3 IS NULL OR resource_id = ?3)"
            " ORDER BY id DESC LIMIT ?4",
            after,
            resource,
            resource_id,
            limit,
        )
    )
    return [entry_from_row(row) for row in rows]


async def delete_audit_before(db: Database, moment_ms: int, *, max_chunks: int = 20) -> int:
    """Deletes older rows chunk by chunk; returns how many. The trigger audit_no_delete refuses
    unless the stored setting audit_retention_days agrees, by the database's own clock."""
    chunk = statement(
        "DELETE FROM audit WHERE rowid IN (SELECT rowid FROM audit WHERE created_at < ?1"
        " ORDER BY rowid LIMIT ?2) RETURNING 1 AS gone",
        moment_ms,
        PURGE_CHUNK,
    )
    return await purge_in_chunks(db, chunk, max_chunks=max_chunks)


def entry_from_row(row: Row) -> AuditEntry:
    fields = {name: row[name] for name in ENTRY_COLUMNS.split(", ")}
    for name in ("before", "after"):
        fields[name] = None if fields[name] is None else json.loads(fields[name])
    return AuditEntry.model_validate({**fields, "created_at": rfc3339(row["created_at"])})


def _json(value: object) -> Value:
    return None if value is None else json.dumps(value, ensure_ascii=False)
