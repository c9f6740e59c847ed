"""What the decisions of one chat request have used."""

from collections.abc import Sequence
from dataclasses import dataclass

from edgeneuro.access.limits import Estimate
from edgeneuro.domain.decision import Attempt, Usage


@dataclass(frozen=True)
class ChatUsage:
    """What one decision and its answer took; a sum is that of several. `cost_usd` is None if a
    price is unknown. For the key's limits: `known` is what is known of it, `unknown` are the upper
    bounds of what was used and not reported."""

    attempts: Sequence[Attempt]
    usage: Usage
    cost_usd: float | None
    known: Estimate
    unknown: Sequence[Estimate]

    def __add__(self, later: "ChatUsage") -> "ChatUsage":
        priced = self.cost_usd is not None and later.cost_usd is not None
        return ChatUsage(
            [*self.attempts, *later.attempts],
            self.usage + later.usage,
            (self.cost_usd or 0.0) + (later.cost_usd or 0.0) if priced else None,
            self.known + later.known,
            [*self.unknown, *later.unknown],
        )


@dataclass(frozen=True)
class EarlierTurn:
    """A decision of the same request whose agent handed the turn back, and what it took."""

    id: str
    agent_id: str
    reason: str | None
    used: ChatUsage
