"""The label queue: what to label first, and why; and labels that are probably wrong."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgeneuro.domain.conversation import RouteContext
from edgeneuro.domain.decision import Layer
from edgeneuro.domain.fields import Id
from edgeneuro.domain.label import Stream

ReasonCode = Literal[
    "feedback_other_agent",
    "feedback_down",
    "misrouted",
    "classifier_unsure",
    "classifier_differs",
    "disagreement",
    "ambiguous",
    "low_confidence",
    "invalid_output",
    "out_of_scope",
    "uncertain",
    "reaction",
    "rare_agent",
    "frequent",
    "unlabelled",
]


class QueueReason(BaseModel):
    """`weight` is what this reason adds to the score; `key_ids` are the keys whose feedback is the
    reason, at most 10, empty for other reasons."""

    code: ReasonCode
    weight: float
    text: str
    key_ids: list[str] = []


class Suggestion(BaseModel):
    """An agent (null: no agent fits) with the probability `score` that the `stage` of the pipeline
    gave it. Scores of different stages cannot be compared."""

    agent_id: str | None
    score: float
    stage: str


class QueueItem(BaseModel):
    """`context` is the turn before the question. A question of the stream "random" is shown blind:
    everything except `log_id`, `query` and `context` is null, and the lists are empty.
    One of the stream "hard" is represented by its most informative log row: `agent_id` is the agent
    that answered. With the `layer` "fallback" it was not decided on: `reason` says why, and
    `unsure_agent` was the best one, without enough confidence. `key_id` is the caller, `score` the
    sum of the reasons' weights, `seen` how often the question is in the rows that were read.
    `suggestions` are at most three agents: the most probable ones of the last stage first, then
    those of earlier stages and of the newest classifier."""

    stream: Stream = "hard"
    log_id: str
    query: str
    context: RouteContext | None = None
    key_id: str | None = None
    agent_id: str | None = None
    confidence: float | None = None
    layer: Layer | None = None
    reason: str | None = None
    unsure_agent: str | None = None
    score: float | None = None
    reasons: list[QueueReason] = []
    seen: int | None = None
    suggestions: list[Suggestion] = []


class QueueQuery(BaseModel):
    """`stream` "hard" has the most worthwhile questions first, "random" a random sample of all;
    `agent` narrows the hard ones to those that this agent answered."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    agent: Id | None = None
    stream: Stream = "hard"

    @model_validator(mode="after")
    def _blind(self) -> "QueueQuery":
        if self.stream == "random" and self.agent is not None:
            raise ValueError("agent cannot be combined with stream=random: it is shown blind")
        return self


class LabelQueueSize(BaseModel):
    """`questions` are those that the queue chooses from: without a label, near-duplicates once."""

    object: Literal["label_queue.size"] = "label_queue.size"
    questions: int


class LabelSuspect(BaseModel):
    """The label in force of the text `query` after the turn `context` says `agent_id` (null: no
    agent fits). Held out, the classifier predicted one of `predicted`, with the probability
    `score`."""

    object: Literal["label.suspect"] = "label.suspect"
    query_hash: str
    query: str
    context: RouteContext | None = None
    agent_id: str | None
    predicted: str
    score: float
    labeler: str
    classifier_id: str


class SuspectsQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=100)] = 50


class LabelDisagreement(BaseModel):
    """The label in force `agent_id` (null: no agent fits) of the text `query` after the turn
    `context`, and what the active model or classifier decided: `predicted`, with `confidence`.
    `found_in`: a logged decision (`log_id`), the newest evaluation, or the newest training, which
    held the label out. `decided_at` is when; null for a training."""

    object: Literal["label.disagreement"] = "label.disagreement"
    query_hash: str
    query: str
    context: RouteContext | None = None
    agent_id: str | None
    labeler: str
    predicted: str | None
    confidence: float
    layer: Layer
    found_in: Literal["decision", "evaluation", "training"]
    log_id: str | None = None
    decided_at: str | None = None


class DisagreementsQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=100)] = 50
