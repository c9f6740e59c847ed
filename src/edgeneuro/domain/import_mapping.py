"""How the columns and the agents of a file of labels are taken, and what a file has before anybody
has said so."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from edgeneuro.domain.agent import (
    MAX_STORED_AGENTS,
    AgentId,
    Description,
    Name,
)

MAX_NAME_CHARACTERS = 200  # of a column, and of what a file calls an agent
MAX_NAMES = 1_000  # that a mapping may have

ColumnName = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME_CHARACTERS)]
FileAgent = Annotated[str, StringConstraints(strip_whitespace=True, max_length=MAX_NAME_CHARACTERS)]


class ImportColumns(BaseModel):
    """By field, the name of its column, or of its key in JSON. An import needs `agent`, and `query`
    or `messages`; columns that are not named here are not read. `agent_description` is read by a
    preview alone, for the agents that it suggests."""

    model_config = ConfigDict(extra="forbid")

    query: ColumnName | None = None
    agent: ColumnName | None = None
    messages: ColumnName | None = None
    context: ColumnName | None = None
    previous_agent: ColumnName | None = None
    previous_user: ColumnName | None = None
    previous_assistant: ColumnName | None = None
    split: ColumnName | None = None
    labeler: ColumnName | None = None
    labelled_at: ColumnName | None = None
    source: ColumnName | None = None
    agent_description: ColumnName | None = None

    @property
    def chosen(self) -> dict[str, str]:
        """The columns by the fields that have one."""
        return self.model_dump(exclude_none=True)


class FileAgentCreate(BaseModel):
    """An agent that is created with the labels of a file. `labels` "keep" is needed if labels in
    force name the id of a deleted agent: they stay in force."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: AgentId
    name: Name
    description: Description
    labels: Literal["keep"] | None = None


class ImportMapping(BaseModel):
    """The field `mapping` of a form, before the file. Without `columns` the file has the columns of
    an import. `agents` has, by what the file calls an agent, the agent's id, or "none" if no agent
    fits; lines whose agent is in `skip` are left out. Names that are in neither are found as
    without a mapping. `create` are agents that are created together with the labels."""

    model_config = ConfigDict(extra="forbid")

    columns: ImportColumns | None = None
    agents: Annotated[dict[FileAgent, str], Field(max_length=MAX_NAMES)] = Field(
        default_factory=dict
    )
    skip: Annotated[list[FileAgent], Field(max_length=MAX_NAMES)] = Field(default_factory=list)
    create: Annotated[list[FileAgentCreate], Field(max_length=MAX_STORED_AGENTS)] = Field(
        default_factory=list
    )


class ImportForm(BaseModel):
    """`mapping` comes before the file."""

    mapping: ImportMapping | None = None


class PreviewQuery(BaseModel):
    """As for an import."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["auto", "jsonl", "csv"] = "auto"


class FileColumn(BaseModel):
    """`samples` are the first three values that differ, each at most 200 characters of it."""

    name: str
    samples: list[str]


class NamedAgent(BaseModel):
    """What `rows` of a file call an agent, and the first three of their queries. `agent_id` is the
    agent that an import finds by that name, "none" if no agent fits; null if there is none. Then
    `similar` is an agent of nearly that name, or "none", and `suggested` an agent that may be
    created for it."""

    name: str
    rows: int
    samples: list[str]
    agent_id: str | None
    similar: str | None
    suggested: FileAgentCreate | None


class PreviewError(BaseModel):
    line: int
    param: str | None
    message: str


class ImportPreview(BaseModel):
    """`columns` are those of the first 1,000 rows, at most 100. `chosen` says which fields are read
    from which of them: as the mapping says, or guessed by their names and values; null for an
    export, whose lines need no choice. `agents` are the names that the file has for agents, the
    most frequent first, at most 250 of `agent_names`, which counts up to 10,000; none without a
    column for `agent`. `errors` are the first 100 of the `error_count` lines that cannot be
    read."""

    object: Literal["dataset.import_preview"] = "dataset.import_preview"
    encoding: str
    rows: int
    columns: list[FileColumn]
    chosen: ImportColumns | None
    agents: list[NamedAgent]
    agent_names: int
    errors: list[PreviewError]
    error_count: int
