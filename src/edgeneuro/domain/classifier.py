"""Classifiers: learned from the labels by a job, asked before any model once selected."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from edgeneuro.domain.fields import INTEGRAL
from edgeneuro.domain.snapshot import DataSnapshot

ID_PREFIX = "clf"
RULE = "rule"  # who has a classifier learned where nobody asked for it
ClassifierState = Literal["queued", "running", "succeeded", "failed", "cancelled"]
ClassifierId = Annotated[str, Field(min_length=1, max_length=64)]
TargetAccuracy = Annotated[float, Field(ge=0.5, le=0.9999, allow_inf_nan=False)]
MinLabels = Annotated[int, Field(ge=1, le=10_000), INTEGRAL]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1), INTEGRAL]
Metrics = dict[str, float | int | None]


class ClassifierCreate(BaseModel):
    """What is left out is as the settings `classifier_target` and `classifier_min_labels` say; the
    same labels and seed make the same classifier."""

    model_config = ConfigDict(extra="forbid", strict=True)

    target: TargetAccuracy | None = None
    min_labels: MinLabels | None = None
    seed: Seed = 0


class TrainingOptions(BaseModel):
    target: float
    min_labels: int
    seed: int


class TrainingProgress(BaseModel):
    """`slices` are done and kept; `visits` is how often they looked at a label. `tries` counts how
    often the next one was begun. `left_out` counts labels that are not learned from, by why. While
    the labels are prepared, `prepared` of them are done, up to the query hash `prepared_to`."""

    stage: Literal["labels", "training", "finished"] = "labels"
    slices: int = 0
    visits: int = 0
    tries: int = 0
    left_out: dict[str, int] = Field(default_factory=dict)
    prepared: int = 0
    prepared_to: str = ""
    prepared_characters: int = 0
    prepared_slices: int = 0


class AgentThreshold(BaseModel):
    """`threshold` is the probability from which on the agent is answered; null: never, and `reason`
    says why, unless the training failed as a whole. Of `held_out` labels of the agent it had the
    right agent first for `held_out_right`, however sure it was."""

    agent_id: str
    labels: int
    threshold: float | None
    reason: str | None = None
    held_out: int | None = None
    held_out_right: int | None = None


class AgentLabelNeed(BaseModel):
    """`missing` is how many more `labels_needed_of_each` asks for."""

    agent_id: str
    labels: int
    missing: int


class TrainingNeeds(BaseModel):
    """The labels that a training needs, of the train and validation parts, and those that there
    are. With `ready` they are enough; without, `message` says what is missing and what to do.
    `labels_needed` is the least number over all agents that can show the target precision; shared
    out evenly it is `labels_needed_of_each`. `out_of_scope_needed` is 0 where agents that are left
    out of the learning can stand for unknown topics."""

    ready: bool
    message: str
    labels: int
    labels_needed: int
    labels_needed_of_each: int
    out_of_scope: int
    out_of_scope_needed: int
    agents: list[AgentLabelNeed]


class AgentTestScore(BaseModel):
    """Of `n` questions of the test part whose label is this agent (null: none fits) `answered` are
    answered, `right` of them rightly."""

    agent_id: str | None
    n: int
    answered: int
    right: int


class RuleOutcome(BaseModel):
    """What the retrain rule made of a classifier that it trained. `selected`: it replaced
    `previous`; otherwise `reason` says why the rule did not select it."""

    selected: bool
    previous: str | None = None
    reason: str | None = None


class TrafficScore(BaseModel):
    """A score in which each agent counts as much as it is of the traffic. The precision with its
    95 % Wilson interval; `answered` and `right` are how many unweighted answers would show as
    much."""

    answered: int
    right: int
    precision: float | None
    low: float | None
    high: float | None
    coverage: float | None


class TrainingMixShare(BaseModel):
    """The agent's share of the labels, and of the decisions; null where these are too few."""

    agent_id: str
    labels: float
    traffic: float | None


class TrainingMix(BaseModel):
    """The mix of agents that thresholds and figures are of: that of the router's `decisions` of the
    last 30 days, or, where they are fewer than 200, that of the labels. `distance` is the total
    variation distance of the two: the share of the labels that would have to change agents."""

    source: Literal["traffic", "labels"]
    decisions: int
    distance: float | None
    agents: list[TrainingMixShare]


class ClassifierScore(BaseModel):
    """The result on the test part, whose labels chose nothing of the classifier. `n` questions,
    near-duplicates counted once; `out_of_scope` of them fit no agent. It answers `answered` of them
    at the threshold in force, `right` of these rightly; an answer to an out-of-scope question is an
    error (`false_accepts`). `precision` is right / answered with its 95 % Wilson interval,
    `coverage` the share of the questions that fit an agent which it answers. `looks` counts how
    often it was scored, each time on another test part, other agents or another threshold
    (`basis`). `agents` are the same questions by their label. `traffic` is the same in the mix of
    the traffic, which the promotion check goes by; null where there is too little traffic."""

    n: int
    out_of_scope: int
    answered: int
    right: int
    false_accepts: int
    precision: float | None
    low: float | None
    high: float | None
    coverage: float | None
    looks: int
    scored_at: str
    basis: str
    agents: list[AgentTestScore] = Field(default_factory=list)
    traffic: TrafficScore | None = None

    @property
    def shown(self) -> "TrafficScore | ClassifierScore":
        """What speaks for the traffic, as far as it is known."""
        return self.traffic or self


class PerturbationScore(BaseModel):
    """The same `n` questions of the test part in every row, in one `perturbation`: `plain` is as
    they are, `all` is with a greeting, a signature, "please" and typos. `out_of_scope` of them fit
    no agent. It answers `answered`, `right` of these rightly; `precision` is right / answered,
    `coverage` the share of the questions that fit an agent which it answers."""

    perturbation: str
    n: int
    out_of_scope: int
    answered: int
    right: int
    false_accepts: int
    precision: float | None
    coverage: float | None


class Classifier(BaseModel):
    """A training and what came of it. `agents` were enabled when it began; `labels` is how many it
    has learned from, and `data` tells which. `metrics` are of the held-out labels, each judged
    by thresholds that others chose: the share that is answered (`coverage`), how often rightly
    (`answered_accuracy`); of the `out_of_scope` questions that no agent fits, left out of the
    learning, those that are answered (`false_accepts`, `false_accept_rate`); and of the
    `left_out` labels of agents that it had not learned the share that is answered. `test_score`
    is of labels that chose nothing; null for one that has not been scored yet. `version` names
    the model's content. `suspended` says why it would not be asked. `rule_outcome` says what
    the retrain rule made of it; null where somebody asked for the training. `warnings` say what
    to know before it is selected; `mix` is the mix of agents that thresholds and metrics are of.
    `robustness` is what it makes of test questions that are written otherwise. For a training
    that failed for want of labels, or because no confidence reaches the target, `needs` has the
    numbers; `metrics` and `per_agent` are there as well."""

    object: Literal["classifier"] = "classifier"
    id: str
    state: ClassifierState
    created_at: str
    created_by: str
    started_at: str | None
    finished_at: str | None
    options: TrainingOptions
    progress: TrainingProgress
    error: str | None
    agents: list[str]
    labels: int
    last_label_id: str | None
    data: DataSnapshot | None = None
    metrics: Metrics | None
    test_score: ClassifierScore | None = None
    needs: TrainingNeeds | None = None
    per_agent: list[AgentThreshold] | None
    rule_outcome: RuleOutcome | None = None
    warnings: list[str] | None = None
    mix: TrainingMix | None = None
    robustness: list[PerturbationScore] | None = None
    size: int | None
    checksum: str | None
    version: str | None
    active: bool = False
    suspended: str | None = None


class ClassifierDeleted(BaseModel):
    object: Literal["classifier.deleted"] = "classifier.deleted"
    id: str
    deleted: Literal[True] = True
