"""The clock is set ahead and back by hours, between requests and within them."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from edgeneuro.errors import UpstreamError
from edgeneuro.gateway.interface import Delta, ModelAnswer, ModelRequest, ModelStream
from edgeneuro.isolate.clock import MonotonicClock
from edgeneuro.settings import Settings
from edgeneuro_testing.gateway import ScriptedGateway
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.chats import events, said, streams, talks, user
from tests.unit.clock import Clock
from tests.unit.conftest import Answered, Product, add_agents, says

HOUR = 3600.0
JUMPS = pytest.mark.parametrize("jump", [5 * HOUR, -5 * HOUR], ids=["ahead", "back"])
WAYS = pytest.mark.parametrize("way", ["route", "chat", "stream"])


class JumpingGateway(ScriptedGateway):
    """While a model answers, and before each part of a stream, the clock jumps there and back by
    turns."""

    def __init__(self, clock: Clock, jump: float) -> None:
        super().__init__()
        self._clock = clock
        self._jump = jump

    def _leap(self) -> None:
        self._clock.seconds += self._jump
        self._jump = -self._jump

    async def run(self, request: ModelRequest, /) -> ModelAnswer:
        self._leap()
        return await super().run(request)

    async def stream(self, request: ModelRequest, /) -> ModelStream:
        self._leap()
        given = await super().stream(request)
        return ModelStream(deltas=self._leaping(given.deltas), trace=given.trace)

    async def _leaping(self, deltas: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
        async for delta in deltas:
            self._leap()
            yield delta


async def ask(product: Product, way: str, text: str) -> Answered:
    """A question that both models answer."""
    if way == "route":
        product.gateway.enqueue(says("hr"))
        return await product.route(text)
    product.gateway.enqueue(says("hr"), streams("Thirty", " days.") if way == "stream" else talks())
    body = {"model": "auto", "messages": [user(text)], "stream": way == "stream"}
    return await product.call("POST", "/v1/chat/completions", body)


def require_answer(answered: Answered, way: str) -> None:
    assert answered.status == 200, answered.text
    if way == "stream":
        chunks = events(answered.text)
        assert (said(chunks), chunks[-1]) == ("Thirty days.", "[DONE]")


async def require_sound_rows(product: Product, count: int) -> None:
    rows = await product.logs()
    assert len(rows) == count
    for row in rows:
        assert (row["layer"], row["reason"], row["ending"]) == ("llm", None, "complete")
        assert row["latency_ms"] >= row["upstream_ms"] >= 0
        assert all(attempt["ms"] >= 0 for attempt in row["attempts"])
    assert product.failures.counts == {}


@WAYS
@JUMPS
async def test_a_jump_between_requests(product: Product, way: str, jump: float) -> None:
    for number, step in enumerate((0, jump, -jump, -jump, jump)):
        product.clock.seconds += step
        require_answer(await ask(product, way, f"Leave {number}?"), way)
    await require_sound_rows(product, 5)


@WAYS
@JUMPS
async def test_a_jump_within_a_request(
    database: SqliteDatabase, settings: Settings, way: str, jump: float
) -> None:
    clock = Clock()
    product = Product(database, settings, gateway=JumpingGateway(clock, jump), clock=clock)
    await add_agents(product)
    for number in range(4):
        answered = await ask(product, way, f"Leave {number}?")
        require_answer(answered, way)
        assert "dur=-" not in answered.headers["server-timing"]
    await require_sound_rows(product, 4)
    metrics = (await product.call("GET", "/metrics")).text
    seconds = [line for line in metrics.splitlines() if "seconds_sum" in line]
    assert seconds and all(float(line.rpartition(" ")[2]) >= 0 for line in seconds)


async def test_a_cached_answer_is_valid_while_the_clock_is_behind_and_expires_at_its_time(
    product: Product,
) -> None:
    states = []
    for step in (0, -5 * HOUR, 5 * HOUR, HOUR + 1, 5 * HOUR, -5 * HOUR):
        product.clock.seconds += step
        product.gateway.enqueue(says("hr"))
        states.append((await product.route("Leave?")).json()["cache"])
    # The last one is that of the jump ahead, which ends where it would have without the jump back.
    assert states == ["miss", "hit", "hit", "miss", "miss", "hit"]
    product.clock.seconds += 6 * HOUR + 1
    assert (await product.route("Leave?")).json()["cache"] == "miss"


async def limited_key(product: Product, **limits: Any) -> str:
    body = {"name": "limited", "scopes": ["route"], **limits}
    key: str = (await product.call("POST", "/v1/keys", body)).json()["key"]
    return key


async def used_by(product: Product, key: str) -> int:
    product.gateway.enqueue(says("hr"))
    body = {"query": f"Leave {len(product.gateway.requests)}?", "cache": False}
    return (await product.call("POST", "/v1/route", body, key=key)).status


async def test_a_clock_that_was_ahead_locks_no_key(product: Product) -> None:
    key = await limited_key(product, requests_per_minute=1)
    product.clock.seconds += 5 * HOUR
    assert [await used_by(product, key) for _ in range(2)] == [200, 429]
    product.clock.seconds -= 5 * HOUR
    assert [await used_by(product, key) for _ in range(2)] == [200, 429]
    product.clock.seconds += 60
    assert [await used_by(product, key) for _ in range(2)] == [200, 429]


async def test_clocks_that_are_seconds_apart_reset_no_limit(product: Product) -> None:
    key = await limited_key(product, requests_per_minute=1)
    product.clock.seconds += 60 - product.clock.seconds % 60
    assert await used_by(product, key) == 200
    product.clock.seconds -= 2  # the minute before
    assert await used_by(product, key) == 429
    product.clock.seconds += 2
    assert await used_by(product, key) == 429


@JUMPS
async def test_a_jump_refunds_no_budget(product: Product, jump: float) -> None:
    key = await limited_key(product, monthly_token_budget=2_500)
    statuses = []
    for _ in range(20):
        product.gateway.enqueue(talks("hr"))
        product.clock.seconds += jump
        jump = -jump
        body = {"query": "Leave?", "cache": False}
        statuses.append((await product.call("POST", "/v1/route", body, key=key)).status)
    assert statuses[0] == 200
    used = (await product.call("GET", "/v1/keys")).json()["data"][0]["usage"]
    assert used["tokens"] == 40 * statuses.count(200) <= 2_500


@JUMPS
async def test_breakers_close_again(product: Product, jump: float) -> None:
    await product.call("PATCH", "/v1/config", {"fallback_models": [], "max_retries": 0})
    product.gateway.enqueue(*[UpstreamError("down")] * 5)
    for number in range(6):
        decision = (await product.route(f"Leave {number}?")).json()
    assert [one["outcome"] for one in decision["attempts"]] == ["circuit_open"]
    product.clock.seconds += jump
    product.gateway.enqueue(says("hr"), says("hr"))
    await product.route("Leave after the jump?")
    product.clock.seconds += 31
    assert (await product.route("Leave at last?")).json()["layer"] == "llm"


@JUMPS
async def test_changes_of_other_isolates_are_seen(product: Product, jump: float) -> None:
    product.gateway.enqueue(*[says("hr")] * 3)
    await product.route("Leave?")
    product.execute("INSERT INTO config VALUES ('confidence_threshold', '0.95', 0)")
    product.clock.seconds += jump
    await product.route("How much leave?")
    product.clock.seconds += 6
    assert (await product.route("Leave at last?")).json()["reason"] == "low_confidence"


def test_the_monotonic_clock_never_goes_back() -> None:
    clock = Clock()
    steady = MonotonicClock(clock)
    readings = []
    for step in (1, -5 * HOUR, 2, 5 * HOUR, 3):
        clock.seconds += step
        readings.append(steady())
    assert readings == [1, 1, 3, 3 + 5 * HOUR, 6 + 5 * HOUR]
