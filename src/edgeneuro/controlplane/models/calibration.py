"""The calibration of a model: an operator puts it in force, from an evaluation, and ends it."""

from edgeneuro.call import Call
from edgeneuro.controlplane.access.audit import commit
from edgeneuro.controlplane.evaluations.evaluations import find_evaluation
from edgeneuro.controlplane.models.models import is_classifier
from edgeneuro.domain.calibration import (
    CalibrateRequest,
    Calibration,
    CalibrationDeleted,
    Reliability,
)
from edgeneuro.domain.catalogue import find_model
from edgeneuro.domain.evaluation import Evaluation
from edgeneuro.domain.model import Model
from edgeneuro.domain.prompt import prompt_version
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.domain.routing_test import RUN_PREFIX
from edgeneuro.errors import ConflictError, InvalidRequestError, NotFoundError
from edgeneuro.store.calibrations import delete_calibration, upsert_calibration
from edgeneuro.store.evaluations import find_measured
from edgeneuro.store.sql import rfc3339


async def calibrate_model(call: Call, evaluation_id: str, body: CalibrateRequest) -> Calibration:
    """Put the calibration of a model in force that its answers in this evaluation give. From the
    next request on, the confidence of its decisions is the share of such answers that were right,
    and the threshold is compared with that. It replaces the model's calibration before."""
    if evaluation_id.startswith(f"{RUN_PREFIX}_"):
        raise ConflictError(
            "A run of the routing tests has no labels, so nothing can be calibrated from it. Start"
            " an evaluation with POST /v1/evaluations.",
            code="not_an_evaluation",
            param="evaluation_id",
        )
    evaluation = await find_evaluation(call, evaluation_id)
    config = await call.services.routing.fresh()
    _require_usable(evaluation)
    model = _evaluated_model(config, evaluation, body.model_id)
    await _require_same_model(call, config, evaluation, model)
    calibration = _calibration(call, evaluation, model)
    rows = await commit(
        call,
        [
            upsert_calibration(
                calibration,
                created_by=call.credential.key_id,
                identity=config.identity_hash(model),
                at_revision=config.revision,
            )
        ],
        action="calibrate",
        resource="model",
        resource_id=model.id,
        before=config.calibrations.get(model.id),
        after=calibration,
    )
    if not rows:
        raise ConflictError(
            "The configuration has changed in the meantime. Try again.",
            code="configuration_changed",
        )
    return calibration


async def end_calibration(call: Call, model_id: str) -> CalibrationDeleted:
    """End the calibration of a model: its own confidence counts again."""
    config = await call.services.routing.fresh()
    model = find_model(config.models, model_id)
    # A stored one that is not in force, because the model has changed or is gone, is deleted too.
    name = model_id if model is None else model.id
    rows = await commit(
        call,
        [delete_calibration(name)],
        action="end_calibration",
        resource="model",
        resource_id=name,
        before=config.calibrations.get(name),
    )
    if rows:
        return CalibrationDeleted(id=name)
    if model is None:
        raise NotFoundError(
            f"There is no model {model_id[:200]!r}. GET /v1/models lists them.",
            code="model_not_found",
            param="model_id",
        )
    raise NotFoundError(
        f"The model {name!r} has no calibration. GET /v1/models shows which have one.",
        code="not_calibrated",
        param="model_id",
    )


def _require_usable(evaluation: Evaluation) -> None:
    """Raises ConflictError for an evaluation that gives no calibration of any model."""
    if evaluation.target == "pipeline":
        raise ConflictError(
            "This evaluation is of the pipeline, whose confidences come from several stages."
            " Evaluate the model itself: POST /v1/evaluations with `model_ids`.",
            code="evaluation_of_pipeline",
            param="evaluation_id",
        )
    if evaluation.router is not None:
        raise ConflictError(
            f"This evaluation is of the router {evaluation.router!r}, and a calibration holds in"
            " all routers. Evaluate the model without `router`.",
            code="evaluation_of_router",
            param="evaluation_id",
        )
    if evaluation.state != "succeeded" or evaluation.results is None:
        next_step = (
            "Wait until it has succeeded."
            if evaluation.state in ("queued", "running")
            else "Evaluate again with POST /v1/evaluations."
        )
        raise ConflictError(
            f"This evaluation is {evaluation.state}. {next_step}",
            code="evaluation_not_succeeded",
            param="evaluation_id",
        )


def _evaluated_model(config: RoutingConfig, evaluation: Evaluation, name: str) -> Model:
    """Raises InvalidRequestError for what is no model of the evaluation."""
    if name in config.classifiers or is_classifier(config, name):
        raise InvalidRequestError(
            f"model_id: {name!r} is a classifier, which is calibrated by its training. Name a"
            " model.",
            code="model_is_classifier",
            param="model_id",
        )
    model = find_model(config.models, name)
    if model is None or model.id not in evaluation.model_ids:
        names = ", ".join(repr(each) for each in evaluation.model_ids)
        raise InvalidRequestError(
            f"model_id: {name!r} is not among the models of this evaluation, which are {names}."
            " Name one of them, or evaluate this one.",
            code="model_not_evaluated",
            param="model_id",
        )
    return model


async def _require_same_model(
    call: Call, config: RoutingConfig, evaluation: Evaluation, model: Model
) -> None:
    """Raises ConflictError if the id names another model than it did then, or if it is asked
    otherwise."""
    measured = (await find_measured(call.services.db, evaluation.id)).get(model.id)
    if measured is None or measured.identity != config.identity_hash(model):
        raise ConflictError(
            f"model_id: the evaluation does not say that it is of the present model {model.id!r}:"
            " it is older than this check, or the model was registered again, has moved, or has"
            " another `logprobs` since. Evaluate again with POST /v1/evaluations.",
            code="evaluation_outdated",
            param="model_id",
        )
    present = prompt_version(model.type)
    if measured.prompt_version != present:
        raise ConflictError(
            f"This evaluation is of the prompt version {measured.prompt_version!r}, and the present"
            f" one is {present!r}. Evaluate again with POST /v1/evaluations.",
            code="evaluation_outdated",
            param="evaluation_id",
        )


def _calibration(call: Call, evaluation: Evaluation, model: Model) -> Calibration:
    """Raises ConflictError where the answers give none."""
    results = [] if evaluation.results is None else evaluation.results.models
    found = next((each.reliability for each in results if each.model_id == model.id), None)
    if found is None or found.before is None or found.after is None:
        raise _no_calibration(model, found)
    if found.slope is None or found.intercept is None:
        raise _no_calibration(model, found)
    return Calibration(
        model_id=model.id,
        evaluation_id=evaluation.id,
        prompt_version=prompt_version(model.type),
        n=found.n,
        slope=found.slope,
        intercept=found.intercept,
        ece_before=found.before.ece,
        ece_after=found.after.ece,
        created_at=rfc3339(call.services.now_ms()),
    )


def _no_calibration(model: Model, found: Reliability | None) -> ConflictError:
    why = None if found is None else found.message
    return ConflictError(
        f"The answers of {model.id!r} give no calibration:"
        f" {why or 'the evaluation has not measured them. Evaluate again.'}",
        code="cannot_calibrate",
        param="model_id",
    )
