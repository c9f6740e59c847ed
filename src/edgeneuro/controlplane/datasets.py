"""Data sets in the control plane: labels out for trainers, labels in from files, and their
counts."""

from collections.abc import Sequence
from functools import partial

from edgeneuro.call import Call
from edgeneuro.controlplane.audit import commit
from edgeneuro.controlplane.dataset_export import Export
from edgeneuro.controlplane.dataset_import import FileLabel, read_file
from edgeneuro.domain.agent import Agent
from edgeneuro.domain.dataset import (
    AgentCounts,
    DatasetImport,
    DatasetStats,
    ExportQuery,
    ImportQuery,
    SplitCounts,
)
from edgeneuro.domain.label import LabelEvent
from edgeneuro.store import datasets as store
from edgeneuro.store.agents import list_agent_ids, list_agents
from edgeneuro.store.database import Statement
from edgeneuro.store.labels import record_labels
from edgeneuro.store.times import rfc3339
from edgeneuro.synapsecore.stored_text import stored_text
from edgeneuro.web.response import Response

MAX_FILE_BYTES = 8_000_000
_PART = 2_000
_ENOUGH = 20  # with fewer, validation and test have about two each
_ALL_AGENTS = 1_000  # more than there can be


async def export_labels(call: Call, query: ExportQuery) -> Response:
    """Export the labels in force, a line each, as JSON Lines: `chat` has the messages that the
    router would send and the right answer, `prompt` the same as prompt and completion, `flat` the
    bare facts. Labels of agents that are not enabled are in `flat` only."""
    services = call.services
    config = await services.routing.current()
    if query.format != "flat":
        config.require_default_agent()
    export = Export(services.db, query, config, await store.newest_label(services.db))
    name = f"edgeneuro-{query.split}-{query.format}.jsonl"
    headers = {
        "content-type": "application/jsonl",
        "content-disposition": f'attachment; filename="{name}"',
    }
    if query.manifest:
        return Response(200, export.chunks_after_manifest(rfc3339(services.now_ms())), headers)
    return Response(200, export.chunks(), headers)


async def show_stats(call: Call) -> DatasetStats:
    """Count the labels in force by agent and split."""
    db = call.services.db
    agents = {agent.id: agent for agent in await list_agents(db, limit=_ALL_AGENTS, after=None)}
    counts = {agent_id: _no_labels(agent_id, agent) for agent_id, agent in agents.items()}
    total, out_of_scope = SplitCounts(), SplitCounts()
    for agent_id, split, labels in await store.count_labels(db):
        of_agent: SplitCounts = out_of_scope
        if agent_id is not None:
            of_agent = counts.setdefault(agent_id, _no_labels(agent_id, None))
        for sums in (total, of_agent):
            sums.labels += labels
            setattr(sums, split, getattr(sums, split) + labels)
    return DatasetStats(
        total=total,
        agents=[counts[agent_id] for agent_id in sorted(counts)],
        out_of_scope=out_of_scope,
        near_duplicates=await store.count_near_duplicates(db),
        enough=_ENOUGH,
        too_few=[
            each.agent_id
            for each in counts.values()
            if each.status == "enabled" and each.labels < _ENOUGH
        ],
    )


async def import_labels(call: Call, query: ImportQuery, body: bytes) -> DatasetImport:
    """Import labels from JSON Lines or CSV with the fields `query` and `agent` ("none" where no
    agent fits), or from an export. Every line is checked before any is written."""
    services = call.services
    agents = await list_agent_ids(services.db)
    config = await services.routing.current()
    stored = partial(stored_text, config)
    file = read_file(body, format=query.format, agents=agents, stored=stored)
    before = await store.labels_in_force(services.db, list(file.labels))
    news = {
        key: label
        for key, label in file.labels.items()
        if key not in before or before[key] != label.agent_id
    }
    changed = sum(key in before for key in news)
    report = DatasetImport(
        dry_run=query.dry_run,
        rows=file.rows,
        labels=len(file.labels),
        new=len(news) - changed,
        changed=changed,
        unchanged=len(file.labels) - len(news),
        duplicates=file.rows - len(file.labels),
    )
    if news and not query.dry_run:
        await commit(
            call,
            _recordings(call, list(news.values())),
            action="import",
            resource="dataset",
            resource_id="labels",
            after=report,
        )
    return report


def _recordings(call: Call, labels: Sequence[FileLabel]) -> list[Statement]:
    """Made part by part, so that the events of all labels are never there at once."""
    now_ms = call.services.now_ms()
    statements: list[Statement] = []
    for at in range(0, len(labels), _PART):
        events = [
            LabelEvent(
                id=call.services.new_id("lab"),
                query=label.query,
                agent_id=label.agent_id,
                labeler=call.credential.key_id,
                source="import",
                created_ms=now_ms,
            )
            for label in labels[at : at + _PART]
        ]
        statements += record_labels(events)
    return statements


def _no_labels(agent_id: str, agent: Agent | None) -> AgentCounts:
    if agent is None:
        return AgentCounts(agent_id=agent_id, status="deleted")
    return AgentCounts(agent_id=agent_id, status="enabled" if agent.enabled else "disabled")
