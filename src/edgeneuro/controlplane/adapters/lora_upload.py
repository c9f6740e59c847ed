"""An adapter's files while they are uploaded: stored in parts as they arrive, and checked before
anything is created from them. They are never in memory as a whole."""

import hashlib
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from edgeneuro.adapter.preflight import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    AdapterFacts,
    Report,
    check_adapter,
)
from edgeneuro.adapter.safetensors import LENGTH_BYTES, MAX_HEADER_BYTES
from edgeneuro.domain.lora import LoraCreate, Preflight, PreflightCheck
from edgeneuro.errors import InvalidRequestError
from edgeneuro.services import Services
from edgeneuro.store.lora_files import PART_BYTES, write_part
from edgeneuro.web.handler import invalid_request
from edgeneuro.web.upload import FormPart, Upload, read_form

_MAX_FIELD_BYTES = 1_000
_MAX_DIGITS = 9
_MAX_CONFIG_BYTES = 1_000_000
# What the rules read of a file: of the weights their header.
_MAX_START_BYTES = LENGTH_BYTES + MAX_HEADER_BYTES
_FIELDS = ("name", "base_model")
_OPTIONAL_FIELDS = ("data_sha256", "data_labels")
_FILES = (CONFIG_FILE, WEIGHTS_FILE)


@dataclass
class StagedFile:
    """`start` is as much of the file as the rules read; `size` in bytes."""

    start: bytearray = field(default_factory=bytearray)
    size: int = 0
    hashed: "hashlib._Hash" = field(default_factory=hashlib.sha256)


@dataclass
class Staged:
    """A form that was read: what it asks for, and its files by name."""

    wanted: LoraCreate
    files: dict[str, StagedFile]

    @property
    def checksum(self) -> str | None:
        """SHA-256 of the weights, hex."""
        weights = self.files.get(WEIGHTS_FILE)
        return None if weights is None else weights.hashed.hexdigest()

    def judge(self, facts: AdapterFacts) -> Report:
        config, weights = self.files.get(CONFIG_FILE), self.files.get(WEIGHTS_FILE)
        return check_adapter(
            names=list(self.files),
            config=None if config is None else bytes(config.start),
            weights_start=None if weights is None else bytes(weights.start),
            weights_size=None if weights is None else weights.size,
            facts=facts,
        )

    def preflight(self, report: Report) -> Preflight:
        weights = self.files.get(WEIGHTS_FILE)
        return Preflight(
            ok=report.ok,
            checks=[
                PreflightCheck(
                    rule=each.rule, passed=each.passed, found=each.found, message=each.message
                )
                for each in report.checks
            ],
            rank=report.rank,
            target_modules=list(report.target_modules),
            parameters=report.parameters,
            size=None if weights is None else weights.size,
        )


async def stage(
    services: Services,
    upload: Upload,
    check: Callable[[LoraCreate], Awaitable[object]],
    *,
    lora_id: str | None,
) -> Staged:
    """Reads the form; its files are kept as those of `lora_id`, where one is given. `check` is
    asked before the first file is read, if what it wants to know came before it. Raises
    InvalidRequestError."""
    return await _Form(services, check, lora_id).read(upload)


class _Form:
    def __init__(
        self,
        services: Services,
        check: Callable[[LoraCreate], Awaitable[object]],
        lora_id: str | None,
    ) -> None:
        self._services = services
        self._check = check
        self._lora_id = lora_id
        self._fields: dict[str, bytes] = {}
        self._files: dict[str, StagedFile] = {}
        self._wanted: LoraCreate | None = None
        self._name = ""  # of the part that is being read
        self._kept = bytearray()  # of its file, what does not fill a part yet
        self._parts = 0

    async def read(self, upload: Upload) -> Staged:
        async with aclosing(read_form(upload)) as events:
            async for event in events:
                if isinstance(event, FormPart):
                    await self._end_part()
                    await self._begin_part(event)
                elif self._name in self._files:
                    await self._add_to_file(event)
                else:
                    self._add_to_field(event)
        await self._end_part()
        await self._require_wanted()  # also for fields that came after the files
        assert self._wanted is not None
        return Staged(self._wanted, self._files)

    async def _begin_part(self, part: FormPart) -> None:
        # A file goes by the name of its field where that is one of the two.
        is_file = part.filename is not None or part.name in _FILES
        self._name = part.name
        if is_file and part.name not in _FILES:
            self._name = (part.filename or "")[:200]
        if self._name in self._files or self._name in self._fields:
            raise InvalidRequestError(
                f"{self._name}: it is in the form twice; send it once.", param=self._name
            )
        if not is_file:
            if part.name not in (*_FIELDS, *_OPTIONAL_FIELDS):
                raise InvalidRequestError(
                    f"{part.name[:100]}: there is no such field; send {', '.join(_FIELDS)} and the"
                    f" files {' and '.join(_FILES)}.",
                    code="unknown_field",
                    param=part.name[:100],
                )
            self._fields[part.name] = b""
            return
        if not self._files and all(name in self._fields for name in _FIELDS):
            await self._require_wanted()
        self._files[self._name] = StagedFile()

    def _add_to_field(self, content: bytes) -> None:
        self._fields[self._name] += content
        if len(self._fields[self._name]) > _MAX_FIELD_BYTES:
            raise InvalidRequestError(f"{self._name}: it is too long.", param=self._name)

    async def _add_to_file(self, content: bytes) -> None:
        file = self._files[self._name]
        file.size += len(content)
        file.hashed.update(content)
        file.start += content[: max(0, _MAX_START_BYTES - len(file.start))]
        if self._name == CONFIG_FILE and file.size > _MAX_CONFIG_BYTES:
            raise InvalidRequestError(
                f"{CONFIG_FILE}: it is larger than {_MAX_CONFIG_BYTES} bytes; PEFT writes less"
                " than 2,000.",
                param=CONFIG_FILE,
            )
        if self._lora_id is not None and self._name in _FILES:
            self._kept += content
            while len(self._kept) >= PART_BYTES:
                await self._write(self._lora_id, PART_BYTES)

    async def _end_part(self) -> None:
        if self._kept and self._lora_id is not None:
            await self._write(self._lora_id, len(self._kept))
        self._parts = 0

    async def _write(self, lora_id: str, size: int) -> None:
        content = bytes(self._kept[:size])
        del self._kept[:size]
        now_ms = self._services.now_ms()
        await write_part(
            self._services.db, lora_id, self._name, self._parts, content, now_ms=now_ms
        )
        self._parts += 1

    async def _require_wanted(self) -> None:
        given: dict[str, Any] = {
            name: text.decode(errors="replace") for name, text in self._fields.items()
        }
        labels = given.get("data_labels", "")
        if labels.isascii() and labels.isdigit() and len(labels) <= _MAX_DIGITS:
            given["data_labels"] = int(labels)  # a form has texts alone
        try:
            self._wanted = LoraCreate.model_validate(given)
        except ValidationError as error:
            raise invalid_request(error) from error
        await self._check(self._wanted)
