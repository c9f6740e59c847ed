"""Values on their way to JavaScript."""

from typing import Any

import js
from pyodide.ffi import to_js


def js_object(fields: dict[str, Any]) -> Any:
    return to_js(fields, dict_converter=js.Object.fromEntries)


def unwrapped(binding: Any) -> Any:
    """The runtime's own object behind the SDK's wrapper, which keeps what it has once looked up."""
    return getattr(binding, "_binding", binding)
