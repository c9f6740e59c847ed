"""Cloudflare's HTTP endpoints: Workers AI, AI Gateway and its logs, and what an account has, as one
table of routes."""

from __future__ import annotations

from starlette.requests import Request

from local.account.routes import account_table
from local.account.state import Account
from local.ai_gateway import AiGateway, GatewayRequest, gateway_error
from local.answers import Answer
from local.calls import Origin
from local.catalogue import catalogue_entries
from local.embeddings import EMBEDDING_MODELS, embedding_entries, embedding_schema
from local.envelope import Endpoint, failure, json_only, number, page, result
from local.finetune_routes import finetune_table
from local.gateway_logs import LogFieldError
from local.handling import Step, UniversalError, read_steps
from local.http import read_json
from local.model_schemas import model_schema

_API = "/client/v4/accounts/{account}"
_LOGS = _API + "/ai-gateway/gateways/{gateway}/logs"
_BASE = "/v1/{account}/{gateway}"


def cloudflare_table(
    gateway: AiGateway, account: Account | None = None
) -> list[tuple[str, str, Endpoint]]:
    workers_ai, logs = gateway.workers_ai, gateway.logs

    async def search_models(request: Request) -> Answer:
        entries = catalogue_entries(workers_ai.models.values())
        entries += embedding_entries(EMBEDDING_MODELS.values())
        task = request.query_params.get("task")
        entries = [each for each in entries if task in (None, each["task"]["name"])]
        size, at = number(request, "per_page", 50), number(request, "page", 1)
        return result(entries[(at - 1) * size : at * size])

    async def schema(request: Request) -> Answer:
        name = request.query_params.get("model", "")
        if name in EMBEDDING_MODELS:
            return result(embedding_schema())
        model = workers_ai.models.get(name)
        if model is None:
            return failure(400, 5007, "No such model or task")
        return result(model_schema(model))

    async def run(request: Request) -> Answer:
        model = str(request.path_params["model"])
        return await workers_ai.run(model, await read_json(request), Origin(request.url.path))

    async def chat(request: Request) -> Answer:
        return await workers_ai.chat(await read_json(request), Origin(request.url.path))

    async def embeddings(request: Request) -> Answer:
        return await workers_ai.embeddings(await read_json(request), Origin(request.url.path))

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
        return page(request, found, per_page=20, shown=lambda log: log.as_dict())

    async def get_log(request: Request) -> Answer:
        log = logs.get(request.path_params["gateway"], request.path_params["log"])
        return _no_such_log() if log is None else result(log.as_dict())

    async def patch_log(request: Request) -> Answer:
        log = logs.get(request.path_params["gateway"], request.path_params["log"])
        if log is None:
            return _no_such_log()
        try:
            log.change(await read_json(request))
        except LogFieldError as error:
            return failure(400, 7001, str(error))
        return result({})

    return [
        ("GET", f"{_API}/ai/models/search", search_models),
        ("GET", f"{_API}/ai/models/schema", schema),
        ("POST", f"{_API}/ai/run/{{model:path}}", json_only(run)),
        ("POST", f"{_API}/ai/v1/chat/completions", json_only(chat)),
        ("POST", f"{_API}/ai/v1/embeddings", json_only(embeddings)),
        *finetune_table(_API, workers_ai.serving, workers_ai.adapters.finetunes, workers_ai.models),
        *(account_table(account, workers_ai.serving) if account else ()),
        ("GET", _LOGS, list_logs),
        ("GET", f"{_LOGS}/{{log}}", get_log),
        ("PATCH", f"{_LOGS}/{{log}}", json_only(patch_log)),
        ("POST", f"{_BASE}/{{provider}}/{{endpoint:path}}", json_only(provider)),
        ("POST", _BASE, json_only(universal)),
    ]


def _called(request: Request, steps: list[Step]) -> GatewayRequest:
    return GatewayRequest(
        gateway=request.path_params["gateway"],
        path=request.url.path,
        headers=dict(request.headers),
        steps=steps,
    )


def _no_such_log() -> Answer:
    return failure(404, 7002, "Log not found")
