"""Receives every HTTPS call of the Worker; the emulation of its host answers.

Other hosts do not resolve. A header names the error that the binding has to throw.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.routing import compile_path
from starlette.types import Message

from local.ai_gateway import AiGateway
from local.answers import Answer, ConnectionDropped, Unresolvable
from local.calls import MAX_STORED_BYTES, Call, masked_headers
from local.cloudflare import cloudflare_table
from local.envelope import Endpoint, failure
from local.errors import AiError
from local.faults import Fault
from local.http import NoJson, read_json
from local.outbound.a2a import A2A_AGENTS, WaitingTasks, answer_a2a, parse_error
from local.outbound.agents import AGENTS_HOST, answer_chat
from local.uploads import stored_upload
from local.vendors import Api, model_name, not_found, refusal
from local.workers_ai import refusal as cloudflare_refusal

OUTBOUND_PATH = "/_outbound/{host}/{path:path}"
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
FAILURE_HEADER = "x-local-failure"

# host -> what its paths begin with
CLOUDFLARE_HOSTS = {"api.cloudflare.com": "/client/v4/", "gateway.ai.cloudflare.com": "/v1/"}
# host -> its paths, and what is spoken there
VENDOR_HOSTS: dict[str, dict[str, Api]] = {
    "api.openai.com": {
        "/v1/chat/completions": "chat",
        "/v1/decisions": "openai_decisions",
        "/v1/embeddings": "embeddings",
    },
    "api.groq.com": {"/openai/v1/chat/completions": "chat"},
    "api.anthropic.com": {"/v1/chat/completions": "chat"},
    "api.typesafe.ai": {"/v1/systemone": "systemone"},
    "api.fireworks.ai": {
        "/inference/v1/chat/completions": "chat",
        "/inference/v1/decisions": "decisions",
        "/inference/v1/systemone": "systemone",
        "/inference/v1/embeddings": "embeddings",
    },
}
_COMPATIBLE_HOSTS = ".example.com"
# They take every delivery of a webhook, and every span.
_TAKING_HOSTS = ("hooks.example.com", "collector.example.com")
_COMPATIBLE: dict[str, Api] = {
    "/v1/chat/completions": "chat",
    "/v1/decisions": "decisions",
    "/v1/systemone": "systemone",
    "/v1/embeddings": "embeddings",
}
_OWN_HEADERS = ("host", "connection", "content-length", "transfer-encoding")


@dataclass(frozen=True)
class _Visit:
    request: Request
    host: str
    path: str
    call: Call
    fault: Fault | None


class Internet:
    def __init__(self, gateway: AiGateway) -> None:
        self._vendors = gateway.vendors
        self._serving = gateway.workers_ai.serving
        self._waiting = WaitingTasks()
        self._cloudflare = [
            (method, compile_path(path)[0], endpoint)
            for method, path, endpoint in cloudflare_table(gateway)
        ]

    async def fetch(self, request: Request) -> Answer:
        visit = await self._visit(request)
        try:
            return await self._answer(visit)
        except Unresolvable:
            return Answer(502, headers={FAILURE_HEADER: "dns"})
        except ConnectionDropped:
            return Answer(502, headers={FAILURE_HEADER: "refuse"})

    async def _visit(self, request: Request) -> _Visit:
        authority, path = request.path_params["host"].lower(), "/" + request.path_params["path"]
        query = f"?{request.url.query}" if request.url.query else ""
        headers = {k: v for k, v in request.headers.items() if k not in _OWN_HEADERS}
        size, body = await _body(request)
        call = Call(
            model=None,
            gateway=None,
            path=path + query,
            headers=masked_headers(headers),
            metadata={},
            inputs=await _json_or_none(request),
            host=authority,
            method=request.method,
            body=body,
            size=size,
        )
        self._serving.calls.keep(call)
        host = authority.partition(":")[0]
        return _Visit(request, host, path, call, self._serving.faults.take_host(host))

    async def _answer(self, visit: _Visit) -> Answer:
        paths = VENDOR_HOSTS.get(visit.host)
        if visit.host in CLOUDFLARE_HOSTS:
            return await self._served(visit, self._at_cloudflare, cloudflare_refusal)
        if visit.host == AGENTS_HOST:
            return await self._served(visit, self._at_agents)
        if visit.host in _TAKING_HOSTS:
            return await self._served(visit, _taken)
        if paths is None and visit.host.endswith(_COMPATIBLE_HOSTS):
            paths = _COMPATIBLE
        api = (paths or {}).get(visit.path)
        if api is not None and visit.request.method == "POST":
            return await self._at_vendor(visit, api)
        return await self._served(visit, _nowhere if paths is None else _elsewhere)

    async def _served(
        self,
        visit: _Visit,
        work: Callable[[_Visit], Awaitable[Answer]],
        refuse: Callable[[AiError], Answer] = refusal,
    ) -> Answer:
        return await self._serving.serve(visit.call, visit.fault, lambda: work(visit), refuse)

    async def _at_vendor(self, visit: _Visit, api: Api) -> Answer:
        visit.call.model = model_name(visit.call.inputs)
        fault = visit.fault or self._serving.faults.take(visit.call.model)
        return await self._vendors.answer(api, visit.call, fault, visit.request.headers)

    async def _at_cloudflare(self, visit: _Visit) -> Answer:
        if not visit.path.startswith(CLOUDFLARE_HOSTS[visit.host]):
            return failure(404, 7000, "No route for that URI")
        if visit.host == "api.cloudflare.com" and "authorization" not in visit.request.headers:
            return failure(401, 10000, "Authentication error")
        for method, pattern, endpoint in self._cloudflare:
            found = pattern.match(visit.path)
            if found and method == visit.request.method:
                return await _passed_on(visit, found.groupdict(), endpoint)
        return failure(404, 7000, "No route for that URI")

    async def _at_agents(self, visit: _Visit) -> Answer:
        kind, _, name = visit.path.strip("/").partition("/")
        now = self._serving.now()
        if kind == "redirect":
            return Answer(302, headers={"location": "http://127.0.0.1/"})
        if visit.request.method != "POST":
            return not_found(visit.path)
        if kind == "openai" and name:
            agent = name.removesuffix("/chat/completions").removesuffix("/v1")
            return await answer_chat(agent, visit.call.inputs, visit.fault, now)
        if kind == "a2a" and name in A2A_AGENTS:
            if visit.call.inputs is None:
                return parse_error()
            return answer_a2a(name, visit.call.inputs, visit.fault, now, waiting=self._waiting)
        return not_found(visit.path)


async def _taken(visit: _Visit) -> Answer:
    return Answer(204) if visit.request.method == "POST" else not_found(visit.path)


async def _passed_on(visit: _Visit, path_params: dict[str, str], endpoint: Endpoint) -> Answer:
    body = b"" if stored_upload(visit.request) else await visit.request.body()

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    # A form that was read is found by its scope.
    scope = {**visit.request.scope, "path": visit.path, "path_params": path_params}
    return await endpoint(Request(scope, receive))


async def _body(request: Request) -> tuple[int, str | None]:
    """Its size, and its text if that is stored."""
    upload = stored_upload(request)
    if upload is not None:
        return upload.size, None
    body = await request.body()
    return len(body), body.decode(errors="replace") if len(body) <= MAX_STORED_BYTES else None


async def _nowhere(visit: _Visit) -> Answer:
    raise Unresolvable


async def _elsewhere(visit: _Visit) -> Answer:
    return not_found(visit.path)


async def _json_or_none(request: Request) -> object:
    try:
        return await read_json(request)
    except NoJson:
        return None
