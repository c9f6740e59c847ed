"""A candidate beside the active model: begun, read, ended."""

from edgeneuro.call import Call
from edgeneuro.controlplane.access.audit import commit
from edgeneuro.domain.model import Model, ModelSelect, ModelSelection, ShadowState
from edgeneuro.domain.routing import RoutingConfig, Shadow
from edgeneuro.errors import ConflictError, InvalidRequestError
from edgeneuro.store.candidates import compare
from edgeneuro.store.config import delete_settings, store_settings
from edgeneuro.store.database import Database


async def start_shadow(
    call: Call, config: RoutingConfig, model: Model, percent: float, selection: ModelSelection
) -> ModelSelection:
    """Has the model run beside the active one from now on."""
    if model.id == config.active.id:
        raise InvalidRequestError(
            f"shadow: {model.id!r} is the active model; name the one to compare it with.",
            param="shadow",
        )
    shadow = Shadow(model_id=model.id, percent=percent, since_ms=call.services.now_ms())
    begun = selection.model_copy(
        update={"active": config.active.id, "previous": config.active.id, "shadow": model.id}
    )
    stored = store_settings(
        {"shadow": shadow.model_dump()},
        now_ms=call.services.now_ms(),
        at_revision=config.revision,
    )
    rows = await commit(
        call, [stored], action="shadow", resource="model", resource_id=model.id, after=shadow
    )
    if not rows:
        raise _changed_meanwhile()
    return begun


async def end_shadow(call: Call, config: RoutingConfig, body: ModelSelect) -> ModelSelection:
    """Takes the candidate away."""
    if body.model_id is not None:
        raise InvalidRequestError(
            'model_id: with `type` "shadow" only null is of use, which ends the shadow; begin one'
            " with `shadow` and a percentage.",
            param="model_id",
        )
    active = config.active.id
    selection = ModelSelection(active=active, previous=active)
    if config.shadow is None:
        return selection
    rows = await commit(
        call,
        [delete_settings(["shadow"], at_revision=config.revision)],
        action="end_shadow",
        resource="model",
        resource_id=config.shadow.model_id,
        before=config.shadow,
    )
    if not rows:
        raise _changed_meanwhile()
    return selection


async def shadow_state(db: Database, config: RoutingConfig) -> ShadowState | None:
    """The candidate and how it does so far; None where there is none."""
    if config.shadow is None:
        return None
    state, _ = await compare(db, config, config.shadow)
    return state


def _changed_meanwhile() -> ConflictError:
    return ConflictError(
        "The configuration has changed meanwhile. Look, then try again.",
        code="active_model_changed",
    )
