"""Endpoints of Cloudflare's REST API that are steps with a name, by which a fault can be set."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request

from local.answers import Answer
from local.calls import Call
from local.envelope import Endpoint
from local.serving import Serving
from local.workers_ai import refusal


def named_step(
    name: str,
    endpoint: Endpoint,
    serving: Serving,
    refusing: Callable[[Endpoint, Request], Awaitable[Answer]],
) -> Endpoint:
    """`refusing` calls the endpoint, and answers what it refuses."""

    async def served(request: Request) -> Answer:
        # Kept in no log: it reaches no model, and if it went out, OUTBOUND has noted it.
        call = Call(None, None, request.url.path, {}, {}, None, method=request.method)
        fault = serving.faults.take_step(name)
        return await serving.serve(call, fault, lambda: refusing(endpoint, request), refusal)

    return served
