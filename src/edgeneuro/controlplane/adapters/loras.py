"""LoRA adapters in the control plane: how far each is, and how Workers AI's list compares."""

from collections.abc import Sequence
from contextlib import suppress

from edgeneuro.adapter.bases import MAX_ADAPTERS
from edgeneuro.call import Call
from edgeneuro.controlplane.access.audit import commit
from edgeneuro.controlplane.adapters.lora_checks import (
    drift_of,
    drift_of_all,
    probe,
    recent_finetunes,
)
from edgeneuro.controlplane.jobs.runner import wake
from edgeneuro.domain.fields import PageQuery, page_of
from edgeneuro.domain.lora import Lora, LoraCheck, LoraPage, Slots
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.errors import ConflictError, NotFoundError, UpstreamError
from edgeneuro.gateway.cloudflare_api import Finetune
from edgeneuro.store import loras as store
from edgeneuro.store.lora_files import delete_files
from edgeneuro.store.models import upsert_model


async def list_loras(call: Call, query: PageQuery) -> LoraPage:
    """List adapters, newest first, with the slots that are used at Workers AI and the differences
    from its list, which is at most a minute old."""
    services = call.services
    found = await store.list_loras(services.db, limit=query.limit + 1, after=query.after)
    config = await services.routing.current()
    page = page_of([_shown(each, config) for each in found], limit=query.limit)
    uploaded = await store.list_uploaded(services.db)
    listed = await recent_finetunes(services, uploaded)
    if isinstance(listed, str):
        slots = Slots(used=None, total=MAX_ADAPTERS)
        return LoraPage(**dict(page), slots=slots, drift=None, drift_error=listed)
    drift = drift_of_all(uploaded, listed)
    slots = Slots(used=len(listed), total=MAX_ADAPTERS)
    return LoraPage(**dict(page), slots=slots, drift=drift, drift_error=None)


async def get_lora(call: Call, lora_id: str) -> Lora:
    """Read one adapter, with the state of each step."""
    return await _find(call, lora_id)


async def retry_lora(call: Call, lora_id: str) -> Lora:
    """Continue an adapter that has failed, at the step that failed. It starts within a minute."""
    before = await _find(call, lora_id)
    rows = await commit(
        call,
        [store.retry(lora_id, now_ms=call.services.now_ms())],
        action="retry",
        resource="lora",
        resource_id=lora_id,
        before=before,
    )
    if not rows:
        raise ConflictError(
            f"The adapter {before.name!r} is {before.state}; only one that has failed is tried"
            " again.",
            code="lora_not_failed",
        )
    wake(call)
    return await _find(call, lora_id)


async def check_lora(call: Call, lora_id: str) -> LoraCheck:
    """Check whether Workers AI still has the adapter, and send the adapter a question."""
    services, lora = call.services, await _find(call, lora_id)
    listed, drift = None, None
    with suppress(UpstreamError):  # then `listed` says that it could not be read
        drift = drift_of(lora, _named(await services.finetunes.list(), lora))
        listed = drift is None or drift.problem != "missing"
    try:
        probed, answers = await probe(services, lora.base_model, lora.name), True
    except UpstreamError as error:
        probed, answers = error.message, False
    ok = answers and drift is None
    return LoraCheck(id=lora_id, ok=ok, listed=listed, drift=drift, probe=probed)


async def retire_lora(call: Call, lora_id: str) -> Lora:
    """Retire an adapter and its model; the active model cannot be retired. Workers AI keeps the
    finetune and its slot, because it has no call that deletes one."""
    services = call.services
    config = await services.routing.fresh()
    before = await _find(call, lora_id)
    model = config.models.get(before.name)
    mine = before.state == "available" and model is not None
    if mine and any(each.id == before.name for each in config.chain):
        raise ConflictError(
            f"The model {before.name!r} is active or a fallback. Select another one first.",
            code="model_active",
        )
    now_ms = services.now_ms()
    retired = store.retire(lora_id, now_ms=now_ms, at_revision=config.revision)
    if mine and model is not None:
        gone = model.model_copy(update={"status": "retired"})
        retired.append(upsert_model(gone, now_ms=now_ms, at_revision=config.revision))
    rows = await commit(
        call, retired, action="retire", resource="lora", resource_id=lora_id, before=before
    )
    if not rows:
        raise ConflictError(
            f"The adapter {before.name!r} is retired already, or the configuration has changed"
            " in the meantime. Read it, then try again.",
            code="lora_changed",
        )
    await services.db.run(delete_files(lora_id))
    return await _find(call, lora_id)


async def _find(call: Call, lora_id: str) -> Lora:
    found = await store.find_lora(call.services.db, lora_id)
    if found is None:
        raise NotFoundError(
            f"There is no adapter {lora_id[:200]!r}. GET /v1/loras lists them.",
            code="unknown_lora",
            param="lora_id",
        )
    return _shown(found, await call.services.routing.current())


def _named(listed: Sequence[Finetune], lora: Lora) -> Finetune | None:
    return next((each for each in listed if each.id == lora.finetune_id), None)


def _shown(lora: Lora, config: RoutingConfig) -> Lora:
    active = lora.state == "available" and lora.name == config.active.id
    return lora.model_copy(update={"active": active})
