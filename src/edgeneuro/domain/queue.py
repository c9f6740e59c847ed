"""The label queue: what is most worth labelling first, and why."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from edgeneuro.domain.decision import Layer
from edgeneuro.domain.text import Id

ReasonCode = Literal[
    "feedback_other_agent",
    "feedback_down",
    "disagreement",
    "low_confidence",
    "invalid_output",
    "out_of_scope",
    "uncertain",
    "rare_agent",
    "frequent",
    "unlabelled",
]


class QueueReason(BaseModel):
    """`weight` is what this reason adds to the score; `key_ids` are the keys that gave the feedback
    behind it, at most 10, empty for other reasons."""

    code: ReasonCode
    weight: float
    text: str
    key_ids: list[str] = []


class QueueItem(BaseModel):
    """A question, shown by the log row that says most: `agent_id` is what was answered, `key_id`
    who asked, `score` the sum of the reasons' weights, `seen` how often it was asked among the rows
    looked at."""

    log_id: str
    query: str
    key_id: str
    agent_id: str | None
    confidence: float | None
    layer: Layer
    score: float
    reasons: list[QueueReason]
    seen: int


class QueueQuery(BaseModel):
    """`agent` narrows the queue to questions that this agent answered."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    agent: Id | None = None
