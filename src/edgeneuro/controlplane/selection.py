"""What is selected, and what the gate would say to another choice."""

from edgeneuro.call import Call
from edgeneuro.controlplane.model_gate import require_gate
from edgeneuro.controlplane.models import require_available
from edgeneuro.controlplane.shadowing import shadow_state
from edgeneuro.domain.model import GateOpinion, SelectionQuery, SelectionState
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import ConflictError
from edgeneuro.store.audit import list_audit


async def show_selection(call: Call, query: SelectionQuery) -> SelectionState:
    """Read what is selected, how the candidate beside it does so far, and on request what the gate
    would say to a model."""
    db = call.services.db
    config = await call.services.routing.fresh()
    return SelectionState(
        active=config.active.id,
        previous=await _previous(call, config),
        classifier=config.classifier,
        fallbacks=[model.id for model in config.fallbacks],
        gate_alpha=config.gate_alpha,
        gate_min_labels=config.gate_min_labels,
        auto_promote=config.auto_promote,
        auto_rollback=config.auto_rollback,
        shadow=await shadow_state(db, config),
        gate=None if query.candidate is None else await _opinion(call, config, query.candidate),
    )


async def _opinion(call: Call, config: RoutingConfig, name: str) -> GateOpinion:
    model = require_available(config, name, param="candidate")
    try:
        verdict = await require_gate(call.services.db, config, model)
    except ConflictError as error:
        return GateOpinion(model_id=model.id, open=False, message=error.message)
    if verdict is None:
        return GateOpinion(model_id=model.id, open=True, message="It is the active model.")
    return GateOpinion(
        model_id=model.id,
        open=True,
        message=f"It is not worse than the active model on {verdict.n} held-out labels.",
        verdict=verdict,
    )


async def _previous(call: Call, config: RoutingConfig) -> str | None:
    """The model before, as the audit log tells."""
    found = await list_audit(
        call.services.db,
        limit=10,
        after=None,
        resource="model",
        resource_id=config.active.id,
    )
    selections = [each for each in found if each.action == "select" and each.after]
    previous = selections[0].after["previous"] if selections and selections[0].after else None
    return str(previous) if previous is not None else None
