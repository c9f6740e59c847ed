"""The reply to a clarifying question: it says which of the agents that it names is right."""

from edgeneuro.domain.clarification import AskedOption, asked_options, read_reply
from edgeneuro.synapsecore.ranking import Ranking, Skip, Source
from edgeneuro.synapsecore.turn import Turn

_LAYER = "session"
_OTHER_MESSAGE = Skip("the message does not say which of the agents asked about is meant")


class ClarifiedRanker:
    """Reads the question from the previous turn, so it needs no state. It decides for requests
    without a cache too: the reply alone means nothing to a model."""

    name = "clarified"
    layer = _LAYER

    async def rank(self, turn: Turn) -> Ranking | Skip:
        # Agents that were disabled since keep their places among the options.
        options = asked_options(turn.config.clarify_text, turn.previous.assistant, turn.agents)
        reply = read_reply(turn.query, options)
        if reply is None:
            return _OTHER_MESSAGE
        if reply == "none":
            return _certain(None, {}, none=1.0)
        if reply == "all":
            return _all(options)
        agent = options[reply].agent
        if agent is None:
            return Skip(f"{options[reply].label!r} was chosen, which is not allowed now")
        return _certain(agent.id, {agent.id: 1.0}, none=0.0)


def asks(turn: Turn) -> bool:
    """Whether the previous answer begins as a clarifying question does: nothing else costs time."""
    assistant = turn.previous.assistant
    return assistant is not None and assistant.startswith(turn.config.clarify_text)


def _all(options: tuple[AskedOption, ...]) -> Ranking | Skip:
    """The message is for all of them; if the policy allows one agent alone, for the first."""
    agents = [option.agent.id for option in options if option.agent is not None]
    if not agents:
        return _OTHER_MESSAGE
    return _certain(agents[0], dict.fromkeys(agents, 1.0), none=0.0, several=1.0)


def _certain(
    best: str | None, probabilities: dict[str, float], *, none: float, several: float | None = None
) -> Ranking:
    return Ranking(
        best,
        probabilities,
        Source(_LAYER),
        none=none,
        confidence_source="session",
        several_probability=several,
    )
