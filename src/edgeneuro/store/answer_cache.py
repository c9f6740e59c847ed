"""The tables `decision_cache` and `chat_cache`: answers under a hash of all that they depend on."""

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from edgeneuro.domain.chat_answer import ChatAnswer
from edgeneuro.domain.decision import CachedRanking
from edgeneuro.store.additions import NEW_ANSWERS, Addition, added, added_values
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
    """Its answers belong to questions, by which they can be dropped. A row that was dropped stays,
    and one of the question is added: they say that AI Gateway's cache may still hold the answer."""

    def __init__(self) -> None:
        super().__init__("decision_cache", CachedRanking)

    def select_of(self, query_hash: str, key: str, *, now_ms: int) -> Statement:
        """The ranking under this key first, then what says that those of the question were
        dropped."""
        return statement(
            "SELECT * FROM decision_cache WHERE key IN (?1, ?2) AND expires_at > ?3"
            " ORDER BY dropped",
            key,
            _dropped_key(query_hash),
            now_ms,
        )

    def drop(self, query_hash: str, *, now_ms: int, ttl_seconds: int) -> list[Statement]:
        """Drops the rankings of a question, so that it is decided again. Isolates may have some in
        memory that are in no row, so the revision of the labels says it to all of them: once, until
        the question has a new ranking. `ttl_seconds`: no ranking is cached for longer."""
        cached = "query_hash = ?1 AND dropped = 0"
        return [
            statement(
                "UPDATE revision SET labels = labels + 1"
                f" WHERE EXISTS (SELECT 1 FROM decision_cache WHERE {cached})"
                " OR NOT EXISTS (SELECT 1 FROM decision_cache WHERE key = ?2 AND expires_at > ?3)",
                query_hash,
                _dropped_key(query_hash),
                now_ms,
            ),
            statement(f"UPDATE decision_cache SET dropped = 1 WHERE {cached}", query_hash),
            statement(
                "INSERT INTO decision_cache (key, answer, expires_at, query_hash, dropped)"
                " VALUES (?1, '', ?2, ?3, 1) ON CONFLICT (key)"
                " DO UPDATE SET expires_at = excluded.expires_at",
                _dropped_key(query_hash),
                now_ms + ttl_seconds * 1000,
                query_hash,
            ),
        ]


def _dropped_key(query_hash: str) -> str:
    return f"dropped {query_hash}"


def add_decision(
    key: str, answer: str, *, expires_at_ms: int, query_hash: str | None, since_ms: int
) -> Addition:
    """Caches a ranking with the log row of its decision, if the question was asked before since
    `since_ms`: most questions come once, and the isolate that asked has the ranking in memory. An
    entry is four rows, so to store all of them costs more than the calls that it saves unless one
    question of five comes again in another isolate. `answer` is its JSON; None for `query_hash`
    where nothing may be stored of the query: then nobody knows whether it came before."""
    return Addition("decision_cache", (key, answer, expires_at_ms, query_hash, since_ms))


ADD_DECISIONS = (
    "INSERT INTO decision_cache (key, answer, expires_at, query_hash)"
    f" SELECT {added_values(4)} FROM {NEW_ANSWERS} WHERE {added(4)} IS NULL"
    f" OR EXISTS (SELECT 1 FROM logs WHERE logs.query_hash = {added(4)}"
    f" AND logs.created_at >= {added(5)})"
    f" OR EXISTS (SELECT 1 FROM decision_cache AS known WHERE known.key = {added(1)})"
    " ON CONFLICT (key)"
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
