"""Replacing a decision: the next best agent gets the same turn."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from edgeneuro.domain.agent import AgentId
from edgeneuro.domain.outcome import OnNoFit
from edgeneuro.domain.signal import ReasonText

# How often a decision may be replaced, one after the other: then a person has to look at it.
MAX_REROUTES = 3


class RerouteRequest(BaseModel):
    """The body of POST /v1/decisions/{decision_id}/reroute. `not` are agents that are not to get
    the turn, beside those that were decided on before: an agent that a caller or an agent has
    refused does not come back. `reason` is stored with the signal, as queries are. `on_no_fit` and
    `top_k` are those of POST /v1/route."""

    model_config = ConfigDict(extra="forbid", strict=True)

    not_: Annotated[list[AgentId], Field(alias="not", max_length=250)] = []
    reason: ReasonText | None = None
    on_no_fit: OnNoFit | None = None
    top_k: Annotated[int, Field(ge=1, le=250)] = 3
