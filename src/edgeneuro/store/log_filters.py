"""The filters of a list of logs as conditions of SQL."""

from dataclasses import dataclass

from edgeneuro.domain.agent import NO_AGENT
from edgeneuro.domain.log import LogsFilter
from edgeneuro.domain.router_names import DEFAULT_ROUTER
from edgeneuro.store.signals import MISROUTED
from edgeneuro.store.sql import LOG_KIND, LOG_OUTCOME, Conditions, unix_ms

# A join that calls the label in force `c`: a condition of `facts` may name it.
LABEL = "LEFT JOIN current_labels c ON c.query_hash = logs.query_hash"
# Rows from before migration 0025 have it in another column, whose CHECK knows no decision models: a
# CHECK cannot be changed without rewriting the table.
CONFIDENCE_SOURCE = "coalesce(logs.confidence_source, logs.confidence_source_before)"
_KNOWN = f"coalesce({CONFIDENCE_SOURCE}, '') <> 'none'"  # the confidence


@dataclass(frozen=True)
class LogPosition:
    """A place in the order of the log rows: that of the row `id`, which may be deleted since."""

    id: str
    created_ms: int
    seq: int


def in_order(
    query: LogsFilter, *, position: LogPosition | None = None, after: str | None = None
) -> Conditions:
    """What indexes by time can follow."""
    wanted = named(query)
    if position is not None:
        # The first of both is what an index can follow.
        wanted.add("logs.created_at <= ?", position.created_ms)
        wanted.add("(logs.created_at, logs.seq) < (?, ?)", position.created_ms, position.seq)
    elif after is not None:
        # A row that retention has deleted since has nothing older behind it: the page is empty.
        wanted.add("logs.created_at <= (SELECT created_at FROM logs WHERE id = ?)", after)
        wanted.add(
            "(logs.created_at, logs.seq) < (SELECT created_at, seq FROM logs WHERE id = ?)",
            after,
        )
    wanted.add_all(times(query))
    return wanted


def times(query: LogsFilter) -> Conditions:
    wanted = Conditions()
    if query.since is not None:
        wanted.add("logs.created_at >= ?", unix_ms(query.since))
    if query.to is not None:
        wanted.add("logs.created_at < ?", unix_ms(query.to))
    return wanted


def named(query: LogsFilter) -> Conditions:
    """By user and session, which have indexes."""
    wanted = Conditions()
    if query.user is not None:
        wanted.add("logs.user = ?", query.user)
    if query.session is not None:
        wanted.add("logs.session = ?", query.session)
    return wanted


def facts(query: LogsFilter) -> Conditions:
    """The conditions that need the rows themselves."""
    wanted = Conditions()
    wanted.add_equal(
        "logs",
        {
            "agent_id": query.agent,
            "layer": query.layer,
            "reason": query.reason,
            "key_id": query.key,
        },
    )
    if query.router is not None:
        named = None if query.router == DEFAULT_ROUTER else query.router
        wanted.add("logs.router IS ?", named)
    if query.kind is not None:
        wanted.add(f"{LOG_KIND} = ?", query.kind)
    if query.outcome is not None:
        wanted.add(f"{LOG_OUTCOME} = ?", query.outcome)
    if query.model is not None:
        wanted.add("(logs.model = ? OR logs.adapter = ?)", query.model, query.model)
    if query.error is not None:
        wanted.add(f"logs.status {'<>' if query.error == 'true' else '='} 200")
    if query.labelled is not None:
        wanted.add(f"c.query_hash IS {'NOT ' if query.labelled == 'true' else ''}NULL")
    if query.misrouted is not None:
        wanted.add(f"{'' if query.misrouted == 'true' else 'NOT '}{MISROUTED}")
    if query.min_confidence is not None:
        wanted.add(f"logs.confidence >= ? AND {_KNOWN}", query.min_confidence)
    if query.max_confidence is not None:
        wanted.add(f"logs.confidence <= ? AND {_KNOWN}", query.max_confidence)
    if query.label is not None:
        labelled = None if query.label == NO_AGENT else query.label
        wanted.add("c.query_hash IS NOT NULL AND c.agent_id IS ?", labelled)
    if query.min_latency_ms is not None:
        wanted.add("logs.latency_ms >= ?", query.min_latency_ms)
    if query.max_latency_ms is not None:
        wanted.add("logs.latency_ms < ?", query.max_latency_ms)
    for key, value in (query.metadata or {}).items():
        wanted.add(
            "EXISTS (SELECT 1 FROM json_each(logs.metadata) AS fact WHERE fact.key = ? AND iif("
            "fact.type IN ('true', 'false'), fact.type, CAST(fact.value AS TEXT)) = ?)",
            key,
            value,
        )
    return wanted
