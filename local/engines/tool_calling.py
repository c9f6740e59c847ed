"""How the emulated engine calls tools: it calls a required tool, or one that the query names, with
arguments of the right types and no meaning."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from local.engines import CompletionRequest, Tool, ToolCall

_DEEPEST = 8  # a schema can contain itself
_TEXT = "emulated"


def call_for(request: CompletionRequest, query: str) -> ToolCall | None:
    """The call that answers the request, if one does."""
    tool = _called(request, query)
    if tool is None:
        return None
    arguments = json.dumps(example(tool.parameters or {}), ensure_ascii=False)
    digest = hashlib.sha256(f"{tool.name} {query}".encode()).hexdigest()
    return ToolCall(f"call_{digest[:24]}", tool.name, arguments)


def _called(request: CompletionRequest, query: str) -> Tool | None:
    choice = request.tool_choice
    if not request.tools or choice.mode == "none":
        return None
    if choice.name is not None:
        return next(tool for tool in request.tools if tool.name == choice.name)
    named = next((tool for tool in request.tools if _names(query, tool)), None)
    if choice.mode == "required":
        return named or request.tools[0]
    # What a tool has answered needs no second call, though the question still names it.
    return named if request.messages[-1].role == "user" else None


def _names(query: str, tool: Tool) -> bool:
    return re.search(rf"(?<!\w){re.escape(tool.name)}(?!\w)", query, re.I) is not None


def example(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A value for each property that an object of this schema must have."""
    value = _value({"type": "object", **schema}, schema, 0)
    return value if isinstance(value, dict) else {}


def _value(schema: Any, root: Mapping[str, Any], depth: int) -> Any:
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return _TEXT
    if "$ref" in schema:
        return _value(_target(str(schema["$ref"]), root), root, depth + 1)
    for name in ("const", "default"):
        if name in schema:
            return schema[name]
    for name in ("enum", "anyOf", "oneOf", "allOf"):
        given = schema.get(name)
        if isinstance(given, list) and given:
            return given[0] if name == "enum" else _value(given[0], root, depth + 1)
    return _typed(schema, root, depth)


def _typed(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Any:
    match _type(schema):
        case "object":
            properties = schema.get("properties")
            known = properties if isinstance(properties, dict) else {}
            names = [name for name in schema.get("required") or [] if isinstance(name, str)]
            return {name: _value(known.get(name), root, depth + 1) for name in names}
        case "array":
            least = schema.get("minItems", 0)
            return [_value(schema.get("items"), root, depth + 1)] * min(int(least), 100)
        case "integer" | "number":
            return _number(schema)
        case "boolean":
            return True
        case "null":
            return None
    least = schema.get("minLength", 0)
    return _TEXT.ljust(min(int(least), 1_000), ".")[: schema.get("maxLength")]


def _type(schema: Mapping[str, Any]) -> Any:
    given = schema.get("type", "object" if "properties" in schema else "string")
    return given[0] if isinstance(given, list) and given else given


def _number(schema: Mapping[str, Any]) -> Any:
    least = schema.get("minimum", schema.get("exclusiveMinimum"))
    most = schema.get("maximum")
    if least is not None:
        return least if "minimum" in schema else least + 1
    return most if most is not None and most < 1 else 1


def _target(reference: str, root: Mapping[str, Any]) -> Any:
    """What "#/$defs/name" points to."""
    found: Any = root
    for name in reference.removeprefix("#").strip("/").split("/"):
        found = found.get(name) if isinstance(found, dict) else None
    return found
