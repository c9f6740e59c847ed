"""The table `idempotency`: the answers of requests that may be sent again. A row without a status
belongs to a request that is still at work."""

from dataclasses import dataclass

from edgeneuro.store.database import Database, statement
from edgeneuro.store.sql import PURGE_CHUNK, purge_in_chunks


@dataclass(frozen=True)
class FirstRequest:
    """What the first request under this key was, and what became of it."""

    request_hash: str
    status: int | None
    body: str | None


async def claim(
    db: Database, key_hash: str, request_hash: str, *, now_ms: int, until_ms: int
) -> FirstRequest | None:
    """None makes the caller the first one, until then; otherwise the first one as it stands."""
    claimed, rows = await db.batch(
        [
            statement(
                "INSERT INTO idempotency (key_hash, request_hash, expires_at) VALUES (?1, ?2, ?3)"
                " ON CONFLICT (key_hash) DO UPDATE SET request_hash = excluded.request_hash,"
                " status = NULL, body = NULL, expires_at = excluded.expires_at"
                " WHERE idempotency.expires_at <= ?4 RETURNING key_hash",
                key_hash,
                request_hash,
                until_ms,
                now_ms,
            ),
            statement(
                "SELECT request_hash, status, body FROM idempotency WHERE key_hash = ?1", key_hash
            ),
        ]
    )
    if claimed:
        return None
    return FirstRequest(rows[0]["request_hash"], rows[0]["status"], rows[0]["body"])


async def finish(
    db: Database, key_hash: str, *, status: int, body: str | None, until_ms: int
) -> None:
    await db.run(
        statement(
            "UPDATE idempotency SET status = ?2, body = ?3, expires_at = ?4 WHERE key_hash = ?1",
            key_hash,
            status,
            body,
            until_ms,
        )
    )


async def release(db: Database, key_hash: str) -> None:
    """As if the request had never come."""
    await db.run(statement("DELETE FROM idempotency WHERE key_hash = ?1", key_hash))


async def purge_idempotency(db: Database, *, now_ms: int, max_chunks: int = 50) -> int:
    """Deletes expired rows; returns how many."""
    chunk = statement(
        "DELETE FROM idempotency WHERE key_hash IN (SELECT key_hash FROM idempotency"
        " WHERE expires_at <= ?1 LIMIT ?2) RETURNING 1 AS gone",
        now_ms,
        PURGE_CHUNK,
    )
    return await purge_in_chunks(db, chunk, max_chunks=max_chunks)
