"""Agents with a memory of their own: what A2A's ids do in a session, and what an agent that waits
gets, whatever the router would decide."""

import json
from typing import Any

import pytest

from edgeneuro.domain.decision import Usage
from edgeneuro.gateway.interface import AgentState, Delta, ModelAnswer
from edgeneuro.settings import Settings
from edgeneuro_testing.fetch import ScriptedResponse
from edgeneuro_testing.gateway import Streamed
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.chats import GRANITE, chat, events, said, talks, user
from tests.unit.conftest import Answered, Product, says
from tests.unit.decision_models import chose, decision_product
from tests.unit.test_limits import create as create_key
from tests.unit.test_outcomes import ASKED, CLOSE
from tests.unit.test_rules import create as create_rule

URL = "https://agents.example.com/a2a/{id}"
JSON = {"content-type": "application/json"}
SSE = {"content-type": "text/event-stream"}


@pytest.fixture
async def product(product: Product) -> Product:
    """Two agents speak A2A."""
    for agent_id in ("hr", "it_support"):
        await move(product, agent_id, URL.format(id=agent_id))
    return product


async def move(product: Product, agent_id: str, url: str) -> None:
    body = {"endpoint": url, "protocol": "a2a"}
    answered = await product.call("PATCH", f"/v1/agents/{agent_id}", body)
    assert answered.status == 200, answered.text


def parts(text: str) -> dict[str, Any]:
    return {"parts": [{"kind": "text", "text": text}]}


def message(text: str = "Hello.", **ids: str) -> dict[str, Any]:
    return {"kind": "message", "role": "agent", "messageId": "m", **parts(text), **ids}


def task(state: str, text: str, *, context: str = "ctx-1", id: str = "task-1") -> dict[str, Any]:
    status = {"state": state, "message": message(text)}
    return {"kind": "task", "id": id, "contextId": context, "status": status}


def whole(result: dict[str, Any]) -> ScriptedResponse:
    body = {"jsonrpc": "2.0", "id": "1", "result": result}
    return ScriptedResponse(200, [json.dumps(body).encode()], JSON)


def failed(code: int) -> ScriptedResponse:
    body = {"jsonrpc": "2.0", "id": "1", "error": {"code": code, "message": "No."}}
    return ScriptedResponse(200, [json.dumps(body).encode()], JSON)


def streamed(*results: dict[str, Any], end: Any = b"") -> ScriptedResponse:
    written = [json.dumps({"jsonrpc": "2.0", "id": "1", "result": each}) for each in results]
    return ScriptedResponse(200, [*(f"data: {each}\n\n".encode() for each in written), end], SSE)


async def talk(
    product: Product,
    text: str,
    *answers: ScriptedResponse,
    model: str = "auto",
    session: str | None = "s-1",
    **fields: Any,
) -> Answered:
    product.fetch.enqueue(*answers)
    options = {"edgeneuro": {"session": session} | fields.pop("options", {})} if session else {}
    return await chat(product, model, messages=[user(text)], **options, **fields)


def sent_ids(product: Product) -> tuple[str | None, str | None]:
    """contextId and taskId of the last message to an agent."""
    sent = product.fetch.requests[-1].json()["params"]["message"]
    return sent.get("contextId"), sent.get("taskId")


async def session(product: Product, session_id: str = "s-1", **fields: Any) -> Any:
    answered = await product.call("GET", f"/v1/sessions/{session_id}", **fields)
    return answered.json() if answered.status == 200 else None


ASKS = task("input-required", "Which year?")


async def asked(product: Product, **fields: Any) -> None:
    """The agent hr has asked for the year."""
    product.gateway.enqueue(says("hr"))
    answered = await talk(product, "How many days of leave?", whole(ASKS), **fields)
    assert answered.json()["choices"][0]["message"]["content"] == "Which year?"


# who gets the reply


@pytest.mark.parametrize("stream", [False, True])
async def test_an_agent_that_asks_back_gets_the_reply(product: Product, stream: bool) -> None:
    first = streamed(task("submitted", ""), {**ASKS, "kind": "task"}) if stream else whole(ASKS)
    product.gateway.enqueue(says("hr"))
    await talk(product, "How many days of leave?", first, stream=stream)
    assert sent_ids(product) == (None, None)
    assert (await session(product))["waits_for"] == "input"
    second = await talk(product, "My VPN, 2027", whole(task("completed", "Thirty.")), stream=stream)
    facts = events(second.text)[-2] if stream else second.json()
    facts = facts["edgeneuro"]
    assert (facts["agent"]["id"], facts["layer"], facts["confidence"]) == ("hr", "session", 1.0)
    assert sent_ids(product) == ("ctx-1", "task-1")
    assert len(product.gateway.requests) == 1  # the router asked no model for the reply
    found = await session(product)
    assert found["waits_for"] is None
    assert found["agents"] == [{"agent_id": "hr", "context_id": "ctx-1", "task_id": None}]
    product.gateway.enqueue(says("hr"))
    third = await talk(product, "And in 2028?", whole(message("Thirty, too.")))
    assert third.json()["edgeneuro"]["layer"] == "llm"
    assert sent_ids(product) == ("ctx-1", None)


async def test_the_router_says_the_same_of_the_reply(product: Product) -> None:
    await asked(product)
    body = {"query": "2027", "session": "s-1", "explain": True, "cache": False}
    decision = (await product.call("POST", "/v1/route", body)).json()
    assert (decision["agent"]["id"], decision["layer"], decision["cache"]) == (
        "hr",
        "session",
        "bypass",
    )
    [stage] = decision["explanation"]["stages"]
    assert (stage["name"], stage["outcome"]) == ("session", "decided")
    assert list(decision["explanation"]["stages_ms"]) == ["session_read", "session", "decide"]
    assert decision["follow_up"] is True
    assert stage["reason"] == "this agent has asked something and waits for the reply"
    [entry, _] = await product.logs()
    assert (entry["layer"], entry["confidence_source"]) == ("session", "session")
    product.gateway.enqueue(says("it_support"))
    body["query"] = "My VPN is down"  # the agent has got its reply
    again = (await product.call("POST", "/v1/route", body)).json()
    assert (again["agent"]["id"], again["layer"]) == ("it_support", "llm")


async def test_a_rule_and_a_mention_come_first(product: Product) -> None:
    await asked(product)
    await create_rule(product, {"mention": True}, None)
    other = await talk(product, "@it_support my VPN is down", whole(message(contextId="ctx-it")))
    assert other.json()["edgeneuro"]["layer"] == "rule"
    assert sent_ids(product) == (None, None)
    # The question of the agent hr is no longer the last one; its task still waits.
    product.gateway.enqueue(says("hr"))
    back = await talk(product, "2027", whole(task("completed", "Thirty.")))
    assert back.json()["edgeneuro"]["layer"] == "llm"
    assert sent_ids(product) == ("ctx-1", "task-1")
    product.gateway.enqueue(says("it_support"))
    await talk(product, "And my VPN?", whole(message()))
    assert sent_ids(product) == ("ctx-it", None)
    assert [each["agent_id"] for each in (await session(product))["agents"]] == ["hr", "it_support"]


@pytest.mark.parametrize("how", ["candidates", "never", "disabled", "model"])
async def test_an_agent_that_may_not_answer_gets_no_reply(product: Product, how: str) -> None:
    await asked(product)
    fields: dict[str, Any] = {}
    if how == "candidates":
        fields["candidates"] = ["it_support", "general"]
    elif how == "never":
        await create_rule(product, {}, {"never": ["hr"]})
    elif how == "disabled":
        await product.call("PATCH", "/v1/agents/hr", {"enabled": False})
    else:
        fields["model"] = GRANITE
    product.gateway.enqueue(says("it_support"))
    body = {"query": "2027", "session": "s-1", "explain": True, **fields}
    decision = (await product.call("POST", "/v1/route", body)).json()
    assert decision["agent"]["id"] == "it_support"
    [stage] = [each for each in decision["explanation"]["stages"] if each["name"] == "session"]
    assert stage["outcome"] == "skipped"


# whose ids they are


async def test_the_ids_of_one_key_never_go_out_for_another(product: Product) -> None:
    one, other = [await create_key(product, scopes=["route"]) for _ in range(2)]
    await asked(product)
    for key in (one["key"], other["key"]):
        product.gateway.enqueue(says("hr"))
        product.fetch.enqueue(whole(task("input-required", "Which?", context=f"ctx-{key}")))
        body = {"model": "auto", "messages": [user("2027")], "edgeneuro": {"session": "s-1"}}
        await product.call("POST", "/v1/chat/completions", body, key=key)
        assert sent_ids(product) == (None, None)
    found = await session(product, key=one["key"])
    assert found["agents"] == [{"agent_id": "hr", "context_id": None, "task_id": None}]


async def test_without_a_session_nothing_is_remembered(product: Product) -> None:
    await asked(product, session=None)
    product.gateway.enqueue(says("hr"))
    await talk(product, "2027", whole(message()), session=None)
    assert sent_ids(product) == (None, None)


async def test_another_address_does_not_get_the_ids(product: Product) -> None:
    await asked(product)
    await move(product, "hr", "https://other.example.com/a2a")
    await talk(product, "2027", whole(message()))
    assert product.fetch.requests[-1].url == "https://other.example.com/a2a"
    assert sent_ids(product) == (None, None)


async def test_a_chat_with_the_agent_itself_has_its_memory(product: Product) -> None:
    await asked(product)
    await talk(product, "2027", whole(message()), model="agent:hr")
    assert sent_ids(product) == ("ctx-1", "task-1")


async def test_an_answer_with_a_memory_is_not_cached(product: Product) -> None:
    await asked(product)
    for context in ("ctx-1", "ctx-1"):
        answered = await talk(
            product,
            "2027",
            whole(task("input-required", "Which month?")),
            options={"cache": True},
            temperature=0,
        )
        assert answered.json()["edgeneuro"]["cache"] == "bypass"
        assert sent_ids(product)[0] == context


# what goes wrong


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("code", [-32001, -32600, -32602])
async def test_a_task_that_is_gone_begins_anew_once(
    product: Product, stream: bool, code: int
) -> None:
    await asked(product)
    answered = await talk(product, "2027", failed(code), whole(message("Thirty.")), stream=stream)
    text = said(events(answered.text)) if stream else answered.text
    assert "Thirty." in text
    first, second = [each.json()["params"]["message"] for each in product.fetch.requests[-2:]]
    assert (first["taskId"], first["contextId"]) == ("task-1", "ctx-1")
    assert "taskId" not in second and second["contextId"] == "ctx-1"
    assert (first["messageId"], first["parts"]) == (second["messageId"], second["parts"])


async def test_an_agent_that_refuses_its_own_ids_is_asked_without_them(product: Product) -> None:
    await asked(product)
    refused = await talk(product, "2027", failed(-32001), failed(-32602))
    assert refused.status == 400
    found = await session(product)
    assert (found["waits_for"], found["agents"], found["agent_id"]) == (None, [], "hr")
    product.services.recent_sessions.clear()
    assert (await session(product)) == found  # D1 has the same
    product.gateway.enqueue(says("hr"))
    await talk(product, "2027", whole(message()))
    assert sent_ids(product) == (None, None)


async def test_an_agent_that_hands_its_reply_back_waits_no_longer(product: Product) -> None:
    await asked(product)
    rejected = task("rejected", "Not for me.")
    options = {"candidates": ["hr"], "on_no_fit": "none"}
    answered = await talk(product, "My VPN is down", whole(rejected), options=options)
    assert answered.status == 422
    found = await session(product)
    assert (found["agent_id"], found["waits_for"], found["agents"]) == ("hr", None, [])


async def test_a_failure_leaves_the_agent_waiting(product: Product) -> None:
    await asked(product)
    busy = ScriptedResponse(503, [b"busy"])
    assert (await talk(product, "2027", busy)).status >= 429
    assert (await session(product))["waits_for"] == "input"
    await talk(product, "2027", whole(message()))
    assert sent_ids(product) == ("ctx-1", "task-1")


async def test_a_stream_that_is_cut_keeps_what_is_known(product: Product) -> None:
    artifact = {"kind": "artifact-update", "contextId": "ctx-9", "taskId": "task-9"}
    part = {**artifact, "artifact": {"artifactId": "a", **parts("Thirty")}}
    product.gateway.enqueue(says("hr"))
    await talk(product, "Leave?", streamed(part, end=OSError("gone")), stream=True)
    found = await session(product)
    assert (found["previous_assistant"], found["waits_for"]) == ("Thirty", None)
    assert found["agents"] == [{"agent_id": "hr", "context_id": "ctx-9", "task_id": None}]


async def test_the_agents_model_that_answers_instead_is_no_memory(product: Product) -> None:
    await product.call("PATCH", "/v1/agents/hr", {"model": GRANITE})
    await asked(product)
    product.gateway.enqueue(talks("Thirty."))
    await talk(product, "2027", ScriptedResponse(503, [b"busy"]))
    found = await session(product)
    assert (found["waits_for"], found["previous_assistant"]) == (None, "Thirty.")
    assert found["agents"] == [{"agent_id": "hr", "context_id": "ctx-1", "task_id": "task-1"}]


async def test_the_state_of_a_session_is_bounded(product: Product) -> None:
    for n in range(20):
        body = {"id": f"agent{n}", "name": f"Agent {n}", "description": "Does things."}
        body |= {"endpoint": URL.format(id=n), "protocol": "a2a"}
        assert (await product.call("POST", "/v1/agents", body)).status == 201
        await talk(product, "Hi", whole(message(contextId=f"c{n}")), model=f"agent:agent{n}")
    expected = [f"agent{n}" for n in range(4, 20)]
    found = await session(product)
    assert [each["agent_id"] for each in found["agents"]] == expected
    product.services.recent_sessions.clear()
    assert (await session(product)) == found


async def test_two_isolates_keep_the_memory_of_both_agents(
    product: Product, settings: Settings
) -> None:
    """Each has answered in one isolate while the other one did not know of it yet."""
    other = Product(product.database, settings, clock=product.clock)
    await talk(product, "Hi", whole(message(contextId="c-hr")), model="agent:hr")
    written = product.rows("SELECT * FROM sessions")
    product.execute("DELETE FROM sessions")
    await talk(other, "Hi", whole(message(contextId="c-it")), model="agent:it_support")
    assert len(written) == 1
    await talk(product, "Hi", whole(message()), model="agent:hr")
    product.services.recent_sessions.clear()
    ids = {each["agent_id"]: each["context_id"] for each in (await session(product))["agents"]}
    assert ids == {"hr": "c-hr", "it_support": "c-it"}


# an agent's own end of the session


@pytest.mark.parametrize("stream", [False, True])
async def test_an_agent_says_that_it_is_done(product: Product, stream: bool) -> None:
    await asked(product)
    done = {**message("Bye."), "metadata": {"edgeneuro": {"done": True}}}
    await talk(product, "2027", streamed(done) if stream else whole(done), stream=stream)
    assert await session(product) is None
    product.gateway.enqueue(says("hr"))
    await talk(product, "How many days of leave?", whole(message()))
    assert sent_ids(product) == (None, None)
    assert (await session(product))["turns"] == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_an_agent_of_openais_protocol_says_so_too(product: Product, stream: bool) -> None:
    body = {"endpoint": URL.format(id="hr"), "protocol": "openai"}
    assert (await product.call("PATCH", "/v1/agents/hr", body)).status == 200
    choice = {"message": {"role": "assistant", "content": "Bye."}, "finish_reason": "stop"}
    chunks: list[Any] = [
        {"choices": [{"delta": {"content": "Bye."}}]},
        {"choices": [{"delta": {}, "finish_reason": "stop"}], "edgeneuro": {"done": True}},
    ]
    done = ScriptedResponse(
        200,
        [*(f"data: {json.dumps(each)}\n\n".encode() for each in chunks), b"data: [DONE]\n\n"],
        SSE,
    )
    if not stream:
        answer = {"choices": [choice], "edgeneuro": {"done": True}}
        done = ScriptedResponse(200, [json.dumps(answer).encode()], JSON)
    await talk(product, "Hi", done, model="agent:hr", stream=stream)
    assert await session(product) is None
    messages = [user("Hi"), {"role": "assistant", "content": "Which year?"}, user("2027")]
    fields = {"model": "agent:hr", "messages": messages, "edgeneuro": {"session": "s-1"}}
    product.fetch.enqueue(done)
    await product.call("POST", "/v1/chat/completions", fields)
    sent = product.fetch.requests[-1].json()["messages"]
    assert [each["content"] for each in sent] == ["Hi", "Which year?", "2027"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_model_cannot_end_a_session(product: Product, stream: bool) -> None:
    """Only an agent's endpoint can: what a model's vendor answers is not ours to read."""
    state = AgentState(done=True)
    answer: Any = ModelAnswer(content="Bye.", usage=Usage(), agent_state=state)
    if stream:
        answer = Streamed([Delta(content="Bye."), Delta(finish_reason="stop", agent_state=state)])
    product.gateway.enqueue(answer)
    await talk(product, "Hi", model="agent:general", stream=stream)
    assert (await session(product))["previous_assistant"] == "Bye."


# several agents in one answer


@pytest.mark.parametrize("stream", [False, True])
async def test_of_several_agents_the_one_that_asks_gets_the_reply(
    database: SqliteDatabase, settings: Settings, stream: bool
) -> None:
    product = await decision_product(database, settings)
    await product.call("PATCH", "/v1/config", {"several": True, "several_answers": "all"})
    for agent_id in ("hr", "it_support"):
        await move(product, agent_id, URL.format(id=agent_id))
    product.gateway.enqueue(chose(CLOSE, several=0.95))
    done = task("completed", "Reset it.", context="ctx-it")
    answers = [streamed(each) if stream else whole(each) for each in (done, ASKS)]
    await talk(product, "My VPN is down, and how many days?", *answers, stream=stream)
    found = await session(product)
    assert (found["agent_id"], found["waits_for"]) == ("hr", "input")
    assert [each["agent_id"] for each in found["agents"]] == ["it_support", "hr"]
    reply = await talk(product, "2027", whole(message("Thirty.")))
    assert reply.json()["edgeneuro"]["layer"] == "session"
    assert sent_ids(product) == ("ctx-1", "task-1")


# the reply to a clarifying question of the router


@pytest.mark.parametrize("whole_conversation", [True, False])
@pytest.mark.parametrize("protocol", ["a2a", "openai"])
async def test_the_agent_gets_the_message_that_the_router_asked_about(
    database: SqliteDatabase, settings: Settings, whole_conversation: bool, protocol: str
) -> None:
    product = await decision_product(database, settings)
    await product.call("PATCH", "/v1/config", {"clarify": True})
    if protocol == "a2a":
        await move(product, "hr", URL.format(id="hr"))
    product.gateway.enqueue(chose(CLOSE))
    await talk(product, "Where is my form?")
    messages = [user("the second one")]
    if whole_conversation:
        messages = [user("Where is my form?"), {"role": "assistant", "content": ASKED}, *messages]
    product.fetch.enqueue(whole(message("In the portal.")))
    product.gateway.enqueue(talks("In the portal."))
    options = {"edgeneuro": {"session": "s-1"}}
    answered = await chat(product, "auto", messages=messages, **options)
    assert answered.json()["edgeneuro"]["agent"]["id"] == "hr"
    if protocol == "a2a":
        [part] = product.fetch.requests[-1].json()["params"]["message"]["parts"]
        assert part["text"] == "Where is my form?\n\nthe second one"
    else:
        texts = [each["content"] for each in product.gateway.requests[-1].messages]
        assert texts[-3:] == ["Where is my form?", ASKED, "the second one"]


@pytest.mark.parametrize(
    ("reply", "sent"),
    [
        ("none of them", "Where is my form?\n\nnone of them"),
        ("Who repairs the coffee machine?", "Who repairs the coffee machine?"),
    ],
)
async def test_another_question_is_sent_alone(
    database: SqliteDatabase, settings: Settings, reply: str, sent: str
) -> None:
    product = await decision_product(database, settings)
    await product.call("PATCH", "/v1/config", {"clarify": True})
    await move(product, "general", URL.format(id="general"))
    product.gateway.enqueue(chose(CLOSE))
    await talk(product, "Where is my form?")
    product.gateway.enqueue(chose({"general": 0.9, "hr": 0.05, "it_support": 0.03, "none": 0.02}))
    answered = await talk(product, reply, whole(message("Let me see.")))
    assert answered.json()["edgeneuro"]["agent"]["id"] == "general"
    [part] = product.fetch.requests[-1].json()["params"]["message"]["parts"]
    assert part["text"] == sent
