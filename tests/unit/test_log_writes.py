"""Answers that end close together are written together, and each of them once."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from edgeneuro.errors import DatabaseError
from edgeneuro.isolate.clock import MonotonicClock
from edgeneuro.isolate.log_sink import LogSink
from edgeneuro.isolate.log_writer import WINDOW_SECONDS, LogWriter
from edgeneuro.isolate.metrics import Failures
from edgeneuro.store.additions import Addition
from edgeneuro.store.answer_cache import add_decision
from edgeneuro.store.database import Rows, Statement
from edgeneuro.store.keys import settle_with_answer
from edgeneuro.store.learning import Observed, count_observed
from edgeneuro.store.log_writes import Entry, new_entry, write_entries
from edgeneuro.store.usage import HOUR, add_new_logs
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.clock import Clock
from tests.unit.conftest import Product, says

HOUR_STARTS = 1_700_000_000_000 // HOUR * HOUR
SUMS = ("usage_hours", "latency_hours", "attempt_hours", "classifier_hours", "decision_hours")


def entry(number: int, *additions: Addition, at: int = HOUR_STARTS, **fields: Any) -> Entry:
    row = {
        "id": f"dec_{number:08}",
        "created_at": at,
        "request_id": "r",
        "key_id": "key_1",
        "query": f"question {number}",
        "status": 200,
        "agent_id": "hr",
        "confidence": 0.9,
        "threshold": 0.5,
        "layer": "llm",
        "alternatives": [],
        "model": "m",
        "cache": "miss",
        "attempts": [{"model": "m", "adapter": None, "outcome": "ok"}],
        "prompt_tokens": 3,
        "completion_tokens": 1,
        "cost_usd": 0.25,
        "latency_ms": 10.0,
        "upstream_ms": 9.0,
        "prompt_version": "1",
        "agents_revision": "r",
        "kind": "route",
        "ending": "complete",
        **fields,
    }
    made: Entry = json.loads(json.dumps(new_entry(row, additions)))  # as it comes out of a queue
    return made


def execute(database: SqliteDatabase, sql: str) -> list[dict[str, Any]]:
    return [dict(row) for row in database._connection.execute(sql).fetchall()]


def logged(database: SqliteDatabase) -> list[str]:
    return [row["id"] for row in execute(database, "SELECT id FROM logs ORDER BY seq")]


def answers(database: SqliteDatabase) -> int:
    [row] = execute(database, "SELECT coalesce(sum(answers), 0) AS n FROM usage_hours")
    return int(row["n"])


class Troubled:
    """A database that fails, or is slow, for the next calls: `script` has for each an exception, or
    the seconds that it takes. With `lost` only the answer of a failing call gets lost, with
    `midway` it fails at its last statement."""

    def __init__(self, database: SqliteDatabase, clock: Clock) -> None:
        self.database = database
        self.clock = clock
        self.script: list[DatabaseError | float] = []
        self.lost = self.midway = False
        self.batches: list[int] = []

    async def run(self, one: Statement, /) -> Rows:
        return (await self.batch([one]))[0]

    async def batch(self, statements: Sequence[Statement], /) -> list[Rows]:
        self.batches.append(len(statements))
        step = self.script.pop(0) if self.script else 0.0
        if isinstance(step, DatabaseError):
            if self.lost:
                await self.database.batch(statements)
            elif self.midway:
                with pytest.raises(DatabaseError):
                    await self.database.batch([*statements[:-1], Statement("no SQL")])
            raise step
        if step:
            await self.clock.sleep(step)
        return await self.database.batch(statements)


class Isolate:
    def __init__(self, database: SqliteDatabase) -> None:
        self.clock = Clock()
        self.failures = Failures()
        self.database = Troubled(database, self.clock)
        self.writer = LogWriter(
            monotonic=MonotonicClock(self.clock),
            sleep=self.clock.sleep,
            note_failure=self.failures.note,
            write=LogSink(None, now_ms=lambda: 0, note_failure=self.failures.note).write,
        )

    async def answer(self, *entries: Entry) -> None:
        """All of them end at once."""
        await asyncio.gather(*(self.writer.write(self.database, each) for each in entries))


@pytest.fixture
def isolate(database: SqliteDatabase) -> Isolate:
    return Isolate(database)


LOST = DatabaseError("D1_ERROR: Network connection lost.")


async def test_one_statement_for_many_answers(isolate: Isolate, database: SqliteDatabase) -> None:
    await isolate.answer(*(entry(number) for number in range(25)))
    assert isolate.database.batches == [1]
    assert logged(database) == [f"dec_{number:08}" for number in range(25)]


async def test_a_lone_answer_waits_for_the_window_alone(isolate: Isolate) -> None:
    began = isolate.clock.seconds
    await isolate.answer(entry(1))
    assert isolate.clock.seconds - began == pytest.approx(WINDOW_SECONDS)
    assert WINDOW_SECONDS <= 0.03


async def test_what_belongs_to_answers_is_written_with_them(
    isolate: Isolate, database: SqliteDatabase
) -> None:
    execute(database, "INSERT INTO keys (id, name, hint, hash, scopes, created_at)"
            " VALUES ('key_1', 'k', 'h', 'x', '[]', 0)")  # fmt: skip
    execute(database, "INSERT INTO key_usage VALUES ('key_1', 1, 1, 202611, 100, 1.0)")
    entries = [
        entry(
            number,
            settle_with_answer("key_1", 202611, tokens=-10, cost_usd=-0.1),
            count_observed("cls_1", HOUR_STARTS, Observed(compared=1, answered=1)),
            add_decision(f"key {number}", "{}", expires_at_ms=1, query_hash=None, since_ms=0),
        )
        for number in range(3)
    ]
    await isolate.answer(*entries)
    assert isolate.database.batches == [4]
    await isolate.answer(*entries, entry(3))  # delivered again
    [usage] = execute(database, "SELECT tokens, cost_usd FROM key_usage")
    assert usage == {"tokens": 70, "cost_usd": 0.7}
    [observed] = execute(database, "SELECT compared, answered, agreed FROM observed_hours")
    assert observed == {"compared": 3, "answered": 3, "agreed": 0}
    assert len(execute(database, "SELECT key FROM decision_cache")) == 3
    assert len(logged(database)) == 4


@pytest.mark.parametrize("how", ["at once", "midway", "its answer"])
async def test_a_write_that_fails_is_made_again_and_counts_once(
    isolate: Isolate, database: SqliteDatabase, how: str
) -> None:
    isolate.database.script = [LOST, LOST]
    isolate.database.midway = how == "midway"
    isolate.database.lost = how == "its answer"
    seen = count_observed("cls_1", HOUR_STARTS, Observed(beside=1))
    await isolate.answer(*(entry(number, seen) for number in range(5)))
    assert len(logged(database)) == 5
    await add_new_logs(database)
    assert answers(database) == 5
    assert execute(database, "SELECT beside FROM observed_hours") == [{"beside": 5}]
    assert isolate.failures.counts == {"log_write_retry": 2}


async def test_a_slow_database_loses_nothing(isolate: Isolate, database: SqliteDatabase) -> None:
    isolate.database.script = [5.0, 5.0]
    await isolate.answer(*(entry(number) for number in range(5)))
    assert len(logged(database)) == 5
    assert isolate.failures.counts == {}


@pytest.mark.parametrize("number", [0, 12, 24])
async def test_a_poisoned_row_among_25(
    isolate: Isolate, database: SqliteDatabase, number: int
) -> None:
    poisoned = entry(number, latency_ms="soon")
    entries = [poisoned if n == number else entry(n) for n in range(25)]
    await isolate.answer(*entries)
    assert len(logged(database)) == 24
    assert poisoned["row"]["id"] not in logged(database)
    assert isolate.failures.counts == {"log_write": 1}
    assert len(isolate.database.batches) <= 12  # the last one keeps it as a dead letter


async def test_a_database_that_does_not_come_back(
    isolate: Isolate, database: SqliteDatabase
) -> None:
    isolate.database.script = [LOST] * 1_000
    began = isolate.clock.seconds
    await isolate.answer(*(entry(number) for number in range(5)))
    assert logged(database) == []
    assert isolate.failures.counts["log_write"] == 5
    assert isolate.clock.seconds - began < 30
    assert len(isolate.database.batches) < 40
    isolate.database.script = []
    await isolate.answer(entry(9))
    assert logged(database) == ["dec_00000009"]


async def test_requests_that_are_ended(isolate: Isolate, database: SqliteDatabase) -> None:
    """The first one while it waits for the window, the other while it writes: what they have left
    is written by the next one."""
    isolate.database.script = [60.0]
    for number in range(2):
        task = asyncio.ensure_future(isolate.writer.write(isolate.database, entry(number)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        isolate.clock.seconds += 10
    assert logged(database) == []
    isolate.database.script = []
    await isolate.answer(entry(2))
    assert sorted(logged(database)) == ["dec_00000000", "dec_00000001", "dec_00000002"]


async def test_texts_of_all_kinds(isolate: Isolate, database: SqliteDatabase) -> None:
    texts = [
        '"quoted" \\ back',
        "Zeile\nTab\t",
        "我的密码 😀 é",
        "\u2028 \u007f",
        "'; DROP TABLE logs",
    ]
    await isolate.answer(*(entry(n, query=text, user=text) for n, text in enumerate(texts)))
    rows = execute(database, "SELECT query, user FROM logs ORDER BY seq")
    assert [row["query"] for row in rows] == [row["user"] for row in rows] == texts


async def test_batches_stay_below_what_d1_takes(isolate: Isolate, database: SqliteDatabase) -> None:
    await isolate.answer(*(entry(number, query="😀" * 30_000) for number in range(30)))
    assert len(logged(database)) == 30
    assert isolate.failures.counts == {}
    assert isolate.database.batches == [1] * 3


async def test_refused_entries_come_back(database: SqliteDatabase) -> None:
    poisoned = [entry(number, status="none") for number in (3, 7)]
    refused = await write_entries(database, [*map(entry, range(3)), *poisoned, entry(9)])
    assert [each.entry for each in refused] == poisoned
    assert "INTEGER" in refused[0].error.message
    assert len(logged(database)) == 4


async def test_no_number_comes_twice(database: SqliteDatabase) -> None:
    """The newest row was counted and erased: the next one is not taken for it."""
    await write_entries(database, [entry(1), entry(2)])
    await add_new_logs(database)
    execute(database, "DELETE FROM logs WHERE seq = 2")
    await write_entries(database, [entry(3)])
    await add_new_logs(database)
    assert answers(database) == 3
    assert [row["seq"] for row in execute(database, "SELECT seq FROM logs")] == [1, 3]


async def test_rows_of_the_version_before_are_not_counted_again(database: SqliteDatabase) -> None:
    """It may still run for a while after the migration, and counts its rows itself."""
    await write_entries(database, [entry(1)])
    execute(database, "UPDATE logs SET counted_later = NULL")
    await write_entries(database, [entry(2)])
    await add_new_logs(database)
    assert answers(database) == 1


async def test_sums_are_added_in_pieces_and_once(database: SqliteDatabase) -> None:
    await write_entries(database, [entry(number) for number in range(350)])
    execute(database, "UPDATE logs SET seq = seq + 20000 WHERE seq > 300")  # with a gap
    await asyncio.gather(*(add_new_logs(database) for _ in range(3)))
    assert answers(database) == 350
    assert execute(database, "SELECT seq FROM summed_logs") == [{"seq": 20350}]


async def test_a_clock_that_jumps_while_a_window_is_open(
    isolate: Isolate, database: SqliteDatabase
) -> None:
    """Each row counts in the hour of its own time."""

    async def jump() -> None:
        isolate.clock.seconds += 2 * 3_600
        isolate.clock.seconds -= 3_600

    first, second = entry(1), entry(2, at=HOUR_STARTS + HOUR)
    await asyncio.gather(isolate.answer(first, second), jump())
    await add_new_logs(database)
    rows = execute(database, "SELECT hour, answers FROM usage_hours ORDER BY hour")
    assert [(row["hour"], row["answers"]) for row in rows] == [
        (HOUR_STARTS, 1),
        (HOUR_STARTS + HOUR, 1),
    ]


async def test_whoever_reads_sums_sees_every_answer(product: Product) -> None:
    for number in range(3):
        product.gateway.enqueue(says("hr"))
        await product.route(f"Leave {number}?")
    assert all(product.rows(f"SELECT * FROM {table}") == [] for table in SUMS)
    product.clock.seconds += 1
    said = (await product.call("GET", "/v1/analytics")).json()
    assert said["totals"]["requests"] == 3
    assert product.rows("SELECT sum(answers) AS n FROM latency_hours") == [{"n": 3}]
