"""What real workerd answers is what /openapi.json says. tests/unit/test_schema.py sends requests of
all kinds, in process."""

import re
from typing import Any

import httpx
import pytest
from openapi_schema_validator import OAS31Validator

from tests.worker.product import Product


@pytest.fixture(scope="module")
def document(product: Product) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{product.base_url}/openapi.json", timeout=60).json()
    return found


def asked(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Each operation that reads, and each POST that needs a body, which then lacks its fields:
    method, path and operation."""
    return [
        (method.upper(), path, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method == "get" or (method == "post" and _needs_body(operation))
    ]


def _needs_body(operation: dict[str, Any]) -> bool:
    return bool(operation.get("requestBody", {}).get("required"))


def faults(
    document: dict[str, Any], operation: dict[str, Any], response: httpx.Response
) -> list[str]:
    """What of the response the document does not say."""
    said = operation["responses"].get(str(response.status_code))
    if said is None:
        return [f"the status {response.status_code}"]
    if "$ref" in said:
        said = document["components"]["responses"][said["$ref"].rpartition("/")[2]]
    kind = response.headers["content-type"].partition(";")[0]
    if kind not in said["content"]:
        return [f"the type {kind}"]
    if kind != "application/json":
        return []
    schema = {**said["content"][kind]["schema"], "components": document["components"]}
    return [error.message for error in OAS31Validator(schema).iter_errors(response.json())]


def test_answers_are_as_the_document_says(client: httpx.Client, document: dict[str, Any]) -> None:
    operations = asked(document)
    assert len(operations) > 80
    found = {}
    for method, path, operation in operations:
        body: dict[str, Any] | None = None if method == "GET" else {}
        response = client.request(method, re.sub(r"{[^}]*}", "none", path), json=body)
        if (path, response.status_code) == ("/v1/classifiers", 202):
            # This training, which no field is needed for, would take the CPU from later tests.
            client.post(f"{path}/{response.json()['id']}/cancel")
        if said := faults(document, operation, response):
            found[f"{method} {path}"] = said
    assert found == {}
