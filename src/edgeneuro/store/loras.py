"""The table `loras`: adapters, with what their jobs say of the way to Workers AI."""

import json
from collections.abc import Sequence

from edgeneuro.domain.lora import Lora, LoraError
from edgeneuro.store.database import Database, Row, Statement, statement
from edgeneuro.store.jobs import UNFINISHED, insert_job, read_or_substitute
from edgeneuro.store.sql import rfc3339, unix_ms

_STORED = (
    "id, name, base_model, source, created_at, created_by, steps, finetune_id, preflight, size,"
    " checksum, rank, target_modules, data"
)
_COLUMNS = f"{_STORED}, state, finished_at, tries, error, cancelled"
_ROWS = (
    "(SELECT loras.*, CASE WHEN retired_at IS NOT NULL THEN 'retired'"
    " WHEN jobs.state = 'succeeded' THEN 'available' WHEN jobs.state = 'cancelled' THEN 'failed'"
    " ELSE jobs.state END AS state, coalesce(retired_at, jobs.ended_at) AS finished_at,"
    " jobs.attempts AS tries, jobs.error, jobs.state = 'cancelled' AS cancelled"
    " FROM loras JOIN jobs ON jobs.resource_id = loras.id)"
)


def insert_lora(lora: Lora) -> list[Statement]:
    """With the job that uploads it. A constraint refuses the name of another one that is not
    retired."""
    created_ms = unix_ms(lora.created_at)
    stored = statement(
        f"INSERT INTO loras ({_STORED}) VALUES"
        " (?1, ?2, ?3, ?4, ?5, ?6, ?7, NULL, ?8, ?9, ?10, ?11, ?12, ?13)",
        lora.id,
        lora.name,
        lora.base_model,
        lora.source,
        created_ms,
        lora.created_by,
        _steps(lora),
        json.dumps([check.model_dump() for check in lora.preflight]),
        lora.size,
        lora.checksum,
        lora.rank,
        json.dumps(lora.target_modules),
        None if lora.data is None else lora.data.model_dump_json(),
    )
    job = insert_job("adapter_upload", lora.id, created_ms=created_ms, total=len(lora.steps))
    return [stored, job, _select(lora.id)]


def _select(lora_id: str) -> Statement:
    return statement(f"SELECT {_COLUMNS} FROM {_ROWS} WHERE id = ?1", lora_id)


async def read_lora(db: Database, lora_id: str) -> Lora:
    """Raises ValueError or TypeError where its row cannot be read."""
    return lora_from_row((await db.run(_select(lora_id)))[0])


async def find_lora(db: Database, lora_id: str) -> Lora | None:
    rows = await db.run(_select(lora_id))
    return _readable(rows[0]) if rows else None


async def find_named(db: Database, name: str) -> Lora | None:
    """The one of that name that is not retired."""
    rows = await db.run(
        statement(f"SELECT {_COLUMNS} FROM {_ROWS} WHERE name = ?1 AND retired_at IS NULL", name)
    )
    return _readable(rows[0]) if rows else None


async def list_loras(db: Database, *, limit: int, after: str | None = None) -> list[Lora]:
    """Newest first; `after` is the id of the last one seen."""
    rows = await db.run(
        statement(
            f"SELECT {_COLUMNS} FROM {_ROWS} WHERE (?1 IS NULL OR id < ?1)"
            " ORDER BY id DESC LIMIT ?2",
            after,
            limit,
        )
    )
    return [_readable(row) for row in rows]


async def list_uploaded(db: Database) -> list[Lora]:
    """Those that Workers AI's list should have, retired ones too: there they stay."""
    rows = await db.run(
        statement(f"SELECT {_COLUMNS} FROM {_ROWS} WHERE finetune_id IS NOT NULL ORDER BY id")
    )
    return [_readable(row) for row in rows]


def store_steps(lora: Lora) -> Statement:
    """How far the adapter has come."""
    return statement(
        "UPDATE loras SET steps = ?2, finetune_id = ?3 WHERE id = ?1",
        lora.id,
        _steps(lora),
        lora.finetune_id,
    )


def retry(lora_id: str, *, now_ms: int) -> Statement:
    """Has an upload that has failed, or was cancelled, continue at its next step."""
    return statement(
        "UPDATE jobs SET state = 'queued', updated_at = ?2, run_after = 0, attempts = 0,"
        " failures = 0, error = NULL, ended_at = NULL WHERE resource_id = ?1"
        " AND state IN ('failed', 'cancelled')"
        " AND EXISTS (SELECT 1 FROM loras WHERE id = ?1 AND retired_at IS NULL) RETURNING id",
        lora_id,
        now_ms,
    )


def retire(lora_id: str, *, now_ms: int, at_revision: int) -> list[Statement]:
    """With its upload cancelled. Only while `at_revision` is the revision: whether its model is
    asked was looked at then. A row comes back from the last statement if it was retired."""
    return [
        statement(
            "UPDATE jobs SET state = 'cancelled', ended_at = ?2, updated_at = ?2, lease_until = 0"
            f" WHERE resource_id = ?1 AND {UNFINISHED} AND (SELECT value FROM revision) = ?3",
            lora_id,
            now_ms,
            at_revision,
        ),
        statement(
            "UPDATE loras SET retired_at = ?2 WHERE id = ?1 AND retired_at IS NULL"
            " AND (SELECT value FROM revision) = ?3 RETURNING id",
            lora_id,
            now_ms,
            at_revision,
        ),
    ]


def lora_from_row(row: Row) -> Lora:
    return Lora.model_validate(
        {
            **row,
            **{name: json.loads(row[name]) for name in ("steps", "preflight", "target_modules")},
            "data": None if row["data"] is None else json.loads(row["data"]),
            "error": _error_of(row),
            "created_at": rfc3339(row["created_at"]),
            "finished_at": None if row["finished_at"] is None else rfc3339(row["finished_at"]),
            "model_id": row["name"] if row["state"] == "available" else None,
        }
    )


def _error_of(row: Row) -> LoraError | None:
    if row["error"] is not None:
        return LoraError.model_validate({"retryable": True} | json.loads(row["error"]))
    if row["cancelled"] and row["state"] == "failed":
        return LoraError(
            code="cancelled",
            message=f"The upload was cancelled. POST /v1/loras/{row['id']}/retry continues it.",
            retryable=True,
        )
    return None


def _readable(row: Row) -> Lora:
    substitute = {"steps": "[]", "preflight": "[]", "target_modules": "[]", "data": None}
    return read_or_substitute(lora_from_row, row, substitute)


def _steps(lora: Lora) -> str:
    steps: Sequence[object] = [step.model_dump() for step in lora.steps]
    return json.dumps(steps)
