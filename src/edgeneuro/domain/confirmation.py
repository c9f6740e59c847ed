"""Confirming many confident decisions for one agent at once: each becomes a label of that agent."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from edgeneuro.domain.agent import AgentId
from edgeneuro.domain.conversation import RouteContext
from edgeneuro.domain.decision import Layer
from edgeneuro.domain.fields import Id

MAX_CONFIRMED = 500  # labels of one request
Confidence = Annotated[float, Field(ge=0.5, le=1, allow_inf_nan=False)]


class ConfirmableQuery(BaseModel):
    """The decisions for `agent` whose confidence is at least `min_confidence`; `limit` is how many
    of them `sample` has."""

    model_config = ConfigDict(extra="forbid")

    agent: Id
    min_confidence: Confidence = 0.95
    limit: Annotated[int, Field(ge=1, le=100)] = 10


class ConfirmableItem(BaseModel):
    """A question without a label, by its newest such decision; `requests` of the window asked it
    or a near-duplicate."""

    log_id: str
    query: str
    context: RouteContext | None
    confidence: float
    layer: Layer
    requests: int


class ConfirmableDecisions(BaseModel):
    """`questions` can be confirmed, asked in `requests` of the newest 8,000 log rows;
    near-duplicates count once. `newest_log_id` is the last one of them. Left out are `blind`
    questions, which the random stream of the label queue shows next, and `contradicted` ones:
    another decision, a second opinion, feedback or a signal speaks against the agent. `sample` has
    the ones with the least confidence."""

    object: Literal["label.confirmable"] = "label.confirmable"
    agent_id: str
    min_confidence: float
    questions: int
    requests: int
    blind: int
    contradicted: int
    newest_log_id: str | None
    sample: list[ConfirmableItem]


class ConfirmDecisions(BaseModel):
    """The decisions of GET /v1/labels/confirmable become labels, `limit` at most. `newest_log_id`
    leaves out what was asked after it, so that only what a person has seen counted is
    confirmed."""

    model_config = ConfigDict(extra="forbid", strict=True)

    agent_id: AgentId
    min_confidence: Confidence = 0.95
    newest_log_id: Id | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_CONFIRMED)] = MAX_CONFIRMED


class DecisionsConfirmed(BaseModel):
    """`label_ids` are the new labels, for POST /v1/labels/remove; `remaining` questions can still
    be confirmed."""

    object: Literal["label.confirmation"] = "label.confirmation"
    agent_id: str
    label_ids: list[str]
    remaining: int


class RemoveLabels(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    label_ids: Annotated[list[Id], Field(min_length=1, max_length=1000)]


class LabelsRemoved(BaseModel):
    """`removed` of the labels were in force or a vote until now; the others were removed before, or
    are of another labeler."""

    object: Literal["label.removal"] = "label.removal"
    removed: int
