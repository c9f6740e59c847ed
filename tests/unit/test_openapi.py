"""/openapi.json is a valid document and says what the route table says."""

from typing import Any

import pytest
from openapi_spec_validator import validate

from edgeneuro.routes import ROUTES
from edgeneuro.web.auth import Access
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
        ways: list[dict[str, list[str]]] = [{"key": []}, {"cloudflare_access": []}]
        assert operation["security"] == ([] if route.access is Access.PUBLIC else ways)
        assert operation["summary"]
        assert str(route.status) in operation["responses"]


async def test_it_gives_the_limits(document: Any) -> None:
    query = document["components"]["schemas"]["RouteRequest"]["properties"]["query"]
    assert (query["minLength"], query["maxLength"]) == (1, 8000)
    patch = document["components"]["schemas"]["AgentPatch"]["properties"]
    assert not any("default" in field for field in patch.values())
