"""Labels that are probably wrong, as the newest training found them."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class LabelSuspect(BaseModel):
    """The label in force says `agent_id` (null: no agent fits). Held out, the classifier took the
    question for one of `predicted`, right with the probability `score`."""

    object: Literal["label.suspect"] = "label.suspect"
    query_hash: str
    query: str
    agent_id: str | None
    predicted: str
    score: float
    labeler: str
    classifier_id: str


class SuspectsQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=100)] = 50
