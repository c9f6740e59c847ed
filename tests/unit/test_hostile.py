"""Every writing route against wrong types, missing, extra, oversized and hostile values: a 4xx in
the one shape, never a 5xx, and never the value itself as SQL."""

import json
from typing import Any

import pytest

from edgeneuro.app.routes import ROUTES
from edgeneuro.web.handler import Handler
from edgeneuro.web.routing import Route
from tests.unit.conftest import Product

HOSTILE: list[Any] = [
    None,
    True,
    -1,
    1.5,
    10**30,
    "",
    " ",
    "x" * 70_000,
    "'; DROP TABLE agents; --",
    '" OR 1=1',
    "<script>alert(1)</script>",
    "a\u0000b",
    "a\r\nset-cookie: x=1",
    "\u202e\ufeff\u2028",
    "{{7*7}}${7*7}",
    "../../etc/passwd",
    [],
    ["x"] * 2_000,
    [[[]]],
    {},
    {"a": {"b": {"c": 1}}},
]
WHOLE: list[bytes] = [
    b"",
    b"null",
    b"7",
    b'"text"',
    b"[]",
    b"[7]",
    b"{}",
    b"{",
    b"\xff\xfe",
    b'{"a": "\\ud800"}',
    b"[" * 60_000,
    b'{"a":' * 10_000,
    b'{"no_such_field": 1}',
]
WRITING = [
    route
    for route in ROUTES
    if route.method in ("POST", "PUT", "PATCH") and Handler(route.handler).body is not None
]


def path_of(route: Route) -> str:
    """The route with parameters that name something that is there, where this can be."""
    values = {"agent_id": "hr", "model_id:path": "@cf/openai/gpt-oss-20b"}
    path = route.path
    for name, value in values.items():
        path = path.replace(f"{{{name}}}", value)
    return path.replace("{", "").replace("}", "")


def fields_of(route: Route) -> list[str]:
    body = Handler(route.handler).body
    return list(getattr(body, "model_fields", {}))


async def send(product: Product, route: Route, body: bytes) -> None:
    answered = await product.call(route.method, path_of(route), body)
    assert answered.status < 500, (body[:200], answered.text)
    if answered.status >= 400:
        assert set(answered.json()["error"]) >= {"message", "type", "code", "param"}
        assert len(answered.text) < 5_000
    tables = product.rows("SELECT count(*) AS n FROM sqlite_master WHERE name = 'agents'")
    assert tables == [{"n": 1}]


@pytest.mark.parametrize("route", WRITING, ids=lambda r: f"{r.method} {r.path}")
async def test_whole_bodies(product: Product, route: Route) -> None:
    for body in WHOLE:
        await send(product, route, body)


@pytest.mark.parametrize("route", WRITING, ids=lambda r: f"{r.method} {r.path}")
async def test_every_field(product: Product, route: Route) -> None:
    for name in fields_of(route):
        for value in HOSTILE:
            await send(product, route, json.dumps({name: value}).encode()[: 64 * 1024])


@pytest.mark.parametrize(
    "template", sorted({r.path for r in ROUTES if "{" in r.path}), ids=lambda path: path
)
async def test_every_path_parameter(product: Product, template: str) -> None:
    for value in (
        "%00",
        "'--",
        "%27%20OR%201=1",
        "..",
        "%2e%2e%2f",
        "x" * 3_000,
        "%ff",
        "%F0%9F%98%80",
    ):
        path = template.replace(":path", "")
        while "{" in path:
            path = path[: path.index("{")] + value + path[path.index("}") + 1 :]
        for route in ROUTES:
            if route.path == template:
                body = b"{}" if Handler(route.handler).body is not None else None
                answered = await product.call(route.method, path, body)
                assert answered.status < 500, (path, answered.text)
