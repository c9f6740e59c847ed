"""Tools: which one is called, with which arguments, and in which shape the answer has it."""

import json
from typing import Any

import pytest

from local.engines.tool_calling import example
from tests.local.emulator import GLM, HELLO, LLAMA, Emulator, Json
from tests.local.test_streams import events

WEATHER: Json = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer"},
        "unit": {"enum": ["celsius", "fahrenheit"]},
        "note": {"type": "string"},
    },
    "required": ["city", "days", "unit"],
}
TOOLS: list[Json] = [
    {"type": "function", "function": {"name": "book_room", "parameters": {"type": "object"}}},
    {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}},
]
NAMED: Json = {"type": "function", "function": {"name": "get_weather"}}
ARGUMENTS = {"city": "emulated", "days": 1, "unit": "celsius"}


def ask(text: str = "hello", **more: Any) -> Json:
    return {"messages": [{"role": "user", "content": text}], "tools": TOOLS, **more}


async def called(emulator: Emulator, inputs: Json) -> list[str]:
    result = (await emulator.run(inputs)).json()["result"]
    return [call["name"] for call in result["tool_calls"]]


async def test_the_classic_shape(emulator: Emulator) -> None:
    result = (await emulator.run(ask(tool_choice=NAMED))).json()["result"]
    assert result["response"] is None
    assert result["tool_calls"] == [{"name": "get_weather", "arguments": ARGUMENTS}]


async def test_openais_shape(emulator: Emulator) -> None:
    choice = (await emulator.run(ask(tool_choice=NAMED), GLM)).json()["result"]["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    (call,) = choice["message"]["tool_calls"]
    assert (call["type"], call["function"]["name"]) == ("function", "get_weather")
    assert call["id"].startswith("call_")
    assert json.loads(call["function"]["arguments"]) == ARGUMENTS


async def test_who_is_called(emulator: Emulator) -> None:
    assert await called(emulator, ask()) == []
    assert await called(emulator, ask("please Get_Weather now")) == ["get_weather"]
    assert await called(emulator, ask("get_weathers")) == []
    assert await called(emulator, ask("get_weather", tool_choice="none")) == []
    assert await called(emulator, ask(tool_choice="required")) == ["book_room"]
    assert await called(emulator, ask("get_weather", tool_choice="required")) == ["get_weather"]


async def test_workers_ais_older_form_of_a_tool(emulator: Emulator) -> None:
    inputs = {**ask("get_weather"), "tools": [{"name": "get_weather", "parameters": WEATHER}]}
    assert await called(emulator, inputs) == ["get_weather"]


async def test_a_tools_answer_is_read_and_not_asked_for_again(emulator: Emulator) -> None:
    question = {"role": "user", "content": "get_weather"}
    asked = {"messages": [question], "tools": TOOLS}
    message = (await emulator.run(asked, GLM)).json()["result"]["choices"][0]["message"]
    result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "rain"}
    answer = await emulator.run({**asked, "messages": [question, message, result]})
    assert answer.json()["result"]["response"].endswith("The tool answered: rain")


async def test_a_classic_stream_tells_the_call_whole(emulator: Emulator) -> None:
    call, usage, done = events((await emulator.run(ask(tool_choice=NAMED, stream=True))).content)
    assert call["tool_calls"] == [{"name": "get_weather", "arguments": ARGUMENTS}]
    assert usage["usage"]["completion_tokens"] > 0
    assert done == "[DONE]"


async def test_openais_stream_tells_the_call_in_deltas(emulator: Emulator) -> None:
    answer = await emulator.run(ask(tool_choice=NAMED, stream=True), GLM)
    *chunks, last, _ = events(answer.content)
    deltas = [c["choices"][0]["delta"]["tool_calls"][0] for c in chunks]
    assert deltas[0]["function"] == {"name": "get_weather", "arguments": ""}
    assert deltas[0]["id"].startswith("call_")
    assert {delta["index"] for delta in deltas} == {0}
    arguments = "".join(delta["function"]["arguments"] for delta in deltas)
    assert json.loads(arguments) == ARGUMENTS
    assert last["choices"][0]["finish_reason"] == "tool_calls"


async def test_truncated_arguments(emulator: Emulator) -> None:
    await emulator.fault(kind="truncated_json")
    (call,) = (await emulator.run(ask(tool_choice=NAMED))).json()["result"]["tool_calls"]
    with pytest.raises(json.JSONDecodeError):
        json.loads(call["arguments"])


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"tools": {}}, "'/tools'"),
        ({"tools": [{"type": "function"}]}, "'/tools/0'"),
        ({"tools": [{"name": "x", "parameters": 3}]}, "'/tools/0/function/parameters'"),
        ({"tool_choice": "any"}, "'/tool_choice'"),
        ({"tool_choice": {"type": "function", "function": {"name": "nobody"}}}, "'nobody'"),
        ({"tools": [], "tool_choice": "required"}, "no tools"),
        ({"messages": [{"role": "assistant", "tool_calls": 3}]}, "'/messages/0/tool_calls'"),
        ({"messages": [{"role": "assistant", "tool_calls": [1]}]}, "tool_calls/0'"),
    ],
)
async def test_what_makes_no_sense_is_refused(emulator: Emulator, more: Json, words: str) -> None:
    answer = await emulator.run({**HELLO, "tools": TOOLS, **more}, LLAMA)
    error = answer.json()["errors"][0]
    assert error["code"] == 5006
    assert words in error["message"]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "number", "minimum": 5}, 5),
        ({"type": "integer", "exclusiveMinimum": 5}, 6),
        ({"type": "number", "maximum": 0.5}, 0.5),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": ["string", "null"]}, "emulated"),
        ({"type": "string", "maxLength": 5}, "emula"),
        ({"type": "array", "minItems": 2, "items": {"type": "integer"}}, [1, 1]),
        ({"const": "x"}, "x"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, 1),
        ({"type": "object", "required": ["a"], "properties": {"a": {"type": "null"}}}, {"a": None}),
        ({"$ref": "#/$defs/day"}, "monday"),
    ],
)
def test_a_value_of_the_right_type(schema: Json, value: Any) -> None:
    tool = {
        "properties": {"it": schema},
        "required": ["it"],
        "$defs": {"day": {"enum": ["monday"]}},
    }
    assert example(tool) == {"it": value}


def test_a_schema_that_contains_itself_ends() -> None:
    node: Json = {"type": "object", "required": ["next"], "properties": {"next": {"$ref": "#"}}}
    assert "next" in example(node)
