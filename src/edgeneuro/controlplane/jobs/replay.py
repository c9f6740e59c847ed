"""The job that runs a replay. First it decides the queries that need no call of a model, then it
calls models for the others, six at a time. Results are stored as they come, so a slice that is
killed loses only the queries that were being decided; the report is counted over what is stored."""

import asyncio
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from edgeneuro.classifier.model import InvalidModelError
from edgeneuro.controlplane.jobs.pacing import Pacer, failure_pause_ms
from edgeneuro.controlplane.jobs.runner import Lease, SliceOutcome
from edgeneuro.controlplane.proposals import propose
from edgeneuro.controlplane.replays.replayed_query import (
    Pipeline,
    ReplayedQuery,
    SharedModel,
    Side,
    logged_side,
    spent_usd,
)
from edgeneuro.domain.agent import NO_AGENT
from edgeneuro.domain.decision import CachedRanking
from edgeneuro.domain.job import JobKindName
from edgeneuro.domain.proposal import fingerprint_of_routers
from edgeneuro.domain.replay import MAX_TRIES, ProposedChanges, Replay
from edgeneuro.errors import ConflictError, InvalidRequestError
from edgeneuro.store import replays as store
from edgeneuro.store.answer_cache import DECISIONS
from edgeneuro.store.database import Row, Rows, Statement
from edgeneuro.store.jobs import MAX_FAILURES, error_text
from edgeneuro.store.replay_report import read_report
from edgeneuro.store.replays import ItemResult, ReplayItem, item_from_row
from edgeneuro.synapsecore.rankers.rule import after_rules
from edgeneuro.synapsecore.router import RoutingResult

# Longer than a slice takes, with the longest time budget of its last queries.
LEASE_MS = 150_000
_SLICE_MS = 20_000
_MAX_SLICES_PER_RUN = 8
_AT_A_TIME = 6  # a Worker has six connections
# A slice makes at most 50 queries of D1, which the free plan allows a request: 4 for each page, 2
# for six calls of models, and some 16 beside.
_PAGE = 50  # rows that are read at once: the runtime converts them in one piece
_MAX_PAGES = 4
_MAX_CALLED = 48
_MAX_ATTEMPTS = 30  # slices without a result
# Of each of the two steps with a query, beside its text, as the Pacer counts it: about 1 ms.
_WORK = 2_000


@dataclass(frozen=True, kw_only=True)
class ReplayKind:
    name: JobKindName = "replay"
    event: str = "replay"
    resource: str = "replay"
    lease_ms: int = LEASE_MS
    slices_per_run: int = _MAX_SLICES_PER_RUN
    max_attempts: int = _MAX_ATTEMPTS
    max_failures: int = MAX_FAILURES

    async def run_slice(self, lease: Lease) -> SliceOutcome:
        found = await store.find_replay(lease.services.db, lease.job.resource_id)
        assert found is not None  # its job goes with it
        return await _Slice(lease, found).run()

    async def exhausted(self, lease: Lease) -> SliceOutcome:
        return _failed(
            f"{self.max_attempts} slices in a row came to nothing, because no model answered. Start"
            " another replay once one does"
        )

    def clean_up(self, resource_id: str) -> Sequence[Statement]:
        return ()  # what was decided stays


class _EndedError(Exception):
    """The replay has to end; the text is its error."""


@dataclass(frozen=True)
class _Waiting:
    """A query for which a model is needed; `before` is the decision of the log, or the query on
    its way through the present configuration."""

    item: ReplayItem
    truth: str | None
    before: Side | ReplayedQuery
    after: ReplayedQuery

    @property
    def bound_usd(self) -> float:
        before = 0.0 if isinstance(self.before, Side) else self.before.bound_usd
        return before + self.after.bound_usd

    def cache_keys(self) -> set[str]:
        """Of what the models would be asked."""
        sides = (self.before, self.after)
        turns = [after_rules(each.turn) for each in sides if isinstance(each, ReplayedQuery)]
        return {turn.cache_key for turn in turns}


class _Slice:
    def __init__(self, lease: Lease, stored: store.StoredReplay) -> None:
        services = lease.services
        self._lease = lease
        self._services = services
        self._replay: Replay = stored.replay
        self._basis = stored.basis
        self._ends_at = services.now_ms() + _SLICE_MS
        self._pacer = Pacer(services.sleep)
        self._left_to_call = _MAX_CALLED
        self._advanced = False
        self._failed_at_once = False
        self._agents: Set[str] = frozenset()  # enabled on either side, and "none"
        self._done = 0
        self._spent_usd = 0.0

    async def run(self) -> SliceOutcome:
        try:
            before, after = await self._pipelines()
            return await self._run(before, after)
        except _EndedError as error:
            return _failed(str(error))
        except InvalidModelError as error:
            return _failed(f"a classifier cannot be used: {error}")

    async def _run(self, before: Pipeline | None, after: Pipeline) -> SliceOutcome:
        db, replay_id = self._services.db, self._replay.id
        tries, self._done, self._spent_usd = await store.read_state(db, replay_id)
        if tries is None:
            return await self._succeeded()
        for _ in range(_MAX_PAGES):
            rows = await store.next_items(db, replay_id, tries=tries, limit=_PAGE)
            if not rows:
                await self._lease.write(store.delete_orphans(replay_id))
                left = (await store.read_state(db, replay_id))[0]
                if left is None:
                    return await self._succeeded()
                return self._paused(failure_pause_ms())  # what failed is tried again later
            if not await self._run_page(rows, before, after):
                pause_ms = failure_pause_ms(self._lease.job.attempts) if self._failed_at_once else 0
                return self._paused(pause_ms)
        return self._paused(0)

    def _paused(self, pause_ms: int) -> SliceOutcome:
        return SliceOutcome(pause_ms=pause_ms, advanced=self._advanced, done=self._done)

    async def _succeeded(self) -> SliceOutcome:
        report = await read_report(self._services.db, self._replay.id)
        stored = store.store_report(self._replay.id, report)
        return SliceOutcome(state="succeeded", statements=[stored])

    async def _pipelines(self) -> tuple[Pipeline | None, Pipeline]:
        """The present one, if that is compared with, and the proposed one. Raises _EndedError."""
        services, replay = self._services, self._replay
        # What this isolate keeps may be older than the replay.
        config = await services.routing.fresh()
        proposal = ProposedChanges.model_validate(replay.changes).proposal()
        try:
            proposed = await propose(services, config, proposal)
        except (InvalidRequestError, ConflictError) as error:
            raise _EndedError(f"the changes cannot be tried any more: {error}") from error
        as_begun = (self._basis["present"], self._basis["proposed"])
        if (fingerprint_of_routers(config), fingerprint_of_routers(proposed)) != as_begun:
            raise _EndedError("the configuration has changed since it began; start another one")
        self._agents = config.agents.keys() | proposed.agents.keys() | {NO_AGENT}
        settings = proposal.setting_values
        present = None
        if replay.baseline == "current":
            present = Pipeline(services, config, settings)
        return present, Pipeline(services, proposed, settings)

    async def _run_page(self, rows: Rows, before: Pipeline | None, after: Pipeline) -> bool:
        """Whether the slice may continue with another page."""
        results: list[ItemResult] = []
        pairs: list[_Waiting] = []
        keys: set[str] = set()
        for row in rows:
            pair = await self._pair(row, before, after)
            if isinstance(pair, ItemResult):
                results.append(pair)
            else:
                pairs.append(pair)
                keys |= pair.cache_keys()
            await self._pacer.spend(_WORK + len(row["query"]))
        # Rankings of D1's cache for what models would be asked.
        cached = await DECISIONS.read_many(
            self._services.db, sorted(keys), now_ms=self._services.now_ms()
        )
        waiting: list[_Waiting] = []
        for pair in pairs:
            result = await _without_model(pair, cached)
            if result is not None:
                results.append(result)
            elif self._fits_budget([], pair):
                waiting.append(pair)
            else:
                results.append(_left_out(pair.item.entry.id, "budget"))
            await self._pacer.spend(_WORK + len(pair.item.entry.query))
        await self._record(results)
        while waiting:
            if self._services.now_ms() >= self._ends_at or self._left_to_call <= 0:
                return False
            group = self._next_group(waiting)
            if not group:
                await self._record([_left_out(each.item.entry.id, "budget") for each in waiting])
                return True
            if not await self._call(group, cached):
                self._failed_at_once = True
                return False
        return self._services.now_ms() < self._ends_at

    async def _pair(
        self, row: Row, before: Pipeline | None, after: Pipeline
    ) -> "_Waiting | ItemResult":
        """A result if the query is left out."""
        try:
            item = item_from_row(row)
        except (ValueError, TypeError, KeyError):
            return _left_out(row["id"], "unreadable")
        query = await after.query(item, id=self._replay.id)
        if query is None:
            return _left_out(item.entry.id, "no_agents")
        # A label of an agent that is enabled on neither side says nothing about them.
        truth = item.label if item.label in self._agents else None
        if before is None:
            return _Waiting(item, truth, logged_side(item, truth), query)
        query_before = await before.query(item, id=self._replay.id)
        if query_before is None:
            return _left_out(item.entry.id, "no_agents")
        return _Waiting(item, truth, query_before, query)

    def _fits_budget(self, others: Sequence[_Waiting], pair: _Waiting) -> bool:
        most = self._replay.max_cost_usd
        if most is None:
            return True
        bound = sum(each.bound_usd for each in (*others, pair))
        return self._spent_usd + bound <= most

    def _next_group(self, waiting: list[_Waiting]) -> list[_Waiting]:
        """Takes the next queries whose calls fit into the budget together."""
        group: list[_Waiting] = []
        while waiting and len(group) < _AT_A_TIME and self._fits_budget(group, waiting[0]):
            group.append(waiting.pop(0))
        return group

    async def _call(self, group: Sequence[_Waiting], cached: Mapping[str, CachedRanking]) -> bool:
        """Whether any of them came to something."""
        self._left_to_call -= len(group)
        results = await asyncio.gather(*(_with_model(pair, cached) for pair in group))
        advanced = any(each.tries != 1 for each in results)
        await self._record(results, advanced=advanced)
        return advanced

    async def _record(self, results: Sequence[ItemResult], *, advanced: bool = True) -> None:
        """Slices without a result are counted until one has `advanced`."""
        if not results:
            return
        self._done += sum(each.state != "open" for each in results)
        self._spent_usd += sum(each.spent_usd for each in results)
        stored = store.record_results(self._replay.id, results)
        await self._lease.advance(stored, advanced=advanced, done=self._done)
        self._advanced |= advanced


async def _without_model(pair: _Waiting, cached: Mapping[str, CachedRanking]) -> ItemResult | None:
    before = pair.before
    if isinstance(before, ReplayedQuery):
        decided = await before.decide_without_model(cached, pair.truth)
        if decided is None:
            return None
        before = decided
    after = await pair.after.decide_without_model(cached, pair.truth)
    return None if after is None else _done(pair, before, after)


async def _with_model(pair: _Waiting, cached: Mapping[str, CachedRanking]) -> ItemResult:
    model, made = SharedModel(), list[RoutingResult]()
    before = pair.before
    if isinstance(before, ReplayedQuery):
        before, result = await before.decide(cached, model, pair.truth)
        made.append(result)
    after, result = await pair.after.decide(cached, model, pair.truth)
    made.append(result)
    return _done(pair, before, after, made)


def _done(
    pair: _Waiting, before: Side, after: Side, made: Sequence[RoutingResult] = ()
) -> ItemResult:
    item = pair.item
    failed = next((side for side in (before, after) if side.failure is not None), None)
    calls = sum(
        attempt.outcome != "circuit_open" for result in made for attempt in result.call.attempts
    )
    cost_usd = spent_usd(made)
    if failed is not None:
        tries = 1 if failed.retryable else MAX_TRIES
        again = item.tries + tries < MAX_TRIES
        return ItemResult(
            log_id=item.entry.id,
            state="open" if again else "failed",
            tries=tries,
            reason=failed.failure,
            calls=calls,
            spent_usd=cost_usd,
        )
    return ItemResult(
        log_id=item.entry.id,
        state="done",
        label=pair.truth,
        before=before.decided,
        after=after.decided,
        before_model=before.by_model,
        after_model=after.by_model,
        before_cost=before.cost_usd,
        after_cost=after.cost_usd,
        origin=after.origin,
        calls=calls,
        spent_usd=cost_usd,
    )


def _left_out(log_id: str, reason: str) -> ItemResult:
    return ItemResult(log_id=log_id, state="left_out", reason=reason)


def _failed(error: str) -> SliceOutcome:
    return SliceOutcome(state="failed", advanced=False, error=error_text("replay_failed", error))
