"""Machine labels (domain/machine_label.py) of a router with the present settings: which decisions
its trainings learn from, and why others are left out."""

from collections.abc import Sequence

from edgeneuro.domain.machine_label import MAX_MACHINE_LABELS, MachineLabels, choose
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.services import Services
from edgeneuro.store.machine_labels import Wanted, find_candidates


def off_because(config: RoutingConfig) -> str | None:
    """Why there are no machine labels; None if there are some. A redacted text is not what the
    model has decided."""
    if config.learning == "off":
        return "learning_off"
    if not config.log_queries:
        return "texts_not_stored"
    return "texts_redacted" if config.redact_personal_data else None


async def find_machine_labels(
    services: Services,
    config: RoutingConfig,
    *,
    agents: Sequence[str] | None = None,
    room: int = MAX_MACHINE_LABELS,
    turns: int = 0,
) -> MachineLabels:
    """The machine labels for these agents (the enabled ones), at most `room`, and at most `turns`
    in conversations. Raises DatabaseError."""
    off = off_because(config)
    if off is not None:
        return MachineLabels(off=off)
    room = min(room, MAX_MACHINE_LABELS)
    if not (room and config.machine_labels_per_agent) and not turns:
        return MachineLabels()
    names = list(config.agents) if agents is None else agents
    wanted = Wanted(
        agents=names,
        router=config.named_router,
        models=[(model.base_model, model.adapter) for model in config.chain],
        confidence=config.machine_label_confidence,
    )
    return choose(
        await find_candidates(services.db, wanted),
        names,
        per_agent=config.machine_labels_per_agent,
        total=room,
        turns=turns,
    )
