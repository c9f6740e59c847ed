"""What a chat leaves in its session: who answered, the last turn, the agent's own memory. A chat
without an answer leaves the session as it was, so that the message can be sent again."""

from dataclasses import dataclass

from edgeneuro.domain.conversation import MAX_PREVIOUS_CHARACTERS, previous_text
from edgeneuro.domain.query import query_hash
from edgeneuro.domain.session import AgentMemory, WaitsFor, endpoint_key
from edgeneuro.errors import EdgeNeuroError, UpstreamError
from edgeneuro.gateway.agents.a2a import refuses_task
from edgeneuro.gateway.interface import AgentState
from edgeneuro.store.database import Statement
from edgeneuro.synapsecore.chat.turn import ChatTurn
from edgeneuro.synapsecore.session import AnsweredTurn
from edgeneuro.synapsecore.stored_text import stored_context, stored_text

_KEPT = 2 * MAX_PREVIOUS_CHARACTERS


@dataclass(frozen=True, kw_only=True)
class ChatSaid:
    """What an agent has answered. `text` is None if the answer is not known here, or has none.
    `state` is that of the agent's endpoint, if it answered."""

    text: str | None
    calls_tools: bool = False
    state: AgentState | None = None


class StreamedText:
    """The beginning and the end of a streamed answer, as much as a session needs."""

    def __init__(self) -> None:
        self._start = ""
        self._end = ""

    def add(self, text: str) -> None:
        if len(self._start) < _KEPT:
            self._start += text
        elif text:
            self._end = (self._end + text)[-_KEPT:]

    @property
    def text(self) -> str:
        return self._start + self._end


def remember_chat(
    turn: ChatTurn, said: ChatSaid | None, failure: EdgeNeuroError | None = None
) -> Statement | None:
    """The write of the session, if the request has one that is remembered. `said` is None if there
    was no answer, and `failure` says why."""
    session, agent = turn.session, turn.agent
    if session is None:
        return None
    asks = turn.routing is not None and turn.routing.decision.clarify is not None
    if said is None or (agent is None and not asks):
        return session.prolong(forget=_refused_memory(turn, failure))
    if said.state is not None and said.state.done:
        return session.end()
    return session.remember(
        AnsweredTurn(
            agent_id=agent.id if agent and not asks else None,
            asked_by_router=asks,
            user=turn.request.conversation.query or None,
            query_hash=_query_hash(turn),
            assistant=said.text and previous_text(said.text),
            caller_user=turn.request.user,
            waits_for=_waits_for(said),
            memory=_memory(turn, said),
        )
    )


def _refused_memory(turn: ChatTurn, failure: EdgeNeuroError | None) -> str | None:
    """The agent that refuses the ids which it gave: the next message must not have them."""
    refused = isinstance(failure, UpstreamError) and refuses_task(failure)
    return turn.agent.id if refused and turn.agent and turn.memory is not None else None


def _waits_for(said: ChatSaid) -> WaitsFor | None:
    if said.state is not None and said.state.waits:
        return "input"
    return "tools" if said.calls_tools else None


def _memory(turn: ChatTurn, said: ChatSaid) -> AgentMemory | None:
    """None if the endpoint has not answered, or says nothing of its memory: then it stays."""
    state, agent = said.state, turn.agent
    if state is None or agent is None or agent.endpoint is None or agent.protocol != "a2a":
        return None
    before = turn.memory
    context_id = state.context_id or (None if before is None else before.context_id)
    if context_id is None and state.task_id is None:
        return None
    return AgentMemory(
        context_id=context_id, task_id=state.task_id, endpoint=endpoint_key(agent.endpoint)
    )


def _query_hash(turn: ChatTurn) -> str | None:
    """Also of a chat that was not routed: its text is in the session all the same."""
    if turn.routing is not None:
        return turn.routing.turn.query_hash
    said, config = turn.request.conversation, turn.config
    if not said.query:
        return None
    before = stored_context(config, said.previous)
    return query_hash(stored_text(config, said.query), before.identity)
