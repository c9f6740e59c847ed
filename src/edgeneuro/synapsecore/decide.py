"""Stage 5, decide: the answer if it is good enough, else the agent that stands in, and why."""

from dataclasses import dataclass

from edgeneuro.domain.agent import Agent
from edgeneuro.domain.decision import Alternative, Answer, Layer
from edgeneuro.errors import Reason
from edgeneuro.synapsecore.question import Question


@dataclass(frozen=True)
class Verdict:
    agent: Agent
    confidence: float
    layer: Layer
    reason: Reason | None = None
    alternatives: tuple[Alternative, ...] = ()


def decide(
    question: Question, answer: Answer | None, *, threshold: float, failure: Reason | None
) -> Verdict:
    """`failure` is why there is no answer; it counts only where there is none."""
    if answer is None:
        return Verdict(question.stand_in, 0.0, "fallback", failure)
    chosen = next((agent for agent in question.agents if agent.id == answer.agent_id), None)
    if chosen is None:
        return Verdict(question.stand_in, answer.confidence, "fallback", "out_of_scope")
    if answer.confidence < threshold:
        passed_over = Alternative(agent_id=chosen.id, score=answer.confidence)
        alternatives = () if chosen is question.stand_in else (passed_over,)
        return Verdict(
            question.stand_in, answer.confidence, "fallback", "low_confidence", alternatives
        )
    return Verdict(chosen, answer.confidence, answer.layer)
