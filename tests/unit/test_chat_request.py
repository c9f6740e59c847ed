"""What a chat's body may hold: every fault is a 400 that names the field, before anybody is
asked."""

import json
from typing import Any

import pytest

from tests.unit.chats import CALL, TOOL, talks, user
from tests.unit.conftest import Answered, Product

MODEL = "agent:hr"
PICTURE = {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}


async def send(product: Product, **fields: Any) -> Answered:
    body = {"model": MODEL, "messages": [user()], **fields}
    return await product.call("POST", "/v1/chat/completions", body)


async def refused(product: Product, answered: Answered, code: str, param: str | None) -> None:
    assert answered.status == 400, answered.text
    error = answered.json()["error"]
    assert (error["code"], error["param"]) == (code, param), error["message"]
    assert param is None or error["message"].startswith(f"{param}: ")
    assert product.gateway.requests == []
    assert await product.logs() == []


@pytest.mark.parametrize(
    ("message", "code", "param"),
    [
        ({}, "missing_field", "role"),
        ({"role": "robot", "content": "a"}, "invalid_value", "role"),
        ({"role": "function", "content": "a"}, "invalid_value", "name"),
        ({"role": ["user"], "content": "a"}, "invalid_value", "role"),
        ({"role": "user"}, "invalid_value", "content"),
        ({"role": "user", "content": None}, "invalid_value", "content"),
        ({"role": "user", "content": 7}, "invalid_value", "content"),
        ({"role": "user", "content": {}}, "invalid_value", "content"),
        ({"role": "user", "content": []}, "invalid_value", "content"),
        ({"role": "user", "content": "a\0b"}, "invalid_value", "content"),
        ({"role": "user", "content": ["a"]}, "invalid_value", "content[0]"),
        ({"role": "user", "content": [{"type": "file"}]}, "invalid_value", "content[0]"),
        ({"role": "user", "content": [{"type": "text"}]}, "missing_field", "content[0].text"),
        (
            {"role": "user", "content": [PICTURE, {"type": "text", "text": 7}]},
            "invalid_value",
            "content[1].text",
        ),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": 7}]},
            "invalid_value",
            "content[0].image_url",
        ),
        ({"role": "system", "content": [PICTURE]}, "invalid_value", "content"),
        ({"role": "system", "content": None}, "invalid_value", "content"),
        ({"role": "assistant", "content": 7}, "invalid_value", "content"),
        ({"role": "assistant", "content": {}}, "invalid_value", "content"),
        ({"role": "assistant", "tool_calls": [{}]}, "missing_field", "tool_calls[0].id"),
        (
            {"role": "assistant", "content": [{"type": "refusal", "refusal": 7}]},
            "invalid_value",
            "content[0].text",
        ),
        ({"role": "assistant", "function_call": {}}, "missing_field", "function_call.name"),
        ({"role": "tool", "content": "a"}, "invalid_value", "tool_call_id"),
        ({"role": "tool", "tool_call_id": "c", "content": 7}, "invalid_value", "content"),
        ({"role": "user", "content": "a", "name": 7}, "invalid_value", "name"),
        ({"role": "user", "content": "a", "tool_call_id": "c"}, "invalid_value", "tool_call_id"),
        ({"role": "user", "content": "a", "tool_calls": [CALL]}, "invalid_value", "tool_calls"),
        (
            {"role": "user", "content": "a", "function_call": CALL["function"]},
            "invalid_value",
            "function_call",
        ),
    ],
)
async def test_messages(product: Product, message: dict[str, Any], code: str, param: str) -> None:
    answered = await send(product, messages=[user(), user(), message])
    await refused(product, answered, code, f"messages[2].{param}")


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"messages": []}, "invalid_value", "messages"),
        ({"messages": "hello"}, "invalid_value", "messages"),
        ({"messages": [user()] * 1_001}, "invalid_value", "messages"),
        ({"model": None}, "invalid_value", "model"),
        ({"model": ""}, "invalid_value", "model"),
        ({"model": "x" * 201}, "invalid_value", "model"),
        ({"tools": [TOOL] * 1_000}, "invalid_value", "tools"),
        ({"tools": [{"type": "retrieval"}]}, "invalid_value", "tools[0].type"),
        ({"tools": [TOOL, {"type": "function"}]}, "missing_field", "tools[1].function"),
        (
            {"tools": [{"type": "function", "function": {"name": "a b"}}]},
            "invalid_value",
            "tools[0].function.name",
        ),
        ({"tool_choice": "required"}, "invalid_value", "tool_choice"),
        ({"tool_choice": "some"}, "invalid_value", "tool_choice"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "b"}}},
            "invalid_value",
            "tool_choice",
        ),
        ({"tool_choice": {"type": "function"}}, "missing_field", "tool_choice.function"),
        ({"temperature": 2.1}, "invalid_value", "temperature"),
        ({"temperature": "0"}, "invalid_value", "temperature"),
        ({"temperature": True}, "invalid_value", "temperature"),
        ({"temperature": 10**400}, "invalid_value", "temperature"),
        ({"top_p": -0.1}, "invalid_value", "top_p"),
        ({"max_tokens": 0}, "invalid_value", "max_tokens"),
        ({"max_completion_tokens": 1.5}, "invalid_value", "max_completion_tokens"),
        ({"stop": ["a"] * 5}, "invalid_value", "stop"),
        ({"stop": ["a", 7]}, "invalid_value", "stop[1]"),
        ({"stop": 7}, "invalid_value", "stop"),
        ({"seed": 10**30}, "invalid_value", "seed"),
        ({"presence_penalty": 3}, "invalid_value", "presence_penalty"),
        ({"frequency_penalty": -3}, "invalid_value", "frequency_penalty"),
        ({"response_format": {"type": "xml"}}, "invalid_value", "response_format.type"),
        (
            {"response_format": {"type": "json_schema"}},
            "invalid_value",
            "response_format.json_schema",
        ),
        ({"n": 2}, "invalid_value", "n"),
        ({"n": 0}, "invalid_value", "n"),
        ({"logit_bias": {"5": 1}}, "invalid_value", "logit_bias"),
        ({"logprobs": True}, "invalid_value", "logprobs"),
        ({"top_logprobs": 2}, "invalid_value", "top_logprobs"),
        ({"user": 7}, "invalid_value", "user"),
        ({"stop": [["a"]]}, "invalid_value", "stop[0]"),
        ({"metadata": {f"k{n}": "v" for n in range(17)}}, "invalid_value", "metadata"),
        ({"stream": "yes"}, "invalid_value", "stream"),
        ({"stream_options": {"include_usage": 1}}, "invalid_value", "stream_options.include_usage"),
        ({"functions": [{}]}, "missing_field", "functions[0].name"),
        ({"functions": [{"name": "a b"}]}, "invalid_value", "functions[0].name"),
        ({"functions": {}}, "invalid_value", "functions"),
        ({"function_call": {"name": "a"}}, "invalid_value", "function_call"),
        ({"function_call": "required"}, "invalid_value", "function_call"),
        ({"edgeneuro": {"candidates": ["X"]}}, "invalid_value", "edgeneuro.candidates[0]"),
        ({"edgeneuro": {"cache": "yes"}}, "invalid_value", "edgeneuro.cache"),
        ({"edgeneuro": {"colour": "red"}}, "unknown_field", "edgeneuro.colour"),
        ({"edgeneuro": None}, "invalid_value", "edgeneuro"),
    ],
)
async def test_fields(
    product: Product, fields: dict[str, Any], code: str, param: str | None
) -> None:
    await refused(product, await send(product, **fields), code, param)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"model": "auto", "messages": [{"role": "user", "content": "\xff\xfe"}]}',
        b'{"model": "auto", "messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"messages": ' + b"[" * 100_000,
        json.dumps({"model": "auto", "messages": [None] * 100_000}).encode(),
    ],
)
async def test_bodies_that_are_none(product: Product, body: bytes) -> None:
    answered = await product.call("POST", "/v1/chat/completions", body)
    assert answered.status == 400
    assert len(answered.text) < 1_000


async def test_a_body_has_one_megabyte_of_text_at_most(product: Product) -> None:
    product.gateway.enqueue(talks())
    assert (await send(product, messages=[user("x" * 1_000_000)])).status == 200
    answered = await send(product, messages=[user("x" * 1_048_576)])
    assert (answered.status, answered.json()["error"]["code"]) == (413, "body_too_large")


async def test_what_clients_send_back_of_our_answers_is_taken(product: Product) -> None:
    """Assistant messages as they come out of an answer, nulls and all."""
    said = {"role": "assistant", "content": "Hello.", "refusal": None}
    called = {"role": "assistant", "content": None, "refusal": None, "tool_calls": [CALL]}
    result = {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "7"}]}
    nothing = {"role": "assistant", "content": "", "tool_calls": None, "name": "ann"}
    product.gateway.enqueue(talks())
    answered = await send(product, messages=[user(), said, called, result, nothing])
    assert answered.status == 200, answered.text
    assert product.gateway.requests[0].messages == [
        user(),
        {"role": "assistant", "content": "Hello."},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        result,
        {"role": "assistant", "content": "", "name": "ann"},
    ]


async def test_the_most_that_is_taken(product: Product) -> None:
    tools = [{**TOOL, "function": {**TOOL["function"], "name": f"tool_{n}"}} for n in range(128)]
    product.gateway.enqueue(talks())
    answered = await send(product, messages=[user()] * 1_000, tools=tools, stop=["a"] * 4)
    assert answered.status == 200, answered.text


async def test_what_a_library_added_to_our_answer_may_come_back_with_it(product: Product) -> None:
    product.gateway.enqueue(talks())
    added: dict[str, Any] = {
        "provider_specific_fields": {"refusal": None},
        "annotations": [],
        "audio": None,
    }
    earlier = {"role": "assistant", "content": "Which one?", **added}
    assert (await send(product, messages=[user(), earlier, user("That")])).status == 200
    [request] = product.gateway.requests
    assert {"role": "assistant", "content": "Which one?"} in list(request.messages)
