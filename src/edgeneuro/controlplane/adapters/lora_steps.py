"""An adapter's way to Workers AI as a job of the cron: step by step, each noted when it is done, so
that the next run after a failure or a kill begins where the last one ended."""

from collections.abc import Awaitable, Callable

from edgeneuro.adapter.preflight import CONFIG_FILE, WEIGHTS_FILE
from edgeneuro.controlplane.access.audit import audit_row
from edgeneuro.controlplane.adapters.lora_checks import drift_of, probe, require_free_name
from edgeneuro.controlplane.jobs.jobs import LostLeaseError, run_slice_of
from edgeneuro.domain.catalogue import lora_model
from edgeneuro.domain.lora import LoraError, LoraState, LoraStep, StepName
from edgeneuro.domain.model import Model
from edgeneuro.errors import (
    ConflictError,
    DatabaseError,
    EdgeNeuroError,
    UpstreamError,
    UpstreamTimeoutError,
)
from edgeneuro.gateway.cloudflare_api import Finetune
from edgeneuro.services import Services
from edgeneuro.store import loras as store
from edgeneuro.store.database import Statement
from edgeneuro.store.lora_files import delete_files, file_size, read_file
from edgeneuro.store.models import upsert_model
from edgeneuro.store.sql import rfc3339

# Longer than a step may take: an upload may take 100 s, and a cron run 15 minutes.
LEASE_MS = 150_000
MAX_TRIES = 5
_FIRST_WAIT_MS = 5_000
# What Workers AI says of an adapter that it has taken but not spread yet.
_NOT_THERE_YET = ("3037", "3039")


async def run_lora(services: Services, lora_id: str) -> None:
    """Makes the adapter's steps until one fails, if no other run holds it. Raises nothing."""

    async def step(now_ms: int, until_ms: int) -> bool:
        held = await store.claim(services.db, lora_id, now_ms=now_ms, until_ms=until_ms)
        return held is not None and await _Step(services, held).run()

    while await run_slice_of(services, "loras", lora_id, step, lease_ms=LEASE_MS):
        pass


class _Step:
    """The next step of one adapter that is ours."""

    def __init__(self, services: Services, held: store.Claim) -> None:
        self._services = services
        self._held = held
        self._lora = held.lora
        self._works: dict[StepName, Callable[[], Awaitable[str]]] = {
            "find": self._find,
            "create": self._create,
            "upload_config": self._upload_config,
            "upload_weights": self._upload_weights,
            "probe": self._probe,
            "register": self._register,
        }

    async def run(self) -> bool:
        """Whether the next one may come at once."""
        step = self._lora.next_step
        if step is None:
            return False
        try:
            if self._lora.tries > MAX_TRIES:
                raise ConflictError("it was begun again and again and never came to its end")
            message = await self._works[step.name]()
        except DatabaseError:
            raise
        except EdgeNeuroError as error:
            await self._failed(step, error)
            return False
        await self._done(step, message)
        return step.name != "register"

    async def _done(self, step: LoraStep, message: str) -> None:
        self._set(step, state="done", message=message)
        self._lora = self._lora.model_copy(update={"tries": 0, "error": None})
        if step.name == "register":
            await self._end("available")
        else:
            await self._let_go(claimed_until=0)

    async def _failed(self, step: LoraStep, error: EdgeNeuroError) -> None:
        self._set(step, state="failed", message=error.message)
        told = LoraError(
            step=step.name,
            code=error.code,
            message=f"{error.message.rstrip('.')}. {self._what_now(step.name)}",
            retryable=_may_pass(error),
        )
        self._lora = self._lora.model_copy(update={"error": told})
        if told.retryable and self._lora.tries < MAX_TRIES:
            wait_ms = _FIRST_WAIT_MS << (self._lora.tries - 1)
            await self._let_go(claimed_until=self._services.now_ms() + wait_ms)
        else:
            await self._end("failed")

    def _what_now(self, step: StepName) -> str:
        there = self._lora.finetune_id is not None
        where = f"Workers AI has the finetune {self._lora.name!r} already. " if there else ""
        return f"{where}POST /v1/loras/{self._lora.id}/retry goes on with the step {step!r}."

    def _set(self, step: LoraStep, *, state: str, message: str) -> None:
        at = rfc3339(self._services.now_ms())
        changed = step.model_copy(update={"state": state, "at": at, "message": message})
        steps = [changed if each.name == step.name else each for each in self._lora.steps]
        self._lora = self._lora.model_copy(update={"steps": steps})

    async def _let_go(self, *, claimed_until: int) -> None:
        update = store.update_held(self._held, self._lora, claimed_until=claimed_until)
        if not await self._services.db.run(update):
            raise LostLeaseError

    async def _end(self, state: LoraState) -> None:
        """The files stay where it failed, for another try."""
        ended = store.update_held(
            self._held,
            self._lora,
            state=state,
            claimed_until=0,
            finished_ms=self._services.now_ms(),
        )
        files = [delete_files(self._lora.id)] if state == "available" else []
        rows = await self._services.db.batch([ended, *files])
        if not rows[0]:
            raise LostLeaseError

    # The steps. Each gives what is to be said of it.

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
        """One that is ours may be there: made by a try whose answer got lost."""
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
                f"{file} is kept here no more. Retire this adapter and send the files again under"
                " another name.",
                code="files_gone",
            )
        content = read_file(db, lora.id, file)
        try:
            await self._services.finetunes.upload(lora.finetune_id or "", file, size, content)
        except UpstreamError as error:
            # Tried before, it may have arrived though its answer did not.
            if lora.tries > 1 and _says_there(error):
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


def _may_pass(error: EdgeNeuroError) -> bool:
    if not isinstance(error, UpstreamError):
        return False
    passes = error.retryable or isinstance(error, UpstreamTimeoutError)
    return passes or error.upstream_code in _NOT_THERE_YET


def _says_there(error: UpstreamError) -> bool:
    """Cloudflare documents no code for a file that it has already."""
    return error.upstream_code == "409" or "already" in error.message.lower()
