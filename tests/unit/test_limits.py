"""The limits of keys over the API, in process: refusals that say which, headers, settlements."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from edgeneuro.access.limits import estimate
from edgeneuro.domain.catalogue import base_model, facts_of
from edgeneuro.domain.decision import GatewayTrace, Usage
from edgeneuro.errors import (
    DatabaseError,
    InvalidOutputError,
    JsonModeUnmetError,
    UpstreamCapacityError,
    UpstreamError,
    UpstreamNotConfiguredError,
    UpstreamTimeoutError,
)
from edgeneuro.gateway.interface import ModelAnswer
from edgeneuro.settings import Settings
from edgeneuro.synapsecore.rankers.model import MAX_TOKENS
from edgeneuro_testing.gateway import OneOf
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.conftest import GENERAL, HR, Answered, Product, says
from tests.unit.watched import WatchedDatabase, fails

FEBRUARY = 1_801_440_000.0  # 2027-02-01T00:00:00Z
USAGE = Usage(prompt_tokens=400, completion_tokens=20, total_tokens=420)
COST_USD = round((400 * 0.027 + 20 * 0.201) / 1e6, 12)  # at Llama's price


async def create(product: Product, **fields: Any) -> Any:
    body = {"name": "limited", "scopes": ["route", "read"], **fields}
    answered = await product.call("POST", "/v1/keys", body)
    assert answered.status == 201, answered.text
    return answered.json()


async def route(
    product: Product, key: dict[str, Any], query: str = "Leave?", **fields: Any
) -> Answered:
    return await product.call("POST", "/v1/route", {"query": query, **fields}, key=key["key"])


async def ask(product: Product, key: dict[str, Any], query: str = "Leave?") -> Answered:
    product.gateway.enqueue(replace(says("hr"), usage=USAGE))
    return await route(product, key, query, cache=False)


async def usage(product: Product, key: dict[str, Any]) -> Any:
    return (await product.call("GET", f"/v1/keys/{key['id']}")).json()["usage"]


def refused(answered: Answered) -> tuple[int, str, str, str | None]:
    error = answered.json()["error"]
    return answered.status, error["code"], error["type"], error["param"]


def limits(answered: Answered) -> dict[str, str]:
    prefix = "x-ratelimit-"
    return {
        name.removeprefix(prefix): value
        for name, value in answered.headers.items()
        if name.startswith(prefix)
    }


@pytest.fixture
async def watched(settings: Settings) -> AsyncIterator[tuple[Product, WatchedDatabase]]:
    database = WatchedDatabase()
    product = Product(database, settings)
    for agent in (HR, GENERAL):
        await product.call("POST", "/v1/agents", agent)
    yield product, database
    database.close()


TOO_MANY = (429, "key_rate_limited", "rate_limit_error", "requests_per_minute")
NO_TOKENS = (429, "key_token_budget_exceeded", "budget_exceeded", "monthly_token_budget")
NO_USD = (429, "key_budget_exceeded", "budget_exceeded", "monthly_budget_usd")


async def test_requests_a_minute(product: Product) -> None:
    key = await create(product, requests_per_minute=2)
    product.clock.seconds += 47.5
    said = [limits(await ask(product, key)) for _ in range(2)]
    assert said == [
        {"limit-requests": "2", "remaining-requests": left, "reset-requests": "13s"}
        for left in ("1", "0")
    ]
    answered = await route(product, key)
    assert refused(answered) == TOO_MANY
    assert limits(answered) == said[1]
    assert answered.headers["retry-after"] == "13"
    assert "x-should-retry" not in answered.headers
    message = answered.json()["error"]["message"]
    assert "requests_per_minute is 2" in message
    assert "13 s" in message
    assert len(product.gateway.requests) == 2
    assert len(await product.logs()) == 2
    product.clock.seconds += 12.5
    assert (await ask(product, key)).status == 200


async def test_a_token_budget(product: Product) -> None:
    # An answer takes at most some 4,000 of both models here, and took 420.
    key = await create(product, monthly_token_budget=5_000)
    answered = await ask(product, key)
    assert limits(answered)["limit-tokens"] == "5000"
    assert 0 < int(limits(answered)["remaining-tokens"]) < 4_000
    assert limits(answered)["reset-tokens"] == "400h0m0s"
    assert await usage(product, key) == {
        "minute_requests": 1,
        "month": "2027-01",
        "tokens": 420,
        "cost_usd": COST_USD,
    }
    count = 1
    while (answered := await ask(product, key)).status == 200:
        count += 1
    assert count >= 3
    assert refused(answered) == NO_TOKENS
    assert answered.headers["retry-after"] == "3600"  # clients sleep for so long
    assert answered.json()["resets_at"] == "2027-02-01T00:00:00.000Z"
    assert answered.headers["x-should-retry"] == "false"
    assert limits(answered)["remaining-tokens"] == str(5_000 - 420 * count)
    message = answered.json()["error"]["message"]
    assert f"monthly_token_budget is 5000 tokens. {420 * count} of it are" in message
    assert "2027-02-01T00:00:00.000Z" in message
    product.clock.seconds += 400 * 3600
    assert (await usage(product, key))["tokens"] == 0
    assert (await ask(product, key)).status == 200


async def test_a_budget_in_usd(product: Product) -> None:
    key = await create(product, monthly_budget_usd=0.0003)
    answered = await ask(product, key)
    assert limits(answered)["limit-cost-usd"] == "0.0003"
    assert 0 < float(limits(answered)["remaining-cost-usd"]) < 0.0003
    while answered.status == 200:
        answered = await ask(product, key)
    assert refused(answered) == NO_USD
    assert answered.headers["x-should-retry"] == "false"
    rows = await product.logs()
    assert len(rows) >= 2
    spent = (await usage(product, key))["cost_usd"]
    assert spent == pytest.approx(sum(row["cost_usd"] for row in rows), abs=1e-12)
    assert 0.0001 < spent <= 0.0003


def routing_bound(product: Product) -> int:
    """What is reserved for one of the models that were called last."""
    [*_, asked] = product.gateway.requests
    size = sum(len(message["content"].encode()) for message in asked.messages)
    return estimate([base_model(facts_of(asked.model))], size, MAX_TOKENS).tokens


SERVED = replace(says("hr"), usage=USAGE)
UNKNOWN_USAGE = [
    # An answer that does not tell its usage.
    ([says("hr")], 0, 1),
    # Answers that came too late or cannot be read may have been generated all the same.
    ([UpstreamTimeoutError("slow"), SERVED], 420, 1),
    ([InvalidOutputError("no JSON"), SERVED], 420, 1),
    ([JsonModeUnmetError("unmet", upstream_code="5024"), SERVED], 420, 1),
    ([UpstreamTimeoutError("slow"), UpstreamTimeoutError("slow")], 0, 2),
    # What was refused has generated nothing.
    ([JsonModeUnmetError("has none", upstream_code="5025"), SERVED], 420, 0),
    ([UpstreamCapacityError("busy"), SERVED], 420, 0),
    ([UpstreamNotConfiguredError("gone"), SERVED], 420, 0),
    # One out of AI Gateway's cache costs nothing, and here it is of no use.
    ([ModelAnswer(content="?", trace=GatewayTrace(cache_status="HIT")), SERVED], 420, 0),
]


@pytest.mark.parametrize(("script", "tokens", "bounds"), UNKNOWN_USAGE)
async def test_usage_that_is_not_known_counts_as_reserved(
    product: Product, script: list[Any], tokens: int, bounds: int
) -> None:
    key = await create(product, monthly_token_budget=100_000)
    product.gateway.enqueue(*script)
    assert (await route(product, key)).status == 200
    counted = (await usage(product, key))["tokens"]
    assert counted == tokens + bounds * routing_bound(product)


async def test_vendors_before_the_one_that_answered_count_as_reserved(product: Product) -> None:
    for number, kind in enumerate(("groq", "openai")):
        provider = {"id": kind, "kind": kind, "models": ["m"], "priority": number}
        assert (await product.call("POST", "/v1/providers", provider)).status == 201
    await product.call("PATCH", "/v1/config", {"fallback_models": []})
    key = await create(product, monthly_token_budget=100_000)
    product.gateway.enqueue(UpstreamNotConfiguredError("n"), OneOf(1, SERVED))
    assert (await route(product, key)).status == 200
    assert (await usage(product, key))["tokens"] == 420 + routing_bound(product)


async def test_an_unknown_usage_counts_no_more_than_was_reserved(product: Product) -> None:
    await product.call("PATCH", "/v1/config", {"fallback_models": []})
    key = await create(product, monthly_token_budget=100_000)
    unmet = JsonModeUnmetError("unmet", upstream_code="5024")
    product.gateway.enqueue(unmet, SERVED)
    assert (await route(product, key)).status == 200
    assert (await usage(product, key))["tokens"] == routing_bound(product)


async def test_a_request_above_the_whole_budget_says_so(product: Product) -> None:
    key = await create(product, monthly_token_budget=100)
    answered = await route(product, key)
    assert refused(answered) == NO_TOKENS
    assert "more than the whole budget" in answered.json()["error"]["message"]
    assert product.gateway.requests == []
    nothing = {"minute_requests": 0, "month": "2027-01", "tokens": 0, "cost_usd": 0}
    assert await usage(product, key) == nothing


async def test_the_first_exceeded_limit_is_named(product: Product) -> None:
    key = await create(
        product, requests_per_minute=1, monthly_token_budget=5_000, monthly_budget_usd=1e-9
    )
    assert refused(await route(product, key)) == NO_USD
    path = f"/v1/keys/{key['id']}"
    await product.call("PATCH", path, {"monthly_token_budget": 1})
    assert refused(await route(product, key)) == NO_TOKENS
    body = {"decision_id": "dec_none", "value": "up"}
    await product.call("POST", "/v1/feedback", body, key=key["key"])
    assert refused(await route(product, key)) == TOO_MANY


async def test_without_limits_nothing_is_counted_or_shown(product: Product) -> None:
    key = await create(product)
    answered = await ask(product, key)
    assert (answered.status, limits(answered)) == (200, {})
    assert await usage(product, key) is None
    assert not any("key_usage (" in each.sql for each in product.database.statements)
    assert product.rows("SELECT * FROM key_usage") == []


async def test_patch_removes_a_limit_at_once(product: Product) -> None:
    key = await create(product, requests_per_minute=1, monthly_token_budget=50_000)
    await ask(product, key)
    assert refused(await route(product, key)) == TOO_MANY
    path = f"/v1/keys/{key['id']}"
    patched = (await product.call("PATCH", path, {"requests_per_minute": None})).json()
    assert (patched["requests_per_minute"], patched["monthly_token_budget"]) == (None, 50_000)
    assert patched["usage"]["tokens"] == 420
    assert list(limits(await ask(product, key))) == [
        f"{word}-tokens" for word in ("limit", "remaining", "reset")
    ]
    assert (await product.call("GET", "/v1/keys")).json()["data"][0]["usage"]["tokens"] == 840
    await product.call("PATCH", path, {"monthly_token_budget": None})
    assert limits(await ask(product, key)) == {}
    await product.call("PATCH", path, {"requests_per_minute": 1})
    assert refused(await route(product, key)) == TOO_MANY


async def test_a_cached_answer_is_a_request_and_costs_nothing(product: Product) -> None:
    key = await create(product, requests_per_minute=9, monthly_token_budget=50_000)
    product.gateway.enqueue(replace(says("hr"), usage=USAGE))
    assert (await route(product, key)).json()["cache"] == "miss"
    assert (await route(product, key)).json()["cache"] == "hit"
    found = await usage(product, key)
    assert (found["minute_requests"], found["tokens"]) == (2, 420)


async def test_ai_gateways_cache_costs_nothing(product: Product) -> None:
    key = await create(product, monthly_token_budget=50_000)
    hit = replace(says("hr"), usage=USAGE, trace=GatewayTrace(cache_status="HIT"))
    product.gateway.enqueue(hit)
    await route(product, key, cache=False)
    assert (await usage(product, key))["tokens"] == 0


async def test_feedback_is_a_request_and_no_tokens(product: Product) -> None:
    key = await create(product, requests_per_minute=2, monthly_token_budget=4_500)
    decision = (await ask(product, key)).json()["id"]
    await product.call("PATCH", f"/v1/keys/{key['id']}", {"monthly_token_budget": 1})
    body = {"decision_id": decision, "value": "up"}
    answered = await product.call("POST", "/v1/feedback", body, key=key["key"])
    assert (answered.status, limits(answered)["remaining-requests"]) == (201, "0")
    answered = await product.call("POST", "/v1/feedback", body, key=key["key"])
    assert refused(answered) == TOO_MANY
    assert (await usage(product, key))["tokens"] == 420


ASKED = {"input": "Hello", "questions": [{"type": "predicate", "instructions": "Is it urgent?"}]}
LOST = {"decision_id": "dec_lost", "value": "up"}


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/decisions", {**ASKED, "model": "no_such_model"}, 404),
        ("/v1/decisions", {**ASKED, "questions": []}, 400),
        ("/v1/chat/completions", {"model": "no_such_model", "messages": []}, 400),
        ("/v1/route", {"query": "Hello", "candidates": ["hr"]}, 403),
        ("/v1/feedback", LOST, 404),
        ("/v1/feedback", {**LOST, "correct_agent": "no_such_agent"}, 400),
    ],
)
async def test_a_refused_request_is_counted_once(
    product: Product, path: str, body: dict[str, Any], status: int
) -> None:
    """Its body was read, which is most of the work."""
    key = await create(product, requests_per_minute=2, agents=["general"])
    for _ in range(2):
        answered = await product.call("POST", path, body, key=key["key"])
        assert answered.status == status, answered.text
    assert refused(await product.call("POST", path, body, key=key["key"])) == TOO_MANY


async def test_the_control_plane_is_not_counted(product: Product) -> None:
    key = await create(product, requests_per_minute=1)
    for _ in range(3):
        assert (await product.call("GET", "/v1/logs", key=key["key"])).status == 200
    assert (await usage(product, key))["minute_requests"] == 0


async def test_an_upstreams_failure_keeps_the_headers_and_is_settled(product: Product) -> None:
    key = await create(product, requests_per_minute=5, monthly_token_budget=50_000)
    bad = ModelAnswer(content={"agent": 7}, usage=USAGE)
    product.gateway.enqueue(bad, UpstreamError("No."))
    answered = await route(product, key, fallback=False)
    assert answered.status == 502
    assert limits(answered)["remaining-requests"] == "4"
    assert (await usage(product, key))["tokens"] == 420  # the bad answer is to pay all the same


async def test_an_internal_error_refunds_the_reservation(product: Product) -> None:
    key = await create(product, requests_per_minute=5, monthly_budget_usd=1)
    product.gateway.enqueue(RuntimeError("a bug"))
    answered = await route(product, key)
    assert answered.status == 500
    assert limits(answered)["remaining-requests"] == "4"
    found = await usage(product, key)
    assert (found["minute_requests"], found["tokens"], found["cost_usd"]) == (1, 0, 0)


async def test_a_failed_refund_is_counted(
    watched: tuple[Product, WatchedDatabase],
) -> None:
    product, database = watched
    key = await create(product, monthly_token_budget=50_000)
    database.before("UPDATE key_usage", fails(DatabaseError("D1_ERROR")))
    product.gateway.enqueue(RuntimeError("a bug"))
    assert (await route(product, key)).status == 500
    assert product.failures.counts["limit_refund"] == 1
    assert (await usage(product, key))["tokens"] > 0


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/route", {"query": ""}),
        ("/v1/route", {"query": "a", "candidates": ["ceo"]}),
        ("/v1/route", b"no JSON"),
        ("/v1/route", b" " * 70_000),
        ("/v1/chat/completions", {"model": "nobody", "messages": []}),
        ("/v1/feedback", {}),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_refused_requests_are_counted(product: Product, path: str, body: Any) -> None:
    key = await create(product, requests_per_minute=2, monthly_token_budget=50_000)
    for count in (1, 2):
        answered = await product.call("POST", path, body, key=key["key"])
        assert 400 <= answered.status < 429
        found = await usage(product, key)
        assert (found["minute_requests"], found["tokens"]) == (count, 0)
    assert (await product.call("POST", path, body, key=key["key"])).status == 429


async def test_a_month_that_turns_before_the_settlement(
    watched: tuple[Product, WatchedDatabase],
) -> None:
    product, database = watched
    key = await create(product, monthly_token_budget=50_000)
    product.clock.seconds = FEBRUARY - 1

    async def a_month_later() -> None:
        product.clock.seconds = FEBRUARY
        assert (await ask(product, key)).status == 200

    database.before("INSERT INTO logs", a_month_later)
    assert (await ask(product, key)).status == 200
    found = await usage(product, key)
    assert (found["month"], found["tokens"]) == ("2027-02", 420)


async def test_while_d1_is_unreachable_only_limited_keys_have_to_wait(product: Product) -> None:
    limited, free = await create(product, requests_per_minute=9), await create(product)
    for key in (limited, free):
        await ask(product, key)
    product.database.failing = True
    answered = await ask(product, limited)
    assert (answered.status, answered.json()["error"]["code"]) == (503, "database_unavailable")
    assert answered.headers["retry-after"] == "1"
    assert "D1_ERROR" not in answered.text
    assert (await ask(product, free)).status == 200
    assert (await product.route("Leave?", cache=False)).status == 200


async def test_a_reservation_covers_all_possible_calls(
    watched: tuple[Product, WatchedDatabase],
) -> None:
    product, database = watched
    key = await create(product, monthly_budget_usd=1)
    database.before("INSERT INTO logs", fails(DatabaseError("D1_ERROR")))
    await ask(product, key, "Urlaub für Ærø?")
    [asked] = product.gateway.requests
    chain = (await product.services.routing.current()).chain
    size = sum(len(message["content"].encode()) for message in asked.messages)
    wanted = estimate(chain, size, asked.parameters["max_tokens"])
    found = await usage(product, key)
    assert (found["tokens"], found["cost_usd"]) == (wanted.tokens, wanted.cost_usd)
    assert wanted.tokens >= 2 * 2 * (size / 2 + asked.parameters["max_tokens"])


async def test_a_browser_may_read_the_headers(database: SqliteDatabase, settings: Settings) -> None:
    product = Product(database, replace(settings, allowed_origins=("https://app.example",)))
    headers = {"origin": "https://app.example"}
    answered = await product.call("GET", "/healthz", headers=headers)
    exposed = answered.headers["access-control-expose-headers"].split(", ")
    assert {"x-should-retry", "x-ratelimit-remaining-requests"} <= set(exposed)
    assert {"x-ratelimit-limit-tokens", "x-ratelimit-reset-cost-usd"} <= set(exposed)
