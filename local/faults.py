"""Faults that a model can be told to have, and the book that hands them out.

A fault either stands in for the answer (error, status, hang, refuse), delays it (slow), breaks its
bytes (malformed_json) or replaces what the model said (the rest).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from local.errors import AI_ERRORS

ANY_MODEL = "*"

# kind -> its own fields, besides "kind" and "times"; a field marked True must be there.
FIELDS: dict[str, dict[str, bool]] = {
    "error": {"code": True, "retry_after": False},
    "status": {"status": True, "retry_after": False},
    "hang": {},
    "refuse": {},
    "slow": {"delay_ms": True},
    "malformed_json": {},
    "invalid_answer": {},
    "unknown_agent": {},
    "wrong_json": {},
    "empty": {},
    "text": {"answer": True},
}

_SAID: dict[str, str] = {
    "invalid_answer": "Sure! Purple elephants rarely file their paperwork before the moon is ripe.",
    "unknown_agent": json.dumps({"agent": "no_such_agent", "confidence": 0.93}),
    "wrong_json": json.dumps({"label": "blue", "score": "very high"}),
    "empty": "",
}
_PARSED_KINDS = frozenset({"unknown_agent", "wrong_json"})


class FaultError(ValueError):
    """A fault definition that makes no sense, told in one sentence."""


@dataclass(frozen=True)
class Fault:
    kind: str
    times: int | None = None
    code: int | None = None
    status: int | None = None
    retry_after: float | None = None
    delay_ms: float | None = None
    answer: str | None = None

    @property
    def said(self) -> str | None:
        """The words put into the model's mouth, if this fault does that."""
        return self.answer if self.kind == "text" else _SAID.get(self.kind)

    @property
    def literal(self) -> bool:
        """Whether those words come back as text even in JSON mode."""
        return self.said is not None and self.kind not in _PARSED_KINDS

    def as_dict(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}


class FaultBook:
    def __init__(self) -> None:
        self._faults: dict[str, Fault] = {}

    def replace_all(self, definitions: Any) -> None:
        if not isinstance(definitions, dict):
            raise FaultError('The faults must be an object: {"<model id or *>": {"kind": …}}.')
        self._faults = {model: _read(model, given) for model, given in definitions.items()}

    def clear(self) -> None:
        self._faults = {}

    def as_dict(self) -> dict[str, Any]:
        return {model: fault.as_dict() for model, fault in self._faults.items()}

    def take(self, model: str) -> Fault | None:
        """The fault for this call; one with `times` wears out."""
        key = model if model in self._faults else ANY_MODEL
        fault = self._faults.get(key)
        if fault is None or fault.times is None:
            return fault
        if fault.times > 1:
            self._faults[key] = replace(fault, times=fault.times - 1)
        else:
            del self._faults[key]
        return fault


def _read(model: str, given: Any) -> Fault:
    if not isinstance(given, dict):
        raise FaultError(f"The fault of {model!r} must be an object with a kind.")
    kind = given.get("kind")
    if not isinstance(kind, str) or kind not in FIELDS:
        raise FaultError(f"The fault kind {kind!r} is unknown; known are {', '.join(FIELDS)}.")
    own = FIELDS[kind]
    for name in given:
        if name not in own and name not in ("kind", "times"):
            raise FaultError(f"A fault of kind {kind!r} has no field {name!r}.")
    for name, required in own.items():
        if required and name not in given:
            raise FaultError(f"A fault of kind {kind!r} needs the field {name!r}.")
    for name, value in given.items():
        _check(name, value)
    return Fault(**given)


def _check(name: str, value: Any) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    whole = number and isinstance(value, int)
    sound, wanted = {
        "kind": (True, ""),
        "times": (whole and value >= 1, "a whole number from 1"),
        "code": (whole and value in AI_ERRORS, f"one of {', '.join(map(str, AI_ERRORS))}"),
        "status": (whole and 400 <= value <= 599, "an HTTP status from 400 to 599"),
        "retry_after": (number and value >= 0, "a number of seconds"),
        "delay_ms": (number and 0 <= value <= 120_000, "a number from 0 to 120000"),
        "answer": (isinstance(value, str), "a text"),
    }[name]
    if not sound:
        raise FaultError(f"The fault field {name!r} is {value!r}, but must be {wanted}.")
