"""Classifiers: learned from the labels by a job, asked before any model once selected."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgeneuro.domain.embedding import EmbeddingClassifier
from edgeneuro.domain.fields import INTEGRAL
from edgeneuro.domain.label import DataSnapshot
from edgeneuro.domain.router_names import RouterId

ID_PREFIX = "clf"
RULE = "rule"  # the creator of trainings that a rule started
ClassifierState = Literal["queued", "running", "succeeded", "failed", "cancelled"]
ClassifierId = Annotated[str, Field(min_length=1, max_length=64)]
TargetAccuracy = Annotated[float, Field(ge=0.5, le=0.9999, allow_inf_nan=False)]
MinLabels = Annotated[int, Field(ge=1, le=10_000), INTEGRAL]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1), INTEGRAL]
# With more allowed agents a model may be offered the best ones alone.
MAX_WHOLE_QUESTION = 30
TrainingMetrics = dict[str, float | int | None]
# What the metrics of a training are of: labels that people gave; machine labels, so that they say
# how often it agrees with the model; or nothing, since it learned agents' texts alone.
MetricsBasis = Literal["human labels", "agreement with a model", "agents' texts"]


class ClassifierCreate(BaseModel):
    """The defaults are the settings `classifier_target` and `classifier_min_labels`. The same
    labels and seed give the same classifier. With `router` it is trained on the agents of that
    router; labels of other agents are left out."""

    model_config = ConfigDict(extra="forbid", strict=True)

    target: TargetAccuracy | None = None
    min_labels: MinLabels | None = None
    seed: Seed = 0
    router: RouterId | None = None


class TrainingOptions(BaseModel):
    """`router` null: the default one."""

    target: float
    min_labels: int
    seed: int
    router: str | None = None


class TrainingProgress(BaseModel):
    """`slices` are done and stored; `visits` is how often they used a label. `tries` counts how
    often the next one was started. `left_out` counts labels that are not used, by reason. While the
    labels are prepared, `prepared` of them are done, up to the query hash `prepared_to`;
    `in_conversations` of them have a turn before them. Machine labels were added to these:
    `machine_labels` of single messages by agent ("none": no agent fits), and `decisions` of turns
    in conversations; `machine_models` counts both by the model that decided. `machine_left_out`
    counts decisions that are no machine labels, by reason, and `machine_decided` those of single
    messages by agent before the agents were balanced; `machine_labels_off` says why there are none.
    `agent_texts` are names, phrases of descriptions and examples of the agents up to the id
    `agent_texts_to`, which are learned and are no labels."""

    stage: Literal["labels", "training", "finished"] = "labels"
    slices: int = 0
    visits: int = 0
    tries: int = 0
    left_out: dict[str, int] = Field(default_factory=dict)
    prepared: int = 0
    prepared_to: str = ""
    prepared_characters: int = 0
    prepared_slices: int = 0
    in_conversations: int = 0
    decisions: int = 0
    machine_labels: dict[str, int] = Field(default_factory=dict)
    machine_models: dict[str, int] = Field(default_factory=dict)
    machine_left_out: dict[str, int] = Field(default_factory=dict)
    machine_decided: dict[str, int] = Field(default_factory=dict)
    machine_labels_off: str | None = None
    agent_texts: int = 0
    agent_texts_to: str = ""


class AgentThreshold(BaseModel):
    """The agent is answered from the probability `threshold` on; null: never, and `reason` says
    why, unless the training failed as a whole. It had the best score for `held_out_right` of its
    `held_out` labels. It answers `answered` held-out questions, `answered_right` rightly; from the
    best threshold on `best_precision` of `best_of` answers would be right."""

    agent_id: str
    labels: int
    machine_labels: int = 0
    threshold: float | None
    reason: str | None = None
    held_out: int | None = None
    held_out_right: int | None = None
    answered: int | None = None
    answered_right: int | None = None
    best_precision: float | None = None
    best_of: int | None = None


class AgentLabelNeed(BaseModel):
    """`missing` is how many more labels `labels_needed_of_each` requires."""

    agent_id: str
    labels: int
    missing: int


class TrainingNeeds(BaseModel):
    """The labels that a training needs, of the train and validation splits, and those that there
    are. `ready`: they are enough; otherwise `message` says what is missing and what to do. Two
    agents need `labels_needed_of_each`, together `labels_needed`; an agent with fewer is not
    answered. `out_of_scope` are labels that no agent fits."""

    ready: bool
    message: str
    labels: int
    labels_needed: int
    labels_needed_of_each: int
    out_of_scope: int
    agents: list[AgentLabelNeed]


class AgentTestScore(BaseModel):
    """Of the `n` test questions with this label (null: no agent fits) `answered` are answered,
    `right` of them with the labeled agent."""

    agent_id: str | None
    n: int
    answered: int
    right: int


class RuleOutcome(BaseModel):
    """What the retrain rule did with a classifier that it trained. `selected`: it replaced
    `previous`; otherwise `reason` says why it was not selected."""

    selected: bool
    previous: str | None = None
    reason: str | None = None


class TrafficScore(BaseModel):
    """A score in which each agent counts by its share of the traffic. The precision with its 95 %
    Wilson interval; `answered` and `right` are the equivalent numbers of unweighted answers."""

    answered: int
    right: int
    precision: float | None
    low: float | None
    high: float | None
    coverage: float | None


class TrainingMixShare(BaseModel):
    """The agent's share of the labels, and of the decisions; null if these are too few."""

    agent_id: str
    labels: float
    traffic: float | None


class TrainingMix(BaseModel):
    """The mix of agents of thresholds and figures: that of the router's `decisions` of the last 30
    days, or, if they are fewer than 200, that of the labels. `distance` is the total variation
    distance of the two: the share of the labels that would have to change agents."""

    source: Literal["traffic", "labels"]
    decisions: int
    distance: float | None
    agents: list[TrainingMixShare]


class ClassifierScore(BaseModel):
    """The result on the test split, which the training does not read. `n` questions,
    near-duplicates counted once; no agent fits `out_of_scope` of them. It answers `answered` of
    them at the threshold in force, `right` of these with the labeled agent; an answer to an
    out-of-scope question is an error (`false_accepts`). `precision` is right / answered with its 95
    % Wilson interval, `coverage` the share of the questions that fit an agent which it answers.
    `looks` counts how often it was scored, each time with another test split, other agents or
    another threshold (`basis`). `agents` are the same questions by their label. `traffic` is the
    score in the mix of the traffic, which the promotion check uses; null if there is too little
    traffic."""

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
    """The same `n` questions of the test split in every row, in one `perturbation`: `plain` is
    unchanged, `all` is with a greeting, a signature, "please" and typos. No agent fits
    `out_of_scope` of them. It answers `answered`, `right` of these with the labeled agent;
    `precision` is right / answered, `coverage` the share of the questions that fit an agent which
    it answers."""

    perturbation: str
    n: int
    out_of_scope: int
    answered: int
    right: int
    false_accepts: int
    precision: float | None
    coverage: float | None


FollowUpBasis = Literal["labels", "labels and decisions"]


class FollowUpReport(BaseModel):
    """What a classifier learned of conversations: of `labels` with a turn before them, and of
    `decisions` of models. `reason` says why it learned nothing of them: then the agent of the turn
    before stays, unless the message alone is sure of another one. The figures are of turns that
    were held out, by `basis`: `keeping` of them go on with their agent, and `leaving` leave it;
    the others say for how many the best agent was right, at any probability. `coverage` is the
    share that is answered, `precision` how many of these are right; with decisions in the basis
    they say how often the classifier decides as the models did."""

    learned: bool
    reason: str | None
    labels: int
    decisions: int
    basis: FollowUpBasis
    keeping: int = 0
    keeping_right: int = 0
    leaving: int = 0
    leaving_right: int = 0
    coverage: float | None = None
    precision: float | None = None


class RecallAt(BaseModel):
    """Of the held-out questions the share whose label is among the `agents` best ones of the
    classifier; `low` is its lower bound (one-sided 95 %)."""

    agents: int
    recall: float
    low: float


class ShortlistReport(BaseModel):
    """How many agents a model is offered instead of all (setting `model_shortlist`): the `agents`
    best ones of the classifier, because their recall on `held_out` questions is 99 % or more, with
    a lower bound of 98.5 %; null, and `reason` says why, if a model is offered all. `basis` says
    which questions were counted. `always` are agents that are offered in every question: too many
    of their own are not among the best, or none was held out. `known` are those that it has labels
    of; all others are offered as well."""

    agents: int | None
    recalls: list[RecallAt]
    held_out: int
    basis: Literal["human labels", "all labels"]
    always: list[str]
    known: list[str]
    reason: str | None = None


class Classifier(BaseModel):
    """A training and its result. `agents` were enabled when it started; `labels` is how many it was
    trained on, and `data` identifies them. `metrics` are of held-out labels, each judged by
    thresholds from others: `coverage` is the share that is answered, `answered_accuracy` the
    precision; `false_accepts` and `false_accept_rate` are the `out_of_scope` questions that are
    answered; and of the `left_out` labels of agents that it was not trained on, the share that is
    answered. `…_low` and `…_high` are 95 % intervals (Wilson), `answered` is how many answers the
    precision is of; as independent questions they count as `answered_effective`. `learned_human`,
    `learned_machine` and `learned_texts` count what it learned by source, `held_out_human` and
    `held_out_machine` what was held out. `basis` says what the metrics are of: with "agreement with
    a model" they say how often it decides as `basis_model` does, the model of most of these labels,
    and not how often it is right. `test_score` is of the test split, which the training does not
    read; null if it has not been scored yet. `version` identifies the model's content. `active`
    says whether it is selected in the router "default", `selected_in` lists all routers that it is
    selected in; `suspended` says why it is not called. `agents_joined` are enabled since its
    training: it knows them by their texts. `rule_outcome` is what the retrain rule did with it;
    null if a person started the training. `warnings` say what to know before it is
    selected; `mix` is the mix of agents of thresholds and metrics. `robustness` has the results for
    rewritten test questions. `follow_ups` is what it learned of conversations, `shortlist` how many
    of its best agents a model is offered; null in older ones. If a training failed because labels
    are missing, or because no threshold reaches the target, `needs` has the numbers; `metrics` and
    `per_agent` are there as well. `embedding` is its second classifier, if one is trained."""

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
    metrics: TrainingMetrics | None
    basis: MetricsBasis | None = None
    basis_model: str | None = None
    test_score: ClassifierScore | None = None
    needs: TrainingNeeds | None = None
    per_agent: list[AgentThreshold] | None
    rule_outcome: RuleOutcome | None = None
    warnings: list[str] | None = None
    mix: TrainingMix | None = None
    robustness: list[PerturbationScore] | None = None
    follow_ups: FollowUpReport | None = None
    shortlist: ShortlistReport | None = None
    size: int | None
    checksum: str | None
    version: str | None
    embedding: EmbeddingClassifier | None = None
    active: bool = False
    selected_in: list[str] = Field(default_factory=list)
    suspended: str | None = None
    agents_joined: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _say_basis(self) -> "Classifier":
        if self.metrics is not None:
            self.basis = basis_of(self.metrics)
            models = self.progress.machine_models
            if self.basis == "agreement with a model" and models:
                self.basis_model = max(sorted(models), key=lambda model: models[model])
        return self


def basis_of(metrics: TrainingMetrics) -> MetricsBasis:
    if metrics.get("held_out_machine"):
        return "agreement with a model"
    return "human labels" if metrics.get("held_out") else "agents' texts"


class ClassifierDeleted(BaseModel):
    object: Literal["classifier.deleted"] = "classifier.deleted"
    id: str
    deleted: Literal[True] = True
