"""Classifiers in the control plane: having one learned from the labels, and what came of it."""

from collections.abc import Sequence

from edgeneuro.call import Call
from edgeneuro.controlplane.access.audit import commit
from edgeneuro.controlplane.jobs.runner import wake
from edgeneuro.controlplane.jobs.training import run_first_slice
from edgeneuro.domain.classifier import (
    ID_PREFIX,
    Classifier,
    ClassifierCreate,
    ClassifierDeleted,
    TrainingOptions,
)
from edgeneuro.domain.fields import Page, PageQuery, page_of
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import ConflictError, NotFoundError
from edgeneuro.store import classifiers as store
from edgeneuro.store.jobs import cancel_job

OTHER_VERSION = "it was trained by a version that read questions otherwise; train another one"


async def create_classifier(call: Call, body: ClassifierCreate) -> Classifier:
    """Train a classifier from the labels in force. This starts the job, and the cron continues it;
    read the classifier to see its progress."""
    services = call.services
    config = await services.routing.fresh()
    options = TrainingOptions(
        target=config.classifier_target if body.target is None else body.target,
        min_labels=config.classifier_min_labels if body.min_labels is None else body.min_labels,
        seed=body.seed,
    )
    classifier_id = services.new_id(ID_PREFIX)
    rows = await commit(
        call,
        store.insert_classifier(
            classifier_id,
            created_ms=services.now_ms(),
            created_by=call.credential.key_id,
            options=options,
            agents=list(config.agents),
        ),
        action="create",
        resource="classifier",
        resource_id=classifier_id,
        after=options,
    )
    if not rows:
        raise ConflictError(
            "Another training is under way. Wait for it, or cancel it with"
            " POST /v1/classifiers/{classifier_id}/cancel.",
            code="training_under_way",
        )
    if services.job_queue is None:
        call.background(run_first_slice(services, classifier_id))
    wake(call)
    return store.classifier_from_row(rows[0])


async def list_classifiers(call: Call, query: PageQuery) -> Page[Classifier]:
    """List classifiers and their trainings, newest first."""
    config = await call.services.routing.current()
    found = await store.list_classifiers(call.services.db, limit=query.limit + 1, after=query.after)
    shown = await _shown(call, found, config)
    return page_of(shown, limit=query.limit)


async def get_classifier(call: Call, classifier_id: str) -> Classifier:
    """Read one classifier, with the progress of its training."""
    return await _find(call, classifier_id)


async def cancel_classifier(call: Call, classifier_id: str) -> Classifier:
    """Stop a running training; what it has learned is dropped."""
    services = call.services
    before = await _find(call, classifier_id)
    rows = await commit(
        call,
        [cancel_job(classifier_id, now_ms=services.now_ms())],
        action="cancel",
        resource="classifier",
        resource_id=classifier_id,
        before=before,
    )
    if not rows:
        raise ConflictError(
            f"The training of {classifier_id!r} has ended already.", code="training_ended"
        )
    await services.db.batch(store.delete_work(classifier_id, keep_model=False))
    return await _find(call, classifier_id)


async def delete_classifier(call: Call, classifier_id: str) -> ClassifierDeleted:
    """Delete a classifier permanently; the selected one cannot be deleted."""
    before = await _find(call, classifier_id)
    rows = await commit(
        call,
        [store.delete_classifier(classifier_id)],
        action="delete",
        resource="classifier",
        resource_id=classifier_id,
        before=before,
    )
    if not rows:
        raise ConflictError(
            "This classifier is selected. Select another one first, or none with"
            ' POST /v1/models/select {"model_id": null, "type": "classifier"}.',
            code="classifier_selected",
        )
    return ClassifierDeleted(id=classifier_id)


async def _find(call: Call, classifier_id: str) -> Classifier:
    found = await store.find_classifier(call.services.db, classifier_id)
    if found is None:
        raise NotFoundError(
            f"There is no classifier {classifier_id[:200]!r}. GET /v1/classifiers lists them.",
            code="unknown_classifier",
            param="classifier_id",
        )
    [shown] = await _shown(call, [found], await call.services.routing.current())
    return shown


async def _shown(
    call: Call, classifiers: Sequence[Classifier], config: RoutingConfig
) -> list[Classifier]:
    """With what the settings make of them."""
    made = [each.id for each in classifiers if each.state == "succeeded"]
    foreign = await store.of_another_version(call.services.db, made) if made else set()
    shown: list[Classifier] = []
    for each in classifiers:
        suspended = config.suspension(each.agents) if each.state == "succeeded" else None
        if each.id in foreign:
            suspended = OTHER_VERSION
        active = each.id == config.classifier
        shown.append(each.model_copy(update={"active": active, "suspended": suspended}))
    return shown
