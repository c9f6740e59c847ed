"""The challenger, a model that is tried beside the active one: start, state and end."""

from edgeneuro.call import Call
from edgeneuro.controlplane.access.audit import commit
from edgeneuro.domain.model import Challenger, ChallengerState, Model, ModelSelect, ModelSelection
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import ConflictError, InvalidRequestError
from edgeneuro.store.comparisons import compare
from edgeneuro.store.config import delete_settings, store_settings
from edgeneuro.store.database import Database


async def start_challenger(
    call: Call, config: RoutingConfig, model: Model, percent: float, selection: ModelSelection
) -> ModelSelection:
    """Makes the model the challenger from now on."""
    if model.id == config.active.id:
        raise InvalidRequestError(
            f"challenger: {model.id!r} is the active model. Name the model to compare it with.",
            param="challenger",
        )
    challenger = Challenger(model_id=model.id, percent=percent, since_ms=call.services.now_ms())
    started = selection.model_copy(
        update={"active": config.active.id, "previous": config.active.id, "challenger": model.id}
    )
    stored = store_settings(
        {"challenger": challenger.model_dump()},
        now_ms=call.services.now_ms(),
        at_revision=config.revision,
    )
    rows = await commit(
        call,
        [stored],
        action="challenger",
        resource="model",
        resource_id=model.id,
        before=config.challenger,
        after=challenger,
    )
    if not rows:
        raise _changed_meanwhile()
    return started


async def end_challenger(call: Call, config: RoutingConfig, body: ModelSelect) -> ModelSelection:
    """Ends the comparison; without a challenger nothing happens."""
    if body.model_id is not None:
        raise InvalidRequestError(
            'model_id: with `type` "challenger" it must be null, which ends the comparison. To'
            " start one, send `challenger` with a percentage.",
            param="model_id",
        )
    active = config.active.id
    selection = ModelSelection(active=active, previous=active)
    if config.challenger is None:
        return selection
    rows = await commit(
        call,
        [delete_settings(["challenger"], at_revision=config.revision)],
        action="end_challenger",
        resource="model",
        resource_id=config.challenger.model_id,
        before=config.challenger,
    )
    if not rows:
        raise _changed_meanwhile()
    return selection


async def challenger_state(db: Database, config: RoutingConfig) -> ChallengerState | None:
    """The challenger and its results so far; None if there is none."""
    if config.challenger is None:
        return None
    return await compare(db, config, config.challenger)


def _changed_meanwhile() -> ConflictError:
    return ConflictError(
        "The configuration has changed in the meantime. Read it, then try again.",
        code="active_model_changed",
    )
