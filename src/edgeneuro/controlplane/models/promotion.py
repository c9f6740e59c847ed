"""Promotion and roll-back by rule, both off by default. A challenger that is better is selected
automatically; if later labels show that it is worse, the former model is selected again.

Repeated tests find differences that do not exist. So the rules look only when there are
`promotion_min_labels` labelled questions, then at twice as many, and so on, and each look uses half
the level of the one before; all looks together err with at most `promotion_alpha`. The labels of
one person alone must be twice as many. What counts as evidence is in store/comparisons.py.

A better model is not promoted if it costs too much or is too slow. A look that selects nothing
stores a notice, which GET /v1/models/select shows, and an audit row."""

from edgeneuro.controlplane.access.audit import rule_audit_row
from edgeneuro.controlplane.evaluations.routing_test_runs import begin_by_rule
from edgeneuro.controlplane.evaluations.routing_tests import require_tests
from edgeneuro.domain.model import (
    Challenger,
    ChallengerState,
    Model,
    ModelSelection,
    NoticeCode,
    RuleNotice,
)
from edgeneuro.domain.routing import RoutingConfig, with_active
from edgeneuro.errors import ConflictError
from edgeneuro.services import Services
from edgeneuro.store.comparisons import compare, labels_needed
from edgeneuro.store.config import store_settings
from edgeneuro.store.sql import rfc3339

Refusal = tuple[NoticeCode, str]


async def promote_by_rule(services: Services) -> None:
    """One look, if it is time for one."""
    config = await services.routing.current()
    challenger = config.challenger
    if challenger is None or not (
        config.auto_rollback if challenger.after_rule else config.auto_promote
    ):
        return
    state = await compare(services.db, config, challenger)
    look = _look(config, state.labelled)
    if look <= _look(config, challenger.looked_at):
        return
    if state.labelled < labels_needed(config, state.labelers):
        return
    model = config.models.get(challenger.model_id)
    refusal = _refusal(config, challenger, model, state, alpha=config.promotion_alpha / 2**look)
    if refusal is not None or model is None:
        await _store_notice(services, config, challenger, state, refusal, looked_at=state.labelled)
    elif not challenger.after_rule and not await _passes_tests(services, config, model):
        # The look counts once the tests have passed.
        refusal = ("routing_tests", "It is better, but has not passed the routing tests.")
        if challenger.notice is None or challenger.notice.code != "routing_tests":
            await _store_notice(
                services, config, challenger, state, refusal, looked_at=challenger.looked_at
            )
    else:
        await _select(services, config, challenger, model, state)


def _refusal(
    config: RoutingConfig,
    challenger: Challenger,
    model: Model | None,
    state: ChallengerState,
    *,
    alpha: float,
) -> Refusal | None:
    """Why the challenger is not selected. A roll-back checks neither cost nor latency: the model
    was the active one before."""
    if state.p_better >= alpha:
        return "not_better", (
            f"On {state.labelled} labelled questions it is not shown to be better"
            f" ({100 * state.difference:+.1f} points, p = {state.p_better:.3g}, needed: less than"
            f" {alpha:.3g})."
        )
    if model is None or model.status != "available":
        return "not_available", "It is better, but no longer available."
    if challenger.after_rule:
        return None
    return _too_costly(config, model, state) or _too_slow(config, state)


def _too_costly(config: RoutingConfig, model: Model, state: ChallengerState) -> Refusal | None:
    most = config.promotion_max_cost_ratio
    active, challenger = state.active.mean_cost_usd, state.challenger.mean_cost_usd
    if config.active.pricing is not None and model.pricing is None:
        return "cost_unknown", (
            "It is better, but has no price, so its cost cannot be compared. Set `pricing` with"
            " PATCH /v1/models/{model_id}, or select it yourself."
        )
    if active is None or challenger is None or challenger <= most * active:
        return None
    return "cost", (
        f"It is better, but a decision costs {challenger:.3g} USD, and {active:.3g} USD with the"
        f" active model: more than {most:g} times as much (`promotion_max_cost_ratio`)."
    )


def _too_slow(config: RoutingConfig, state: ChallengerState) -> Refusal | None:
    most = config.promotion_max_latency_ratio
    active, challenger = state.active.p50_ms, state.challenger.p50_ms
    if active is None or challenger is None or challenger <= most * active:
        return None
    return "latency", (
        f"It is better, but its p50 latency is {challenger:.0f} ms, and {active:.0f} ms for the"
        f" active model: more than {most:g} times as much (`promotion_max_latency_ratio`)."
    )


async def _store_notice(
    services: Services,
    config: RoutingConfig,
    challenger: Challenger,
    state: ChallengerState,
    refusal: Refusal | None,
    *,
    looked_at: int,
) -> None:
    """Stores the result of a look, unless an operator has changed the configuration in the
    meantime."""
    code, message = refusal or ("not_available", "It is no longer available.")
    now_ms = services.now_ms()
    notice = RuleNotice(at=rfc3339(now_ms), code=code, message=message)
    looked = challenger.model_copy(update={"looked_at": looked_at, "notice": notice})
    stored = store_settings(
        {"challenger": looked.model_dump()}, now_ms=now_ms, at_revision=config.revision
    )
    audited = rule_audit_row(
        services,
        action="refuse",
        resource="model",
        resource_id=challenger.model_id,
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
    services: Services,
    config: RoutingConfig,
    challenger: Challenger,
    model: Model,
    state: ChallengerState,
) -> None:
    """The former model becomes the challenger, for a roll-back; after a roll-back there is none. If
    an operator has changed the configuration in the meantime, nothing is stored."""
    now_ms, former = services.now_ms(), config.active.id
    then = None
    if not challenger.after_rule:
        former_model = Challenger(
            model_id=former, percent=challenger.percent, since_ms=now_ms, after_rule=True
        )
        then = former_model.model_dump()
    selected = store_settings(
        {**config.activation(model), "challenger": then},
        now_ms=now_ms,
        at_revision=config.revision,
    )
    audited = rule_audit_row(
        services,
        action="select",
        resource="model",
        resource_id=challenger.model_id,
        before=state,
        after=ModelSelection(active=challenger.model_id, previous=former),
    )
    await services.db.batch([selected, audited])
    services.routing.forget()
