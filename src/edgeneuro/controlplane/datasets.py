"""Data sets in the control plane: labels out for trainers, labels in from files, and their
counts."""

from collections.abc import Iterator, Sequence
from functools import partial

from edgeneuro.call import Call
from edgeneuro.classifier.needs import training_needs
from edgeneuro.controlplane.audit import commit
from edgeneuro.controlplane.dataset_export import Export
from edgeneuro.controlplane.dataset_import import FileLabel, read_file
from edgeneuro.controlplane.import_text import read_text
from edgeneuro.controlplane.pacing import Pacer
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
from edgeneuro.store.agents import list_agents
from edgeneuro.store.database import Statement
from edgeneuro.store.labels import record_labels
from edgeneuro.store.times import rfc3339
from edgeneuro.synapsecore.stored_text import stored_text
from edgeneuro.web.response import Response

MAX_FILE_BYTES = 8_000_000
# A part of an import takes four statements of the 1,000 that D1 allows a request; 8 MB in 50,000
# lines are some 100 parts.
_PART_CHARACTERS, _LABEL_CHARACTERS = 200_000, 200
_ALL_AGENTS = 1_000  # more than there can be


async def export_labels(call: Call, query: ExportQuery) -> Response:
    """Export the labels in force, a line each, as JSON Lines: `chat` has the messages that the
    router would send and the right answer, `prompt` the same as prompt and completion, `flat` the
    bare facts. Labels of agents that are not enabled are in `flat` only."""
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
    """Count the labels in force by agent and split, and say whether a training has enough of
    them."""
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


async def import_labels(call: Call, query: ImportQuery, body: bytes) -> DatasetImport:
    """Import labels from JSON Lines, a JSON array or CSV with the fields `query` and `agent`
    ("none" where no agent fits), or from an export. Every line is checked before any is written,
    and all are written together. Files in UTF-8, UTF-16 and CP1252, gzip files and forms with one
    file are read; `encoding` says what the file was, `mapped` which names were taken for agents."""
    services = call.services
    agents = await list_agents(services.db, limit=_ALL_AGENTS, after=None)
    pacer = Pacer(services.sleep)
    content = await read_text(body, max_bytes=MAX_FILE_BYTES)
    config = await services.routing.current()
    stored = partial(stored_text, config)
    file = await read_file(
        content.text, format=query.format, agents=agents, stored=stored, pacer=pacer
    )
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
        encoding=content.encoding,
        mapped=file.mapped,
    )
    if news and not query.dry_run:
        await commit(
            call,
            await _recordings(call, list(news.values()), pacer),
            action="import",
            resource="dataset",
            resource_id="labels",
            after=report,
        )
    return report


async def _recordings(call: Call, labels: Sequence[FileLabel], pacer: Pacer) -> list[Statement]:
    """Made part by part, so that the events of all labels are never there at once."""
    now_ms = call.services.now_ms()
    statements: list[Statement] = []
    for part in _parts(labels):
        events = [
            LabelEvent(
                id=call.services.new_id("lab"),
                query=label.query,
                agent_id=label.agent_id,
                labeler=call.credential.key_id,
                source="import",
                created_ms=now_ms,
            )
            for label in part
        ]
        statements += record_labels(events)
        await pacer.pause()
    return statements


def _parts(labels: Sequence[FileLabel]) -> Iterator[list[FileLabel]]:
    """Of some hundred labels, fewer where their texts are long."""
    part: list[FileLabel] = []
    size = 0
    for label in labels:
        part.append(label)
        size += len(label.query) + _LABEL_CHARACTERS
        if size >= _PART_CHARACTERS:
            yield part
            part, size = [], 0
    if part:
        yield part


def _no_labels(agent_id: str, agent: Agent | None) -> AgentCounts:
    if agent is None:
        return AgentCounts(agent_id=agent_id, status="deleted")
    return AgentCounts(agent_id=agent_id, status="enabled" if agent.enabled else "disabled")
