"""Chats as popular clients send them: fields of their own at every level, turns without a content,
and the functions of the time before tools. None of it is refused, and each upstream gets what it
takes."""

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from edgeneuro.gateway.interface import Delta, ModelAnswer, ModelRequest
from edgeneuro_testing.fetch import ScriptedResponse
from edgeneuro_testing.gateway import Streamed
from tests.unit.chats import CALL, LLAMA, TOOL, chat, events, streams, talks, user
from tests.unit.conftest import Product

PHOTO = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "format": "png"}}
FUNCTION = TOOL["function"]
# What was seen at the top level, and what it must not do.
TOP_LEVEL: dict[str, Any] = {
    "reasoning": {"effort": "low"},
    "thinking": {"type": "enabled", "budget_tokens": 1_024},
    "num_ctx": 4_096,
    "top_k": 40,
    "min_p": 0.05,
    "session_id": "s1",
    "chat_template_kwargs": {"enable_thinking": False},
    "modalities": ["text"],
    "audio": {},
    "prompt_cache_key": "",
    "safety_identifier": "",
    "service_tier": "auto",
    "store": False,
    "nothing": None,
}
MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief.", "injected": True},
    {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "e"}}]},
    {
        "role": "assistant",
        "id": "msg_1",
        "content": None,
        "tool_calls": [
            {
                "id": "call_1",
                "index": 0,
                "extra_content": {"google": {"thought_signature": "x"}},
                "function": {"name": "look_up", "arguments": "{}"},
            }
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "no such order", "is_error": True},
    {"role": "user", "content": [{"type": "text", "text": "b"}, PHOTO], "opts": {}},
]
PLAIN_MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "a"}]},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "call_1",
                "type": "function",
                "function": {"name": "look_up", "arguments": "{}"},
            }
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "no such order"},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "b"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        ],
    },
]


async def asked(product: Product, model: str = LLAMA, **fields: Any) -> ModelRequest:
    """What the upstream gets of a request that is answered."""
    product.gateway.enqueue(talks())
    answered = await chat(product, model, **fields)
    assert answered.status == 200, answered.text
    return product.gateway.requests[-1]


async def with_provider(product: Product, kind: str) -> str:
    """The id of a provider's model."""
    provider: dict[str, Any] = {"id": "vendor", "kind": kind, "models": ["m"]}
    if kind == "openai-compatible":
        provider["base_url"] = "https://llm.example.com/v1"
    answered = await product.call("POST", "/v1/providers", provider)
    assert answered.status == 201, answered.text
    return "vendor/m"


async def test_workers_ai_gets_what_it_knows(product: Product) -> None:
    request = await asked(product, messages=MESSAGES, tools=[{**TOOL, "x": 1}], **TOP_LEVEL)
    assert request.messages == PLAIN_MESSAGES
    assert request.parameters == {"tools": [TOOL], "top_k": 40}


@pytest.mark.parametrize("kind", ["openai", "groq", "anthropic"])
async def test_a_vendor_that_refuses_other_fields_gets_openais(product: Product, kind: str) -> None:
    model = await with_provider(product, kind)
    request = await asked(product, model, messages=MESSAGES, reasoning_effort="low", **TOP_LEVEL)
    assert request.messages == PLAIN_MESSAGES
    thinking = {"thinking": TOP_LEVEL["thinking"]} if kind == "anthropic" else {}
    assert request.parameters == {"reasoning_effort": "low", **thinking}


async def test_a_compatible_server_gets_everything(product: Product) -> None:
    model = await with_provider(product, "openai-compatible")
    cached = {**TOOL, "cache_control": {"type": "ephemeral"}}
    request = await asked(product, model, messages=MESSAGES, tools=[cached], **TOP_LEVEL)
    called = MESSAGES[2]["tool_calls"][0]
    expected = json.loads(json.dumps(MESSAGES))
    expected[2]["tool_calls"] = [{**called, "type": "function"}]
    assert request.messages == expected
    sent = {n: v for n, v in TOP_LEVEL.items() if n not in ("store", "service_tier", "nothing")}
    assert request.parameters == {**sent, "tools": [cached]}


async def test_an_agents_endpoint_gets_everything_but_what_chooses_for_the_operator(
    product: Product,
) -> None:
    hr = {"endpoint": "https://hr.example.com/chat", "protocol": "openai"}
    assert (await product.call("PATCH", "/v1/agents/hr", hr)).status == 200
    body = {"choices": [{"message": {"content": "Thirty."}, "finish_reason": "stop"}]}
    product.fetch.enqueue(
        ScriptedResponse(200, [json.dumps(body).encode()], {"content-type": "application/json"})
    )
    chooses: dict[str, Any] = {
        "models": ["x"],
        "api_key": "k",
        "base_url": "https://a.example",
        "lora": "b",
    }
    answered = await chat(product, messages=MESSAGES, metadata={"a": "b"}, **TOP_LEVEL, **chooses)
    assert answered.status == 200, answered.text
    sent = product.fetch.requests[0].json()
    assert sent["messages"][2]["id"] == "msg_1"
    assert sent["num_ctx"] == 4_096
    assert not set(sent) & {*chooses, "store", "service_tier", "metadata", "edgeneuro"}
    assert sent["model"] == "hr"


async def test_fields_inside_the_options_of_a_stream_are_passed_over(product: Product) -> None:
    product.gateway.enqueue(streams("a"))
    options = {"include_usage": True, "include_obfuscation": False}
    answered = await chat(product, stream=True, stream_options=options)
    assert events(answered.text)[-2]["usage"]["total_tokens"] == 40


@pytest.mark.parametrize(
    ("turn", "content"),
    [
        ({"role": "assistant"}, ""),
        ({"role": "assistant", "content": None}, ""),
        ({"role": "assistant", "content": []}, ""),
        ({"role": "assistant", "content": None, "tool_calls": []}, ""),
        ({"role": "assistant", "content": None, "tool_calls": None, "refusal": ""}, ""),
        ({"role": "assistant", "content": [{"type": "thinking", "thinking": "hm"}]}, ""),
        (
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
            [{"type": "text", "text": "No."}],
        ),
        ({"role": "assistant", "content": [], "tool_calls": [CALL]}, None),
        ({"role": "tool", "tool_call_id": "c", "content": None}, ""),
        ({"role": "tool", "tool_call_id": "c"}, ""),
        ({"role": "tool", "tool_call_id": "c", "content": []}, ""),
    ],
)
async def test_a_turn_without_a_text_is_taken(
    product: Product, turn: dict[str, Any], content: Any
) -> None:
    request = await asked(product, messages=[user(), turn, user()])
    assert request.messages[1]["content"] == content


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        ({"user": ""}, {}),
        ({"stop": ""}, {}),
        ({"stop": []}, {}),
        ({"stop": ["", "END"]}, {"stop": ["END"]}),
        ({"seed": 0}, {"seed": 0}),
        ({"seed": -1}, {"seed": -1}),
        ({"max_tokens": -1, "max_completion_tokens": -1}, {}),
        ({"reasoning_effort": "", "verbosity": ""}, {}),
        ({"messages": [{**user(), "name": ""}]}, {}),
    ],
)
async def test_an_empty_text_is_one_that_was_left_out(
    product: Product, fields: dict[str, Any], sent: dict[str, Any]
) -> None:
    request = await asked(product, **fields)
    assert request.parameters == sent
    assert "name" not in request.messages[0]


async def test_functions_are_tools(product: Product) -> None:
    messages = [
        user(),
        {"role": "assistant", "content": None, "function_call": CALL["function"]},
        {"role": "function", "name": "look_up", "content": "7 days"},
    ]
    request = await asked(
        product, messages=messages, functions=[FUNCTION], function_call={"name": "look_up"}
    )
    assert request.messages[1:] == [
        {"role": "assistant", "content": None, "tool_calls": [{**CALL, "id": "call_1"}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "7 days", "name": "look_up"},
    ]
    named = {"type": "function", "function": {"name": "look_up"}}
    assert request.parameters == {"tools": [TOOL], "tool_choice": named}


async def test_a_client_of_functions_gets_a_call_of_a_function(product: Product) -> None:
    product.gateway.enqueue(
        ModelAnswer(content=None, tool_calls=(CALL, CALL), finish_reason="tool_calls")
    )
    answered = await chat(product, functions=[FUNCTION], function_call="auto")
    [choice] = ChatCompletion.model_validate(answered.json()).choices
    assert choice.finish_reason == "function_call"
    assert choice.message.function_call is not None
    assert choice.message.function_call.model_dump() == CALL["function"]
    assert choice.message.tool_calls is None


async def test_a_client_of_functions_gets_it_in_a_stream_too(product: Product) -> None:
    opening = {"index": 0, **CALL, "function": {"name": "look_up", "arguments": ""}}
    rest = {"index": 0, "function": {"arguments": '{"id": "7"}'}}
    second = {"index": 1, **CALL}
    parts = [
        Delta(tool_calls=(opening,)),
        Delta(tool_calls=(rest, second), finish_reason="tool_calls"),
    ]
    product.gateway.enqueue(Streamed(parts))
    answered = await chat(product, stream=True, functions=[FUNCTION])
    chunks = [ChatCompletionChunk.model_validate(each) for each in events(answered.text)[:-1]]
    deltas = [chunk.choices[0].delta for chunk in chunks]
    calls = [delta.function_call for delta in deltas if delta.function_call is not None]
    assert [(call.name, call.arguments) for call in calls] == [
        ("look_up", ""),
        (None, '{"id": "7"}'),
    ]
    assert chunks[-1].choices[0].finish_reason == "function_call"
    assert "tool_calls" not in answered.text


async def test_tools_win_where_functions_are_sent_beside_them(product: Product) -> None:
    other = {"name": "other", "parameters": {}}
    request = await asked(product, tools=[TOOL], functions=[other], function_call="none")
    assert request.parameters == {"tools": [TOOL]}


async def test_a_function_message_is_a_tools_result_for_the_cache(product: Product) -> None:
    result = {"role": "function", "name": "look_up", "content": "7"}
    for _ in range(2):
        await asked(product, messages=[user(), result], temperature=0)
    assert len(product.gateway.requests) == 2


async def test_fields_that_an_upstream_gets_are_part_of_the_caches_key(product: Product) -> None:
    model = await with_provider(product, "openai-compatible")
    for top_k in (1, 2):
        await asked(product, model, temperature=0, top_k=top_k)
    assert (await chat(product, model, temperature=0, top_k=1)).json()["edgeneuro"][
        "cache"
    ] == "hit"
    assert len(product.gateway.requests) == 2
