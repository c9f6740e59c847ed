"""What Cloudflare allows one invocation of the Worker: a request with the work after its answer, or
one run of the cron. Whatever a product of the tests does in an invocation counts for it, also in
the tasks that the invocation starts."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

from edgeneuro.controlplane.jobs import runner, schedule, training
from edgeneuro.controlplane.jobs.erasure import ErasureKind
from edgeneuro.controlplane.jobs.evaluation import EvaluationKind
from edgeneuro.domain.job import job_id_of
from edgeneuro.services import Services
from edgeneuro.store import database
from edgeneuro.store.database import Database, Rows, Statement
from tests.unit.clock import Clock

D1_QUERIES = 1_000  # of an invocation, on the paid plan; each statement of a batch is one
BACKGROUND_SECONDS = 30.0  # after the answer; then the runtime ends what waitUntil waits for
P = ParamSpec("P")
T = TypeVar("T")


class Invocation:
    def __init__(self) -> None:
        self.queries = 0
        self.ended = False

    async def end_after(
        self, seconds: float, clock: Clock, work: Coroutine[Any, Any, None]
    ) -> None:
        """Runs the work. Once the time is over it is cancelled and reaches the database no more, so
        that what it does to clean up has no effect: the runtime gives it no chance to."""
        task = asyncio.ensure_future(work)

        def end() -> None:
            self.ended = True
            task.cancel()

        self.ended = False
        with clock.alarm(seconds, end):
            try:
                await task
            except asyncio.CancelledError:
                if not self.ended:  # somebody else cancels the test
                    raise


_current: ContextVar[Invocation | None] = ContextVar("invocation", default=None)


@contextmanager
def invocation() -> Iterator[Invocation]:
    """All within is one invocation. Fails if it has made more queries of D1 than are allowed."""
    this = Invocation()
    before = _current.set(this)
    try:
        yield this
    finally:
        _current.reset(before)
    assert this.queries <= D1_QUERIES, f"{this.queries} queries of D1 in one invocation"


class CountedDatabase:
    """Another database, whose queries count for the invocation that makes them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self, one: Statement, /) -> Rows:
        _count(1)
        return await self._database.run(one)

    async def batch(self, statements: Sequence[Statement], /) -> list[Rows]:
        _count(len(statements))
        return await self._database.batch(statements)


def _count(queries: int) -> None:
    this = _current.get()
    if this is not None:
        if this.ended:
            raise asyncio.CancelledError
        this.queries += queries


def _invoked(call: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    async def within(*args: P.args, **kwargs: P.kwargs) -> T:
        with invocation():
            return await call(*args, **kwargs)

    return within


# What the cron runs, for the tests: each call is an invocation of its own.
run_scheduled = _invoked(schedule.run_scheduled)
run_queue = _invoked(schedule.run_queue)
run_maintenance = _invoked(schedule.run_maintenance)
delete_expired = _invoked(schedule.delete_expired)
run_first_slice = _invoked(training.run_first_slice)


@_invoked
async def run_erasures(services: Services) -> None:
    """What a run of the cron does for erasures alone."""
    counted = database.CountedDatabase(services.db)
    await runner.run_due(services.over(counted), counted, [ErasureKind()])


@_invoked
async def run_slice(
    services: Services,
    classifier_id: str,
    *,
    cost: int = training.SLICE_COST,
    max_labels: int = 50_000,
) -> None:
    """The next slice of a training."""
    kind = training.TrainingKind(cost=cost, max_labels=max_labels)
    await runner.run_slice(services, kind, job_id_of(classifier_id))


@_invoked
async def run_evaluation(services: Services, evaluation_id: str) -> bool:
    """The next slice of an evaluation."""
    return await runner.run_slice(services, EvaluationKind(), job_id_of(evaluation_id))
