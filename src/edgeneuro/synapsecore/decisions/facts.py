"""What both formats say beside the answers: how the decision came about."""

from pydantic import BaseModel, Field

from edgeneuro.domain.clarification import Clarification
from edgeneuro.domain.decision import Attempt, ConfidenceSource, Layer
from edgeneuro.domain.fields import is_none
from edgeneuro.domain.outcome import Outcome, SharedAgent
from edgeneuro.errors import Reason


class StateCut(BaseModel):
    """Of the `characters` of the state (of its JSON, if it is no text) `left_out` were left out, in
    its middle."""

    characters: int
    left_out: int


class DecisionFacts(BaseModel):
    """`decision_id` is the log row's: of the router's decision, else of the questions to a model.
    `layer`, `outcome`, `reason`, `agent_id`, `confidence` (null if the model gave no number),
    `none_probability` and `calibrated` are the router's decision, as in POST /v1/route; null, and
    `layer` "direct", if the router decided nothing. So are `agents` and `clarify`; if a clarifying
    question is needed, `agent_id` and the choice are the best of the agents that it names.
    `questions_id` is the log row of the other questions, if there were some, and `model` the
    decision model that answered them. `query_cut` is true if the text was too long for the router,
    which read its first 8,000 characters; `session` is the session in which the router's decision
    is remembered. `state_cut` says what the decision model got of a state that was too long for it.
    `refused` are the questions (by id, or by name or index) that the model declined to answer.
    `cost_usd` is null if a price is not known."""

    decision_id: str
    questions_id: str | None = None
    layer: Layer = "direct"
    outcome: Outcome | None = None
    reason: Reason | None = None
    agent_id: str | None = None
    agents: list[SharedAgent] | None = Field(default=None, exclude_if=is_none)
    clarify: Clarification | None = Field(default=None, exclude_if=is_none)
    confidence: float | None = None
    confidence_source: ConfidenceSource | None = None
    none_probability: float | None = None
    calibrated: bool | None = None
    model: str | None = None
    query_cut: bool = False
    session: str | None = None
    state_cut: StateCut | None = None
    refused: list[str] = []
    attempts: list[Attempt] = []
    cost_usd: float | None = None
    latency_ms: float = 0.0


def confidence_of(probabilities: list[float]) -> float:
    """How far the top probability is above an equal share: 0 if all are equal, 1 if one has all.
    This is what System One's models compute (docs.typesafe.ai, and kime-core's confidence.rs, which
    reproduces it): (max - 1/n) / (1 - 1/n). OpenAI's is "derived from the distribution" in the same
    range, without a formula. It is no probability of being right."""
    equal = 1 / len(probabilities)
    if equal == 1:
        return 1.0
    return rounded(min(1.0, max(0.0, (max(probabilities) - equal) / (1 - equal))))


def rounded(value: float) -> float:
    return round(value, 6)
