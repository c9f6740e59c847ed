"""Data sets in the control plane: labels out for trainers, and their counts."""

import hashlib
import json
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from edgeneuro.call import Call
from edgeneuro.classifier.needs import training_needs
from edgeneuro.controlplane.jobs.machine_examples import Chosen
from edgeneuro.controlplane.jobs.pacing import Pacer
from edgeneuro.controlplane.labels.machine_label_lines import (
    count_machine_labels,
    machine_labelled,
    machine_labels_to_export,
)
from edgeneuro.domain.agent import NO_AGENT, Agent
from edgeneuro.domain.dataset import (
    MACHINE,
    AgentCounts,
    DatasetStats,
    ExportQuery,
    LabelledQuery,
    Manifest,
    SplitCounts,
)
from edgeneuro.domain.label import label_line, label_set_sha256
from edgeneuro.domain.prompt import PROMPT_VERSION, answer_text, system_message, user_message
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.services import Services
from edgeneuro.store import datasets as store
from edgeneuro.store.agents import list_agents
from edgeneuro.store.datasets import LabelState, labels_at
from edgeneuro.store.sql import rfc3339
from edgeneuro.web.response import Response

# Export: the labels that were in force at one moment, as lines for trainers. They are read page by
# page and sent as they are read, so that memory does not grow with their number.

_CHUNK_BYTES = 64 * 1024


class Export:
    """One export: which labels go in, and what their lines look like. The agents, and so the
    prompt, stay those of the beginning."""

    def __init__(
        self,
        services: Services,
        wanted: ExportQuery,
        config: RoutingConfig,
        moment: LabelState,
        pacer: Pacer,
    ):
        self._services = services
        self._pacer = pacer
        self._wanted = wanted
        self._config = config
        self._moment = moment
        self._machine_labels: list[Chosen] | None = None  # they are chosen once
        agents = list(config.agents.values())
        self._system, self._system_in_context = (
            system_message(agents, confidence=False, in_context=each) for each in (False, True)
        )

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        chunk = bytearray()
        async for _, line in self._lines(Counter()):
            chunk += line
            if len(chunk) >= _CHUNK_BYTES:
                yield bytes(chunk)
                chunk.clear()
        if chunk:
            yield bytes(chunk)

    async def chunks_after_manifest(self, created_at: str) -> AsyncGenerator[bytes, None]:
        """Reads everything twice: once for what the manifest says, then for the lines. What was in
        force at a moment does not change, so both readings are the same."""
        manifest = await self._manifest(created_at)
        yield _json_line({"manifest": manifest.model_dump()})
        async for chunk in self.chunks():
            yield chunk

    async def _manifest(self, created_at: str) -> Manifest:
        agents: Counter[str] = Counter()
        splits: Counter[str] = Counter()
        left_out: Counter[str] = Counter()
        machine_agents: Counter[str] = Counter()
        labels: list[str] = []
        content = hashlib.sha256()
        async for row, line in self._lines(left_out):
            content.update(line)
            agent = row.agent_id or NO_AGENT
            if row.source == MACHINE:
                machine_agents[agent] += 1
                continue
            agents[agent] += 1
            splits[row.split] += 1
            labels.append(label_line(row.query_hash, row.agent_id))
        return Manifest(
            **self._wanted.model_dump(exclude={"manifest"}),
            rows=agents.total() + machine_agents.total(),
            agents=dict(sorted(agents.items())),
            splits=dict(splits),
            machine_agents=dict(sorted(machine_agents.items())),
            unknown_agent=left_out["unknown_agent"],
            near_duplicates=left_out["near_duplicates"],
            label_set_hash=label_set_sha256(labels),
            sha256=content.hexdigest(),
            prompt_version=PROMPT_VERSION,
            agents_revision=self._config.agents_revision,
            created_at=created_at,
        )

    async def _lines(self, left_out: Counter[str]) -> AsyncIterator[tuple[LabelledQuery, bytes]]:
        if self._wanted.source != "machine":
            async for labelled in self._labels(left_out):
                yield labelled
        if self._wanted.source != "human":
            async for row in self._of_models():
                if self._is_wanted(row):
                    yield row, _json_line(self._content(row))

    async def _of_models(self) -> AsyncIterator[LabelledQuery]:
        if self._machine_labels is None:
            self._machine_labels = await machine_labels_to_export(self._services, self._config)
        async for row in machine_labelled(self._services, self._machine_labels):
            await self._pacer.spend(len(row.query) + len(row.previous.identity))
            yield row

    async def _labels(self, left_out: Counter[str]) -> AsyncIterator[tuple[LabelledQuery, bytes]]:
        near = self._wanted.dedupe == "near"
        group = ""
        async for row in labels_at(self._services.db, self._moment, by_near_hash=near):
            await self._pacer.spend(len(row.query) + len(row.previous.identity))
            if not self._is_wanted(row):
                continue
            if not self._can_be_answered(row):
                left_out["unknown_agent"] += 1
            elif near and row.near_hash == group:
                left_out["near_duplicates"] += 1
            else:
                group = row.near_hash
                yield row, _json_line(self._content(row))

    def _is_wanted(self, row: LabelledQuery) -> bool:
        split, agent = self._wanted.split, self._wanted.agent
        return split in ("all", row.split) and agent in (None, row.agent_id or NO_AGENT)

    def _can_be_answered(self, row: LabelledQuery) -> bool:
        """An agent that the prompt does not offer is no right answer to it."""
        offered = row.agent_id is None or row.agent_id in self._config.agents
        return offered or self._wanted.format == "flat"

    def _content(self, row: LabelledQuery) -> dict[str, Any]:
        if self._wanted.format == "flat":
            shown = row.previous.shown()
            context = {} if shown is None else {"context": shown.model_dump(exclude_none=True)}
            return {
                "query": row.query,
                **context,
                "agent": row.agent_id or NO_AGENT,
                "split": row.split,
                "labeler": row.labeler,
                "labelled_at": row.labelled_at,
                "source": row.source,
            }
        system = self._system_in_context if row.previous else self._system
        prompt = [system, user_message(row.query, row.previous)]
        answer = {"role": "assistant", "content": answer_text(row.agent_id)}
        source = {"source": row.source} if row.source == MACHINE else {}
        if self._wanted.format == "chat":
            return {"messages": [*prompt, answer], **source}
        return {"prompt": prompt, "completion": [answer], **source}


def _json_line(content: dict[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode() + b"\n"


_ALL_AGENTS = 1_000  # more than there can be


async def export_labels(call: Call, query: ExportQuery) -> Response:
    """Export the labels in force as JSON Lines, one line each: `chat` has the messages that the
    router would send, with the turn before the question, and the right answer, `prompt` the same as
    prompt and completion, `flat` the fields alone. Labels of agents that are not enabled are only
    in `flat`. With `source` "machine" or "all" the decisions that a training learns from as machine
    labels are there, too."""
    services = call.services
    config = await services.routing.current()
    if query.format != "flat":
        config.require_agents()
    moment = await store.current_label_state(services.db)
    export = Export(services, query, config, moment, Pacer(services.sleep))
    name = f"edgeneuro-{query.split}-{query.format}.jsonl"
    headers = {
        "content-type": "application/jsonl",
        "content-disposition": f'attachment; filename="{name}"',
    }
    if query.manifest:
        return Response(200, export.chunks_after_manifest(rfc3339(services.now_ms())), headers)
    return Response(200, export.chunks(), headers)


async def show_stats(call: Call) -> DatasetStats:
    """Count the labels in force by agent and split, and say whether they are enough for a training.
    Machine labels are counted apart."""
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
    machine = await count_machine_labels(call.services, config)
    of_models = {each.agent_id: each.machine_labels for each in machine.agents}
    needs = training_needs(
        {
            each.agent_id: each.train + each.validation + of_models.get(each.agent_id, 0)
            for each in counts.values()
            if each.status == "enabled"
        },
        out_of_scope.train + out_of_scope.validation + machine.out_of_scope,
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
        machine_labels=machine,
    )


def _no_labels(agent_id: str, agent: Agent | None) -> AgentCounts:
    if agent is None:
        return AgentCounts(agent_id=agent_id, status="deleted")
    return AgentCounts(agent_id=agent_id, status="enabled" if agent.enabled else "disabled")
