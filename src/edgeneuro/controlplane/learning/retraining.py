"""The training rules. With `retrain_after_labels` a training begins after so many new labels;
otherwise when `learning` is not off and enough is new (growth.py).

With `learning` "on" what comes of it runs beside the model first, and is enabled by enabling.py.
Otherwise a training of `retrain_after_labels` is selected automatically only if a classifier is
selected already and it passes the promotion check; if not, the classifier and the audit log say
why."""

from dataclasses import replace

from edgeneuro.classifier.model import InvalidModelError
from edgeneuro.controlplane.access.audit import rule_audit_row
from edgeneuro.controlplane.evaluations.routing_tests import require_tests
from edgeneuro.controlplane.jobs.runner import wake_by
from edgeneuro.controlplane.learning.classifier_check import check_classifier
from edgeneuro.controlplane.learning.growth import growth, learns
from edgeneuro.domain.classifier import (
    ID_PREFIX,
    RULE,
    Classifier,
    ClassifierScore,
    RuleOutcome,
    TrainingOptions,
)
from edgeneuro.domain.model import ModelSelection
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import ConflictError
from edgeneuro.services import Services
from edgeneuro.store import classifiers as store
from edgeneuro.store.database import Statement

_BESIDE = {
    "on": "it runs beside the model first; GET /v1/learning says what is missing",
    "observe": "it runs beside the model and is not enabled, because `learning` is observe",
    "off": "`learning` is off",
}


async def retrain_by_rule(services: Services) -> None:
    """Begins a training where a rule says so."""
    config = await services.routing.current()
    if config.retrain_after_labels is None and not learns(config):
        return
    newest = await store.newest_training(services.db)
    if newest is not None and newest.state in ("queued", "running"):
        return
    if not await _is_due(services, config, newest):
        return
    options = TrainingOptions(
        target=config.classifier_target, min_labels=config.classifier_min_labels, seed=0
    )
    classifier_id = services.new_id(ID_PREFIX)
    insert = store.insert_classifier(
        classifier_id,
        created_ms=services.now_ms(),
        created_by=RULE,
        options=options,
        agents=list(config.agents),
    )
    audited = rule_audit_row(
        services,
        action="create",
        resource="classifier",
        resource_id=classifier_id,
        after=options,
    )
    rows = await services.db.batch([*insert, audited])
    if rows[-2]:
        await wake_by(services)


async def _is_due(services: Services, config: RoutingConfig, newest: Classifier | None) -> bool:
    wanted = config.retrain_after_labels
    if wanted is None:
        return (await growth(services, newest)).is_due(services.now_ms())
    since = None if newest is None else newest.last_label_id
    return await store.count_newer_labels(services.db, since, most=wanted) >= wanted


async def selection_by_rule(
    services: Services, made: Classifier, score: ClassifierScore
) -> tuple[RuleOutcome | None, list[Statement]]:
    """What selects the classifier that the rule had learned, where it may be; goes into the batch
    that ends the training, so that an operator's roll-back is never undone later. The outcome is
    None where the rule had no part in the training."""
    if made.created_by != RULE:
        return None, []
    config = await services.routing.fresh()
    if config.learning == "on" or config.retrain_after_labels is None:
        return RuleOutcome(selected=False, reason=_BESIDE[config.learning]), []
    if config.classifier is None:
        return not_selected(services, made, "no classifier is selected, so the rule selects none")
    try:
        check = await check_classifier(services, config, made, score)
        await require_tests(services.db, config, replace(config, classifier=made.id))
    except (ConflictError, InvalidModelError) as error:
        return not_selected(services, made, str(error))
    select = store.replace_selected(made.id, previous=config.classifier, now_ms=services.now_ms())
    audited = rule_audit_row(
        services,
        action="select",
        resource="classifier",
        resource_id=made.id,
        before=ModelSelection(active=config.classifier, previous=None),
        after=ModelSelection(active=made.id, previous=config.classifier, check=check),
    )
    return RuleOutcome(selected=True, previous=config.classifier), [select, audited]


def not_selected(
    services: Services, made: Classifier, why: str
) -> tuple[RuleOutcome | None, list[Statement]]:
    """The notice that the rule did not select what it had learned; its statement goes right after
    the one that ends the training. None where the rule had no part in it."""
    if made.created_by != RULE:
        return None, []
    outcome = RuleOutcome(selected=False, reason=why)
    audited = rule_audit_row(
        services,
        action="reject",
        resource="classifier",
        resource_id=made.id,
        after=outcome,
    )
    return outcome, [audited]
