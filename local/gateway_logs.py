"""AI Gateway's logs: what was asked and answered, and what people said of it later."""

from __future__ import annotations

import json
import secrets
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from local.answers import Answer, Parts

CAPACITY = 10_000
_HEAD = 10_000  # characters stored of a request and of an answer
_CHANGEABLE = ("feedback", "score", "metadata")


class LogFieldError(ValueError):
    """An invalid change to a log; the text is one sentence."""


@dataclass
class GatewayLog:
    """`request_head` and `response_head` are None if the payload is not stored."""

    id: str
    gateway: str
    created: float
    path: str
    provider: str
    model: str
    step: int
    cached: bool
    metadata: Mapping[str, Any]
    keeps_payload: bool
    request: bytes
    status_code: int = 0
    duration_ms: int = 0
    content_type: str = ""
    response: bytearray = field(default_factory=bytearray)
    response_size: int = 0
    tokens_in: int | None = None
    tokens_out: int | None = None
    feedback: int | None = None
    score: int | float | None = None

    def watch(self, answer: Answer, now: float) -> Answer:
        """The same answer; what it says is written down as it passes."""
        self.status_code = answer.status
        self.duration_ms = max(0, round((now - self.created) * 1000))
        self.content_type = answer.media_type
        if answer.parts is None:
            self._see(answer.content)
            return answer
        return replace(answer, parts=self._seen(answer.parts))

    async def _seen(self, parts: Parts) -> Parts:
        async with aclosing(parts):
            async for part in parts:
                self._see(part)
                yield part

    def _see(self, part: bytes) -> None:
        self.response_size += len(part)
        if self.keeps_payload:
            self.response += part[: _HEAD - len(self.response)]
        if b'"usage"' in part:
            self._count(part)

    def _count(self, part: bytes) -> None:
        usage = _usage(part)
        if usage is not None:
            self.tokens_in = usage.get("prompt_tokens", usage.get("input_tokens"))
            self.tokens_out = usage.get("completion_tokens", usage.get("output_tokens"))

    def as_dict(self) -> dict[str, Any]:
        """In the words of Cloudflare's API."""
        return {
            "id": self.id,
            "created_at": datetime.fromtimestamp(self.created, UTC).isoformat(),
            "provider": self.provider,
            "model": self.model,
            "model_type": "text-generation",
            "path": self.path,
            "step": self.step,
            "duration": self.duration_ms,
            "status_code": self.status_code,
            "success": 0 < self.status_code < 400,
            "cached": self.cached,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "metadata": dict(self.metadata),
            "feedback": self.feedback,
            "score": self.score,
            **self._payload(),
        }

    def _payload(self) -> dict[str, Any]:
        sizes = {
            "request_content_type": "application/json",
            "request_size": len(self.request),
            "response_content_type": self.content_type,
            "response_size": self.response_size,
        }
        if not self.keeps_payload:
            return {**sizes, "request_head_complete": False, "response_head_complete": False}
        return {
            **sizes,
            "request_head": self.request[:_HEAD].decode(errors="replace"),
            "request_head_complete": len(self.request) <= _HEAD,
            "response_head": self.response.decode(errors="replace"),
            "response_head_complete": self.response_size <= _HEAD,
        }

    def change(self, fields: Any) -> None:
        if not isinstance(fields, dict) or not fields.keys() <= set(_CHANGEABLE):
            raise LogFieldError("A log's feedback, score and metadata can be changed, no more.")
        _check(fields)
        for name, value in fields.items():
            setattr(self, name, {} if name == "metadata" and value is None else value)


def _check(fields: Mapping[str, Any]) -> None:
    feedback, score = fields.get("feedback"), fields.get("score")
    if feedback not in (None, -1, 0, 1) or isinstance(feedback, bool):
        raise LogFieldError("The feedback must be -1, 0, 1 or null.")
    number = isinstance(score, int | float) and not isinstance(score, bool)
    if score is not None and not (number and 0 <= score <= 100):
        raise LogFieldError("The score must be a number from 0 to 100 or null.")
    if not isinstance(fields.get("metadata") or {}, dict):
        raise LogFieldError("The metadata must be an object or null.")


def _usage(part: bytes) -> dict[str, Any] | None:
    """The usage in a body, or in the events of a stream."""
    for line in part.split(b"\n"):
        try:
            body = json.loads(line.removeprefix(b"data: "))
        except (ValueError, RecursionError):
            continue
        if isinstance(body, dict):
            inner = body["result"] if isinstance(body.get("result"), dict) else body
            if isinstance(inner.get("usage"), dict):
                usage: dict[str, Any] = inner["usage"]
                return usage
    return None


class GatewayLogs:
    """The newest logs, over all gateways."""

    def __init__(self, *, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._logs: OrderedDict[str, GatewayLog] = OrderedDict()

    def keep(self, log: GatewayLog) -> None:
        self._logs[log.id] = log
        while len(self._logs) > self._capacity:
            self._logs.popitem(last=False)

    def get(self, gateway: str, log_id: str) -> GatewayLog | None:
        log = self._logs.get(log_id)
        return log if log is not None and log.gateway == gateway else None

    def of(self, gateway: str) -> list[GatewayLog]:
        """The newest first."""
        return [log for log in reversed(self._logs.values()) if log.gateway == gateway]


def uuid7(now: float) -> str:
    """A lowercase UUIDv7, the form of AI Gateway's log ids."""
    milliseconds = int(now * 1000) & ((1 << 48) - 1)
    value = milliseconds << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))
