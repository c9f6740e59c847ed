"""Evaluations in the control plane: models put to held-out labels, and what came of it."""

from collections.abc import Sequence

from edgeneuro.call import Call
from edgeneuro.controlplane.access.allowed import require_router
from edgeneuro.controlplane.access.audit import commit
from edgeneuro.controlplane.evaluations.evaluation_targets import prompts_of
from edgeneuro.controlplane.jobs.runner import cancel_work, wake
from edgeneuro.controlplane.models.models import require_available
from edgeneuro.domain.evaluation import (
    ID_PREFIX,
    PIPELINE,
    AnswersQuery,
    DifferencesQuery,
    Evaluation,
    EvaluationAnswer,
    EvaluationCreate,
    EvaluationDeleted,
    EvaluationDifferences,
    MeasuredModel,
    Target,
)
from edgeneuro.domain.fields import Page, PageQuery, page_of
from edgeneuro.domain.prompt import prompt_version
from edgeneuro.domain.proposal import fingerprint
from edgeneuro.domain.router_names import DEFAULT_ROUTER
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import ConflictError, InvalidRequestError, NotFoundError
from edgeneuro.store import evaluation_answers as answers
from edgeneuro.store import evaluations as store


async def create_evaluation(call: Call, body: EvaluationCreate) -> Evaluation:
    """Evaluate models on the same held-out labels, through the router. The job starts within a
    minute; read the evaluation to see its progress."""
    services = call.services
    await require_router(call, body.router)
    config = await evaluated_config(call, body)
    model_ids = contestants_of(config, body)
    if not await store.count_held_out(services.db, body.split, list(config.agents)):
        raise no_labels(body)
    evaluation_id = services.new_id(ID_PREFIX)
    rows = await commit(
        call,
        store.insert_evaluation(
            evaluation_id,
            created_ms=services.now_ms(),
            created_by=call.credential.key_id,
            model_ids=model_ids,
            split=body.split,
            limit=body.limit,
            agents=list(config.agents),
            agents_revision=config.agents_revision,
            prompt_version=prompts_of(config, model_ids, body.target),
            threshold=config.confidence_threshold,
            target=body.target,
            label_layer=body.label_layer,
            proposal=_proposal(config, model_ids, body.target),
            measured=_measured(config, model_ids),
        ),
        action="create",
        resource="evaluation",
        resource_id=evaluation_id,
        after=body,
    )
    if not rows:
        raise ConflictError(
            "Another evaluation is under way. Wait for it, or cancel it with"
            " POST /v1/evaluations/{evaluation_id}/cancel.",
            code="evaluation_under_way",
        )
    wake(call)
    return store.evaluation_from_row(rows[0], done=())


async def list_evaluations(call: Call, query: PageQuery) -> Page[Evaluation]:
    """List evaluations, newest first; `progress` is only in each evaluation's own response."""
    found = await store.list_evaluations(call.services.db, limit=query.limit + 1, after=query.after)
    return page_of(found, limit=query.limit)


async def get_evaluation(call: Call, evaluation_id: str) -> Evaluation:
    """Read one evaluation, with its progress."""
    return await find_evaluation(call, evaluation_id)


async def list_answers(
    call: Call, evaluation_id: str, query: AnswersQuery
) -> Page[EvaluationAnswer]:
    """List what was decided for each question, by model; with `wrong` only the errors, with `label`
    and `decided` those of a cell of the confusion matrix."""
    await find_evaluation(call, evaluation_id)
    found = await answers.list_answers(
        call.services.db, evaluation_id, query, limit=query.limit + 1
    )
    return page_of(found, limit=query.limit)


async def show_differences(
    call: Call, evaluation_id: str, query: DifferencesQuery
) -> EvaluationDifferences:
    """Compare two contestants of an evaluation by agent."""
    evaluation = await find_evaluation(call, evaluation_id)
    for param, name in (("first", query.first), ("second", query.second)):
        if name not in evaluation.model_ids:
            raise InvalidRequestError(
                f"{param}: {name[:200]!r} is not in this evaluation. Its `model_ids` are"
                f" {', '.join(evaluation.model_ids)}.",
                param=param,
            )
    if query.first == query.second:
        raise InvalidRequestError(
            "second: it is the same as `first`; name two different ones.", param="second"
        )
    return await answers.read_differences(
        call.services.db, evaluation_id, query.first, query.second
    )


async def cancel_evaluation(call: Call, evaluation_id: str) -> Evaluation:
    """Stop a running evaluation; its answers so far stay."""
    before = await find_evaluation(call, evaluation_id)
    ended = ConflictError(
        f"The evaluation {evaluation_id!r} has ended already.", code="evaluation_ended"
    )
    await cancel_work(call, "evaluation", evaluation_id, before=before, ended=ended)
    return await find_evaluation(call, evaluation_id)


async def delete_evaluation(call: Call, evaluation_id: str) -> EvaluationDeleted:
    """Delete an evaluation with its questions and answers."""
    before = await find_evaluation(call, evaluation_id)
    rows = await commit(
        call,
        [store.delete_evaluation(evaluation_id)],
        action="delete",
        resource="evaluation",
        resource_id=evaluation_id,
        before=before,
    )
    if not rows:
        raise ConflictError(
            "This evaluation is under way. Cancel it first.", code="evaluation_under_way"
        )
    return EvaluationDeleted(id=evaluation_id)


def _proposal(
    config: RoutingConfig, model_ids: Sequence[str], target: Target
) -> dict[str, str] | None:
    """What the job compares with the configuration as it is then."""
    found = {} if config.named_router is None else {"router": config.named_router}
    if target == PIPELINE or PIPELINE in model_ids:
        found["fingerprint"] = fingerprint(config)
    return found or None


async def evaluated_config(call: Call, body: EvaluationCreate) -> RoutingConfig:
    """That of the router which is evaluated; it has agents."""
    installation = await call.services.routing.fresh()
    config = installation.for_router(body.router or DEFAULT_ROUTER) or installation
    config.require_agents()
    return config


def no_labels(body: EvaluationCreate) -> ConflictError:
    return ConflictError(
        f"split: no label of the part {body.split!r} can be evaluated. Label more questions;"
        " GET /v1/datasets/stats counts them by part.",
        code="no_labels",
        param="split",
    )


def contestants_of(config: RoutingConfig, body: EvaluationCreate) -> list[str]:
    """The ids of what is evaluated. Raises InvalidRequestError."""
    in_pipeline = body.target == "pipeline"
    if body.model_ids is None and not in_pipeline:
        raise InvalidRequestError(
            "model_ids: this field is missing; name the models and classifiers to evaluate, or"
            ' "pipeline" for the router as it is.',
            code="missing_field",
            param="model_ids",
        )
    if body.label_layer and not in_pipeline:
        raise InvalidRequestError(
            "label_layer: a model alone has no labels before it; leave it out, or set `target` to"
            ' "pipeline".',
            param="label_layer",
        )
    found: list[str] = []
    for index, name in enumerate(body.model_ids or [PIPELINE]):
        param = f"model_ids[{index}]"
        if name == PIPELINE:
            model_id = PIPELINE
        elif name in config.classifiers:
            model_id = name
        else:
            model_id = require_available(config, name, param=param).id
        if model_id in found:
            raise InvalidRequestError(f"{param}: {name!r} is there twice.", param=param)
        found.append(model_id)
    return found


def _measured(config: RoutingConfig, model_ids: Sequence[str]) -> dict[str, MeasuredModel]:
    """The models among them; a classifier never changes."""
    return {
        model_id: MeasuredModel(
            identity=config.identity_hash(config.models[model_id]),
            prompt_version=prompt_version(config.models[model_id].type),
            version=config.calibration_version(model_id),
            calibration=config.calibrations.get(model_id),
        )
        for model_id in model_ids
        if model_id in config.models
    }


async def find_evaluation(call: Call, evaluation_id: str) -> Evaluation:
    """Raises NotFoundError."""
    found = await store.find_evaluation(call.services.db, evaluation_id)
    if found is None:
        raise NotFoundError(
            f"There is no evaluation {evaluation_id[:200]!r}. GET /v1/evaluations lists them.",
            code="unknown_evaluation",
            param="evaluation_id",
        )
    return found
