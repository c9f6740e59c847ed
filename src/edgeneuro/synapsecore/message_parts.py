"""The parts of a message that are for different agents, if the classifier is sure of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edgeneuro.domain.message_parts import split_message
from edgeneuro.synapsecore.turn import Turn

_MAX_CHARACTERS = 2_000  # of a message that is split: the classifier reads each piece


@dataclass(frozen=True, slots=True)
class MessagePart:
    """`probability` is that of the agent for the piece of the part of which the classifier is
    surest."""

    text: str
    probability: float


# The agent of a piece and its probability; None if the classifier is not sure.
Judge = Callable[[str], tuple[str, float] | None]


def message_parts(turn: Turn) -> Mapping[str, MessagePart]:
    """By agent, in the order of the message; empty unless the classifier is sure of two allowed
    agents."""
    loaded = turn.classifier if turn.config.classifier is not None else None
    if loaded is None or turn.model_named or turn.config.suspension(loaded.agents) is not None:
        return {}
    scorer = loaded.scorer_for(turn.config)

    def judge(piece: str) -> tuple[str, float] | None:
        found = scorer.predict(piece)
        sure = found.sure_at(turn.config.confidence_threshold)
        return (found.agent_id, found.probability) if sure and turn.agent(found.agent_id) else None

    return parts_of(turn.query, judge)


def parts_of(query: str, judge: Judge) -> Mapping[str, MessagePart]:
    """The parts by agent, empty if there are not two. A piece without an agent belongs to the part
    before it, and the first ones to the first part. The texts of an agent's parts are joined."""
    pieces = split_message(query) if len(query) <= _MAX_CHARACTERS else []
    if len(pieces) < 2:
        return {}
    spans: list[tuple[str, int, int]] = []
    best: dict[str, float] = {}
    for start, end in pieces:
        found = judge(query[start:end])
        if found is not None:
            agent_id, probability = found
            best[agent_id] = max(best.get(agent_id, 0.0), probability)
            if spans and spans[-1][0] == agent_id:
                spans[-1] = (agent_id, spans[-1][1], end)
            else:
                spans.append((agent_id, start if spans else pieces[0][0], end))
        elif spans:
            spans[-1] = (*spans[-1][:2], end)
    if len(best) < 2:
        return {}
    texts: dict[str, list[str]] = {}
    for agent_id, start, end in spans:
        texts.setdefault(agent_id, []).append(query[start:end])
    return {each: MessagePart("\n".join(texts[each]), best[each]) for each in texts}
