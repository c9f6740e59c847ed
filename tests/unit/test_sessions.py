"""Sessions: what the next request knows of the one before it, whose it is, and how it ends."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from edgeneuro.domain.session import AgentMemory, Session, SessionState, session_key
from edgeneuro.gateway.interface import ModelAnswer, ModelRequest
from edgeneuro.gateway.transports import log_headers
from edgeneuro.settings import Settings
from edgeneuro.store.database import Statement
from edgeneuro.store.log_writes import statement_of
from edgeneuro.store.sessions import read_session, write_session
from edgeneuro_testing.gateway import ScriptedGateway
from edgeneuro_testing.sqlite import SqliteDatabase
from tests.unit.chats import LLAMA, TOOL, chat, streams, talks, user
from tests.unit.conftest import ADMIN_TOKEN, Product, says
from tests.unit.decision_models import chose, decision_product
from tests.unit.invocations import delete_expired
from tests.unit.test_chat_stream import opened
from tests.unit.test_limits import create as create_key
from tests.unit.test_outcomes import ASKED, CLOSE

MINUTE = 60
NOTHING = {"previous_agent": None, "previous_user": None, "previous_assistant": None}


class Gateway(ScriptedGateway):
    """While it answers the next request, `meanwhile` happens, once."""

    meanwhile: Callable[[], Awaitable[None]] | None = None

    async def run(self, request: ModelRequest, /) -> ModelAnswer:
        answer = await super().run(request)
        happens, self.meanwhile = self.meanwhile, None
        if happens is not None:
            await happens()
        return answer


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def empty_product(database: SqliteDatabase, settings: Settings, gateway: Gateway) -> Product:
    return Product(database, settings, gateway=gateway)


async def say(
    product: Product,
    query: str,
    *,
    agent: str = "hr",
    session: str = "s-1",
    key: str = ADMIN_TOKEN,
    headers: dict[str, str] | None = None,
    **fields: Any,
) -> Any:
    """A decision in the session; the model is asked if no other stage decides."""
    product.gateway.enqueue(says(agent))
    body = {"query": query, "session": session, **fields}
    answered = await product.call("POST", "/v1/route", body, key=key, headers=headers)
    assert answered.status == 200, answered.text
    return answered.json()


async def context(product: Product, decision: Any) -> Any:
    """The turn before the message, as the log row has it."""
    decision_id = decision["id"] if "id" in decision else decision["decision_id"]
    return (await product.call("GET", f"/v1/logs/{decision_id}")).json()["context"]


async def session(product: Product, session_id: str = "s-1", **fields: Any) -> Any:
    answered = await product.call("GET", f"/v1/sessions/{session_id}", **fields)
    return answered.json() if answered.status == 200 else None


def before(agent: str, user: str | None = None, assistant: str | None = None) -> dict[str, Any]:
    return {"previous_agent": agent, "previous_user": user, "previous_assistant": assistant}


# what is remembered


async def test_the_next_message_is_routed_with_the_turn_before_it(product: Product) -> None:
    first = await say(product, "How many days of leave?")
    assert first["session"] == "s-1"
    assert await context(product, first) is None
    second = await say(product, "And next year?")
    assert await context(product, second) == before("hr", "How many days of leave?")
    found = await session(product)
    assert found["agent_id"] == "hr"
    assert (found["previous_user"], found["previous_assistant"]) == ("And next year?", None)
    assert (found["turns"], found["waits_for"], found["agents"]) == (2, None, [])
    assert found["key_id"] == "admin_token"


async def test_the_caller_completes_the_turn_or_replaces_it(product: Product) -> None:
    await say(product, "How many days of leave?")
    answered = {"previous_assistant": "Thirty. Which year?"}
    second = await say(product, "2027", context=answered)
    assert await context(product, second) == before(
        "hr", "How many days of leave?", "Thirty. Which year?"
    )
    third = await say(product, "Hm", context={"previous_agent": "it_support"})
    assert await context(product, third) == before("it_support", "2027")
    own = {"previous_user": "My VPN is down"}
    fourth = await say(product, "Hm?", context=own)
    assert await context(product, fourth) == before("hr", "My VPN is down")
    messages = [user("A"), {"role": "assistant", "content": "B"}, user("C")]
    body = {"messages": messages, "session": "s-1"}
    fifth = (await product.call("POST", "/v1/route", body)).json()
    assert await context(product, fifth) == before("hr", "A", "B")


async def test_without_a_session_nothing_is_read_or_written(product: Product) -> None:
    product.gateway.enqueue(says("hr"), says("hr"))
    assert (await product.route("Leave?")).json()["session"] is None
    await product.call("PATCH", "/v1/config", {"session_idle_minutes": 0})
    assert (await say(product, "Leave? Please!"))["session"] is None
    assert not [each for each in product.database.statements if "sessions" in each.sql]


async def test_with_one_it_is_one_read_and_a_write_with_the_log_row(product: Product) -> None:
    await say(product, "Leave?")
    product.database.statements.clear()
    await say(product, "And next year?")
    words = [each.sql.split()[0] for each in product.database.statements if " sessions" in each.sql]
    assert words == ["SELECT", "INSERT"]


async def test_nobody_answers_so_the_turn_before_stays(product: Product) -> None:
    await say(product, "Leave?")
    product.clock.seconds += MINUTE
    decision = await say(product, "Qwertz", agent="none", on_no_fit="none")
    assert decision["outcome"] == "none"
    found = await session(product)
    assert (found["agent_id"], found["previous_user"], found["turns"]) == ("hr", "Leave?", 1)
    assert found["updated_at"] > found["created_at"]


async def test_a_decision_api_decides_in_the_session(product: Product) -> None:
    await say(product, "Leave?")
    product.gateway.enqueue(says("hr"))
    body = {
        "model": "auto",
        "input": "And next year?",
        "questions": [{"type": "choice", "name": "agent", "instructions": "Who?"}],
        "edgeneuro": {"session": "s-1"},
    }
    answered = await product.call("POST", "/v1/decisions", body)
    assert answered.status == 200, answered.text
    facts = answered.json()["edgeneuro"]
    assert facts["session"] == "s-1"
    assert await context(product, facts) == before("hr", "Leave?")


# whose it is


async def test_a_keys_sessions_are_its_own(product: Product) -> None:
    one, other = [await create_key(product, scopes=["route"]) for _ in range(2)]
    await say(product, "Leave?", key=one["key"])
    assert await context(product, await say(product, "And now?", key=other["key"])) is None
    assert (await session(product, key=one["key"]))["previous_user"] == "Leave?"
    assert (await session(product, key=other["key"]))["previous_user"] == "And now?"
    product.execute(f"DELETE FROM sessions WHERE owner = '{other['id']}'")
    product.services.recent_sessions.clear()
    refused = await product.call("GET", "/v1/sessions/s-1", key=other["key"])
    error = refused.json()["error"]
    assert (refused.status, error["code"], error["param"]) == (404, "unknown_session", "session_id")
    path = f"/v1/sessions/s-1?key_id={one['id']}"
    for method in ("GET", "DELETE"):
        assert (await product.call(method, path, key=other["key"])).status == 403
        assert (await product.call(method, path)).status == 200
    assert await session(product, key=one["key"]) is None
    [entry] = (await product.call("GET", "/v1/audit?resource=session")).json()["data"]
    assert (entry["action"], entry["actor"]) == ("end", "admin_token")
    assert entry["resource_id"] == f"{one['id']} sha256:{session_key('s-1')[:32]}"


async def test_a_revoked_key_leaves_no_session(product: Product) -> None:
    key = await create_key(product)
    await say(product, "Leave?", key=key["key"])
    await say(product, "Leave? Please!")
    assert (await product.call("DELETE", f"/v1/keys/{key['id']}")).status == 200
    assert product.rows("SELECT owner FROM sessions") == [{"owner": "admin_token"}]


async def test_an_agent_that_is_gone_is_ignored(product: Product) -> None:
    await say(product, "My VPN is down", agent="it_support")
    assert (await product.call("DELETE", "/v1/agents/it_support")).status == 200
    second = await say(product, "Still down")
    assert await context(product, second) == {**NOTHING, "previous_user": "My VPN is down"}
    third = await say(product, "Hm", agent="general", candidates=["general"])
    assert (await context(product, third))["previous_agent"] is None


# newer and older copies


async def isolate(product: Product, settings: Settings) -> Product:
    """Another isolate over the same database, with the same time."""
    return Product(product.database, settings, clock=product.clock)


async def test_a_request_before_the_write_is_in_d1(product: Product) -> None:
    await say(product, "First")
    await say(product, "Second")
    product.execute("UPDATE sessions SET version = 1, previous_user = 'First', turns = 1")
    third = await say(product, "Third")
    assert (await context(product, third))["previous_user"] == "Second"
    product.execute("DELETE FROM sessions")
    fourth = await say(product, "Fourth")
    assert (await context(product, fourth))["previous_user"] == "Third"
    assert (await session(product))["turns"] == 4


async def test_what_another_isolate_wrote_is_newer(product: Product, settings: Settings) -> None:
    other = await isolate(product, settings)
    await say(product, "First")
    await say(other, "Second")
    third = await say(product, "Third")
    assert (await context(product, third))["previous_user"] == "Second"
    assert (await session(other))["turns"] == 3


@pytest.mark.parametrize("minutes", [1, 29, 600])
async def test_a_clock_that_is_set_back(
    product: Product, settings: Settings, minutes: float
) -> None:
    """The later turn is the newer one whatever its time, in both isolates."""
    other = await isolate(product, settings)
    await say(product, "First")
    await say(other, "Second")
    product.clock.seconds -= minutes * MINUTE
    third = await say(product, "Third")
    assert (await context(product, third))["previous_user"] == "Second"
    fourth = await say(other, "Fourth")
    assert (await context(other, fourth))["previous_user"] == "Third"
    fifth = await say(product, "Fifth")
    assert (await context(product, fifth))["previous_user"] == "Fourth"


async def test_an_isolates_copy_expires_though_the_clock_is_set_back(product: Product) -> None:
    await say(product, "First")
    product.clock.seconds += 31 * MINUTE
    await delete_expired(product.services)
    product.clock.seconds -= 31 * MINUTE
    assert await context(product, await say(product, "Second")) is None


async def test_two_requests_at_once(product: Product, gateway: Gateway) -> None:
    """The one that is answered last is the turn before the next message; none is lost."""
    await say(product, "First")
    decisions = []

    async def another() -> None:
        decisions.append(await say(product, "At once", agent="it_support", cache=False))

    gateway.meanwhile = another
    decisions.append(await say(product, "Second"))
    for decision in decisions:
        assert (await context(product, decision))["previous_user"] == "First"
    found = await session(product)
    assert (found["turns"], found["previous_user"]) == (3, "Second")


def stored(version: int, query: str, *, at: int = 1_000, agent: str = "hr") -> Session:
    memory = AgentMemory(context_id=f"of {query}")
    return Session(
        version=version,
        turns=version,
        agent_id=agent,
        previous_user=query,
        state=SessionState(agents={agent: memory}),
        created_ms=1_000,
        updated_ms=at,
        expires_ms=9_000,
    )


def written(session: Session, *, base_version: int) -> Statement:
    return statement_of("dec_x", write_session("k", "s", session, base_version=base_version))


@pytest.mark.parametrize("in_order", [True, False])
async def test_writes_that_arrive_out_of_order(database: SqliteDatabase, in_order: bool) -> None:
    """Nobody waits for a write, so the one of the next turn may overtake it."""
    one = written(stored(6, "First", agent="it"), base_version=5)
    two = written(stored(7, "Second"), base_version=6)
    await database.batch([one, two] if in_order else [two, one])
    found = await read_session(database, "k", "s")
    assert found is not None
    assert (found.previous_user, found.agent_id) == ("Second", "hr")
    assert set(found.state.agents) == {"it", "hr"}  # no memory is lost
    assert found.version >= 7


async def test_two_isolates_write_from_the_same_version(database: SqliteDatabase) -> None:
    """The turn that was answered last is the one before the next message."""
    one = stored(6, "One", at=2_000, agent="it")
    other = stored(6, "Other", at=1_500)
    await database.batch([written(each, base_version=5) for each in (one, other)])
    found = await read_session(database, "k", "s")
    assert found is not None
    assert (found.previous_user, found.updated_ms, found.turns) == ("One", 2_000, 7)
    assert set(found.state.agents) == {"it", "hr"}


async def test_a_turn_whose_session_could_not_be_read(database: SqliteDatabase) -> None:
    """Its version is too low: the time says that it is the later turn."""
    await database.run(written(stored(6, "Known", agent="it"), base_version=5))
    unread = stored(1, "Not read", at=2_000)
    await database.run(written(unread, base_version=0))
    found = await read_session(database, "k", "s")
    assert found is not None
    assert (found.previous_user, found.turns, found.version) == ("Not read", 7, 7)
    assert set(found.state.agents) == {"it", "hr"}


async def test_a_new_session_has_nothing_of_the_one_that_was_over(database: SqliteDatabase) -> None:
    old = stored(6, "Old", agent="it")
    new = replace(stored(7, "New", at=9_000), turns=1, expires_ms=20_000)
    await database.run(written(old, base_version=5))
    await database.run(written(new, base_version=6))
    found = await read_session(database, "k", "s")
    assert found is not None
    assert (found.turns, list(found.state.agents), found.expires_ms) == (1, ["hr"], 20_000)


async def test_a_database_that_fails(product: Product, settings: Settings) -> None:
    await say(product, "First")
    product.database.failing = True
    second = await say(product, "Second")
    assert second["agent"]["id"] == "hr"
    product.database.failing = False
    assert product.failures.counts["session_read"] == 1
    third = await say(product, "Third")  # the second turn is in the isolate alone
    assert (await context(product, third))["previous_user"] == "Second"
    assert (await session(product))["turns"] == 3
    product.services.recent_sessions.clear()
    product.database.failing = True
    fourth = await say(product, "Fourth")  # nothing is known
    assert (fourth["session"], fourth["agent"]["id"]) == ("s-1", "hr")


@pytest.mark.parametrize("state", ['{"agents": 7}', "{", "[]"])
async def test_a_row_that_was_edited_by_hand(product: Product, state: str) -> None:
    await say(product, "First")
    product.services.recent_sessions.clear()
    product.execute(f"UPDATE sessions SET state = '{state}'")
    second = await say(product, "Second")
    assert (await context(product, second))["previous_user"] == "First"
    assert product.rows("SELECT previous_user FROM sessions") == [{"previous_user": "Second"}]


# its end


async def test_it_ends_when_it_was_idle_for_too_long(product: Product) -> None:
    await say(product, "First")
    product.clock.seconds += 30 * MINUTE - 1
    second = await say(product, "Second")
    assert (await context(product, second))["previous_user"] == "First"
    product.clock.seconds += 30 * MINUTE
    assert await session(product) is None
    third = await say(product, "Third")
    assert await context(product, third) is None
    found = await session(product)
    assert (found["turns"], found["created_at"]) == (1, found["updated_at"])


async def test_the_time_is_a_setting(product: Product) -> None:
    await product.call("PATCH", "/v1/config", {"session_idle_minutes": 5})
    await say(product, "First")
    product.clock.seconds += 5 * MINUTE
    assert await context(product, await say(product, "Second")) is None
    refused = await product.call("PATCH", "/v1/config", {"session_idle_minutes": -1})
    assert (refused.status, refused.json()["error"]["param"]) == (400, "session_idle_minutes")


async def test_expired_rows_are_deleted(product: Product) -> None:
    await say(product, "First")
    product.clock.seconds += MINUTE
    await say(product, "Other", session="s-2")
    product.clock.seconds += 29 * MINUTE
    await delete_expired(product.services)
    assert product.rows("SELECT id FROM sessions") == [{"id": "s-2"}]


async def test_the_caller_ends_it(product: Product, settings: Settings) -> None:
    """An older copy of another isolate does not bring it back."""
    other = await isolate(product, settings)
    await say(other, "First")
    ended = await product.call("DELETE", "/v1/sessions/s-1")
    assert ended.json() == {"object": "session.deleted", "id": "s-1", "deleted": True}
    for each in (product, other):
        assert (await each.call("GET", "/v1/sessions/s-1")).status == 404
        assert (await each.call("DELETE", "/v1/sessions/s-1")).status == 404
    assert product.rows("SELECT previous_user, agent_id, id FROM sessions") == [
        {"previous_user": None, "agent_id": None, "id": None}
    ]
    assert await context(other, await say(other, "Second")) is None
    third = await say(product, "Third")
    assert (await context(product, third))["previous_user"] == "Second"
    assert (await session(product))["turns"] == 2
    product.clock.seconds += 30 * MINUTE
    await delete_expired(product.services)
    assert product.rows("SELECT * FROM sessions") == []


async def test_the_row_of_an_ended_session_outlasts_every_answer(product: Product) -> None:
    await product.call("PATCH", "/v1/config", {"session_idle_minutes": 1})
    await say(product, "First")
    await product.call("DELETE", "/v1/sessions/s-1")
    product.clock.seconds += 59 * MINUTE
    await delete_expired(product.services)
    assert product.rows("SELECT ended FROM sessions") == [{"ended": 1}]
    product.clock.seconds += MINUTE
    await delete_expired(product.services)
    assert product.rows("SELECT ended FROM sessions") == []


@pytest.mark.parametrize("in_this_isolate", [True, False])
async def test_an_answer_under_way_does_not_bring_it_back(
    product: Product, gateway: Gateway, settings: Settings, in_this_isolate: bool
) -> None:
    await say(product, "First")
    other = product if in_this_isolate else await isolate(product, settings)

    async def end() -> None:
        assert (await other.call("DELETE", "/v1/sessions/s-1")).status == 200

    gateway.meanwhile = end
    await say(product, "Second")
    assert await session(other) is None
    assert await context(product, await say(product, "Third")) is None


@pytest.mark.parametrize("session_id", ["a/b c?ü", "%2F", "🙂" * 200, "a\nb", " "])
async def test_any_text_names_a_session(product: Product, session_id: str) -> None:
    await say(product, "First", session=session_id)
    path = quote(session_id, safe="")
    assert (await session(product, path))["id"] == session_id
    assert (await product.call("DELETE", f"/v1/sessions/{path}")).status == 200


async def test_an_id_that_is_too_long(product: Product) -> None:
    refused = await product.route("Leave?", session="x" * 201)
    assert (refused.status, refused.json()["error"]["param"]) == (400, "session")
    assert (await product.call("GET", f"/v1/sessions/{'x' * 5_000}")).status == 404


# the header


async def test_the_header_of_ai_gateway_names_the_session(product: Product) -> None:
    header = {"cf-aig-session-id": "s-9"}
    product.gateway.enqueue(says("hr"), says("hr"), talks())
    first = await product.call("POST", "/v1/route", {"query": "Leave?"}, headers=header)
    assert first.json()["session"] == "s-9"
    [entry] = await product.logs()
    assert entry["session"] == "s-9"
    second = await chat(product, "auto", edgeneuro={"session": "s-1"})  # the body wins
    assert second.status == 200, second.text
    assert second.json()["edgeneuro"]["session"] == "s-1"
    assert (await session(product, "s-9"))["turns"] == 1


async def test_a_header_that_is_no_id(product: Product) -> None:
    header = {"cf-aig-session-id": "x" * 201}
    body = {"query": "Leave?"}
    refused = await product.call("POST", "/v1/route", body, headers=header)
    assert (refused.status, refused.json()["error"]["param"]) == (400, "cf-aig-session-id")
    answered = await product.call("GET", "/v1/agents", headers=header)
    assert answered.status == 200
    product.gateway.enqueue(says("hr"))
    empty = await product.call("POST", "/v1/route", body, headers={"cf-aig-session-id": ""})
    assert (empty.status, empty.json()["session"]) == (200, None)


# texts


async def test_without_texts_the_agent_is_remembered(product: Product) -> None:
    await product.call("PATCH", "/v1/config", {"log_queries": False})
    await say(product, "Leave?", user="ada")
    found = await session(product)
    assert (found["agent_id"], found["previous_user"], found["turns"]) == ("hr", None, 1)
    assert product.rows("SELECT id, user, previous_user, query_hash FROM sessions") == [
        {"id": None, "user": None, "previous_user": None, "query_hash": None}
    ]
    second = await say(product, "And next year?")
    assert await context(product, second) == before("hr")


async def test_personal_data_is_not_stored(product: Product) -> None:
    await product.call("PATCH", "/v1/config", {"redact_personal_data": True})
    name = "ada@example.com"
    await say(product, f"I am {name}", session=name, user=name)
    assert name not in str(product.rows("SELECT * FROM sessions"))
    assert (await session(product, name))["previous_user"] == "I am [email]"
    second = await say(product, "Leave?", session=name)
    assert await context(product, second) == before("hr", "I am [email]")


@pytest.mark.parametrize(
    "erase", ["/v1/logs?user=ada", "/v1/logs?session=s-1", "/v1/labels/{query_hash}"]
)
async def test_an_erasure_takes_the_session_too(product: Product, erase: str) -> None:
    decision = await say(product, "My secret disease", user="ada")
    await say(product, "Leave?", session="s-2", user="bob")
    entry = (await product.call("GET", f"/v1/logs/{decision['id']}")).json()
    assert (await product.call("DELETE", erase.format(**entry))).status == 200
    assert product.rows("SELECT id FROM sessions") == [{"id": "s-2"}]
    assert await context(product, await say(product, "Hm")) is None


async def test_the_erasure_of_a_user(product: Product) -> None:
    body = {"email": "ada@example.com", "name": "Ada", "role": "admin"}
    user_id = (await product.call("POST", "/v1/users", body)).json()["id"]
    key = await create_key(product, user_id=user_id)
    await say(product, "Leave?", key=key["key"])
    assert (await product.call("DELETE", f"/v1/users/{user_id}/data")).status == 200
    assert product.rows("SELECT id FROM sessions") == []
    await say(product, "Leave?", key=key["key"])
    assert (await product.call("DELETE", f"/v1/users/{user_id}")).status == 200
    assert product.rows("SELECT id FROM sessions") == []


# chats


def in_session(**fields: Any) -> dict[str, Any]:
    return {"edgeneuro": {"session": "s-1"}, **fields}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_chat_leaves_its_answer(product: Product, stream: bool) -> None:
    answer = streams("Thirty ", "days.") if stream else talks("Thirty  days.")
    product.gateway.enqueue(says("hr"), answer)
    await chat(product, "auto", stream=stream, **in_session())
    found = await session(product)
    assert (found["agent_id"], found["previous_assistant"]) == ("hr", "Thirty days.")
    assert found["previous_user"] == "How many days of leave?"
    second = await say(product, "And next year?")
    assert await context(product, second) == before("hr", "How many days of leave?", "Thirty days.")


async def test_a_stream_is_remembered_before_its_end_is_sent(product: Product) -> None:
    """A client sends its next message as soon as it has the end."""
    product.gateway.enqueue(streams("Thirty ", "days."))
    stream = await opened(product, "agent:hr", edgeneuro={"session": "s-1"})
    seen = b""
    while b"[DONE]" not in seen:
        seen = await anext(stream)
    [found] = [each for each, _ in product.services.recent_sessions._entries.values()]
    assert found.previous_assistant == "Thirty days."
    await stream.aclose()


async def test_a_client_that_goes_leaves_what_it_got(product: Product) -> None:
    product.gateway.enqueue(streams("Thirty ", "days."))
    stream = await opened(product, "agent:hr", edgeneuro={"session": "s-1"})
    while b"Thirty" not in await anext(stream):
        pass
    await stream.aclose()
    assert (await session(product))["previous_assistant"] == "Thirty"


async def test_of_a_long_answer_the_ends_are_remembered(product: Product) -> None:
    words = [f"word{n} " for n in range(5_000)]
    product.gateway.enqueue(streams(*words), talks("".join(words)))
    found = []
    for stream in (True, False):
        await chat(product, stream=stream, **in_session())
        found.append((await session(product))["previous_assistant"])
    assert found[0] == found[1]
    assert len(found[0]) <= 1_000
    assert found[0].startswith("word0 word1") and found[0].endswith("word4999")


async def test_the_clients_own_messages_win_and_no_text_is_added(product: Product) -> None:
    product.gateway.enqueue(says("hr"), talks("Thirty."), says("hr"), talks("Twenty."))
    await chat(product, "auto", **in_session())
    second = await chat(product, "auto", messages=[user("And next year?")], **in_session())
    facts = second.json()["edgeneuro"]
    assert await context(product, facts) == before("hr", "How many days of leave?", "Thirty.")
    sent = product.gateway.requests[-1].messages
    assert [each["content"] for each in sent if each["role"] != "system"] == ["And next year?"]
    messages = [user("A"), {"role": "assistant", "content": "B"}, user("C")]
    product.gateway.enqueue(says("hr"), talks())
    third = await chat(product, "auto", messages=messages, **in_session())
    assert await context(product, third.json()["edgeneuro"]) == before("hr", "A", "B")


async def test_a_chat_that_fails_leaves_the_session_as_it_was(product: Product) -> None:
    product.gateway.enqueue(talks("Thirty."))
    await chat(product, **in_session())
    product.clock.seconds += 20 * MINUTE
    answered = await chat(product, "agent:it_support", **in_session())  # nobody answers
    assert answered.status >= 500
    product.clock.seconds += 20 * MINUTE
    found = await session(product)
    assert (found["agent_id"], found["previous_assistant"]) == ("hr", "Thirty.")


async def test_a_model_that_the_caller_names_is_no_agent(product: Product) -> None:
    product.gateway.enqueue(talks("Thirty."), talks("Who knows."))
    await chat(product, **in_session())
    await chat(product, LLAMA, messages=[user("Who are you?")], **in_session())
    assert (await session(product))["previous_assistant"] == "Thirty."


# an agent that waits for the results of its tools


async def test_the_results_of_tools_go_to_the_agent_that_called_them(product: Product) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
    product.gateway.enqueue(says("hr"), talks_with_call(call))
    first = await chat(product, "auto", tools=[TOOL], **in_session())
    assert first.json()["choices"][0]["finish_reason"] == "tool_calls"
    assert (await session(product))["waits_for"] == "tools"
    messages = [
        user(),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "30"},
    ]
    product.gateway.enqueue(talks("Thirty."))  # the router asks no model
    second = await chat(product, "auto", messages=messages, tools=[TOOL], **in_session())
    facts = second.json()["edgeneuro"]
    assert (facts["layer"], facts["agent"]["id"]) == ("session", "hr")
    assert facts["confidence_source"] == "session"
    found = await session(product)
    assert (found["waits_for"], found["previous_assistant"]) == (None, "Thirty.")


async def test_another_message_is_no_result_of_a_tool(product: Product) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
    product.gateway.enqueue(says("hr"), talks_with_call(call))
    await chat(product, "auto", tools=[TOOL], **in_session())
    decision = await say(product, "My VPN is down", agent="it_support")
    assert (decision["agent"]["id"], decision["layer"]) == ("it_support", "llm")


def talks_with_call(call: dict[str, Any]) -> Any:
    return ModelAnswer(content=None, tool_calls=(call,), finish_reason="tool_calls")


# the router's clarifying question


@pytest.mark.parametrize("log_queries", [True, False])
async def test_the_reply_to_a_clarifying_question_needs_nothing_but_the_session(
    database: SqliteDatabase, settings: Settings, log_queries: bool
) -> None:
    product = await decision_product(database, settings)
    await product.call("PATCH", "/v1/config", {"clarify": True, "log_queries": log_queries})
    product.gateway.enqueue(chose(CLOSE))
    body = {"query": "Where is my form?", "session": "s-1"}
    asked = (await product.call("POST", "/v1/route", body)).json()
    assert asked["outcome"] == "clarify"
    found = await session(product)
    assert (found["agent_id"], found["previous_assistant"]) == (None, ASKED)
    reply = {"query": "the second one", "session": "s-1"}
    decision = (await product.call("POST", "/v1/route", reply)).json()
    assert (decision["agent"]["id"], decision["layer"]) == ("hr", "session")
    assert (await session(product))["agent_id"] == "hr"


async def test_names_in_a_clarifying_question_are_no_personal_data(
    database: SqliteDatabase, settings: Settings
) -> None:
    product = await decision_product(database, settings)
    await product.call("PATCH", "/v1/agents/hr", {"name": "hr@example.com"})
    await product.call("PATCH", "/v1/config", {"clarify": True, "redact_personal_data": True})
    product.gateway.enqueue(chose(CLOSE))
    await product.call("POST", "/v1/route", {"query": "Where is my form?", "session": "s-1"})
    reply = {"query": "the second one", "session": "s-1"}
    decision = (await product.call("POST", "/v1/route", reply)).json()
    assert (decision["agent"]["id"], decision["layer"]) == ("hr", "session")


# what AI Gateway gets


@pytest.mark.parametrize(
    ("session_id", "settings_changes", "sent"),
    [
        ("s-1", {}, "s-1"),
        ("Zoë", {}, session_key("Zoë")),
        ("a\nb", {}, session_key("a\nb")),
        (" s", {}, session_key(" s")),
        ("ada@example.com", {"redact_personal_data": True}, "[email]"),
        ("s-1", {"log_queries": False}, None),
        ("s-1", {"session_idle_minutes": 0}, "s-1"),
    ],
)
async def test_ai_gateway_groups_its_logs_by_session(
    product: Product, session_id: str, settings_changes: dict[str, Any], sent: str | None
) -> None:
    await product.call("PATCH", "/v1/config", settings_changes)
    product.gateway.enqueue(says("hr"), talks())
    answered = await chat(product, "auto", edgeneuro={"session": session_id})
    assert answered.status == 200, answered.text
    assert [each.session for each in product.gateway.requests] == [sent, sent]
    headers = log_headers(product.gateway.requests[0])
    assert headers.get("cf-aig-session-id") == sent


async def test_without_a_session_ai_gateway_gets_none(product: Product) -> None:
    product.gateway.enqueue(says("hr"))
    await product.route("Leave?")
    assert "cf-aig-session-id" not in log_headers(product.gateway.requests[0])
