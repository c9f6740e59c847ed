"""The table `lora_parts`: an adapter's files until Workers AI has them, read and written part by
part, since neither a row of D1 nor an isolate has room for a whole one."""

from collections.abc import AsyncGenerator

from edgeneuro.store.database import Database, Statement, statement

# They are read as hexadecimal digits, twice as long, and a row holds 2 MB.
PART_BYTES = 500_000


async def write_part(
    db: Database, lora_id: str, file: str, part: int, content: bytes, *, now_ms: int
) -> None:
    await db.run(_insert_part(lora_id, file, part, content, now_ms))


async def replace_file(
    db: Database, lora_id: str, file: str, content: bytes, *, now_ms: int
) -> None:
    """For small files: all parts in one batch."""
    parts = range(0, len(content), PART_BYTES)
    await db.batch(
        [
            statement("DELETE FROM lora_parts WHERE lora_id = ?1 AND file = ?2", lora_id, file),
            *(
                _insert_part(lora_id, file, number, content[start : start + PART_BYTES], now_ms)
                for number, start in enumerate(parts)
            ),
        ]
    )


def _insert_part(lora_id: str, file: str, part: int, content: bytes, now_ms: int) -> Statement:
    return statement(
        "INSERT INTO lora_parts (lora_id, file, part, content, created_at)"
        " VALUES (?1, ?2, ?3, ?4, ?5)",
        lora_id,
        file,
        part,
        content,
        now_ms,
    )


async def read_file(db: Database, lora_id: str, file: str) -> AsyncGenerator[bytes, None]:
    """Its parts in order, one a query."""
    part = 0
    while True:
        rows = await db.run(
            statement(
                "SELECT hex(content) AS content FROM lora_parts"
                " WHERE lora_id = ?1 AND file = ?2 AND part = ?3",
                lora_id,
                file,
                part,
            )
        )
        if not rows:
            return
        yield bytes.fromhex(rows[0]["content"])
        part += 1


async def file_size(db: Database, lora_id: str, file: str) -> int:
    """In bytes; 0 where the file is gone."""
    rows = await db.run(
        statement(
            "SELECT coalesce(sum(length(content)), 0) AS size FROM lora_parts"
            " WHERE lora_id = ?1 AND file = ?2",
            lora_id,
            file,
        )
    )
    return int(rows[0]["size"])


def delete_files(lora_id: str) -> Statement:
    return statement("DELETE FROM lora_parts WHERE lora_id = ?1", lora_id)


async def purge_files(db: Database, *, before_ms: int) -> None:
    """Those of uploads that broke off, and of adapters that have failed since long."""
    await db.run(
        statement(
            "DELETE FROM lora_parts WHERE created_at < ?1 AND NOT EXISTS (SELECT 1 FROM jobs"
            " WHERE resource_id = lora_id AND state IN ('queued', 'running'))",
            before_ms,
        )
    )
