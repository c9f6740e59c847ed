"""The session: an agent that waits gets the message that it waits for, whatever the other stages
would decide."""

from edgeneuro.synapsecore.ranking import Ranking, Skip, Source
from edgeneuro.synapsecore.turn import Turn

_NOTES = {
    "input": "this agent has asked something and waits for the reply",
    "tools": "this agent has called tools and waits for their results",
}


class SessionRanker:
    """Runs only if an agent of the session waits. Rules come before it: they, and a mention, lead
    to another agent."""

    name = "session"
    layer = "session"

    async def rank(self, turn: Turn) -> Ranking | Skip:
        agent_id = turn.waiting
        last = None if turn.session is None else turn.session.last
        if agent_id is None or last is None:
            return Skip("no agent waits for this message")
        if turn.model_named:
            return Skip("not used: the request, or a rule, names the model")
        if turn.agent(agent_id) is None:
            return Skip(f"its agent {agent_id!r} waits, and is not enabled or not allowed")
        return Ranking(
            agent_id,
            {agent_id: 1.0},
            Source(self.layer),
            none=0.0,
            confidence_source="session",
            note=_NOTES[last.state.waits_for or "input"],
        )
