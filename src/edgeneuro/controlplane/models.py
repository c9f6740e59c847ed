"""Models in the control plane: which there are, which one is active, and choosing another."""

from edgeneuro.call import Call
from edgeneuro.controlplane.audit import commit
from edgeneuro.domain.catalogue import known_models
from edgeneuro.domain.model import Model, ModelSelect, ModelSelection
from edgeneuro.domain.page import Page
from edgeneuro.errors import ConflictError, InvalidRequestError, NotFoundError
from edgeneuro.store.config import store_setting


async def list_models(call: Call) -> Page[Model]:
    """List the models that can answer, base models and adapters; `active` marks the selected
    one."""
    active = (await call.services.routing.current()).active.id
    models = [
        model.model_copy(update={"active": model.id == active})
        for model in known_models(call.services.settings).values()
    ]
    return Page(data=models, first_id=models[0].id, last_id=models[-1].id)


async def get_model(call: Call, model_id: str) -> Model:
    """Read one model. Its id may be sent as it is or percent-encoded."""
    page = await list_models(call)
    for model in page.data:
        if model.id == model_id:
            return model
    raise NotFoundError(
        f"There is no model {model_id[:200]!r}. GET /v1/models lists them.",
        code="model_not_found",
        param="model_id",
    )


async def select_model(call: Call, body: ModelSelect) -> ModelSelection:
    """Make a model the active one. It is stored, and asked from the next request on."""
    services = call.services
    _require_available(known_models(services.settings).get(body.model_id), body.model_id)
    services.routing.forget()
    config = await services.routing.current()
    previous = config.active.id
    if body.expected_active not in (None, previous):
        raise _changed_meanwhile(previous)
    selection = ModelSelection(active=body.model_id, previous=previous)
    at_revision = None if body.expected_active is None else config.revision
    rows = await commit(
        call,
        [
            store_setting(
                "routing_model", body.model_id, now_ms=services.now_ms(), at_revision=at_revision
            )
        ],
        action="select",
        resource="model",
        resource_id=body.model_id,
        after=selection,
    )
    if not rows:
        raise _changed_meanwhile((await services.routing.current()).active.id)
    return selection


def _require_available(model: Model | None, model_id: str) -> None:
    if model is None:
        raise InvalidRequestError(
            f"There is no model {model_id!r}. GET /v1/models lists them.",
            code="model_not_found",
            param="model_id",
        )
    if model.status != "available":
        raise InvalidRequestError(
            f"{model_id!r} cannot be selected: its base model {model.base_model!r} takes no LoRA"
            " adapters. Set FINE_TUNED_MODEL to one that does.",
            code="lora_unsupported",
            param="model_id",
        )


def _changed_meanwhile(active: str) -> ConflictError:
    return ConflictError(
        f"The configuration has changed; the active model is {active!r}. Look again, then select.",
        code="active_model_changed",
        param="expected_active",
    )
