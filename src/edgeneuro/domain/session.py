"""Sessions: what is remembered of a conversation between its requests."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from edgeneuro.domain.conversation import PreviousTurn

# The header of AI Gateway that names a session. It is read if the body names none.
SESSION_HEADER = "cf-aig-session-id"
MAX_AGENT_MEMORIES = 16  # of a session
MAX_AGENT_ID_CHARACTERS = 256  # of an id that an agent gives; a longer one is not kept

# What the agent that answered last waits for: the user's reply to its question, or the results of
# the tools that it called.
WaitsFor = Literal["input", "tools"]


class AgentMemory(BaseModel):
    """The ids under which an agent that speaks A2A knows the conversation. `task_id` is the id of
    its task while the task waits for a reply. `endpoint` is a hash of the address that gave the
    ids: they go to no other."""

    model_config = ConfigDict(frozen=True)

    context_id: str | None = None
    task_id: str | None = None
    endpoint: str | None = None


class SessionState(BaseModel):
    """The part of a session that D1 has as one JSON object. `agents` are by the agent's id, in the
    order in which they first answered."""

    model_config = ConfigDict(frozen=True)

    agents: dict[str, AgentMemory] = Field(default_factory=dict)
    waits_for: WaitsFor | None = None


@dataclass(frozen=True, kw_only=True)
class Session:
    """A session as it is stored. `id` and `user` are what the caller sent, and `previous_user` and
    `previous_assistant` the last turn, as far as texts may be stored. `agent_id` is the agent that
    answered last. `version` counts the writes of the row, and goes on where a session ends and
    another one with the same id begins. A session that has ended is remembered until it expires, so
    that an older copy cannot bring it back. Times in unix ms."""

    version: int
    ended: bool = False
    id: str | None = None
    user: str | None = None
    agent_id: str | None = None
    previous_user: str | None = None
    previous_assistant: str | None = None
    query_hash: str | None = None
    state: SessionState = field(default_factory=SessionState)
    router: str | None = None
    turns: int = 0
    created_ms: int
    updated_ms: int
    expires_ms: int

    def is_live(self, now_ms: int) -> bool:
        return not self.ended and self.expires_ms > now_ms

    @property
    def previous(self) -> PreviousTurn:
        return PreviousTurn(self.agent_id, self.previous_user, self.previous_assistant)


def newer(one: Session | None, other: Session | None) -> Session | None:
    """The version decides, not the time: a clock may be set back. Of two copies that were written
    from the same version the one that has ended counts, or else the later one."""
    if one is None or other is None:
        return one or other
    return max(one, other, key=lambda each: (each.version, each.ended, each.updated_ms))


def session_key(session_id: str) -> str:
    """A session is found by this hash, also if its id may not be stored."""
    return _digest(session_id)


def endpoint_key(endpoint: str) -> str:
    return _digest(endpoint)[:16]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def complete_turn(session: Session | None, given: PreviousTurn, *, continues: bool) -> PreviousTurn:
    """The turn before the message: what the request says of it, and the rest as it is remembered. A
    request that has the user's previous message has both texts of that turn. If the request
    `continues` the message that the session remembers last, the session does not know the turn
    before it."""
    if session is None:
        return given
    last = session.previous
    agent = given.agent or last.agent
    if given.user is not None or continues:
        return PreviousTurn(agent, given.user, given.assistant)
    return PreviousTurn(agent, last.user, given.assistant or last.assistant)


def with_memory(
    memories: Mapping[str, AgentMemory], agent_id: str, memory: AgentMemory
) -> dict[str, AgentMemory]:
    """With the agent's new memory. Beyond MAX_AGENT_MEMORIES the oldest goes."""
    kept = {**memories, agent_id: memory}
    others = [name for name in kept if name != agent_id]
    for name in others[: max(0, len(kept) - MAX_AGENT_MEMORIES)]:
        del kept[name]
    return kept


# The API.

KeyId = Annotated[str, Field(min_length=1, max_length=128)]


class SessionQuery(BaseModel):
    """`key_id` is the key or user whose session it is, if it is not the caller's own."""

    model_config = ConfigDict(extra="forbid")

    key_id: KeyId | None = None


class ShownMemory(BaseModel):
    """`context_id` and `task_id` are null for callers without the scope `read`."""

    agent_id: str
    context_id: str | None
    task_id: str | None


class ShownSession(BaseModel):
    """A session. `agent_id` is the agent that answered last; `previous_user` and
    `previous_assistant` are the last turn, null if texts are not stored, or if the router does not
    know the answer. `waits_for` is "input" if that agent has asked something, so that it gets the
    next message, and "tools" if it waits for the results of tools; else null. `agents` are the
    agents with a memory of their own (A2A). After `expires_at` the session is forgotten."""

    object: Literal["session"] = "session"
    id: str
    key_id: str
    agent_id: str | None
    previous_user: str | None
    previous_assistant: str | None
    waits_for: WaitsFor | None
    agents: list[ShownMemory]
    router: str | None
    turns: int
    created_at: str
    updated_at: str
    expires_at: str


class EndedSession(BaseModel):
    object: Literal["session.deleted"] = "session.deleted"
    id: str
    deleted: Literal[True] = True
