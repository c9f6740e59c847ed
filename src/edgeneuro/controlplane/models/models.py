"""Models in the control plane: which there are, which one is active, and choosing another."""

from datetime import UTC, date, datetime

from edgeneuro.call import Call
from edgeneuro.controlplane.access.audit import commit
from edgeneuro.controlplane.evaluations.routing_tests import require_tests
from edgeneuro.controlplane.learning.classifiers import select_classifier, suspension_of
from edgeneuro.controlplane.models.challenger import end_challenger, start_challenger
from edgeneuro.controlplane.models.model_names import (
    chat_names,
    find_chat_name,
    require_no_chat_name,
)
from edgeneuro.controlplane.models.promotion_check import check_model
from edgeneuro.controlplane.models.registration import changed_model, new_model, with_types
from edgeneuro.domain.calibration import ModelCalibration
from edgeneuro.domain.catalogue import find_model
from edgeneuro.domain.classifier import ID_PREFIX
from edgeneuro.domain.fields import Page, page_of
from edgeneuro.domain.model import (
    Model,
    ModelPatch,
    ModelRefresh,
    ModelRegister,
    ModelSelect,
    ModelSelection,
    ModelsQuery,
)
from edgeneuro.domain.routing import RoutingConfig, with_active
from edgeneuro.errors import (
    ConflictError,
    InvalidOutputError,
    InvalidRequestError,
    NotFoundError,
)
from edgeneuro.store.config import store_settings
from edgeneuro.store.models import replace_discovered, upsert_model


async def list_models(call: Call, query: ModelsQuery) -> Page[Model]:
    """List what the key can name in a chat and what can be selected: routers ("auto", "auto:ID"),
    agents, base models, adapters, decision models, embedding models and classifiers. `active` marks
    the selected ones, `chat` those that answer chats, `decisions` those that answer questions with
    probabilities."""
    config = await call.services.routing.current()
    permissions = call.credential.permissions
    everything = [*chat_names(config, permissions), *_shown(call, config)]
    models = [model for model in everything if query.type is None or model.type in query.type]
    return page_of(models, limit=len(models))


async def get_model(call: Call, model_id: str) -> Model:
    """Read one model by its id or an alias, raw or percent-encoded; also "auto", "auto:ID" and
    "agent:ID"."""
    config = await call.services.routing.current()
    named = find_chat_name(config, model_id, call.credential.permissions)
    if named is not None:
        return named
    if is_classifier(config, model_id) and model_id in config.classifiers:
        return _marked(call, config, config.classifiers[model_id])
    return _find(call, config, model_id)


async def register_model(call: Call, body: ModelRegister) -> Model:
    """Register a base, decision or embedding model that the list lacks, or an adapter that was
    uploaded."""
    require_no_chat_name(body.id, param="id")
    config = await call.services.routing.fresh()
    if find_model(config.models, body.id) is not None:
        raise ConflictError(
            f"There is a model {body.id!r} already; change it with PATCH.",
            code="model_exists",
            param="id",
        )
    model = new_model(body, _named_base(config, body)).model_copy(
        update={"owned_by": "you", "created": int(call.services.now())}
    )
    _require_free_aliases(config, model)
    return await _write(call, config, model, action="create", before=None)


async def update_model(call: Call, model_id: str, body: ModelPatch) -> Model:
    """Change the fields that are in the body, also of built-in models."""
    config = await call.services.routing.fresh()
    before = _find(call, config, model_id)
    given = {name: getattr(body, name) for name in body.model_fields_set}
    model = changed_model(before, given)
    _require_free_aliases(config, model)
    if model.status != "available":
        _require_inactive(config, before)
    return await _write(call, config, model, action="update", before=before)


async def retire_model(call: Call, model_id: str) -> Model:
    """Retire a model: it stays in the list and the logs, and can no longer be selected."""
    config = await call.services.routing.fresh()
    before = _find(call, config, model_id)
    _require_inactive(config, before)
    retired = before.model_copy(update={"status": "retired"})
    return await _write(call, config, retired, action="retire", before=before)


async def refresh_models(call: Call) -> ModelRefresh:
    """Read Workers AI's catalogue: prices, context windows, LoRA support, retirements, and with the
    credentials of Cloudflare's API which new models are decision models."""
    services = call.services
    known = (await services.routing.fresh()).models
    facts = await with_types(services.gateway, known, await services.gateway.models())
    if not facts:
        raise InvalidOutputError("Workers AI's catalogue is empty; what was known is kept.")
    result = ModelRefresh(
        models=len(facts), added=[each.id for each in facts if each.id not in known]
    )
    await commit(
        call,
        replace_discovered(facts, now_ms=services.now_ms()),
        action="refresh",
        resource="model",
        resource_id="catalogue",
        after=result,
    )
    return result


async def select_model(call: Call, body: ModelSelect) -> ModelSelection:
    """Make a model the active one, or place a classifier in front of it. It is used from the next
    request on."""
    config = await call.services.routing.fresh()
    if body.type == "challenger":
        return await end_challenger(call, config, body)
    if body.type == "classifier" or is_classifier(config, body.model_id):
        return await select_classifier(call, config, body)
    if body.model_id is None:
        raise InvalidRequestError(
            'model_id: name a model. With `type` "classifier", null deselects the classifier.',
            param="model_id",
        )
    model = require_available(config, body.model_id, param="model_id")
    previous = config.active.id
    if body.expected_active not in (None, previous):
        raise _changed_meanwhile(previous)
    check = await check_model(call.services.db, config, model) if body.check else None
    # Selected again, it keeps the model to roll back to.
    before = config.stored.previous_model if model.id == previous else previous
    selection = ModelSelection(active=model.id, previous=before, check=check)
    if body.challenger is not None:
        return await start_challenger(call, config, model, body.challenger, selection)
    if body.check is not False and model.id != previous:
        proposed = with_active(config, model, call.services.settings)
        await require_tests(call.services.db, config, proposed)
    stored = store_settings(
        selected_settings(config, model),
        now_ms=call.services.now_ms(),
        at_revision=config.revision,
    )
    rows = await commit(
        call,
        [stored],
        action="select",
        resource="model",
        resource_id=model.id,
        before=ModelSelection(active=previous, previous=config.stored.previous_model),
        after=selection,
    )
    if not rows:
        raise _changed_meanwhile((await call.services.routing.fresh()).active.id)
    return selection


def selected_settings(config: RoutingConfig, model: Model) -> dict[str, object]:
    """What is stored to make the model the active one."""
    settings = config.activation(model)
    if config.challenger is not None:
        settings["challenger"] = None  # it was compared with another active model
    return settings


def require_available(config: RoutingConfig, model_id: str, *, param: str) -> Model:
    """The model of that id or alias, if it can be asked. Raises InvalidRequestError."""
    model = find_model(config.models, model_id)
    if is_classifier(config, model_id):
        raise InvalidRequestError(
            f"{param}: {model_id!r} is a classifier, which is called before the active model and"
            " is no model itself. Name a base model or an adapter.",
            code="model_is_classifier",
            param=param,
        )
    if model is None:
        raise InvalidRequestError(
            f"{param}: there is no model {model_id!r}. GET /v1/models lists them.",
            code="model_not_found",
            param=param,
        )
    if model.type == "embedding":
        raise InvalidRequestError(
            f"{param}: {model_id!r} is an embedding model: it turns texts into vectors and chooses"
            " no agent. Name it as `embedding_model` with PATCH /v1/config; here name another.",
            code="model_is_embedding",
            param=param,
        )
    if model.type == "lora" and not model.supports_lora:
        raise InvalidRequestError(
            f"{param}: the base model {model.base_model!r} of {model_id!r} takes no LoRA adapters;"
            " choose an adapter on one that does.",
            code="lora_unsupported",
            param=param,
        )
    if model.status != "available":
        raise InvalidRequestError(
            f"{param}: the model {model_id!r} is {model.status}; choose one that is available.",
            code=f"model_{model.status}",
            param=param,
        )
    return model


def require_embedding(config: RoutingConfig, model_id: str, *, param: str) -> Model:
    """The embedding model of that id or alias, if it can be asked. Raises InvalidRequestError."""
    model = find_model(config.models, model_id)
    if model is None or model.type != "embedding":
        what = "there is no such model" if model is None else f"it is of type {model.type!r}"
        raise InvalidRequestError(
            f"{param}: {model_id!r} is no embedding model; {what}. GET /v1/models?type=embedding"
            " lists them.",
            code="model_not_found" if model is None else "model_is_no_embedding",
            param=param,
        )
    if model.status != "available":
        raise InvalidRequestError(
            f"{param}: the model {model_id!r} is {model.status}; choose one that is available.",
            code=f"model_{model.status}",
            param=param,
        )
    return model


def is_classifier(config: RoutingConfig, name: str | None) -> bool:
    if name is None or not name.startswith(f"{ID_PREFIX}_"):
        return False
    return find_model(config.models, name) is None


def _shown(call: Call, config: RoutingConfig) -> list[Model]:
    allowed = call.credential.permissions.restrict(config).models.values()
    everything = (*allowed, *config.classifiers.values())
    return [_marked(call, config, model) for model in everything]


def _marked(call: Call, config: RoutingConfig, model: Model) -> Model:
    services = call.services
    calibration = config.calibrations.get(model.id)
    marks = {
        "chat": model.type == "base" and model.status == "available",
        "decisions": model.type == "decision" and model.status == "available",
        "active": model.id in (config.active.id, config.classifier),
        "suspended": None
        if model.agents is None
        else suspension_of(config, model.id, model.agents, model.router),
        "deprecated": model.id in services.breakers.deprecated
        or _has_passed(model.planned_deprecation_date, services.now_ms()),
        "calibration": None if calibration is None else ModelCalibration.of(calibration),
    }
    return model.model_copy(update=marks)


def _has_passed(text: str | None, now_ms: int) -> bool:
    """Whether the catalog's date (YYYY-MM-DD) is today or earlier. False for a text that is not a
    date."""
    try:
        day = date.fromisoformat((text or "")[:10])
    except ValueError:
        return False
    return day <= datetime.fromtimestamp(now_ms / 1000, UTC).date()


def _find(call: Call, config: RoutingConfig, model_id: str) -> Model:
    model = find_model(config.models, model_id)
    if model is None:
        raise NotFoundError(
            f"There is no model {model_id[:200]!r}. GET /v1/models lists them.",
            code="model_not_found",
            param="model_id",
        )
    return _marked(call, config, model)


def _named_base(config: RoutingConfig, body: ModelRegister) -> Model | None:
    if body.base_model is None or body.type != "lora":
        return find_model(config.models, body.base_model or body.id)
    return require_available(config, body.base_model, param="base_model")


def _require_free_aliases(config: RoutingConfig, model: Model) -> None:
    for index, alias in enumerate(model.aliases):
        require_no_chat_name(alias, param=f"aliases[{index}]")
        other = find_model(config.models, alias)
        if other is not None and other.id != model.id:
            raise ConflictError(
                f"aliases[{index}]: {alias!r} already names the model {other.id!r}.",
                code="alias_taken",
                param=f"aliases[{index}]",
            )


def _require_inactive(config: RoutingConfig, model: Model) -> None:
    if model.active:
        raise ConflictError(
            "This is the active model. Select another one first.", code="model_active"
        )
    for router in config.routers.values():
        if router.own().get("routing_model") == model.id:
            raise ConflictError(
                f"The router {router.id!r} routes with this model. Give it another one first, with"
                f" PATCH /v1/routers/{router.id}.",
                code="model_active",
            )


async def _write(
    call: Call, config: RoutingConfig, model: Model, *, action: str, before: Model | None
) -> Model:
    upsert = upsert_model(model, now_ms=call.services.now_ms(), at_revision=config.revision)
    rows = await commit(
        call,
        [upsert],
        action=action,
        resource="model",
        resource_id=model.id,
        before=before,
        after=model,
    )
    if not rows:
        raise _changed_meanwhile((await call.services.routing.fresh()).active.id)
    return _find(call, await call.services.routing.fresh(), model.id)


def _changed_meanwhile(active: str) -> ConflictError:
    return ConflictError(
        f"The configuration has changed meanwhile; the active model is {active!r}. Look, then try"
        " again.",
        code="active_model_changed",
        param="expected_active",
    )
