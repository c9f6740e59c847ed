"""The desk as an ASGI application: one table of routes over Workers AI and AI Gateway."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.ai_gateway import (
    AiGateway,
    GatewayRequest,
    Step,
    UniversalError,
    gateway_error,
    read_steps,
)
from local.answers import Answer, json_answer
from local.calls import Origin
from local.catalogue import catalogue_entries
from local.control import control_routes
from local.engines import Engine
from local.engines.openai import OpenAi
from local.engines.stand_in import StandIn
from local.errors import AiError, ai_error_body
from local.http import NoJson, read_json, respond
from local.settings import Settings

Endpoint = Callable[[Request], Awaitable[Response]]


def build_engine(settings: Settings) -> Engine:
    if settings.engine == "openai":
        return OpenAi(settings.url, model=settings.model, key=settings.key)
    return StandIn()


def build_app(gateway: AiGateway) -> Starlette:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await gateway.workers_ai.engine.aclose()

    return Starlette(lifespan=lifespan, routes=[*_routes(gateway), *control_routes(gateway)])


def _routes(gateway: AiGateway) -> list[Route]:
    workers_ai = gateway.workers_ai

    async def healthz(request: Request) -> Response:
        return JSONResponse({"status": "ok", "engine": workers_ai.engine.name})

    async def search_models(request: Request) -> Response:
        entries = catalogue_entries()
        size, page = _number(request, "per_page", 50), _number(request, "page", 1)
        listed = entries[(page - 1) * size : page * size]
        return JSONResponse({"result": listed, "success": True, "errors": [], "messages": []})

    async def run(request: Request) -> Response:
        inputs = await read_json(request)
        origin = Origin(request.url.path)
        return await respond(request, workers_ai.run(_model(request), inputs, origin))

    async def chat(request: Request) -> Response:
        body = await read_json(request)
        return await respond(request, workers_ai.chat(body, Origin(request.url.path)))

    async def provider_run(request: Request) -> Response:
        return await _one(gateway, request, "workers-ai", _model(request))

    async def provider_chat(request: Request) -> Response:
        return await _one(gateway, request, "workers-ai", "v1/chat/completions")

    async def compat_chat(request: Request) -> Response:
        return await _one(gateway, request, "compat", "chat/completions")

    async def universal(request: Request) -> Response:
        try:
            steps = read_steps(await read_json(request))
        except UniversalError as error:
            return await respond(request, _ready(gateway_error(2010, str(error))))
        return await _serve(gateway, request, steps)

    account, base = "/client/v4/accounts/{account}/ai", "/v1/{account}/{gateway}"
    return [
        Route("/healthz", healthz, methods=["GET"]),
        Route(f"{account}/models/search", search_models, methods=["GET"]),
        _post(f"{account}/run/{{model:path}}", run),
        _post(f"{account}/v1/chat/completions", chat),
        _post(f"{base}/workers-ai/v1/chat/completions", provider_chat),
        _post(f"{base}/workers-ai/{{model:path}}", provider_run),
        _post(f"{base}/compat/chat/completions", compat_chat),
        _post(base, universal),
    ]


def _post(path: str, endpoint: Endpoint) -> Route:
    async def guarded(request: Request) -> Response:
        try:
            return await endpoint(request)
        except NoJson:
            error = AiError(3003, "The request body is missing or not JSON")
            return await respond(request, _ready(_refusal(error)))

    return Route(path, guarded, methods=["POST"])


async def _one(gateway: AiGateway, request: Request, provider: str, endpoint: str) -> Response:
    return await _serve(gateway, request, [Step(provider, endpoint, await read_json(request))])


async def _serve(gateway: AiGateway, request: Request, steps: list[Step]) -> Response:
    called = GatewayRequest(
        gateway=request.path_params["gateway"],
        path=request.url.path,
        headers=dict(request.headers),
        steps=steps,
    )
    return await respond(request, gateway.serve(called))


def _number(request: Request, name: str, default: int) -> int:
    given = request.query_params.get(name, "")
    return max(1, int(given)) if given.isdecimal() else default


def _model(request: Request) -> str:
    return str(request.path_params["model"])


def _refusal(error: AiError) -> Answer:
    return json_answer(error.status, ai_error_body(error, str(uuid.uuid4())))


async def _ready(answer: Answer) -> Answer:
    return answer
