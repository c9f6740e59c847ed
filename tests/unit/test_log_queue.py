"""Log rows through a queue: what is sent, what is not, and that each counts once however it is
delivered; and what D1 refuses, which is kept as dead letters."""

import asyncio
import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from edgeneuro.app.application import build_app
from edgeneuro.controlplane.jobs.schedule import EVERY_MINUTE
from edgeneuro.errors import DatabaseError
from edgeneuro.isolate.log_sink import LogSink
from edgeneuro.isolate.log_writer import LogWriter
from edgeneuro.isolate.metrics import Failures
from edgeneuro.store.additions import Addition
from edgeneuro.store.answer_cache import add_decision
from edgeneuro.store.database import statement
from edgeneuro.store.log_messages import MAX_MESSAGE_BYTES
from edgeneuro.store.log_writes import Entry
from edgeneuro.store.usage import add_new_logs
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.conftest import Product, says
from tests.unit.invocations import run_scheduled
from tests.unit.test_log_writes import answers, entry, execute, logged

NOW = 1_700_000_100_000


class Queue:
    """A queue; `is_full` makes it refuse."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.is_full = False

    async def send(self, text: str, /) -> None:
        if self.is_full:
            raise OSError("Too Many Requests")
        assert len(text.encode()) < 128_000, "Queues takes no larger message"
        self.texts.append(text)


class Edge:
    def __init__(self, database: SqliteDatabase) -> None:
        self.database, self.queue, self.failures = database, Queue(), Failures()
        self.rows: Counter[str] = Counter()
        self.sink = LogSink(
            self.queue, now_ms=lambda: NOW, note_failure=self.failures.note, count_rows=self._count
        )

    def _count(self, count: int, to: str) -> None:
        self.rows[to] += count

    async def answer(self, *entries: Entry) -> None:
        await self.sink.write(self.database, entries)

    async def deliver(self, *texts: str) -> None:
        await self.sink.consume(self.database, texts or self.queue.texts)


@pytest.fixture
def edge(database: SqliteDatabase) -> Edge:
    return Edge(database)


def letters(database: SqliteDatabase) -> list[dict[str, Any]]:
    return execute(database, "SELECT * FROM dead_letters ORDER BY id")


async def test_rows_of_a_window_are_one_message(edge: Edge, database: SqliteDatabase) -> None:
    await edge.answer(*(entry(number) for number in range(25)))
    assert len(edge.queue.texts) == 1
    assert logged(database) == []
    await edge.deliver()
    assert len(logged(database)) == 25
    await add_new_logs(database)
    assert answers(database) == 25


async def test_a_message_that_comes_twice_and_out_of_order_counts_once(
    edge: Edge, database: SqliteDatabase
) -> None:
    for number in range(3):
        await edge.answer(
            entry(number, add_decision("k", "{}", expires_at_ms=1, query_hash=None, since_ms=0))
        )
    first, second, third = edge.queue.texts
    await edge.deliver(third, first, third)
    await add_new_logs(database)
    await edge.deliver(second)
    await edge.deliver(first, second, third)
    await add_new_logs(database)
    assert sorted(logged(database)) == [f"dec_{number:08}" for number in range(3)]
    assert answers(database) == 3


async def test_what_the_next_turn_reads_is_written_at_once(
    edge: Edge, database: SqliteDatabase
) -> None:
    with_sql = entry(2)
    with_sql["statements"].append(("DELETE FROM sessions WHERE key = ?1", ["none"]))
    values = ["owner", "key", "s1", None, "hr", "q", "a", None, None, "{}", 1, 1, 0, 0, 9, 0, 1]
    await edge.answer(entry(1, Addition("session", tuple(values))), with_sql, entry(3))
    assert logged(database) == ["dec_00000001", "dec_00000002"]
    assert "DELETE" not in "".join(edge.queue.texts)
    await edge.deliver()
    assert len(logged(database)) == 3


async def test_large_rows(edge: Edge, database: SqliteDatabase) -> None:
    half = "é" * (MAX_MESSAGE_BYTES // 5)
    await edge.answer(*(entry(number, query=half) for number in range(4)))
    assert len(edge.queue.texts) == 2
    await edge.answer(entry(9, query=half * 3))
    assert logged(database) == ["dec_00000009"]
    await edge.deliver()
    assert len(logged(database)) == 5


async def test_half_of_a_surrogate_pair(edge: Edge, database: SqliteDatabase) -> None:
    await edge.answer(entry(1, reason="\ud83d"), entry(2))
    assert len(edge.queue.texts) == 1
    assert "\ud83d" not in edge.queue.texts[0]


async def test_a_queue_that_is_full(edge: Edge, database: SqliteDatabase) -> None:
    edge.queue.is_full = True
    await edge.answer(entry(1), entry(2))
    assert len(logged(database)) == 2
    assert edge.failures.counts == {"log_queue": 1}
    assert edge.rows == {"d1": 2}


async def test_what_the_queue_has_taken_is_not_sent_again_while_d1_is_away(
    edge: Edge, database: SqliteDatabase
) -> None:
    clock = [0.0]

    async def sleep(seconds: float) -> None:
        clock[0] += seconds
        if clock[0] > 5:
            database.failing = False
        await asyncio.sleep(0)

    writer = LogWriter(
        monotonic=lambda: clock[0],
        sleep=sleep,
        note_failure=edge.failures.note,
        write=edge.sink.write,
    )
    database.failing = True
    one, other = entry(1), entry(2)
    other["statements"] = [("SELECT 1", [])]  # D1 gets it directly
    await asyncio.gather(*(writer.write(database, each) for each in (one, other)))
    assert len(edge.queue.texts) == 1
    assert edge.rows == {"queue": 1, "d1": 1}
    assert logged(database) == [other["row"]["id"]]


async def test_the_queue_delivers_again_while_d1_is_away(
    edge: Edge, database: SqliteDatabase
) -> None:
    await edge.answer(entry(1))
    database.failing = True
    with pytest.raises(DatabaseError):
        await edge.deliver()
    database.failing = False
    assert letters(database) == []
    await edge.deliver()
    assert logged(database) == ["dec_00000001"]


@pytest.mark.parametrize("text", ["[", "[1]", '[{"row": {}}]', "[" * 5_000, '[{"row": "x"}]'])
async def test_a_message_that_cannot_be_read(
    edge: Edge, database: SqliteDatabase, text: str
) -> None:
    await edge.answer(entry(1))
    for _ in range(2):
        await edge.deliver(text, *edge.queue.texts)
    assert logged(database) == ["dec_00000001"]
    [letter] = letters(database)
    assert (letter["entry"], letter["failed_at"]) == (text, NOW)
    assert letter["id"].startswith("message_")
    assert edge.failures.counts["log_message"] == 2


async def test_no_message_runs_sql(edge: Edge, database: SqliteDatabase) -> None:
    made = entry(1)
    made["statements"].append(("DELETE FROM logs", []))
    await edge.deliver(json.dumps([entry(2)]), json.dumps([made]))
    assert len(logged(database)) == 2


def poisoned(number: int, **fields: Any) -> Entry:
    """Without a column that must not be null."""
    made = entry(number, **fields)
    del made["row"]["layer"]
    return made


async def test_dead_letters_are_shown_retried_and_deleted(
    product: Product, database: SqliteDatabase
) -> None:
    sink = product.services.log_sink
    await sink.write(database, [entry(1), poisoned(2), poisoned(3)])
    await sink.consume(database, ["[broken"])
    page = (await product.call("GET", "/v1/dead_letters?limit=3")).json()
    assert not page["has_more"]
    broken, third, second = page["data"]
    assert (broken["row"], third["id"], second["id"]) == (None, "dec_00000003", "dec_00000002")
    assert second["row"]["query"] == "question 2"
    assert "layer" in second["error"]
    # The cause of one is gone.
    mended = json.dumps({**poisoned(2), "row": entry(2)["row"]})
    await database.run(
        statement("UPDATE dead_letters SET entry = ?1 WHERE id = 'dec_00000002'", mended)
    )
    again = (await product.call("POST", "/v1/dead_letters/retry")).json()
    assert (again["written"], again["failed"], again["left"]) == (1, 2, 2)
    assert "dec_00000002" in logged(database)
    gone = (await product.call("DELETE", "/v1/dead_letters")).json()
    assert gone["deleted"] == 2
    actions = [row["action"] for row in product.rows("SELECT action FROM audit ORDER BY id")]
    assert actions[-2:] == ["retry", "delete"]


async def test_dead_letters_end_with_retention_and_erasure(
    product: Product, database: SqliteDatabase
) -> None:
    sink = product.services.log_sink
    await sink.write(database, [poisoned(1, user="ann"), poisoned(2, user="bob")])
    await product.call("DELETE", "/v1/logs?user=ann")
    assert [letter["id"] for letter in letters(database)] == ["dec_00000002"]
    product.clock.seconds += 100 * 86_400
    await run_scheduled(product.services, EVERY_MINUTE)
    assert letters(database) == []


async def test_the_router_answers_through_the_queue(
    product: Product, database: SqliteDatabase
) -> None:
    queue = Queue()
    product.services = replace(product.services, log_queue=queue)
    product.app = build_app(product.services)
    product.gateway.enqueue(says("hr"))
    answer = (await product.route("How many days of vacation?")).json()
    assert logged(database) == []
    await product.services.log_sink.consume(database, queue.texts)
    assert logged(database) == [answer["id"]]
