"""The table `signals`, and chains of decisions: each log row names the one that it replaces."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from edgeneuro.domain.log import LogEntry
from edgeneuro.domain.signal import CONTRADICTIONS, MISROUTES, Signal
from edgeneuro.store.database import Database, Row, Statement, statement
from edgeneuro.store.sql import rfc3339, unix_ms

# For a row of `logs`: a JSON list of its signals.
SIGNALS_OF_LOG = (
    "(SELECT json_group_array(json_object('id', s.id, 'kind', s.kind, 'agent_id', s.agent_id,"
    " 'reason', s.reason, 'key_id', s.key_id, 'created_at', s.created_at))"
    " FROM signals s WHERE s.log_id = logs.id)"
)
# The decision that replaced it; the first one, if two requests replaced it at the same time: the
# index has equal values in the order of `seq`.
REROUTED_TO = (
    "(SELECT later.id FROM logs AS later INDEXED BY logs_rerouted_from"
    " WHERE later.rerouted_from = logs.id LIMIT 1)"
)
_KINDS = ", ".join(f"'{kind}'" for kind in MISROUTES)
# Whether anybody has said that the agent of a log row was the wrong one.
MISROUTED = (
    f"(EXISTS (SELECT 1 FROM signals s WHERE s.log_id = logs.id AND s.kind IN ({_KINDS}))"
    " OR EXISTS (SELECT 1 FROM feedback f WHERE f.decision_id = logs.id AND f.value = 'down'))"
)
# The same, or that what the person wrote next speaks against the decision.
_AGAINST = ", ".join(f"'{kind}'" for kind in CONTRADICTIONS)
CONTRADICTED = (
    f"(EXISTS (SELECT 1 FROM signals s WHERE s.log_id = logs.id AND s.kind IN ({_AGAINST}))"
    " OR EXISTS (SELECT 1 FROM feedback f WHERE f.decision_id = logs.id AND f.value = 'down'))"
)
_NEWEST = 5_000
# The ids of such log rows, out of the newest feedback and signals.
CONTRADICTED_LOGS = (
    f"SELECT decision_id AS log_id FROM (SELECT decision_id, value FROM feedback ORDER BY id DESC"
    f" LIMIT {_NEWEST}) WHERE value = 'down' UNION SELECT log_id FROM (SELECT log_id, kind"
    f" FROM signals ORDER BY created_at DESC LIMIT {_NEWEST}) WHERE kind IN ({_AGAINST})"
)
# The `seq` of the log rows that replace another one: out of the index alone.
REPLACING = "SELECT seq FROM logs INDEXED BY logs_rerouted_from WHERE rerouted_from IS NOT NULL"
_MAX_LINKS = 20  # of a chain; requests at the same time may make several from one decision


@dataclass(frozen=True)
class ChainLink:
    """A decision of a chain: `rerouted_from` is the one that it replaces."""

    id: str
    rerouted_from: str | None
    agent_id: str | None


@dataclass(frozen=True)
class AnsweredMessage:
    """A message that an agent got, as its log row has it."""

    id: str
    query: str
    agent_id: str
    created_ms: int


async def read_answered_before(
    db: Database, entry: LogEntry, *, since_ms: int
) -> AnsweredMessage | None:
    """The last message before this one of the same key in the same session, or without one of the
    same user; None if no agent got it."""
    column, value = ("session", entry.session) if entry.session else ("user", entry.user)
    rows = await db.run(
        statement(
            "SELECT id, query, query_hash, agent_id, created_at FROM logs"
            f" WHERE {column} = ?1 AND created_at >= ?2 AND created_at <= ?3"
            " AND key_id = ?4 AND id <> ?5 ORDER BY created_at DESC, seq DESC LIMIT 1",
            value,
            since_ms,
            unix_ms(entry.created_at),
            entry.key_id,
            entry.id,
        )
    )
    if not rows or rows[0]["agent_id"] is None or rows[0]["query_hash"] is None:
        return None
    row = rows[0]
    return AnsweredMessage(row["id"], row["query"], row["agent_id"], row["created_at"])


def insert_signal(signal: Signal, log_id: str) -> Statement:
    """Nothing is written if the decision has such a signal for the agent already, or is gone. Goes
    after the decision's row, where both are written together."""
    return statement(
        "INSERT INTO signals (id, log_id, created_at, kind, agent_id, key_id, reason)"
        " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE EXISTS (SELECT 1 FROM logs WHERE id = ?2)"
        " ON CONFLICT DO NOTHING",
        signal.id,
        log_id,
        unix_ms(signal.created_at),
        signal.kind,
        signal.agent_id,
        signal.key_id,
        signal.reason,
    )


def signals_from_json(found: str) -> list[dict[str, object]]:
    """SIGNALS_OF_LOG, the oldest first."""
    given = sorted(json.loads(found), key=lambda each: (each["created_at"], each["id"]))
    return [{**each, "created_at": rfc3339(each["created_at"])} for each in given]


def select_signals(log_ids: Sequence[str]) -> Statement:
    """`log_id`, `kind` and `agent_id` of the signals on these decisions."""
    return statement(
        "SELECT log_id, kind, agent_id FROM signals"
        " WHERE log_id IN (SELECT value FROM json_each(?1))",
        json.dumps(log_ids),
    )


def count_misroutes(start: int, stop: int) -> Statement:
    """How many decisions for each agent (`place`) were said to be wrong in this time."""
    return statement(
        "SELECT agent_id AS place, count(DISTINCT log_id) AS misrouted FROM signals"
        f" WHERE created_at >= ?1 AND created_at < ?2 AND kind IN ({_KINDS})"
        " AND agent_id IS NOT NULL GROUP BY agent_id",
        start,
        stop,
    )


async def read_chain(
    db: Database, log_id: str, *, depth: int
) -> tuple[list[ChainLink], list[ChainLink]]:
    """The decisions that this one replaces, the nearest first, at most `depth`; and those that
    replaced it, the nearest and oldest first. Its own row is in neither."""
    before, after = await db.batch(
        [
            statement(
                "WITH RECURSIVE chain (id, rerouted_from, agent_id, steps) AS ("
                " SELECT id, rerouted_from, agent_id, 0 FROM logs WHERE id = ?1 UNION ALL"
                " SELECT logs.id, logs.rerouted_from, logs.agent_id, steps + 1 FROM chain"
                " JOIN logs ON logs.id = chain.rerouted_from WHERE steps < ?2)"
                " SELECT id, rerouted_from, agent_id FROM chain WHERE steps > 0 ORDER BY steps",
                log_id,
                depth,
            ),
            statement(
                "WITH RECURSIVE chain (id, rerouted_from, agent_id, seq, steps) AS ("
                " SELECT id, rerouted_from, agent_id, seq, 0 FROM logs WHERE id = ?1 UNION ALL"
                " SELECT logs.id, logs.rerouted_from, logs.agent_id, logs.seq, steps + 1 FROM chain"
                " JOIN logs ON logs.rerouted_from = chain.id WHERE steps < ?2)"
                " SELECT id, rerouted_from, agent_id FROM chain WHERE steps > 0"
                " ORDER BY steps, seq LIMIT ?3",
                log_id,
                depth,
                _MAX_LINKS,
            ),
        ]
    )
    return [_link(row) for row in before], [_link(row) for row in after]


def _link(row: Row) -> ChainLink:
    return ChainLink(row["id"], row["rerouted_from"], row["agent_id"])
