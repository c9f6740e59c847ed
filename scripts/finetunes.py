"""Cloudflare's API for finetunes, by the standard library alone; a file goes from disk to the
socket in blocks.

developers.cloudflare.com/api/resources/ai/subresources/finetunes. The API does not say which files
a finetune has; one that is sent again is refused.
"""

import http.client
import json
import os
import secrets
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, urlsplit

from scripts.http import HERE
from scripts.options import BEARER_TOKEN

API_BASE_URL = "https://api.cloudflare.com/client/v4"
SECONDS = 120.0
PAGE = 50

_BLOCK = 256 * 1024
_MAX_ANSWER = 4_000_000


class FinetunesError(Exception):
    """Cloudflare did not do it, or may not have; the text says what it said. `status` is None where
    there was no answer."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status

    @property
    def is_certain(self) -> bool:
        """Whether nothing was done."""
        return self.status is not None and self.status < 500

    @property
    def there_already(self) -> bool:
        return self.status == 409 or (self.is_certain and "already" in str(self).lower())


@dataclass(frozen=True)
class Finetune:
    id: str
    name: str
    model: str


class Finetunes:
    """Those of one account."""

    def __init__(self, base_url: str, account: str, token: str, seconds: float = SECONDS) -> None:
        address = urlsplit(base_url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise FinetunesError(
                f"CLOUDFLARE_API_BASE_URL is {base_url!r}; it is an address like {API_BASE_URL}."
            )
        if not BEARER_TOKEN.fullmatch(token):
            raise FinetunesError("CLOUDFLARE_API_TOKEN has characters that no token has.")
        self._address = address
        self._root = f"{address.path.rstrip('/')}/accounts/{quote(account, safe='')}/ai/finetunes"
        self._token = token
        self._seconds = seconds

    @classmethod
    def from_environment(cls, seconds: float = SECONDS) -> "Finetunes | None":
        account = os.environ.get("CLOUDFLARE_ACCOUNT_ID")
        token = os.environ.get("CLOUDFLARE_API_TOKEN")
        if not account or not token:
            return None
        return cls(
            os.environ.get("CLOUDFLARE_API_BASE_URL") or API_BASE_URL, account, token, seconds
        )

    def list_all(self) -> list[Finetune]:
        """All of the account; raises FinetunesError."""
        found: dict[str, Finetune] = {}
        page = 1
        while True:
            result = self._call("GET", f"?page={page}&per_page={PAGE}")
            items = list(_flat(result))
            known = len(found)
            found |= {each.id: each for each in items}
            # An API that does not page gives the same again.
            if len(items) < PAGE or len(found) == known:
                return [*found.values()]
            page += 1

    def create(self, name: str, model: str) -> Finetune:
        body = json.dumps({"model": model, "name": name, "description": ""}).encode()
        headers = {"content-type": "application/json", "content-length": str(len(body))}
        result = self._call("POST", "", headers, iter([body]))
        made = next(_flat([result]), None)
        if made is None:
            raise FinetunesError("it answered without the finetune's id")
        return made

    def send_file(self, finetune: Finetune, path: Path, progress: Callable[[int], None]) -> None:
        """`progress` is called with the number of bytes sent so far. Raises FinetunesError, and
        OSError if the file cannot be read."""
        boundary = f"edgeneuro-{secrets.token_hex(16)}"
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            before, after = _around(boundary, path.name)
            headers = {
                "content-type": f"multipart/form-data; boundary={boundary}",
                "content-length": str(len(before) + size + len(after)),
            }

            blocks = chain([before], _blocks(file, size, progress), [after])
            where = f"/{quote(finetune.id, safe='')}/finetune-assets"
            self._call("POST", where, headers, blocks)

    def _call(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        blocks: Iterator[bytes] | None = None,
    ) -> Any:
        connection = _connection(self._address.scheme, self._address.netloc, self._seconds)
        try:
            connection.putrequest(method, f"{self._root}{path}")
            connection.putheader("authorization", f"Bearer {self._token}")
            for name, value in (headers or {}).items():
                connection.putheader(name, value)
            connection.endheaders()
            try:
                for block in blocks or ():
                    connection.send(block)
            except (BrokenPipeError, ConnectionResetError):
                pass  # refused before the end: the answer says why
            response = connection.getresponse()
            return _result(response.status, response.reason, _read(response))
        except TimeoutError as error:
            raise FinetunesError(f"no answer within {self._seconds:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            raise FinetunesError(
                f"the connection failed ({error or type(error).__name__})"
            ) from error
        finally:
            connection.close()


def _read(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read(_MAX_ANSWER)
    except (OSError, http.client.HTTPException):
        # A refusal counts without its reason too.
        if response.status >= 400:
            return b""
        raise


def _blocks(file: BinaryIO, size: int, progress: Callable[[int], None]) -> Iterator[bytes]:
    left = size
    while left:
        try:
            block = file.read(min(_BLOCK, left))
        except OSError as error:
            raise FinetunesError(f"the file cannot be read ({error.strerror})") from error
        if not block:
            raise FinetunesError("the file became shorter while it was sent")
        left -= len(block)
        yield block
        progress(size - left)


def _connection(scheme: str, netloc: str, seconds: float) -> http.client.HTTPConnection:
    kind = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
    host = urlsplit(f"//{netloc}").hostname or ""
    proxy = urllib.request.getproxies().get("https")
    # A plain address is a machine nearby: the emulator.
    if scheme == "http" or proxy is None or host in HERE or urllib.request.proxy_bypass(host):
        return kind(netloc.rpartition("@")[2], timeout=seconds)
    connection = kind(urlsplit(proxy).netloc.rpartition("@")[2], timeout=seconds)
    connection.set_tunnel(host, urlsplit(f"//{netloc}").port or 443)
    return connection


def _around(boundary: str, name: str) -> tuple[bytes, bytes]:
    part = f"--{boundary}\r\ncontent-disposition: form-data; name="
    before = (
        f'{part}"file_name"\r\n\r\n{name}\r\n'
        f'{part}"file"; filename="{name}"\r\ncontent-type: application/octet-stream\r\n\r\n'
    )
    return before.encode(), f"\r\n--{boundary}--\r\n".encode()


def _result(status: int, reason: str, data: bytes) -> Any:
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError):
        answer = None
    if 200 <= status < 300 and isinstance(answer, dict) and answer.get("success") is True:
        return answer.get("result")
    if 200 <= status < 300:
        raise FinetunesError(f"{status} without success: {_reason(answer, reason)}", 502)
    raise FinetunesError(f"{status} {_reason(answer, reason)}", status)


def _reason(answer: Any, reason: str) -> str:
    errors = answer.get("errors") if isinstance(answer, dict) else None
    messages = [
        f"{each.get('message')} ({each.get('code')})"
        for each in (errors if isinstance(errors, list) else ())
        if isinstance(each, dict)
    ]
    return "; ".join(messages)[:500] or reason


def _flat(result: Any) -> Iterator[Finetune]:
    """Cloudflare's own example has a list in the list."""
    for each in result if isinstance(result, list) else ():
        if isinstance(each, list):
            yield from _flat(each)
        elif isinstance(each, dict) and isinstance(each.get("id"), str):
            yield Finetune(each["id"], str(each.get("name", "")), str(each.get("model", "")))
