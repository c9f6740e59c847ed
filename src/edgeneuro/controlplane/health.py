"""Whether the Worker runs, and what it offers."""

from typing import Literal

from pydantic import BaseModel

from edgeneuro import __version__
from edgeneuro.call import Call
from edgeneuro.web.openapi import openapi_document
from edgeneuro.web.response import JSON, Response


class Health(BaseModel):
    status: Literal["ok"] = "ok"
    version: str = __version__


async def show_health(call: Call) -> Health:
    """Whether the Worker runs. It says nothing of what stands behind it."""
    return Health()


async def show_openapi(call: Call) -> Response:
    """This document."""
    return Response(200, openapi_document(call.table, __version__), {"content-type": JSON})
