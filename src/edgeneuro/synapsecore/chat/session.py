"""What a chat leaves in its session: who answered, the last turn, the agent's own memory. A chat
without an answer leaves the session as it was, so that the message can be sent again."""

from dataclasses import dataclass

from edgeneuro.domain.conversation import MAX_PREVIOUS_CHARACTERS, previous_text
from edgeneuro.domain.query import query_hash
from edgeneuro.domain.session import AgentMemory, WaitsFor, endpoint_key
from edgeneuro.errors import EdgeNeuroError, UpstreamError
from edgeneuro.gateway.agents.a2a import refuses_task
from edgeneuro.store.additions import Write
from edgeneuro.synapsecore.chat.turn import ChatTurn
from edgeneuro.synapsecore.session import AnsweredTurn, OpenSession
from edgeneuro.synapsecore.stored_text import stored_context, stored_text

_KEPT = 2 * MAX_PREVIOUS_CHARACTERS


@dataclass(frozen=True, kw_only=True)
class ChatSaid:
    """What was answered. `text` is None if the answer is not known here, or has none."""

    text: str | None
    calls_tools: bool = False


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
) -> Write | None:
    """The write of the session, if the request has one that is remembered. `said` is None if there
    was no answer, and `failure` says why."""
    session = turn.session
    if session is None:
        return None
    if said is None or (turn.agent is None and turn.clarify is None):
        return session.prolong(forget=_refused_memories(turn, failure))
    if turn.states and all(state.done for state in turn.states.values()):
        return session.end()
    answered_by = turn.answered_by
    agent_id = None if answered_by is None else answered_by.id
    waits_for: WaitsFor | None = "tools" if said.calls_tools else None
    for name, state in turn.states.items():
        if state.waits:  # of several agents the last one that asks gets the reply
            agent_id, waits_for = name, "input"
    return session.remember(
        AnsweredTurn(
            agent_id=agent_id,
            asked_by_router=turn.clarify is not None,
            user=turn.request.conversation.query or None,
            query_hash=_query_hash(turn),
            assistant=said.text and previous_text(said.text),
            caller_user=turn.request.user,
            waits_for=waits_for,
            memories=_memories(turn, session),
        )
    )


def _refused_memories(turn: ChatTurn, failure: EdgeNeuroError | None) -> list[str]:
    """The agents that refuse the ids which they gave, or the reply that they have asked for: the
    next message must not have these ids, and is not for them."""
    refused = isinstance(failure, UpstreamError) and refuses_task(failure)
    found = [each.agent_id for each in turn.earlier]
    if refused and turn.agent is not None and turn.memory is not None:
        found.append(turn.agent.id)
    return found


def _memories(turn: ChatTurn, session: OpenSession) -> dict[str, AgentMemory]:
    """Of the agents whose endpoints have answered: what they say of their memory. A context that is
    not named again stays."""
    found = {}
    for agent_id, state in turn.states.items():
        agent = turn.config.agents[agent_id]
        if agent.endpoint is None or agent.protocol != "a2a":
            continue
        before = session.memory(agent)
        context_id = state.context_id or (None if before is None else before.context_id)
        if context_id is not None or state.task_id is not None:
            found[agent_id] = AgentMemory(
                context_id=context_id, task_id=state.task_id, endpoint=endpoint_key(agent.endpoint)
            )
    return found


def _query_hash(turn: ChatTurn) -> str | None:
    """Also of a chat that was not routed: its text is in the session all the same."""
    if turn.routing is not None:
        return turn.routing.turn.query_hash
    said, config = turn.request.conversation, turn.config
    if not said.query:
        return None
    before = stored_context(config, said.previous)
    return query_hash(stored_text(config, said.query), before.identity)
