"""What the router sends of a conversation: a JSON object of the message and the turn before it."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Turn:
    """`agent` is the agent of the turn before the message, if one is named; `follows` is true if
    there is such a turn."""

    message: str
    agent: str | None = None
    follows: bool = False


def read_turn(text: str) -> Turn:
    """Any other text is a message alone."""
    try:
        found = json.loads(text) if text.startswith('{"previous_turn"') else None
    except ValueError:
        found = None
    match found:
        case {"previous_turn": dict() as previous, "message": str() as message}:
            agent = previous.get("agent")
            return Turn(message, agent if isinstance(agent, str) else None, follows=True)
    return Turn(text)
