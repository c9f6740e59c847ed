"""A Worker on a database of another schema: deployed before the migration, or rolled back after it.
It routes what it can, says what is wrong, and writes nothing by halves."""

import re
import sqlite3
from collections.abc import Iterator

import pytest

from edgeneuro.controlplane.jobs.schedule import run_queue, run_scheduled
from edgeneuro.settings import Settings
from edgeneuro.store.schema_version import SCHEMA_VERSION
from edgeneuro_testing.sqlite import SqliteDatabase
from scripts.database import applied
from scripts.paths import MIGRATIONS
from tests.unit.conftest import SCHEMA, TABLES, Product, add_agents, says

FILES = sorted(MIGRATIONS.glob("*.sql"))
# From this one on a database says whether an older Worker may change it.
FIRST_WITH_CHECK = 47
NAME_NEWEST = f"INSERT INTO d1_migrations (name) VALUES ('{FILES[-1].name}');"
NEWER = "INSERT INTO d1_migrations (name) VALUES ('9000_of_a_later_version.sql');"
INCOMPATIBLE = NEWER + "UPDATE schema_compatibility SET writable_from = 9000;"
ONE_AGENT = (
    "INSERT INTO agents (id, name, description, examples, enabled, is_default, created_at,"
    " updated_at, protocol) VALUES ('hr', 'HR', 'Leave.', '[]', 1, 1, 1, 1, 'openai')"
)


def migrated(until: int) -> str:
    """A database of an older version."""
    files = FILES[:until]
    return "".join(path.read_text() for path in files) + applied(files)


def on(schema: str, settings: Settings) -> Product:
    return Product(SqliteDatabase(schema), settings)


@pytest.fixture
def older(settings: Settings) -> Iterator[Product]:
    """The newest Worker on the schema before its newest migration."""
    product = on(migrated(SCHEMA_VERSION - 1), settings)
    yield product
    product.database.close()


async def schema_of(product: Product) -> dict[str, object]:
    answered = await product.call("GET", "/healthz", key=None)
    assert answered.status == 200
    found: dict[str, object] = answered.json()["schema"]
    return found


def test_the_worker_needs_the_newest_migration() -> None:
    assert int(FILES[-1].name[:4]) == SCHEMA_VERSION, "set SCHEMA_VERSION (store/schema_version.py)"


async def test_health_says_both(product: Product) -> None:
    expected = {"needed": SCHEMA_VERSION, "database": SCHEMA_VERSION}
    assert await schema_of(product) == expected | {"state": "same", "changes_allowed": True}


@pytest.mark.parametrize(
    ("schema", "database", "state", "changes_allowed"),
    [
        (migrated(SCHEMA_VERSION - 1), SCHEMA_VERSION - 1, "older", False),
        (SCHEMA + NEWER, 9000, "newer", True),
        (SCHEMA + INCOMPATIBLE, 9000, "newer", False),
        (TABLES, None, "unknown", True),  # not made by migrations
    ],
)
async def test_health_says_how_they_differ(
    settings: Settings, schema: str, database: int | None, state: str, changes_allowed: bool
) -> None:
    product = on(schema, settings)
    found = await schema_of(product)
    assert found == {
        "needed": SCHEMA_VERSION,
        "database": database,
        "state": state,
        "changes_allowed": changes_allowed,
    }
    changed = await product.call("PATCH", "/v1/config", {"confidence_threshold": 0.5})
    assert changed.status == (200 if changes_allowed else 503)
    product.database.close()


async def test_health_reads_once(product: Product, database: SqliteDatabase) -> None:
    database.statements.clear()
    for _ in range(20):
        await schema_of(product)
    assert len(database.statements) == 1
    product.clock.seconds += 10
    await schema_of(product)
    assert len(database.statements) == 2


async def test_health_answers_without_a_database(
    settings: Settings, database: SqliteDatabase
) -> None:
    product = Product(database, settings)
    database.failing = True
    for _ in range(20):
        assert (await schema_of(product))["state"] == "unknown"
    assert len(database.statements) == 1
    database.failing = False
    product.clock.seconds += 2
    assert (await schema_of(product))["state"] == "same"


async def test_routing_asks_no_question_about_the_schema(
    product: Product, database: SqliteDatabase
) -> None:
    database.statements.clear()
    product.gateway.enqueue(says("hr"))
    assert (await product.route("Leave?")).status == 200
    assert not [each for each in database.statements if "d1_migrations" in each.sql]


async def test_on_an_older_schema_it_routes_and_refuses_changes(older: Product) -> None:
    older.execute(ONE_AGENT)
    older.gateway.enqueue(says("hr"))
    decision = await older.route("Leave?")
    assert (decision.status, decision.json()["agent"]["id"]) == (200, "hr")
    assert [row["query"] for row in await older.logs()] == ["Leave?"]
    refused = await older.call("POST", "/v1/agents", {"id": "it", "name": "IT", "description": "x"})
    assert (refused.status, refused.json()["error"]["code"]) == (503, "schema_mismatch")
    message = refused.json()["error"]["message"]
    assert str(SCHEMA_VERSION - 1) in message and str(SCHEMA_VERSION) in message
    assert refused.headers["retry-after"] == "60"
    assert len(older.rows("SELECT id FROM agents")) == 1


async def test_log_rows_that_an_older_schema_does_not_take_are_kept(older: Product) -> None:
    """As dead letters, which the migrated database takes."""
    older.execute(ONE_AGENT)
    older.execute("ALTER TABLE logs DROP COLUMN routing_cost_usd")
    older.gateway.enqueue(says("hr"))
    decision = (await older.route("Leave?")).json()
    assert decision["agent"]["id"] == "hr"
    assert older.rows("SELECT id FROM logs") == []
    [letter] = older.rows("SELECT id, error FROM dead_letters")
    assert letter["id"] == decision["id"] and "routing_cost_usd" in letter["error"]
    migrate(older, "ALTER TABLE logs ADD COLUMN routing_cost_usd REAL;")
    assert (await older.call("POST", "/v1/dead_letters/retry")).json()["written"] == 1
    assert [row["id"] for row in await older.logs()] == [decision["id"]]


def migrate(older: Product, before: str = "") -> None:
    """As wrangler does. The Worker looks again after 2 s."""
    script = f"{before}{FILES[-1].read_text()}{NAME_NEWEST}"
    older.database._connection.executescript(script)
    older.clock.seconds += 2


async def test_changes_are_allowed_soon_after_the_migration(older: Product) -> None:
    change = ("PATCH", "/v1/config", {"confidence_threshold": 0.5})
    assert (await older.call(*change)).status == 503
    migrate(older)
    assert (await older.call(*change)).status == 200


@pytest.mark.parametrize("version", [20, 35, 44])
async def test_what_an_older_schema_lacks_is_the_reason(settings: Settings, version: int) -> None:
    """Statements name tables and columns that are not there yet. What needs none of them works."""
    product = on(migrated(version), settings)
    product.execute(ONE_AGENT)
    product.gateway.enqueue(says("hr"))
    answered = [
        await product.call("GET", "/v1/agents"),
        await product.call("GET", "/v1/logs"),
        await product.call("GET", "/v1/config"),
        await product.route("Leave?"),
    ]
    failed = [each for each in answered if each.status != 200]
    assert bool(failed) is (version < 44)
    for each in failed:
        error = each.json()["error"]
        assert (each.status, error["code"]) == (503, "schema_mismatch")
        assert "no such" not in error["message"]
    product.database.close()


async def test_jobs_and_crons_wait(older: Product) -> None:
    """A job that fails for its schema would be set aside."""
    older.database.statements.clear()
    await run_scheduled(older.services, "* * * * *")
    await run_queue(older.services)
    assert len(older.database.statements) == 1
    assert older.failures.counts["schema_mismatch"] == 2


async def test_after_a_roll_back_a_newer_schema_may_allow_all(settings: Settings) -> None:
    product = await add_agents(on(SCHEMA + NEWER, settings))
    product.gateway.enqueue(says("hr"))
    assert (await product.route("Leave?")).json()["agent"]["id"] == "hr"
    await run_scheduled(product.services, "0 * * * *")
    assert product.failures.counts == {}
    product.database.close()


def described(connection: sqlite3.Connection) -> tuple[dict[str, set[str]], set[str]]:
    """The columns of each table, and the columns that a row must give."""
    tables = [
        name
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        )
    ]
    columns: dict[str, set[str]] = {}
    required: set[str] = set()
    for table in tables:
        rows = connection.execute(f"PRAGMA table_info({table})").fetchall()
        columns[table] = {row[1] for row in rows}
        required |= {f"{table}.{row[1]}" for row in rows if row[3] and row[4] is None}
    return columns, required


def test_a_migration_that_older_workers_do_not_bear_says_so() -> None:
    """A Worker that was rolled back would write what the new schema does not take, or what it reads
    otherwise."""
    connection = sqlite3.connect(":memory:")
    for path in FILES[: FIRST_WITH_CHECK - 1]:
        connection.executescript(path.read_text())
    before, required_before = described(connection)
    for path in FILES[FIRST_WITH_CHECK - 1 :]:
        script = path.read_text()
        connection.executescript(script)
        after, required = described(connection)
        lost = {
            f"{table}.{column}"
            for table, columns in before.items()
            for column in columns - after.get(table, set())
        }
        new = {
            each
            for each in required - required_before
            if each.partition(".")[0] in before  # of a new table an older Worker knows nothing
        }
        if lost or new:
            number = int(path.name[:4])
            assert re.search(rf"SET writable_from = {number}\b", script), (path.name, lost, new)
        before, required_before = after, required
    connection.close()
