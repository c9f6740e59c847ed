"""Machine labels in the control plane: counted beside the labels, and as lines of an export."""

from collections.abc import AsyncIterator

from edgeneuro.controlplane.jobs.machine_examples import Chosen, MachineTexts, ToRead, agent_of
from edgeneuro.controlplane.learning.machine_labels import find_machine_labels
from edgeneuro.domain.agent import NO_AGENT
from edgeneuro.domain.dataset import (
    MACHINE,
    LabelledQuery,
    MachineLabelCounts,
    MachineLabelsOfAgent,
)
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.services import Services
from edgeneuro.store.contexts import context_from_json
from edgeneuro.store.sql import rfc3339


async def count_machine_labels(services: Services, config: RoutingConfig) -> MachineLabelCounts:
    """Those that a training would use now."""
    found = await find_machine_labels(services, config, turns=config.follow_up_decisions)
    counts = found.counts
    models = [config.chain[each.model].id for each in (*found.single, *found.turns)]
    return MachineLabelCounts(
        total=len(found.single),
        agents=[
            MachineLabelsOfAgent(agent_id=agent, machine_labels=counts.get(agent, 0))
            for agent in sorted(config.agents)
        ],
        out_of_scope=counts.get(NO_AGENT, 0),
        in_conversations=len(found.turns),
        models={model: models.count(model) for model in sorted(set(models))},
        left_out=dict(found.left_out),
        one_sided=found.one_sided,
        off=found.off,
    )


async def machine_labels_to_export(services: Services, config: RoutingConfig) -> list[Chosen]:
    found = await find_machine_labels(services, config, turns=config.follow_up_decisions)
    return [
        Chosen(each.seq, each.agent, config.chain[each.model].id)
        for each in (*found.single, *found.turns)
    ]


async def machine_labelled(
    services: Services, chosen: list[Chosen]
) -> AsyncIterator[LabelledQuery]:
    """Page by page, as a training reads them. A row that was deleted since is left out."""
    to_read, texts = ToRead(chosen), MachineTexts(services)
    while to_read:
        for each, row, _ in await texts.read(to_read.page()):
            to_read.done()
            if row is None:
                continue
            yield LabelledQuery(
                query_hash=row["query_hash"],
                near_hash=row["near_hash"] or row["query_hash"],
                query=row["query"],
                previous=context_from_json(row["context"]),
                agent_id=agent_of(each),
                split="train",
                labeler=each.model,
                labelled_at=rfc3339(row["created_at"]),
                source=MACHINE,
            )
