"""What a decision comes to: its outcome, and the agents that it names."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from edgeneuro.domain.agent import Agent, AgentProtocol
from edgeneuro.domain.agent_endpoint import SERVICE
from edgeneuro.domain.fields import is_none

# "agent": a stage decided on the agent; "agents": the message is for several; "clarify": two or
# three agents are too close, so the person is to be asked; "fallback": no stage decided, and the
# default agent answers; "none": none did, and nobody answers.
Outcome = Literal["agent", "agents", "clarify", "fallback", "none"]
OnNoFit = Literal["fallback", "none"]


class PolicyOptions(BaseModel):
    """Whether the outcomes "clarify" and "agents" are possible; null: as the settings say."""

    model_config = ConfigDict(extra="forbid", strict=True)

    clarify: bool | None = None
    several: bool | None = None


NO_OTHER_OUTCOME = PolicyOptions(clarify=False, several=False)


class ChosenAgent(BaseModel):
    """`protocol` is that of the endpoint; null if the agent has none that callers could reach."""

    id: str
    name: str
    endpoint: str | None
    protocol: AgentProtocol | None

    @classmethod
    def of(cls, agent: Agent) -> "ChosenAgent":
        return cls(**_facts(agent))


class SharedAgent(ChosenAgent):
    """One of several agents that a message is for. `part` is the part of the message that is for
    it, if it is known. `probability` is that of the agent for the whole message, or for its part if
    the parts alone show that there are several."""

    probability: float
    part: str | None = Field(default=None, exclude_if=is_none)

    @classmethod
    def with_share(cls, agent: Agent, probability: float, part: str | None) -> "SharedAgent":
        return cls(**_facts(agent), probability=probability, part=part)


def _facts(agent: Agent) -> dict[str, Any]:
    endpoint = agent.endpoint
    if endpoint is not None and endpoint.startswith(SERVICE):
        endpoint = None  # a binding of the Worker: no caller can reach it
    protocol = None if endpoint is None else agent.protocol
    return {
        "id": agent.id,
        "name": agent.name,
        "endpoint": endpoint,
        "protocol": protocol,
    }
