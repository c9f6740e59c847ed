"""Classifiers in the control plane: train, list, cancel and delete them, and select one."""

from collections.abc import Container, Sequence
from dataclasses import asdict, replace

from edgeneuro.call import Call
from edgeneuro.classifier.model import InvalidModelError, loads
from edgeneuro.controlplane.access.allowed import require_router
from edgeneuro.controlplane.access.audit import commit
from edgeneuro.controlplane.evaluations.routing_tests import require_tests
from edgeneuro.controlplane.jobs.runner import cancel_work, wake
from edgeneuro.controlplane.jobs.training import run_first_slice
from edgeneuro.controlplane.learning.classifier_check import check_classifier, score_stored
from edgeneuro.domain.classifier import (
    ID_PREFIX,
    Classifier,
    ClassifierCreate,
    ClassifierDeleted,
    TrainingOptions,
)
from edgeneuro.domain.embedding import EmbeddingClassifier, EmbeddingGainState
from edgeneuro.domain.fields import Page, PageQuery, page_of
from edgeneuro.domain.model import ClassifierCheck, ModelSelect, ModelSelection
from edgeneuro.domain.router_names import DEFAULT_ROUTER
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import ConflictError, InvalidRequestError, NotFoundError
from edgeneuro.services import Services
from edgeneuro.store import classifiers as store
from edgeneuro.store.config import delete_settings, store_settings
from edgeneuro.store.embedding_classifiers import embeddings_of

OTHER_VERSION = "it was trained by a version that read questions otherwise; train another one"


async def create_classifier(call: Call, body: ClassifierCreate) -> Classifier:
    """Train a classifier from the labels in force. This starts the job, and the cron continues it;
    read the classifier to see its progress."""
    services = call.services
    await require_router(call, body.router)
    config = await services.routing.fresh()
    router = config.for_router(body.router or DEFAULT_ROUTER) or config
    options = TrainingOptions(
        target=config.classifier_target if body.target is None else body.target,
        min_labels=config.classifier_min_labels if body.min_labels is None else body.min_labels,
        seed=body.seed,
        router=router.named_router,
    )
    classifier_id = services.new_id(ID_PREFIX)
    rows = await commit(
        call,
        store.insert_classifier(
            classifier_id,
            created_ms=services.now_ms(),
            created_by=call.credential.key_id,
            options=options,
            agents=list(router.agents),
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
    return await find_shown(call, classifier_id)


async def cancel_classifier(call: Call, classifier_id: str) -> Classifier:
    """Stop a running training; what it has learned is dropped."""
    before = await find_shown(call, classifier_id)
    ended = ConflictError(
        f"The training of {classifier_id!r} has ended already.", code="training_ended"
    )
    statements = store.delete_work(classifier_id, keep_model=False)
    await cancel_work(
        call, "classifier", classifier_id, before=before, ended=ended, clean_up=statements
    )
    return await find_shown(call, classifier_id)


async def delete_classifier(call: Call, classifier_id: str) -> ClassifierDeleted:
    """Delete a classifier permanently; the selected one cannot be deleted."""
    before = await find_shown(call, classifier_id)
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
            ' POST /v1/models/select {"model_id": null, "type": "classifier"}; in a router with'
            " PATCH /v1/routers/{router_id}.",
            code="classifier_selected",
        )
    return ClassifierDeleted(id=classifier_id)


async def find_shown(call: Call, classifier_id: str) -> Classifier:
    """With what the settings make of it. Raises NotFoundError."""
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
    seconds = await embeddings_of(call.services.db, made) if made else {}
    shown: list[Classifier] = []
    for each in classifiers:
        suspended, joined = None, set[str]()
        if each.state == "succeeded":
            suspended = suspension_of(config, each.id, each.agents, each.options.router)
            for router in _serving(config, each.id, each.options.router):
                joined.update(router.joined(each.agents))
        if each.id in foreign:
            suspended = OTHER_VERSION
        marks = {
            "agents_joined": [] if suspended else sorted(joined),
            "active": each.id == config.classifier,
            "selected_in": [router.router for router in _selected_in(config, each.id)],
            "suspended": suspended,
            "embedding": _with_gain(call, seconds.get(each.id)),
        }
        shown.append(each.model_copy(update=marks))
    return shown


def _with_gain(call: Call, second: EmbeddingClassifier | None) -> EmbeddingClassifier | None:
    if second is None:
        return None
    return second.model_copy(update={"gain": _gain(call.services, second.id)})


def embedding_gain(services: Services, config: RoutingConfig) -> EmbeddingGainState | None:
    """Of the second classifier of the selected one, as this isolate has seen it."""
    second = config.embeddings.get(config.classifier or "")
    return None if second is None else _gain(services, second.id)


def _gain(services: Services, embedding_id: str) -> EmbeddingGainState | None:
    gain = services.embedding_gain
    return EmbeddingGainState(**asdict(gain.gain())) if gain.of == embedding_id else None


def suspension_of(
    config: RoutingConfig, classifier_id: str, known: Container[str], router: str | None
) -> str | None:
    """Why a classifier that knows these agents may not answer."""
    routers = _serving(config, classifier_id, router)
    if not routers:
        return f"its router {router!r} was deleted"
    found = (each.suspension(known) for each in routers)
    return next((each for each in found if each is not None), None)


def _serving(config: RoutingConfig, classifier_id: str, router: str | None) -> list[RoutingConfig]:
    """The routers that it is selected in; if it is in none, the one that it was trained for; none
    if that was deleted."""
    trained_for = config.for_router(router or DEFAULT_ROUTER)
    return _selected_in(config, classifier_id) or ([] if trained_for is None else [trained_for])


def _selected_in(config: RoutingConfig, classifier_id: str) -> list[RoutingConfig]:
    return [each for each in config.all_routers() if each.classifier == classifier_id]


# Selecting a classifier, which is then asked before the active model.


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
        before=ModelSelection(active=previous, previous=None),
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
