"""Stage 5, decide: the agent that a stage named if it was sure enough, else the fallback agent or
nobody, and why."""

from dataclasses import dataclass

from edgeneuro.domain.agent import Agent
from edgeneuro.domain.decision import Alternative, Answer, ConfidenceSource, Layer, Outcome
from edgeneuro.errors import Reason
from edgeneuro.synapsecore.question import Question


@dataclass(frozen=True)
class Verdict:
    """`stated_confidence` is the answer's, whatever came of it: None where it is unknown, 0 if
    there was no answer."""

    outcome: Outcome
    agent: Agent | None
    layer: Layer
    stated_confidence: float | None
    reason: Reason | None = None
    alternatives: tuple[Alternative, ...] = ()
    confidence_source: ConfidenceSource | None = None

    @property
    def confidence(self) -> float | None:
        """That of the agent which a stage named."""
        return self.stated_confidence if self.outcome == "agent" else None


def decide(
    question: Question, answer: Answer | None, *, threshold: float, failure: Reason | None
) -> Verdict:
    """`failure` is why there is no answer; it counts only if there is none. The threshold is for
    known confidences: an answer whose confidence is unknown is decided on."""
    if answer is None:
        return _not_decided(question, None, failure)
    chosen = next((agent for agent in question.agents if agent.id == answer.agent_id), None)
    if chosen is None:
        return _not_decided(question, answer, "out_of_scope")
    if answer.confidence is not None and answer.confidence < threshold:
        unsure = Alternative(agent_id=chosen.id, score=answer.confidence)
        return _not_decided(question, answer, "low_confidence", unsure)
    return Verdict(
        "agent",
        chosen,
        answer.layer,
        answer.confidence,
        confidence_source=answer.confidence_source,
    )


def _not_decided(
    question: Question, answer: Answer | None, reason: Reason | None, *alternatives: Alternative
) -> Verdict:
    agent, stated = question.fallback_agent, 0.0 if answer is None else answer.confidence
    source = None if answer is None else answer.confidence_source
    if agent is not None:
        return Verdict("fallback", agent, "fallback", stated, reason, alternatives, source)
    layer: Layer = "fallback" if answer is None else answer.layer
    return Verdict("none", None, layer, stated, reason, alternatives, source)
