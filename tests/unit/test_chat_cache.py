"""Chat answers given again: which are kept, for whom, where, and how they come back."""

from typing import Any

import pytest

from edgeneuro.errors import UpstreamCutError, UpstreamNotConfiguredError
from edgeneuro.gateway.interface import Delta, ModelAnswer
from edgeneuro_testing.gateway import Streamed
from tests.unit.chats import CALL, GRANITE, LLAMA, TOOL, chat, events, said, streams, talks, user
from tests.unit.conftest import Product, says
from tests.unit.invocations import run_maintenance
from tests.unit.test_keys import create

CACHE: dict[str, Any] = {"edgeneuro": {"cache": True}}


async def state(product: Product, model: str = LLAMA, **fields: Any) -> str:
    answered = await chat(product, model, **fields)
    assert answered.status == 200, answered.text
    cache: str = answered.json()["edgeneuro"]["cache"]
    return cache


@pytest.mark.parametrize(
    ("fields", "states"),
    [
        ({}, ["bypass", "bypass"]),
        ({"temperature": 0}, ["miss", "hit"]),
        ({"temperature": 0.1}, ["bypass", "bypass"]),
        (CACHE, ["miss", "hit"]),
        ({"temperature": 1.5, **CACHE}, ["miss", "hit"]),
        ({"temperature": 0, "edgeneuro": {"cache": None}}, ["miss", "hit"]),
        ({"temperature": 0, "edgeneuro": {"cache": False}}, ["bypass", "bypass"]),
    ],
)
async def test_what_is_kept(product: Product, fields: dict[str, Any], states: list[str]) -> None:
    product.gateway.enqueue(talks(), talks())
    assert [await state(product, **fields), await state(product, **fields)] == states
    kept = "hit" in states
    assert product.rows("SELECT count(*) AS n FROM chat_cache") == [{"n": int(kept)}]
    assert (product.gateway.requests[0].cache_key is not None) == kept


async def test_what_a_tool_said_is_of_its_moment(product: Product) -> None:
    messages = [
        user(),
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "shipped"},
    ]
    product.gateway.enqueue(talks())
    assert await state(product, messages=messages, **CACHE) == "bypass"


async def test_a_hit_asks_nobody_and_costs_nothing(product: Product) -> None:
    product.gateway.enqueue(says("hr"), talks())
    first = (await chat(product, "auto", **CACHE)).json()
    answered = await chat(product, "auto", **CACHE)
    again = answered.json()
    assert again["choices"] == first["choices"]
    assert again["id"] != first["id"]
    assert (again["model"], again["usage"]["total_tokens"]) == (LLAMA, 0)
    facts = again["edgeneuro"]
    assert (facts["cache"], facts["layer"], facts["agent"]["id"]) == ("hit", "cache", "hr")
    assert (facts["attempts"], facts["cost_usd"]) == ([], 0.0)
    assert len(product.gateway.requests) == 2
    newest, _ = await product.logs()
    assert (newest["cache"], newest["model"], newest["attempts"]) == ("hit", LLAMA, [])


async def test_another_isolate_finds_it_in_d1(product: Product) -> None:
    product.gateway.enqueue(talks("Thirty."))
    await chat(product, LLAMA, **CACHE)
    other = Product(product.database, product.services.settings)
    again = (await chat(other, LLAMA, **CACHE)).json()
    assert again["choices"][0]["message"]["content"] == "Thirty."
    assert again["edgeneuro"]["cache"] == "hit"
    # And keeps it from then on.
    product.database.statements.clear()
    await chat(other, LLAMA, **CACHE)
    assert not any("FROM chat_cache" in one.sql for one in product.database.statements)


@pytest.mark.parametrize(
    "change",
    [
        {"messages": [user("how many days of leave?")]},
        {"messages": [user(), user()]},
        {"messages": [{"role": "system", "content": "x"}, user()]},
        {"messages": [{"role": "system", "content": "How many days of leave?"}]},
        {"temperature": 0.5},
        {"top_p": 0.5},
        {"max_tokens": 5},
        {"seed": 5},
        {"stop": "x"},
        {"presence_penalty": 1},
        {"tools": [TOOL]},
        {"response_format": {"type": "json_object"}},
        {"top_k": 5},
        {"model": GRANITE},
        {"model": "agent:it_support"},
    ],
)
async def test_a_hit_never_crosses_what_changes_the_answer(
    product: Product, change: dict[str, Any]
) -> None:
    await product.call("PATCH", "/v1/agents/it_support", {"system_prompt": "You are IT."})
    product.gateway.enqueue(talks("one"), talks("two"))
    await chat(product, LLAMA, **CACHE)
    body = {"model": LLAMA, "messages": [user()], **CACHE, **change}
    answered = await product.call("POST", "/v1/chat/completions", body)
    assert answered.json()["choices"][0]["message"]["content"] == "two"


async def test_what_changes_nothing_is_no_part_of_the_key(product: Product) -> None:
    product.gateway.enqueue(talks())
    await chat(product, LLAMA, **CACHE)
    others: dict[str, Any] = {
        "user": "u",
        "metadata": {"a": "b"},
        "store": True,
        "n": 1,
        "temperature": None,
    }
    assert await state(product, **others, **CACHE) == "hit"
    # By whichever name the same model is called, with nothing put before the messages.
    assert await state(product, "agent:hr", **CACHE) == "hit"


async def test_a_kept_answer_comes_as_a_stream_and_a_stream_is_kept(product: Product) -> None:
    text = "  Thirty days,\n\nand one more for each five years that you have been with us. 🙂 "
    product.gateway.enqueue(streams(text[:20], text[20:]))
    first = events((await chat(product, LLAMA, stream=True, **CACHE)).text)
    assert first[0]["edgeneuro"]["cache"] == "miss"
    whole = (await chat(product, LLAMA, **CACHE)).json()
    assert whole["choices"][0]["message"]["content"] == text
    answered = await chat(
        product, LLAMA, stream=True, stream_options={"include_usage": True}, **CACHE
    )
    *chunks, done = events(answered.text)
    assert (said(chunks), done) == (text, "[DONE]")
    assert len(chunks) > 4
    assert chunks[0]["edgeneuro"]["cache"] == "hit"
    assert (chunks[-1]["usage"]["total_tokens"], chunks[-1]["edgeneuro"]["attempts"]) == (0, [])
    assert len(product.gateway.requests) == 1
    assert [entry["ending"] for entry in await product.logs()] == ["complete"] * 3


async def test_kept_tool_calls_come_as_a_stream(product: Product) -> None:
    product.gateway.enqueue(
        ModelAnswer(content=None, tool_calls=(CALL,), finish_reason="tool_calls")
    )
    await chat(product, LLAMA, tools=[TOOL], **CACHE)
    *chunks, _ = events((await chat(product, LLAMA, tools=[TOOL], stream=True, **CACHE)).text)
    assert chunks[1]["choices"][0]["delta"] == {"tool_calls": [{"index": 0, **CALL}]}
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    "script",
    [
        [UpstreamNotConfiguredError("no"), talks()],  # another model's
        [ModelAnswer(content="Thir", finish_reason="length")],
        [ModelAnswer(content="")],
        [talks("x" * 65_536)],
    ],
)
async def test_whole_answers_that_are_not_kept(product: Product, script: list[Any]) -> None:
    product.gateway.enqueue(*script, talks())
    await chat(product, LLAMA, **CACHE)
    assert await state(product, **CACHE) == "miss"


@pytest.mark.parametrize(
    "script",
    [
        [UpstreamNotConfiguredError("no"), streams("other")],
        [Streamed([Delta(content="Thir"), UpstreamCutError("cut")])],
        [Streamed([Delta(content="Thir"), Delta(finish_reason="length")])],
        [Streamed([Delta(tool_calls=({"index": 0, **CALL},), finish_reason="tool_calls")])],
        [streams(*["x" * 1_000] * 66)],
    ],
)
async def test_streams_that_are_not_kept(product: Product, script: list[Any]) -> None:
    product.gateway.enqueue(*script, talks())
    await chat(product, LLAMA, stream=True, **CACHE)
    assert await state(product, **CACHE) == "miss"


@pytest.mark.parametrize("damage", ["not json", '{"content": 7}', '{"finish_reason": null}'])
async def test_a_damaged_row_is_a_miss_and_counted(product: Product, damage: str) -> None:
    product.gateway.enqueue(talks(), talks("again"))
    await chat(product, LLAMA, **CACHE)
    product.execute(f"UPDATE chat_cache SET answer = '{damage}'")
    other = Product(product.database, product.services.settings, gateway=product.gateway)
    again = (await chat(other, LLAMA, **CACHE)).json()
    assert again["choices"][0]["message"]["content"] == "again"
    assert again["edgeneuro"]["cache"] == "miss"
    assert other.failures.counts == {"chat_cache_read": 1}


async def test_kept_answers_expire_and_are_purged(product: Product) -> None:
    product.gateway.enqueue(talks(), talks())
    await chat(product, LLAMA, **CACHE)
    product.clock.seconds += 3_601
    assert await state(product, **CACHE) == "miss"
    product.clock.seconds += 3_601
    await run_maintenance(product.services)
    assert product.rows("SELECT * FROM chat_cache") == []


@pytest.mark.parametrize("setting", [{"log_queries": False}, {"redact_personal_data": True}])
async def test_where_texts_are_not_stored_the_isolate_alone_keeps_them(
    product: Product, setting: dict[str, bool]
) -> None:
    await product.call("PATCH", "/v1/config", setting)
    product.gateway.enqueue(talks("Ann's number is 0301234567."))
    assert await state(product, **CACHE) == "miss"
    assert await state(product, **CACHE) == "hit"
    assert product.rows("SELECT * FROM chat_cache") == []
    assert product.gateway.requests[0].cache_key is None


@pytest.mark.parametrize("scope", ["all", "key"])
async def test_a_hit_says_what_others_asked_only_where_answers_are_shared(
    product: Product, scope: str
) -> None:
    await product.call("PATCH", "/v1/config", {"cache_scope": scope})
    keys = [(await create(product))["key"] for _ in range(2)]
    shared = scope == "all"
    product.gateway.enqueue(says("hr"), *([] if shared else [says("hr")]))
    found = []
    for key in (*keys, *keys):
        answered = await product.call("POST", "/v1/route", {"query": "Leave?"}, key=key)
        found.append(answered.json()["layer"] == "cache")
    assert found == [False, shared, True, True]
    # A second isolate stores the answer in D1, as the question has come before: a third finds it.
    second, third = (Product(product.database, product.services.settings) for _ in range(2))
    second.gateway.enqueue(says("hr"))
    for isolate, layer in ((second, "llm"), (third, "cache")):
        answered = await isolate.call("POST", "/v1/route", {"query": "Leave?"}, key=keys[0])
        assert answered.json()["layer"] == layer
    product.gateway.enqueue(talks(), *([] if shared else [talks()]))
    body = {"model": LLAMA, "messages": [user()], **CACHE}
    states = [
        (await product.call("POST", "/v1/chat/completions", body, key=key)).json()["edgeneuro"]
        for key in (*keys, *keys)
    ]
    assert [each["cache"] for each in states] == ["miss", "hit" if shared else "miss", "hit", "hit"]
