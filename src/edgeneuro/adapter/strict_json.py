"""Reads JSON of an adapter's files. It refuses what another reader could read differently."""

import json
import math
from typing import Any

from edgeneuro import bounded_json
from edgeneuro.bounded_json import InvalidJsonError


def loads(data: bytes, *, max_depth: int) -> Any:
    """Raises InvalidJsonError."""
    return bounded_json.loads(
        data,
        max_depth=max_depth,
        object_pairs_hook=_unique,
        parse_constant=_refuse,
        parse_float=_finite,
    )


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
    raise InvalidJsonError(f"holds {name}, which is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise InvalidJsonError(f"holds {shown(text)}, which is not a finite number")
    return value


def shown(value: object, longest: int = 60) -> str:
    """A value of the file for a message: short, in one line, and in ASCII."""
    text = json.dumps(value, ensure_ascii=True, default=repr)
    return text if len(text) <= longest else f"{text[:longest]}…"
