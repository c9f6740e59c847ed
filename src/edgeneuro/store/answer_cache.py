"""The tables `decision_cache` and `chat_cache`: answers under a hash of all that they depend on."""

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from edgeneuro.domain.chat_answer import ChatAnswer
from edgeneuro.domain.decision import CachedRanking
from edgeneuro.store.additions import NEW_ANSWERS, Addition, added_values
from edgeneuro.store.database import Database, Rows, Statement, statement
from edgeneuro.store.sql import PURGE_CHUNK, purge_in_chunks

Content = TypeVar("Content", bound=BaseModel)


class AnswerCache(Generic[Content]):
    """`table` is never a client's text; `content` is the model of its answers."""

    def __init__(self, table: str, content: type[Content]) -> None:
        self._table = table
        self._content = content

    async def read(self, db: Database, key: str, *, now_ms: int) -> tuple[Content, int] | None:
        """The answer and when it expires (unix ms). Raises ValidationError on a row that is
        damaged."""
        return self.answer_from_rows(await db.run(self.select(key, now_ms=now_ms)))

    def select(self, key: str, *, now_ms: int) -> Statement:
        return statement(
            f"SELECT * FROM {self._table} WHERE key = ?1 AND expires_at > ?2", key, now_ms
        )

    async def read_many(
        self, db: Database, keys: Sequence[str], *, now_ms: int
    ) -> dict[str, Content]:
        """The answers under these keys, without those that are damaged or were dropped."""
        rows = await db.run(
            statement(
                f"SELECT * FROM {self._table} WHERE key IN (SELECT value FROM json_each(?1))"
                " AND expires_at > ?2",
                json.dumps(keys),
                now_ms,
            )
        )
        found = {}
        for row in rows:
            with suppress(ValidationError):
                if not row.get("dropped"):
                    found[row["key"]] = self._content.model_validate_json(row["answer"])
        return found

    def answer_from_rows(self, rows: Rows) -> tuple[Content, int] | None:
        """As `read`."""
        if not rows:
            return None
        return self._content.model_validate_json(rows[0]["answer"]), int(rows[0]["expires_at"])

    async def flush(self, db: Database, *, max_chunks: int = 50) -> int:
        """Deletes answers, at most `max_chunks` thousand; returns how many. What is left has keys
        from before the flush, which are no longer read, and is purged when it expires."""
        chunk = statement(
            f"DELETE FROM {self._table} WHERE key IN (SELECT key FROM {self._table} LIMIT ?1)"
            " RETURNING 1 AS gone",
            PURGE_CHUNK,
        )
        return await purge_in_chunks(db, chunk, max_chunks=max_chunks)

    async def purge_expired(self, db: Database, *, now_ms: int, max_chunks: int = 50) -> int:
        """Deletes expired answers; returns how many."""
        chunk = statement(
            f"DELETE FROM {self._table} WHERE key IN (SELECT key FROM {self._table}"
            " WHERE expires_at <= ?1 LIMIT ?2) RETURNING 1 AS gone",
            now_ms,
            PURGE_CHUNK,
        )
        return await purge_in_chunks(db, chunk, max_chunks=max_chunks)


class DecisionCache(AnswerCache[CachedRanking]):
    """Its answers belong to questions, by which they can be dropped. A row that was dropped stays:
    it says that AI Gateway's cache may still hold the same answer."""

    def __init__(self) -> None:
        super().__init__("decision_cache", CachedRanking)

    def drop(self, query_hash: str) -> list[Statement]:
        """Drops the rankings of a question, so that it is decided again. If there are some, the
        revision of the labels says so to all isolates, which have them in memory."""
        cached = "query_hash = ?1 AND dropped = 0"
        return [
            statement(
                "UPDATE revision SET labels = labels + 1"
                f" WHERE EXISTS (SELECT 1 FROM decision_cache WHERE {cached})",
                query_hash,
            ),
            statement(f"UPDATE decision_cache SET dropped = 1 WHERE {cached}", query_hash),
        ]


def add_decision(key: str, answer: str, *, expires_at_ms: int, query_hash: str | None) -> Addition:
    """Caches a ranking with the log row of its decision. `answer` is its JSON; None for
    `query_hash` where nothing may be stored of the query."""
    return Addition("decision_cache", (key, answer, expires_at_ms, query_hash))


ADD_DECISIONS = (
    "INSERT INTO decision_cache (key, answer, expires_at, query_hash)"
    f" SELECT {added_values(4)} FROM {NEW_ANSWERS} WHERE true ON CONFLICT (key)"
    " DO UPDATE SET answer = excluded.answer, expires_at = excluded.expires_at,"
    " query_hash = excluded.query_hash, dropped = 0"
)


def add_chat(key: str, answer: str, *, expires_at_ms: int) -> Addition:
    """Caches the answer of a chat with its log row. `answer` is its JSON."""
    return Addition("chat_cache", (key, answer, expires_at_ms))


ADD_CHATS = (
    "INSERT INTO chat_cache (key, answer, expires_at)"
    f" SELECT {added_values(3)} FROM {NEW_ANSWERS} WHERE true ON CONFLICT (key)"
    " DO UPDATE SET answer = excluded.answer, expires_at = excluded.expires_at"
)


DECISIONS = DecisionCache()
CHATS = AnswerCache("chat_cache", ChatAnswer)
