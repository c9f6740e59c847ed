"""The runner of jobs with a kind whose slices the test scripts, and jobs over the API."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from edgeneuro.app.application import build_app
from edgeneuro.controlplane.jobs.runner import (
    MAX_QUERIES_BEFORE_A_SLICE,
    JobKind,
    Lease,
    LostLeaseError,
    SliceOutcome,
    run_due,
    run_slice,
)
from edgeneuro.domain.job import JobKindName
from edgeneuro.errors import ConstraintError
from edgeneuro.services import Services
from edgeneuro.settings import Settings
from edgeneuro.store.database import CountedDatabase, Statement, statement
from edgeneuro.store.jobs import MAX_FAILURES, error_text
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.conftest import Product
from tests.unit.invocations import run_queue, run_scheduled
from tests.unit.test_classifier_jobs import Killed
from tests.unit.test_evaluations import Models, begin, label, made
from tests.unit.test_keys import create as create_key
from tests.unit.trainings import minute

Step = Callable[[Lease], Awaitable[SliceOutcome] | SliceOutcome]
NOTE = "INSERT INTO notes VALUES (?1)"


@dataclass
class Scripted:
    """Its slices do what `steps` say, the last one again and again."""

    steps: list[Step]
    name: JobKindName = "training"
    event: str = "scripted"
    resource: str = "thing"
    lease_ms: int = 10_000
    slices_per_run: int = 100
    max_attempts: int = 3
    max_failures: int = MAX_FAILURES
    ran: list[str] = field(default_factory=list)
    leases: list[Lease] = field(default_factory=list)

    async def run_slice(self, lease: Lease) -> SliceOutcome:
        self.ran.append(lease.job.id)
        self.leases.append(lease)
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        outcome = step(lease)
        return outcome if isinstance(outcome, SliceOutcome) else await outcome

    async def exhausted(self, lease: Lease) -> SliceOutcome:
        return SliceOutcome(state="failed", error=error_text("exhausted", "It never ended."))

    def clean_up(self, resource_id: str) -> Sequence[Statement]:
        return [statement(NOTE, f"cleaned {resource_id}")]


def done(lease: Lease) -> SliceOutcome:
    return SliceOutcome(state="succeeded")


def onwards(lease: Lease) -> SliceOutcome:
    return SliceOutcome()


def broken(lease: Lease) -> SliceOutcome:
    raise ZeroDivisionError("division by zero")


def add(product: Product, name: str, kind: str = "training", *, updated: int = 0) -> str:
    product.execute(
        "INSERT INTO jobs (id, kind, resource_id, state, created_at, updated_at)"
        f" VALUES ('job_{name}', '{kind}', 'res_{name}', 'queued', 0, {updated})"
    )
    return f"job_{name}"


def job(product: Product, job_id: str) -> dict[str, Any]:
    return product.rows(f"SELECT * FROM jobs WHERE id = '{job_id}'")[0]


def notes(product: Product) -> list[str]:
    return [row["text"] for row in product.rows("SELECT text FROM notes")]


async def run(product: Product, *kinds: JobKind) -> bool:
    counted = CountedDatabase(product.services.db)
    return await run_due(product.services.over(counted), counted, kinds)


@pytest.fixture
def product(empty_product: Product) -> Product:
    empty_product.execute("CREATE TABLE notes (text TEXT)")
    return empty_product


# Leases


async def test_a_slice_stores_what_it_came_to(product: Product) -> None:
    job_id = add(product, "one")

    def first(lease: Lease) -> SliceOutcome:
        noted = statement(NOTE, "first")
        return SliceOutcome(statements=[noted], checkpoint='{"at": 1}', done=1, total=2)

    kind = Scripted([first, done])
    assert await run_slice(product.services, kind, job_id)
    found = job(product, job_id)
    assert (found["state"], found["checkpoint"], found["lease_until"]) == (
        "running",
        '{"at": 1}',
        0,
    )
    assert (found["done"], found["total"], found["attempts"], notes(product)) == (
        1,
        2,
        0,
        ["first"],
    )
    assert not await run_slice(product.services, kind, job_id)
    assert kind.leases[1].job.checkpoint == '{"at": 1}'
    found = job(product, job_id)
    assert (found["state"], found["done"], found["ended_at"] > 0) == ("succeeded", 2, True)


async def test_one_run_at_a_time_has_a_lease(product: Product) -> None:
    job_id = add(product, "one")

    async def meanwhile(lease: Lease) -> SliceOutcome:
        other = Scripted([done])
        assert not await run_slice(product.services, other, job_id)
        assert other.ran == []
        return SliceOutcome(state="succeeded")

    await run_slice(product.services, Scripted([meanwhile]), job_id)
    assert job(product, job_id)["state"] == "succeeded"


async def test_who_has_lost_the_lease_writes_nothing(product: Product) -> None:
    """The lease ended, and another run has acquired the job."""
    job_id = add(product, "one")
    lost: list[bool] = []

    async def slow(lease: Lease) -> SliceOutcome:
        product.clock.seconds += 11
        await run_slice(product.services, Scripted([onwards]), job_id)
        for write in (
            lease.write(statement(NOTE, "write")),
            lease.advance(statement(NOTE, "advance"), checkpoint="{}"),
        ):
            with pytest.raises(LostLeaseError):
                await write
            lost.append(True)
        return SliceOutcome(state="failed", statements=[statement(NOTE, "outcome")])

    await run_slice(product.services, Scripted([slow]), job_id)
    assert (len(lost), notes(product)) == (2, [])
    found = job(product, job_id)
    assert (found["state"], found["failures"], found["error"]) == ("running", 0, None)
    assert product.failures.counts == {}


async def test_a_constraint_of_the_kind_is_a_failure_and_no_lost_lease(product: Product) -> None:
    job_id = add(product, "one")
    product.execute("CREATE UNIQUE INDEX notes_text ON notes (text)")

    async def twice(lease: Lease) -> SliceOutcome:
        with pytest.raises(ConstraintError):
            await lease.write(statement(NOTE, "same"), statement(NOTE, "same"))
        return SliceOutcome(statements=[statement(NOTE, "same"), statement(NOTE, "same")])

    await run_slice(product.services, Scripted([twice]), job_id)
    assert job(product, job_id)["failures"] == 1
    assert notes(product) == []


async def test_a_slice_that_is_killed_is_run_again_once_its_lease_has_ended(
    product: Product,
) -> None:
    job_id = add(product, "one")

    def killed(lease: Lease) -> SliceOutcome:
        raise Killed

    kind = Scripted([killed, done])
    with pytest.raises(Killed):
        await run_slice(product.services, kind, job_id)
    assert not await run(product, kind)
    assert (len(kind.ran), job(product, job_id)["attempts"]) == (1, 1)
    product.clock.seconds += 10
    await run(product, kind)
    assert job(product, job_id)["state"] == "succeeded"


async def test_a_job_whose_slices_are_killed_again_and_again_ends(product: Product) -> None:
    job_id = add(product, "one")

    def killed(lease: Lease) -> SliceOutcome:
        raise Killed

    kind = Scripted([killed])
    for _ in range(kind.max_attempts):
        with pytest.raises(Killed):
            await run_slice(product.services, kind, job_id)
        product.clock.seconds += 10
    await run_slice(product.services, kind, job_id)
    found = job(product, job_id)
    assert (found["state"], len(kind.ran)) == ("failed", 3)
    assert "It never ended." in found["error"]


# Failures


async def test_a_job_that_fails_is_retried_later_and_set_aside_in_the_end(
    product: Product,
) -> None:
    bad, good = add(product, "bad"), add(product, "good")

    def by_job(lease: Lease) -> SliceOutcome:
        return broken(lease) if lease.job.id == bad else done(lease)

    kind = Scripted([by_job], max_attempts=100)
    pauses = []
    while job(product, bad)["state"] != "failed":
        await run(product, kind)
        found = job(product, bad)
        assert found["lease_until"] == 0
        pauses.append((found["run_after"] - product.services.now_ms()) / 60_000)
        await run(product, kind)
        assert product.failures.counts["scripted"] == len(pauses), "not before its time"
        product.clock.seconds += 60 * pauses[-1]
    assert pauses[:-1] == [1, 2, 4, 8]
    assert job(product, good)["state"] == "succeeded"
    found = job(product, bad)
    assert (found["failures"], found["ended_at"] > 0) == (MAX_FAILURES, True)
    assert "ZeroDivisionError: division by zero" in found["error"]
    assert notes(product) == ["cleaned res_bad"]


async def test_a_pause_and_an_attempt_in_vain_are_kept(product: Product) -> None:
    job_id = add(product, "one")
    error = error_text("busy", "The vendor is busy.")

    def in_vain(lease: Lease) -> SliceOutcome:
        return SliceOutcome(pause_ms=5_000, advanced=False, error=error)

    kind = Scripted([in_vain, in_vain, onwards, done], slices_per_run=1)
    for attempts in (1, 2):
        await run(product, kind)
        await run(product, kind)
        found = job(product, job_id)
        assert (found["attempts"], found["failures"], found["error"]) == (attempts, 0, error)
        product.clock.seconds += 5
    await run(product, kind)
    assert (job(product, job_id)["attempts"], job(product, job_id)["error"]) == (0, None)


# Which job runs when


async def test_kinds_take_turns_and_the_job_that_waited_longest_is_first(product: Product) -> None:
    for number in range(15):
        add(product, f"t{number:02}", updated=number)
    add(product, "e0", "evaluation", updated=100)
    add(product, "e1", "evaluation", updated=50)
    order: list[str] = []

    def note(lease: Lease) -> SliceOutcome:
        order.append(lease.job.id.removeprefix("job_"))
        return done(lease)

    await run(product, Scripted([note]), Scripted([note], name="evaluation"))
    assert order[:5] == ["t00", "e1", "t01", "e0", "t02"]
    assert len(order) == 17


async def test_each_job_has_one_slice_before_any_has_two(product: Product) -> None:
    add(product, "a"), add(product, "b", "evaluation", updated=1)
    order: list[str] = []

    def note(lease: Lease) -> SliceOutcome:
        order.append(lease.job.id)
        product.clock.seconds += 0.001
        return onwards(lease)

    kinds = (
        Scripted([note], slices_per_run=2),
        Scripted([note], name="evaluation", slices_per_run=3),
    )
    assert await run(product, *kinds), "there is more to do"
    assert order == ["job_a", "job_b", "job_a", "job_b", "job_b"]


async def test_no_second_slice_begins_when_the_next_run_is_due(product: Product) -> None:
    add(product, "a"), add(product, "b", updated=1)

    def slow(lease: Lease) -> SliceOutcome:
        product.clock.seconds += 30
        return onwards(lease)

    kind = Scripted([slow], lease_ms=100_000)
    assert await run(product, kind)
    assert kind.ran == ["job_a", "job_b"]


async def test_no_slice_begins_with_too_few_queries_left(product: Product) -> None:
    add(product, "a"), add(product, "b", updated=1)

    async def reads(lease: Lease) -> SliceOutcome:
        for _ in range(MAX_QUERIES_BEFORE_A_SLICE):
            await lease.services.db.run(statement("SELECT 1"))
        return SliceOutcome(state="succeeded")

    kind = Scripted([reads])
    assert await run(product, kind)
    assert kind.ran == ["job_a"]
    assert not await run(product, kind)
    assert kind.ran == ["job_a", "job_b"]


async def test_a_job_of_an_unknown_kind_waits(product: Product) -> None:
    """A newer version has stored it."""
    product.execute(
        "INSERT INTO jobs (id, kind, resource_id, state, created_at, updated_at)"
        " VALUES ('job_x', 'of_a_newer_version', 'x', 'queued', 0, 0)"
    )
    assert not await run(product, Scripted([done]))
    await minute(product)
    assert job(product, "job_x")["state"] == "queued"
    assert product.failures.counts == {}


# The job queue


class Messages:
    def __init__(self) -> None:
        self.sent = 0
        self.failing = False

    async def send(self) -> None:
        if self.failing:
            raise OSError("The queue cannot be reached.")
        self.sent += 1


def with_queue(product: Product) -> tuple[Services, Messages]:
    messages = Messages()
    product.services = replace(product.services, job_queue=messages)
    product.app = build_app(product.services)
    return product.services, messages


@pytest.fixture
async def evaluating(database: SqliteDatabase, settings: Settings) -> Product:
    product = await made(database, settings)
    await label(product, 2)
    return product


async def test_a_new_job_wakes_the_queue_whose_consumer_runs_it(evaluating: Product) -> None:
    services, messages = with_queue(evaluating)
    begun = (await begin(evaluating)).json()
    assert messages.sent == 1
    path = f"/v1/evaluations/{begun['id']}"
    assert (await evaluating.call("GET", path)).json()["state"] == "queued"
    await run_queue(services)
    assert (await evaluating.call("GET", path)).json()["state"] == "succeeded"
    assert messages.sent == 1, "there is nothing more to do"


async def test_the_consumer_asks_for_another_run_while_there_is_more_to_do(
    evaluating: Product,
) -> None:
    services, messages = with_queue(evaluating)
    await begin(evaluating)
    gateway = evaluating.gateway
    assert isinstance(gateway, Models)
    answer = gateway.answer

    def slowly(model: str, query: str) -> Any:
        evaluating.clock.seconds += 15
        return answer(model, query)

    gateway.answer = slowly
    runs = 0
    while messages.sent > runs:
        runs += 1
        await run_queue(services)
    assert runs > 1
    [found] = (await evaluating.call("GET", "/v1/evaluations")).json()["data"]
    assert found["state"] == "succeeded"


async def test_a_queue_that_fails_leaves_the_job_to_the_cron(evaluating: Product) -> None:
    services, messages = with_queue(evaluating)
    messages.failing = True
    assert (await begin(evaluating)).status == 202
    assert evaluating.failures.counts == {"job_queue": 1}
    await run_scheduled(services, "* * * * *")
    [found] = (await evaluating.call("GET", "/v1/evaluations")).json()["data"]
    assert found["state"] == "succeeded"


# Jobs over the API


async def test_jobs_are_listed_and_read(evaluating: Product) -> None:
    evaluation = (await begin(evaluating)).json()
    created = await evaluating.call("POST", "/v1/classifiers", {"target": 0.9})
    assert created.status == 202
    listed = (await evaluating.call("GET", "/v1/jobs")).json()["data"]
    assert [each["kind"] for each in listed] == ["training", "evaluation"]
    found = listed[1]
    assert found == {
        "object": "job",
        "id": "job_" + evaluation["id"].partition("_")[2],
        "kind": "evaluation",
        "state": "queued",
        "resource_id": evaluation["id"],
        "progress": {"done": 0, "of": None},
        "attempts": 0,
        "failures": 0,
        "error": None,
        "created_at": evaluation["created_at"],
        "updated_at": evaluation["created_at"],
        "started_at": None,
        "ended_at": None,
        "run_after": None,
    }
    await minute(evaluating)
    read = (await evaluating.call("GET", f"/v1/jobs/{found['id']}")).json()
    assert (read["state"], read["progress"]) == ("succeeded", {"done": 12, "of": 12})
    assert read["started_at"] and read["ended_at"]
    training = (await evaluating.call("GET", f"/v1/jobs/{listed[0]['id']}")).json()
    assert (training["state"], training["error"]["code"]) == ("failed", "training_failed")


async def test_jobs_are_filtered_and_paged(product: Product) -> None:
    for number in range(5):
        add(product, f"0{number}", ["training", "evaluation"][number % 2])
    product.execute("UPDATE jobs SET state = 'failed' WHERE id = 'job_02'")

    async def ids(query: str) -> list[str]:
        page = (await product.call("GET", f"/v1/jobs?{query}")).json()
        return [each["id"] for each in page["data"]]

    assert await ids("kind=evaluation") == ["job_03", "job_01"]
    assert await ids("state=failed") == ["job_02"]
    assert await ids("kind=training&state=queued&limit=1") == ["job_04"]
    assert await ids("kind=training&state=queued&limit=1&after=job_04") == ["job_00"]
    for query in ("kind=poem", "state=lost", "since=1"):
        assert (await product.call("GET", f"/v1/jobs?{query}")).status == 400


async def test_cancelled_in_the_middle_of_a_slice(evaluating: Product) -> None:
    evaluation = (await begin(evaluating)).json()
    [listed] = (await evaluating.call("GET", "/v1/jobs")).json()["data"]
    path = f"/v1/jobs/{listed['id']}/cancel"
    gateway = evaluating.gateway
    assert isinstance(gateway, Models)
    answer, cancelled = gateway.answer, list[Any]()
    run_model = gateway.run

    async def cancelling(request: Any, /) -> Any:
        if not cancelled:
            cancelled.append(await evaluating.call("POST", path, {}))
        return await run_model(request)

    gateway.run = cancelling  # type: ignore[method-assign]
    await minute(evaluating)
    assert (cancelled[0].status, cancelled[0].json()["state"]) == (200, "cancelled")
    found = (await evaluating.call("GET", f"/v1/evaluations/{evaluation['id']}")).json()
    assert (found["state"], found["error"], found["results"]) == ("cancelled", None, None)
    assert evaluating.rows("SELECT * FROM evaluation_answers") == []
    assert evaluating.failures.counts == {}
    again = await evaluating.call("POST", path, {})
    assert (again.status, again.json()["error"]["code"]) == (409, "job_ended")
    [audited] = (await evaluating.call("GET", "/v1/audit?resource=evaluation&limit=1")).json()[
        "data"
    ]
    assert (audited["action"], audited["resource_id"]) == ("cancel", evaluation["id"])
    assert answer is gateway.answer


async def test_a_job_that_is_unknown(product: Product) -> None:
    for method, path in (("GET", "/v1/jobs/job_1"), ("POST", "/v1/jobs/job_1/cancel")):
        answered = await product.call(method, path, {} if method == "POST" else None)
        assert (answered.status, answered.json()["error"]["code"]) == (404, "unknown_job")


async def test_reading_needs_the_scope_read_and_cancelling_admin(product: Product) -> None:
    job_id = add(product, "one")
    reader = (await create_key(product, scopes=["read"]))["key"]
    router = (await create_key(product, scopes=["route"]))["key"]
    assert (await product.call("GET", "/v1/jobs", key=reader)).status == 200
    assert (await product.call("GET", "/v1/jobs", key=router)).status == 403
    assert (await product.call("POST", f"/v1/jobs/{job_id}/cancel", {}, key=reader)).status == 403
