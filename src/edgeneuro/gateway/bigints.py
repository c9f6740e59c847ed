"""Integers on their way to JavaScript.

Pyodide turns an integer that a JavaScript number cannot hold exactly into a BigInt. JSON has none,
so the binding of Workers AI throws."""

import sys
from collections.abc import Callable
from typing import Any

_FIRST_BIGINT = 2**53 - 1  # Pyodide's bound, on both sides of 0


def without_bigints(value: Any, convert: Callable[[int], Any]) -> Any:
    """The JSON value with `convert` applied to each integer that would become a BigInt."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return {name: without_bigints(each, convert) for name, each in value.items()}
    if isinstance(value, list):
        return [without_bigints(each, convert) for each in value]
    if isinstance(value, int) and abs(value) >= _FIRST_BIGINT:
        return convert(value)
    return value


def nearest_number(value: int) -> float:
    """What JavaScript reads where JSON has this integer; of one that is too large the largest."""
    try:
        return float(value)
    except OverflowError:
        return sys.float_info.max if value > 0 else -sys.float_info.max
