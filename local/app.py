"""The emulator as an ASGI application: Cloudflare's endpoints, the internet behind OUTBOUND, and
its own controls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.account.state import Account
from local.ai_gateway import AiGateway
from local.cloudflare import cloudflare_table
from local.control import control_routes
from local.engines import Engine
from local.engines.dataset import DatasetEngine
from local.engines.dataset_table import DatasetTable
from local.engines.emulated import EmulatedEngine
from local.engines.lexical import LexicalMatcher
from local.engines.matching import Matcher
from local.engines.openai import OpenAi
from local.envelope import Endpoint
from local.http import CLIENT_GONE, read_body, respond
from local.outbound.internet import METHODS, OUTBOUND_PATH, Internet
from local.settings import Settings, SettingsError
from local.uploads import close_upload


def build_engine(settings: Settings) -> Engine:
    if settings.engine == "openai":
        return OpenAi(
            settings.url, model=settings.model, key=settings.key, decisions=settings.decisions
        )
    if settings.engine == "transformers":
        return _transformers(settings)
    if settings.engine == "dataset":
        return _dataset(settings)
    if settings.engine == "minilm":
        return EmulatedEngine(minilm_matcher())
    return EmulatedEngine()


def minilm_matcher(folder: Path | None = None) -> Matcher:
    """`folder` has other weights than those of the set-up. Without weights words are compared."""
    from local.engines.minilm import ModelMissing, load_minilm, read_minilm  # numpy, for it alone
    from local.engines.semantic import MiniLmMatcher

    try:
        return MiniLmMatcher(load_minilm() if folder is None else read_minilm(folder))
    except ModelMissing as error:
        return LexicalMatcher(warning=f"{error} Until then the emulator compares words.")


def _dataset(settings: Settings) -> Engine:
    try:
        table = DatasetTable.of_files(
            settings.data,
            right=settings.right,
            mistakes=settings.mistakes,
            seed=settings.seed,
        )
    except (OSError, ValueError) as error:
        raise SettingsError(f"LOCAL_AI_DATA cannot be used: {error}.") from error
    return DatasetEngine(table)


def _transformers(settings: Settings) -> Engine:
    try:
        from local.engines.transformers_engine.base import load_base
        from local.engines.transformers_engine.engine import TransformersEngine
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"LOCAL_AI_ENGINE is 'transformers', but the package {error.name} is not installed; "
            "`LOCAL_AI_ENGINE=transformers npm start` installs it."
        ) from error
    return TransformersEngine(load_base(settings.model, settings.dtype))


def build_app(gateway: AiGateway, account: Account | None = None) -> Starlette:
    engine, account = gateway.workers_ai.engine, account or Account()
    table = cloudflare_table(gateway, account)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await engine.aclose()

    async def healthz(request: Request) -> Response:
        return JSONResponse({"status": "ok", "engine": engine.name})

    routes = [
        Route("/healthz", healthz, methods=["GET"]),
        *(_route([method], path, endpoint) for method, path, endpoint in table),
        _route(METHODS, OUTBOUND_PATH, Internet(gateway).fetch),
        *control_routes(gateway, account),
    ]
    return Starlette(lifespan=lifespan, routes=routes)


def _route(methods: list[str], path: str, endpoint: Endpoint) -> Route:
    async def handle(request: Request) -> Response:
        try:
            await read_body(request)  # before anybody waits for the client's leaving
            return await respond(request, endpoint(request))
        except ClientDisconnect:
            return Response(status_code=CLIENT_GONE)
        finally:
            await close_upload(request)

    return Route(path, handle, methods=methods)
