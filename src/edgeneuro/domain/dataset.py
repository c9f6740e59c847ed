"""Data sets: the labels in force as files for trainers, and files of labels as they come in."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from edgeneuro.domain.classifier import TrainingNeeds
from edgeneuro.domain.conversation import PreviousTurn
from edgeneuro.domain.query import Split

Shape = Literal["chat", "prompt", "flat"]
ExportSource = Literal["human", "machine", "all"]
MACHINE = "machine"  # the `source` of a machine label's line


@dataclass(frozen=True, kw_only=True)
class LabelledQuery:
    """A label in force as data sets read it, for `query` after the turn `previous`; `agent_id` None
    means that no agent fits. Of an imported label `labeler`, `labelled_at` and `source` are those
    that the file named, if it did."""

    query_hash: str
    near_hash: str
    query: str
    previous: PreviousTurn
    agent_id: str | None
    split: Split
    labeler: str
    labelled_at: str
    source: str


class ExportQuery(BaseModel):
    """`agent` is an agent's id, or "none". `dedupe` "near" leaves one line of each group of
    near-duplicates; the same question is one line in any case. `source` "human" is labels alone,
    "machine" machine labels alone: decisions of models, in the split "train", whose lines have the
    `source` "machine"."""

    model_config = ConfigDict(extra="forbid")

    format: Shape = "chat"
    split: Literal["all", Split] = "all"
    agent: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    dedupe: Literal["exact", "near"] = "exact"
    source: ExportSource = "human"
    manifest: bool = False


class Manifest(BaseModel):
    """The first line of an export, on request. `sha256` is that of all bytes after this line;
    `label_set_hash` that of one "<query_hash> <agent>" and a newline for each of them, sorted,
    as in the `data` of classifiers and evaluations. `unknown_agent` and `near_duplicates` count the
    labels that were left out. `agents`, `splits` and `label_set_hash` are of labels alone;
    `machine_agents` counts the machine labels, which are in the split "train"."""

    format: Shape
    split: str
    agent: str | None
    dedupe: str
    source: ExportSource
    rows: int
    agents: dict[str, int]
    splits: dict[str, int]
    machine_agents: dict[str, int]
    unknown_agent: int
    near_duplicates: int
    label_set_hash: str
    sha256: str
    prompt_version: str
    agents_revision: str
    created_at: str


class SplitCounts(BaseModel):
    labels: int = 0
    train: int = 0
    validation: int = 0
    test: int = 0


class AgentCounts(SplitCounts):
    """`status` is "deleted" if labels name an agent that no longer exists."""

    agent_id: str
    status: Literal["enabled", "disabled", "deleted"]


class MachineLabelsOfAgent(BaseModel):
    agent_id: str
    machine_labels: int


class MachineLabelCounts(BaseModel):
    """The machine labels that a training in the router "default" would use now: `total` of single
    messages, by agent and `out_of_scope` (no agent fits), and `in_conversations`. `models` counts
    all of them by the model that decided. `left_out` counts the other decisions of models in the
    newest 100,000 log rows, by reason. `one_sided` is the agent that more than nine of ten
    decisions name ("none" too): such a model teaches nothing. `off` says why there are none:
    "learning_off", "texts_not_stored" or "texts_redacted"."""

    total: int
    agents: list[MachineLabelsOfAgent]
    out_of_scope: int
    in_conversations: int
    models: dict[str, int]
    left_out: dict[str, int]
    one_sided: str | None
    off: str | None


class DatasetStats(BaseModel):
    """`near_duplicates` is what `dedupe=near` would leave out of `flat`. `training` says whether
    there is enough to train a classifier with the present settings, by the same rule as the
    training: machine labels count there. `enough` is what each enabled agent needs of train and
    validation labels and machine labels, `too_few` are those with fewer. All other counts are of
    labels alone, but for `machine_labels`."""

    object: Literal["dataset.stats"] = "dataset.stats"
    total: SplitCounts
    agents: list[AgentCounts]
    out_of_scope: SplitCounts
    near_duplicates: int
    enough: int
    too_few: list[str]
    training: TrainingNeeds
    machine_labels: MachineLabelCounts


class ImportQuery(BaseModel):
    """With `dry_run` the file is checked and counted, and nothing is written. `format` "auto" goes
    by the file's first character; "jsonl" is also a JSON array. With `metadata` "keep" the fields
    `split`, `labeler`, `source` and `labelled_at` are read as an export has them, with "ignore"
    they are fields like any other."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["auto", "jsonl", "csv"] = "auto"
    dry_run: bool = False
    metadata: Literal["keep", "ignore"] = "keep"


class DatasetImport(BaseModel):
    """`rows` = `labels` + `duplicates` + `skipped`, `labels` = `new` + `changed` + `unchanged` +
    `outvoted`. A label that is already in force is not written again. The others are votes of the
    importer: `changed` if they change the label in force, `outvoted` if other labelers or a final
    label decide. `split_kept` counts the labels whose question, or a near-duplicate, already has
    another split than in the file; it keeps its split. `encoding` is that of the file; `mapped` has
    the names in the file that are not ids, and the ids that they were matched to. `skipped` counts
    the lines that the mapping leaves out, `created` are the ids of the agents that it creates. `id`
    is there if labels were written: DELETE /v1/datasets/imports/{id} rolls the import back; agents
    that it created stay."""

    object: Literal["dataset.import"] = "dataset.import"
    id: str | None = None
    dry_run: bool
    rows: int
    labels: int
    new: int
    changed: int
    unchanged: int
    outvoted: int
    duplicates: int
    split_kept: int
    encoding: str
    mapped: dict[str, str]
    skipped: int = 0
    created: list[str] = Field(default_factory=list)


class Import(BaseModel):
    """An import that wrote `labels`. `report` is its response. Rolling it back removes all its
    labels."""

    object: Literal["import"] = "import"
    id: str
    created_at: str
    created_by: str
    labels: int
    report: DatasetImport
    rolled_back_at: str | None
    rolled_back_by: str | None
