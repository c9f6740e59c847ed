"""The table key_usage: one statement rolls over, checks and takes; a settlement puts it right."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from edgeneuro.domain.key import KeyLimits, Used
from edgeneuro.errors import DatabaseError
from edgeneuro.store.database import Rows, Statement
from edgeneuro.store.keys import read_usage, reserve_usage, settle_usage
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.conftest import SCHEMA

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()
MINUTE, MONTH = int(NOON // 60), 202611
NEXT_MONTH = datetime(2026, 12, 1, tzinfo=UTC).timestamp()


class TakingTurns(SqliteDatabase):
    """Everybody else gets a turn before each call, and after it."""

    async def batch(self, statements: Sequence[Statement], /) -> list[Rows]:
        await asyncio.sleep(0)
        rows = await super().batch(statements)
        await asyncio.sleep(0)
        return rows


@pytest.fixture
def database() -> Any:
    database = TakingTurns(SCHEMA)
    database._connection.execute(
        "INSERT INTO keys (id, name, hint, hash, scopes, created_at)"
        " VALUES ('key_1', 'k', 'en_', 'h', '[]', 0), ('key_2', 'k', 'en_', 'i', '[]', 0)"
    )
    yield database
    database.close()


async def take(
    database: SqliteDatabase,
    limits: KeyLimits,
    *,
    now: float = NOON,
    tokens: int = 0,
    cost_usd: float = 0.0,
    key_id: str = "key_1",
) -> tuple[bool, Used]:
    return await reserve_usage(database, key_id, limits, now=now, tokens=tokens, cost_usd=cost_usd)


async def used(database: SqliteDatabase, now: float = NOON) -> Used:
    return (await read_usage(database, ["key_1"], now=now))["key_1"]


async def test_a_reservation_is_one_statement(database: SqliteDatabase) -> None:
    limits = KeyLimits(2, 100, 0.3)
    assert await take(database, limits, tokens=60, cost_usd=0.1) == (
        True,
        Used(MINUTE, 1, MONTH, 60, 0.1),
    )
    assert await take(database, limits, tokens=40, cost_usd=0.2) == (
        True,
        Used(MINUTE, 2, MONTH, 100, 0.3),  # no dust: the sum of these floats is more than 0.3
    )
    assert len(database.statements) == 2


@pytest.mark.parametrize(
    ("limits", "tokens", "cost_usd"),
    [
        (KeyLimits(requests_per_minute=1), 1, 0.001),
        (KeyLimits(monthly_token_budget=119), 60, 0.001),
        (KeyLimits(monthly_budget_usd=0.1), 1, 0.051),
    ],
)
async def test_each_limit_alone_refuses_and_takes_nothing(
    database: SqliteDatabase, limits: KeyLimits, tokens: int, cost_usd: float
) -> None:
    first = await take(database, KeyLimits(), tokens=60, cost_usd=0.05)
    assert first[0]
    assert await take(database, limits, tokens=tokens, cost_usd=cost_usd) == (False, first[1])
    assert await used(database) == first[1]


async def test_what_alone_is_too_much_makes_no_row(database: SqliteDatabase) -> None:
    refused = await take(database, KeyLimits(monthly_token_budget=5), tokens=6)
    assert refused == (False, Used(MINUTE, 0, MONTH, 0, 0.0))
    refused = await take(database, KeyLimits(monthly_budget_usd=0), cost_usd=1e-12)
    assert not refused[0]
    assert await read_usage(database, ["key_1"], now=NOON) == {}


async def test_who_takes_nothing_is_not_stopped_by_a_budget(database: SqliteDatabase) -> None:
    await take(database, KeyLimits(), tokens=60, cost_usd=0.5)
    fits, now_used = await take(database, KeyLimits(None, 10, 0.1))
    assert (fits, now_used.minute_requests, now_used.tokens) == (True, 2, 60)


async def test_windows_begin_anew(database: SqliteDatabase) -> None:
    limits = KeyLimits(1, 10, 1.0)
    assert (await take(database, limits, tokens=10, cost_usd=1.0))[0]
    assert not (await take(database, limits, now=NOON + 59.9))[0]
    # The next minute: requests again, but the month's budgets are used up.
    assert not (await take(database, limits, now=NOON + 60, tokens=1))[0]
    assert not (await take(database, limits, now=NOON + 60, cost_usd=0.1))[0]
    fits, now_used = await take(database, limits, now=NOON + 60)
    assert (fits, now_used) == (True, Used(MINUTE + 1, 1, MONTH, 10, 1.0))
    assert not (await take(database, limits, now=NEXT_MONTH - 0.1, tokens=1))[0]
    fits, now_used = await take(database, limits, now=NEXT_MONTH, tokens=3, cost_usd=0.5)
    assert (fits, now_used) == (True, Used(int(NEXT_MONTH // 60), 1, 202612, 3, 0.5))


async def test_a_later_window_is_kept_and_counts(database: SqliteDatabase) -> None:
    limits = KeyLimits(2, 10, 1.0)
    ahead = Used(int(NEXT_MONTH // 60), 1, 202612, 6, 0.6)
    assert await take(database, limits, now=NEXT_MONTH, tokens=6, cost_usd=0.6) == (True, ahead)
    assert await take(database, limits, now=NEXT_MONTH - 1, tokens=5) == (False, ahead)
    fits, now_used = await take(database, limits, now=NEXT_MONTH - 1, tokens=4)
    assert (fits, now_used) == (True, Used(ahead.minute, 2, 202612, 10, 0.6))
    assert await used(database, NEXT_MONTH - 1) == now_used
    assert not (await take(database, limits, now=NEXT_MONTH - 1))[0]
    assert (await take(database, limits, now=NEXT_MONTH + 60))[0]


async def test_a_minute_too_late_to_be_true_locks_no_key(database: SqliteDatabase) -> None:
    limits = KeyLimits(requests_per_minute=1)
    assert (await take(database, limits, now=NOON + 120))[0]
    assert await used(database) == Used(MINUTE, 0, MONTH, 0, 0.0)
    assert await take(database, limits) == (True, Used(MINUTE, 1, MONTH, 0, 0.0))
    assert not (await take(database, limits))[0]


async def test_what_is_over_reads_as_zero(database: SqliteDatabase) -> None:
    await take(database, KeyLimits(), tokens=7, cost_usd=0.7)
    assert await used(database, NOON + 60) == Used(MINUTE + 1, 0, MONTH, 7, 0.7)
    assert await used(database, NEXT_MONTH) == Used(int(NEXT_MONTH // 60), 0, 202612, 0, 0.0)


async def test_keys_are_counted_apart(database: SqliteDatabase) -> None:
    limits = KeyLimits(requests_per_minute=1)
    assert (await take(database, limits))[0]
    assert (await take(database, limits, key_id="key_2"))[0]
    assert not (await take(database, limits))[0]


async def test_a_settlement_puts_what_was_used_in_place(database: SqliteDatabase) -> None:
    await take(database, KeyLimits(), tokens=100, cost_usd=0.3)
    await take(database, KeyLimits(), tokens=100, cost_usd=0.3)
    await database.run(settle_usage("key_1", MONTH, tokens=-93, cost_usd=-0.2))
    assert await used(database) == Used(MINUTE, 2, MONTH, 107, 0.4)
    await database.run(settle_usage("key_1", MONTH, tokens=-107, cost_usd=-0.4))
    assert await used(database) == Used(MINUTE, 2, MONTH, 0, 0.0)


async def test_nothing_falls_below_zero(database: SqliteDatabase) -> None:
    await take(database, KeyLimits(), tokens=1, cost_usd=0.1)
    await database.run(settle_usage("key_1", MONTH, tokens=-2, cost_usd=-0.2))
    assert await used(database) == Used(MINUTE, 1, MONTH, 0, 0.0)


async def test_a_settlement_of_a_month_that_is_over_does_nothing(database: SqliteDatabase) -> None:
    await take(database, KeyLimits(), tokens=100, cost_usd=0.3)
    _, restarted = await take(database, KeyLimits(), now=NEXT_MONTH, tokens=5, cost_usd=0.1)
    await database.run(settle_usage("key_1", MONTH, tokens=-93, cost_usd=-0.2))
    assert await used(database, NEXT_MONTH) == restarted


async def test_many_at_once_pass_no_limit(database: SqliteDatabase) -> None:
    async def answer(number: int, limits: KeyLimits) -> bool:
        fits, _ = await take(database, limits, tokens=10, cost_usd=0.1)
        if fits:
            most.append(await used(database))
            settlement = settle_usage("key_1", MONTH, tokens=number % 3 - 10, cost_usd=-0.07)
            await database.run(settlement)
        return fits

    most: list[Used] = []
    took = await asyncio.gather(*(answer(n, KeyLimits(requests_per_minute=50)) for n in range(200)))
    assert sum(took) == 50
    assert await used(database) == Used(
        MINUTE, 50, MONTH, sum(n % 3 for n in range(200) if took[n]), 1.5
    )

    database._connection.execute("DELETE FROM key_usage")
    most.clear()
    limits = KeyLimits(monthly_token_budget=95, monthly_budget_usd=0.7)
    took = await asyncio.gather(*(answer(n, limits) for n in range(200)))
    assert max(each.cost_usd for each in most) == 0.7
    assert 7 <= sum(took) == len(most) < 200
    assert (await used(database)).cost_usd == pytest.approx(0.03 * sum(took), abs=1e-12)


async def test_where_room_is_made_meanwhile_it_is_taken(database: SqliteDatabase) -> None:
    limits = KeyLimits(monthly_token_budget=10)
    await take(database, limits, tokens=10)
    waiting = asyncio.create_task(take(database, limits, tokens=10))
    while len(database.statements) < 2:
        await asyncio.sleep(0)
    database._connection.execute("UPDATE key_usage SET tokens = 0")  # a settlement elsewhere
    assert await waiting == (True, Used(MINUTE, 2, MONTH, 10, 0.0))


async def test_d1_failing_is_told(database: SqliteDatabase) -> None:
    database.failing = True
    with pytest.raises(DatabaseError):
        await take(database, KeyLimits(requests_per_minute=1))
