"""JSON text from outside, parsed with a limit on its depth.

In Pyodide a deeply nested text crashes the isolate: the JavaScript stack overflows before Python
raises RecursionError, at about 5,000 brackets. So brackets are counted before the text is parsed.
"""

import json
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

# Tool schemas of real clients stay under 40; pydantic, which reads request bodies, stops at 200.
MAX_DEPTH = 100

# Strings are matched as a whole. The closing quote is optional, so that no text is scanned twice.
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)


class InvalidJsonError(ValueError):
    """The message says what is wrong, as the end of a sentence about the text."""


def loads(
    data: str | bytes,
    *,
    max_depth: int = MAX_DEPTH,
    object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None,
    parse_constant: Callable[[str], Any] | None = None,
    parse_float: Callable[[str], Any] | None = None,
) -> Any:
    """Parses `data`, whose bytes are UTF-8 with or without a BOM. The hooks are those of
    json.loads. Raises InvalidJsonError, also for a text that is nested more than `max_depth`
    deep."""
    text = _decoded(data) if isinstance(data, bytes) else data
    # Counting is a fraction of the cost of matching, and most texts have few brackets.
    if text.count("[") + text.count("{") > max_depth:
        _value_end(text, 0, max_depth)
    try:
        return _decoder(object_pairs_hook, parse_constant, parse_float).decode(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InvalidJsonError(f"is not JSON ({error.msg} at {where})") from error
    except InvalidJsonError:
        raise
    except ValueError as error:  # a number of more digits than Python reads
        raise InvalidJsonError("holds a number that is too long") from error


@lru_cache(maxsize=8)  # json.loads makes one for each text, which takes longer than a short text
def _decoder(
    object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None,
    parse_constant: Callable[[str], Any] | None,
    parse_float: Callable[[str], Any] | None,
) -> json.JSONDecoder:
    return json.JSONDecoder(
        object_pairs_hook=object_pairs_hook,
        parse_constant=parse_constant,
        parse_float=parse_float,
    )


def first_object(text: str) -> dict[str, Any] | None:
    """The JSON object that begins at the first `{` of a text; None if there is none, or if it is
    invalid or nested too deep."""
    start = text.find("{")
    if start < 0:
        return None
    try:
        end = _value_end(text, start, MAX_DEPTH)
        value = json.loads(text[start:end])
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _value_end(text: str, start: int, max_depth: int) -> int:
    """Where the first object or array after `start` ends. No parser goes deeper than this counts:
    it stops at that end, and at a syntax error. Raises InvalidJsonError if the depth is too
    large."""
    depth = 0
    for found in _BRACKETS.finditer(text, start):
        mark = found.group()
        if mark in "[{":
            depth += 1
            if depth > max_depth:
                raise InvalidJsonError(f"is nested more than {max_depth} deep")
        elif mark in "]}":
            depth -= 1
            if depth <= 0:
                return found.end()
    return len(text)


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidJsonError(f"is not UTF-8 (byte {error.start})") from error
