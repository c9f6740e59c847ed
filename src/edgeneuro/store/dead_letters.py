"""The table `dead_letters`: answers that D1 refused to log, as they were to be written, with the
reason. They are kept until somebody retries or deletes them, at most as long as log rows are, and
an erasure deletes them with the rows."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgeneuro.domain.erasure import ErasureTarget
from edgeneuro.store.database import Database, Rows, Statement, statement
from edgeneuro.store.log_writes import Refused
from edgeneuro.store.sql import PURGE_CHUNK, compact_json, purge_in_chunks

MAX_KEPT = 1_000  # more are only counted
_MAX_CHARACTERS = 450_000  # of one: D1 takes values of 2 MB, and a character has up to 4 bytes
_TOO_LARGE = "{}"
_MAX_ERROR = 500


@dataclass(frozen=True)
class DeadLetter:
    """`entry` is the JSON text of an entry of store/log_writes.py, or a text that is none."""

    id: str
    error: str
    entry: str

    @classmethod
    def of(cls, refused: Refused) -> "DeadLetter":
        text = compact_json(refused.entry)
        return cls(str(refused.entry["row"]["id"]), refused.error.message, text)

    @classmethod
    def unread(cls, message: str, error: str) -> "DeadLetter":
        """The same message always has the same id, since a queue may deliver it twice."""
        digest = hashlib.sha256(message.encode("utf-8", "replace")).hexdigest()
        return cls(f"message_{digest[:32]}", error, message)


async def keep_dead_letters(db: Database, letters: Sequence[DeadLetter], *, now_ms: int) -> None:
    if letters:
        await db.batch([_keep(each, now_ms) for each in letters])


def _keep(letter: DeadLetter, now_ms: int) -> Statement:
    return statement(
        "INSERT INTO dead_letters (id, failed_at, error, entry) SELECT ?1, ?2, ?3, ?4"
        " WHERE (SELECT count(*) FROM dead_letters) < ?5 ON CONFLICT (id) DO NOTHING",
        letter.id,
        now_ms,
        letter.error[:_MAX_ERROR],
        letter.entry if len(letter.entry) <= _MAX_CHARACTERS else _TOO_LARGE,
        MAX_KEPT,
    )


async def list_dead_letters(db: Database, *, after: str | None, limit: int) -> Rows:
    """`id`, `failed_at`, `error` and `entry`, newest first, those before `after`."""
    return await db.run(
        statement(
            "SELECT id, failed_at, error, entry FROM dead_letters WHERE ?1 IS NULL OR id < ?1"
            " ORDER BY id DESC LIMIT ?2",
            after,
            limit,
        )
    )


async def count_dead_letters(db: Database) -> int:
    rows = await db.run(statement("SELECT count(*) AS n FROM dead_letters"))
    return int(rows[0]["n"])


def delete_dead_letters(ids: Sequence[str] | None = None) -> Statement:
    """Those, or all. Returns a row for each."""
    return statement(
        "DELETE FROM dead_letters WHERE ?1 IS NULL OR id IN (SELECT value FROM json_each(?1))"
        " RETURNING id",
        None if ids is None else json.dumps(list(ids)),
    )


def note_again(errors: Mapping[str, str], *, now_ms: int) -> Statement:
    """Why another try failed, by the id of the letter."""
    return statement(
        "UPDATE dead_letters SET failed_at = ?2, error = given.value FROM json_each(?1) AS given"
        " WHERE dead_letters.id = given.key",
        json.dumps({letter: text[:_MAX_ERROR] for letter, text in errors.items()}),
        now_ms,
    )


async def purge_dead_letters(db: Database, *, before_ms: int) -> int:
    chunk = statement(
        "DELETE FROM dead_letters WHERE id IN"
        f" (SELECT id FROM dead_letters WHERE failed_at < ?1 LIMIT {PURGE_CHUNK}) RETURNING id",
        before_ms,
    )
    return await purge_in_chunks(db, chunk, max_chunks=2)


def erase_dead_letters(target: ErasureTarget) -> Statement:
    """Those of the question or the person. A text that is not readable may be anybody's."""
    row = "iif(json_valid(entry), entry, '{}') ->> '$.row."
    return statement(
        f"DELETE FROM dead_letters WHERE {row}id' IS NULL"
        f" OR {row}query_hash' = ?1 OR {row}user' = ?2 OR {row}session' = ?3"
        f" OR {row}key_id' IN (SELECT value FROM json_each(?4))"
        f" OR {row}near_hash' IN (SELECT value FROM json_each(?5))"
        f" OR {row}previous_hash' IN (SELECT value FROM json_each(?6))",
        target.query_hash,
        target.user,
        target.session,
        json.dumps(target.key_ids),
        json.dumps(target.near_hashes),
        json.dumps(target.previous_hashes),
    )
