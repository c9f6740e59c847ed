"""The rate limiter beside the first stages: a refused call does nothing, an admitted one waits for
the limiter before it pays for anything, and a limiter that fails refuses nobody."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from edgeneuro.app.application import build_app
from edgeneuro.app.routes import ROUTES
from tests.unit.chats import LLAMA, streams, talks, user
from tests.unit.conftest import ADMIN_TOKEN, Answered, Product, says
from tests.unit.decisions import CLEF, URGENT, decided, yes
from tests.unit.test_app import assert_error
from tests.unit.test_chat_agents import answers, at_endpoint

ROUTE, CHAT = "/v1/route", "/v1/chat/completions"
KNOWN = {"query": "How many days of leave?"}
AGENT = {"type": "choice", "name": "agent", "instructions": "Who?"}
CALLS: dict[str, tuple[str, Any]] = {
    "cached": (ROUTE, KNOWN),
    "asked": (ROUTE, {"query": "A new question?"}),
    "explained": (ROUTE, {"query": "A new question?", "explain": True, "cache": False}),
    "in a session": (ROUTE, {"query": "A new question?", "session": "conversation"}),
    "a named model": (CHAT, {"model": LLAMA, "messages": [user()]}),
    "a cached chat": (CHAT, {"model": LLAMA, "messages": [user()], "temperature": 0}),
    "routed": (CHAT, {"model": "auto", "messages": [user("A new question?")]}),
    "a cached route": (CHAT, {"model": "auto", "messages": [user()]}),
    "an agent's model": (CHAT, {"model": "agent:it_support", "messages": [user()]}),
    "an agent's endpoint": (CHAT, {"model": "agent:hr", "messages": [user()]}),
    "a stream": (CHAT, {"model": LLAMA, "messages": [user()], "stream": True}),
    "a routed stream": (CHAT, {"model": "auto", "messages": [user("New?")], "stream": True}),
    "a question to the router": (
        "/v1/decisions",
        {"model": "auto", "input": "Leave?", "questions": [AGENT]},
    ),
    "in System One's format": (
        "/v1/systemone",
        {
            "model": "auto",
            "state": "Leave?",
            "questions": {"agent": {"type": "choice", "instructions": "Who?"}},
        },
    ),
    "a question to a model": (
        "/v1/decisions",
        {"model": CLEF, "input": "Leave?", "questions": [URGENT]},
    ),
    "no JSON": (ROUTE, b"{"),
    "an unknown agent": (ROUTE, {"query": "Leave?", "candidates": ["nobody"]}),
    "an unknown model": (CHAT, {"model": "nobody", "messages": [user()]}),
}
ANSWERS: dict[str, tuple[Any, ...]] = {
    "asked": (says("hr"),),
    "explained": (says("hr"),),
    "in a session": (says("hr"),),
    "a named model": (talks(),),
    "routed": (says("it_support"), talks()),
    "a cached route": (talks(),),
    "an agent's model": (talks(),),
    "a stream": (streams("Thirty ", "days."),),
    "a routed stream": (says("it_support"), streams("Thirty ", "days.")),
    "a question to the router": (says("hr"),),
    "in System One's format": (says("hr"),),
    "a question to a model": (decided({"urgent": yes()}),),
}
LIMITS: dict[str, dict[str, int]] = {
    "without limits": {},
    "with limits": {"requests_per_minute": 5, "monthly_token_budget": 1_000_000},
}
_STEPS = 50  # of the event loop, until a call waits for the limiter and nothing else


@pytest.fixture(params=LIMITS)
async def key(product: Product, request: pytest.FixtureRequest) -> str:
    """A key, with what the calls find in caches."""
    await at_endpoint(product)
    product.gateway.enqueue(says("hr"), talks(), says("hr"))
    for path, body in (CALLS["cached"], CALLS["a cached chat"]):
        assert (await product.call("POST", path, body)).status == 200
    body = {"name": "key", "scopes": ["route", "read"], **LIMITS[request.param]}
    key: str = (await product.call("POST", "/v1/keys", body)).json()["key"]
    assert (await product.call("GET", "/v1/me", key=key)).status == 200  # it is known from now on
    return key


async def steps() -> None:
    for _ in range(_STEPS):
        await asyncio.sleep(0)


async def verdict(product: Product, calling: asyncio.Task[Answered], *, admitted: bool) -> Answered:
    """The answer, once the limiter says so."""
    assert not calling.done()
    assert product.limiter.held is not None
    product.limiter.open = admitted
    product.limiter.held.set()
    return await calling


async def held(product: Product, path: str, body: Any, key: str) -> asyncio.Task[Answered]:
    """The call, as far as it comes before the limiter answers."""
    product.limiter.held = asyncio.Event()
    product.database.statements.clear()
    calling = asyncio.ensure_future(product.call("POST", path, body, key=key))
    await steps()
    return calling


def done(product: Product) -> tuple[object, ...]:
    """What calls have changed in D1, sent to models and agents, and counted as answered. Sums of
    refused requests do not count: each request of these tests adds to one."""
    [refused] = product.rows("SELECT total(requests) AS requests FROM refusals")
    return (
        product.database._connection.total_changes - refused["requests"],
        len(product.gateway.requests) + len(product.gateway.decision_requests),
        len(product.fetch.requests),
        product.services.metrics.answers.text(),
    )


@pytest.mark.parametrize("name", CALLS)
async def test_a_refused_call_does_nothing(product: Product, key: str, name: str) -> None:
    before = done(product)
    calling = await held(product, *CALLS[name], key)
    assert done(product) == before
    answered = await verdict(product, calling, admitted=False)
    assert_error(answered, 429, "edge_rate_limited")
    assert answered.headers["retry-after"] == "60"
    assert "x-ratelimit-limit-requests" not in answered.headers
    assert done(product) == before
    assert len(asyncio.all_tasks()) == 1  # this test's


@pytest.mark.parametrize("name", CALLS)
async def test_an_admitted_call_does_all(product: Product, key: str, name: str) -> None:
    path, body = CALLS[name]
    calling = await held(product, path, body, key)
    product.gateway.enqueue(*ANSWERS.get(name, ()))
    product.fetch.enqueue(answers())
    answered = await verdict(product, calling, admitted=True)
    refused = {"no JSON": 400, "an unknown agent": 400, "an unknown model": 404}
    assert answered.status == refused.get(name, 200), answered.text
    assert product.limiter.keys[-1].startswith("key_")
    assert len(asyncio.all_tasks()) == 1


async def test_first_stages_run_beside_the_limiter(product: Product, key: str) -> None:
    """The label of a question that is new to this isolate is read while the limiter is asked."""
    [*_, logged] = await product.logs()
    path = f"/v1/logs/{logged['id']}/label"
    assert (await product.call("PUT", path, {"agent_id": "hr"})).status == 200
    calling = await held(product, ROUTE, {"query": "Another question?"}, ADMIN_TOKEN)
    assert any("labels" in each.sql for each in product.database.statements)
    product.gateway.enqueue(says("hr"))
    assert (await verdict(product, calling, admitted=True)).status == 200


@pytest.mark.parametrize("path", ["/v1/feedback", "/v1/me", "/v1/decisions/dec_1/reroute"])
async def test_other_calls_wait_for_it_first(product: Product, key: str, path: str) -> None:
    method = "GET" if path == "/v1/me" else "POST"
    product.limiter.held = asyncio.Event()
    product.database.statements.clear()
    calling = asyncio.ensure_future(product.call(method, path, b"{", key=key))
    await steps()
    assert product.database.statements == []
    assert_error(await verdict(product, calling, admitted=False), 429, "edge_rate_limited")


def test_no_call_beside_the_limiter_takes_an_idempotency_key() -> None:
    """The row of the key would be written before the limiter has answered."""
    assert not [each for each in ROUTES if each.awaits_limit and each.takes_idempotency_key]
    assert [each.path for each in ROUTES if each.awaits_limit] == [
        "/v1/route",
        "/v1/chat/completions",
        "/v1/decisions",
        "/v1/systemone",
    ]


@pytest.mark.parametrize("name", ["cached", "a named model", "a stream"])
async def test_a_limiter_that_fails_refuses_nobody(product: Product, key: str, name: str) -> None:
    product.limiter.failure = RuntimeError("The binding failed.")
    product.gateway.enqueue(*ANSWERS.get(name, ()))
    path, body = CALLS[name]
    assert (await product.call("POST", path, body, key=key)).status == 200
    assert product.failures.counts["rate_limiter"] == 1


async def test_a_slow_limiter_keeps_a_stream_from_starting(product: Product, key: str) -> None:
    product.services = replace(product.services, stream_silence_seconds=0)
    product.app = build_app(product.services)
    for admitted in (False, True):
        calling = await held(product, *CALLS["a stream"], key)
        product.gateway.enqueue(streams("Thirty ", "days."))
        answered = await verdict(product, calling, admitted=admitted)
        assert answered.status == (200 if admitted else 429)
    assert answered.text.endswith("data: [DONE]\n\n")
    assert len(asyncio.all_tasks()) == 1


async def test_a_canceled_call_leaves_no_question_to_the_limiter(
    product: Product, key: str
) -> None:
    for name in ("asked", "a stream", "in a session"):
        before = done(product)
        calling = await held(product, *CALLS[name], key)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        await steps()
        assert (done(product), len(asyncio.all_tasks())) == (before, 1)


async def test_an_error_of_ours_waits_for_the_limiter_too(product: Product, key: str) -> None:
    calling = await held(product, *CALLS["no JSON"], key)
    assert_error(await verdict(product, calling, admitted=False), 429, "edge_rate_limited")
    product.database.failing = True
    await product.clock.sleep(60)  # the configuration is read again
    calling = await held(product, *CALLS["asked"], ADMIN_TOKEN)
    assert_error(await verdict(product, calling, admitted=False), 429, "edge_rate_limited")
