"""Whether the Worker runs, how it fares, and what it offers."""

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


async def show_metrics(call: Call) -> Response:
    """Counters of this isolate in Prometheus' text format."""
    name = "edgeneuro_failures_total"
    lines = [
        f"# HELP {name} Failures that no caller saw, by what failed.",
        f"# TYPE {name} counter",
        *(
            f'{name}{{what="{what}"}} {count}'
            for what, count in sorted(call.services.failures.counts.items())
        ),
    ]
    content_type = "text/plain; version=0.0.4; charset=utf-8"
    return Response(200, "\n".join(lines) + "\n", {"content-type": content_type})


async def show_openapi(call: Call) -> Response:
    """This document."""
    return Response(200, openapi_document(call.table, __version__), {"content-type": JSON})
