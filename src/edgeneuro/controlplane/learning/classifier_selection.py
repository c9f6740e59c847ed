"""Selecting a classifier, which is then asked before the active model."""

from dataclasses import replace

from edgeneuro.call import Call
from edgeneuro.classifier.model import InvalidModelError, loads
from edgeneuro.controlplane.access.audit import commit
from edgeneuro.controlplane.evaluations.routing_tests import require_tests
from edgeneuro.controlplane.learning.classifier_check import check_classifier, score_stored
from edgeneuro.domain.classifier import Classifier
from edgeneuro.domain.model import ClassifierCheck, ModelSelect, ModelSelection
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import ConflictError, InvalidRequestError
from edgeneuro.services import Services
from edgeneuro.store import classifiers as store
from edgeneuro.store.config import delete_settings, store_settings


async def select_classifier(call: Call, config: RoutingConfig, body: ModelSelect) -> ModelSelection:
    """Selects a classifier, or with null deselects the selected one."""
    if body.challenger is not None:
        raise InvalidRequestError(
            "challenger: a classifier cannot be one; `audit_sample_share` checks it. Leave it out.",
            param="challenger",
        )
    previous = config.classifier
    if "expected_active" in body.model_fields_set and body.expected_active != previous:
        raise changed_meanwhile(previous)
    selection = ModelSelection(active=body.model_id, previous=previous)
    if body.model_id is None:
        if previous is None:
            return selection
        change = delete_settings(["classifier"], at_revision=config.revision)
    else:
        made = await require_usable(call, body.model_id, param="model_id")
        if body.check is not False:
            checked = await check_stored(call.services, config, made)
            selection = selection.model_copy(update={"check": checked})
            proposed = replace(config, classifier=body.model_id)
            await require_tests(call.services.db, config, proposed)
        change = store_settings(
            {"classifier": body.model_id},
            now_ms=call.services.now_ms(),
            at_revision=config.revision,
        )
    rows = await commit(
        call,
        [change],
        action="select",
        resource="classifier",
        resource_id=body.model_id or previous or "",
        after=selection,
    )
    if not rows:
        raise changed_meanwhile((await call.services.routing.fresh()).classifier)
    return selection


async def check_stored(
    services: Services, config: RoutingConfig, classifier: Classifier
) -> ClassifierCheck:
    """The promotion check of a classifier that has succeeded. Raises ConflictError."""
    score = await score_stored(services, config, classifier)
    return await check_classifier(services, config, classifier, score)


async def require_usable(call: Call, classifier_id: str, *, param: str) -> Classifier:
    """The classifier of that id, if it can answer. Raises InvalidRequestError, or ConflictError
    where its model is damaged."""
    found = await store.find_classifier(call.services.db, classifier_id)
    if found is None:
        raise InvalidRequestError(
            f"{param}: there is no classifier {classifier_id!r}. GET /v1/classifiers lists them.",
            code="classifier_not_found",
            param=param,
        )
    if found.state != "succeeded":
        raise InvalidRequestError(
            f"{param}: the classifier {classifier_id!r} is {found.state}; choose one that has"
            " succeeded.",
            code="classifier_not_ready",
            param=param,
        )
    try:
        loads(await store.read_model(call.services.db, classifier_id))
    except InvalidModelError as error:
        raise ConflictError(
            f"{param}: the model of {classifier_id!r} cannot be used ({error}). Train another one"
            " with POST /v1/classifiers.",
            code="classifier_damaged",
            param=param,
        ) from error
    return found


def changed_meanwhile(active: str | None) -> ConflictError:
    named = "none is selected" if active is None else f"{active!r} is selected"
    return ConflictError(
        f"The configuration has changed in the meantime; of the classifiers {named}. Look, then try"
        " again.",
        code="active_model_changed",
        param="expected_active",
    )
