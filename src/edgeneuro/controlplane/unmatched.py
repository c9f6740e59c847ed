"""Queries that no agent fits, in clusters, each of which may be a missing agent: listed, made an
agent, labelled whole, or dismissed."""

import re
import unicodedata
from collections.abc import Sequence

from edgeneuro.call import Call
from edgeneuro.controlplane.access.audit import Change, audited, commit, rule_audit_row
from edgeneuro.controlplane.agents import plan_creation
from edgeneuro.controlplane.jobs.runner import wake
from edgeneuro.domain.agent import NO_AGENT, AgentCreate
from edgeneuro.domain.classifier import RULE
from edgeneuro.domain.label import LabelEvent, LabelFacts, LabelsWritten
from edgeneuro.domain.unmatched import (
    CLUSTERING_PREFIX,
    MAX_DAYS,
    MAX_EXAMPLES,
    Clustering,
    ClusterState,
    Unmatched,
    UnmatchedAgent,
    UnmatchedHandled,
    UnmatchedLabels,
)
from edgeneuro.errors import (
    ConflictError,
    ConstraintError,
    InvalidRequestError,
    NotFoundError,
)
from edgeneuro.services import Services
from edgeneuro.store import unmatched as store
from edgeneuro.store.agents import get_agent
from edgeneuro.store.database import Statement
from edgeneuro.store.labels import record_labels
from edgeneuro.store.sql import rfc3339, unix_ms
from edgeneuro.store.unmatched import UnmatchedQuery
from edgeneuro.synapsecore.gateway_feedback import push_labels
from edgeneuro.synapsecore.stored_text import redact, stored_text

# When the cron clusters again: once a day if a few queries are new, sooner if many are.
_DAY_MS, _HOUR_MS = 86_400_000, 3_600_000
_NEW_IN_A_DAY, _NEW_AT_ONCE = 10, 500
_MAX_EXAMPLE_CHARACTERS, _MAX_DESCRIPTION_CHARACTERS = 500, 1_000
_DESCRIBED_BY = 3  # queries


async def list_unmatched(call: Call) -> Unmatched:
    """List the clusters of queries that no agent fits: those of the last 30 days whose decision was
    that none fits, or that was not confident, without a label, near-duplicates counted once.
    Clusters with fewer than three queries are not listed. Reading starts no clustering: the cron
    does once a day, and POST /v1/unmatched at once."""
    db = call.services.db
    clustering, new = await store.newest_clustering(db)
    return Unmatched(clusters=await store.list_clusters(db), clustering=clustering, new_queries=new)


async def start_clustering(call: Call) -> Clustering:
    """Cluster the queries that no agent fits again. The job starts within a minute and takes a few
    seconds; clusters that nobody has handled are replaced by the new ones."""
    services = call.services
    since_ms = services.now_ms() - MAX_DAYS * _DAY_MS
    if not await store.may_be_clustered(services.db, since_ms=since_ms):
        raise ConflictError(
            "There are fewer than three queries without a label that no agent fits, so there is"
            " nothing to cluster yet.",
            code="nothing_unmatched",
        )
    clustering_id = services.new_id(CLUSTERING_PREFIX)
    rows = await commit(
        call,
        store.insert_clustering(
            clustering_id, created_ms=services.now_ms(), created_by=call.credential.key_id
        ),
        action="create",
        resource="clustering",
        resource_id=clustering_id,
    )
    if not rows:
        raise ConflictError(
            "A clustering is under way. GET /v1/unmatched shows its state.",
            code="clustering_under_way",
        )
    wake(call)
    return store.clustering_from_row(rows[0])


async def cluster_by_rule(services: Services) -> None:
    """Starts a clustering if enough is new. The cron calls it every hour."""
    newest, new = await store.newest_clustering(services.db)
    if newest is not None:
        if newest.state in ("queued", "running"):
            return
        age_ms = services.now_ms() - unix_ms(newest.created_at)
        if age_ms < (_HOUR_MS if new >= _NEW_AT_ONCE else _DAY_MS):
            return
    if new < _NEW_IN_A_DAY:
        return
    clustering_id = services.new_id(CLUSTERING_PREFIX)
    audit = rule_audit_row(
        services, action="create", resource="clustering", resource_id=clustering_id
    )
    insert = store.insert_clustering(clustering_id, created_ms=services.now_ms(), created_by=RULE)
    await services.db.batch([*insert, audit])


async def create_agent_of(call: Call, cluster_id: str, body: UnmatchedAgent) -> UnmatchedHandled:
    """Make an agent of a cluster: its most typical queries are the agent's examples, and all its
    queries are labelled with it, in one batch. The checks are those of POST /v1/agents."""
    queries = await _open_queries(call, cluster_id)
    created = _agent(body, queries)
    planned = await plan_creation(call, created)
    events = _events(call, queries, created.id, note=None)
    try:
        await _handle(
            call,
            cluster_id,
            "agent",
            created.id,
            [*audited(call, planned.change), *_audited_labels(call, events)],
        )
    except ConstraintError as error:
        await _require_open(call, cluster_id)
        raise ConflictError(
            f"There is an agent {created.id!r} already; choose another id.",
            code="agent_exists",
            param="id",
        ) from error
    push_labels(call, {each.log_id: each.agent_id for each in events if each.log_id})
    agent = await get_agent(call.services.db, created.id)
    return UnmatchedHandled(
        id=cluster_id, state="agent", labels=len(events), agent_id=created.id, agent=agent
    )


async def label_cluster(call: Call, cluster_id: str, body: UnmatchedLabels) -> UnmatchedHandled:
    """Label all queries of a cluster with an agent, or with null: no agent fits them. All or
    none."""
    queries = await _open_queries(call, cluster_id)
    agent_id = body.agent_id
    if agent_id is not None and await get_agent(call.services.db, agent_id) is None:
        raise InvalidRequestError(
            f"There is no agent {agent_id!r}. GET /v1/agents lists them; POST"
            " /v1/unmatched/{cluster_id}/agent makes a new one of the cluster.",
            code="unknown_agent",
            param="agent_id",
        )
    config = await call.services.routing.current()
    note = body.note and stored_text(config, body.note)
    events = _events(call, queries, agent_id, note=note)
    try:
        await _handle(call, cluster_id, "labelled", agent_id, _audited_labels(call, events))
    except ConstraintError:
        await _require_open(call, cluster_id)
        raise
    push_labels(call, {each.log_id: each.agent_id for each in events if each.log_id})
    return UnmatchedHandled(id=cluster_id, state="labelled", labels=len(events), agent_id=agent_id)


async def dismiss_cluster(call: Call, cluster_id: str) -> UnmatchedHandled:
    """Dismiss a cluster: its queries are in no later one. Nothing is labelled."""
    await _require_open(call, cluster_id)
    try:
        await _handle(call, cluster_id, "dismissed", None, [])
    except ConstraintError:
        await _require_open(call, cluster_id)
        raise
    return UnmatchedHandled(id=cluster_id, state="dismissed", labels=0)


async def _handle(
    call: Call,
    cluster_id: str,
    state: ClusterState,
    agent_id: str | None,
    statements: Sequence[Statement],
) -> None:
    """In one batch that is refused if the cluster is not open any more."""
    services = call.services
    handled = store.set_state(
        cluster_id, state, agent_id=agent_id, now_ms=services.now_ms(), by=call.credential.key_id
    )
    await commit(
        call,
        [store.require_open(cluster_id), *statements, handled],
        action={"agent": "make_agent", "labelled": "label"}.get(state, "dismiss"),
        resource="unmatched",
        resource_id=cluster_id,
        after=None
        if agent_id is None
        else LabelFacts(
            agent_id=agent_id,
            labeler=call.credential.key_id,
            created_at=rfc3339(services.now_ms()),
        ),
    )


async def _open_queries(call: Call, cluster_id: str) -> list[UnmatchedQuery]:
    await _require_open(call, cluster_id)
    queries = await store.read_cluster(call.services.db, cluster_id)
    if not queries:
        raise ConflictError(
            "All queries of this cluster were labelled or deleted since. GET /v1/unmatched lists"
            " the others.",
            code="cluster_outdated",
        )
    return queries


async def _require_open(call: Call, cluster_id: str) -> None:
    found = await store.find_state(call.services.db, cluster_id)
    if found is None:
        raise NotFoundError(
            f"There is no cluster {cluster_id[:200]!r}. GET /v1/unmatched lists them.",
            code="unknown_cluster",
            param="cluster_id",
        )
    state, agent_id = found
    if state == "outdated":
        raise ConflictError(
            "A newer clustering has replaced this cluster. GET /v1/unmatched lists the present"
            " ones.",
            code="cluster_outdated",
        )
    if state != "open":
        became = {
            "agent": f"became the agent {agent_id!r}",
            "labelled": f"was labelled with {agent_id or NO_AGENT!r}",
        }.get(state, "was dismissed")
        raise ConflictError(
            f"This cluster {became} already. GET /v1/unmatched lists the open ones.",
            code="cluster_handled",
        )


def _agent(body: UnmatchedAgent, queries: Sequence[UnmatchedQuery]) -> AgentCreate:
    typical = [
        text
        for each in queries[: 2 * MAX_EXAMPLES]
        if (text := " ".join(redact(each.query).split())) and len(text) <= _MAX_EXAMPLE_CHARACTERS
    ]
    examples = list(dict.fromkeys(typical))[:MAX_EXAMPLES]
    quoted = " ".join(f"“{each}”" for each in examples[:_DESCRIBED_BY])
    described = f"{body.name}. Messages such as {quoted}" if quoted else body.name
    return AgentCreate(
        **body.model_dump(exclude={"id", "description", "examples"}),
        id=body.id or _id_of(body.name),
        description=body.description or described[:_MAX_DESCRIPTION_CHARACTERS],
        examples=examples if body.examples is None else body.examples,
    )


def _id_of(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    made = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:64].strip("_")
    if not made or made == NO_AGENT:
        raise InvalidRequestError(
            "id: no id can be made of this name. Send an `id` of small letters, digits, hyphens and"
            " underscores.",
            param="id",
        )
    return made


def _events(
    call: Call, queries: Sequence[UnmatchedQuery], agent_id: str | None, *, note: str | None
) -> list[LabelEvent]:
    services = call.services
    return [
        LabelEvent(
            id=services.new_id("lab"),
            query=each.query,
            previous=each.previous,
            agent_id=agent_id,
            labeler=call.credential.key_id,
            source="bulk",
            created_ms=services.now_ms(),
            log_id=each.log_id,
            note=note,
        )
        for each in queries
    ]


def _audited_labels(call: Call, events: Sequence[LabelEvent]) -> list[Statement]:
    written = LabelsWritten(
        labels=len(events), questions=len({event.hashes.question for event in events})
    )
    return audited(
        call,
        Change(
            statements=record_labels(events),
            action="label_bulk",
            resource="label",
            resource_id=events[0].id,
            after=written,
        ),
    )
