"""Circuit breakers, one for each model in an isolate: after too many failures the breaker is open
and the model is not called for a while. Then one request tries the model before the others do. If
that fails as well, the while is twice as long: a short outage is over soon, and a long one costs
few requests their time."""

from collections.abc import Callable
from dataclasses import dataclass

from edgeneuro.errors import InvalidOutputError, UpstreamError, UpstreamRejectedError
from edgeneuro.gateway.upstream_errors import MODEL_DEPRECATED

_FAILURES = 5  # in a row
_FIRST_OPEN_SECONDS = 5.0
_OPEN_SECONDS = 30.0  # at most, where no Retry-After asks for more
_MAX_SECONDS = 300.0  # however long a Retry-After asks for


@dataclass
class _Breaker:
    """`open_until` is None while the breaker is closed; else the time (monotonic seconds) from
    which one request may try the model. `is_tried`: one does, or did without an outcome."""

    failures: int = 0
    last: UpstreamError | None = None
    open_until: float | None = None
    open_seconds: float = _FIRST_OPEN_SECONDS
    is_tried: bool = False


class Breakers:
    """`opened` counts how often each model's breaker has opened; `deprecated` has the models that
    the upstream reported as no longer served."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._breakers: dict[str, _Breaker] = {}
        self._revision: int | None = None
        self.opened: dict[str, int] = {}
        self.deprecated: set[str] = set()

    def at_revision(self, revision: int) -> None:
        """Closes all breakers when the configuration has changed: the cause may be fixed. A chain
        that still uses an older configuration changes nothing."""
        if self._revision is None or revision > self._revision:
            self._revision = revision
            self._breakers.clear()
            self.deprecated.clear()

    def refusal(self, name: str) -> UpstreamError | None:
        """The error to raise instead of a call, if the breaker is open; None if the request may
        call the model."""
        breaker = self._breakers.get(name)
        if breaker is None or breaker.open_until is None or breaker.last is None:
            return None
        now = self._monotonic()
        if now >= breaker.open_until:
            # This request tries the model. The breaker stays open for the others until it is done.
            breaker.open_until = now + _OPEN_SECONDS
            breaker.is_tried = True
            return None
        return type(breaker.last)(
            f"The circuit breaker of {name} is open, since it failed {breaker.failures} times in a"
            f" row: {breaker.last.message}",
            upstream_code=breaker.last.upstream_code,
            headers={"retry-after": str(max(1, round(breaker.open_until - now)))},
        )

    def is_open(self, name: str) -> bool:
        """Whether the breaker is open. Does not let a request try the model."""
        breaker = self._breakers.get(name)
        return breaker is not None and breaker.open_until is not None

    def note(self, name: str, failure: UpstreamError | None) -> None:
        """The outcome of a call. A model that answers works, whatever the answer is."""
        answered = UpstreamRejectedError | InvalidOutputError
        if failure is None or failure.model_works or isinstance(failure, answered):
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
            if breaker.is_tried:
                breaker.open_seconds = min(2 * breaker.open_seconds, _OPEN_SECONDS)
                breaker.is_tried = False
            seconds = max(breaker.open_seconds, failure.retry_after_seconds or 0)
            breaker.open_until = self._monotonic() + min(seconds, _MAX_SECONDS)

    def states(self) -> list[tuple[str, bool]]:
        """Each model that failed lately, and whether its breaker is open."""
        return [(name, self.is_open(name)) for name in self._breakers]
