"""Refused requests: what counts, by which reason, and that the price of counting is bounded."""

from typing import Any

from edgeneuro.domain.refusal import Refusal
from edgeneuro.errors import DatabaseError
from edgeneuro.isolate.refusal_counter import MAX_WAITING, WINDOW_SECONDS, RefusalCounter
from edgeneuro.store.database import statement
from edgeneuro.store.refusals import RefusalSum, add_refusals, merge_refusals
from edgeneuro.store.usage import DAY, HOUR, SLOT, SLOTS_KEPT
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.clock import Clock
from tests.unit.conftest import Product, says

NOW = 1_800_000_000_000  # 2027-01-15T08:00:00Z, the clock of the tests
RATE = Refusal("key_1", "key_rate_limited")


async def new_key(product: Product, **fields: Any) -> dict[str, Any]:
    body = {"name": "k", "scopes": ["route"], **fields}
    made: dict[str, Any] = (await product.call("POST", "/v1/keys", body)).json()
    return made


async def counted(product: Product) -> dict[str, dict[str, int]]:
    """By caller."""
    product.clock.seconds += 1  # into the hour
    said = (await product.call("GET", "/v1/analytics")).json()["refusals"]
    assert said["requests"] == sum(said["reasons"].values())
    assert sum(sum(each["reasons"].values()) for each in said["series"]) == said["requests"]
    return {each["key"] or "": each["reasons"] for each in said["keys"]}


async def test_a_key_whose_limit_is_reached_shows_its_refusals(product: Product) -> None:
    key = await new_key(product, requests_per_minute=1)
    product.gateway.enqueue(says("hr"))
    for _ in range(5):
        await product.call("POST", "/v1/route", {"query": "Leave?"}, key=key["key"])
    shown = (await product.call("GET", f"/v1/keys/{key['id']}")).json()
    for name in ("recent", "this_month", "last_30_days"):
        assert (shown[name]["requests"], shown[name]["refused"]) == (5, 4)
        assert shown[name]["refusals"] == {"key_rate_limited": 4}
    assert shown["recent"]["since"] == "2027-01-15T07:00:00.000Z"
    assert shown["last_refused_at"] == "2027-01-15T08:00:00.000Z"
    assert shown["usage"]["minute_requests"] == 1
    metrics = (await product.call("GET", "/metrics")).text
    assert 'edgeneuro_refusals_total{reason="key_rate_limited"} 4' in metrics


async def test_the_reasons(product: Product) -> None:
    key = await new_key(product, monthly_token_budget=1)
    allowed = await new_key(product, agents=["hr"], models=["@cf/meta/llama-3.2-1b-instruct"])
    expired = await new_key(product, expires_at="2027-01-15T08:00:01Z")
    revoked = await new_key(product)
    await product.call("DELETE", f"/v1/keys/{revoked['id']}")
    ask: dict[str, Any] = {"query": "Leave?"}
    chat = {"model": "nobody", "messages": [{"role": "user", "content": "Leave?"}]}
    feedback = {"decision_id": "dec_none", "value": "up"}
    for caller, path, body in (
        (key, "/v1/route", ask),
        (allowed, "/v1/route", {**ask, "candidates": ["it_support"]}),
        (allowed, "/v1/route", {**ask, "model": "@cf/ibm-granite/granite-4.0-h-micro"}),
        (allowed, "/v1/route", {}),
        (allowed, "/v1/chat/completions", chat),
        (allowed, "/v1/feedback", feedback),
        (allowed, "/v1/agents", {}),  # the scope is missing
        (revoked, "/v1/route", ask),
    ):
        refused = await product.call("POST", path, body, key=caller["key"])
        assert 400 <= refused.status < 500, refused.text
    product.clock.seconds += 2
    await product.call("POST", "/v1/route", ask, key=expired["key"])
    await product.call("POST", "/v1/route", ask, key="en_" + "x" * 40)
    await product.call("POST", "/v1/route", ask, key="no key of ours")
    found = await counted(product)
    assert found == {
        key["id"]: {"key_token_budget_exceeded": 1},
        allowed["id"]: {
            "agent_not_allowed": 1,
            "model_not_allowed": 1,
            "invalid_request": 1,
            "not_found": 2,
            "missing_scope": 1,
        },
        revoked["id"]: {"key_revoked": 1},
        expired["id"]: {"key_expired": 1},
        "": {"invalid_api_key": 2},
    }


async def test_what_is_no_refusal(product: Product) -> None:
    """A request without a credential, a mistake in the control plane, a path that is none, and a
    request that was routed and then failed, which has a log row."""
    await product.call("POST", "/v1/route", {"query": "Leave?"}, key=None)
    await product.call("GET", "/v1/agents/nobody")
    await product.call("POST", "/v1/agents", {})
    await product.call("GET", "/v1/nothing")
    product.gateway.enqueue(*[DatabaseError("no model")] * 4)
    assert (await product.route("Leave?", fallback=False)).status >= 500
    assert await counted(product) == {}


async def test_the_limit_of_the_installation_counts(product: Product) -> None:
    product.limiter.open = False
    await product.route("Leave?")
    await product.call("GET", "/v1/agents")
    await product.call("POST", "/v1/route", {}, key="en_" + "x" * 40)
    await product.call("GET", "/openapi.json", key=None)
    product.limiter.open = True
    assert await counted(product) == {
        "admin_token": {"edge_rate_limited": 2},
        "": {"edge_rate_limited": 1},
    }


def counter(clock: Clock, noted: list[str]) -> RefusalCounter:
    return RefusalCounter(
        monotonic=clock, sleep=clock.sleep, note_failure=lambda what, error: noted.append(what)
    )


async def rows(database: SqliteDatabase) -> list[tuple[Any, ...]]:
    sql = "SELECT slot, key_id, reason, requests, last_at FROM refusals ORDER BY 1, 2, 3"
    return [tuple(row.values()) for row in await database.run(statement(sql))]


async def test_a_flood_is_one_statement_a_window(database: SqliteDatabase) -> None:
    clock, noted = Clock(), list[str]()
    refusals = counter(clock, noted)
    asked = [refusals.add(RATE, NOW + n) for n in range(1_000)]
    assert asked == [True] + [False] * 999
    await refusals.write_later(database)
    assert len(database.statements) == 1
    assert await rows(database) == [(NOW, "key_1", "key_rate_limited", 1_000, NOW + 999)]
    assert refusals.add(RATE, NOW + 2_000)
    # Its request was ended: the next one takes over, once it is late.
    clock.seconds += WINDOW_SECONDS
    assert not refusals.add(RATE, NOW + 3_000)
    clock.seconds += 30
    assert refusals.add(RATE, NOW + 4_000)
    await refusals.write_later(database)
    assert await rows(database) == [(NOW, "key_1", "key_rate_limited", 1_003, NOW + 4_000)]
    assert not noted


async def test_what_waits_for_d1_is_bounded(database: SqliteDatabase) -> None:
    clock, noted = Clock(), list[str]()
    refusals = counter(clock, noted)
    database.failing = True
    for n in range(MAX_WAITING + 50):
        refusals.add(Refusal(f"key_{n}", "key_expired"), NOW)
    await refusals.write(database)
    assert noted == ["refusal_write"]
    database.failing = False
    await refusals.write(database)
    assert len(await rows(database)) == MAX_WAITING
    database.statements.clear()
    await refusals.write(database)
    assert not database.statements


async def test_old_slots_become_hours_and_go_after_a_year(database: SqliteDatabase) -> None:
    hour = (NOW - SLOTS_KEPT) // HOUR * HOUR - HOUR
    kept = NOW - 2 * DAY
    slots = [hour, hour + SLOT, hour + 11 * SLOT, kept + SLOT, NOW - 400 * DAY]
    await add_refusals(database, [RefusalSum(slot, RATE, 2, slot + 1) for slot in slots])
    for _ in range(2):  # once more changes nothing
        await merge_refusals(database, now_ms=NOW)
        assert [(slot, n, last) for slot, _, _, n, last in await rows(database)] == [
            (hour, 6, hour + 11 * SLOT + 1),
            (kept + SLOT, 2, kept + SLOT + 1),
        ]
