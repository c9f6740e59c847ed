"""GET /v1/labels/training: whether another training is worth it by the labels that people gave, for
the screen on which they give them. Nothing is started here."""

from collections import Counter

from edgeneuro.call import Call
from edgeneuro.classifier.needs import training_needs
from edgeneuro.controlplane.labels.machine_label_lines import count_machine_labels
from edgeneuro.controlplane.learning.growth import MIN_NEW
from edgeneuro.domain.classifier import TrainingNeeds
from edgeneuro.domain.learning import NextTraining
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.services import Services
from edgeneuro.store.classifiers import count_newer_labels, newest_trained, newest_training
from edgeneuro.store.datasets import count_labels

MAX_COUNTED = 1_000


async def show_next_training(call: Call) -> NextTraining:
    """Count the labels that are newer than the last training that succeeded, and say whether they
    are worth another one and enough for it."""
    services = call.services
    db, config = services.db, await services.routing.current()
    newest = await newest_training(db)
    running = newest is not None and newest.state in ("queued", "running")
    trained = newest
    if newest is not None and newest.state != "succeeded":
        trained = await newest_trained(db)
    since = None if trained is None else trained.last_label_id
    new = await count_newer_labels(db, since, most=MAX_COUNTED)
    wanted = 1 if trained is None else config.retrain_after_labels or MIN_NEW
    needs = await _needs(services, config)
    return NextTraining(
        new_labels=new,
        wanted=wanted,
        due=needs.ready and new >= wanted and not running,
        running=newest.id if newest is not None and running else None,
        trained_at=None if trained is None else trained.created_at,
        training=needs,
    )


async def _needs(services: Services, config: RoutingConfig) -> TrainingNeeds:
    """By the rule of the training. Machine labels are looked for only where the labels are not
    enough: that reads many log rows."""
    labels: Counter[str | None] = Counter()
    for agent_id, split, count in await count_labels(services.db):
        if split != "test":
            labels[agent_id] += count
    least = config.classifier_min_labels
    counts = {agent_id: labels[agent_id] for agent_id in config.agents}
    needs = training_needs(counts, labels[None], min_labels=least)
    if needs.ready:
        return needs
    machine = await count_machine_labels(services, config)
    for each in machine.agents:
        if each.agent_id in counts:
            counts[each.agent_id] += each.machine_labels
    return training_needs(counts, labels[None] + machine.out_of_scope, min_labels=least)
