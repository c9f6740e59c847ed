"""Whether the Worker runs, and what it offers."""

import hashlib
from functools import lru_cache
from typing import Literal

from pydantic import BaseModel

from edgeneuro import __version__
from edgeneuro.call import Call
from edgeneuro.web.openapi import openapi_document
from edgeneuro.web.response import JSON, Response
from edgeneuro.web.routing import RouteTable

_MAX_AGE_SECONDS = 3_600


class Health(BaseModel):
    status: Literal["ok"] = "ok"
    version: str = __version__


async def show_health(call: Call) -> Health:
    """Check whether the Worker runs. The response says nothing about the database or models."""
    return Health()


async def show_openapi(call: Call) -> Response:
    """Read this document. It changes only with a deployment: clients may cache it for an hour, and
    `If-None-Match` with its ETag checks whether it changed."""
    document, etag = _document(call.table)
    headers = {"etag": etag, "cache-control": f"public, max-age={_MAX_AGE_SECONDS}"}
    return Response(200, document, {"content-type": JSON, **headers})


@lru_cache(maxsize=1)
def _document(table: RouteTable) -> tuple[str, str]:
    """The text and its ETag, made once an isolate: it takes about a tenth of a second of CPU."""
    document = openapi_document(table, __version__)
    return document, f'"{hashlib.sha256(document.encode()).hexdigest()[:32]}"'
