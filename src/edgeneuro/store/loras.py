"""The table `loras`: adapters on their way to Workers AI. Whoever works at one holds it by
`claimed_until`, and writes only while that is still his."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from edgeneuro.domain.lora import Lora, LoraError, LoraState
from edgeneuro.store.database import Database, Row, Statement, statement
from edgeneuro.store.jobs import read_or_substitute
from edgeneuro.store.sql import rfc3339, unix_ms

_COLUMNS = (
    "id, name, base_model, state, source, created_at, created_by, finished_at, tries, steps, error,"
    " finetune_id, preflight, size, checksum, rank, target_modules, data"
)
_UNDER_WAY = "state IN ('queued', 'running')"
# The adapter is still that of whoever claimed it until ?2.
_HELD = "id = ?1 AND state = 'running' AND claimed_until = ?2"


@dataclass(frozen=True)
class Claim:
    """An adapter that is ours until `until` (unix ms), which no other claim of it has."""

    lora: Lora
    until: int


def insert_lora(lora: Lora) -> Statement:
    """A constraint refuses the name of another one that is not retired."""
    return statement(
        f"INSERT INTO loras ({_COLUMNS}) VALUES"
        " (?1, ?2, ?3, ?4, ?5, ?6, ?7, NULL, 0, ?8, NULL, NULL, ?9, ?10, ?11, ?12, ?13,"
        " ?14)"
        f" RETURNING {_COLUMNS}",
        lora.id,
        lora.name,
        lora.base_model,
        lora.state,
        lora.source,
        unix_ms(lora.created_at),
        lora.created_by,
        _steps(lora),
        json.dumps([check.model_dump() for check in lora.preflight]),
        lora.size,
        lora.checksum,
        lora.rank,
        json.dumps(lora.target_modules),
        None if lora.data is None else lora.data.model_dump_json(),
    )


async def find_lora(db: Database, lora_id: str) -> Lora | None:
    rows = await db.run(statement(f"SELECT {_COLUMNS} FROM loras WHERE id = ?1", lora_id))
    return _readable(rows[0]) if rows else None


async def find_named(db: Database, name: str) -> Lora | None:
    """The one of that name that is not retired."""
    rows = await db.run(
        statement(f"SELECT {_COLUMNS} FROM loras WHERE name = ?1 AND state <> 'retired'", name)
    )
    return _readable(rows[0]) if rows else None


async def list_loras(db: Database, *, limit: int, after: str | None = None) -> list[Lora]:
    """Newest first; `after` is the id of the last one seen."""
    rows = await db.run(
        statement(
            f"SELECT {_COLUMNS} FROM loras WHERE (?1 IS NULL OR id < ?1) ORDER BY id DESC LIMIT ?2",
            after,
            limit,
        )
    )
    return [_readable(row) for row in rows]


async def list_uploaded(db: Database) -> list[Lora]:
    """Those that Workers AI's list should have, retired ones too: there they stay."""
    rows = await db.run(
        statement(f"SELECT {_COLUMNS} FROM loras WHERE finetune_id IS NOT NULL ORDER BY id")
    )
    return [_readable(row) for row in rows]


async def claim(db: Database, lora_id: str, *, now_ms: int, until_ms: int) -> Claim | None:
    """The adapter, ours until then; None where it is not under way, another's, or not to be tried
    again yet."""
    rows = await db.run(
        statement(
            "UPDATE loras SET state = 'running', claimed_until = ?3, tries = tries + 1"
            f" WHERE id = ?1 AND {_UNDER_WAY} AND claimed_until <= ?2 RETURNING {_COLUMNS}",
            lora_id,
            now_ms,
            until_ms,
        )
    )
    return Claim(lora_from_row(rows[0]), until_ms) if rows else None


def update_held(
    held: Claim,
    lora: Lora,
    *,
    state: LoraState = "running",
    claimed_until: int,
    finished_ms: int | None = None,
) -> Statement:
    """Notes how far the adapter has come. No row comes back where it was ours no more."""
    return statement(
        "UPDATE loras SET state = ?3, claimed_until = ?4, tries = ?5, steps = ?6, error = ?7,"
        f" finetune_id = ?8, finished_at = ?9, failures = 0 WHERE {_HELD} RETURNING {_COLUMNS}",
        lora.id,
        held.until,
        state,
        claimed_until,
        lora.tries,
        _steps(lora),
        None if lora.error is None else lora.error.model_dump_json(),
        lora.finetune_id,
        finished_ms,
    )


def retry(lora_id: str) -> Statement:
    """Takes up again what has failed, at the step where it did."""
    return statement(
        "UPDATE loras SET state = 'queued', claimed_until = 0, tries = 0, failures = 0,"
        " error = NULL, finished_at = NULL"
        f" WHERE id = ?1 AND state = 'failed' RETURNING {_COLUMNS}",
        lora_id,
    )


def retire(lora_id: str, *, now_ms: int, at_revision: int) -> Statement:
    """Only while `at_revision` is the revision: whether its model is asked was looked at then."""
    return statement(
        "UPDATE loras SET state = 'retired', finished_at = ?2 WHERE id = ?1 AND state <> 'retired'"
        f" AND (SELECT value FROM revision) = ?3 RETURNING {_COLUMNS}",
        lora_id,
        now_ms,
        at_revision,
    )


def lora_from_row(row: Row) -> Lora:
    return Lora.model_validate(
        {
            **row,
            **{name: json.loads(row[name]) for name in ("steps", "preflight", "target_modules")},
            "data": None if row["data"] is None else json.loads(row["data"]),
            "error": None if row["error"] is None else json.loads(row["error"]),
            "created_at": rfc3339(row["created_at"]),
            "finished_at": None if row["finished_at"] is None else rfc3339(row["finished_at"]),
            "model_id": row["name"] if row["state"] == "available" else None,
        }
    )


def _readable(row: Row) -> Lora:
    substitute = {"steps": "[]", "preflight": "[]", "target_modules": "[]", "data": None}
    return read_or_substitute(lora_from_row, row, substitute, error=_error)


def _error(message: str) -> str:
    return LoraError(code="job_failed", message=message, retryable=False).model_dump_json()


def _steps(lora: Lora) -> str:
    steps: Sequence[object] = [step.model_dump() for step in lora.steps]
    return json.dumps(steps)
