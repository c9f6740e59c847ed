"""/openapi.json is a valid document and says what the route table says."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from openapi_spec_validator import validate
from pydantic import BaseModel

from edgeneuro.app.routes import ROUTES
from edgeneuro.controlplane.observe import monitoring
from edgeneuro.settings import Settings
from edgeneuro.web.auth import Access
from edgeneuro.web.routing import RouteTable
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.conftest import Product


@pytest.fixture
async def document(product: Product) -> Any:
    return (await product.call("GET", "/openapi.json", key=None)).json()


async def test_it_is_valid(document: Any) -> None:
    validate(document)


async def test_it_has_every_route_and_no_other(document: Any) -> None:
    said = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
    }
    assert said == {(route.method, route.path.replace(":path}", "}")) for route in ROUTES}


async def test_it_says_which_routes_need_a_key(document: Any) -> None:
    for route in ROUTES:
        path = route.path.replace(":path}", "}")
        operation = document["paths"][path][route.method.lower()]
        schemes = ("key", "api_key", "x_api_key", "cloudflare_access")
        ways: list[dict[str, list[str]]] = [{scheme: []} for scheme in schemes]
        assert operation["security"] == ([] if route.access is Access.PUBLIC else ways)
        assert operation["summary"]
        assert str(route.status) in operation["responses"]


async def test_it_gives_the_limits(document: Any) -> None:
    query = document["components"]["schemas"]["RouteRequest"]["properties"]["query"]["anyOf"][0]
    assert (query["minLength"], query["maxLength"]) == (1, 8000)
    patch = document["components"]["schemas"]["AgentPatch"]["properties"]
    assert not any("default" in field for field in patch.values())


async def test_generated_clients_have_one_class_for_each_name(document: Any) -> None:
    """Generators name classes by the title, or by the component's name without its punctuation."""
    schemas = document["components"]["schemas"]
    titles = Counter(schema["title"] for schema in schemas.values())
    assert [title for title, times in titles.items() if times > 1] == []
    names = Counter(re.sub(r"[^a-z0-9]", "", name.lower()) for name in schemas)
    assert [name for name, times in names.items() if times > 1] == []
    assert not [name for name in schemas if "__" in name]
    operations = Counter(
        operation["operationId"]
        for path in document["paths"].values()
        for operation in path.values()
    )
    assert set(operations.values()) == {1}
    # openapi-python-client: a class for an object within a schema is named by both, and a method
    # has a variable that is named like its class, beside those of the fields.
    inner = {
        f"{schema['title']}{field.get('title', '').replace(' ', '')}"
        for schema in schemas.values()
        for field in schema.get("properties", {}).values()
        if field.get("type") == "object"
    }
    assert inner & set(schemas) == set()
    assert [name for name in schemas if _snake(name) in schemas[name].get("properties", {})] == []


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


async def test_an_operation_has_the_tag_of_its_part_of_the_product(document: Any) -> None:
    paths = {"/v1/route": "routing", "/v1/chat/completions": "chat", "/v1/decisions": "decisions"}
    for path, tag in paths.items():
        assert document["paths"][path]["post"]["tags"] == [tag]


async def test_no_field_with_a_default_is_demanded_of_a_caller(document: Any) -> None:
    schemas = document["components"]["schemas"]
    fields = [
        field for schema in schemas.values() for field in schema.get("properties", {}).values()
    ]
    assert fields and not [field for field in fields if "default" in field]
    assert schemas["ChatRequest"]["required"] == ["model", "messages"]
    route = schemas["RouteRequest"]
    assert route["properties"]["cache"]["description"] == "Default: true."
    assert "required" not in schemas["AgentPatch"]


async def test_every_body_and_every_success_has_a_schema(document: Any) -> None:
    """But for a 204 and what has no body."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            bodies = [operation.get("requestBody")] if "requestBody" in operation else []
            [status] = [each for each in operation["responses"] if each.startswith("2")]
            for body in (*bodies, operation["responses"][status]):
                assert body["content"], (method, path)
                for media in body["content"].values():
                    assert media["schema"], (method, path)


async def test_bodies_that_are_not_json(document: Any) -> None:
    paths = document["paths"]
    form = paths["/v1/loras"]["post"]["requestBody"]["content"]
    assert set(form) == {"multipart/form-data", "application/json"}
    fields = form["multipart/form-data"]["schema"]
    assert fields["required"] == [
        "name",
        "base_model",
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    assert fields["properties"]["adapter_config.json"] == {"type": "string", "format": "binary"}
    file = paths["/v1/datasets/import"]["post"]["requestBody"]["content"]
    assert {"text/csv", "application/jsonl"} <= set(file)
    chat = paths["/v1/chat/completions"]["post"]["responses"]["200"]["content"]
    assert {name: media["schema"]["$ref"].rpartition("/")[2] for name, media in chat.items()} == {
        "application/json": "ChatCompletion",
        "text/event-stream": "ChatCompletionChunk",
    }


async def test_it_lists_the_statuses_of_each_route(document: Any) -> None:
    """tests/unit/conftest.py holds every answer of the suite against them."""
    paths = document["paths"]
    assert set(paths["/healthz"]["get"]["responses"]) == {"200", "403", "500"}
    assert set(paths["/v1/agents"]["post"]["responses"]) == {
        *("201", "400", "401", "403", "409", "413", "415", "422", "429", "500", "503")
    }
    chat = set(paths["/v1/chat/completions"]["post"]["responses"])
    assert {"404", "409", "502", "504"} <= chat
    assert "422" in chat  # nobody answers
    assert document["servers"] == [
        {"url": "/", "description": "The Worker that serves this document."}
    ]


def test_no_refusal_shows_a_regular_expression() -> None:
    """A pattern of pydantic's own would; `Matches` refuses with a sentence."""

    def patterns(schema: Any) -> Iterator[str]:
        if isinstance(schema, dict):
            if schema.get("type") == "str" and "pattern" in schema:
                yield str(schema["pattern"])
            yield from patterns(list(schema.values()))
        elif isinstance(schema, list | tuple):
            for each in schema:
                yield from patterns(each)

    for found in RouteTable(ROUTES).all:
        for model in (found.handler.body, found.handler.query, found.route.described.form):
            if model is not None and issubclass(model, BaseModel):
                assert list(patterns(model.__pydantic_core_schema__)) == [], model


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/agents", {"id": "Legal Team", "name": "a", "description": "a"}, "id"),
        (
            "/v1/agents",
            {"id": "a", "name": "a", "description": "a", "endpoint": "http://x"},
            "endpoint",
        ),
        ("/v1/agents", {"id": "a", "name": "a", "description": "a", "endpoint": ""}, "endpoint"),
        ("/v1/providers", {"id": "A", "kind": "groq"}, "id"),
        ("/v1/keys", {"name": "a", "scopes": ["read"], "expires_at": "soon"}, "expires_at"),
        ("/v1/users", {"email": "a@b.example", "name": "a\nb", "role": "viewer"}, "name"),
    ],
)
async def test_a_refusal_of_a_form_is_a_sentence(
    product: Product, path: str, body: dict[str, Any], param: str
) -> None:
    needed = {"name": "a", "description": "a"} if path == "/v1/agents" else {}
    answered = await product.call("POST", path, {**needed, **body})
    error = answered.json()["error"]
    assert (answered.status, error["param"]) == (400, param)
    assert not re.search(r"\^|\$|\[|\\\\|pattern", error["message"]), error["message"]


async def test_it_is_made_once_and_sent_once(product: Product) -> None:
    first = await product.call("GET", "/openapi.json", key=None)
    etag = first.headers["etag"]
    assert re.fullmatch(r'"[0-9a-f]{32}"', etag)
    assert first.headers["cache-control"] == "public, max-age=3600"
    for present in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = await product.call(
            "GET", "/openapi.json", key=None, headers={"if-none-match": present}
        )
        assert (again.status, again.text, again.headers["etag"]) == (304, "", etag)
        assert "content-type" not in again.headers
    other = await product.call("GET", "/openapi.json", key=None, headers={"if-none-match": '"x"'})
    assert (other.status, other.text) == (200, first.text)
    head = await product.call("HEAD", "/openapi.json", key=None)
    assert (head.status, head.headers["etag"]) == (200, etag)


async def test_a_new_isolate_serves_the_same_etag(
    product: Product, database: SqliteDatabase, settings: Settings
) -> None:
    first = await product.call("GET", "/openapi.json", key=None)
    monitoring._document.cache_clear()
    other = await Product(database, settings).call("GET", "/openapi.json", key=None)
    assert first.headers["etag"] == other.headers["etag"]


async def test_calls_without_a_key_count_for_their_address(product: Product) -> None:
    address = {"cf-connecting-ip": "192.0.2.1"}
    assert (await product.call("GET", "/openapi.json", key=None, headers=address)).status == 200
    assert product.limiter.keys[-1] == "public 192.0.2.1"
    product.limiter.open = False
    refused = await product.call("GET", "/openapi.json", key=None, headers=address)
    assert (refused.status, refused.json()["error"]["code"]) == (429, "edge_rate_limited")
    assert (await product.call("GET", "/healthz", key=None, headers=address)).status == 200
