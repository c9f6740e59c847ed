"""/openapi.json, generated from the route table and the handlers' signatures."""

import json
import re
from typing import Any

from pydantic import BaseModel

from edgeneuro.web.auth import KEY_HEADERS, Access
from edgeneuro.web.openapi_schemas import FILE, ErrorResponse, Schemas
from edgeneuro.web.routing import Found, Route, RouteTable
from edgeneuro.web.upload import Upload

_SECURITY_SCHEMES = {
    "key": {"type": "http", "scheme": "bearer"},
    **{
        name.replace("-", "_"): {"type": "apiKey", "in": "header", "name": name}
        for name in KEY_HEADERS
    },
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
_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "The ETag of an earlier answer: the request fails with 412 if the state is"
    " another one now.",
    "schema": {"type": "string"},
}
_REQUEST_ID = {
    "name": "X-Request-Id",
    "in": "header",
    "required": False,
    "description": "Comes back in the answer and is in the logs. One that is no id is replaced.",
    "schema": {"type": "string"},
}
_CHANGING = ("PUT", "PATCH", "DELETE")
_FAILURES = {
    304: "The document that the caller has (`If-None-Match`) is the present one.",
    400: "The request is wrong; `param` names the field.",
    401: "There is no valid key.",
    403: "The key or the user may not do this.",
    404: "What the path or the body names does not exist.",
    409: "The state of things does not allow this.",
    412: "The state is not the one that `If-Match` names.",
    413: "The body is too large.",
    415: "The body has a content encoding that cannot be read.",
    422: "The Idempotency-Key was sent with another request before.",
    429: "A rate limit or a budget is used up; `retry-after` says for how many seconds.",
    500: "A fault of EdgeNeuro; report it with the request id.",
    502: "A model or a service gave no usable answer.",
    503: "The database or a setting is missing.",
    504: "A model gave no answer in time.",
}


def openapi_document(table: RouteTable, version: str) -> str:
    schemas = Schemas(table)
    paths: dict[str, dict[str, Any]] = {}
    for found in table.all:
        path = found.route.path.replace(":path}", "}")
        paths.setdefault(path, {})[found.route.method.lower()] = _operation(found, schemas)
    document = {
        "openapi": "3.1.0",
        "info": {"title": "EdgeNeuro", "version": version},
        "servers": [{"url": "/", "description": "The Worker that serves this document."}],
        "paths": paths,
        "components": {
            "schemas": schemas.definitions,
            "parameters": {"RequestId": _REQUEST_ID},
            "responses": {
                _response_name(status): _failure(status, description, schemas)
                for status, description in _FAILURES.items()
            },
            "securitySchemes": _SECURITY_SCHEMES,
        },
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def failure_statuses(found: Found) -> set[int]:
    """The statuses of all error responses: those that follow from the kind of the route, and those
    that its row of the table adds."""
    route, handler = found.route, found.handler
    statuses = {403, 500, *route.described.statuses}  # 403: ALLOWED_HOSTS
    if route.access is not Access.PUBLIC:
        statuses |= {401, 429, 503}
    if route.limited:
        statuses.add(429)
    if handler.body is not None:
        statuses |= {400, 413, 415}
    if handler.query is not None:
        statuses.add(400)
    if "{" in route.path:
        statuses.add(404)
    if route.method in _CHANGING:
        statuses.add(409)
    if route.takes_idempotency_key:
        statuses |= {400, 409, 422}
    if route.described.takes_if_match:
        statuses.add(412)
    return statuses


def _response_name(status: int) -> str:
    return f"Status{status}"


def _failure(status: int, description: str, schemas: Schemas) -> dict[str, Any]:
    failure: dict[str, Any] = {"description": description}
    if status >= 400:
        failure["content"] = _json(schemas.reference(ErrorResponse))
    return failure


def _operation(found: Found, schemas: Schemas) -> dict[str, Any]:
    route, handler = found.route, found.handler
    failures = {
        str(status): {"$ref": f"#/components/responses/{_response_name(status)}"}
        for status in sorted(failure_statuses(found))
    }
    operation: dict[str, Any] = {
        "operationId": route.handler.__name__,
        "tags": [_tag(route)],
        "summary": handler.summary,
        "parameters": [
            *_path_parameters(route.path),
            *_query_parameters(handler.query),
            {"$ref": "#/components/parameters/RequestId"},
        ],
        "responses": {str(route.status): _success(found, schemas), **failures},
        "security": [],
    }
    if route.access is not Access.PUBLIC:
        operation["security"] = [{scheme: []} for scheme in _SECURITY_SCHEMES]
        operation["x-scope"] = route.access.value
    if route.takes_idempotency_key:
        operation["parameters"].append(_IDEMPOTENCY_KEY)
    if route.described.takes_if_match:
        operation["parameters"].append(_IF_MATCH)
    if handler.body is not None:
        content = _body_content(handler.body, route, schemas)
        operation["requestBody"] = {
            "required": not handler.body_optional,
            "content": content,
        }
    return operation


def _tag(route: Route) -> str:
    """The handler's module, or the package around an `api.py`: a module of generated clients."""
    *_, package, module = route.handler.__module__.split(".")
    if module != "api":
        return module
    return "routing" if package == "synapsecore" else package


def _success(found: Found, schemas: Schemas) -> dict[str, Any]:
    described = found.route.described
    content = {
        name: {"schema": {"type": "object" if name == "application/json" else "string"}}
        for name in described.media
    }
    if found.handler.content is not None:
        content |= _json(schemas.reference(found.handler.content))
    if described.events is not None:
        content["text/event-stream"] = {"schema": schemas.reference(described.events)}
    return {"description": "Success", "content": content}


def _body_content(
    body: type[BaseModel] | type[bytes] | type[Upload], route: Route, schemas: Schemas
) -> dict[str, Any]:
    described = route.described
    if issubclass(body, BaseModel):
        return _json(schemas.reference(body))
    content: dict[str, Any] = {name: {"schema": FILE} for name in described.file_media}
    if described.form is not None:
        form = schemas.form(described.form, described.files)
        content["multipart/form-data"] = {"schema": form}
        if described.or_json:
            content |= _json(schemas.reference(described.form))
    return content


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)", path)
    ]


def _query_parameters(query: type[BaseModel] | None) -> list[dict[str, Any]]:
    if query is None:
        return []
    schema = query.model_json_schema()
    return [
        {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "schema": field,
        }
        for name, field in schema["properties"].items()
    ]
