"""The table `chat_cache`: chat answers under a hash of all that they depend on."""

from edgeneuro.domain.chat_answer import KeptAnswer
from edgeneuro.store.database import Database, Statement, statement
from edgeneuro.store.purge import PURGE_CHUNK, purge_in_chunks


async def read_chat(db: Database, key: str, *, now_ms: int) -> tuple[KeptAnswer, int] | None:
    """The answer and when it expires (unix ms). Raises ValidationError on a row that is damaged."""
    rows = await db.run(
        statement(
            "SELECT answer, expires_at FROM chat_cache WHERE key = ?1 AND expires_at > ?2",
            key,
            now_ms,
        )
    )
    if not rows:
        return None
    return KeptAnswer.model_validate_json(rows[0]["answer"]), int(rows[0]["expires_at"])


def upsert_chat(key: str, answer: str, *, expires_at_ms: int) -> Statement:
    """`answer` is a KeptAnswer as JSON."""
    return statement(
        "INSERT INTO chat_cache (key, answer, expires_at) VALUES (?1, ?2, ?3)"
        " ON CONFLICT (key)"
        " DO UPDATE SET answer = excluded.answer, expires_at = excluded.expires_at",
        key,
        answer,
        expires_at_ms,
    )


async def purge_expired_chats(db: Database, *, now_ms: int, max_chunks: int = 100) -> int:
    """Deletes expired answers; returns how many."""
    chunk = statement(
        "DELETE FROM chat_cache WHERE key IN (SELECT key FROM chat_cache"
        " WHERE expires_at <= ?1 LIMIT ?2) RETURNING 1 AS gone",
        now_ms,
        PURGE_CHUNK,
    )
    return await purge_in_chunks(db, chunk, max_chunks=max_chunks)
