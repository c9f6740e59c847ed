"""The job that uploads an adapter to Workers AI and registers it as a model: one step a slice, each
stored when it is done, so that the next slice after a failure or a kill begins where the last one
ended."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from edgeneuro.adapter.preflight import CONFIG_FILE, WEIGHTS_FILE
from edgeneuro.controlplane.access.audit import audit_row
from edgeneuro.controlplane.adapters.lora_checks import drift_of, probe, require_free_name
from edgeneuro.controlplane.jobs.runner import Lease, SliceOutcome
from edgeneuro.domain.catalogue import lora_model
from edgeneuro.domain.job import JobKindName
from edgeneuro.domain.lora import Lora, LoraError, LoraStep, StepName
from edgeneuro.domain.model import Model
from edgeneuro.errors import (
    ConflictError,
    DatabaseError,
    EdgeNeuroError,
    UpstreamError,
    UpstreamTimeoutError,
)
from edgeneuro.gateway.cloudflare_api import Finetune
from edgeneuro.store import loras as store
from edgeneuro.store.database import Statement
from edgeneuro.store.jobs import MAX_FAILURES
from edgeneuro.store.lora_files import delete_files, file_size, read_file
from edgeneuro.store.models import upsert_model
from edgeneuro.store.sql import rfc3339

# Longer than a step may take: an upload may take 100 s, and a cron run 15 minutes.
LEASE_MS = 150_000
MAX_ATTEMPTS = 5
_MAX_SLICES_PER_RUN = 10  # more than there are steps
_FIRST_PAUSE_MS = 5_000
# What Workers AI says of an adapter that it has taken but not spread yet.
_NOT_THERE_YET = ("3037", "3039")


@dataclass(frozen=True, kw_only=True)
class AdapterUploadKind:
    name: JobKindName = "adapter_upload"
    event: str = "lora_upload"
    resource: str = "lora"
    lease_ms: int = LEASE_MS
    slices_per_run: int = _MAX_SLICES_PER_RUN
    max_attempts: int = MAX_ATTEMPTS
    max_failures: int = MAX_FAILURES

    async def run_slice(self, lease: Lease) -> SliceOutcome:
        return await (await self._step(lease)).run()

    async def exhausted(self, lease: Lease) -> SliceOutcome:
        error = ConflictError(f"it was begun {self.max_attempts} times and never came to its end")
        return (await self._step(lease)).failed(error)

    def clean_up(self, resource_id: str) -> Sequence[Statement]:
        return ()  # the files stay, for a retry

    async def _step(self, lease: Lease) -> "_Step":
        return _Step(lease, await store.read_lora(lease.services.db, lease.job.resource_id))


class _Step:
    """The next step of an adapter."""

    def __init__(self, lease: Lease, lora: Lora) -> None:
        self._services = lease.services
        self._attempts = lease.job.attempts
        self._lora = lora
        self._works: dict[StepName, Callable[[], Awaitable[str]]] = {
            "find": self._find,
            "create": self._create,
            "upload_config": self._upload_config,
            "upload_weights": self._upload_weights,
            "probe": self._probe,
            "register": self._register,
        }

    async def run(self) -> SliceOutcome:
        step = self._lora.next_step
        if step is None:
            return SliceOutcome(state="succeeded")
        try:
            message = await self._works[step.name]()
        except DatabaseError:
            raise
        except EdgeNeuroError as error:
            return self.failed(error)
        self._set(step, state="done", message=message)
        last = self._lora.next_step is None
        files = [delete_files(self._lora.id)] if last else []
        return SliceOutcome(
            state="succeeded" if last else "running",
            statements=[store.store_steps(self._lora), *files],
            done=sum(each.state == "done" for each in self._lora.steps),
        )

    def failed(self, error: EdgeNeuroError) -> SliceOutcome:
        """The files stay, for a retry."""
        step = self._lora.next_step
        assert step is not None
        self._set(step, state="failed", message=error.message)
        stored = LoraError(
            step=step.name,
            code=error.code,
            message=f"{error.message.rstrip('.')}. {self._what_now(step.name)}",
            retryable=_is_retryable(error),
        )
        again = stored.retryable and self._attempts < MAX_ATTEMPTS
        return SliceOutcome(
            state="running" if again else "failed",
            pause_ms=_FIRST_PAUSE_MS << (self._attempts - 1) if again else 0,
            statements=[store.store_steps(self._lora)],
            advanced=False,
            error=stored.model_dump_json(),
        )

    def _what_now(self, step: StepName) -> str:
        there = self._lora.finetune_id is not None
        where = f"Workers AI has the finetune {self._lora.name!r} already. " if there else ""
        return f"{where}POST /v1/loras/{self._lora.id}/retry continues with the step {step!r}."

    def _set(self, step: LoraStep, *, state: Literal["done", "failed"], message: str) -> None:
        at = rfc3339(self._services.now_ms())
        changed = step.model_copy(update={"state": state, "at": at, "message": message})
        steps = [changed if each.name == step.name else each for each in self._lora.steps]
        self._lora = self._lora.model_copy(update={"steps": steps})

    # The steps. Each returns the message that its step shows.

    async def _find(self) -> str:
        found = await self._listed()
        if found is None:
            raise ConflictError(
                f"Workers AI has no finetune {self._lora.name!r}; upload it with"
                " `wrangler ai finetune create`, or send its files here.",
                code="finetune_not_found",
            )
        other_base = drift_of(self._lora, found)
        if other_base is not None:
            raise ConflictError(other_base.message, code="other_base_model")
        self._lora = self._lora.model_copy(update={"finetune_id": found.id})
        return f"Workers AI calls it {found.id}"

    async def _create(self) -> str:
        """An earlier attempt may have created it without receiving the response."""
        lora, finetunes = self._lora, self._services.finetunes
        description = f"EdgeNeuro {lora.id}"
        found = await self._listed()
        if found is None:
            made = await finetunes.create(lora.name, lora.base_model, description=description)
        elif found.description == description:
            made = found
        else:
            raise ConflictError(
                f"Workers AI has a finetune {lora.name!r} already, and its files cannot be changed."
                " Retire this adapter and choose another name, or register that one by its name"
                " alone.",
                code="finetune_exists",
            )
        self._lora = lora.model_copy(update={"finetune_id": made.id})
        return f"Workers AI calls it {made.id}"

    async def _listed(self) -> Finetune | None:
        name = self._lora.name
        listed = await self._services.finetunes.list()
        return next((each for each in listed if each.name == name), None)

    async def _upload_config(self) -> str:
        return await self._upload(CONFIG_FILE)

    async def _upload_weights(self) -> str:
        return await self._upload(WEIGHTS_FILE)

    async def _upload(self, file: str) -> str:
        lora, db = self._lora, self._services.db
        size = await file_size(db, lora.id, file)
        if not size:
            raise ConflictError(
                f"{file} is no longer stored here. Retire this adapter and send the files again"
                " under another name.",
                code="files_gone",
            )
        content = read_file(db, lora.id, file)
        try:
            await self._services.finetunes.upload(lora.finetune_id or "", file, size, content)
        except UpstreamError as error:
            # An earlier attempt may have uploaded it without receiving the response.
            if self._attempts > 1 and _says_there(error):
                return "Workers AI had it already"
            raise
        return f"{size:,} bytes"

    async def _probe(self) -> str:
        return await probe(self._services, self._lora.base_model, self._lora.name)

    async def _register(self) -> str:
        services, lora = self._services, self._lora
        config = await services.routing.fresh()
        base = config.models.get(lora.base_model)
        if base is None:
            raise ConflictError(f"There is no base model {lora.base_model!r} any more.")
        require_free_name(config.models, lora.name, lora.base_model)
        model = lora_model(lora.name, base).model_copy(
            update={"created": int(services.now()), "status": "available"}
        )
        upsert = upsert_model(model, now_ms=services.now_ms(), at_revision=config.revision)
        rows = await services.db.batch([upsert, self._audited(model)])
        services.routing.forget()
        if not rows[0]:
            raise UpstreamError("The configuration has changed meanwhile.")
        return f'select it with POST /v1/models/select {{"model_id": "{lora.name}"}}'

    def _audited(self, model: Model) -> Statement:
        return audit_row(
            self._services,
            actor=self._lora.created_by,
            request_id=self._lora.id,
            action="create",
            resource="model",
            resource_id=model.id,
            after=model,
        )


def _is_retryable(error: EdgeNeuroError) -> bool:
    if not isinstance(error, UpstreamError):
        return False
    passes = error.retryable or isinstance(error, UpstreamTimeoutError)
    return passes or error.upstream_code in _NOT_THERE_YET


def _says_there(error: UpstreamError) -> bool:
    """Cloudflare documents no code for a file that it has already."""
    return error.upstream_code == "409" or "already" in error.message.lower()
