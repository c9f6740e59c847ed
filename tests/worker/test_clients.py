"""OpenAI's own clients, unchanged and with their defaults: Python's and Node's. And clients that
generators make of /openapi.json."""

import base64
import gzip
import json
import os
import subprocess
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolUnionParam
from pydantic import BaseModel

from scripts.paths import ROOT
from scripts.wrangler import node
from tests.worker.generated_clients import python_answer, typescript_answer
from tests.worker.product import Product
from tests.worker.test_chat import set_faults
from tests.worker.test_route import log_entry

ACTIVE = "@cf/meta/llama-3.2-1b-instruct"
FALLBACK = "@cf/ibm-granite/granite-4.0-h-micro"
SEEING = "@cf/google/gemma-4-26b-a4b-it"  # takes images
NO_STAND_IN = {"edgeneuro": {"fallback": False}}
TOOL: ChatCompletionToolUnionParam = {
    "type": "function",
    "function": {
        "name": "get_ticket",
        "description": "Look up a ticket",
        "parameters": {
            "type": "object",
            "properties": {"number": {"type": "integer"}},
            "required": ["number"],
        },
    },
}
STREAM_FAULTS = (
    {"kind": "cut", "after": 2},
    {"kind": "cut", "after": 2, "abrupt": True},
    {"kind": "stream_error", "after": 2},
)
# fault -> the class that the client raises
ERRORS: list[tuple[dict[str, Any], type[openai.APIStatusError], int]] = [
    ({"kind": "reject"}, openai.BadRequestError, 400),
    ({"kind": "error", "code": 3036}, openai.RateLimitError, 429),
    ({"kind": "error", "code": 3040}, openai.RateLimitError, 429),
    ({"kind": "error", "code": 3007}, openai.InternalServerError, 504),
    ({"kind": "status", "status": 500}, openai.InternalServerError, 502),
]


class Said(BaseModel):
    """What the emulated engine answers in JSON mode, whatever the schema."""

    reply: str


def question(text: str = "My VPN does not connect") -> list[ChatCompletionMessageParam]:
    """One that no cache has seen."""
    return [{"role": "user", "content": f"{text} ({uuid.uuid4().hex})"}]


@pytest.fixture
def talk(product: Product) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"{product.public_url}/v1", api_key=product.admin_token, timeout=60
    ) as client:
        yield client


@pytest.fixture
async def talk_async(product: Product) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=f"{product.public_url}/v1", api_key=product.admin_token, timeout=60
    ) as client:
        yield client


@pytest.fixture
def well(client: httpx.Client) -> None:
    """A change of settings closes the circuit breakers that earlier tests opened."""
    threshold = client.get("/v1/config").json()["confidence_threshold"]
    stored = threshold["value"] if threshold["source"] == "stored" else None
    for value in (0.123, stored):
        client.patch("/v1/config", json={"confidence_threshold": value}).raise_for_status()


def upstream_calls(emulator: httpx.Client) -> list[dict[str, Any]]:
    """Those since the last look."""
    calls: list[dict[str, Any]] = emulator.get("/_local/calls").json()
    emulator.delete("/_local/calls").raise_for_status()
    return calls


async def test_the_client_that_does_not_block(talk_async: openai.AsyncOpenAI) -> None:
    whole = await talk_async.chat.completions.create(model="auto", messages=question())
    assert whole.choices[0].message.content
    stream = await talk_async.chat.completions.create(
        model="auto", messages=question(), stream=True
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_tool_is_called_and_its_result_answered(
    talk: openai.OpenAI, emulator: httpx.Client
) -> None:
    messages = question("get_ticket 7: what does it say?")
    asked = talk.chat.completions.create(model="agent:hr", messages=messages, tools=[TOOL])
    [choice] = asked.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    [call] = choice.message.tool_calls
    assert call.type == "function" and call.function.name == "get_ticket"
    assert isinstance(json.loads(call.function.arguments)["number"], int)
    # As the client's users do it: the message goes back as the object that came.
    result: ChatCompletionMessageParam = {
        "role": "tool",
        "tool_call_id": call.id,
        "content": '{"subject": "no coffee"}',
    }
    history: Any = [*messages, choice.message, result]
    upstream_calls(emulator)
    answer = talk.chat.completions.create(model="agent:hr", messages=history, tools=[TOOL])
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content
    [upstream] = upstream_calls(emulator)
    *_, called, answered = upstream["inputs"]["messages"]
    assert called["tool_calls"][0]["id"] == answered["tool_call_id"] == call.id
    assert answered["content"] == '{"subject": "no coffee"}'


def test_the_clients_own_stream_helper_puts_a_tool_call_together(talk: openai.OpenAI) -> None:
    with talk.chat.completions.stream(
        model="agent:hr", messages=question("get_ticket"), tools=[TOOL]
    ) as stream:
        kinds = {event.type for event in stream}
        answer = stream.get_final_completion()
    assert "tool_calls.function.arguments.done" in kinds
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].message.tool_calls is not None
    [call] = answer.choices[0].message.tool_calls
    assert json.loads(call.function.arguments)["number"] == 1


def test_an_answer_is_parsed_into_a_model_of_the_callers(talk: openai.OpenAI) -> None:
    answer = talk.chat.completions.parse(model=ACTIVE, messages=question(), response_format=Said)
    assert isinstance(answer.choices[0].message.parsed, Said)


def test_a_base_url_that_is_joined_twice_and_a_key_in_another_header(
    product: Product, anonymous: httpx.Client
) -> None:
    with openai.OpenAI(
        base_url=f"{product.public_url}//v1/v1/", api_key=product.admin_token
    ) as client:
        answer = client.chat.completions.create(model="auto", messages=question())
        assert answer.choices[0].message.content
        with pytest.raises(openai.NotFoundError, match="POST /v1/chat/completions"):
            client.embeddings.create(model="auto", input="Hi")
    for header in ("api-key", "x-api-key"):
        answered = anonymous.get("/v1/models/", headers={header: product.admin_token})
        assert answered.status_code == 200


def test_fields_of_other_clients_and_functions_are_taken(
    talk: openai.OpenAI, emulator: httpx.Client
) -> None:
    history: Any = [
        {**question()[0], "id": "msg_1", "opts": {}},
        {"role": "assistant", "content": None},
        {
            "role": "user",
            "content": [{"type": "text", "text": "get_ticket 7", "cache_control": {}}],
        },
    ]
    upstream_calls(emulator)
    answer = talk.chat.completions.create(
        model="agent:hr",
        messages=history,
        functions=[TOOL["function"]],  # type: ignore[typeddict-item]
        extra_body={"num_ctx": 4_096, "thinking": {"type": "enabled"}, "user": ""},
    )
    [choice] = answer.choices
    assert choice.finish_reason == "function_call"
    assert choice.message.function_call is not None
    assert choice.message.function_call.name == "get_ticket"
    [upstream] = upstream_calls(emulator)
    assert not {"num_ctx", "thinking", "functions"} & set(upstream["inputs"])
    assert "opts" not in upstream["inputs"]["messages"][0]


def test_a_photo_in_a_compressed_body_reaches_the_model(
    client: httpx.Client, emulator: httpx.Client
) -> None:
    photo = "data:image/jpeg;base64," + base64.b64encode(os.urandom(3_000_000)).decode()
    parts = [{"type": "text", "text": "?"}, {"type": "image_url", "image_url": {"url": photo}}]
    body = {"model": SEEING, "messages": [{"role": "user", "content": parts}]}
    raw = b"\xef\xbb\xbf" + json.dumps(body).encode()
    upstream_calls(emulator)
    for content, headers in ((raw, {}), (gzip.compress(raw, 1), {"content-encoding": "gzip"})):
        answered = client.post("/v1/chat/completions", content=content, headers=headers)
        assert answered.status_code == 200, answered.text
    calls = upstream_calls(emulator)
    assert [call["inputs"]["messages"][0]["content"] for call in calls] == [parts, parts]


def test_models_are_listed_and_retrieved(talk: openai.OpenAI) -> None:
    models = {model.id for model in talk.models.list()}
    assert {"auto", "agent:hr", ACTIVE, FALLBACK} <= models
    for name in ("auto", "agent:hr", ACTIVE):
        assert talk.models.retrieve(name).object == "model"
    with pytest.raises(openai.NotFoundError):
        talk.models.retrieve("no-such-model")


@pytest.mark.usefixtures("well")
@pytest.mark.parametrize(("fault", "raised", "status"), ERRORS)
@pytest.mark.parametrize("stream", [False, True])
def test_an_upstream_error_is_raised_and_not_sent_again(
    talk: openai.OpenAI,
    client: httpx.Client,
    emulator: httpx.Client,
    fault: dict[str, Any],
    raised: type[openai.APIStatusError],
    status: int,
    stream: bool,
) -> None:
    """`x-should-retry` keeps the client from retrying: the router has retried already."""
    set_faults(emulator, {"*": fault})
    upstream_calls(emulator)
    body = {"model": ACTIVE, "messages": question(), "stream": stream, **NO_STAND_IN}
    assert client.post("/v1/chat/completions", json=body).status_code == status
    attempts = len(upstream_calls(emulator))
    assert attempts > 0
    with pytest.raises(raised) as caught:
        talk.chat.completions.create(
            model=ACTIVE, messages=question(), stream=stream, extra_body=NO_STAND_IN
        )
    assert len(upstream_calls(emulator)) == attempts
    assert type(caught.value) is raised
    assert caught.value.status_code == status
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert caught.value.request_id == caught.value.response.headers["x-request-id"]


@pytest.mark.usefixtures("well")
@pytest.mark.parametrize("fault", STREAM_FAULTS, ids=str)
def test_a_broken_stream_raises(
    talk: openai.OpenAI, client: httpx.Client, emulator: httpx.Client, fault: dict[str, Any]
) -> None:
    set_faults(emulator, {"*": fault})
    stream = talk.chat.completions.create(model=ACTIVE, messages=question(), stream=True)
    chunks = []
    with pytest.raises(openai.APIError):
        for chunk in stream:
            chunks.append(chunk)  # noqa: PERF402  # what came before the error counts
    assert chunks
    assert {chunk.choices[0].finish_reason for chunk in chunks} == {None}
    assert chunks[0].model_extra is not None
    decision_id = chunks[0].model_extra["edgeneuro"]["decision_id"]
    assert log_entry(client, decision_id)["ending"] == "cut"


async def test_a_stream_that_is_left_stops_the_model(
    talk_async: openai.AsyncOpenAI, client: httpx.Client, emulator: httpx.Client
) -> None:
    set_faults(emulator, {"*": {"kind": "drip", "delay_ms": 50}})
    upstream_calls(emulator)
    stream = await talk_async.chat.completions.create(
        model="agent:hr", messages=question(), stream=True
    )
    chunk = await anext(aiter(stream))
    await stream.close()
    assert chunk.model_extra is not None
    entry = log_entry(client, chunk.model_extra["edgeneuro"]["decision_id"])
    assert entry["ending"] == "client_gone"
    assert [call["ended"] for call in upstream_calls(emulator)] == ["client_gone"]


def test_a_key_that_may_not(talk: openai.OpenAI, client: httpx.Client) -> None:
    body = {"name": "reader", "scopes": ["read"]}
    key = client.post("/v1/keys", json=body).raise_for_status().json()
    with pytest.raises(openai.PermissionDeniedError):
        talk.with_options(api_key=key["key"]).chat.completions.create(
            model="auto", messages=question()
        )


def test_nodes_client(product: Product) -> None:
    """What it does is in openai_client.mjs, which prints one line of JSON a case."""
    program = ROOT / "tests" / "worker" / "openai_client.mjs"
    ran = subprocess.run(
        [node(), program, f"{product.public_url}/v1", product.admin_token, uuid.uuid4().hex],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    found = {line["case"]: line for line in map(json.loads, ran.stdout.splitlines())}
    assert found["whole"]["agent"] == "it_support"
    assert found["whole"]["content"]
    assert found["stream"]["content"]
    assert found["stream"]["finish_reason"] == "stop"
    assert found["stream"]["total_tokens"] > 0
    assert found["tool"]["name"] == "get_ticket"
    assert found["tool"]["answer"]
    assert ACTIVE in found["models"]["ids"]
    decided = found["decisions"]
    assert (decided["type"], decided["name"]) == ("choice", "who")
    assert (decided["choice"], decided["options"]) == ("it_support", 3)
    assert decided["decision_id"].startswith("dec_")
    assert found["not found"] == {
        "case": "not found",
        "error": "NotFoundError",
        "code": "model_not_found",
        "param": "model",
    }
    assert found["bad request"]["error"] == "BadRequestError"
    assert found["wrong key"]["error"] == "AuthenticationError"


@pytest.mark.parametrize("answer", [python_answer, typescript_answer])
def test_a_generated_client_compiles_and_routes(
    answer: Callable[[bytes, Path, Sequence[str]], str],
    product: Product,
    anonymous: httpx.Client,
    tmp_path: Path,
) -> None:
    openapi = anonymous.get("/openapi.json").raise_for_status().content
    words = ["My VPN does not connect", product.public_url, product.admin_token]
    assert answer(openapi, tmp_path, words) == "it_support"
