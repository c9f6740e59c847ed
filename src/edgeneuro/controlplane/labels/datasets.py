"""Data sets in the control plane: labels out for trainers, and their counts."""

from edgeneuro.call import Call
from edgeneuro.classifier.needs import training_needs
from edgeneuro.controlplane.jobs.pacing import Pacer
from edgeneuro.controlplane.labels.dataset_export import Export
from edgeneuro.domain.agent import Agent
from edgeneuro.domain.dataset import (
    AgentCounts,
    DatasetStats,
    ExportQuery,
    SplitCounts,
)
from edgeneuro.store import datasets as store
from edgeneuro.store.agents import list_agents
from edgeneuro.store.times import rfc3339
from edgeneuro.web.response import Response

_ALL_AGENTS = 1_000  # more than there can be


async def export_labels(call: Call, query: ExportQuery) -> Response:
    """Export the labels in force as JSON Lines, one line each: `chat` has the messages that the
    router would send and the right answer, `prompt` the same as prompt and completion, `flat` the
    fields alone. Labels of agents that are not enabled are only in `flat`."""
    services = call.services
    config = await services.routing.current()
    if query.format != "flat":
        config.require_default_agent()
    moment = await store.present_moment(services.db)
    export = Export(services.db, query, config, moment, Pacer(services.sleep))
    name = f"edgeneuro-{query.split}-{query.format}.jsonl"
    headers = {
        "content-type": "application/jsonl",
        "content-disposition": f'attachment; filename="{name}"',
    }
    if query.manifest:
        return Response(200, export.chunks_after_manifest(rfc3339(services.now_ms())), headers)
    return Response(200, export.chunks(), headers)


async def show_stats(call: Call) -> DatasetStats:
    """Count the labels in force by agent and split, and say whether they are enough for a
    training."""
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
    config = await call.services.routing.current()
    needs = training_needs(
        {
            each.agent_id: each.train + each.validation
            for each in counts.values()
            if each.status == "enabled"
        },
        out_of_scope.train + out_of_scope.validation,
        target=config.classifier_target,
        min_labels=config.classifier_min_labels,
    )
    return DatasetStats(
        total=total,
        agents=[counts[agent_id] for agent_id in sorted(counts)],
        out_of_scope=out_of_scope,
        near_duplicates=await store.count_near_duplicates(db),
        enough=needs.labels_needed_of_each,
        too_few=[each.agent_id for each in needs.agents if each.missing],
        training=needs,
    )


def _no_labels(agent_id: str, agent: Agent | None) -> AgentCounts:
    if agent is None:
        return AgentCounts(agent_id=agent_id, status="deleted")
    return AgentCounts(agent_id=agent_id, status="enabled" if agent.enabled else "disabled")
