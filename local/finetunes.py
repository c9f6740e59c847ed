"""The account's finetunes on disk: a folder each, with meta.json and the files of the adapter.

Cloudflare's limits hold. What is written is written beside its place and then moved there, so that
a killed emulator leaves nothing by halves.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
FILES = (CONFIG_FILE, WEIGHTS_FILE)
MAX_FINETUNES = 100  # an account
MAX_FILE_BYTES = 300_000_000
RESERVED_PREFIX = "cf-public-"

_META = "meta.json"
_UNFINISHED = "."  # what the names of things begin with that are not in their place yet
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class FinetuneError(Exception):
    """A refusal: HTTP status and Cloudflare's code. The codes from 7003 on are assumptions."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True)
class Finetune:
    id: str
    name: str
    model: str
    description: str
    public: bool
    created_at: str
    modified_at: str


class FinetuneStore:
    def __init__(
        self,
        root: Path,
        *,
        now: Callable[[], float] = time.time,
        max_finetunes: int = MAX_FINETUNES,
        max_file_bytes: int = MAX_FILE_BYTES,
    ) -> None:
        """The folder itself need not exist before the first finetune."""
        self._root = root
        self._now = now
        self._max_finetunes = max_finetunes
        self._max_file_bytes = max_file_bytes
        self._known = {finetune.id: finetune for finetune in _kept(root)}

    def all(self) -> list[Finetune]:
        """Oldest first."""
        return sorted(self._known.values(), key=lambda finetune: finetune.created_at)

    def find(self, name_or_id: str) -> Finetune | None:
        by_name = (known for known in self._known.values() if known.name == name_or_id)
        return self._known.get(name_or_id) or next(by_name, None)

    def folder(self, finetune: Finetune) -> Path:
        return self._root / finetune.id

    def missing(self, finetune: Finetune) -> list[str]:
        return [name for name in FILES if not (self.folder(finetune) / name).exists()]

    def create(self, *, name: str, model: str, description: str, public: bool) -> Finetune:
        if not _NAME.fullmatch(name) or name.startswith(RESERVED_PREFIX):
            raise FinetuneError(
                400,
                7001,
                f"The name {name[:100]!r} must be 1 to 100 letters, digits and . _ -, begin with a "
                f"letter or digit and not with {RESERVED_PREFIX}",
            )
        if self.find(name) is not None:
            raise FinetuneError(400, 7003, f"A finetune with the name {name} already exists")
        if len(self._known) >= self._max_finetunes:
            raise FinetuneError(
                400, 7004, f"The limit of {self._max_finetunes} finetunes per account is reached"
            )
        now = self._time()
        made = Finetune(str(uuid.uuid4()), name, model, description, public, now, now)
        unfinished = self._root / f"{_UNFINISHED}{made.id}"
        unfinished.mkdir(parents=True)
        (unfinished / _META).write_text(json.dumps(asdict(made), indent=2), encoding="utf-8")
        unfinished.rename(self.folder(made))
        self._known[made.id] = made
        return made

    async def add_file(self, finetune: Finetune, name: str, content: BinaryIO, size: int) -> None:
        """Each file once: Cloudflare has no way to replace one."""
        if name not in FILES:
            known = " or ".join(FILES)
            raise FinetuneError(400, 7001, f"The file_name {name[:100]!r} must be {known}")
        if size >= self._max_file_bytes:
            limit = f"smaller than {self._max_file_bytes:,} bytes"
            raise FinetuneError(413, 3006, f"{name} has {size:,} bytes, but must be {limit}")
        place = self.folder(finetune) / name
        unfinished = place.with_name(f"{_UNFINISHED}{uuid.uuid4()}")
        try:
            await asyncio.to_thread(_write, content, unfinished)
            if place.exists():
                text = f"{name} of {finetune.name} was uploaded already and cannot be replaced"
                raise FinetuneError(400, 7005, text)
            unfinished.replace(place)
        finally:
            unfinished.unlink(missing_ok=True)
        self._touch(finetune)

    def _touch(self, finetune: Finetune) -> None:
        changed = replace(finetune, modified_at=self._time())
        unfinished = self.folder(finetune) / f"{_UNFINISHED}{_META}"
        unfinished.write_text(json.dumps(asdict(changed), indent=2), encoding="utf-8")
        unfinished.replace(self.folder(finetune) / _META)
        self._known[finetune.id] = changed

    def _time(self) -> str:
        return datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="milliseconds")


def _write(content: BinaryIO, path: Path) -> None:
    with path.open("xb") as file:
        shutil.copyfileobj(content, file, 1 << 20)


def _kept(root: Path) -> Iterator[Finetune]:
    """What an earlier emulator left, without what it left by halves."""
    for folder in sorted(root.iterdir()) if root.is_dir() else []:
        if folder.name.startswith(_UNFINISHED):
            shutil.rmtree(folder, ignore_errors=True)
        elif (folder / _META).is_file():
            yield Finetune(**json.loads((folder / _META).read_text(encoding="utf-8")))
            for leftover in folder.glob(f"{_UNFINISHED}*"):
                leftover.unlink()
