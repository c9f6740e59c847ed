"""What is selected, and a preview of the promotion check of another choice."""

from dataclasses import replace

from edgeneuro.call import Call
from edgeneuro.controlplane.evaluations.routing_tests import require_tests
from edgeneuro.controlplane.learning.classifiers import check_stored, require_usable
from edgeneuro.controlplane.models.challenger import challenger_state
from edgeneuro.controlplane.models.models import is_classifier, require_available
from edgeneuro.controlplane.models.promotion_check import check_model
from edgeneuro.domain.model import (
    CheckPreview,
    ClassifierCheck,
    PromotionCheck,
    SelectionQuery,
    SelectionState,
)
from edgeneuro.domain.routing import RoutingConfig, with_active
from edgeneuro.errors import ConflictError


async def show_selection(call: Call, query: SelectionQuery) -> SelectionState:
    """Read what is selected, the results of the challenger so far, and with `check` a preview of
    the promotion check of a model."""
    db = call.services.db
    config = await call.services.routing.fresh()
    return SelectionState(
        active=config.active.id,
        previous=config.stored.previous_model,
        classifier=config.classifier,
        fallbacks=[model.id for model in config.fallbacks],
        promotion_alpha=config.promotion_alpha,
        promotion_margin=config.promotion_margin,
        promotion_min_labels=config.promotion_min_labels,
        auto_promote=config.auto_promote,
        auto_rollback=config.auto_rollback,
        challenger=await challenger_state(db, config),
        check=None if query.check is None else await _preview(call, config, query.check),
    )


async def _preview(call: Call, config: RoutingConfig, name: str) -> CheckPreview:
    result: PromotionCheck | ClassifierCheck | None
    try:
        if is_classifier(config, name):
            classifier = await require_usable(call, name, param="check")
            result = await check_stored(call.services, config, classifier)
            proposed = replace(config, classifier=classifier.id)
        else:
            model = require_available(config, name, param="check")
            name = model.id
            result = await check_model(call.services.db, config, model)
            proposed = with_active(config, model, call.services.settings)
        if result is not None:
            await require_tests(call.services.db, config, proposed)
    except ConflictError as error:
        return CheckPreview(model_id=name, passed=False, message=error.message)
    return CheckPreview(model_id=name, passed=True, message=_passed(result), result=result)


def _passed(result: PromotionCheck | ClassifierCheck | None) -> str:
    if result is None:
        return "It is the active model."
    if isinstance(result, ClassifierCheck):
        return (
            f"On {result.score.n} test questions its precision is at least"
            f" {result.lower_bound:.1%}; {result.required:.1%} is required."
        )
    return (
        f"On {result.n} test questions it is not worse than the active model by more than"
        f" {100 * result.margin:.1f} points."
    )
