"""Values on their way to JavaScript and back."""

import json
from typing import Any

import js
from pyodide.ffi import jsnull, to_js


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


def from_js(value: Any) -> Any:
    """A JavaScript value that JSON can hold, by one text: half the time of a conversion piece by
    piece. Rows of D1 are such values, as bytes are read in hex digits."""
    return json.loads(js.JSON.stringify(value))


def bound(value: str | int | float | bytes | None) -> Any:
    """A parameter of a statement."""
    if value is None:
        return jsnull
    return to_js(value) if isinstance(value, bytes) else value


def unwrapped(binding: Any) -> Any:
    """The runtime's own object behind the SDK's wrapper, which caches every attribute, and converts
    what goes in and out of each call."""
    return getattr(binding, "_binding", binding)
