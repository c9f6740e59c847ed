"""The session of a request: read before the turn is built, written after the answer is sent.

A session belongs to the key or user that named it. The isolate has the newest state that it wrote
itself, because the next request may come before the write is in D1; of both the newer one counts.
It has the same texts as D1 has, so that a decision does not depend on the isolate that makes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from edgeneuro.call import Call
from edgeneuro.domain.agent import Agent
from edgeneuro.domain.conversation import PreviousTurn, previous_text
from edgeneuro.domain.fields import MAX_SHORT_CHARACTERS
from edgeneuro.domain.router_names import DEFAULT_ROUTER
from edgeneuro.domain.routing import RoutingConfig
from edgeneuro.domain.session import (
    SESSION_HEADER,
    AgentMemory,
    Session,
    SessionState,
    WaitsFor,
    endpoint_key,
    newer,
    session_key,
    with_memory,
)
from edgeneuro.errors import DatabaseError, InvalidRequestError
from edgeneuro.services import Services
from edgeneuro.store.additions import Addition
from edgeneuro.store.database import Statement
from edgeneuro.store.sessions import (
    end_session,
    prolong_session,
    read_session,
    write_session,
)
from edgeneuro.synapsecore.stored_text import stored_context, stored_text
from edgeneuro.web.auth import Credential

_MINUTE_MS = 60_000
_ENDED_MINUTES = 60  # longer than any answer takes


@dataclass(frozen=True, kw_only=True)
class OpenSession:
    """`id` is what the caller sent. `last` is what is remembered, None if that is nothing;
    `version` is the newest version that is known, also of a session that is over."""

    services: Services
    config: RoutingConfig
    owner: str
    id: str
    key: str
    version: int = 0
    last: Session | None = None

    def memory(self, agent: Agent) -> AgentMemory | None:
        """The ids under which this agent knows the conversation, if it still has the address that
        gave them."""
        found = None if self.last is None else self.last.state.agents.get(agent.id)
        if found is None or agent.endpoint is None:
            return None
        return found if found.endpoint == endpoint_key(agent.endpoint) else None

    def waiting_agent(self, *, continues: bool) -> str | None:
        """The id of the agent that this message is for, because it waits for it. `continues` says
        whether the message was sent before, and now the results of tools stand after it."""
        if self.last is None or self.last.state.waits_for is None:
            return None
        if self.last.state.waits_for == "tools" and not continues:
            return None
        return self.last.agent_id

    # The isolate's copy.

    def _cached(self) -> Session | None:
        return self.services.recent_sessions.get(self._cache_key, now_ms=self._monotonic_ms())

    def _cache(self, session: Session) -> None:
        lasts_ms = session.expires_ms - session.updated_ms
        self.services.recent_sessions.put(
            self._cache_key, session, expires_at_ms=self._monotonic_ms() + lasts_ms
        )

    def _monotonic_ms(self) -> int:
        """The isolate's copy expires by this clock: the other one may be set back."""
        return round(self.services.monotonic() * 1000)

    @property
    def _cache_key(self) -> str:
        """With the epoch, so that an erasure removes the copies of all isolates."""
        return f"{self.config.stored.cache_epoch} {self.owner} {self.key}"

    async def read(self) -> "OpenSession":
        """With the newest state. If D1 fails, it is the isolate's."""
        stored: Session | None = None
        try:
            stored = await read_session(self.services.db, self.owner, self.key)
        except DatabaseError as error:
            self.services.failures.note("session_read", error)
        return self._at(newer(self._cached(), stored))

    def _at(self, newest: Session | None) -> "OpenSession":
        if newest is None:
            return self
        live = newest.is_live(self.services.now_ms())
        return replace(self, version=newest.version, last=newest if live else None)

    def _now(self) -> "OpenSession | None":
        """With what other requests of this isolate have written meanwhile; None if the session was
        ended meanwhile."""
        newest = self._cached()
        if newest is None or newest.version <= self.version:
            return self
        return None if newest.ended else self._at(newest)

    def remember(self, turn: "AnsweredTurn") -> Addition | None:
        """The session after this turn, in the isolate at once; returns its write to D1."""
        session, now_ms = self._now(), self.services.now_ms()
        if session is None:
            return None
        last = session.last
        memories = {} if last is None else last.state.agents
        agents = memories
        for agent_id, memory in turn.memories.items():
            agents = with_memory(agents, agent_id, memory)
        new = Session(
            version=session.version + 1,
            agent_id=turn.agent_id or (None if last is None else last.agent_id),
            router=None if self.config.router == DEFAULT_ROUTER else self.config.router,
            state=SessionState(agents=dict(agents), waits_for=turn.waits_for),
            turns=1 if last is None else last.turns + (0 if turn.again else 1),
            created_ms=now_ms if last is None else last.created_ms,
            updated_ms=now_ms,
            expires_ms=self._expires_ms(now_ms),
        )
        new = self._with_texts(new, turn)
        self._cache(new)
        dropped = [name for name in memories if name not in agents]
        return write_session(
            self.owner,
            self.key,
            new,
            base_version=self.version,
            dropped=dropped,
            again=turn.again,
        )

    def prolong(self, *, forget: Sequence[str] = ()) -> Statement | None:
        """The session after a request that had no answer: as it was, for another idle time, but
        without the memories of the agents `forget`."""
        session, now_ms = self._now(), self.services.now_ms()
        if session is None or session.last is None:
            return None
        state = session.last.state
        if forget:
            agents = {name: each for name, each in state.agents.items() if name not in forget}
            waits_for = None if session.last.agent_id in forget else state.waits_for
            state = SessionState(agents=agents, waits_for=waits_for)
        new = replace(
            session.last,
            state=state,
            version=session.version + 1,
            updated_ms=now_ms,
            expires_ms=self._expires_ms(now_ms),
        )
        self._cache(new)
        return prolong_session(self.owner, self.key, new, dropped=forget)

    def end(self) -> Statement:
        """Nothing is remembered from here on, in the isolate at once; returns the write to D1. An
        answer that is still being made does not bring the session back."""
        newest = newer(self._cached(), self.last)
        version = max(self.version, newest.version if newest else 0) + 1
        now_ms = self.services.now_ms()
        minutes = max(_ENDED_MINUTES, self.config.session_idle_minutes)
        ended = Session(
            version=version,
            ended=True,
            created_ms=now_ms,
            updated_ms=now_ms,
            expires_ms=now_ms + minutes * _MINUTE_MS,
        )
        self._cache(ended)
        return end_session(
            self.owner, self.key, version=version, now_ms=now_ms, expires_ms=ended.expires_ms
        )

    def _expires_ms(self, now_ms: int) -> int:
        return now_ms + self.config.session_idle_minutes * _MINUTE_MS

    def _with_texts(self, session: Session, turn: "AnsweredTurn") -> Session:
        """With what may be stored of the texts: nothing while texts are not stored. The router's
        own question stays as it is, because the reply is read by it."""
        config = self.config
        if not config.log_queries:
            own = turn.assistant if turn.asked_by_router else None
            return replace(session, previous_assistant=own)
        said = PreviousTurn(None, turn.user and previous_text(turn.user), turn.assistant)
        stored = stored_context(config, said)
        return replace(
            session,
            id=stored_text(config, self.id),
            user=turn.caller_user and stored_text(config, turn.caller_user),
            previous_user=stored.user or None,
            previous_assistant=turn.assistant if turn.asked_by_router else stored.assistant or None,
            query_hash=turn.query_hash,
        )


@dataclass(frozen=True, kw_only=True)
class AnsweredTurn:
    """A turn with its answer, as far as the router knows it: `assistant` is in canonical form and
    None if the agent answers elsewhere. If it is a clarifying question of the router, which holds
    no text of a caller, `asked_by_router` is true and `agent_id` None: the agent before stays.
    `query_hash` is that of the user's message, `caller_user` the person as the caller names it.
    `memories` are what agents have said of their own memory. With `again` it is the last turn of
    the session, which another agent has now."""

    agent_id: str | None
    user: str | None
    query_hash: str | None
    assistant: str | None = None
    caller_user: str | None = None
    asked_by_router: bool = False
    again: bool = False
    waits_for: WaitsFor | None = None
    memories: Mapping[str, AgentMemory] = field(default_factory=dict)


def named_session(call: Call, given: str | None) -> str | None:
    """The session that the body names, or else the header of AI Gateway. Raises
    InvalidRequestError for a header that could not stand in the body."""
    named = call.session_header
    if given is not None or not named:
        return given
    if len(named) > MAX_SHORT_CHARACTERS or "\0" in named:
        raise InvalidRequestError(
            f"{SESSION_HEADER}: must have at most {MAX_SHORT_CHARACTERS} characters, and not"
            " U+0000. Send a shorter id of the session.",
            param=SESSION_HEADER,
        )
    return named


async def open_session(
    services: Services, config: RoutingConfig, credential: Credential, session_id: str | None
) -> OpenSession | None:
    """None if the request names no session, or if sessions are not remembered: then nothing is
    read or written."""
    if session_id is None or not config.session_idle_minutes:
        return None
    return await session_of(services, config, credential.key_id, session_id)


async def session_of(
    services: Services, config: RoutingConfig, owner: str, session_id: str
) -> OpenSession:
    session = OpenSession(
        services=services,
        config=config,
        owner=owner,
        id=session_id,
        key=session_key(session_id),
    )
    return await session.read()
