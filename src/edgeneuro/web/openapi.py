"""/openapi.json, generated from the route table and the handlers' signatures."""

import json
import re
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from edgeneuro.web.auth import Access
from edgeneuro.web.routing import Found, RouteTable
from edgeneuro.web.upload import Upload

_REF = "#/components/schemas/{model}"
_SECURITY_SCHEMES = {
    "key": {"type": "http", "scheme": "bearer"},
    "cloudflare_access": {"type": "apiKey", "in": "header", "name": "Cf-Access-Jwt-Assertion"},
}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Sent again with the same request within 24 hours, it is not done again: the"
    " first answer comes back, with the header `idempotent-replayed: true`.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}


class ErrorDetail(BaseModel):
    """`code` is stable and for programs, `message` says what to do, `param` names the field at
    fault."""

    message: str
    type: str
    code: str
    param: str | None


class FaultDetail(BaseModel):
    """One of several faults: of the item at `index`, or of a file's `line`, which counts from 1."""

    index: int | None = None
    line: int | None = None
    param: str | None
    code: str | None = None
    message: str


class CheckDetail(BaseModel):
    """What a rule says of an adapter's files."""

    rule: str
    passed: bool | None
    found: str
    message: str


class Error(BaseModel):
    """`errors` is there where many items or lines were sent and some are wrong (of a file's lines
    the first 100, and `error_count` is how many there are), `checks` where an adapter was
    refused."""

    error: ErrorDetail
    request_id: str
    errors: list[FaultDetail] = []
    error_count: int = 0
    checks: list[CheckDetail] = []


def openapi_document(table: RouteTable, version: str) -> str:
    refs, schemas = _schemas(table)
    paths: dict[str, dict[str, Any]] = {}
    for found in table.all:
        path = found.route.path.replace(":path}", "}")
        paths.setdefault(path, {})[found.route.method.lower()] = _operation(found, refs)
    document = {
        "openapi": "3.1.0",
        "info": {"title": "EdgeNeuro", "version": version},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": _SECURITY_SCHEMES,
        },
    }
    return json.dumps(document)


def _schemas(table: RouteTable) -> tuple[dict[type[BaseModel], Any], dict[str, Any]]:
    """References by model, and the schemas that they refer to."""
    wanted: dict[type[BaseModel], JsonSchemaMode] = {Error: "serialization"}
    for found in table.all:
        if found.handler.body is not None and issubclass(found.handler.body, BaseModel):
            wanted[found.handler.body] = "validation"
        if found.handler.content is not None:
            wanted[found.handler.content] = "serialization"
    references, definitions = models_json_schema(list(wanted.items()), ref_template=_REF)
    return {model: references[model, mode] for model, mode in wanted.items()}, definitions["$defs"]


def _operation(found: Found, refs: dict[type[BaseModel], Any]) -> dict[str, Any]:
    route, handler = found.route, found.handler
    success: dict[str, Any] = {"description": "Success"}
    if handler.content is not None:
        success["content"] = {"application/json": {"schema": refs[handler.content]}}
    if handler.streams:
        success["content"]["text/event-stream"] = {}
    failure = {
        "description": "Error",
        "content": {"application/json": {"schema": refs[Error]}},
    }
    operation: dict[str, Any] = {
        "operationId": route.handler.__name__,
        "tags": [route.handler.__module__.rpartition(".")[2]],
        "summary": handler.summary,
        "parameters": [*_path_parameters(route.path), *_query_parameters(handler.query)],
        "responses": {str(route.status): success, "4XX": failure, "5XX": failure},
        "security": [],
    }
    if route.access is not Access.PUBLIC:
        operation["security"] = [{scheme: []} for scheme in _SECURITY_SCHEMES]
        operation["x-scope"] = route.access.value
    if route.takes_idempotency_key:
        operation["parameters"].append(_IDEMPOTENCY_KEY)
    if handler.body is not None:
        operation["requestBody"] = {"required": True, "content": _body_content(handler.body, refs)}
    return operation


def _body_content(
    body: type[BaseModel] | type[bytes] | type[Upload], refs: dict[type[BaseModel], Any]
) -> dict[str, Any]:
    if issubclass(body, BaseModel):
        return {"application/json": {"schema": refs[body]}}
    return {"multipart/form-data" if body is Upload else "application/octet-stream": {}}


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)", path)
    ]


def _query_parameters(query: type[BaseModel] | None) -> list[dict[str, Any]]:
    if query is None:
        return []
    properties = query.model_json_schema()["properties"]
    return [
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in properties.items()
    ]
