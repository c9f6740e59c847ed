"""Deleting what has expired, chunk by chunk: D1 ends a query after 30 s."""

from edgeneuro.store.database import Database, Statement

PURGE_CHUNK = 1_000  # rows a statement


async def purge_in_chunks(db: Database, chunk: Statement, *, max_chunks: int) -> int:
    """Runs the statement, which deletes at most PURGE_CHUNK rows and returns them, until it finds
    no more. Returns how many went."""
    purged = 0
    for _ in range(max_chunks):
        rows = await db.run(chunk)
        purged += len(rows)
        if len(rows) < PURGE_CHUNK:
            break
    return purged
