"""The routing configuration that this isolate caches, and the revisions that it knows."""

from collections.abc import Callable

from edgeneuro.domain.routing import Revisions, RoutingConfig
from edgeneuro.errors import DatabaseError
from edgeneuro.isolate.metrics import Failures
from edgeneuro.settings import Settings
from edgeneuro.store.config import load_routing_config, read_revisions
from edgeneuro.store.database import Database

_REVISION_SECONDS = 5.0


class RoutingConfigCache:
    """The routing configuration and the revisions. One small read every few seconds checks whether
    they have changed."""

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
        # How many writes of our own there were, and how many of them the last finished read knows.
        self._writes = 0
        self._writes_read = 0

    async def current(self) -> RoutingConfig:
        """The configuration, at most seconds old; while D1 fails, the cached one. Raises
        DatabaseError if nothing is cached yet."""
        return (await self._current())[0]

    async def revisions(self) -> Revisions:
        """As old as `current`, and raises the same errors."""
        return (await self._current())[1]

    async def access_revision(self) -> int:
        return (await self.revisions()).access

    async def fresh(self) -> RoutingConfig:
        """The configuration in D1 now, which the control plane shows and checks against. Raises
        DatabaseError if D1 fails: an old configuration must not look like the current one."""
        return (await self._read())[0]

    def forget(self) -> None:
        """After a write of our own: a request that comes now reads D1, even while another request
        is reading it."""
        self._writes += 1

    async def _current(self) -> tuple[RoutingConfig, Revisions]:
        known, checked_at = self._known, self._checked_at
        if known is not None and checked_at is not None and self._writes_read == self._writes:
            if self._monotonic() - checked_at < _REVISION_SECONDS:
                return known
        try:
            return await self._read()
        except DatabaseError as error:
            self._failures.note("config_read", error)
            if self._known is None:
                raise
            return self._known

    async def _read(self) -> tuple[RoutingConfig, Revisions]:
        # Set before the read, so that concurrent requests use the cached one and do not read too.
        self._checked_at = self._monotonic()
        before, writes = self._known, self._writes
        try:
            known = await self._refreshed(before)
        finally:  # after a failure too: not every request must try D1 then
            self._writes_read = max(self._writes_read, writes)
        # Reads may finish out of order, and an older one must not replace a newer one. A lower
        # revision counts only if nothing else was read meanwhile (the database was restored).
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
