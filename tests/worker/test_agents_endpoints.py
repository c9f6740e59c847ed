"""Agents at endpoints of their own, over HTTP: the emulator answers as agents.example.com."""

import hmac
import json
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
import openai
import pytest

from scripts.options import LOCAL_AGENT_KEY, LOCAL_SIGNING_SECRET
from tests.unit.identity_keys import checked_claims
from tests.waiting import until
from tests.worker.test_chat import FALLBACK, facts_of, question, set_faults
from tests.worker.test_chat import talk as talk  # a fixture
from tests.worker.test_route import log_entry

HOST = "agents.example.com"
Create = Callable[..., str]


@pytest.fixture
def create(client: httpx.Client, emulator: httpx.Client) -> Iterator[Create]:
    """Creates an agent at a path of that host, and gives the name by which a chat asks it."""
    made: list[str] = []

    def create(path: str, protocol: str = "openai", **fields: Any) -> str:
        agent_id = f"afar-{uuid.uuid4().hex[:12]}"
        body = {"id": agent_id, "name": "Afar", "description": "Zeppelins and balloons."}
        body |= {"endpoint": f"https://{HOST}{path}", "protocol": protocol, **fields}
        answer = client.post("/v1/agents", json=body)
        assert answer.status_code == 201, answer.text
        made.append(agent_id)
        return f"agent:{agent_id}"

    emulator.delete("/_local/calls").raise_for_status()
    yield create
    for agent_id in made:
        client.delete(f"/v1/agents/{agent_id}").raise_for_status()


def calls(emulator: httpx.Client) -> list[Any]:
    """Those that went out to the agents."""
    return [each for each in emulator.get("/_local/calls").json() if each["host"] == HOST]


def text_of(chunks: list[Any]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def signed(secret: str, agent_id: str, header: str, body: bytes) -> bool:
    """The receiver's check, as docs/agents.md has it, without its clock."""
    fields = dict(field.partition("=")[::2] for field in header.split(","))
    message = f"{fields['t']}.{agent_id}.".encode() + body
    expected = hmac.new(secret.encode(), message, "sha256").hexdigest()
    return hmac.compare_digest(expected, fields["v1"])


def test_an_agent_that_speaks_chat_completions(
    talk: openai.OpenAI, client: httpx.Client, emulator: httpx.Client, create: Create
) -> None:
    model = create("/openai/zeppelin")
    raw = talk.chat.completions.with_raw_response.create(model=model, messages=question("Helium"))
    answer = raw.parse()
    assert answer.model == model
    content = answer.choices[0].message.content or ""
    assert content.startswith("I am zeppelin") and "Helium" in content
    facts = facts_of(answer)
    assert facts["agent"]["endpoint"] == f"https://{HOST}/openai/zeppelin"
    assert facts["agent"]["protocol"] == "openai"
    [attempt] = facts["attempts"]
    assert (attempt["provider"], attempt["model"], attempt["outcome"]) == ("agent", model, "ok")
    [call] = calls(emulator)
    headers, agent_id = call["headers"], model.removeprefix("agent:")
    assert signed(
        LOCAL_SIGNING_SECRET, agent_id, headers["x-edgeneuro-signature"], call["body"].encode()
    )
    assert headers["x-edgeneuro-agent"] == agent_id
    assert headers["x-edgeneuro-decision-id"] == facts["decision_id"]
    assert headers["x-request-id"] == raw.headers["x-request-id"]
    assert not {"authorization", "cookie"} & set(headers)
    entry = log_entry(client, facts["decision_id"])
    assert (entry["model"], entry["kind"], entry["ending"]) == (model, "chat", "complete")


def test_its_stream(
    talk: openai.OpenAI, client: httpx.Client, emulator: httpx.Client, create: Create
) -> None:
    model = create("/openai/zeppelin")
    chunks = list(talk.chat.completions.create(model=model, messages=question(), stream=True))
    assert len(chunks) > 3
    assert text_of(chunks).startswith("I am zeppelin")
    assert chunks[-1].choices[0].finish_reason == "stop"
    entry = log_entry(client, facts_of(chunks[-1])["decision_id"])
    assert (entry["ending"], entry["usage"]["total_tokens"] > 0) == ("complete", True)
    assert [call["ended"] for call in calls(emulator)] == ["complete"]


@pytest.mark.parametrize("name", ["message", "task"])
def test_agents_of_a2a(talk: openai.OpenAI, create: Create, name: str) -> None:
    model = create(f"/a2a/{name}", "a2a")
    answer = talk.chat.completions.create(model=model, messages=question("Helium"))
    content = answer.choices[0].message.content or ""
    assert f"I am {name}" in content and "Helium" in content
    chunks = list(talk.chat.completions.create(model=model, messages=question(), stream=True))
    assert f"I am {name}" in text_of(chunks)


def test_what_fails_is_an_error_of_its_own(
    talk: openai.OpenAI, emulator: httpx.Client, create: Create
) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        model = create("/a2a/failed", "a2a")
        talk.chat.completions.create(model=model, messages=question())
    assert (caught.value.status_code, caught.value.code) == (502, "upstream_error")
    set_faults(emulator, {f"host:{HOST}": {"kind": "refuse"}})
    for stream in (False, True):
        with pytest.raises(openai.APIStatusError) as caught:
            talk.chat.completions.create(
                model=create("/openai/zeppelin"), messages=question(), stream=stream
            )
        assert caught.value.status_code == 502
    assert len(calls(emulator)) == 3  # each was asked once


@pytest.mark.parametrize("protocol", ["openai", "a2a"])
def test_an_answer_that_is_nested_too_deep(
    talk: openai.OpenAI, client: httpx.Client, emulator: httpx.Client, create: Create, protocol: str
) -> None:
    set_faults(emulator, {f"host:{HOST}": {"kind": "nested_json"}})
    model = create("/a2a/message" if protocol == "a2a" else "/openai/zeppelin", protocol)
    with pytest.raises(openai.APIStatusError) as caught:
        talk.chat.completions.create(model=model, messages=question())
    assert (caught.value.status_code, caught.value.code) == (502, "invalid_output")
    with pytest.raises(openai.APIStatusError) as caught:
        talk.chat.completions.create(model=model, messages=question(), stream=True)
    assert (caught.value.status_code, caught.value.code) == (502, "invalid_output")
    assert client.get("/healthz").status_code == 200


def test_the_agents_own_model_stands_in(
    talk: openai.OpenAI, emulator: httpx.Client, create: Create
) -> None:
    set_faults(emulator, {f"host:{HOST}": {"kind": "status", "status": 500}})
    model = create("/openai/zeppelin", model=FALLBACK)
    answer = talk.chat.completions.create(model=model, messages=question())
    assert answer.model == FALLBACK
    assert facts_of(answer)["attempts"][0]["fell_back_to"] == FALLBACK


def test_a_handoff(talk: openai.OpenAI, emulator: httpx.Client, create: Create) -> None:
    model = create("/a2a/message", "handoff")
    answer = talk.chat.completions.create(model=model, messages=question())
    handoff = facts_of(answer)["handoff"]
    url = f"https://{HOST}/a2a/message"
    assert answer.choices[0].message.content == f"Handed off to Afar: {url}"
    assert answer.usage is not None and answer.usage.total_tokens == 0
    assert handoff["agent"]["url"] == url
    canonical = json.dumps(
        handoff["message"], sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    agent_id = model.removeprefix("agent:")
    assert signed(LOCAL_SIGNING_SECRET, agent_id, handoff["signature"], canonical.encode())
    chunks = list(talk.chat.completions.create(model=model, messages=question(), stream=True))
    assert text_of(chunks) == answer.choices[0].message.content
    assert facts_of(chunks[0])["handoff"]["agent"]["url"] == url
    assert calls(emulator) == []


def test_a_redirect_is_not_followed(
    talk: openai.OpenAI, emulator: httpx.Client, create: Create
) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        talk.chat.completions.create(model=create("/redirect"), messages=question())
    assert caught.value.status_code == 502
    assert "redirects are not followed" in caught.value.message
    assert [call["path"] for call in calls(emulator)] == ["/redirect"]


@pytest.mark.parametrize(
    "url",
    [
        "http://agents.example.com/",
        "https://127.0.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::ffff:10.0.0.1]/",
        "https://localhost/",
        "https://metadata.internal/",
        "https://user:word@agents.example.com/",
    ],
)
def test_an_address_within_is_no_endpoint(client: httpx.Client, url: str) -> None:
    body = {"id": f"within-{uuid.uuid4().hex[:12]}", "name": "Within", "description": "No."}
    answer = client.post("/v1/agents", json={**body, "endpoint": url})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "endpoint")


def ids_of(call: Any) -> tuple[str | None, str | None]:
    """The conversation and the task of a message to an A2A agent."""
    message = json.loads(call["body"])["params"]["message"]
    return message.get("contextId"), message.get("taskId")


@pytest.mark.parametrize("stream", [False, True])
def test_an_agent_that_asks_back_gets_the_reply(
    talk: openai.OpenAI,
    client: httpx.Client,
    emulator: httpx.Client,
    create: Create,
    stream: bool,
) -> None:
    model, session = create("/a2a/asking", "a2a"), uuid.uuid4().hex
    agent_id = model.removeprefix("agent:")

    def say(text: str, model: str = "auto") -> tuple[str, Any]:
        messages: Any = [{"role": "user", "content": text}]
        options = {"edgeneuro": {"session": session}}
        given: Any = talk.chat.completions.create(
            model=model, messages=messages, stream=stream, extra_body=options
        )
        if stream:
            chunks = list(given)
            return text_of(chunks), facts_of(chunks[-1])
        return given.choices[0].message.content, facts_of(given)

    text, facts = say("Zeppelins", model)
    assert (text.endswith("What exactly?"), facts["session"]) == (True, session)
    path = f"/v1/sessions/{session}"
    found = until(lambda: client.get(path), lambda it: it.status_code == 200).json()
    assert (found["agent_id"], found["waits_for"]) == (agent_id, "input")
    # To a reader of this message alone it is for the agent it_support.
    text, facts = say("My VPN does not connect")
    assert "Zeppelins / My VPN does not connect" in text
    assert (facts["agent"]["id"], facts["layer"], facts["attempts"][0]["purpose"]) == (
        agent_id,
        "session",
        "chat",
    )
    first, second = calls(emulator)
    assert ids_of(first) == (None, None)
    [memory] = client.get(path).json()["agents"]
    assert ids_of(second) == (memory["context_id"], found["agents"][0]["task_id"])
    assert memory["task_id"] is None
    text, facts = say("My VPN does not connect")
    assert (facts["agent"]["id"], facts["layer"] in ("session", "direct")) == ("it_support", False)
    say("Balloons", model)  # back with the agent, in the conversation that it knows
    assert ids_of(calls(emulator)[-1]) == (memory["context_id"], None)
    assert client.delete(path).json()["deleted"] is True
    assert client.get(path).status_code == 404
    say("Airships", model)
    assert ids_of(calls(emulator)[-1]) == (None, None)


def test_a_task_that_the_agent_has_forgotten_begins_anew(
    talk: openai.OpenAI, emulator: httpx.Client, create: Create
) -> None:
    model, session = create("/a2a/forgetful", "a2a"), uuid.uuid4().hex
    options = {"edgeneuro": {"session": session}}
    for text in ("Zeppelins", "The second"):
        answer = talk.chat.completions.create(
            model=model, messages=[{"role": "user", "content": text}], extra_body=options
        )
        assert (answer.choices[0].message.content or "").endswith(f"{text} What exactly?")
    first, refused, again = calls(emulator)
    assert ids_of(first) == (None, None)
    context_id, task_id = ids_of(refused)
    assert context_id is not None and task_id is not None
    assert ids_of(again) == (context_id, None)


def test_an_openai_agent_gets_the_conversation_that_the_client_sends(
    talk: openai.OpenAI, emulator: httpx.Client, create: Create
) -> None:
    model, options = create("/openai/zeppelin"), {"edgeneuro": {"session": uuid.uuid4().hex}}
    messages: Any = question("Helium")
    for _ in range(2):
        answer = talk.chat.completions.create(model=model, messages=messages, extra_body=options)
        messages += [
            {"role": "assistant", "content": answer.choices[0].message.content},
            {"role": "user", "content": "And hydrogen?"},
        ]
    last: Any = [{"role": "user", "content": "And now?"}]
    talk.chat.completions.create(model=model, messages=last, extra_body=options)
    sent = [json.loads(call["body"])["messages"] for call in calls(emulator)]
    assert [len(each) for each in sent] == [1, 3, 1]  # nothing that is stored is added


@pytest.fixture
def never_mine(client: httpx.Client) -> Iterator[Callable[[str, str], None]]:
    """Moves the agent it_support, which gets questions about VPN, to an endpoint that hands every
    turn back."""
    fields = ("endpoint", "protocol")
    before = client.get("/v1/agents/it_support").json()

    def move(path: str, protocol: str) -> None:
        body = {"endpoint": f"https://{HOST}{path}", "protocol": protocol}
        client.patch("/v1/agents/it_support", json=body).raise_for_status()

    yield move
    body = {name: before[name] for name in fields}
    client.patch("/v1/agents/it_support", json=body).raise_for_status()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("path", "protocol", "reason"),
    [
        ("/openai/not-mine", "openai", "not-mine knows nothing of this."),
        ("/openai/not-mine-header", "openai", None),
        ("/a2a/rejected", "a2a", "I am rejected"),
    ],
)
def test_the_next_best_agent_answers_what_an_agent_hands_back(
    talk: openai.OpenAI,
    client: httpx.Client,
    emulator: httpx.Client,
    never_mine: Callable[[str, str], None],
    path: str,
    protocol: str,
    reason: str | None,
    stream: bool,
) -> None:
    never_mine(path, protocol)
    emulator.delete("/_local/calls").raise_for_status()
    asked = question(f"My VPN does not connect {uuid.uuid4().hex}")
    if stream:
        chunks = list(talk.chat.completions.create(model="auto", messages=asked, stream=True))
        facts, text = facts_of(chunks[-1]), text_of(chunks)
    else:
        answer = talk.chat.completions.create(model="auto", messages=asked)
        facts, text = facts_of(answer), answer.choices[0].message.content or ""
    [rerouted] = facts["rerouted"]
    assert (rerouted["from"], rerouted["to"]) == ("it_support", facts["agent"]["id"])
    assert rerouted["to"] != "it_support" and text and "knows nothing" not in text
    assert (rerouted["reason"] or "").startswith(reason or "")
    assert len(calls(emulator)) == 1
    entry = log_entry(client, facts["decision_id"])
    assert entry["rerouted_from"] == rerouted["decision_id"]
    replaced = log_entry(client, rerouted["decision_id"])
    assert [each["kind"] for each in replaced["signals"]] == ["not_mine"]
    assert replaced["attempts"][-1]["outcome"] == "not_mine"


@pytest.fixture
def own_agent() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """An agent on this machine: its address, and the headers of the calls that it got."""
    got: list[dict[str, str]] = []

    class Agent(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            got.append({name.lower(): value for name, value in self.headers.items()})
            message = {"role": "assistant", "content": "I am here."}
            body = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Agent) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/chat", got
        server.shutdown()


def test_an_agent_gets_a_secret_and_who_asks(
    talk: openai.OpenAI,
    client: httpx.Client,
    emulator: httpx.Client,
    create: Create,
    own_agent: tuple[str, list[dict[str, str]]],
) -> None:
    auth = {"bearer": "AGENT_KEY", "identity": True}
    keys = httpx.get(client.base_url.join("/v1/jwks")).raise_for_status().json()["keys"]

    def ask(endpoint: str | None = None) -> str:
        more = {} if endpoint is None else {"endpoint": endpoint}
        model = create("/openai/zeppelin", auth=auth, **more)
        answer = talk.chat.completions.create(model=model, messages=question(), user="u-7")
        headers = own_agent[1][-1] if own_agent[1] else calls(emulator)[-1]["headers"]
        shown = LOCAL_AGENT_KEY if own_agent[1] else f"{LOCAL_AGENT_KEY[:4]}…"  # by the emulator
        assert headers["authorization"] == f"Bearer {shown}"
        claims = checked_claims(headers["x-edgeneuro-identity"], keys)
        assert (claims["aud"], claims["sub"]) == (model.removeprefix("agent:"), "u-7")
        return answer.choices[0].message.content or ""

    assert ask().startswith("I am zeppelin")
    bound = f"service:AGENT_EXAMPLE:https://{HOST}/openai/airship"
    assert ask(bound).startswith("I am airship")
    with pytest.raises(openai.APIStatusError, match="redirects are not followed"):
        talk.chat.completions.create(model=create("/redirect", auth=auth), messages=question())
    assert [call["path"] for call in calls(emulator)][2:] == ["/redirect"]
    assert ask(own_agent[0]) == "I am here."
    refused = client.patch("/v1/agents/hr", json={"endpoint": "http://10.0.0.1/"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "endpoint")
