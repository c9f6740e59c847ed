"""Adapters on their way in: what is asked for is judged, and taken up only where it can become a
model."""

from contextlib import suppress
from functools import partial

from edgeneuro.adapter.preflight import CONFIG_FILE, AdapterFacts, Report
from edgeneuro.call import Call
from edgeneuro.controlplane.access.audit import commit
from edgeneuro.controlplane.adapters.lora_checks import require_free_name
from edgeneuro.controlplane.adapters.lora_upload import Staged, stage
from edgeneuro.controlplane.jobs.runner import wake
from edgeneuro.controlplane.models.models import require_available
from edgeneuro.domain.lora import ID_PREFIX, STEPS, Lora, LoraCreate, LoraStep, Preflight
from edgeneuro.domain.model import Model
from edgeneuro.errors import (
    AdapterRefusedError,
    BodyTooLargeError,
    ConflictError,
    ConstraintError,
    DatabaseError,
    InvalidRequestError,
    NotConfiguredError,
    UpstreamError,
)
from edgeneuro.services import Services
from edgeneuro.store import loras as store
from edgeneuro.store.lora_files import delete_files, replace_file
from edgeneuro.store.sql import rfc3339
from edgeneuro.web.handler import parse_body
from edgeneuro.web.upload import Upload

# What Cloudflare lets through to a Worker on its smaller plans.
MAX_UPLOAD_BYTES = 100_000_000
_MAX_JSON_BYTES = 10_000


async def create_lora(call: Call, body: Upload) -> Lora:
    """Upload an adapter to Workers AI and register it as a model: multipart/form-data with `name`,
    `base_model` and its two files, or JSON with `name` and `base_model` of a finetune that is
    already there. The upload starts within a minute; read the adapter to see its progress."""
    services = call.services
    lora_id = services.new_id(ID_PREFIX)
    if not body.is_form:
        wanted = parse_body(LoraCreate, await body.read(_MAX_JSON_BYTES))
        assert isinstance(wanted, LoraCreate)
        base = await _require_possible(services, wanted)
        return await _begin(call, _new_lora(call, lora_id, wanted, base))
    _require_configured(services)
    begun = False
    try:
        staged = await _staged(services, body, lora_id)
        base = await _require_possible(services, staged.wanted)
        report = staged.judge(await _facts(services, base))
        found = staged.preflight(report)
        if report.failures:
            raise _refused(report, found)
        await _write_config(services, lora_id, staged, report)
        lora = _with_files(_new_lora(call, lora_id, staged.wanted, base), staged, report)
        begun_lora = await _begin(call, lora)
        begun = True
        return begun_lora
    finally:
        if not begun:
            with suppress(DatabaseError):  # what is left is purged
                await services.db.run(delete_files(lora_id))


async def check_files(call: Call, body: Upload) -> Preflight:
    """Check an adapter's files against the rules; nothing is stored or uploaded."""
    if not body.is_form:
        raise InvalidRequestError(
            "The body is no form; send `name`, `base_model` and the two files as"
            " multipart/form-data.",
            code="invalid_form",
        )
    staged = await _staged(call.services, body, None)
    base = await _require_possible(call.services, staged.wanted)
    return staged.preflight(staged.judge(await _facts(call.services, base)))


async def _staged(services: Services, body: Upload, lora_id: str | None) -> Staged:
    try:
        return await stage(services, body, partial(_require_possible, services), lora_id=lora_id)
    except BodyTooLargeError as error:
        raise BodyTooLargeError(
            f"{error.message} Larger adapters go by `npm run adapter -- upload DIR`, straight to"
            " Workers AI."
        ) from error


async def _write_config(services: Services, lora_id: str, staged: Staged, report: Report) -> None:
    """The configuration goes to Workers AI in the form that it documents."""
    content = report.config_to_upload
    if content is not None and content != staged.files[CONFIG_FILE].start:
        await replace_file(services.db, lora_id, CONFIG_FILE, content, now_ms=services.now_ms())


async def _begin(call: Call, lora: Lora) -> Lora:
    try:
        rows = await commit(
            call,
            store.insert_lora(lora),
            action="create",
            resource="lora",
            resource_id=lora.id,
            after=lora,
        )
    except ConstraintError as error:
        raise _exists(lora.name) from error
    wake(call)
    return store.lora_from_row(rows[0])


async def _require_possible(services: Services, wanted: LoraCreate) -> Model:
    """The base model. Raises InvalidRequestError or ConflictError where the adapter could not
    become a model of that name on it."""
    config = await services.routing.current()
    base = require_available(config, wanted.base_model, param="base_model")
    if not base.supports_lora:
        raise InvalidRequestError(
            f"base_model: {base.id!r} takes no LoRA adapters. `supports_lora` in GET /v1/models"
            " shows the models that do; POST /v1/models/refresh reads them from Workers AI again.",
            code="lora_unsupported",
            param="base_model",
        )
    require_free_name(config.models, wanted.name, base.id)
    if await store.find_named(services.db, wanted.name) is not None:
        raise _exists(wanted.name)
    return base


def _refused(report: Report, found: Preflight) -> AdapterRefusedError:
    first, *others = report.failures
    also = f" {len(others)} more rules refuse it; see `checks`." if others else ""
    checks = [each.model_dump() for each in found.checks]
    return AdapterRefusedError(f"{first.rule}: {first.message}{also}", checks, param=first.rule)


def _exists(name: str) -> ConflictError:
    return ConflictError(
        f"name: there is an adapter {name!r} already. GET /v1/loras shows its state; continue it"
        " with POST /v1/loras/{lora_id}/retry, or choose another name.",
        code="lora_exists",
        param="name",
    )


def _require_configured(services: Services) -> None:
    try:
        services.finetunes.require_configured()
    except UpstreamError as error:
        raise NotConfiguredError(f"Adapters cannot be uploaded: {error.message}") from error


async def _facts(services: Services, base: Model) -> AdapterFacts:
    """Where Workers AI cannot be asked, the slots are judged when the finetune is made."""
    used = None
    with suppress(UpstreamError):
        used = len(await services.finetunes.list())
    return AdapterFacts(base=base.id, supports_lora=base.supports_lora, slots_used=used)


def _new_lora(call: Call, lora_id: str, wanted: LoraCreate, base: Model) -> Lora:
    return Lora(
        id=lora_id,
        name=wanted.name,
        base_model=base.id,
        state="queued",
        source="finetune",
        created_at=rfc3339(call.services.now_ms()),
        created_by=call.credential.key_id,
        finished_at=None,
        tries=0,
        steps=[LoraStep(name=name) for name in STEPS["finetune"]],
        error=None,
        finetune_id=None,
        preflight=[],
        size=None,
        checksum=None,
        rank=None,
        target_modules=[],
        data=wanted.data,
    )


def _with_files(lora: Lora, staged: Staged, report: Report) -> Lora:
    found = staged.preflight(report)
    return lora.model_copy(
        update={
            "source": "files",
            "steps": [LoraStep(name=name) for name in STEPS["files"]],
            "preflight": found.checks,
            "size": found.size,
            "checksum": staged.checksum,
            "rank": report.rank,
            "target_modules": found.target_modules,
        }
    )
