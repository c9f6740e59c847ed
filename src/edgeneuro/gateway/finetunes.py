"""Workers AI's finetunes, which is where an account's adapters are: over Cloudflare's REST API.

Contract: developers.cloudflare.com/workers-ai/features/fine-tunes/loras, and what wrangler's
`ai finetune create` and `list` send and read."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from edgeneuro.errors import InvalidOutputError, UpstreamError
from edgeneuro.gateway.bounded import bounded
from edgeneuro.gateway.cloudflare_api import CloudflareApi
from edgeneuro.gateway.http import SizedBody

_VENDOR = "Cloudflare"
_CONTROL_SECONDS = 20.0
_UPLOAD_SECONDS = 100.0
_PAGE_SIZE = 50
_MAX_PAGES = 20
_PATH = "ai/finetunes"


@dataclass(frozen=True)
class Finetune:
    """`model` is the base model that it was made for, where the list tells."""

    id: str
    name: str
    model: str | None
    description: str


class FinetuneClient:
    """`new_hex(n)` gives n random bytes as hex digits."""

    def __init__(self, api: CloudflareApi, *, new_hex: Callable[[int], str]) -> None:
        self._api = api
        self._new_hex = new_hex

    def require_configured(self) -> None:
        """Raises UpstreamNotConfiguredError, which says what to set."""
        self._api.require_configured()

    async def list(self) -> "list[Finetune]":
        """All of the account. Raises errors.UpstreamError, as the others do."""
        found: list[Finetune] = []
        for page in range(1, _MAX_PAGES + 1):
            async with bounded(_CONTROL_SECONDS, vendor=_VENDOR):
                listed = await self._api.call("GET", f"{_PATH}?page={page}&per_page={_PAGE_SIZE}")
            entries = _flat(listed)
            known = {each.id for each in found}
            new = [each for each in entries if each.id not in known]
            found += new
            # An API that does not page says the same again.
            if len(entries) < _PAGE_SIZE or not new:
                break
        return found

    async def create(self, name: str, model: str, *, description: str) -> Finetune:
        fields = {"model": model, "name": name, "description": description}
        async with bounded(_CONTROL_SECONDS, vendor=_VENDOR):
            made = await self._api.call("POST", f"{_PATH}/", json.dumps(fields).encode())
        entries = _flat(made)
        if not entries:
            raise InvalidOutputError("Cloudflare did not say which finetune it made.")
        return entries[0]

    async def upload(
        self, finetune_id: str, file: str, size: int, content: AsyncGenerator[bytes, None]
    ) -> None:
        """One of its files, of `size` bytes."""
        boundary = f"edgeneuro-{self._new_hex(16)}"
        head, end = _around(boundary, file)
        path = f"{_PATH}/{quote(finetune_id, safe='')}/finetune-assets/"
        body = SizedBody(len(head) + size + len(end), _form(head, content, end))
        content_type = f"multipart/form-data; boundary={boundary}"
        async with aclosing(content), bounded(_UPLOAD_SECONDS, vendor=_VENDOR):
            await self._api.call("POST", path, body, content_type=content_type)


def _flat(listed: Any) -> "list[Finetune]":
    """The documentation's example of a list is one in another; an object is a list of one."""
    if isinstance(listed, dict):
        listed = [listed]
    if not isinstance(listed, list):
        raise UpstreamError("Cloudflare's list of finetunes is of a shape that is not known.")
    found: list[Finetune] = []
    for each in listed:
        match each:
            case list():
                found += _flat(each)
            case {"id": str() as finetune_id, "name": str() as name, **fields}:
                model, description = fields.get("model"), fields.get("description")
                found.append(
                    Finetune(
                        finetune_id,
                        name,
                        model if isinstance(model, str) else None,
                        description if isinstance(description, str) else "",
                    )
                )
    return found


def _around(boundary: str, file: str) -> tuple[bytes, bytes]:
    """What goes before a file's content and after it."""
    disposition = "Content-Disposition: form-data; name"
    head = (
        f'--{boundary}\r\n{disposition}="file_name"\r\n\r\n{file}\r\n'
        f'--{boundary}\r\n{disposition}="file"; filename="{file}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return head.encode(), f"\r\n--{boundary}--\r\n".encode()


async def _form(
    head: bytes, content: AsyncIterator[bytes], end: bytes
) -> AsyncGenerator[bytes, None]:
    yield head
    async for chunk in content:
        yield chunk
    yield end
