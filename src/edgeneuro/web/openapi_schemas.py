"""The schemas of /openapi.json: those of all bodies and answers, and of the one error shape."""

import json
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from edgeneuro.web.routing import RouteTable

FILE = {"type": "string", "format": "binary"}
_REF = "#/components/schemas/{model}"


class ErrorDetail(BaseModel):
    """`code` is stable and for programs, `message` says what to do, `param` names the wrong
    field."""

    message: str
    type: str
    code: str
    param: str | None


class FaultDetail(BaseModel):
    """One of several errors: of the item at `index`, or of a file's `line`, which counts from 1."""

    index: int | None = None
    line: int | None = None
    param: str | None
    code: str | None = None
    message: str


class CheckDetail(BaseModel):
    """The result of a rule for an adapter's files."""

    rule: str
    passed: bool | None
    found: str
    message: str


class ErrorResponse(BaseModel):
    """`errors` lists the errors of many items or lines (of a file's lines the first 100;
    `error_count` is how many there are), `checks` the rules if an adapter was refused, `resets_at`
    is there if a budget is used up."""

    error: ErrorDetail
    request_id: str
    errors: list[FaultDetail] = []
    error_count: int = 0
    checks: list[CheckDetail] = []
    resets_at: str | None = None


class Schemas:
    """`definitions` are by name. A model that a body and an answer share has one schema only where
    both read the same."""

    def __init__(self, table: RouteTable) -> None:
        self._modes = _wanted(table)
        self._references, found = models_json_schema(list(self._modes.items()), ref_template=_REF)
        self.definitions: dict[str, dict[str, Any]] = {
            name: _without_defaults(schema) for name, schema in found["$defs"].items()
        }

    def reference(self, model: type[BaseModel]) -> dict[str, Any]:
        return self._references[model, self._modes[model]]

    def form(self, fields: type[BaseModel], files: Sequence[str]) -> dict[str, Any]:
        """A form with the model's fields and these files, all of them required."""
        schema = self.definitions[fields.__name__]
        properties = schema["properties"] | dict.fromkeys(files, FILE)
        required = [*schema.get("required", ()), *files]
        return {"type": "object", "properties": properties, "required": required}


def _wanted(table: RouteTable) -> dict[type[BaseModel], JsonSchemaMode]:
    wanted: dict[type[BaseModel], JsonSchemaMode] = {ErrorResponse: "serialization"}
    for found in table.all:
        body, described = found.handler.body, found.route.described
        if body is not None and issubclass(body, BaseModel):
            wanted[body] = "validation"
        if described.form is not None:
            wanted[described.form] = "validation"
        for answer in (found.handler.content, described.events):
            if answer is not None:
                wanted[answer] = "serialization"
    return wanted


def _without_defaults(schema: dict[str, Any]) -> dict[str, Any]:
    """Generators take a field with a default for one that is always there, and so demand it of the
    caller; the description says what leaving it out means."""
    required = schema.get("required", ())
    fields = {
        name: _described(field, is_required=name in required)
        for name, field in schema.get("properties", {}).items()
    }
    return {**schema, "properties": fields} if fields else schema


def _described(field: dict[str, Any], *, is_required: bool) -> dict[str, Any]:
    rest = {name: value for name, value in field.items() if name != "default"}
    default = field.get("default")
    if is_required or "const" in field or default in (None, [], {}):
        return rest
    words = f"Default: {json.dumps(default)}."
    return {**rest, "description": f"{rest.get('description', '')} {words}".strip()}
