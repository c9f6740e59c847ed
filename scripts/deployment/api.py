"""Cloudflare's REST API, by the standard library alone."""

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from scripts.finetunes import API_BASE_URL
from scripts.http import DIRECT, HERE, SameOriginRedirects
from scripts.options import BEARER_TOKEN
from scripts.steps import StepFailed

SECONDS = 60.0
PAGE = 50
PAUSES = (1.0, 3.0)  # seconds before a read is tried again
CONTINUE = "run the same command again: it continues from here."
_MAX_BYTES = 8_000_000
_TOKEN_CODES = {1000, 6003, 6111, 9106, 9109, 10000, 10001}


class CloudflareError(StepFailed):
    """Cloudflare refused a call, or did not answer. `status` is None if there was no answer, which
    leaves open whether the call had an effect; `code` is the first error's."""

    def __init__(self, why: str, advice: str, status: int | None = None, code: int = 0) -> None:
        super().__init__(why, advice)
        self.status = status
        self.code = code

    @property
    def is_missing(self) -> bool:
        return self.status == 404

    @property
    def is_forbidden(self) -> bool:
        return self.status in (401, 403) or self.code in _TOKEN_CODES

    @property
    def is_passing(self) -> bool:
        """Whether the same call may succeed in a moment."""
        return self.status is None or self.status == 429 or self.status >= 500


class Cloudflare:
    """The API as the owner of `token` sees it."""

    def __init__(
        self,
        token: str,
        base_url: str = "",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not BEARER_TOKEN.fullmatch(token):
            raise StepFailed(
                "The API token has characters that no token has.",
                "copy CLOUDFLARE_API_TOKEN again.",
            )
        url = base_url or os.environ.get("CLOUDFLARE_API_BASE_URL") or API_BASE_URL
        self._base_url = url.rstrip("/")
        self._headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        here = urlsplit(url).hostname in HERE
        self._opener = DIRECT if here else urllib.request.build_opener(SameOriginRedirects)
        self._sleep = sleep

    def get(self, path: str) -> Any:
        """The result of a read, tried again where that may help. Raises CloudflareError."""
        for pause in PAUSES:
            try:
                return self.call("GET", path)
            except CloudflareError as error:
                if not error.is_passing:
                    raise
            self._sleep(pause)
        return self.call("GET", path)

    def find(self, path: str) -> Any:
        """The same; None where Cloudflare says that it does not exist."""
        try:
            return self.get(path)
        except CloudflareError as error:
            if error.is_missing:
                return None
            raise

    def list(self, path: str) -> list[dict[str, Any]]:
        """All pages. Raises CloudflareError."""
        found: list[dict[str, Any]] = []
        sign = "&" if "?" in path else "?"
        for page in range(1, 100):
            result = self.get(f"{path}{sign}page={page}&per_page={PAGE}")
            if not isinstance(result, list):
                raise _unreadable("GET", path)
            # An API that does not page gives the same again.
            new = [each for each in result if isinstance(each, dict) and each not in found]
            found += new
            if len(result) < PAGE or not new:
                break
        return found

    def call(self, method: str, path: str, body: object = None) -> Any:
        """The result of one call. Raises CloudflareError."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self._base_url}{path}", data, self._headers, method=method
        )
        try:
            with self._opener.open(request, timeout=SECONDS) as response:
                return _result(method, path, response.read(_MAX_BYTES))
        except urllib.error.HTTPError as error:
            raise _refused(method, path, error) from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error or type(error).__name__
            raise CloudflareError(
                f"{method} {path}: Cloudflare's API did not answer ({reason}).",
                f"check the connection, then {CONTINUE}",
            ) from error


def _result(method: str, path: str, data: bytes) -> Any:
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _unreadable(method, path) from error
    if not isinstance(answer, dict) or answer.get("success") is not True:
        raise _unreadable(method, path)
    return answer.get("result")


def _unreadable(method: str, path: str) -> CloudflareError:
    return CloudflareError(
        f"{method} {path}: the answer is not what Cloudflare's API documents.",
        f"if a proxy answers in its place, go around it; else {CONTINUE}",
        502,
    )


def _refused(method: str, path: str, error: urllib.error.HTTPError) -> CloudflareError:
    try:
        errors = json.load(error)["errors"]
        code = int(errors[0]["code"])
        message = "; ".join(f"{each['message']} (code {each['code']})" for each in errors)[:500]
    except (OSError, ValueError, KeyError, TypeError, IndexError, http.client.HTTPException):
        code, message = 0, error.reason or ""
    why = f"{method} {path}: {error.code} {message}"
    refused = CloudflareError(why, f"see the message above; then {CONTINUE}", error.code, code)
    if refused.is_forbidden:
        refused.advice = (
            "the login lacks a permission or is of another account. docs/deploy.md lists the"
            f" permissions of an API token; then {CONTINUE}"
        )
    elif refused.is_passing:
        refused.advice = f"wait a minute, then {CONTINUE}"
    return refused
