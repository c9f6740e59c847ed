"""Feedback: what those who asked say of a decision."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from edgeneuro.domain.agent import AgentId
from edgeneuro.domain.text import Id, Note

FeedbackValue = Literal["up", "down"]


class FeedbackCreate(BaseModel):
    """`correct_agent` is the agent that should have been chosen. If the key has the scope `label`
    it becomes the label of the question; else the cached answers of the question are dropped."""

    model_config = ConfigDict(extra="forbid", strict=True)

    decision_id: Id
    value: FeedbackValue
    correct_agent: AgentId | None = None
    comment: Note | None = None


class GivenFeedback(BaseModel):
    """Feedback as the decision's log entry shows it."""

    id: str
    value: FeedbackValue
    correct_agent: str | None
    comment: str | None
    key_id: str
    created_at: str


class Feedback(GivenFeedback):
    """A key has one feedback on a decision: the last that it gave. `labelled`: `correct_agent` is
    now the label of the question."""

    object: Literal["feedback"] = "feedback"
    decision_id: str
    labelled: bool = False
