"""What a chat leaves in its session: who answered, the last turn, the agent's own memory. A chat
without an answer leaves the session as it was, so that the message can be sent again."""

from dataclasses import dataclass

from edgeneuro.domain.conversation import MAX_PREVIOUS_CHARACTERS, previous_text
from edgeneuro.domain.query import query_hash
from edgeneuro.domain.session import WaitsFor
from edgeneuro.store.database import Statement
from edgeneuro.synapsecore.chat.turn import ChatTurn
from edgeneuro.synapsecore.session import AnsweredTurn
from edgeneuro.synapsecore.stored_text import stored_context, stored_text

_KEPT = 2 * MAX_PREVIOUS_CHARACTERS


@dataclass(frozen=True, kw_only=True)
class ChatSaid:
    """What an agent has answered. `text` is None if the answer is not known here, or has none."""

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


def remember_chat(turn: ChatTurn, said: ChatSaid | None) -> Statement | None:
    """The write of the session, if the request has one that is remembered. `said` is None if there
    was no answer."""
    session, agent = turn.session, turn.agent
    if session is None:
        return None
    asks = turn.routing is not None and turn.routing.decision.clarify is not None
    if said is None or (agent is None and not asks):
        return session.prolong()
    waits_for: WaitsFor | None = "tools" if said.calls_tools else None
    return session.remember(
        AnsweredTurn(
            agent_id=agent.id if agent and not asks else None,
            asked_by_router=asks,
            user=turn.request.conversation.query or None,
            query_hash=_query_hash(turn),
            assistant=said.text and previous_text(said.text),
            caller_user=turn.request.user,
            waits_for=waits_for,
        )
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
