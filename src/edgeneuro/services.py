"""What every handler and stage works with: the seams to the outside, and what the isolate keeps."""

import json
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Generic, Literal, TypeVar

from edgeneuro.classifier.reading import Reading
from edgeneuro.classifier.scorer import Scorer
from edgeneuro.domain.chat_answer import KeptAnswer
from edgeneuro.domain.decision import Answer
from edgeneuro.domain.routing import Revisions, RoutingConfig
from edgeneuro.errors import DatabaseError
from edgeneuro.gateway.agents.agent_endpoint import AgentEndpoints
from edgeneuro.gateway.breaker import Breakers
from edgeneuro.gateway.chain import Chain
from edgeneuro.gateway.finetunes import Finetune, FinetuneClient
from edgeneuro.gateway.seam import Gateway
from edgeneuro.identity import Identity, RateLimiter
from edgeneuro.kept_classifier import KeptClassifier
from edgeneuro.metrics import Metrics
from edgeneuro.settings import Settings
from edgeneuro.store.config import read_revisions
from edgeneuro.store.database import Database
from edgeneuro.store.routing import load_routing_config

_REVISION_KEPT_SECONDS = 5.0
_ANSWERS_KEPT = 1_000
_LOOKS_EVERY_SECONDS = 0.005
_READINGS_KEPT = 2_500  # of some 1.3 KB: the label queue's window
_CHATS_KEPT = 200  # of at most 64 KB
Value = TypeVar("Value")


class Failures:
    """What went wrong without anybody's answer failing: counted for /metrics, and told to the
    Worker's log as one JSON line."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def note(self, what: str, error: Exception) -> None:
        self.counts[what] += 1
        print(json.dumps({"level": "error", "event": what, "error": str(error)[:1000]}))


class SteadyClock:
    """Seconds for durations, out of a clock that may be set back: that counts as no time. In
    Workers all clocks are one, and it is the wall's."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last = clock()
        self._passed = 0.0

    def __call__(self) -> float:
        now = self._clock()
        self._passed += max(0.0, now - self._last)
        self._last = now
        return self._passed


class ExpiringLru(Generic[Value]):
    """The last `size` values by key, each until its own time (unix ms)."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[str, tuple[Value, int]] = OrderedDict()

    def get(self, key: str, *, now_ms: int) -> Value | None:
        found = self._kept.get(key)
        if found is None:
            return None
        value, expires_at_ms = found
        if expires_at_ms <= now_ms:
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return value

    def put(self, key: str, value: Value, *, expires_at_ms: int) -> None:
        self._kept[key] = (value, expires_at_ms)
        self._kept.move_to_end(key)
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)

    def clear(self) -> None:
        self._kept.clear()


@dataclass(frozen=True)
class CachedAnswer:
    """A model's answer in this isolate's memory: the revision of the labels by which it was found
    there, and the classifier that was asked before and was not sure; None if none was asked."""

    answer: Answer
    labels: int
    classifier: str | None


@dataclass(frozen=True)
class CurrentLabel:
    """What was read of a question's label at a revision of the labels; `agent_id` null says that no
    agent fits."""

    labels: int
    is_there: bool
    agent_id: str | None


@dataclass
class _Flight:
    landed: bool = False
    result: Any = None


class InFlight:
    """What is being made right now, by key, so that several who want the same make it once. Those
    who wait look again every few milliseconds: a request in Workers may not be woken by another
    one, and the one that it waits for may go away without a word."""

    def __init__(
        self, monotonic: Callable[[], float], sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self._monotonic = monotonic
        self._sleep = sleep
        self._flights: dict[str, _Flight] = {}

    async def share(
        self, key: str, make: Callable[[], Awaitable[Value]], *, seconds: float
    ) -> tuple[Value, bool]:
        """What `make` came to, and whether it was ours. Who has waited for so many seconds in vain
        makes it himself."""
        flight = self._flights.get(key)
        if flight is not None:
            until = self._monotonic() + seconds
            while not flight.landed and self._monotonic() < until:
                await self._sleep(_LOOKS_EVERY_SECONDS)
            if flight.landed and flight.result is not None:
                return flight.result, False
        ours = self._flights[key] = _Flight()
        try:
            ours.result = await make()
        finally:
            ours.landed = True
            if self._flights.get(key) is ours:
                del self._flights[key]
        return ours.result, True


class KeptRouting:
    """This isolate's cache of the routing configuration, and the revisions that it knows of. One
    small read every few seconds tells whether they are still true."""

    def __init__(
        self,
        db: Database,
        settings: Settings,
        *,
        monotonic: Callable[[], float],
        failures: Failures,
    ) -> None:
        self._db = db
        self._settings = settings
        self._monotonic = monotonic
        self._failures = failures
        self._known: tuple[RoutingConfig, Revisions] | None = None
        self._checked_at: float | None = None

    async def current(self) -> RoutingConfig:
        """The configuration, seconds old at most; while D1 fails, the one that is cached. Raises
        DatabaseError if nothing is cached yet."""
        return (await self._current())[0]

    async def revisions(self) -> Revisions:
        """As old as `current`, and raises as it does."""
        return (await self._current())[1]

    async def access_revision(self) -> int:
        return (await self.revisions()).access

    async def fresh(self) -> RoutingConfig:
        """As it is in D1 now: what the control plane shows and checks against. Raises DatabaseError
        if D1 fails, because an old configuration must not pass for the present one."""
        return (await self._read())[0]

    def forget(self) -> None:
        """After a write of our own: the next request reads again."""
        self._checked_at = None

    async def _current(self) -> tuple[RoutingConfig, Revisions]:
        known, checked_at = self._known, self._checked_at
        if known is not None and checked_at is not None:
            if self._monotonic() - checked_at < _REVISION_KEPT_SECONDS:
                return known
        try:
            return await self._read()
        except DatabaseError as error:
            self._failures.note("config_read", error)
            if self._known is None:
                raise
            return self._known

    async def _read(self) -> tuple[RoutingConfig, Revisions]:
        # Before the read, so that simultaneous requests use the cached one instead of reading too.
        self._checked_at = self._monotonic()
        before = self._known
        known = await self._refreshed(before)
        # Reads may overtake each other: an older one must not bring back what was before. A lower
        # number counts only if nothing else was read meanwhile (the database was restored).
        if self._known is before or self._known is None or known[1] >= self._known[1]:
            self._known = known
        return self._known

    async def _refreshed(
        self, known: tuple[RoutingConfig, Revisions] | None
    ) -> tuple[RoutingConfig, Revisions]:
        if known is not None:
            config, revisions = known[0], await read_revisions(self._db)
            if revisions.routing == config.revision:
                return config, revisions
        return await load_routing_config(self._db, self._settings)


@dataclass(frozen=True, kw_only=True)
class Services:
    """`now` gives unix seconds, `monotonic` seconds for durations, `sleep` waits for so many,
    `new_id(prefix)` gives a new id whose order is the order in time, `new_secret()` 40 random
    characters, `new_hex(n)` n random bytes as hex digits, `secret(name)` the value of a Worker
    secret. A stream that is silent for `stream_silence_seconds` sends a comment. The last ones are
    what this isolate learned: answers, labels, answers of chats, Workers AI's list of finetunes or
    why it could not be read, what the newest classifier makes of the questions in the label queue,
    that classifier, and base models that turned out to have no JSON mode."""

    settings: Settings
    db: Database
    gateway: Gateway
    finetunes: FinetuneClient
    endpoints: AgentEndpoints
    rate_limiter: RateLimiter | None
    routing: KeptRouting
    identity: Identity
    failures: Failures
    now: Callable[[], float]
    monotonic: Callable[[], float]
    new_id: Callable[[str], str]
    new_secret: Callable[[], str]
    new_hex: Callable[[int], str]
    sleep: Callable[[float], Awaitable[None]]
    secret: Callable[[str], str | None] = lambda name: None
    stream_silence_seconds: float = 5.0
    recent_answers: ExpiringLru[CachedAnswer] = field(
        default_factory=lambda: ExpiringLru(_ANSWERS_KEPT)
    )
    recent_labels: ExpiringLru[CurrentLabel] = field(
        default_factory=lambda: ExpiringLru(_ANSWERS_KEPT)
    )
    recent_chats: ExpiringLru[KeptAnswer] = field(default_factory=lambda: ExpiringLru(_CHATS_KEPT))
    recent_finetunes: ExpiringLru[list[Finetune] | str] = field(
        default_factory=lambda: ExpiringLru(1)
    )
    recent_readings: ExpiringLru[Reading] = field(
        default_factory=lambda: ExpiringLru(_READINGS_KEPT)
    )
    recent_scorers: ExpiringLru[Scorer] = field(default_factory=lambda: ExpiringLru(1))
    without_json_mode: set[str] = field(default_factory=set)
    metrics: Metrics = field(default_factory=Metrics)

    @cached_property
    def classifier(self) -> KeptClassifier:
        return KeptClassifier(self.db, monotonic=self.monotonic, note_failure=self.failures.note)

    @cached_property
    def breakers(self) -> Breakers:
        return Breakers(self.monotonic)

    @cached_property
    def in_flight(self) -> InFlight:
        return InFlight(self.monotonic, self.sleep)

    def over(self, db: Database) -> "Services":
        """The same isolate with all it has learned, over another view of its database."""
        other = replace(self, db=db)
        for name in ("classifier", "breakers", "in_flight"):
            other.__dict__[name] = getattr(self, name)  # made once an isolate
        return other

    def now_ms(self) -> int:
        return round(self.now() * 1000)

    def new_chain(
        self, config: RoutingConfig, *, purpose: Literal["route", "chat"], budget_ms: int
    ) -> Chain:
        self.breakers.at_revision(config.revision)
        return Chain(
            self.breakers,
            purpose=purpose,
            budget_ms=budget_ms,
            max_retries=config.max_retries,
            monotonic=self.monotonic,
            sleep=self.sleep,
        )
