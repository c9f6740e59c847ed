"""What a matcher is: it ranks a few described agents, or the options of a question, by a query.

`lexical.py` compares words, `semantic.py` the vectors of an embedding model. The emulated engine
makes its answers of either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

Result = TypeVar("Result")

MIN_CONFIDENCE, MAX_CONFIDENCE = 0.05, 0.98
STAYS = 0.8  # the probability of the agent of the turn before, for a message that says no other


@dataclass(frozen=True)
class AgentText:
    id: str
    description: str
    examples: Sequence[str] = ()


@dataclass(frozen=True)
class Match:
    agent: str | None
    confidence: float


@dataclass(frozen=True)
class Ranking:
    """`best` is None if no agent fits. `shares` are of all agents, their sum is 1; `evidence`
    (0..1) is how much there is to go on, so that share and evidence together are the probability of
    an agent. `nobody` is the confidence that none fits, where `best` is None. In a conversation the
    turn before keeps its agent unless another one is `best` and reaches `leaves_from`, and has
    `leaves_by` more than that agent."""

    best: str | None
    scores: Mapping[str, float]
    shares: Mapping[str, float]
    evidence: float
    nobody: float
    leaves_from: float = 0.0
    leaves_by: float = 0.0

    @property
    def match(self) -> Match:
        if self.best is None:
            return Match(None, self.nobody)
        confidence = self.shares[self.best] * self.evidence
        return Match(self.best, round(min(max(confidence, MIN_CONFIDENCE), MAX_CONFIDENCE), 2))

    def stays_with(self, agent: str) -> bool:
        """Whether a message after a turn of this agent is its own because of that turn: it says
        nothing that belongs to another agent, and too little for this one."""
        if self.best is None or self.best == agent:
            return self.match.confidence < STAYS or self.best is None
        score = self.scores[self.best]
        ahead = score - self.scores.get(agent, 0.0)
        return score < self.leaves_from or ahead < self.leaves_by


class Matcher(Protocol):
    """`name` is the engine that every answer names, `notice` what it says of itself."""

    @property
    def name(self) -> str: ...

    @property
    def notice(self) -> str: ...

    def rank(self, query: str, agents: Sequence[AgentText]) -> Ranking: ...

    def prepare(self, agents: Sequence[AgentText]) -> None:
        """Begins what the first question with these agents would have to wait for."""

    async def run(self, work: Callable[[], Result]) -> Result:
        """Calls `work`, which may rank, where it holds up no other answer."""
