"""The emulator's own controls under /_local/: faults, the gateway's rate limit, its
calls, and what was deployed.

They are not a contract of Cloudflare's. Only this machine may use them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from functools import wraps

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.account.state import Account
from local.ai_gateway import AiGateway
from local.faults import FaultError
from local.http import NoJson, read_json
from local.rate_limit import RateLimitError, read_rate_limit

# A page whose own name resolves to 127.0.0.1 (DNS rebinding) still sends that name.
_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
Endpoint = Callable[[Request], Awaitable[Response]]


def control_routes(gateway: AiGateway, account: Account) -> list[Route]:
    faults = gateway.workers_ai.serving.faults
    calls = gateway.workers_ai.serving.calls

    async def put_faults(request: Request) -> Response:
        faults.replace_all(await read_json(request))
        return JSONResponse(faults.as_dict())

    async def get_faults(request: Request) -> Response:
        return JSONResponse(faults.as_dict())

    async def delete_faults(request: Request) -> Response:
        faults.clear()
        return Response(status_code=204)

    async def put_rate_limit(request: Request) -> Response:
        gateway.limiter.set(read_rate_limit(await read_json(request)))
        return JSONResponse(gateway.limiter.as_dict())

    async def get_rate_limit(request: Request) -> Response:
        return JSONResponse(gateway.limiter.as_dict())

    async def get_calls(request: Request) -> Response:
        return JSONResponse(calls.as_list())

    async def delete_calls(request: Request) -> Response:
        calls.clear()
        return Response(status_code=204)

    async def delete_cache(request: Request) -> Response:
        gateway.cache.clear()
        return Response(status_code=204)

    async def get_account(request: Request) -> Response:
        return JSONResponse(account.as_dict())

    table: list[tuple[str, str, Endpoint]] = [
        ("GET", "/_local/faults", get_faults),
        ("PUT", "/_local/faults", put_faults),
        ("DELETE", "/_local/faults", delete_faults),
        ("GET", "/_local/rate_limit", get_rate_limit),
        ("PUT", "/_local/rate_limit", put_rate_limit),
        ("GET", "/_local/calls", get_calls),
        ("DELETE", "/_local/calls", delete_calls),
        ("DELETE", "/_local/cache", delete_cache),
        ("GET", "/_local/account", get_account),
    ]
    return [Route(path, _control(endpoint), methods=[method]) for method, path, endpoint in table]


def _control(endpoint: Endpoint) -> Endpoint:
    @wraps(endpoint)
    async def guarded(request: Request) -> Response:
        if not _is_loopback(request) or request.url.hostname not in _LOCAL_NAMES:
            return _refusal(403, "The controls of local/ answer to this machine only.")
        try:
            return await endpoint(request)
        except NoJson:
            return _refusal(400, "The body must be JSON.")
        except (FaultError, RateLimitError) as error:
            return _refusal(400, str(error))

    return guarded


def _is_loopback(request: Request) -> bool:
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


def _refusal(status: int, message: str) -> Response:
    return JSONResponse({"error": {"message": message}}, status_code=status)
