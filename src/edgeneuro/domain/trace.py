"""W3C trace context: the trace that a request belongs to, and our part of it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?P<trace>(?!0{32})[0-9a-f]{32})-(?P<parent>(?!0{16})[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})"
)
_SAMPLED, _NOT_SAMPLED = "01", "00"
_MAX_RATIO = 2**64
Attributes = Mapping[str, str | int | float | None]


class StageSpan(NamedTuple):
    """A stage of a request, in seconds of the monotonic clock."""

    name: str
    started: float
    ended: float


@dataclass(frozen=True)
class RequestSpan:
    """A request: its beginning and end in seconds of the monotonic clock, and whether the Worker
    failed."""

    name: str
    started: float
    ended: float
    attributes: Attributes
    failed: bool


@dataclass(frozen=True)
class Trace:
    """`span_id` is our own span: the parent of what we ask others. `parent_id` is the caller's
    span. `spans` gets the stages of a request that is recorded; it is None of all others."""

    trace_id: str
    span_id: str
    flags: str = _SAMPLED
    parent_id: str | None = None
    spans: list[StageSpan] | None = field(default=None, compare=False)

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


def continue_trace(
    traceparent: str | None, new_hex: Callable[[int], str], *, recorded_share: float | None = None
) -> Trace:
    """Our span in the caller's trace, or in a new one where the header is missing or malformed.
    `new_hex(n)` gives n random bytes as hex digits. Where spans are recorded, these are the traces
    that the caller has sampled, and this share of new traces, by the trace's id, as OpenTelemetry
    chooses them."""
    found = _TRACEPARENT.fullmatch(traceparent or "")
    if recorded_share is None:
        if found is None:
            return Trace(new_hex(16), new_hex(8))
        return Trace(found["trace"], new_hex(8), found["flags"])
    if found is None:
        trace_id = new_hex(16)
        is_sampled = int(trace_id[16:], 16) < recorded_share * _MAX_RATIO
        flags, parent_id = _SAMPLED if is_sampled else _NOT_SAMPLED, None
    else:
        trace_id, flags, parent_id = found["trace"], found["flags"], found["parent"]
        is_sampled = int(flags, 16) & 1 == 1
    return Trace(trace_id, new_hex(8), flags, parent_id, [] if is_sampled else None)
