"""Values on their way to JavaScript."""

import json
from typing import Any

import js
from pyodide.ffi import to_js


def js_json(value: dict[str, Any]) -> Any:
    """As a JavaScript object, by one text: conversion piece by piece takes as long for a small
    object, and with what the SDK adds five times as long for a model's inputs."""
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):  # bytes, or a number that JSON lacks
        return js_object(value)
    return js.JSON.parse(text)


def js_object(fields: dict[str, Any]) -> Any:
    """Piece by piece, for fields that hold JavaScript objects or bytes."""
    return to_js(fields, dict_converter=js.Object.fromEntries)


def unwrapped(binding: Any) -> Any:
    """The runtime's own object behind the SDK's wrapper, which caches every attribute, and converts
    what goes in and out of each call."""
    return getattr(binding, "_binding", binding)
