"""The tables: migrations and schema are one, keyset pages hold, the purge goes in chunks."""

import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeneuro.domain.decision import CachedRanking
from edgeneuro.errors import ConstraintError, DatabaseError
from edgeneuro.settings import read_settings
from edgeneuro.store.answer_cache import DECISIONS, add_decision
from edgeneuro.store.database import D1Database, statement
from edgeneuro.store.log_writes import statement_of
from edgeneuro.store.sql import exact_percentiles
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.conftest import TABLES, Product, says

ROOT = Path(__file__).parents[2]
ANSWER = CachedRanking(
    agent_id="hr",
    confidence=1,
    confidence_source="stated",
    layer="cache",
    model="m",
    adapter=None,
)


def tables(script: str) -> list[tuple[str, str]]:
    connection = sqlite3.connect(":memory:")
    connection.executescript(script)
    rows = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE sql NOT NULL ORDER BY name"
    )
    found = [(name, re.sub(r"\s+", " ", re.sub(r"--.*", "", sql))) for name, sql in rows]
    # SQLite quotes the name of a table that was renamed.
    found = [(name, sql.replace(f'TABLE "{name}"', f"TABLE {name}")) for name, sql in found]
    found += connection.execute("SELECT 'revision', value FROM revision").fetchall()
    connection.close()
    return found


def test_the_migrations_together_are_the_schema() -> None:
    migrations = sorted((ROOT / "migrations").glob("*.sql"))
    numbers = [int(path.name[:4]) for path in migrations]
    assert numbers == list(range(1, len(numbers) + 1))
    assert tables("\n".join(path.read_text() for path in migrations)) == tables(TABLES)


@pytest.fixture
def before_labels() -> Iterator[sqlite3.Connection]:
    migrations = sorted((ROOT / "migrations").glob("*.sql"))
    connection = sqlite3.connect(":memory:")
    connection.executescript("\n".join(p.read_text() for p in migrations if p.name < "0009"))
    yield connection
    connection.close()


def migrate_labels(connection: sqlite3.Connection) -> None:
    migration = ROOT / "migrations/0009_labels.sql"
    connection.executescript(migration.read_text())


def test_feedback_given_twice_survives_the_migration_once(
    before_labels: sqlite3.Connection,
) -> None:
    before_labels.executescript(
        "INSERT INTO feedback (id, decision_id, value, key_id, created_at) VALUES"
        " ('fbk_1', 'dec_1', 'down', 'key_a', 1), ('fbk_2', 'dec_1', 'up', 'key_a', 2),"
        " ('fbk_3', 'dec_1', 'down', 'key_b', 3), ('fbk_4', 'dec_2', 'down', 'key_a', 4)"
    )
    migrate_labels(before_labels)
    found = before_labels.execute("SELECT id FROM feedback ORDER BY id").fetchall()
    assert found == [("fbk_2",), ("fbk_3",), ("fbk_4",)]


def test_e_mail_addresses_become_ids_in_the_migration(before_labels: sqlite3.Connection) -> None:
    before_labels.executescript(
        "INSERT INTO users (id, email, name, role, enabled, created_at, updated_at)"
        " VALUES ('usr_ada', 'ada@example.com', 'Ada', 'admin', 1, 0, 0);"
        "INSERT INTO labels VALUES ('lab_1', 'q', 'n', 'a', 'hr', 0, NULL, NULL, 'ada@example.com',"
        " 'hand', 1), ('lab_2', 'q', 'n', 'a', 'hr', 0, NULL, NULL, 'gone@example.com', 'hand', 2);"
        "INSERT INTO current_labels VALUES"
        " ('q', 'a', 'hr', 'lab_2', 'n', 'train', 'gone@example.com', 2);"
        "INSERT INTO feedback (id, decision_id, value, key_id, created_at) VALUES"
        " ('fbk_1', 'dec_1', 'down', 'ada@example.com', 1), ('fbk_2', 'dec_1', 'up', 'key_a', 2);"
        "INSERT INTO usage_days (day, dimension, value, answers, errors, fallback_answers,"
        " cache_hits, without_model, attempts, failed_attempts, prompt_tokens, completion_tokens,"
        " cost_usd, unpriced_answers) VALUES (0, 'key', 'gone@example.com',"
        " 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)"
    )
    migrate_labels(before_labels)

    def found(sql: str) -> list[str]:
        return [row[0] for row in before_labels.execute(sql)]

    [ada, gone] = found("SELECT labeler FROM labels ORDER BY id")
    assert ada == "usr_ada"
    assert re.fullmatch(r"usr_[0-9a-f]{24}", gone)
    assert found("SELECT labeler FROM current_labels") == [gone]
    assert found("SELECT value FROM usage_days") == [gone]
    assert found("SELECT key_id FROM feedback ORDER BY id") == ["usr_ada", "key_a"]


async def test_every_change_of_agents_and_config_raises_the_revision(product: Product) -> None:
    def revision() -> int:
        return int(product.rows("SELECT value FROM revision")[0]["value"])

    for sql in (
        "UPDATE agents SET name = 'x' WHERE id = 'hr'",
        "DELETE FROM agents WHERE id = 'hr'",
        "INSERT INTO config VALUES ('k', '1', 0)",
        "UPDATE config SET value = '2'",
        "DELETE FROM config",
    ):
        before = revision()
        product.execute(sql)
        assert revision() > before


async def test_a_batch_is_all_or_nothing(database: SqliteDatabase) -> None:
    insert = statement("INSERT INTO config VALUES ('a', '1', 0)")
    with pytest.raises(ConstraintError):
        await database.batch([insert, insert])
    with pytest.raises(DatabaseError):
        await database.run(statement("SELECT * FROM no_such_table"))
    assert await database.run(statement("SELECT * FROM config")) == []


async def test_percentiles_are_values_that_were_there(database: SqliteDatabase) -> None:
    values = "(SELECT value ->> 0 AS name, value ->> 1 AS ms FROM json_each(?1))"
    given = [["a", 3], ["a", 1], ["a", 2], ["a", None], ["b", 7.5], ["c", None]]
    given += [["d", n] for n in range(100, 0, -1)]
    query = exact_percentiles("ms", values, group="name")
    found = await database.run(statement(query, json.dumps(given)))
    assert [tuple(row.values()) for row in found] == [("a", 2, 3), ("b", 7.5, 7.5), ("d", 50, 95)]


async def test_expired_answers_are_purged_in_chunks(database: SqliteDatabase) -> None:
    answer = ANSWER.model_dump_json()
    await database.batch(
        [
            statement_of(
                "dec_x", add_decision(key, answer, expires_at_ms=at, query_hash=None, since_ms=0)
            )
            for key, at in [*((f"old{n}", 1_000) for n in range(2_500)), ("new", 9_000)]
        ]
    )
    database.statements.clear()
    assert await DECISIONS.purge_expired(database, now_ms=5_000) == 2_500
    assert len(database.statements) == 3
    assert await DECISIONS.read(database, "new", now_ms=5_000) == (ANSWER, 9_000)
    assert await DECISIONS.read(database, "new", now_ms=9_000) is None


async def test_logs_page_by_cursor_newest_first(product: Product) -> None:
    product.gateway.enqueue(*(says("hr") for _ in range(5)))
    made = [(await product.route(f"q{n}")).json()["id"] for n in range(5)]
    seen: list[str] = []
    after = ""
    while True:
        page = (await product.call("GET", f"/v1/logs?limit=2{after}")).json()
        seen += [entry["id"] for entry in page["data"]]
        assert (page["first_id"], page["last_id"]) == (seen[-len(page["data"])], seen[-1])
        if not page["has_more"]:
            break
        after = f"&after={page['last_id']}"
    assert seen == made[::-1]


class BrokenBinding:
    """env.DB as it fails: by an error whose text alone says what happened."""

    def __init__(self, text: str) -> None:
        self._text = text

    def prepare(self, sql: str) -> "BrokenBinding":
        return self

    async def all(self) -> None:
        raise RuntimeError(self._text)

    async def batch(self, statements: list[object]) -> None:
        raise RuntimeError(self._text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("D1_ERROR: UNIQUE constraint failed: agents.id: SQLITE_CONSTRAINT", ConstraintError),
        ("D1_ERROR: Network connection lost.", DatabaseError),
    ],
)
async def test_d1s_errors_in_our_words(text: str, expected: type[DatabaseError]) -> None:
    database = D1Database(BrokenBinding(text))
    for call in (database.run(statement("SELECT 1")), database.batch([statement("SELECT 1")])):
        with pytest.raises(DatabaseError) as raised:
            await call
        assert type(raised.value) is expected


class CountingBinding:
    """env.DB: each statement reads two rows and writes one, or D1 does not say."""

    def __init__(self, meta: dict[str, int] | None) -> None:
        self._result: dict[str, object] = {"results": [{"one": 1}]}
        if meta is not None:
            self._result["meta"] = meta

    def prepare(self, sql: str) -> "CountingBinding":
        return self

    async def all(self) -> dict[str, object]:
        return self._result

    async def batch(self, statements: list[object]) -> list[dict[str, object]]:
        return [self._result for _ in statements]


@pytest.mark.parametrize(
    ("meta", "expected"),
    [({"rows_read": 2, "rows_written": 1}, (6, 3)), ({}, (0, 0)), (None, (0, 0))],
)
async def test_rows_are_counted_as_d1_bills_them(
    meta: dict[str, int] | None, expected: tuple[int, int]
) -> None:
    noted: list[tuple[int, int]] = []
    database = D1Database(
        CountingBinding(meta), lambda read, written: noted.append((read, written))
    )
    one = statement("SELECT 1")
    assert [await database.run(one), *await database.batch([one, one])] == [[{"one": 1}]] * 3
    assert tuple(map(sum, zip(*noted, strict=True))) == expected


def test_settings_from_vars() -> None:
    given = {
        "FALLBACK_MODELS": "a, b  c",
        "AI_GATEWAY_URL": "https://gateway.ai.cloudflare.com/v1/account/edge/",
        "ROUTING_MODEL": "  ",
    }
    settings = read_settings(given.get)
    assert settings.fallback_models == ("a", "b", "c")
    assert settings.gateway_id == "edge"
    assert settings.routing_model == "@cf/meta/llama-3.2-1b-instruct"
    assert read_settings(lambda name: None).gateway_id == ""


def test_challengers_and_audit_samples_survive_their_renaming() -> None:
    connection = sqlite3.connect(":memory:")
    *earlier, renaming = [
        path for path in sorted((ROOT / "migrations").glob("*.sql")) if path.name < "0022"
    ]
    connection.executescript("\n".join(path.read_text() for path in earlier))
    sample = ("dec_1", 1, "llm", "hr", 0.9, 0)
    answer = ("dec_2", 2, "model", None, None, 0, 1, 0.5, 100.0)
    connection.execute("INSERT INTO shadow_answers VALUES (?, ?, ?, ?, ?, ?)", sample)
    connection.execute(f"INSERT INTO candidate_answers VALUES ({', '.join(9 * '?')})", answer)
    stored = {"shadow": '{"model_id": "m"}', "classifier_shadow_share": "0.1", "max_retries": "1"}
    for key, value in stored.items():
        connection.execute("INSERT INTO config VALUES (?, ?, 0)", (key, value))
    audited = ("aud_1", 0, "key_1", "req_1", "shadow", "model", "m", None, '{"percent": 10}')
    connection.execute(f"INSERT INTO audit VALUES ({', '.join(9 * '?')})", audited)
    [before] = connection.execute("SELECT value FROM revision").fetchone()
    connection.executescript(renaming.read_text())
    assert connection.execute("SELECT * FROM audit_samples").fetchall() == [sample]
    assert connection.execute("SELECT * FROM challenger_answers").fetchall() == [answer]
    assert dict(connection.execute("SELECT key, value FROM config")) == {
        "challenger": '{"model_id": "m"}',
        "audit_sample_share": "0.1",
        "max_retries": "1",
    }
    assert connection.execute("SELECT * FROM audit").fetchall() == [audited], "history stays"
    [after] = connection.execute("SELECT value FROM revision").fetchone()
    assert after > before, "isolates read their configuration again"
    connection.close()
