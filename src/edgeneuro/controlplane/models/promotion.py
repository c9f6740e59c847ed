"""Promotion and roll-back by rule, both off by default: a shadow that is better is selected by
itself, and taken back where the labels since then say otherwise.

Repeated tests find differences that do not exist. So the rules look only when there are
`promotion_min_labels` labelled questions, then at twice as many, and so on, and each look uses half
the level of the one before; all looks together err with at most `promotion_alpha`. The labels of
one person alone must be twice as many. What counts as evidence is in store/candidates.py.

A model that is better is not promoted where it costs or takes too much more. A look that selects
nothing leaves a notice, which the selection shows, and an audit row."""

from edgeneuro.controlplane.access.audit import rule_audit_row
from edgeneuro.controlplane.evaluations.routing_test_runs import begin_by_rule
from edgeneuro.controlplane.evaluations.routing_tests_check import require_tests
from edgeneuro.domain.model import (
    Model,
    ModelSelection,
    NoticeCode,
    RuleNotice,
    ShadowState,
)
from edgeneuro.domain.routing import RoutingConfig, Shadow, with_active
from edgeneuro.errors import ConflictError
from edgeneuro.services import Services
from edgeneuro.store.candidates import compare, labels_needed
from edgeneuro.store.config import store_settings
from edgeneuro.store.times import rfc3339

Refusal = tuple[NoticeCode, str]


async def promote_by_rule(services: Services) -> None:
    """One look, if it is time for one."""
    config = await services.routing.current()
    shadow = config.shadow
    if shadow is None or not (config.auto_rollback if shadow.after_rule else config.auto_promote):
        return
    state, _ = await compare(services.db, config, shadow)
    look = _look(config, state.labelled)
    if look <= _look(config, shadow.looked_at):
        return
    if state.labelled < labels_needed(config, state.labelers):
        return
    model = config.models.get(shadow.model_id)
    refusal = _refusal(config, shadow, model, state, alpha=config.promotion_alpha / 2**look)
    if refusal is not None or model is None:
        await _leave(services, config, shadow, state, refusal, looked_at=state.labelled)
    elif not shadow.after_rule and not await _passes_tests(services, config, model):
        # The look counts once the tests have passed.
        refusal = ("routing_tests", "It is better, but has not passed the routing tests.")
        if shadow.notice is None or shadow.notice.code != "routing_tests":
            await _leave(services, config, shadow, state, refusal, looked_at=shadow.looked_at)
    else:
        await _select(services, config, shadow, model, state)


def _refusal(
    config: RoutingConfig,
    shadow: Shadow,
    model: Model | None,
    state: ShadowState,
    *,
    alpha: float,
) -> Refusal | None:
    """Why the shadow is not selected. A roll-back asks for neither cost nor latency: it was all
    right before."""
    if state.p_better >= alpha:
        return "not_better", (
            f"On {state.labelled} labelled questions it is not shown to be better"
            f" ({100 * state.difference:+.1f} points, p = {state.p_better:.3g}, needed: less than"
            f" {alpha:.3g})."
        )
    if model is None or model.status != "available":
        return "not_available", "It is better, but no longer available."
    if shadow.after_rule:
        return None
    return _too_costly(config, model, state) or _too_slow(config, state)


def _too_costly(config: RoutingConfig, model: Model, state: ShadowState) -> Refusal | None:
    most = config.promotion_max_cost_ratio
    active, candidate = state.active.mean_cost_usd, state.candidate.mean_cost_usd
    if config.active.pricing is not None and model.pricing is None:
        return "cost_unknown", (
            "It is better, but has no price, so its cost cannot be compared. Set `pricing` with"
            " PATCH /v1/models/{model_id}, or select it yourself."
        )
    if active is None or candidate is None or candidate <= most * active:
        return None
    return "cost", (
        f"It is better, but a decision costs {candidate:.3g} USD, and {active:.3g} USD with the"
        f" active model: more than {most:g} times as much (`promotion_max_cost_ratio`)."
    )


def _too_slow(config: RoutingConfig, state: ShadowState) -> Refusal | None:
    most = config.promotion_max_latency_ratio
    active, candidate = state.active.p50_ms, state.candidate.p50_ms
    if active is None or candidate is None or candidate <= most * active:
        return None
    return "latency", (
        f"It is better, but its p50 latency is {candidate:.0f} ms, and {active:.0f} ms for the"
        f" active model: more than {most:g} times as much (`promotion_max_latency_ratio`)."
    )


async def _leave(
    services: Services,
    config: RoutingConfig,
    shadow: Shadow,
    state: ShadowState,
    refusal: Refusal | None,
    *,
    looked_at: int,
) -> None:
    """Notes what came of the look. An operator's change meanwhile wins."""
    code, message = refusal or ("not_available", "It is no longer available.")
    now_ms = services.now_ms()
    notice = RuleNotice(at=rfc3339(now_ms), code=code, message=message)
    looked = shadow.model_copy(update={"looked_at": looked_at, "notice": notice})
    stored = store_settings(
        {"shadow": looked.model_dump()}, now_ms=now_ms, at_revision=config.revision
    )
    audited = rule_audit_row(
        services,
        action="refuse",
        resource="model",
        resource_id=shadow.model_id,
        before=state,
        after=notice,
    )
    await services.db.batch([stored, audited])
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
    audited = rule_audit_row(
        services,
        action="select",
        resource="model",
        resource_id=shadow.model_id,
        before=state,
        after=ModelSelection(active=shadow.model_id, previous=former),
    )
    await services.db.batch([selected, audited])
    services.routing.forget()
