"""Promotion and roll-back by rule, both off by default: a shadow that is better is selected by
itself, and taken back where the labels since then say otherwise.

Repeated tests find differences that do not exist. So the rules look only when there are
`promotion_min_labels` labelled questions, then at twice as many, and so on, and each look uses half
the level of the one before; all looks together err with at most `promotion_alpha`."""

from edgeneuro.controlplane.audit import audit_row
from edgeneuro.controlplane.routing_test_runs import begin_by_rule
from edgeneuro.controlplane.routing_tests_check import require_tests
from edgeneuro.domain.classifier import RULE
from edgeneuro.domain.model import Model, ModelSelection, ShadowState
from edgeneuro.domain.routing import RoutingConfig, Shadow, with_active
from edgeneuro.errors import ConflictError
from edgeneuro.services import Services
from edgeneuro.store.candidates import compare
from edgeneuro.store.config import store_settings

_REQUEST = "cron"  # where an audit row names the request


async def promote_by_rule(services: Services) -> None:
    """One look, if it is time for one."""
    config = await services.routing.current()
    shadow = config.shadow
    if shadow is None or not (config.auto_rollback if shadow.after_rule else config.auto_promote):
        return
    state, _ = await compare(
        services.db, shadow, active=config.active.id, min_labels=config.promotion_min_labels
    )
    look = _look(config, state.labelled)
    if look <= _look(config, shadow.looked_at):
        return
    better = state.p_better < config.promotion_alpha / 2**look
    model = config.models.get(shadow.model_id)
    if better and model is not None and model.status == "available":
        if not shadow.after_rule and not await _passes_tests(services, config, model):
            return  # the look counts once the tests have passed
        await _select(services, config, shadow, model, state)
        return
    looked = shadow.model_copy(update={"looked_at": state.labelled})
    await services.db.run(
        store_settings(
            {"shadow": looked.model_dump()},
            now_ms=services.now_ms(),
            at_revision=config.revision,
        )
    )
    services.routing.forget()


def _look(config: RoutingConfig, labels: int) -> int:
    """Which one it is: the first from `promotion_min_labels` on, the next from twice as many on."""
    return max(0, (labels // config.promotion_min_labels).bit_length())


async def _passes_tests(services: Services, config: RoutingConfig, model: Model) -> bool:
    """Whether the routing tests allow it; has them run where that was not done yet."""
    proposed = with_active(config, model, services.settings)
    try:
        await require_tests(services.db, config, proposed)
    except ConflictError:
        await begin_by_rule(services, proposed, model.id)
        return False
    return True


async def _select(
    services: Services, config: RoutingConfig, shadow: Shadow, model: Model, state: ShadowState
) -> None:
    """The one before becomes the shadow, for the roll-back; after a roll-back there is none. An
    operator's change meanwhile wins."""
    now_ms, former = services.now_ms(), config.active.id
    then = None
    if not shadow.after_rule:
        beside = Shadow(model_id=former, percent=shadow.percent, since_ms=now_ms, after_rule=True)
        then = beside.model_dump()
    selected = store_settings(
        {**config.activation(model), "shadow": then},
        now_ms=now_ms,
        at_revision=config.revision,
    )
    audited = audit_row(
        services,
        actor=RULE,
        request_id=_REQUEST,
        action="select",
        resource="model",
        resource_id=shadow.model_id,
        before=state,
        after=ModelSelection(active=shadow.model_id, previous=former),
    )
    await services.db.batch([selected, audited])
    services.routing.forget()
