"""Cloudflare's REST API of this account, called with its token; Workers AI's finetunes, which hold
the account's adapters; and Workers AI's catalog of models.

Contract: developers.cloudflare.com/workers-ai/features/fine-tunes/loras, and what wrangler's
`ai finetune create` and `list` send and read."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from edgeneuro import bounded_json
from edgeneuro.domain.catalogue import BaseModelFacts
from edgeneuro.errors import InvalidOutputError, UpstreamError, UpstreamNotConfiguredError
from edgeneuro.gateway.http import Fetch, SizedBody, read_whole, time_limit
from edgeneuro.gateway.upstream_errors import upstream_error
from edgeneuro.gateway.vendors import CLOUDFLARE_TOKEN, require_secret
from edgeneuro.settings import Settings

_API = "https://api.cloudflare.com/client/v4/accounts"
_MAX_ANSWER_BYTES = 8_000_000
JSON = "application/json"
_VENDOR = "Cloudflare"
_CONTROL_SECONDS = 20.0
_UPLOAD_SECONDS = 100.0
_PAGE_SIZE = 50
_MAX_PAGES = 20
_PATH = "ai/finetunes"
TEXT, EMBEDDINGS = "Text Generation", "Text Embeddings"  # the catalogue's names of tasks


class CloudflareApi:
    def __init__(
        self, fetch: Fetch, settings: Settings, *, secret: Callable[[str], str | None]
    ) -> None:
        self._fetch = fetch
        self._settings = settings
        self._secret = secret

    def require_configured(self) -> None:
        """Raises UpstreamNotConfiguredError, which says what to set."""
        self._account_url()
        require_secret(CLOUDFLARE_TOKEN, self._secret)

    async def call(
        self, method: str, path: str, body: bytes | SizedBody = b"", *, content_type: str = JSON
    ) -> Any:
        """The `result` of the response; `path` follows the account. Raises errors.UpstreamError,
        and OSError if the API cannot be reached."""
        url = f"{self._account_url()}/{path}"
        token = require_secret(CLOUDFLARE_TOKEN, self._secret)
        headers = {"content-type": content_type, "authorization": f"Bearer {token}"}
        response = await self._fetch(method, url, headers, body)
        text = (await read_whole(response, limit=_MAX_ANSWER_BYTES)).decode(errors="replace")
        if not 200 <= response.status < 300:
            raise upstream_error(response.status, text, vendor="Cloudflare")
        try:
            parsed = bounded_json.loads(text)
        except bounded_json.InvalidJsonError as error:
            raise UpstreamError("Cloudflare's answer is not JSON.") from error
        return parsed.get("result") if isinstance(parsed, dict) else None

    def _account_url(self) -> str:
        account = self._settings.cloudflare_account_id
        if not account:
            raise UpstreamNotConfiguredError(
                "CLOUDFLARE_ACCOUNT_ID is empty; set it in wrangler.toml."
            )
        return f"{_API}/{quote(account, safe='')}"


@dataclass(frozen=True)
class Finetune:
    """`model` is its base model, if the list names it."""

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
            async with time_limit(_CONTROL_SECONDS, vendor=_VENDOR):
                listed = await self._api.call("GET", f"{_PATH}?page={page}&per_page={_PAGE_SIZE}")
            entries = _flat(listed)
            known = {each.id for each in found}
            new = [each for each in entries if each.id not in known]
            found += new
            # An API without pages returns the same list again.
            if len(entries) < _PAGE_SIZE or not new:
                break
        return found

    async def create(self, name: str, model: str, *, description: str) -> Finetune:
        fields = {"model": model, "name": name, "description": description}
        async with time_limit(_CONTROL_SECONDS, vendor=_VENDOR):
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
        async with aclosing(content), time_limit(_UPLOAD_SECONDS, vendor=_VENDOR):
            await self._api.call("POST", path, body, content_type=content_type)


def _flat(listed: Any) -> "list[Finetune]":
    """The documentation's example is a list in a list; an object is a list of one."""
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
    """The bytes before a file's content and after it."""
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


def read_catalogue(entries: Sequence[Any]) -> list[BaseModelFacts]:
    """The facts about each model; an entry that cannot be read is ignored."""
    return [_facts(entry) for entry in entries if _is_model(entry)]


def _is_model(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("name"), str) and 0 < len(entry["name"])


def takes_questions(schema: Any) -> bool:
    """Whether a model's schema, {"input", "output"}, is that of a decision model: no property of
    the catalogue says so."""
    match schema:
        case {"input": {"properties": {"questions": _}}}:
            return True
    return False


def _facts(entry: dict[str, Any]) -> BaseModelFacts:
    properties = _properties(entry.get("properties"))
    prices = _prices(properties.get("price"))
    return BaseModelFacts(
        id=entry["name"][:200],
        input_price=prices.get("per M input tokens"),
        output_price=prices.get("per M output tokens"),
        decision=takes_questions(entry.get("schema")),
        embedding=_task(entry) == EMBEDDINGS,
        context_window=_whole(properties.get("context_window")),
        supports_lora=_true(properties.get("lora")),
        planned_deprecation_date=_text(properties.get("planned_deprecation_date")),
    )


def _task(entry: dict[str, Any]) -> Any:
    task = entry.get("task")
    return task.get("name") if isinstance(task, dict) else None


def _properties(given: Any) -> dict[str, Any]:
    listed = given if isinstance(given, list) else []
    return {
        each["property_id"]: each.get("value")
        for each in listed
        if isinstance(each, dict) and isinstance(each.get("property_id"), str)
    }


def _prices(given: Any) -> dict[str, float]:
    listed = given if isinstance(given, list) else []
    return {
        each["unit"]: float(each["price"])
        for each in listed
        if isinstance(each, dict)
        and isinstance(each.get("unit"), str)
        and isinstance(each.get("price"), int | float)
        and each["price"] >= 0
    }


def _whole(value: Any) -> int | None:
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    return value if isinstance(value, int) and value > 0 else None


def _true(value: Any) -> bool:
    return value is True or value == "true"


def _text(value: Any) -> str | None:
    return value[:100] if isinstance(value, str) and value else None
