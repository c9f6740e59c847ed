"""Circuit breakers, one a model and isolate: a model that keeps failing is passed over for a while,
so that nobody waits for it, and then tried by one request before the others come back."""

from collections.abc import Callable
from dataclasses import dataclass

from edgeneuro.errors import InvalidOutputError, UpstreamError, UpstreamRejectedError
from edgeneuro.gateway.upstream_errors import MODEL_DEPRECATED

_FAILURES = 5  # in a row
_OPEN_SECONDS = 30.0
_MAX_SECONDS = 300.0  # however long a Retry-After asks for


@dataclass
class _Breaker:
    """`closed_until` is None while the model is asked as usual; then the moment from which one
    request may try it."""

    failures: int = 0
    last: UpstreamError | None = None
    open_until: float | None = None


class Breakers:
    """`opened` counts how often each model's breaker has opened; `deprecated` has the models of
    which the upstream has said that they are no longer served."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._breakers: dict[str, _Breaker] = {}
        self._revision: int | None = None
        self.opened: dict[str, int] = {}
        self.deprecated: set[str] = set()

    def at_revision(self, revision: int) -> None:
        """Closes them all once the configuration has changed: what failed may be fixed. A chain
        that still works with an older configuration changes nothing."""
        if self._revision is None or revision > self._revision:
            self._revision = revision
            self._breakers.clear()
            self.deprecated.clear()

    def refusal(self, name: str) -> UpstreamError | None:
        """Why the model is passed over now, as the error that it would give; None lets the request
        try."""
        breaker = self._breakers.get(name)
        if breaker is None or breaker.open_until is None or breaker.last is None:
            return None
        now = self._monotonic()
        if now >= breaker.open_until:
            # This request tries it. The others wait for its outcome, or for as long again.
            breaker.open_until = now + _OPEN_SECONDS
            return None
        return type(breaker.last)(
            f"{name} is passed over for a while, since it failed {breaker.failures} times in a row:"
            f" {breaker.last.message}",
            upstream_code=breaker.last.upstream_code,
            headers={"retry-after": str(max(1, round(breaker.open_until - now)))},
        )

    def is_open(self, name: str) -> bool:
        """Whether the model is passed over; asking for it lets nobody try."""
        breaker = self._breakers.get(name)
        return breaker is not None and breaker.open_until is not None

    def note(self, name: str, failure: UpstreamError | None) -> None:
        """The outcome of a try. A model that answers something is well, whatever it says."""
        if failure is None or isinstance(failure, UpstreamRejectedError | InvalidOutputError):
            self._breakers.pop(name, None)
            return
        if failure.upstream_code == MODEL_DEPRECATED:
            self.deprecated.add(name)
        breaker = self._breakers.setdefault(name, _Breaker())
        breaker.failures += 1
        breaker.last = failure
        if breaker.failures >= _FAILURES:
            if breaker.open_until is None:
                self.opened[name] = self.opened.get(name, 0) + 1
            seconds = max(_OPEN_SECONDS, failure.retry_after_seconds or 0)
            breaker.open_until = self._monotonic() + min(seconds, _MAX_SECONDS)

    def states(self) -> list[tuple[str, bool]]:
        """Each model that has failed lately, and whether it is passed over."""
        return [(name, self.is_open(name)) for name in self._breakers]
