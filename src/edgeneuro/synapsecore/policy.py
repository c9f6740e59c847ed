"""The policy: which ranking a decision is made from, and what the decision is."""

from dataclasses import dataclass

from edgeneuro.domain.agent import Agent
from edgeneuro.domain.decision import Alternative, ConfidenceSource, Layer, Outcome
from edgeneuro.errors import Reason
from edgeneuro.synapsecore.ranking import Ranking
from edgeneuro.synapsecore.turn import Turn

PREFERRED: Reason = "preferred_by_rule"
RULE_LAYER = "rule"


@dataclass(frozen=True, slots=True)
class Decision:
    """`agent` answers; None: nobody does. `ranking` is the one that the decision was made from,
    None if no stage had one. `reason` says why the outcome is not "agent", or that no stage decided
    and a rule prefers the agent: then the ranking's confidence is not that of the agent."""

    outcome: Outcome
    agent: Agent | None
    layer: Layer
    ranking: Ranking | None
    reason: Reason | None = None
    alternatives: tuple[Alternative, ...] = ()

    @property
    def agent_id(self) -> str | None:
        """The agent that answers, unless it answers only because no agent fits."""
        return None if self.agent is None or self.reason == "out_of_scope" else self.agent.id

    @property
    def stated_confidence(self) -> float | None:
        """The ranking's, whatever was decided: None if it is unknown, 0 without a ranking."""
        return 0.0 if self.ranking is None else self.ranking.confidence

    @property
    def stated_confidence_source(self) -> ConfidenceSource | None:
        return None if self.ranking is None else self.ranking.confidence_source

    @property
    def confidence(self) -> float | None:
        """The probability of the agent that was decided on."""
        return self.stated_confidence if self._is_best else None

    @property
    def confidence_source(self) -> ConfidenceSource | None:
        return self.stated_confidence_source if self._is_best else None

    @property
    def _is_best(self) -> bool:
        return self.outcome == "agent" and self.reason != PREFERRED


def refusal(turn: Turn, ranking: Ranking) -> str | None:
    """Why no decision is made from this ranking, so that the next stage is asked; None if one
    is."""
    if not ranking.sure:
        return "it is not sure"
    if ranking.best is not None and turn.agent(ranking.best) is None:
        return f"its agent {ranking.best!r} is not enabled, or not among the candidates"
    return None


def decide(turn: Turn, ranking: Ranking | None, failure: Reason | None = None) -> Decision:
    """The decision from the ranking that was not refused; `failure` is why there is none. The
    threshold is for known probabilities: if the best agent's is unknown, the agent is chosen."""
    if ranking is None:
        return _not_decided(turn, None, failure)
    agent = turn.agent(ranking.best)
    if agent is None:
        return _not_decided(turn, ranking, "out_of_scope")
    confidence = ranking.confidence
    if confidence is not None and confidence < turn.config.confidence_threshold:
        unsure = Alternative(agent_id=agent.id, score=confidence)
        return _not_decided(turn, ranking, "low_confidence", unsure)
    return Decision("agent", agent, ranking.source.layer, ranking)


def _not_decided(
    turn: Turn, ranking: Ranking | None, reason: Reason | None, *alternatives: Alternative
) -> Decision:
    preferred, agent = turn.preferred_agent, turn.fallback_agent
    if preferred is not None:
        return Decision("agent", preferred, RULE_LAYER, ranking, PREFERRED, alternatives)
    if agent is not None:
        return Decision("fallback", agent, "fallback", ranking, reason, alternatives)
    layer = "fallback" if ranking is None else ranking.source.layer
    return Decision("none", None, layer, ranking, reason, alternatives)
