"""What D1 and the runtime allow: the fake of D1 refuses what D1 refuses, an invocation has its
limit of queries, and work after the answer ends when the runtime ends it."""

import asyncio

import pytest

from edgeneuro.controlplane.jobs import evaluation, schedule
from edgeneuro.controlplane.jobs.schedule import EVERY_MINUTE
from edgeneuro.controlplane.jobs.training import LEASE_MS
from edgeneuro.errors import DatabaseError
from edgeneuro.gateway.interface import ModelAnswer
from edgeneuro.settings import Settings
from edgeneuro.store.classifiers import read_model
from edgeneuro.store.database import statement
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.clock import Clock
from tests.unit.conftest import Product, add_agents
from tests.unit.invocations import BACKGROUND_SECONDS, D1_QUERIES, CountedDatabase, invocation
from tests.unit.test_erasure import copies
from tests.unit.test_evaluations import ACTIVE, Models, begin, find, knows, label
from tests.unit.test_evaluations import shown as shown_evaluation
from tests.unit.trainings import create, import_labels, minute, shown, train
from tests.unit.watched import Hook, WatchedDatabase

VALUE, STATEMENT, PARAMETERS, PATTERN, COLUMNS, ARGUMENTS = 2_000_000, 100_000, 100, 50, 100, 32
TABLE = "CREATE TABLE t (content)"
ROW = "INSERT INTO t VALUES (?1)"
RECORD_HEADER = 5  # bytes that SQLite adds to a row of one such value


def of_length(length: int) -> str:
    return "SELECT 1".ljust(length)


def with_parameters(number: int) -> str:
    return f"SELECT {' + '.join('?' * number)} AS sum"


def watched_database(product: Product) -> WatchedDatabase:
    assert isinstance(product.database, WatchedDatabase)
    return product.database


# Limits of a statement


@pytest.mark.parametrize(
    ("allowed", "refused"),
    [
        ("x" * VALUE, "x" * (VALUE + 1)),
        (b"x" * VALUE, b"x" * (VALUE + 1)),
        ("é" * (VALUE // 2), "é" * (VALUE // 2) + "x"),
    ],
    ids=["text", "blob", "bytes of a text"],
)
async def test_a_value_has_two_million_bytes(
    database: SqliteDatabase, allowed: str | bytes, refused: str | bytes
) -> None:
    assert await database.run(statement("SELECT length(?1) AS n", allowed))
    with pytest.raises(DatabaseError, match="too big"):
        await database.run(statement("SELECT length(?1)", refused))


async def test_a_row_has_two_million_bytes(database: SqliteDatabase) -> None:
    await database.run(statement(TABLE))
    await database.run(statement(ROW, b"x" * (VALUE - RECORD_HEADER)))
    with pytest.raises(DatabaseError, match="too big"):
        await database.run(statement(ROW, b"x" * (VALUE - RECORD_HEADER + 1)))


async def test_what_a_statement_computes_is_a_value_too(database: SqliteDatabase) -> None:
    longer = "SELECT length(?1 || 'x') AS n"
    assert await database.run(statement(longer, "x" * (VALUE - 1)))
    with pytest.raises(DatabaseError, match="too big"):
        await database.run(statement(longer, "x" * VALUE))


@pytest.mark.parametrize(
    ("allowed", "refused", "error"),
    [
        (of_length(STATEMENT), of_length(STATEMENT + 1), "too large"),
        (
            f"SELECT {', '.join('1' * COLUMNS)}",
            f"SELECT {', '.join('1' * (COLUMNS + 1))}",
            "too many columns",
        ),
        (
            f"SELECT max({', '.join('1' * ARGUMENTS)})",
            f"SELECT max({', '.join('1' * (ARGUMENTS + 1))})",
            "too many arguments",
        ),
        (
            f"SELECT 'a' LIKE '{'é' * (PATTERN // 2)}'",
            f"SELECT 'a' LIKE '{'é' * (PATTERN // 2)}a'",
            "too complex",
        ),
        (
            f"SELECT 'a' GLOB '{'a' * PATTERN}'",
            f"SELECT 'a' GLOB '{'a' * (PATTERN + 1)}'",
            "too complex",
        ),
        ("SELECT ?100 AS last", "SELECT ?101 AS last", "between"),
    ],
)
async def test_a_statement_has_limits(
    database: SqliteDatabase, allowed: str, refused: str, error: str
) -> None:
    parameters = (1,) * PARAMETERS if "?" in allowed else ()
    assert await database.run(statement(allowed, *parameters))
    with pytest.raises(DatabaseError, match=error):
        await database.run(statement(refused, *parameters, *parameters[:1]))


async def test_a_statement_has_a_hundred_parameters(database: SqliteDatabase) -> None:
    values = [1] * PARAMETERS
    [row] = await database.run(statement(with_parameters(PARAMETERS), *values))
    assert row["sum"] == PARAMETERS
    with pytest.raises(DatabaseError, match="too many SQL variables"):
        await database.run(statement(with_parameters(PARAMETERS + 1), *values, 1))


async def test_a_statement_over_a_limit_undoes_its_batch(database: SqliteDatabase) -> None:
    await database.run(statement(TABLE))
    with pytest.raises(DatabaseError):
        await database.batch([statement(ROW, "small"), statement(ROW, "x" * (VALUE + 1))])
    assert await database.run(statement("SELECT * FROM t")) == []


# Limits of an invocation


async def ask(database: CountedDatabase, queries: int) -> None:
    for _ in range(queries):
        await database.run(statement("SELECT 1"))


async def test_an_invocation_has_a_thousand_queries(database: SqliteDatabase) -> None:
    counted = CountedDatabase(database)
    with invocation():
        await counted.batch([statement("SELECT 1")] * 400)
        await asyncio.gather(ask(counted, 300), ask(counted, 300))
    with pytest.raises(AssertionError, match="1001 queries"), invocation():
        await counted.batch([statement("SELECT 1")] * 400)
        await asyncio.gather(ask(counted, 300), ask(counted, 301))


async def test_an_invocation_in_the_middle_of_another_counts_for_itself(
    database: SqliteDatabase,
) -> None:
    counted = CountedDatabase(database)
    with invocation() as outer:
        await ask(counted, 600)
        with invocation() as inner:
            await ask(counted, 600)
        await ask(counted, 100)
    assert (outer.queries, inner.queries) == (700, 600)


@pytest.fixture
async def watched(settings: Settings) -> Product:
    return await add_agents(Product(WatchedDatabase(), settings))


def asking_too_much(product: Product) -> Hook:
    async def hook() -> None:
        for _ in range(D1_QUERIES):
            await product.services.db.run(statement("SELECT 1"))

    return hook


async def test_the_work_after_the_answer_counts_for_its_call(watched: Product) -> None:
    watched_database(watched).before("INSERT INTO logs", asking_too_much(watched))
    with pytest.raises(AssertionError, match="queries of D1 in one invocation"):
        await watched.route("where is my payslip")
    assert (await watched.route("where is my payslip")).status == 200


async def test_a_run_of_the_cron_is_an_invocation(watched: Product) -> None:
    watched_database(watched).before("SELECT", asking_too_much(watched))
    with pytest.raises(AssertionError, match="queries of D1 in one invocation"):
        await minute(watched)
    await minute(watched)


# The end of the work after the answer


def sleeping(product: Product, seconds: float) -> Hook:
    async def hook() -> None:
        await product.clock.sleep(seconds)

    return hook


@pytest.mark.parametrize(("seconds", "written"), [(29.9, 1), (30.0, 0)])
async def test_work_after_the_answer_has_thirty_seconds(
    watched: Product, seconds: float, written: int
) -> None:
    watched_database(watched).before("INSERT INTO logs", sleeping(watched, seconds))
    assert (await watched.route("where is my payslip")).status == 200
    assert len(watched.rows("SELECT id FROM logs")) == written
    assert (await watched.route("how do I get leave")).status == 200
    rows = watched.rows("SELECT id FROM logs")
    assert len(rows) == 2, "the next call has its own time, and writes what the one before has left"


async def test_what_is_ended_writes_nothing_to_clean_up(database: SqliteDatabase) -> None:
    clock, counted = Clock(), CountedDatabase(database)
    await database.run(statement(TABLE))

    async def work() -> None:
        try:
            await clock.sleep(BACKGROUND_SECONDS)
        finally:
            await counted.run(statement(ROW, "cleaned up"))

    with invocation() as this:
        await this.end_after(BACKGROUND_SECONDS, clock, work())
    assert await database.run(statement("SELECT * FROM t")) == []


async def test_the_end_of_the_test_itself_ends_it_too() -> None:
    waiting = asyncio.Event()

    async def wait() -> None:
        await waiting.wait()

    with invocation() as this:
        task = asyncio.create_task(this.end_after(BACKGROUND_SECONDS, Clock(), wait()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


# Jobs that are ended in the middle


class BusyClock(Clock):
    """`extra` seconds go by with every sleep: the machine is slow."""

    extra = 0.0

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds + self.extra)


async def test_a_training_that_is_ended_after_the_answer_is_completed_by_the_cron(
    database: SqliteDatabase, settings: Settings
) -> None:
    clock = BusyClock()
    product = await add_agents(Product(database, settings, clock=clock))
    await import_labels(product)
    whole = await train(product)
    clock.extra = 16  # the first sleep comes before the slice, the second one in its middle
    created = await create(product)
    assert created.status == 202
    clock.extra = 0
    classifier_id = created.json()["id"]
    [row] = product.rows(f"SELECT * FROM jobs WHERE resource_id = '{classifier_id}'")
    assert (row["state"], row["lease_until"] > product.services.now_ms()) == ("running", True)
    await minute(product)
    assert (await shown(product, classifier_id))["state"] == "running", "the lease has not ended"
    clock.seconds += LEASE_MS / 1000
    await minute(product)
    assert (await shown(product, classifier_id))["state"] == "succeeded"
    made = await read_model(database, classifier_id)
    assert made == await read_model(database, whole["id"])


async def test_an_evaluation_that_is_ended_in_a_run_of_the_cron_is_completed_by_a_later_one(
    database: SqliteDatabase, settings: Settings
) -> None:
    clock = Clock()

    def slowly(model: str, query: str) -> ModelAnswer | Exception:
        clock.seconds += 4
        return knows(model, query)

    product = await add_agents(Product(database, settings, gateway=Models(slowly), clock=clock))
    await label(product, 4)
    evaluation_id = (await begin(product, model_ids=[ACTIVE])).json()["id"]
    with invocation() as this:
        await this.end_after(30, clock, schedule.run_scheduled(product.services, EVERY_MINUTE))
    row = await find(product, evaluation_id)
    assert (row["state"], row["lease_until"] > product.services.now_ms()) == ("running", True)
    recorded = product.rows("SELECT query_hash FROM evaluation_answers")
    assert 0 < len(recorded) < 12
    clock.seconds += evaluation.LEASE_MS / 1000
    await minute(product)
    result = (await shown_evaluation(product, evaluation_id))["results"]["models"][0]
    assert (result["n"], result["right"], result["failed"]) == (12, 12, 0)


async def test_a_run_of_the_cron_leaves_to_the_next_one_what_would_be_too_much(
    database: SqliteDatabase, settings: Settings
) -> None:
    """Each task stays below the limit alone; all of them together would not."""
    product = await add_agents(Product(database, settings, gateway=Models(knows)))
    await product.call("PATCH", "/v1/config", {"learning": "off"})
    await label(product, 250)
    evaluation_id = (await begin(product, model_ids=[ACTIVE])).json()["id"]
    await product.route("hr question", cache=False, user="customer 7")
    await copies(product, 11_000)
    assert not (await product.call("DELETE", "/v1/logs?user=customer%207")).json()["done"]
    product.execute("UPDATE logs SET id = 'left_' || seq")
    await copies(product, 30_000)
    product.execute("UPDATE logs SET created_at = 0 WHERE id LIKE 'copy_%'")
    product.execute("INSERT INTO rehashing SELECT 'logs', max(seq), max(seq) + 30 FROM logs")
    for number in range(30):
        await product.route(f"hr übersicht {number}", cache=False)
    product.execute("UPDATE logs SET query_hash = 'former_' || seq WHERE query LIKE '%übersicht%'")
    numbers = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000)"
    for table in ("decision_cache", "chat_cache"):
        product.execute(
            f"{numbers} INSERT INTO {table} (key, answer, expires_at) SELECT i, '', 0 FROM n"
        )
    product.execute(f"{numbers} INSERT INTO idempotency SELECT i, '', 200, '', 0 FROM n")
    await minute(product)
    assert (await find(product, evaluation_id))["state"] == "queued"
    for _ in range(3):
        await minute(product)
    assert (await shown_evaluation(product, evaluation_id))["state"] == "succeeded"
    assert product.rows("SELECT * FROM rehashing") == []
    assert product.rows("SELECT * FROM jobs WHERE state <> 'succeeded'") == []
    assert product.rows("SELECT count(*) AS n FROM logs") == [{"n": 30}]


async def test_a_run_of_the_cron_has_what_its_isolate_learned(product: Product) -> None:
    services = product.services.over(product.database)
    assert services.db is product.database
    assert services.breakers is product.services.breakers
    assert services.classifier is product.services.classifier
    assert services.single_flight is product.services.single_flight
