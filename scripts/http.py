"""Calls to a running product, by the standard library alone."""

import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

SECONDS = 120.0
# A proxy that the environment names is for other machines than this one.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
HERE = {"localhost", "127.0.0.1", "::1"}


class HttpFailed(Exception):
    """The product did not do what was asked; the text is for the user."""


class Answers:
    """The JSON that the product answers, to a caller with this key."""

    def __init__(self, base_url: str, key: str) -> None:
        self._base_url = base_url.rstrip("/")
        self._headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        here = urlsplit(base_url).hostname in HERE
        self._opener = DIRECT if here else urllib.request.build_opener()

    def get(self, path: str) -> Any:
        return self._call(urllib.request.Request(f"{self._base_url}{path}", headers=self._headers))

    def post(self, path: str, body: object) -> Any:
        data = json.dumps(body).encode()
        return self._call(
            urllib.request.Request(f"{self._base_url}{path}", data, headers=self._headers)
        )

    def _call(self, request: urllib.request.Request) -> Any:
        try:
            with self._opener.open(request, timeout=SECONDS) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise HttpFailed(f"{request.full_url}: {error.code} {_message(error)}") from error
        except urllib.error.URLError as error:
            raise HttpFailed(
                f"{request.full_url} does not answer ({error.reason}). Start the product with"
                " `npm start`, or name another with --base-url."
            ) from error


def _message(error: urllib.error.HTTPError) -> str:
    try:
        message: str = json.load(error)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        return error.reason or ""
    return message
