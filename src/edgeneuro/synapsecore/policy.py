"""The policy: which ranking a decision is made from, and what the decision is.

`decide` depends on the turn and the ranking alone, and calls no model, so it can be tried on
logged rankings (controlplane/outcome_preview.py)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from edgeneuro.domain.agent import Agent
from edgeneuro.domain.clarification import (
    MAX_OPTIONS,
    Clarification,
    asked_options,
    clarification,
)
from edgeneuro.domain.decision import (
    Alternative,
    ConfidenceSource,
    Layer,
)
from edgeneuro.domain.outcome import Outcome, SharedAgent
from edgeneuro.errors import Reason
from edgeneuro.synapsecore.message_parts import MessagePart, message_parts
from edgeneuro.synapsecore.ranking import Ranking
from edgeneuro.synapsecore.turn import Turn

PREFERRED: Reason = "preferred_by_rule"
AMBIGUOUS: Reason = "ambiguous"
SEVERAL: Reason = "several_requests"
PREVIOUS: Reason = "previous_agent"
# Reasons of decisions that another agent than the best one of the ranking, or more than one, would
# answer just as well: they say nothing about who made the ranking.
UNDETERMINED = frozenset((AMBIGUOUS, SEVERAL, PREVIOUS))
RULE_LAYER = "rule"
NOT_SURE = "it is not sure"
MAX_SEVERAL = 3
# Two or three close agents are asked about if they have more than this together: else the message
# may be for many others too, or for none.
_MIN_TOGETHER = 0.5


@dataclass(frozen=True, slots=True)
class Decision:
    """`agent` answers; None: nobody does. `ranking` is the one that the decision was made from,
    None if no stage had one. `reason` says why the outcome is not "agent", that no stage decided
    and a rule prefers the agent (then the ranking's confidence is not that of the agent), or that
    the previous agent is one of several close ones. `agents` are those of the outcome "agents",
    `agent` first. `clarify` is the question of the outcome "clarify"; `agent` is then who answers
    if nobody can be asked."""

    outcome: Outcome
    agent: Agent | None
    layer: Layer
    ranking: Ranking | None
    reason: Reason | None = None
    alternatives: tuple[Alternative, ...] = ()
    agents: tuple[SharedAgent, ...] = ()
    clarify: Clarification | None = None

    @property
    def answering(self) -> Agent | None:
        """The agent that answers now: none before a clarifying question is answered."""
        return None if self.outcome == "clarify" else self.agent

    @property
    def agent_id(self) -> str | None:
        """The agent that answers, unless it answers only because no agent fits."""
        agent = self.answering
        return None if agent is None or self.reason == "out_of_scope" else agent.id

    @property
    def is_decided(self) -> bool:
        """Whether it was decided that the agent is right."""
        return self.outcome in ("agent", "agents")

    @property
    def stated_confidence(self) -> float | None:
        """The probability of the agent that was decided on, else the ranking's, whatever was
        decided: None if it is unknown, 0 without a ranking."""
        if self.agents:
            return self.agents[0].probability
        if self.ranking is None:
            return 0.0
        if self.agent is not None and self.is_decided and self.reason != PREFERRED:
            return self.ranking.probabilities.get(self.agent.id)
        return self.ranking.confidence

    @property
    def stated_confidence_source(self) -> ConfidenceSource | None:
        return None if self.ranking is None else self.ranking.confidence_source

    @property
    def confidence(self) -> float | None:
        """The probability of the agent that was decided on."""
        return self.stated_confidence if self._has_confidence else None

    @property
    def confidence_source(self) -> ConfidenceSource | None:
        return self.stated_confidence_source if self._has_confidence else None

    @property
    def _has_confidence(self) -> bool:
        return self.is_decided and self.reason != PREFERRED


def refusal(turn: Turn, ranking: Ranking) -> str | None:
    """Why no decision is made from this ranking, so that the next stage is asked; None if one
    is."""
    if not ranking.sure:
        return NOT_SURE
    if ranking.best is not None and turn.agent(ranking.best) is None:
        return f"its agent {ranking.best!r} is not enabled, or not among the candidates"
    return None


def decide(turn: Turn, ranking: Ranking | None, failure: Reason | None = None) -> Decision:
    """The decision from the ranking that was not refused; `failure` is why there is none. The
    threshold is for known probabilities: if the best agent's is unknown, the agent is chosen."""
    decision = _for_one_agent(turn, ranking, failure)
    if ranking is None or ranking.best is None or len(turn.agents) < 2:
        return decision
    if turn.several:
        agents = _several(turn, ranking)
        if len(agents) > 1:
            return _for_several(turn, ranking, agents)
    if turn.clarify:
        return _clarified(turn, ranking, decision)
    return decision


def _for_one_agent(turn: Turn, ranking: Ranking | None, failure: Reason | None) -> Decision:
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


def _several(turn: Turn, ranking: Ranking) -> list[SharedAgent]:
    """The agents that the message is for, the best first. A decision model says whether there are
    several; without one there are if the classifier is sure of different agents for parts of the
    message."""
    config, stated = turn.config, ranking.several_probability
    if stated is not None:
        if stated < config.several_threshold:
            return []
        least = config.several_min_probability
        probable = _probable(turn, ranking, least)
        parts: Mapping[str, MessagePart] = message_parts(turn) if len(probable) > 1 else {}
        shared = [_shared(agent, probability, parts) for agent, probability in probable]
    elif ranking.is_certain:
        return []
    else:
        parts = message_parts(turn)
        found = [(turn.agent(agent_id), part) for agent_id, part in parts.items()]
        shared = [_shared(agent, part.probability, parts) for agent, part in found if agent]
        shared.sort(key=lambda each: each.probability, reverse=True)
    return shared[:MAX_SEVERAL]


def _shared(agent: Agent, probability: float, parts: Mapping[str, MessagePart]) -> SharedAgent:
    part = parts.get(agent.id)
    return SharedAgent.with_share(agent, probability, None if part is None else part.text)


def _for_several(turn: Turn, ranking: Ranking, agents: Sequence[SharedAgent]) -> Decision:
    layer = ranking.source.layer
    return Decision(
        "agents", turn.agent(agents[0].id), layer, ranking, SEVERAL, agents=tuple(agents)
    )


def _clarified(turn: Turn, ranking: Ranking, decision: Decision) -> Decision:
    """The decision, or a clarifying question instead of it. A rule that prefers an agent answers
    the question, and so does the conversation if its agent is one of the close ones."""
    close = () if turn.preferred_agent is not None else _close(turn, ranking)
    if not close:
        return decision
    for agent in close:
        if agent.id == turn.previous.agent:
            return Decision("agent", agent, ranking.source.layer, ranking, PREVIOUS)
    if was_asked(turn):  # the reply did not say which: asking again would not help
        return decision
    asked = clarification(turn.config.clarify_text, close, turn.config.agents.values())
    return replace(
        decision, outcome="clarify", layer=ranking.source.layer, reason=AMBIGUOUS, clarify=asked
    )


def _close(turn: Turn, ranking: Ranking) -> Sequence[Agent]:
    """The two or three agents that a clarifying question names, the best first; empty if none is
    needed. A ranking that knows its best agent alone does not show whether another is close: then
    an earlier stage that was not sure does, if its best agent is another one."""
    if ranking.is_certain:
        return ()
    if not ranking.partial:
        return _close_in(turn, ranking)
    unsure, best = ranking.unsure, turn.agent(ranking.best)
    if unsure is None or unsure.best == ranking.best or best is None:
        return ()
    close = _close_in(turn, unsure)
    return [best, *(agent for agent in close if agent is not best)] if best in close else ()


def _close_in(turn: Turn, ranking: Ranking) -> Sequence[Agent]:
    config = turn.config
    probable = _probable(turn, ranking, config.clarify_min_probability)[:MAX_OPTIONS]
    if len(probable) < 2:
        return ()
    least = probable[0][1] - config.clarify_margin
    close = [(agent, probability) for agent, probability in probable if probability >= least]
    together = sum(probability for _, probability in close)
    if len(close) > 1 and together > _MIN_TOGETHER:
        return [agent for agent, _ in close]
    needed = ranking.clarify_probability
    if needed is not None and needed >= config.clarify_threshold:
        return [agent for agent, _ in probable]
    return ()


def was_asked(turn: Turn) -> bool:
    """Whether the previous answer is a clarifying question."""
    agents = tuple(turn.config.agents.values())
    return bool(asked_options(turn.config.clarify_text, turn.previous.assistant, agents))


def _probable(turn: Turn, ranking: Ranking, least: float) -> list[tuple[Agent, float]]:
    """The allowed agents with at least this probability, the best first."""
    found = sorted(ranking.probabilities.items(), key=lambda each: -each[1])
    allowed = ((turn.agent(agent_id), probability) for agent_id, probability in found)
    return [
        (agent, probability)
        for agent, probability in allowed
        if agent is not None and probability >= least
    ]
