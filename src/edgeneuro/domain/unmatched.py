"""Queries that no agent fits, in clusters: what may be a missing agent."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from edgeneuro.domain.agent import (
    Agent,
    AgentId,
    AgentProtocol,
    Description,
    Examples,
    ModelId,
    Name,
    OldLabels,
    SystemPrompt,
)
from edgeneuro.domain.agent_endpoint import AgentEndpoint
from edgeneuro.domain.fields import Note
from edgeneuro.domain.job import JobState

CLUSTERING_PREFIX, CLUSTER_PREFIX = "ucl", "unm"
MIN_QUERIES = 3  # a smaller cluster is not shown
MAX_DAYS = 30  # older queries are not looked at
MAX_CLUSTERS = 100
SHOWN_QUERIES = 10
MAX_EXAMPLES = 20  # of an agent
ClusterState = Literal["open", "agent", "labelled", "dismissed", "outdated"]


class UnmatchedCluster(BaseModel):
    """`size` different queries without a label, near-duplicates counted once, that were asked
    `asked` times. `queries` are the ten most typical ones, `log_ids` their log rows. The name is of
    their most distinctive words; null if they have none, or if a query was erased since."""

    id: str
    size: int
    asked: int
    suggested_name: str | None
    queries: list[str]
    log_ids: list[str]


class Clustering(BaseModel):
    """One run over the log. `queries` that no agent fits were compared, near-duplicates once, null
    until they are read; `clustered` of them are in clusters of three and more."""

    id: str
    state: JobState
    job_id: str
    created_at: str
    created_by: str
    finished_at: str | None
    queries: int | None
    clustered: int | None
    error: str | None


class Unmatched(BaseModel):
    """The clusters of the newest clustering that nobody has handled yet, the most asked first.
    `clustering` is the newest one, which may still be under way; null before the first one.
    `new_queries` were logged since it began, counted up to 1,000."""

    object: Literal["unmatched"] = "unmatched"
    clusters: list[UnmatchedCluster]
    clustering: Clustering | None
    new_queries: int


class UnmatchedAgent(BaseModel):
    """A new agent, with the fields of POST /v1/agents. What is left out is made of the cluster:
    `id` of the name, `description` and `examples` of the most typical queries, without e-mail
    addresses, phone and card numbers."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Name
    id: AgentId | None = None
    description: Description | None = None
    examples: Examples | None = None
    endpoint: AgentEndpoint | None = None
    protocol: AgentProtocol = "openai"
    system_prompt: SystemPrompt | None = None
    model: ModelId | None = None
    enabled: bool = True
    labels: OldLabels | None = None


class UnmatchedLabels(BaseModel):
    """The right agent for all queries of the cluster; null says that no agent fits them."""

    model_config = ConfigDict(extra="forbid", strict=True)

    agent_id: AgentId | None
    note: Note | None = None


class UnmatchedHandled(BaseModel):
    """What became of a cluster: `labels` of its queries were given, `agent` was made of it."""

    object: Literal["unmatched.cluster"] = "unmatched.cluster"
    id: str
    state: ClusterState
    labels: int
    agent_id: str | None = None
    agent: Annotated[Agent | None, Field(description="The new agent, if one was made")] = None
