"""An HTTP answer before it is sent. Every upstream here returns one, so that the gateway can cache
it, retry it and add headers without a web framework."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

EVENT_STREAM = "text/event-stream"

Parts = AsyncGenerator[bytes, None]


@dataclass(frozen=True)
class Answer:
    """The body is `parts` if there are any, else `content`. The holder of the answer must close the
    parts, which stops the model; the first part is available immediately."""

    status: int
    content: bytes = b""
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    parts: Parts | None = None

    @property
    def ok(self) -> bool:
        return self.status < 400

    def with_headers(self, headers: Mapping[str, str]) -> Answer:
        return replace(self, headers={**self.headers, **headers})


class ConnectionDropped(Exception):
    """The connection must end here: without an answer, or in the midst of one."""


class Unresolvable(ConnectionDropped):
    """There is no such host."""


class BodyEnded(Exception):
    """The body ends here, in good order but before all is said."""


def json_answer(status: int, body: Any, headers: Mapping[str, str] | None = None) -> Answer:
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    return Answer(status, content, headers=headers or {})


def event(body: Any) -> bytes:
    """One event of a stream."""
    return (
        b"data: " + json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"
    )


DONE = b"data: [DONE]\n\n"
