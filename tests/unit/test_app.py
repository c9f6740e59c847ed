"""The HTTP machinery in process: keys, limits, bad input, and the one error shape."""

import json
from collections.abc import AsyncGenerator, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from edgeneuro.app.routes import ROUTES
from edgeneuro.errors import (
    ClientClosedRequestError,
    EdgeNeuroError,
    UnauthenticatedError,
    UpstreamNotConfiguredError,
)
from edgeneuro.settings import Settings
from edgeneuro.web.auth import Access, cron_of
from edgeneuro.web.request import Request
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.conftest import ADMIN_TOKEN, Answered, Product, says


def assert_error(answered: Answered, status: int, code: str, param: str | None = None) -> None:
    body = answered.json()
    assert answered.status == status
    assert set(body) == {"error", "request_id"}
    assert set(body["error"]) == {"message", "type", "code", "param"}
    assert (body["error"]["code"], body["error"]["param"]) == (code, param)
    assert body["error"]["message"]
    assert answered.headers["x-request-id"] == body["request_id"]
    assert answered.headers["content-type"] == "application/json"


PROTECTED = [route for route in ROUTES if route.access is not Access.PUBLIC]


@pytest.mark.parametrize("route", PROTECTED, ids=lambda r: f"{r.method} {r.path}")
@pytest.mark.parametrize("headers", [{}, {"authorization": "Basic x"}, {"authorization": "Bearer"}])
async def test_every_route_but_the_public_ones_needs_a_key(
    product: Product, route: Any, headers: dict[str, str]
) -> None:
    answered = await product.call(route.method, route.path, {}, key=None, headers=headers)
    assert_error(answered, 401, "invalid_api_key")
    assert answered.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("key", ["wrong", ADMIN_TOKEN + "x", ADMIN_TOKEN[:-1], "tökén"])
async def test_a_wrong_key_is_refused_and_not_repeated(product: Product, key: str) -> None:
    answered = await product.call("GET", "/v1/agents", key=key)
    assert_error(answered, 401, "invalid_api_key")
    assert key not in answered.text


async def test_the_public_routes_are_these(product: Product) -> None:
    public = [route.path for route in ROUTES if route.access is Access.PUBLIC]
    assert public == ["/v1/jwks", "/healthz", "/openapi.json"]
    for path in public:
        assert (await product.call("GET", path, key=None)).status == 200


async def test_without_an_admin_token_nothing_is_open(
    database: SqliteDatabase, settings: Settings
) -> None:
    product = Product(database, replace(settings, admin_token=""))
    assert_error(await product.call("GET", "/v1/agents", key=""), 503, "not_configured")


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"", "invalid_json", None),
        (b"  ", "invalid_json", None),
        (b"not json", "invalid_json", None),
        (b'{"query": "a"', "invalid_json", None),
        (b'{"query": "\xff"}', "invalid_json", None),
        (b'{"query": "\\ud800"}', "invalid_json", None),
        (b"[" * 5_000, "invalid_json", None),
        (b"[]", "invalid_value", None),
        (b"7", "invalid_value", None),
        (b"{}", "missing_field", "query"),
        (b'{"query": null}', "missing_field", "query"),
        (b'{"query": 7}', "invalid_value", "query"),
        (b'{"query": ["a"]}', "invalid_value", "query"),
        (b'{"query": ""}', "invalid_value", "query"),
        (b'{"query": " \\n\\t "}', "invalid_value", "query"),
        (b'{"query": "a\\u0000b"}', "invalid_value", "query"),
        (json.dumps({"query": "a" * 8_001}).encode(), "invalid_value", "query"),
        (b'{"query": "a", "colour": "red"}', "unknown_field", "colour"),
        (b'{"query": "a", "cache": "yes"}', "invalid_value", "cache"),
        (b'{"query": "a", "user": ""}', "invalid_value", "user"),
        # What is stored can be named to erase it, and no call takes U+0000.
        (b'{"query": "a", "user": "b\\u0000"}', "invalid_value", "user"),
        (b'{"query": "a", "session": "b\\u0000"}', "invalid_value", "session"),
        (b'{"query": "a", "metadata": {"a": "b\\u0000"}}', "invalid_value", "metadata.a"),
        (b'{"query": "a", "candidates": []}', "invalid_value", "candidates"),
        (b'{"query": "a", "candidates": "hr"}', "invalid_value", "candidates"),
        (b'{"query": "a", "candidates": ["hr", "X"]}', "invalid_value", "candidates[1]"),
        (b'{"query": "a", "candidates": ["hr", "ceo"]}', "unknown_agent", "candidates[1]"),
        (b'{"query": "a", "metadata": {"a": [1]}}', "invalid_value", "metadata.a"),
        (b'{"query": "a", "metadata": {"a": NaN}}', "invalid_value", "metadata.a"),
    ],
)
async def test_bad_bodies(product: Product, body: bytes, code: str, param: str | None) -> None:
    answered = await product.call("POST", "/v1/route", body)
    assert_error(answered, 400, code, param)
    assert product.gateway.requests == []
    assert await product.logs() == []


async def test_metadata_has_at_most_16_entries(product: Product) -> None:
    metadata = {f"k{n}": n for n in range(17)}
    assert_error(await product.route("a", metadata=metadata), 400, "invalid_value", "metadata")


async def test_the_longest_query_is_fine(product: Product) -> None:
    product.gateway.enqueue(says("hr"))
    assert (await product.route("🙂" * 8_000)).status == 200


async def test_a_body_over_64_kb_is_refused(product: Product) -> None:
    answered = await product.call("POST", "/v1/agents", b" " * (64 * 1024 + 1))
    assert_error(answered, 413, "body_too_large")


async def test_a_disabled_agent_is_no_candidate(product: Product) -> None:
    await product.call("PATCH", "/v1/agents/hr", {"enabled": False})
    answered = await product.route("Leave?", candidates=["hr"])
    assert_error(answered, 400, "unknown_agent", "candidates[0]")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/v1/route", "POST"),
        ("PUT", "/v1/agents", "GET, POST, DELETE"),
        ("DELETE", "/healthz", "GET"),
    ],
)
async def test_a_wrong_method(product: Product, method: str, path: str, allow: str) -> None:
    answered = await product.call(method, path)
    assert_error(answered, 405, "method_not_allowed")
    assert answered.headers["allow"] == allow


@pytest.mark.parametrize("path", ["/v1", "/v1/v1", "/nothing", "/v1/agents/a/b", "/%00", "/"])
async def test_an_unknown_path(product: Product, path: str) -> None:
    assert_error(await product.call("GET", path), 404, "unknown_path")


@pytest.mark.parametrize(
    "path", ["/v1/route/", "//v1/route", "/v1//route//", "/v1/v1/route", "/v1/v1/v1/route/"]
)
async def test_a_badly_joined_path_finds_its_route(product: Product, path: str) -> None:
    product.gateway.enqueue(says("hr"))
    answered = await product.call("POST", path, {"query": "Leave?"})
    assert answered.status == 200, answered.text


@pytest.mark.parametrize(
    "path",
    ["/v1/models/@cf/meta/llama-3.2-1b-instruct/", "/v1//models/@cf/meta//llama-3.2-1b-instruct"],
)
async def test_a_model_in_such_a_path_is_found(product: Product, path: str) -> None:
    answered = await product.call("GET", path)
    assert answered.json()["id"] == "@cf/meta/llama-3.2-1b-instruct"


async def test_a_repeated_post_is_the_same_request_whatever_the_slashes(product: Product) -> None:
    agent = {"id": "legal", "name": "Legal", "description": "Contracts."}
    once = {"idempotency-key": "k1"}
    assert (await product.call("POST", "/v1/agents", agent, headers=once)).status == 201
    again = await product.call("POST", "/v1//agents/", agent, headers=once)
    assert (again.status, again.headers["idempotent-replayed"]) == (201, "true")


@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        ("/chat/completions", "/v1/chat/completions"),
        ("/v1/chat/completion", "/v1/chat/completions"),
        ("/v1/agent", "/v1/agents"),
        ("/v1/Route", "/v1/route"),
        ("/health", "/healthz"),
    ],
)
async def test_an_unknown_path_names_the_nearest_one(
    product: Product, path: str, nearest: str
) -> None:
    answered = await product.call("POST", path, {}, key=None)
    assert_error(answered, 404, "unknown_path")
    assert f" {nearest}. " in answered.json()["error"]["message"]


async def test_a_long_unknown_path_is_not_compared(product: Product) -> None:
    answered = await product.call("POST", "/v1/agent" + "s" * 1_000, {}, key=None)
    assert "nearest" not in answered.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/completions", "/v1/embeddings"])
async def test_an_api_that_is_not_offered_names_the_one_that_is(
    product: Product, path: str
) -> None:
    answered = await product.call("POST", path, {"model": "auto", "input": "Hi"})
    assert_error(answered, 404, "unknown_path")
    assert "POST /v1/chat/completions" in answered.json()["error"]["message"]


@pytest.mark.parametrize("header", ["api-key", "x-api-key", "X-Api-Key"])
async def test_a_key_is_taken_from_the_headers_of_other_vendors_clients(
    product: Product, header: str
) -> None:
    answered = await product.call("GET", "/v1/agents", key=None, headers={header: ADMIN_TOKEN})
    assert answered.status == 200
    for refused in ("", " ", "wrong", f"Bearer {ADMIN_TOKEN}"):
        answered = await product.call("GET", "/v1/agents", key=None, headers={header: refused})
        assert_error(answered, 401, "invalid_api_key")


async def test_a_bearer_token_wins_over_the_other_headers(product: Product) -> None:
    both = {"api-key": ADMIN_TOKEN, "x-api-key": ADMIN_TOKEN}
    answered = await product.call("GET", "/v1/agents", key="wrong", headers=both)
    assert_error(answered, 401, "invalid_api_key")


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=many", "limit"),
        ("after=", "after"),
        ("page=2", "page"),
        ("limit=1&limit=2", "limit"),
    ],
)
async def test_bad_query_parameters(product: Product, query: str, param: str) -> None:
    for path in ("/v1/agents", "/v1/logs"):
        answered = await product.call("GET", f"{path}?{query}")
        assert answered.json()["error"]["param"] == param
        assert answered.status == 400


async def test_the_edge_rate_limit(product: Product) -> None:
    product.limiter.open = False
    answered = await product.route("Leave?")
    assert_error(answered, 429, "edge_rate_limited")
    assert answered.headers["retry-after"] == "60"
    assert product.limiter.keys[-1] == "admin_token"
    assert (await product.call("GET", "/healthz")).status == 200


async def test_a_valid_request_id_is_used(product: Product) -> None:
    taken = await product.call("GET", "/healthz", headers={"x-request-id": "my-id.1"})
    assert taken.headers["x-request-id"] == "my-id.1"
    made = await product.call("GET", "/healthz", headers={"x-request-id": "a b\r\nx: y"})
    assert made.headers["x-request-id"].startswith("req_")


async def test_an_internal_error_shows_no_stack_trace(
    product: Product, capsys: pytest.CaptureFixture[str]
) -> None:
    product.gateway.enqueue(RuntimeError("secret detail"))
    answered = await product.route("Leave?")
    assert_error(answered, 500, "internal_error")
    assert "secret detail" not in answered.text
    logged = json.loads(capsys.readouterr().out)
    assert (logged["level"], logged["error_code"]) == ("error", "internal_error")
    assert logged["request_id"] == answered.json()["request_id"]
    assert "secret detail" in logged["exception"]


async def test_a_d1_failure_is_a_503_that_hides_d1s_message(
    product: Product, capsys: pytest.CaptureFixture[str]
) -> None:
    product.database.failing = True
    for method, path, body in (
        ("GET", "/v1/logs", None),
        ("GET", "/v1/agents", None),
        ("POST", "/v1/agents", {"id": "x", "name": "X", "description": "x"}),
        ("POST", "/v1/models/select", {"model_id": "intent-routing-v1"}),
    ):
        answered = await product.call(method, path, body)
        assert_error(answered, 503, "database_unavailable")
        assert "D1_ERROR" not in answered.text
    assert "D1_ERROR" in capsys.readouterr().out


async def test_cross_origin_only_where_it_is_allowed(
    database: SqliteDatabase, settings: Settings
) -> None:
    product = Product(database, replace(settings, allowed_origins=("https://app.example",)))
    allowed = {"origin": "https://app.example"}
    answered = await product.call("OPTIONS", "/v1/agents", key=None, headers=allowed)
    assert answered.status == 204
    assert answered.headers["access-control-allow-origin"] == "https://app.example"
    assert answered.headers["access-control-allow-methods"] == "GET, POST, DELETE"
    evil = {"origin": "https://evil.example", "access-control-request-headers": "x-stainless-os"}
    for method, path in (("GET", "/healthz"), ("OPTIONS", "/v1/agents")):
        other = await product.call(method, path, headers=evil)
        assert not [name for name in other.headers if name.startswith("access-control-")]


@pytest.mark.parametrize(
    ("requested", "allowed"),
    [
        ("authorization,x-stainless-os, x-stainless-lang", None),
        ("x-anything-else", None),
        ("x y", "authorization, api-key"),
        ("a: b\r\nx: y", "authorization, api-key"),
        ("x" * 3_000, "authorization, api-key"),
        ("", "authorization, api-key"),
    ],
)
async def test_an_allowed_origin_may_send_the_headers_that_it_asks_for(
    database: SqliteDatabase, settings: Settings, requested: str, allowed: str | None
) -> None:
    product = Product(database, replace(settings, allowed_origins=("https://app.example",)))
    headers = {"origin": "https://app.example", "access-control-request-headers": requested}
    answered = await product.call("OPTIONS", "/v1/chat/completions", key=None, headers=headers)
    assert answered.headers["access-control-allow-headers"].startswith(allowed or requested)


def test_every_error_has_a_status_a_type_and_a_code() -> None:
    def walk(kind: type[EdgeNeuroError]) -> list[type[EdgeNeuroError]]:
        return [kind, *(below for child in kind.__subclasses__() for below in walk(child))]

    for kind in walk(EdgeNeuroError):
        assert 400 <= kind.status <= 599
        assert kind.type.endswith("_error") or kind.type == "budget_exceeded"
        assert kind.code


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("localhost", True),
        ("localhost:8787", True),
        ("LOCALHOST:1", True),
        ("127.0.0.1:8787", True),
        ("[::1]:8787", True),
        ("rebound.example", False),
        ("rebound.example:8787", False),
        ("localhost.example", False),
        ("localhost@rebound.example", False),
        ("[::1", False),
        ("", False),
        (None, False),
    ],
)
async def test_only_allowed_hosts_are_served(
    database: SqliteDatabase, settings: Settings, host: str | None, allowed: bool
) -> None:
    names = ("localhost", "127.0.0.1", "[::1]")
    product = Product(database, replace(settings, allowed_hosts=names))
    headers = {} if host is None else {"host": host}
    for method, path in (("GET", "/healthz"), ("GET", "/v1/agents"), ("OPTIONS", "/v1/route")):
        answered = await product.call(method, path, headers=headers)
        if allowed:
            assert answered.status in (200, 204)
        else:
            assert_error(answered, 403, "host_not_allowed")


def test_a_cron_needs_the_token_if_one_is_configured() -> None:
    assert cron_of("* * * * *", "") == "* * * * *"
    assert cron_of("* * * * * the-token", "the-token") == "* * * * *"
    assert cron_of("the-token", "the-token") == ""
    for event in ("* * * * *", "", "* * * * * the-tok", "the-token * * * * *"):
        with pytest.raises(UnauthenticatedError):
            cron_of(event, "the-token")


class LeavingClient:
    """A request whose client goes away before its body is sent."""

    async def read_body(self, limit: int) -> bytes:
        raise ClientClosedRequestError("gone")

    async def chunks(self, limit: int) -> AsyncGenerator[bytes, None]:
        yield b"--b"
        raise ClientClosedRequestError("gone")


@pytest.mark.parametrize("path", ["/v1/route", "/v1/datasets/import", "/v1/loras/preflight"])
async def test_a_client_that_disconnects_while_sending_is_a_line_without_a_traceback(
    product: Product, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    client = LeavingClient()
    headers = {
        "authorization": f"Bearer {ADMIN_TOKEN}",
        "content-type": "multipart/form-data; boundary=b",
    }
    request = Request("POST", path, "", headers.get, client.read_body, client.chunks)
    waiting: list[Coroutine[Any, Any, None]] = []
    response = await product.app.handle(request, waiting.append)
    for work in waiting:
        await work
    assert response.status == 499
    [line] = map(json.loads, capsys.readouterr().out.splitlines())
    assert (line["level"], line["status"]) == ("info", 499)
    assert line["error_code"] == "client_closed_request"
    assert "exception" not in line


async def test_errors_of_the_installation_are_shown_to_those_who_may_read(
    product: Product,
) -> None:
    """Operators learn which secret or variable to set; callers who only route do not."""
    fault = UpstreamNotConfiguredError("The secret GROQ_KEY is not set at https://inside.example.")
    keys = {}
    for scope in ("route", "admin"):
        wanted = {"name": scope, "scopes": [scope]}
        keys[scope] = (await product.call("POST", "/v1/keys", wanted)).json()["key"]
    chat: dict[str, Any] = {"model": "auto", "messages": [{"role": "user", "content": "Leave?"}]}
    for stream in (False, True):
        for scope in keys:
            product.gateway.enqueue(says("hr"), fault, fault)
            body: dict[str, Any] = {**chat, "stream": stream, "edgeneuro": {"cache": False}}
            answered = await product.call("POST", "/v1/chat/completions", body, key=keys[scope])
            assert "upstream_not_configured" in answered.text
            assert ("GROQ_KEY" in answered.text) is (scope == "admin")
            assert ("inside.example" in answered.text) is (scope == "admin")
    product.limiter.open = False
    for scope in keys:
        answered = await product.call("GET", "/v1/me", key=keys[scope])
        assert answered.status == 429
        assert ("wrangler.toml" in answered.text) is (scope == "admin")
