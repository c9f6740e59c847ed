"""Labels and feedback: what people say is the right agent for a question. The history is kept.

Which label of a question is in force: the latest label of each labeler that was not withdrawn is
one vote. A final label decides alone, the latest one if there are several; else the agent with most
votes wins, and of agents with equally many the one with the latest vote. store/label_reads.py has
this rule as SQL."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel, model_validator

from edgeneuro.domain.agent import NO_AGENT, AgentId
from edgeneuro.domain.conversation import (
    NOTHING_BEFORE,
    PreviousTurn,
    QuestionHashes,
    RouteContext,
)
from edgeneuro.domain.fields import Id, Matches, Note, PageQuery, QueryText
from edgeneuro.domain.query import Split, canonical

# The labels that a classifier, an evaluation or an adapter was made of, so that two of them can be
# compared.

Sha256 = Annotated[str, Matches(r"[0-9a-f]{64}", "must be a SHA-256 in 64 small hex digits")]


class DataSnapshot(BaseModel):
    """The number of labels, the id of the newest label in force (null if it is not known), and a
    SHA-256 over one "<query_hash> <agent>" and a newline for each, sorted, with "none" if no agent
    fits. Null until the labels have been read."""

    labels: int | None
    newest_label_id: str | None
    sha256: str | None


def label_line(query_hash: str, agent_id: str | None) -> str:
    return f"{query_hash} {agent_id or NO_AGENT}\n"


def label_set_sha256(lines: Iterable[str]) -> str:
    """Of lines in any order."""
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


LabelSource = Literal["hand", "bulk", "import", "feedback"]
# Where the labelled question came from: chosen as a hard case, or drawn at random and shown blind.
Stream = Literal["hard", "random"]


@dataclass(frozen=True, kw_only=True)
class LabelEvent:
    """One entry of the history, about the canonical text of a question and the turn before it.
    `agent_id` None means that no agent fits. `removed` withdraws the labeler's last label of the
    question, or with `all_labelers` those of all labelers. `id` and `created_ms` are the logic's;
    the order is that in which entries are written."""

    id: str
    query: str
    agent_id: str | None
    labeler: str
    source: LabelSource
    created_ms: int
    log_id: str | None = None
    note: str | None = None
    stream: Stream | None = None
    final: bool = False
    removed: bool = False
    all_labelers: bool = False
    previous: PreviousTurn = NOTHING_BEFORE

    def __post_init__(self) -> None:
        object.__setattr__(self, "query", canonical(self.query))

    @cached_property
    def hashes(self) -> QuestionHashes:
        return QuestionHashes.of(self.query, self.previous)


class LabelSet(BaseModel):
    """`agent_id` is the right agent, null says that no agent fits; `stream` is that of the queue in
    which the question was shown, if any. A `final` label decides alone, whatever other labelers
    say; it needs the scope admin."""

    model_config = ConfigDict(extra="forbid", strict=True)

    agent_id: AgentId | None
    note: Note | None = None
    stream: Stream | None = None
    final: bool = False


class LabelItem(LabelSet):
    """A label for the question of a log row, or for a text. `context` is the turn before the text:
    the same text without it is another question."""

    log_id: Id | None = None
    query: QueryText | None = None
    context: RouteContext | None = None

    @model_validator(mode="after")
    def _one_question(self) -> "LabelItem":
        if (self.log_id is None) == (self.query is None):
            raise ValueError("needs either log_id or query, not both")
        if self.context is not None and self.log_id is not None:
            raise ValueError("context needs query: a log row has its own")
        if self.stream is not None and self.log_id is None:
            raise ValueError("stream needs log_id: the queue shows log rows")
        return self


class LabelBatch(RootModel[Annotated[list[LabelItem], Field(min_length=1, max_length=1000)]]):
    """Up to 1,000 labels; of several for one question the last one counts."""


class LabelFacts(BaseModel):
    """The label in force, as logs and the audit log show it, without text."""

    agent_id: str | None
    labeler: str
    created_at: str


class Vote(BaseModel):
    """The label of one labeler that counts: the latest one that was not removed."""

    labeler: str
    agent_id: str | None
    final: bool
    created_at: str


class Origin(BaseModel):
    """What an imported file says about a label. EdgeNeuro does not verify it."""

    labeler: str | None
    source: LabelSource | None
    labelled_at: str | None


class Label(BaseModel):
    """The label in force of a question: of the text `query` after the turn `context`. A final vote
    decides alone, the latest one if there are several; otherwise the agent with most `votes` wins,
    in a tie the one with the latest vote. `labeler`, `created_at` and the fields that depend on
    them are those of the deciding vote. `conflict`: the votes differ and none is final. `split` is
    that of the question and its near-duplicates; it never changes."""

    object: Literal["label"] = "label"
    id: str
    query_hash: str
    query: str
    context: RouteContext | None
    agent_id: str | None
    split: Split
    labeler: str
    source: LabelSource
    log_id: str | None
    note: str | None
    stream: Stream | None
    final: bool
    conflict: bool
    votes: list[Vote]
    import_id: str | None
    origin: Origin | None
    created_at: str


class LabelChange(BaseModel):
    """An entry of a question's history. A `removed` entry removed a label; a `withdrawn` one is a
    label that was removed."""

    object: Literal["label.change"] = "label.change"
    id: str
    agent_id: str | None
    removed: bool
    withdrawn: bool
    final: bool
    labeler: str
    source: LabelSource
    log_id: str | None
    note: str | None
    stream: Stream | None
    import_id: str | None
    origin: Origin | None
    created_at: str


class UnlabelQuery(BaseModel):
    """With `all` the labels of all labelers are withdrawn, which needs the scope admin; else the
    caller's own last one."""

    model_config = ConfigDict(extra="forbid")

    all: bool = False


class LabelDeleted(BaseModel):
    """`label` is the one in force now, null if no label is left."""

    object: Literal["label.deleted"] = "label.deleted"
    query_hash: str
    deleted: Literal[True] = True
    label: Label | None


class LabelsWritten(BaseModel):
    """`labels` were added to the history, for `questions` different questions."""

    object: Literal["label.batch"] = "label.batch"
    labels: int
    questions: int


class LabelsQuery(PageQuery):
    """`agent` "none" finds the questions that no agent fits; `labeler` those whose deciding vote is
    this labeler's; `conflicts` those on which labelers disagree, or with false the others. `q` is a
    part of the question's text; small and capital letters from A to Z are the same."""

    agent: Id | None = None
    split: Split | None = None
    labeler: Id | None = None
    conflicts: bool | None = None
    q: Annotated[str, Field(min_length=1, max_length=500)] | None = None


class AgentLabels(BaseModel):
    """`labels` in force, and `history`: all that were ever given. `agent` null: no agent fits."""

    agent_id: str | None
    labels: int
    history: int


class LabelerLabels(BaseModel):
    """`labels` in force whose deciding vote is the labeler's, and all the labeler's entries in the
    `history`, removals included."""

    labeler: str
    labels: int
    history: int


class Agreement(BaseModel):
    """Over the `pairs` of votes that two different labelers have on one question. `kappa` is
    Cohen's, the labeler whose id sorts first being the first rater; null if there is no pair or
    chance alone would always agree."""

    pairs: int
    agreeing: int
    share: float | None
    kappa: float | None


class LabelStats(BaseModel):
    """`random` of the `labels` are for questions that were drawn at random: they measure accuracy.
    `conflicts` are questions on which labelers disagree, without a final label."""

    object: Literal["label.stats"] = "label.stats"
    labels: int
    random: int
    conflicts: int
    agents: list[AgentLabels]
    labelers: list[LabelerLabels]
    splits: dict[Split, int]
    agreement: Agreement


FeedbackValue = Literal["up", "down"]


class FeedbackCreate(BaseModel):
    """`correct_agent` is the agent that should have been chosen. If the key has the scope `label`
    it becomes the label of the question; otherwise the cached answers of the question are
    dropped."""

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
    """A key has one feedback on a decision: its last one. `labelled`: `correct_agent` is now the
    label of the question."""

    object: Literal["feedback"] = "feedback"
    decision_id: str
    labelled: bool = False


class FeedbackDeleted(BaseModel):
    object: Literal["feedback.deleted"] = "feedback.deleted"
    decision_id: str
    deleted: Literal[True] = True
