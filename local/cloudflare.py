"""Cloudflare's HTTP endpoints: Workers AI, AI Gateway and its logs, as one table of routes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request

from local.ai_gateway import AiGateway, GatewayRequest, gateway_error
from local.answers import Answer, json_answer
from local.calls import Origin
from local.catalogue import catalogue_entries
from local.errors import AiError
from local.gateway_logs import LogFieldError
from local.http import NoJson, read_json
from local.steps import Step, UniversalError, read_steps
from local.workers_ai import refusal

Endpoint = Callable[[Request], Awaitable[Answer]]

_API = "/client/v4/accounts/{account}"
_LOGS = _API + "/ai-gateway/gateways/{gateway}/logs"
_BASE = "/v1/{account}/{gateway}"


def cloudflare_table(gateway: AiGateway) -> list[tuple[str, str, Endpoint]]:
    workers_ai, logs = gateway.workers_ai, gateway.logs

    async def search_models(request: Request) -> Answer:
        entries = catalogue_entries()
        size, page = _number(request, "per_page", 50), _number(request, "page", 1)
        return _result(entries[(page - 1) * size : page * size])

    async def run(request: Request) -> Answer:
        model = str(request.path_params["model"])
        return await workers_ai.run(model, await read_json(request), Origin(request.url.path))

    async def chat(request: Request) -> Answer:
        return await workers_ai.chat(await read_json(request), Origin(request.url.path))

    async def provider(request: Request) -> Answer:
        names = request.path_params
        step = Step(names["provider"], names["endpoint"], await read_json(request))
        return await gateway.serve(_called(request, [step]))

    async def universal(request: Request) -> Answer:
        try:
            steps = read_steps(await read_json(request))
        except UniversalError as error:
            return gateway_error(2010, str(error))
        return await gateway.serve(_called(request, steps))

    async def list_logs(request: Request) -> Answer:
        found = logs.of(request.path_params["gateway"])
        size, page = _number(request, "per_page", 20), _number(request, "page", 1)
        listed = [log.as_dict() for log in found[(page - 1) * size : page * size]]
        counts = {"count": len(listed), "page": page, "per_page": size, "total_count": len(found)}
        return _result(listed, result_info=counts)

    async def get_log(request: Request) -> Answer:
        log = logs.get(request.path_params["gateway"], request.path_params["log"])
        return _no_such_log() if log is None else _result(log.as_dict())

    async def patch_log(request: Request) -> Answer:
        log = logs.get(request.path_params["gateway"], request.path_params["log"])
        if log is None:
            return _no_such_log()
        try:
            log.change(await read_json(request))
        except LogFieldError as error:
            return failure(400, 7001, str(error))
        return _result({})

    return [
        ("GET", f"{_API}/ai/models/search", search_models),
        ("POST", f"{_API}/ai/run/{{model:path}}", _json(run)),
        ("POST", f"{_API}/ai/v1/chat/completions", _json(chat)),
        ("GET", _LOGS, list_logs),
        ("GET", f"{_LOGS}/{{log}}", get_log),
        ("PATCH", f"{_LOGS}/{{log}}", _json(patch_log)),
        ("POST", f"{_BASE}/{{provider}}/{{endpoint:path}}", _json(provider)),
        ("POST", _BASE, _json(universal)),
    ]


def _json(endpoint: Endpoint) -> Endpoint:
    async def guarded(request: Request) -> Answer:
        try:
            return await endpoint(request)
        except NoJson:
            return refusal(AiError(3003, "The request body is missing or not JSON"))

    return guarded


def _called(request: Request, steps: list[Step]) -> GatewayRequest:
    return GatewayRequest(
        gateway=request.path_params["gateway"],
        path=request.url.path,
        headers=dict(request.headers),
        steps=steps,
    )


def _number(request: Request, name: str, default: int) -> int:
    given = request.query_params.get(name, "")
    return max(1, int(given)) if given.isdecimal() else default


def _result(result: object, **more: object) -> Answer:
    body = {"result": result, "success": True, "errors": [], "messages": [], **more}
    return json_answer(200, body)


def failure(status: int, code: int, message: str) -> Answer:
    errors = [{"code": code, "message": message}]
    body = {"result": None, "success": False, "errors": errors, "messages": []}
    return json_answer(status, body)


def _no_such_log() -> Answer:
    return failure(404, 7002, "Log not found")
