"""JSON of a file that somebody else wrote: what another reader could read otherwise is refused, and
nothing here goes as deep as the text says."""

import json
import math
import re
from typing import Any

# Strings are passed over whole. The closing quote is optional, so that no text is read twice.
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)


class InvalidJsonError(ValueError):
    """The text says what is wrong, as the end of a sentence about the file."""


def loads(data: bytes, *, max_depth: int) -> Any:
    """Raises InvalidJsonError."""
    try:
        text = data.decode("utf-8-sig")  # Windows tools begin a file with a byte order mark
    except UnicodeDecodeError as error:
        raise InvalidJsonError(f"is not UTF-8 (byte {error.start})") from error
    _check_depth(text, max_depth)
    try:
        return json.loads(
            text, object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_finite
        )
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InvalidJsonError(f"is not JSON ({error.msg} at {where})") from error
    except InvalidJsonError:
        raise
    except ValueError as error:  # a number of more digits than Python reads
        raise InvalidJsonError("holds a number that is too long") from error


def _check_depth(text: str, max_depth: int) -> None:
    depth = 0
    for found in _BRACKETS.finditer(text):
        mark = found.group()
        if mark in "[{":
            depth += 1
            if depth > max_depth:
                raise InvalidJsonError(f"is nested more than {max_depth} deep")
        elif mark in "]}":
            depth -= 1


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise InvalidJsonError(f"has the key {shown(key)} twice")
            seen.add(key)
    return found


def _refuse(name: str) -> Any:
    raise InvalidJsonError(f"holds {name}, which is no JSON")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise InvalidJsonError(f"holds {shown(text)}, which is no finite number")
    return value


def shown(value: object, longest: int = 60) -> str:
    """A value of the file as a message may hold it: short, in one line, and in ASCII."""
    text = json.dumps(value, ensure_ascii=True, default=repr)
    return text if len(text) <= longest else f"{text[:longest]}…"
