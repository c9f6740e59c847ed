"""Evaluations: models measured on held-out labels, through the router."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from edgeneuro.domain.agent import ModelId
from edgeneuro.domain.analytics import AccuracyEstimate
from edgeneuro.domain.calibration import Calibration, Reliability
from edgeneuro.domain.conversation import RouteContext
from edgeneuro.domain.fields import INTEGRAL, Id, PageQuery
from edgeneuro.domain.label import DataSnapshot
from edgeneuro.domain.router_names import RouterId

ID_PREFIX = "eval"
# In a confusion matrix, where there was no decision: it failed, or a classifier was not sure.
FAILED, DEFERRED = "failed", "deferred"
EvaluationState = Literal["queued", "running", "succeeded", "failed", "cancelled"]
# Never the part that is learned from; "held_out" is both others.
EvaluatedPart = Literal["validation", "test", "held_out"]
# "models" puts each question to each model alone; "pipeline" routes it as a request would be, with
# the classifier, the models with their fallbacks and the threshold, without caches.
Target = Literal["models", "pipeline"]
PIPELINE: Final = "pipeline"  # among the ids of models: the configuration in force
MAX_QUESTIONS = 5_000


class EvaluationCreate(BaseModel):
    """Models and classifiers by id, and "pipeline": the router with the present configuration. All
    get the same questions: those of `split`, at most `limit`, the same ones each time. No training
    of an adapter or a classifier reads the split "test".

    With `target` "models" each model and classifier is measured alone. With "pipeline" it means the
    present configuration with that model as the active one, or with that classifier; "pipeline" is
    the default of `model_ids` then.
    With `label_layer` labels decide too. With `router` the questions are those about the agents of
    that router, and the configuration is the router's."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model_ids: Annotated[list[ModelId], Field(min_length=1, max_length=5)] | None = None
    target: Target = "models"
    label_layer: bool = False
    split: EvaluatedPart = "test"
    limit: Annotated[int, Field(ge=1, le=MAX_QUESTIONS), INTEGRAL] = MAX_QUESTIONS
    router: RouterId | None = None


class ContestantEstimate(BaseModel):
    """`calls` of a model, one for each question; of the pipeline that many at most (`at_most`),
    because what a rule or a classifier decides needs none. `tokens` are those of an earlier
    evaluation with the same agents, scaled to this number of questions (`basis` "evaluation"), or a
    guess from the length of the prompt ("prompt"). `cost_usd` is null if the model has no price.
    `emulated`: the local emulator answers, so the cost is a list price that nobody pays."""

    model_id: str
    calls: int
    at_most: bool
    tokens: int
    cost_usd: float | None
    emulated: bool
    basis: Literal["evaluation", "prompt", "none"]


class EvaluationEstimate(BaseModel):
    """What an evaluation of so many `questions` would take, without retries. Nothing is started."""

    object: Literal["evaluation.estimate"] = "evaluation.estimate"
    questions: int
    contestants: list[ContestantEstimate]


class AgentScore(BaseModel):
    agent: str
    support: int
    precision: float
    recall: float
    f1: float


class ModelResult(BaseModel):
    """`n` questions, of which `right` were decided correctly: the labeled agent, or no agent if
    none fits. A decision that failed is wrong (`failed` counts them). A classifier that is not
    certain defers the question to a model: `deferred` counts these, they are not right, and
    `precision` is over the others. `low_confidence` counts the decisions for the fallback agent
    because of the threshold. `confusion` counts by label, then by decision. `macro_f1` is the mean
    of the F1 of all agents that a label names, "none" included, with equal weights: an agent that
    was never decided on, or never correctly, counts as 0, and one that no label names is left out
    (a decision for it only lowers the recall of the labeled one). It is scikit-learn's
    `f1_score(average="macro", labels=<the labelled agents>, zero_division=0)`. Times are those of
    the model calls; `cost_usd` is null if a price is not known. `emulated`: the local emulator
    answered, so the cost is at the list price of the models that it emulates, and nobody pays it.
    `reliability` says how well the
    confidences agree with the share of right answers; null in older evaluations."""

    model_id: str
    n: int
    right: int
    accuracy: AccuracyEstimate
    deferred: int = 0
    precision: AccuracyEstimate | None = None
    macro_f1: float | None
    failed: int
    low_confidence: int
    layers: dict[str, int] | None = None
    tokens: int
    cost_usd: float | None
    emulated: bool = False
    p50_ms: float | None
    p95_ms: float | None
    agents: list[AgentScore]
    confusion: dict[str, dict[str, int]]
    reliability: Reliability | None = None


class PairResult(BaseModel):
    """Two models on the same `n` questions, without those that a classifier of them deferred: how
    many only one of them got right. `difference` is the second's accuracy minus the first's, with
    its 95 % interval; `p` is McNemar's, exact and two-sided, `p_second_worse` one-sided: small if
    the second is worse."""

    first: str
    second: str
    n: int
    only_first: int
    only_second: int
    difference: float
    low: float
    high: float
    p: float
    p_second_worse: float


class EvaluationResults(BaseModel):
    models: list[ModelResult]
    pairs: list[PairResult]


class ModelProgress(BaseModel):
    model_id: str
    done: int
    total: int


class SliceResult(BaseModel):
    """The questions with the same `value` of `by`: `language` (from the metadata, or a guess by
    script and frequent words), `length` in characters, `session` (the first question of one, a
    later one, none) or `metadata.KEY` of the log row that was labeled."""

    by: str
    value: str
    n: int
    right: int
    deferred: int
    accuracy: AccuracyEstimate
    precision: AccuracyEstimate


class ModelSlices(BaseModel):
    model_id: str
    slices: list[SliceResult]


class SweepPoint(BaseModel):
    """The result of the same answers with the confidence threshold `threshold`: `answered` of all
    (`coverage`) name an agent, `right` of these the labeled one (`precision`). `accuracy` also
    counts those that are left to the fallback agent or to nobody, if that is right."""

    threshold: float
    answered: int
    right: int
    accuracy: float
    coverage: float
    precision: float | None


class ModelSweep(BaseModel):
    """From 0 to 1 in hundredths. For a classifier the threshold replaces each agent's own. In a
    pipeline the layer that answered stays: what a classifier would have deferred at a higher
    threshold counts as not answered. An answer with an unknown confidence counts at every
    threshold."""

    model_id: str
    points: list[SweepPoint]


class EvaluationDetails(BaseModel):
    slices: list[ModelSlices]
    sweep: list[ModelSweep]


class Evaluation(BaseModel):
    """`labels` is how many questions there are, one of each group of near-duplicates: the others
    are `near_duplicates` (null in older evaluations, which used all of them). `left_out` counts
    labels of agents that are not enabled; `data` identifies the labels. It is valid for the agents,
    prompt, threshold and calibrations at its start, with the target "pipeline" for the whole
    configuration. `router` null: the default one.
    `slices` and `sweep` are the results by group of questions and by threshold; null in lists and
    in older evaluations."""

    object: Literal["evaluation"] = "evaluation"
    id: str
    state: EvaluationState
    created_at: str
    created_by: str
    started_at: str | None
    finished_at: str | None
    tries: int
    target: Target = "models"
    label_layer: bool = False
    router: str | None = None
    model_ids: list[str]
    split: EvaluatedPart | Literal["routing_tests"]
    labels: int
    left_out: int
    data: DataSnapshot | None = None
    near_duplicates: int | None
    agents_revision: str
    prompt_version: str
    threshold: float
    error: str | None
    progress: list[ModelProgress] = Field(default_factory=list)
    results: EvaluationResults | None = None
    slices: list[ModelSlices] | None = None
    sweep: list[ModelSweep] | None = None


class MeasuredModel(BaseModel):
    """A model as it was at the start of an evaluation: the hash of its identity, the version of
    what it was asked, and the calibration that was in force for it, with the `version` of its
    map."""

    identity: str
    prompt_version: str
    version: str | None
    calibration: Calibration | None


class EvaluationDeleted(BaseModel):
    object: Literal["evaluation.deleted"] = "evaluation.deleted"
    id: str
    deleted: Literal[True] = True


class AnswersQuery(PageQuery):
    """`after` is the id of the last answer seen. With `wrong` only those that are. `label` and
    `decided` are a cell of the confusion matrix: an agent's id or "none", for `decided` also
    "failed" or "deferred"."""

    after: Annotated[str, Field(min_length=1, max_length=512)] | None = None  # has a model's id
    model: ModelId | None = None
    wrong: bool = False
    label: Id | None = None
    decided: Id | None = None


class EvaluationAnswer(BaseModel):
    """The question is `query` after the turn `context`. `label` and `decided` are agents' ids, or
    "none"; `decided` is null if the decision failed or the classifier deferred. `label` is that of
    the start of the evaluation, which the result is counted by; `current_label` is the one in force
    now, null if there is none any more."""

    id: str
    model_id: str
    query_hash: str
    query: str
    context: RouteContext | None = None
    label: str
    current_label: str | None
    decided: str | None
    right: bool
    reason: str | None
    ms: float


class DifferencesQuery(BaseModel):
    """Two contestants of the evaluation, by the ids of its `model_ids`."""

    model_config = ConfigDict(extra="forbid")

    first: ModelId
    second: ModelId


class AgentDifference(BaseModel):
    """The questions with the label `agent`, counted as in the pair: `right_first` and
    `right_second` of `n`. `low` and `high` are the 95 % interval of the difference of accuracies,
    null with fewer than 20 questions. `p` is McNemar's, exact and two-sided; `p_adjusted` is
    Holm's, over all agents: with many agents, one below 0.05 is to be expected by chance, but not
    one of these."""

    agent: str
    n: int
    right_first: int
    right_second: int
    only_first: int
    only_second: int
    difference: float
    low: float | None
    high: float | None
    p: float
    p_adjusted: float


class EvaluationDifferences(BaseModel):
    """Of `n` questions that neither of the two deferred, those of each label. Agents with the
    largest number of questions that only one of the two has right come first."""

    object: Literal["evaluation.differences"] = "evaluation.differences"
    first: str
    second: str
    n: int
    agents: list[AgentDifference]
