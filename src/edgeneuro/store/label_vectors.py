"""The table `label_vectors`: what an embedding model made of the texts that trainings learn from.
They are made once, and go with the label and the log rows of their question.

`model` is the hash that names the embedding model (RoutingConfig.identity_hash): vectors of two
models cannot be compared."""

import base64
import json
from collections.abc import Mapping, Sequence

from edgeneuro.store.database import Database, Statement, statement

MAX_PURGED = 5_000  # rows in one statement
# An agent's text is in no other table: its vector is made again after so long without a training.
_AGENT_TEXT_DAYS = 30
_DAY_MS = 86_400_000


async def find_vectors(db: Database, model: str, hashes: Sequence[str]) -> dict[str, bytes]:
    """By query hash, those that there are; at most 1,000 at a time, since each has up to 5 KB."""
    rows = await db.run(
        statement(
            "SELECT query_hash, vector FROM label_vectors WHERE model = ?1"
            " AND query_hash IN (SELECT value FROM json_each(?2))",
            model,
            json.dumps(list(hashes)),
        )
    )
    return {row["query_hash"]: base64.b64decode(row["vector"]) for row in rows}


async def find_texts(db: Database, hashes: Sequence[str]) -> dict[str, str]:
    """The texts of labels, and of log rows, that are still stored."""
    given = json.dumps(list(hashes))
    of_given = "query_hash IN (SELECT value FROM json_each(?1))"
    labels, logs = await db.batch(
        [
            statement(f"SELECT query_hash, query FROM current_labels WHERE {of_given}", given),
            statement(
                f"SELECT query_hash, query FROM logs WHERE {of_given} AND query <> ''"
                " GROUP BY query_hash",
                given,
            ),
        ]
    )
    return {row["query_hash"]: row["query"] for row in (*logs, *labels)}


def store_vectors(
    model: str, vectors: Mapping[str, bytes], *, of_agents: bool, now_ms: int
) -> Statement:
    """By query hash."""
    rows = [[key, base64.b64encode(vector).decode()] for key, vector in vectors.items()]
    return statement(
        "INSERT INTO label_vectors (query_hash, model, vector, of_agent, used_at)"
        " SELECT value ->> 0, ?2, value ->> 1, ?3, ?4 FROM json_each(?1) WHERE true"
        " ON CONFLICT (query_hash, model) DO UPDATE SET vector = excluded.vector,"
        " of_agent = min(of_agent, excluded.of_agent), used_at = excluded.used_at",
        json.dumps(rows),
        model,
        int(of_agents),
        now_ms,
    )


def note_use(model: str, hashes: Sequence[str], *, now_ms: int) -> Statement:
    return statement(
        "UPDATE label_vectors SET used_at = ?3 WHERE model = ?2"
        " AND query_hash IN (SELECT value FROM json_each(?1))",
        json.dumps(list(hashes)),
        model,
        now_ms,
    )


def delete_vectors(hashes: str) -> Statement:
    """Those of these questions (JSON)."""
    return statement(
        "DELETE FROM label_vectors WHERE query_hash IN (SELECT value FROM json_each(?1))", hashes
    )


def delete_vectors_of_logs(log_ids: str) -> Statement:
    """For an erasure of these log rows (a JSON array), before they are deleted: those of texts that
    no label and no other log row has."""
    return statement(
        "DELETE FROM label_vectors WHERE NOT of_agent AND query_hash IN (SELECT query_hash"
        " FROM logs AS erased WHERE id IN (SELECT value FROM json_each(?1))"
        " AND query_hash IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM current_labels WHERE query_hash = erased.query_hash)"
        " AND NOT EXISTS (SELECT 1 FROM logs AS other WHERE other.query_hash = erased.query_hash"
        " AND other.query <> '' AND other.id NOT IN (SELECT value FROM json_each(?1))))",
        log_ids,
    )


async def purge_vectors(db: Database, *, models: Sequence[str], now_ms: int) -> None:
    """Deletes those of other models than these, of questions whose label and log rows are gone, and
    of agents' texts that no training has wanted for a month."""
    await db.run(
        statement(
            "DELETE FROM label_vectors WHERE (query_hash, model) IN (SELECT query_hash, model"
            " FROM label_vectors AS one WHERE model NOT IN (SELECT value FROM json_each(?1))"
            " OR CASE WHEN of_agent THEN used_at < ?2 ELSE NOT EXISTS"
            " (SELECT 1 FROM current_labels WHERE query_hash = one.query_hash) AND NOT EXISTS"
            " (SELECT 1 FROM logs WHERE query_hash = one.query_hash AND query <> '') END LIMIT ?3)",
            json.dumps(list(models)),
            now_ms - _AGENT_TEXT_DAYS * _DAY_MS,
            MAX_PURGED,
        )
    )
