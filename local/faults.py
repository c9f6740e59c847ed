"""Faults that can be set for a model or a host, and the book that returns the fault of a call.

A fault replaces the answer (error, status, reject, hang, refuse, dns), delays it (slow), replaces
the model's text (SAID and the like), spoils what a decision model answers (DECISION_KINDS,
local/decisions/faults.py) or the vectors of an embedding model (local/embeddings.py), or breaks
the body (local/breaking.py).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from local.errors import AI_ERRORS

ANY_MODEL = "*"
HOST = "host:"
STEPS = (
    *("finetunes:create", "finetunes:assets", "finetunes:list"),
    *("accounts:list", "subscriptions:list", "subdomain:read", "subdomain:write", "zones:list"),
    *(
        "d1:list",
        "d1:create",
        "d1:query",
        "d1:export",
        "d1:import",
        "gateways:list",
        "gateways:create",
    ),
    *("workers:read", "workers:upload", "workers:deploy", "workers:secret", "workers:settings"),
    *("workers:schedules", "workers:subdomain", "assets:session", "assets:upload"),
    *("domains:list", "domains:write"),
)
_STEP_GROUPS = tuple({f"{each.partition(':')[0]}:" for each in STEPS})
HUGE = 10_000_000

# kind -> its own fields, besides COMMON; a field marked True must be there.
FIELDS: dict[str, dict[str, bool]] = {
    "error": {"code": True, "retry_after": False},
    "status": {"status": True, "retry_after": False},
    "reject": {},
    "hang": {},
    "refuse": {},
    "dns": {},
    "slow": {"delay_ms": True},
    "malformed_json": {},
    "nested_json": {},
    "cut": {"after": False, "abrupt": False},
    "stream_error": {"after": False},
    "drip": {"delay_ms": True},
    "stall": {"after": False},
    "truncated_json": {},
    "invalid_answer": {},
    "unknown_agent": {},
    "wrong_json": {},
    "empty": {},
    "text": {"answer": True},
    "huge": {"bytes": False},
    "missing_question": {"question": False},
    "refusal": {"question": False},
    "nan_probability": {"question": False},
    "negative_probability": {"question": False},
    "large_probability": {"question": False},
    "wrong_sum": {"question": False, "sum": False},
    "unknown_option": {"question": False},
    "wrong_type": {"question": False},
    "unasked_question": {},
    "no_output_tokens": {},
    "wrong_width": {},
    "nan_vector": {},
    "zero_vector": {},
    "missing_vector": {},
}
# Those that change nothing but the answers of decision models.
DECISION_KINDS = frozenset(
    {"missing_question", "refusal", "nan_probability", "negative_probability"}
    | {"large_probability", "wrong_sum", "unknown_option", "wrong_type", "unasked_question"}
    | {"no_output_tokens"}
)
# Those that change nothing but the vectors of embedding models.
EMBEDDING_KINDS = frozenset({"wrong_width", "nan_vector", "zero_vector", "missing_vector"})
COMMON = ("kind", "times", "share")
_STEP_KINDS = frozenset(
    {"error", "status", "reject", "hang", "refuse", "slow", "malformed_json", "nested_json"}
    | {"cut", "drip", "stall"}
)

_SAID: dict[str, str] = {
    "invalid_answer": "Sure! Purple elephants rarely file their paperwork before the moon is ripe.",
    "unknown_agent": json.dumps({"agent": "no_such_agent", "confidence": 0.93}),
    "wrong_json": json.dumps({"label": "blue", "score": "very high"}),
    "empty": "",
}
_PARSED_KINDS = frozenset({"unknown_agent", "wrong_json"})
_FILLER = "elephants never forget "


class FaultError(ValueError):
    """An invalid definition of a fault; the text is one sentence."""


@dataclass(frozen=True)
class Fault:
    kind: str
    times: int | None = None
    share: float | None = None
    code: int | None = None
    status: int | None = None
    retry_after: float | None = None
    delay_ms: float | None = None
    answer: str | None = None
    after: int | None = None
    abrupt: bool | None = None
    bytes: int | None = None
    question: str | None = None
    sum: float | None = None

    @property
    def said(self) -> str | None:
        """The words put into the model's mouth, if this fault does that."""
        if self.kind == "huge":
            size = self.bytes or HUGE
            return (_FILLER * (size // len(_FILLER) + 1))[:size]
        return self.answer if self.kind == "text" else _SAID.get(self.kind)

    @property
    def literal(self) -> bool:
        """Whether the model's words come back as text even in JSON mode."""
        return self.kind == "truncated_json" or (
            self.said is not None and self.kind not in _PARSED_KINDS
        )

    def as_dict(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}


class FaultBook:
    def __init__(self) -> None:
        self._faults: dict[str, Fault] = {}
        self._asked: dict[str, int] = {}

    def replace_all(self, definitions: Any) -> None:
        if not isinstance(definitions, dict):
            raise FaultError(
                'The faults must be an object: {"<model id, * or host:name>": {"kind": …}}.'
            )
        self._faults = {key: _read(key, given) for key, given in definitions.items()}
        self._asked = {}

    def clear(self) -> None:
        self._faults = {}

    def as_dict(self) -> dict[str, Any]:
        return {key: fault.as_dict() for key, fault in self._faults.items()}

    def take(self, model: str) -> Fault | None:
        """The fault for this call of a model; one with `times` wears out."""
        return self._take(model if model in self._faults else ANY_MODEL)

    def take_host(self, host: str) -> Fault | None:
        return self._take(HOST + host)

    def take_step(self, step: str) -> Fault | None:
        """`*` is for models, not for these."""
        return self._take(step)

    def _take(self, key: str) -> Fault | None:
        fault = self._faults.get(key)
        if fault is None or not self._is_due(key, fault):
            return None
        if fault.times is None:
            return fault
        if fault.times > 1:
            self._faults[key] = replace(fault, times=fault.times - 1)
        else:
            del self._faults[key]
        return fault

    def _is_due(self, key: str, fault: Fault) -> bool:
        """Counted, not drawn: a share of 0.1 is every tenth call."""
        if fault.share is None:
            return True
        before = self._asked.get(key, 0)
        self._asked[key] = before + 1
        return _whole(fault.share * (before + 1)) > _whole(fault.share * before)


def _whole(value: float) -> int:
    return int(value + 1e-9)  # 0.29 * 100 is 28.999999999999996


def _read(key: str, given: Any) -> Fault:
    if not isinstance(given, dict):
        raise FaultError(f"The fault of {key!r} must be an object with a kind.")
    kind = given.get("kind")
    if not isinstance(kind, str) or kind not in FIELDS:
        raise FaultError(f"The fault kind {kind!r} is unknown; known are {', '.join(FIELDS)}.")
    if kind == "dns" and not key.startswith(HOST):
        raise FaultError("A fault of kind 'dns' is for a host, as 'host:api.openai.com'.")
    if key.startswith(_STEP_GROUPS):
        _check_step(key, kind)
    own = FIELDS[kind]
    for name in given:
        if name not in own and name not in COMMON:
            raise FaultError(f"A fault of kind {kind!r} has no field {name!r}.")
    for name, required in own.items():
        if required and name not in given:
            raise FaultError(f"A fault of kind {kind!r} needs the field {name!r}.")
    for name, value in given.items():
        _check(name, value)
    return Fault(**given)


def _check_step(key: str, kind: str) -> None:
    if key not in STEPS:
        raise FaultError(f"There is no step {key!r}; there are {', '.join(STEPS)}.")
    if kind not in _STEP_KINDS:
        known = ", ".join(kind for kind in FIELDS if kind in _STEP_KINDS)
        raise FaultError(f"A fault of {key!r} cannot be of kind {kind!r}, but of {known}.")


def _check(name: str, value: Any) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    whole = number and isinstance(value, int)
    sound, wanted = {
        "kind": (True, ""),
        "times": (whole and value >= 1, "a whole number from 1"),
        "share": (number and 0 <= value <= 1, "a number from 0 to 1"),
        "code": (whole and value in AI_ERRORS, f"one of {', '.join(map(str, AI_ERRORS))}"),
        "status": (whole and 400 <= value <= 599, "an HTTP status from 400 to 599"),
        "retry_after": (number and value >= 0, "a number of seconds"),
        "delay_ms": (number and 0 <= value <= 120_000, "a number from 0 to 120000"),
        "answer": (isinstance(value, str), "a text"),
        "after": (whole and 1 <= value <= 10_000, "a whole number from 1 to 10000"),
        "abrupt": (isinstance(value, bool), "true or false"),
        "question": (isinstance(value, str), "the id of a question"),
        "sum": (number and 0 <= value <= 1_000, "a number from 0 to 1000"),
        "bytes": (whole and 1 <= value <= 100_000_000, "a whole number from 1 to 100000000"),
    }[name]
    if not sound:
        raise FaultError(f"The fault field {name!r} is {value!r}, but must be {wanted}.")
