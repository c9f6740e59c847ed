"""Chats over HTTP with OpenAI's own client."""

import json
import socket
import struct
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from tests.waiting import until
from tests.worker.product import Product
from tests.worker.test_route import log_entry, route, unique

ACTIVE = "@cf/meta/llama-3.2-1b-instruct"
FALLBACK = "@cf/ibm-granite/granite-4.0-h-micro"


def question(text: str = "My VPN does not connect") -> list[ChatCompletionMessageParam]:
    """One that no cache has seen."""
    return [{"role": "user", "content": f"{text} ({uuid.uuid4().hex})"}]


@pytest.fixture
def talk(product: Product) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"{product.base_url}/v1", api_key=product.admin_token, max_retries=0, timeout=60
    ) as client:
        yield client


def facts_of(answer: Any) -> Any:
    return answer.model_extra["edgeneuro"]


def set_faults(emulator: httpx.Client, faults: dict[str, Any]) -> None:
    emulator.put("/_local/faults", json=faults).raise_for_status()


def test_auto_is_answered_by_the_agent_that_fits(talk: openai.OpenAI, client: httpx.Client) -> None:
    answer = talk.chat.completions.create(model="auto", messages=question())
    facts = facts_of(answer)
    assert (facts["agent"]["id"], facts["layer"]) == ("it_support", "llm")
    assert answer.model == ACTIVE
    assert answer.choices[0].message.content
    assert answer.usage is not None and answer.usage.total_tokens > 0
    assert [one["purpose"] for one in facts["attempts"]] == ["route", "chat"]
    entry = log_entry(client, facts["decision_id"])
    assert (entry["kind"], entry["ending"], entry["agent_id"]) == ("chat", "complete", "it_support")


def test_agents_and_models_by_name(talk: openai.OpenAI) -> None:
    answer = talk.chat.completions.create(model="agent:hr", messages=question())
    assert (facts_of(answer)["agent"]["id"], facts_of(answer)["layer"]) == ("hr", "direct")
    answer = talk.chat.completions.create(model=FALLBACK, messages=question())
    assert (facts_of(answer)["agent"], answer.model) == (None, FALLBACK)


def test_headers_say_who_answered(talk: openai.OpenAI) -> None:
    raw = talk.chat.completions.with_raw_response.create(model="auto", messages=question())
    assert raw.headers["x-edgeneuro-agent"] == "it_support"
    assert raw.headers["x-edgeneuro-model"] == ACTIVE
    assert raw.headers["x-edgeneuro-decision-id"] == facts_of(raw.parse())["decision_id"]
    assert raw.headers["x-request-id"]


def test_the_same_request_is_answered_once(talk: openai.OpenAI) -> None:
    messages = question()
    options = {"edgeneuro": {"cache": True}}
    states = []
    for _ in range(2):
        answer = talk.chat.completions.create(model="auto", messages=messages, extra_body=options)
        states.append(facts_of(answer)["cache"])
    assert states == ["miss", "hit"]


def test_a_model_that_is_not_there(talk: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        talk.chat.completions.create(model="gpt-4", messages=question())
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def test_a_wrong_field_is_named(talk: openai.OpenAI) -> None:
    messages: Any = [*question(), {"role": "robot", "content": "beep"}]
    with pytest.raises(openai.BadRequestError) as caught:
        talk.chat.completions.create(model="auto", messages=messages)
    assert caught.value.param == "messages[1].role"


def test_a_wrong_key(product: Product) -> None:
    with (
        openai.OpenAI(base_url=f"{product.base_url}/v1", api_key="en_wrong") as other,
        pytest.raises(openai.AuthenticationError),
    ):
        other.chat.completions.create(model="auto", messages=question())


def test_upstream_failures_are_honest(talk: openai.OpenAI, emulator: httpx.Client) -> None:
    set_faults(emulator, {"*": {"kind": "error", "code": 3036}})
    with pytest.raises(openai.RateLimitError) as caught:
        talk.chat.completions.create(model=ACTIVE, messages=question())
    assert caught.value.code == "upstream_quota"


def test_another_model_stands_in_unless_it_may_not(
    talk: openai.OpenAI, emulator: httpx.Client
) -> None:
    set_faults(emulator, {ACTIVE: {"kind": "error", "code": 5007}})
    answer = talk.chat.completions.create(model=ACTIVE, messages=question())
    assert answer.model == FALLBACK
    with pytest.raises(openai.APIStatusError) as caught:
        talk.chat.completions.create(
            model=ACTIVE, messages=question(), extra_body={"edgeneuro": {"fallback": False}}
        )
    assert caught.value.status_code == 502


def test_a_body_of_a_megabyte(client: httpx.Client) -> None:
    body = {"model": ACTIVE, "messages": [{"role": "user", "content": "x" * 1_048_576}]}
    assert client.post("/v1/chat/completions", json=body).status_code == 413
    response = client.post("/v1/chat/completions", content=b"\xff\xfe{")
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_json")


def test_a_stream(talk: openai.OpenAI, client: httpx.Client) -> None:
    chunks = list(
        talk.chat.completions.create(
            model="auto",
            messages=question(),
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert chunks[-2].choices[0].finish_reason == "stop"
    usage = chunks[-1].usage
    assert usage is not None and usage.total_tokens > 0
    facts = facts_of(chunks[-1])
    assert facts["agent"]["id"] == "it_support"
    entry = log_entry(client, facts["decision_id"])
    assert (entry["ending"], entry["usage"]["total_tokens"]) == ("complete", usage.total_tokens)


def test_a_kept_answer_as_a_stream(talk: openai.OpenAI) -> None:
    messages = question()
    whole = talk.chat.completions.create(model=ACTIVE, messages=messages, temperature=0)
    chunks = list(
        talk.chat.completions.create(model=ACTIVE, messages=messages, temperature=0, stream=True)
    )
    assert facts_of(chunks[0])["cache"] == "hit"
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert said == whole.choices[0].message.content


def test_a_failed_stream_is_a_plain_error(talk: openai.OpenAI, emulator: httpx.Client) -> None:
    set_faults(emulator, {"*": {"kind": "error", "code": 3036}})
    with pytest.raises(openai.RateLimitError):
        talk.chat.completions.create(model=ACTIVE, messages=question(), stream=True)


@pytest.mark.parametrize(
    "fault",
    [{"kind": "drip", "delay_ms": 400}, {"kind": "stall", "after": 2}],
    ids=["drip", "stall"],
)
def test_a_client_that_leaves_stops_the_model(
    talk: openai.OpenAI, client: httpx.Client, emulator: httpx.Client, fault: dict[str, Any]
) -> None:
    set_faults(emulator, {ACTIVE: fault})
    emulator.delete("/_local/calls").raise_for_status()
    messages = question()
    stream = talk.chat.completions.create(model="agent:hr", messages=messages, stream=True)
    parts = iter(stream)
    facts = facts_of(next(parts))
    assert next(parts).choices[0].delta.content
    stream.close()
    entry = log_entry(client, facts["decision_id"])
    assert (entry["status"], entry["ending"], entry["cost_usd"]) == (200, "client_gone", None)
    calls = emulator.get("/_local/calls").json()
    assert [call["ended"] for call in calls if call["model"] == ACTIVE] == ["client_gone"]


def leave(product: Product, emulator: httpx.Client, path: str, body: dict[str, Any]) -> None:
    """Asks, and hangs up as soon as the model was called."""
    emulator.delete("/_local/calls").raise_for_status()
    content, url = json.dumps(body), urlsplit(product.base_url)
    with socket.create_connection((url.hostname, url.port), timeout=30) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(
            f"POST {path} HTTP/1.1\r\nhost: localhost\r\n"
            f"authorization: Bearer {product.admin_token}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
            f"{content}".encode()
        )
        until(lambda: emulator.get("/_local/calls").json())


def ending(client: httpx.Client, word: str) -> Any:
    """That of the log row of the query with this word, once it is there."""
    [row] = until(lambda: client.get("/v1/logs", params={"q": word}).json()["data"])
    return row["status"], row["ending"]


def test_what_a_client_asked_that_left_before_the_answer_is_logged_and_known(
    product: Product, client: httpx.Client, emulator: httpx.Client
) -> None:
    set_faults(emulator, {ACTIVE: {"kind": "slow", "delay_ms": 500}})
    query = unique("My VPN does not connect")
    leave(product, emulator, "/v1/route", {"query": query})
    assert route(client, query)["agent"]["id"] == "it_support"  # it waits for nobody who is gone
    assert len([call for call in emulator.get("/_local/calls").json() if call["model"]]) == 1
    word = uuid.uuid4().hex
    messages = [{"role": "user", "content": f"My VPN does not connect {word}"}]
    leave(product, emulator, "/v1/chat/completions", {"model": ACTIVE, "messages": messages})
    assert ending(client, word) == (200, "complete")


def test_a_client_that_left_before_a_stream_began_is_sent_nothing(
    product: Product, client: httpx.Client, emulator: httpx.Client
) -> None:
    set_faults(emulator, {ACTIVE: {"kind": "drip", "delay_ms": 300}})
    word = uuid.uuid4().hex
    messages = [{"role": "user", "content": f"My VPN does not connect {word}"}]
    body = {"model": ACTIVE, "messages": messages, "stream": True}
    leave(product, emulator, "/v1/chat/completions", body)
    assert ending(client, word) == (200, "client_gone")


@pytest.mark.parametrize("kind", ["cut", "stream_error"])
def test_a_stream_that_breaks_off_says_so(
    talk: openai.OpenAI, client: httpx.Client, emulator: httpx.Client, kind: str
) -> None:
    set_faults(emulator, {ACTIVE: {"kind": kind, "after": 2}})
    stream = talk.chat.completions.create(model="agent:hr", messages=question(), stream=True)
    facts = facts_of(next(iter(stream)))
    with pytest.raises(openai.APIError) as caught:
        list(stream)
    assert caught.value.code
    assert log_entry(client, facts["decision_id"])["ending"] == "cut"


def test_a_stream_that_is_late_begins_with_a_comment(
    client: httpx.Client, emulator: httpx.Client
) -> None:
    set_faults(emulator, {ACTIVE: {"kind": "slow", "delay_ms": 6_000}})
    body = {"model": ACTIVE, "messages": question(), "stream": True}
    with client.stream("POST", "/v1/chat/completions", json=body) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream"
        first, *events = "".join(response.iter_text()).removesuffix("\n\n").split("\n\n")
    assert first == ": "
    assert [event.partition(": ")[0] for event in events] == ["data"] * len(events)
    assert events[-1] == "data: [DONE]"
