"""Calls to a running product, by the standard library alone."""

import json
import os
import urllib.error
import urllib.request
from http.client import HTTPMessage
from typing import IO, Any
from urllib.parse import urlsplit

SECONDS = 120.0
HERE = {"localhost", "127.0.0.1", "::1"}
# Where `npm start` with the same environment serves.
DEFAULT_BASE_URL = f"http://localhost:{os.environ.get('PORT') or 8787}"


class SameOriginRedirects(urllib.request.HTTPRedirectHandler):
    """Follows a redirect within one origin only: urllib would send the key along to any other."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if _origin(newurl) != _origin(req.full_url):
            raise HttpFailed(
                f"{req.full_url} redirects to {newurl}, another origin; the key is not sent there."
                " Name the product's own address with --base-url."
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, parts.port or default


# A proxy that the environment names is for other machines than this one.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}), SameOriginRedirects)


class HttpFailed(Exception):
    """The product did not do what was asked; the text is for the user, `code` is the error's."""

    def __init__(self, text: str, code: str | None = None) -> None:
        super().__init__(text)
        self.code = code


class Answers:
    """The JSON that the product answers, to a caller with this key."""

    def __init__(self, base_url: str, key: str) -> None:
        self._base_url = base_url.rstrip("/")
        self._headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        here = urlsplit(base_url).hostname in HERE
        self._opener = DIRECT if here else urllib.request.build_opener(SameOriginRedirects)

    def get(self, path: str) -> Any:
        return self._call(urllib.request.Request(f"{self._base_url}{path}", headers=self._headers))

    def post(self, path: str, body: object) -> Any:
        data = json.dumps(body).encode()
        return self._call(
            urllib.request.Request(f"{self._base_url}{path}", data, headers=self._headers)
        )

    def patch(self, path: str, body: object) -> Any:
        return self.with_etag("PATCH", path, body)[0]

    def delete(self, path: str) -> Any:
        return self.with_etag("DELETE", path)[0]

    def put(self, path: str, body: bytes) -> Any:
        """The body as it is."""
        return self._send("PUT", path, body)

    def post_file(self, path: str, body: bytes) -> Any:
        return self._send("POST", path, body)

    def _send(self, method: str, path: str, body: bytes) -> Any:
        headers = self._headers | {"content-type": "application/octet-stream"}
        url = f"{self._base_url}{path}"
        return self._call(urllib.request.Request(url, body, headers=headers, method=method))

    def with_etag(
        self, method: str, path: str, body: object = None, *, if_match: str | None = None
    ) -> tuple[Any, str]:
        """What is answered to JSON, and its ETag; `if_match` is the ETag of an earlier answer."""
        headers = self._headers | ({} if if_match is None else {"if-match": if_match})
        data = None if body is None else json.dumps(body).encode()
        url = f"{self._base_url}{path}"
        return self._answer(urllib.request.Request(url, data, headers=headers, method=method))

    def _call(self, request: urllib.request.Request) -> Any:
        return self._answer(request)[0]

    def _answer(self, request: urllib.request.Request) -> tuple[Any, str]:
        try:
            with self._opener.open(request, timeout=SECONDS) as response:
                return json.load(response), response.headers.get("etag", "")
        except urllib.error.HTTPError as error:
            message, code = _error(error)
            raise HttpFailed(f"{request.full_url}: {error.code} {message}", code) from error
        except urllib.error.URLError as error:
            raise HttpFailed(
                f"{request.full_url} does not answer ({error.reason}). Start the product with"
                " `npm start`, or name another with --base-url."
            ) from error


_FAULTS_SHOWN = 20


def _error(error: urllib.error.HTTPError) -> tuple[str, str | None]:
    """What went wrong, with the faults of a file's lines or a document's fields, and the code."""
    try:
        body = json.load(error)
        lines = [
            f"line {each['line']}: {each['message']}" if "line" in each else each["message"]
            for each in body.get("errors", ())[:_FAULTS_SHOWN]
        ]
        message: str = body["error"]["message"]
        code: str | None = body["error"].get("code")
        return "\n  ".join([message, *(line for line in lines if line != message)]), code
    except (ValueError, KeyError, TypeError, AttributeError):
        return error.reason or "", None
