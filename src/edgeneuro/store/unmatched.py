"""The tables `clusterings`, `unmatched_clusters` and `unmatched_items`: queries that no agent fits.
Items hold ids of log rows; the texts are those of the log rows, and a trigger deletes the items
with them."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgeneuro.classifier.features import HEAD, TAIL
from edgeneuro.domain.conversation import PreviousTurn
from edgeneuro.domain.unmatched import (
    MAX_CLUSTERS,
    MIN_QUERIES,
    SHOWN_QUERIES,
    Clustering,
    ClusterState,
    UnmatchedCluster,
)
from edgeneuro.store.contexts import context_from_json
from edgeneuro.store.database import Database, Row, Rows, Statement, statement
from edgeneuro.store.jobs import insert_job, message_of, unfinished
from edgeneuro.store.sql import rfc3339

MAX_NEW = 1_000
_ITEMS_A_STATEMENT = 2_000
# As the index `logs_unmatched` has it. A decision that failed, or that a rule made, is no sign of a
# missing agent.
_UNMATCHED = "logs.reason IN ('low_confidence', 'out_of_scope')"
# The newest ones alone are looked at, so that a flood of queries costs bounded time.
_MAX_ROWS = 20_000
# What the caller's own choice of agents, or those of a router, left without one says nothing of the
# other agents.
_WITH_TEXT = (
    "logs.query_hash IS NOT NULL AND logs.query <> '' AND logs.candidates IS NULL"
    " AND (logs.router IS NULL OR EXISTS (SELECT 1 FROM routers WHERE routers.id = logs.router"
    " AND routers.agents IS NULL))"
)
_UNLABELLED = (
    "NOT EXISTS (SELECT 1 FROM current_labels c WHERE c.query_hash = logs.query_hash)"
    " AND NOT EXISTS (SELECT 1 FROM current_labels c WHERE c.near_hash = logs.near_hash)"
)
_NOT_DISMISSED = (
    "NOT EXISTS (SELECT 1 FROM unmatched_items i JOIN unmatched_clusters u ON u.id = i.cluster_id"
    " WHERE u.state = 'dismissed'"
    " AND i.near_hash = coalesce(logs.near_hash, logs.query_hash))"
)
_COLUMNS = (
    "clusterings.id, jobs.state, jobs.id AS job_id, clusterings.created_at, created_by,"
    " jobs.ended_at AS finished_at, queries, clustered, jobs.error"
)
_OPEN = "u.state = 'open'"
_ITEMS = (
    "FROM unmatched_clusters u JOIN unmatched_items i ON i.cluster_id = u.id"
    f" JOIN logs ON logs.id = i.log_id AND {_WITH_TEXT} AND {_UNLABELLED}"
)


@dataclass(frozen=True, slots=True)
class UnmatchedQuery:
    """A query of a cluster: its log row, its text and the turn before it."""

    log_id: str
    query: str
    previous: PreviousTurn


@dataclass(frozen=True, slots=True)
class FoundCluster:
    """`items` are (log_id, near_hash, times), the most typical first."""

    id: str
    name: str
    items: Sequence[tuple[str, str, int]]


# Clusterings.


def insert_clustering(clustering_id: str, *, created_ms: int, created_by: str) -> list[Statement]:
    """With its job. No row comes back from the last statement where another one is unfinished."""
    return [
        statement(
            "INSERT INTO clusterings (id, created_at, created_by, until_seq)"
            " SELECT ?1, ?2, ?3, (SELECT coalesce(max(seq), 0) FROM logs)"
            f" WHERE NOT {unfinished('clustering')}",
            clustering_id,
            created_ms,
            created_by,
        ),
        insert_job("clustering", clustering_id, created_ms=created_ms),
        statement(f"{_SELECT} WHERE clusterings.id = ?1", clustering_id),
    ]


_SELECT = f"SELECT {_COLUMNS} FROM clusterings JOIN jobs ON jobs.resource_id = clusterings.id"


async def newest_clustering(db: Database) -> tuple[Clustering | None, int]:
    """The newest one, and how many queries that no agent fits were logged since it began, counted
    up to MAX_NEW."""
    rows = await db.run(
        statement(
            f"SELECT found.*, (SELECT count(*) FROM (SELECT 1 FROM logs INDEXED BY logs_unmatched"
            f" WHERE {_UNMATCHED} AND {_WITH_TEXT} AND seq > coalesce(found.until_seq, 0)"
            " LIMIT ?1)) AS new_queries FROM (SELECT 1) LEFT JOIN"
            f" (SELECT {_COLUMNS}, until_seq FROM clusterings JOIN jobs"
            " ON jobs.resource_id = clusterings.id ORDER BY clusterings.id DESC LIMIT 1) AS found",
            MAX_NEW,
        )
    )
    row = rows[0]
    return None if row["id"] is None else clustering_from_row(row), int(row["new_queries"])


def clustering_from_row(row: Row) -> Clustering:
    return Clustering(
        id=row["id"],
        state=row["state"],
        job_id=row["job_id"],
        created_at=rfc3339(row["created_at"]),
        created_by=row["created_by"],
        finished_at=None if row["finished_at"] is None else rfc3339(row["finished_at"]),
        queries=row["queries"],
        clustered=row["clustered"],
        error=message_of(row["error"]),
    )


_DRAWN = (
    "FROM (SELECT seq, coalesce(near_hash, query_hash) AS near FROM logs INDEXED BY logs_unmatched"
    f" WHERE {_UNMATCHED} AND {_WITH_TEXT} AND created_at >= ?1 AND (?2 IS NULL OR seq <= ?2)"
    f" AND {_UNLABELLED} AND {_NOT_DISMISSED} ORDER BY seq DESC LIMIT {_MAX_ROWS}) GROUP BY near"
)


async def may_be_clustered(db: Database, *, since_ms: int) -> bool:
    """Whether there are enough different queries for a cluster."""
    rows = await db.run(statement(f"SELECT near {_DRAWN} LIMIT ?3", since_ms, None, MIN_QUERIES))
    return len(rows) == MIN_QUERIES


async def draw_queries(
    db: Database, clustering_id: str, *, since_ms: int, limit: int
) -> list[tuple[int, int]]:
    """The newest queries that no agent fits, without a label and a text each, near-duplicates
    once: the `seq` of the newest row, and how often it was asked."""
    [begun] = await db.run(
        statement("SELECT until_seq FROM clusterings WHERE id = ?1", clustering_id)
    )
    rows = await db.run(
        statement(
            f"SELECT max(seq) AS seq, count(*) AS times {_DRAWN} ORDER BY seq DESC LIMIT ?3",
            since_ms,
            begun["until_seq"],
            limit,
        )
    )
    return [(int(row["seq"]), int(row["times"])) for row in rows]


async def read_texts(db: Database, places: Sequence[int]) -> Rows:
    """Of these rows `seq`, `id`, `near_hash`, `in_context` and the `query`, of a long one the
    beginning and the end. Rows that are gone are left out."""
    return await db.run(
        statement(
            "SELECT seq, logs.id, coalesce(near_hash, query_hash) AS near_hash,"
            " context IS NOT NULL AS in_context, iif(length(query) <= ?2, query,"
            " substr(query, 1, ?3) || ' ' || substr(query, -?4)) AS query"
            " FROM json_each(?1) AS wanted CROSS JOIN logs ON logs.seq = wanted.value"
            f" WHERE {_WITH_TEXT}",
            json.dumps(list(places)),
            HEAD + TAIL,
            HEAD,
            TAIL,
        )
    )


def store_clusters(
    clustering_id: str, found: Sequence[FoundCluster], *, queries: int
) -> Iterator[Statement]:
    """In place of the open clusters of earlier clusterings. Those that were handled stay as a
    record, the items of dismissed ones too: they are not clustered again."""
    yield statement(
        "DELETE FROM unmatched_clusters WHERE state = 'outdated' AND clustering_id <> ?1",
        clustering_id,
    )
    yield statement(
        "UPDATE unmatched_clusters SET state = 'outdated' WHERE state = 'open'"
        " AND clustering_id <> ?1",
        clustering_id,
    )
    yield statement(
        "DELETE FROM unmatched_items WHERE cluster_id IN"
        " (SELECT id FROM unmatched_clusters WHERE state NOT IN ('open', 'dismissed'))"
    )
    yield statement(
        "DELETE FROM clusterings WHERE id <> ?1 AND NOT EXISTS"
        " (SELECT 1 FROM unmatched_clusters u WHERE u.clustering_id = clusterings.id)",
        clustering_id,
    )
    yield statement(
        "INSERT INTO unmatched_clusters (id, clustering_id, place, name)"
        " SELECT value ->> 0, ?1, key, nullif(value ->> 1, '') FROM json_each(?2)",
        clustering_id,
        json.dumps([[each.id, each.name] for each in found]),
    )
    items = [
        [each.id, log_id, near, place, times]
        for each in found
        for place, (log_id, near, times) in enumerate(each.items)
    ]
    for at in range(0, len(items), _ITEMS_A_STATEMENT):
        yield statement(
            "INSERT INTO unmatched_items (cluster_id, log_id, near_hash, place, times)"
            " SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4"
            " FROM json_each(?1)",
            json.dumps(items[at : at + _ITEMS_A_STATEMENT]),
        )
    yield statement(
        "UPDATE clusterings SET queries = ?2, clustered = ?3 WHERE id = ?1",
        clustering_id,
        queries,
        len(items),
    )


# Clusters.


async def list_clusters(db: Database) -> list[UnmatchedCluster]:
    """The open ones with at least MIN_QUERIES queries that have no label yet, the most asked
    first."""
    rows = await db.run(
        statement(
            "WITH shown AS (SELECT u.id, u.place AS cluster_place, u.name, i.times, logs.query,"
            " logs.id AS log_id, row_number() OVER (PARTITION BY u.id ORDER BY i.place) AS place,"
            " count(*) OVER cluster AS size, sum(i.times) OVER cluster AS asked"
            f" {_ITEMS} WHERE {_OPEN} WINDOW cluster AS (PARTITION BY u.id)),"
            " largest AS (SELECT DISTINCT id, asked, size, cluster_place FROM shown"
            f" WHERE size >= {MIN_QUERIES} ORDER BY asked DESC, cluster_place LIMIT {MAX_CLUSTERS})"
            " SELECT shown.* FROM largest JOIN shown ON shown.id = largest.id"
            f" WHERE shown.place <= {SHOWN_QUERIES}"
            " ORDER BY largest.asked DESC, largest.cluster_place, shown.place"
        )
    )
    found: dict[str, UnmatchedCluster] = {}
    for row in rows:
        cluster = found.setdefault(
            row["id"],
            UnmatchedCluster(
                id=row["id"],
                size=row["size"],
                asked=row["asked"],
                suggested_name=row["name"],
                queries=[],
                log_ids=[],
            ),
        )
        cluster.queries.append(row["query"])
        cluster.log_ids.append(row["log_id"])
    return list(found.values())


async def find_state(db: Database, cluster_id: str) -> tuple[ClusterState, str | None] | None:
    """The state, and the agent that it became or was labelled with."""
    rows = await db.run(
        statement("SELECT state, agent_id FROM unmatched_clusters WHERE id = ?1", cluster_id)
    )
    return (rows[0]["state"], rows[0]["agent_id"]) if rows else None


async def read_cluster(db: Database, cluster_id: str) -> list[UnmatchedQuery]:
    """Its queries that have no label yet, the most typical first."""
    rows = await db.run(
        statement(
            f"SELECT logs.id, logs.query, logs.context {_ITEMS} WHERE u.id = ?1 ORDER BY i.place",
            cluster_id,
        )
    )
    return [
        UnmatchedQuery(row["id"], row["query"], context_from_json(row["context"])) for row in rows
    ]


def require_open(cluster_id: str) -> Statement:
    """Refuses the whole batch that it begins if the cluster is not open any more: the null breaks a
    constraint."""
    return statement(
        "INSERT INTO unmatched_clusters (id, clustering_id, place) SELECT NULL, NULL, NULL"
        " WHERE NOT EXISTS (SELECT 1 FROM unmatched_clusters WHERE id = ?1 AND state = 'open')",
        cluster_id,
    )


def set_state(
    cluster_id: str, state: ClusterState, *, agent_id: str | None, now_ms: int, by: str
) -> Statement:
    """No row comes back if the cluster is not open."""
    return statement(
        "UPDATE unmatched_clusters SET state = ?2, agent_id = ?3, handled_at = ?4, handled_by = ?5"
        " WHERE id = ?1 AND state = 'open' RETURNING id",
        cluster_id,
        state,
        agent_id,
        now_ms,
        by,
    )


def forget_names(log_ids: str) -> Statement:
    """For an erasure of these log rows (a JSON array): the names of the clusters that they are in
    may have their words. The items go with the log rows, by a trigger."""
    return statement(
        "UPDATE unmatched_clusters SET name = NULL WHERE id IN (SELECT cluster_id"
        " FROM unmatched_items WHERE log_id IN (SELECT value FROM json_each(?1)))",
        log_ids,
    )
