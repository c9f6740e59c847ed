"""The parts of a message that are for different agents, if the classifier is sure of them."""

from collections.abc import Mapping
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


def message_parts(turn: Turn) -> Mapping[str, MessagePart]:
    """By agent, in the order of the message; empty unless the classifier is sure of two allowed
    agents. A piece that it is not sure of belongs to the part before it, and the first ones to the
    first part. If an agent has several parts, their texts are joined."""
    loaded = turn.classifier if turn.config.classifier is not None else None
    query = turn.query
    if loaded is None or turn.model_named or len(query) > _MAX_CHARACTERS:
        return {}
    pieces = split_message(query)
    if len(pieces) < 2 or turn.config.suspension(loaded.agents) is not None:
        return {}
    spans: list[tuple[str, int, int]] = []
    best: dict[str, float] = {}
    for start, end in pieces:
        prediction = loaded.scorer.predict(query[start:end])
        agent_id = prediction.agent_id
        is_sure = prediction.sure_at(turn.config.confidence_threshold)
        if is_sure and turn.agent(agent_id) is not None:
            best[agent_id] = max(best.get(agent_id, 0.0), prediction.probability)
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
