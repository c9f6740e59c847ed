"""Agents: who can answer a query. Their descriptions and examples are what the router reads."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from edgeneuro.domain.agent_auth import AgentAuth
from edgeneuro.domain.agent_endpoint import AgentEndpoint
from edgeneuro.domain.fields import ID_RULE, Matches, hide_defaults, is_empty, is_false, is_none

# The router's word for "no agent fits"; no agent may be called so.
NO_AGENT = "none"
MAX_NEW_AGENTS = 20  # that a classifier learns of their texts alone, while it answers
MAX_STORED_AGENTS = 250  # every isolate keeps them all, and the prompt lists them all


def _not_reserved(agent_id: str) -> str:
    if agent_id == NO_AGENT:
        raise ValueError(f"{NO_AGENT!r} is the router's word for no agent; choose another id")
    return agent_id


AgentId = Annotated[
    str, Matches(r"[a-z0-9][a-z0-9_-]{0,63}", ID_RULE), AfterValidator(_not_reserved)
]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Description = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)
]
Example = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
Examples = Annotated[list[Example], Field(max_length=20)]
SystemPrompt = Annotated[str, StringConstraints(min_length=1, max_length=8000)]
ModelId = Annotated[str, StringConstraints(min_length=1, max_length=200)]
# The protocol of an agent's endpoint: an OpenAI-compatible chat completions URL, A2A, or a handoff:
# the client continues with the agent itself.
AgentProtocol = Literal["openai", "a2a", "handoff"]


class Agent(BaseModel):
    """`created_at` and `updated_at` are RFC 3339 in UTC. Exactly one agent is the `default`. `auth`
    names secrets, and `missing_secrets` are those of them that the Worker does not have.
    `demonstration`: one of those that a new local installation has, and nobody has changed."""

    object: Literal["agent"] = "agent"
    id: str
    name: str
    description: str
    examples: list[str]
    endpoint: str | None
    protocol: AgentProtocol
    system_prompt: str | None
    model: str | None
    enabled: bool
    default: bool
    auth: AgentAuth | None = None
    missing_secrets: list[str] = Field(default_factory=list, exclude_if=is_empty)
    demonstration: bool = Field(default=False, exclude_if=is_false)
    created_at: str
    updated_at: str

    @property
    def knows_caller(self) -> bool:
        """Its endpoint receives who asks."""
        return self.auth is not None and self.auth.identity


# What happens to the labels in force that name an agent which is created again or changed: they
# stay in force, or are withdrawn (their history stays).
OldLabels = Literal["keep", "set_aside"]


class LabelsOfAgent(BaseModel):
    """The labels in force that named the agent before: how many stay in force (`kept`) and how many
    were removed (`set_aside`). `warning` is there if the agent's meaning may have changed and its
    labels were kept by default."""

    kept: int
    set_aside: int
    warning: str | None = None


class AgentWritten(Agent):
    """The agent as it is now; `labels` is there if labels in force named it before."""

    labels: LabelsOfAgent | None = Field(default=None, exclude_if=is_none)


class AgentCreate(BaseModel):
    """`labels` says what happens to labels in force that name the id of a deleted agent: "keep" or
    "set_aside". If there are such labels and it is left out, the request fails with 409
    `agent_has_labels`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: AgentId
    name: Name
    description: Description
    examples: Examples = Field(default_factory=list)
    endpoint: AgentEndpoint | None = None
    protocol: AgentProtocol = "openai"
    auth: AgentAuth | None = None
    system_prompt: SystemPrompt | None = None
    model: ModelId | None = None
    enabled: bool = True
    default: bool = False
    labels: OldLabels | None = Field(default=None, exclude_if=is_none)


class AgentPatch(BaseModel):
    """A field that is left out stays as it is; null empties the fields that may be empty. An
    `endpoint` at another host removes `auth`, unless the body names it again. `labels`
    "set_aside" removes the labels in force that name the agent; "keep" (the default) keeps them."""

    # The defaults below only make the fields optional; nothing ever takes their values.
    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra=hide_defaults)

    name: Name = ""
    description: Description = ""
    examples: Examples = Field(default_factory=list)
    endpoint: AgentEndpoint | None = None
    protocol: AgentProtocol = "openai"
    auth: AgentAuth | None = None
    system_prompt: SystemPrompt | None = None
    model: ModelId | None = None
    enabled: bool = True
    default: bool = False
    labels: OldLabels = "keep"


class AgentDeleted(BaseModel):
    object: Literal["agent.deleted"] = "agent.deleted"
    id: str
    deleted: Literal[True] = True


def _is_meant(wanted: bool) -> bool:
    if not wanted:
        raise ValueError("only demonstration agents are deleted at once; send demonstration=true")
    return wanted


class AgentsDeletion(BaseModel):
    """`demonstration` is true: nothing else is deleted so. `default` is the agent that becomes the
    fallback agent."""

    model_config = ConfigDict(extra="forbid")

    demonstration: Annotated[bool, AfterValidator(_is_meant)]
    default: AgentId | None = None


class AgentsDeleted(BaseModel):
    """`deleted` are the ids, `default_agent` is the fallback agent now; null: no agent is left."""

    object: Literal["agents.deleted"] = "agents.deleted"
    deleted: list[str]
    default_agent: str | None


def is_redefined(before: Agent, after: Agent) -> bool:
    """Whether the agent may mean something else now: its description has other words, or at least
    half of its examples are gone."""
    former = {_words(each) for each in before.examples}
    gone = former - {_words(each) for each in after.examples}
    replaced = bool(former) and 2 * len(gone) >= len(former)
    return replaced or _words(before.description) != _words(after.description)


def _words(text: str) -> str:
    return " ".join(text.casefold().split())
