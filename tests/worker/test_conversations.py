"""Messages in conversations, over HTTP through workerd: routed with the turn before them, labeled
with it, and whatever else stands in a conversation."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from tests.http_client import http_client
from tests.worker.product import Product
from tests.worker.test_bad_input import assert_error
from tests.worker.test_clients import TOOL
from tests.worker.test_route import log_entry

LEAVE = "I want to apply for parental leave"
ASKED = "From which day?"
DAYS = {"previous_agent": "hr", "previous_user": LEAVE, "previous_assistant": ASKED}


def said(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


def reply() -> str:
    """One that no cache has seen, and that names no agent's subject."""
    return f"The {uuid.uuid4().hex}"


@pytest.fixture
def talk(product: Product) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"{product.public_url}/v1", api_key=product.admin_token, timeout=60
    ) as client:
        yield client


def route(client: httpx.Client, **body: Any) -> Any:
    response = client.post("/v1/route", json=body)
    assert response.status_code == 200, response.text
    return response.json()


def test_a_reply_is_routed_with_the_turn_before_it(client: httpx.Client) -> None:
    query = reply()
    talk = [said("user", LEAVE), said("assistant", ASKED), said("user", query)]
    decision = route(client, messages=talk, context={"previous_agent": "hr"}, explain=True)
    assert decision["agent"]["id"] == "hr" and decision["outcome"] == "agent"
    sent = json.loads(decision["explanation"]["messages"][1]["content"])
    assert sent["previous_turn"] == {"user": LEAVE, "agent": "hr", "assistant": ASKED}
    entry = log_entry(client, decision["id"])
    assert (entry["query"], entry["context"]) == (query, DAYS)
    again = route(client, query=query, context=DAYS)
    assert (again["cache"], again["agent"]["id"]) == ("hit", "hr")
    alone = route(client, query=query)
    assert (alone["cache"], alone["outcome"]) == ("miss", "fallback")


def test_what_stands_after_the_message_does_not_change_it(client: httpx.Client) -> None:
    query = reply()
    talk = [said("user", LEAVE), said("assistant", ASKED), said("user", query)]
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    after = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "My VPN does not connect"},
        said("system", "The user is at the airport."),
    ]
    first = route(client, messages=talk, context={"previous_agent": "hr"})
    again = route(client, messages=[*talk, *after], context={"previous_agent": "hr"})
    assert (first["cache"], again["cache"]) == ("miss", "hit")
    rows = [log_entry(client, each["id"]) for each in (first, again)]
    assert rows[0]["query_hash"] == rows[1]["query_hash"]


def test_a_label_is_for_the_turn_before_too(client: httpx.Client) -> None:
    query = reply()
    decision = route(client, query=query, context=DAYS)
    log_entry(client, decision["id"])
    label = client.put(f"/v1/logs/{decision['id']}/label", json={"agent_id": "finance"}).json()
    assert label["context"] == DAYS
    assert route(client, query=query.upper(), context=DAYS)["layer"] == "label"
    assert route(client, query=query)["layer"] != "label"
    lines = client.get("/v1/datasets/export", params={"format": "chat", "agent": "finance"}).text
    [line] = [json.loads(each) for each in lines.splitlines() if query in each]
    sent = json.loads(line["messages"][1]["content"])
    assert (sent["message"], sent["previous_turn"]["user"]) == (query, LEAVE)
    [same] = [each for each in lines.splitlines() if query in each]
    report = client.post("/v1/datasets/import", content=same.encode()).json()
    assert (report["labels"], report["unchanged"]) == (1, 1)
    erased = client.delete(f"/v1/labels/{label['query_hash']}").json()
    assert (erased["done"], erased["labels"]) == (True, 1)


def test_an_erased_text_is_gone_from_the_next_message(client: httpx.Client) -> None:
    secret = f"My secret is {uuid.uuid4().hex}"
    first = route(client, query=secret)
    second = route(client, query=reply(), context={**DAYS, "previous_user": secret})
    for each in (first, second):
        log_entry(client, each["id"])
    key = log_entry(client, first["id"])["query_hash"]
    erased = client.delete(f"/v1/labels/{key}").json()
    assert (erased["logs"], erased["contexts"]) == (1, 1)
    entry = log_entry(client, second["id"])
    assert entry["query_hash"] is None
    assert secret not in json.dumps(entry)


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"messages": []}, "invalid_value", "messages"),
        ({"messages": "hello"}, "invalid_value", "messages"),
        ({"messages": [said("user", "x")] * 1_001}, "invalid_value", "messages"),
        ({"messages": [said("system", "x")]}, "invalid_value", "messages"),
        ({"messages": [said("assistant", "x")]}, "invalid_value", "messages"),
        ({"messages": [said("user", " \n")]}, "invalid_value", "messages"),
        (
            {"messages": [{"role": "tool", "tool_call_id": "c", "content": "x"}]},
            "invalid_value",
            "messages",
        ),
        ({"messages": [said("pilot", "x")]}, "invalid_value", "messages[0].role"),
        ({"messages": [said("user", "x")], "query": "x"}, "invalid_value", "messages"),
        ({"messages": [said("user", "x")], "context": DAYS}, "invalid_value", "context"),
        ({"query": "x", "context": "hr"}, "invalid_value", "context"),
        ({"query": "x", "context": {"agent": "hr"}}, "unknown_field", "context.agent"),
        ({"query": "x", "context": {"previous_agent": 7}}, "invalid_value", None),
        ({"query": "x", "context": {"previous_user": "a\0b"}}, "invalid_value", None),
        ({"query": "x", "context": {"previous_user": ["a"]}}, "invalid_value", None),
    ],
)
def test_bad_input(
    client: httpx.Client, body: dict[str, Any], code: str, param: str | None
) -> None:
    if param is None:
        param = f"context.{next(iter(body['context']))}"
    assert_error(client.post("/v1/route", json=body), 400, code, param)


def test_a_thousand_messages_and_huge_texts(client: httpx.Client) -> None:
    talk = [said("user", LEAVE), said("assistant", ASKED)] * 499
    messages = [*talk, said("user", LEAVE), said("assistant", ASKED + " y" * 200_000)]
    query = reply()
    decision = route(client, messages=[*messages[1:], said("user", query)])
    context = log_entry(client, decision["id"])["context"]
    assert context["previous_user"] == LEAVE
    assert len(context["previous_assistant"]) <= 1_000
    assert context["previous_assistant"].startswith(ASKED)
    huge = {"previous_user": "語" * 150_000, "previous_assistant": "\n" * 100_000 + "Which?"}
    entry = log_entry(client, route(client, query=reply(), context=huge)["id"])
    assert len(entry["context"]["previous_user"]) <= 1_000
    assert entry["context"]["previous_assistant"] == "Which?"
    too_large = {"query": "x", "context": {"previous_user": "x" * 1_100_000}}
    assert_error(client.post("/v1/route", json=too_large), 413, "body_too_large")


def test_an_agent_that_may_not_answer_is_ignored(client: httpx.Client) -> None:
    body = {"id": "short_lived", "name": "Short", "description": "Answers nothing."}
    client.post("/v1/agents", json=body).raise_for_status()
    context = {"previous_agent": "short_lived"}
    known = route(client, query=reply(), context=context)
    assert log_entry(client, known["id"])["context"]["previous_agent"] == "short_lived"
    client.patch("/v1/agents/short_lived", json={"enabled": False}).raise_for_status()
    disabled = route(client, query=reply(), context=context)
    client.delete("/v1/agents/short_lived").raise_for_status()
    deleted = route(client, query=reply(), context=context)
    elsewhere = route(
        client, query=reply(), context={"previous_agent": "hr"}, candidates=["it_support"]
    )
    for each in (disabled, deleted, elsewhere):
        assert log_entry(client, each["id"])["context"] is None


def test_a_key_that_may_not_use_the_agent_has_no_such_context(
    client: httpx.Client, product: Product
) -> None:
    body = {"name": "finance only", "scopes": ["route"], "agents": ["finance"]}
    key = client.post("/v1/keys", json=body).json()
    with http_client(product.base_url, key["key"]) as narrow:
        decision = route(narrow, query=reply(), context=DAYS)
    context = log_entry(client, decision["id"])["context"]
    assert context == {**DAYS, "previous_agent": None}


def test_openais_client_with_tools(talk: openai.OpenAI, client: httpx.Client) -> None:
    """The whole round of a tool is one question, and its result no other one."""
    text = f"get_ticket 7: what does it say? {uuid.uuid4().hex}"
    messages: list[ChatCompletionMessageParam] = [
        {"role": "user", "content": LEAVE},
        {"role": "assistant", "content": ASKED},
        {"role": "user", "content": text},
    ]
    options = {"edgeneuro": {"context": {"previous_agent": "hr"}}}
    called = talk.chat.completions.create(
        model="auto", messages=messages, tools=[TOOL], extra_body=options
    )
    [call] = called.choices[0].message.tool_calls or []
    messages.append(called.choices[0].message)  # type: ignore[arg-type]  # as its docs do
    messages.append({"role": "tool", "tool_call_id": call.id, "content": "My VPN is down: open"})
    answered = talk.chat.completions.create(
        model="auto", messages=messages, tools=[TOOL], extra_body=options
    )
    assert answered.choices[0].message.content
    rows = [log_entry(client, _decision(each)) for each in (called, answered)]
    assert rows[0]["query_hash"] == rows[1]["query_hash"] is not None
    assert rows[0]["agent_id"] == rows[1]["agent_id"]
    assert [row["query"] for row in rows] == [text, text]
    assert rows[1]["context"] == DAYS


def test_the_decision_apis_read_the_conversation(talk: openai.OpenAI, client: httpx.Client) -> None:
    query = reply()
    options = {"edgeneuro": {"context": {"previous_agent": "hr"}}}
    decision = talk.decisions.create(
        model="auto",
        input=[
            {"role": "user", "content": LEAVE},
            {"role": "assistant", "content": ASKED},
            {"role": "user", "content": query},
        ],
        questions=[{"type": "choice", "name": "agent", "instructions": "Who?", "choices": []}],
        extra_body=options,
    )
    first = _decision(decision)
    state = [said("user", LEAVE), said("assistant", ASKED), said("user", query)]
    question = {"agent": {"type": "choice", "instructions": "Who?"}}
    body = {"state": state, "questions": question, **options}
    second = client.post("/v1/systemone", json=body).json()
    assert second["edgeneuro"]["layer"] == "cache"  # the same question
    for each in (first, second["edgeneuro"]["decision_id"]):
        entry = log_entry(client, each)
        assert (entry["query"], entry["context"], entry["agent_id"]) == (query, DAYS, "hr")


def test_a_title_is_no_question(talk: openai.OpenAI, client: httpx.Client) -> None:
    """As Open WebUI asks for it, after the first answer."""
    prompt = (
        "### Task:\nGenerate a concise, 3-5 word title with an emoji summarizing the chat"
        f" history.\n### Output:\nJSON\n<chat_history>\nUSER: {LEAVE} {uuid.uuid4().hex}\n"
        "</chat_history>"
    )
    answered = talk.chat.completions.create(
        model="auto", messages=[{"role": "user", "content": prompt}]
    )
    assert answered.choices[0].message.content
    entry = log_entry(client, _decision(answered))
    assert (entry["layer"], entry["reason"]) == ("direct", "background_prompt")
    assert (entry["query_hash"], entry["agent_id"]) == (None, None)
    refused = client.put(f"/v1/logs/{entry['id']}/label", json={"agent_id": "hr"})
    assert_error(refused, 409, "no_text", "log_id")
    written = talk.chat.completions.create(
        model="auto", messages=[{"role": "user", "content": "Generate a title for my leave letter"}]
    )
    assert log_entry(client, _decision(written))["query_hash"] is not None


def _decision(answer: Any) -> str:
    decision_id: str = answer.model_extra["edgeneuro"]["decision_id"]
    return decision_id
