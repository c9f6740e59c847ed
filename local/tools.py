"""What a request says of tools: those on offer, which may be called, and earlier calls."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from local.engines import Tool, ToolCall, ToolChoice
from local.errors import bad_input


def read_tools(given: Any) -> tuple[Tool, ...]:
    if given is None:
        return ()
    if not isinstance(given, list):
        raise bad_input("Type mismatch of '/tools', 'array' expected")
    return tuple(_tool(tool, at) for at, tool in enumerate(given))


def _tool(given: Any, at: int) -> Tool:
    """OpenAI's {"type": "function", "function": {…}}, or Workers AI's older form without that."""
    function = given.get("function", given) if isinstance(given, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(function, dict) or not isinstance(name, str) or not name:
        raise bad_input(f"required properties at '/tools/{at}' are 'type,function' or 'name'")
    parameters = function.get("parameters")
    if parameters is not None and not isinstance(parameters, dict):
        raise bad_input(f"Type mismatch of '/tools/{at}/function/parameters', 'object' expected")
    return Tool(name, str(function.get("description") or ""), parameters)


def read_tool_choice(given: Any, tools: tuple[Tool, ...]) -> ToolChoice:
    match given:
        case None:
            return ToolChoice()
        case "auto" | "none" | "required":
            if given == "required" and not tools:
                raise bad_input("'/tool_choice' is 'required', but there are no tools")
            return ToolChoice(given)
        case {"type": "function", "function": {"name": str() as name}}:
            if all(tool.name != name for tool in tools):
                raise bad_input(f"'/tool_choice' names {name!r}, which is not among the tools")
            return ToolChoice("required", name)
    raise bad_input("'/tool_choice' must be 'auto', 'none', 'required' or name a function")


def read_tool_calls(given: Any, at: int) -> tuple[ToolCall, ...]:
    """The calls that an earlier answer made, of either shape."""
    if given is None:
        return ()
    if not isinstance(given, list):
        raise bad_input(f"Type mismatch of '/messages/{at}/tool_calls', 'array' expected")
    return tuple(_call(call, at, index) for index, call in enumerate(given))


def _call(given: Any, at: int, index: int) -> ToolCall:
    function = given.get("function", given) if isinstance(given, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(function, dict) or not isinstance(name, str):
        raise bad_input(f"required properties at '/messages/{at}/tool_calls/{index}' are 'name'")
    return ToolCall(_id(given, index), name, _arguments(function))


def _id(given: Mapping[str, Any], index: int) -> str:
    return str(given.get("id") or f"call_{index}")


def _arguments(function: Mapping[str, Any]) -> str:
    arguments = function.get("arguments", "")
    return arguments if isinstance(arguments, str) else json.dumps(arguments)
