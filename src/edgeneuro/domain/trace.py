"""W3C trace context: the trace that a request belongs to, and our part of it."""

import re
from collections.abc import Callable
from dataclasses import dataclass

_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?P<trace>(?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-(?P<flags>[0-9a-f]{2})"
)
_SAMPLED = "01"


@dataclass(frozen=True)
class Trace:
    """`span_id` is our own span: the parent of what we ask others."""

    trace_id: str
    span_id: str
    flags: str = _SAMPLED

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


def continue_trace(traceparent: str | None, new_hex: Callable[[int], str]) -> Trace:
    """Our span in the caller's trace, or in a new one where the header is missing or malformed.
    `new_hex(n)` gives n random bytes as hex digits."""
    found = _TRACEPARENT.fullmatch(traceparent or "")
    if found is None:
        return Trace(new_hex(16), new_hex(8))
    return Trace(found["trace"], new_hex(8), found["flags"])
