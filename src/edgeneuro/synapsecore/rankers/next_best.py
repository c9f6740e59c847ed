"""The next best agent after the first one was refused, without another model call: the ranking that
the first decision was made from, given that the refused agents are wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from edgeneuro.domain.decision import ConfidenceSource
from edgeneuro.synapsecore.ranking import Changed, Ranking, Skip, Source
from edgeneuro.synapsecore.turn import Turn

LAYER = "cache"  # the ranking was made for an earlier decision
# Logged probabilities have four digits: what is left below this is mostly rounding.
_MIN_LEFT = 0.01
_PARTIAL = Skip("the earlier ranking has the probability of the refused agent alone")
_TOO_SURE = Skip("the earlier ranking leaves nearly no probability to other agents")


@dataclass(frozen=True)
class EarlierRanking:
    """A ranking as an earlier decision was made from it. `probabilities` may have the best agents
    alone; `none` is None if the probabilities of the others are unknown."""

    probabilities: Mapping[str, float]
    none: float | None
    confidence_source: ConfidenceSource | None
    model: str | None = None
    adapter: str | None = None

    @classmethod
    def of(cls, ranking: Ranking) -> "EarlierRanking":
        source = ranking.source
        return cls(
            ranking.probabilities,
            None if ranking.partial else ranking.none,
            ranking.confidence_source,
            source.model,
            source.adapter,
        )


class NextBestRanker:
    """Each probability is divided by what is left without the refused agents: its probability given
    that those are wrong. The turn has the other agents. It decides only if the best one of them
    reaches the threshold and is more probable than that none fits; otherwise a model is asked,
    which then knows that the refused agents are out."""

    name = "earlier_ranking"
    layer = LAYER

    def __init__(self, earlier: EarlierRanking) -> None:
        self._earlier = earlier

    async def rank(self, turn: Turn) -> Ranking | Skip | Changed:
        earlier = self._earlier
        if earlier.none is None:
            return _PARTIAL
        allowed = {agent.id for agent in turn.agents}
        known = earlier.probabilities
        left = 1.0 - sum(known[agent_id] for agent_id in known if agent_id not in allowed)
        if left < _MIN_LEFT:
            return _TOO_SURE
        others = {agent_id: known[agent_id] / left for agent_id in known if agent_id in allowed}
        if not others:
            return _PARTIAL
        best = max(others, key=lambda agent_id: others[agent_id])
        none = min(earlier.none / left, 1.0)
        ranking = Ranking(
            best,
            {agent_id: min(probability, 1.0) for agent_id, probability in others.items()},
            Source(LAYER, earlier.model, earlier.adapter),
            none=none,
            confidence_source=earlier.confidence_source,
            cached=True,
        )
        needed = max(turn.config.confidence_threshold, none)
        return ranking if others[best] >= needed else replace(ranking, sure=False)


class NobodyLeftRanker:
    """The agents that may decide have refused the turn: none fits."""

    name = "refused"
    layer = "fallback"

    async def rank(self, turn: Turn) -> Ranking | Skip | Changed:
        return Ranking(
            None, {}, Source(self.layer), none=1.0, note="the agents that were asked refused it"
        )
