"""Workers as the API stores them: the names and sizes of what was uploaded, and its metadata."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import FormData, UploadFile

# What a Worker has at most, compressed, on a paid plan is not checked; that it has modules is.
_INHERITED = ("secret_text",)


class WorkerError(Exception):
    """An upload that Cloudflare refuses; `code` is Cloudflare's."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class Version:
    metadata: dict[str, Any]
    modules: dict[str, int]  # bytes by name
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass
class Worker:
    """`live` is the id of the version that has all traffic; `domains` are its custom domains."""

    name: str
    tag: str = field(default_factory=lambda: uuid.uuid4().hex)
    versions: list[Version] = field(default_factory=list)
    live: str = ""
    secrets: set[str] = field(default_factory=set)
    schedules: list[str] = field(default_factory=list)
    domains: list[str] = field(default_factory=list)
    on_workers_dev: bool = False
    previews: bool = False

    @property
    def version(self) -> Version | None:
        return next((each for each in self.versions if each.id == self.live), None)

    def bindings(self) -> list[dict[str, Any]]:
        """Those of the live version without the values of secrets."""
        live = self.version
        given = live.metadata.get("bindings", []) if live else []
        own = [each for each in given if each.get("type") not in (*_INHERITED, "inherit")]
        return [*own, *({"name": name, "type": "secret_text"} for name in sorted(self.secrets))]

    def as_dict(self) -> dict[str, Any]:
        """For the controls of the emulator."""
        live = self.version
        return {
            "name": self.name,
            "modules": live.modules if live else {},
            "bindings": self.bindings(),
            "uploads": len(self.versions),
            "schedules": self.schedules,
            "domains": self.domains,
            "workers_dev": self.on_workers_dev,
        }


def version_of(form: FormData) -> Version:
    """What a form of modules and metadata says. Raises WorkerError."""
    raw = form.get("metadata")
    if not isinstance(raw, str):
        raise WorkerError(10021, "The form needs the metadata")
    metadata: dict[str, Any] = json.loads(raw)
    parts = form.multi_items()
    modules = {name: part.size or 0 for name, part in parts if isinstance(part, UploadFile)}
    if metadata.get("main_module") not in modules:
        raise WorkerError(10021, f"Main module {metadata.get('main_module')!r} was not uploaded")
    for binding in metadata.get("bindings", []):
        if binding.get("type") == "d1" and not binding.get("id"):
            raise WorkerError(10021, f"binding {binding.get('name')} must have a valid `id`")
    return Version(metadata, modules)


def take(worker: Worker, version: Version) -> None:
    """Add the version; the secrets that it brings are the Worker's from now on."""
    worker.versions.append(version)
    worker.secrets |= {
        each["name"] for each in version.metadata.get("bindings", []) if each["type"] in _INHERITED
    }
