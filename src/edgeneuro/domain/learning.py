"""Learning by itself: what is stored of it, and what GET /v1/learning says."""

from typing import Literal

from pydantic import BaseModel, Field

from edgeneuro.domain.classifier import TrainingNeeds
from edgeneuro.domain.embedding import EmbeddingGainState
from edgeneuro.domain.setting import Learning

HUMAN_LABELS = "human labels"
LearningState = Literal["off", "collecting", "training", "observing", "enabled", "disabled"]
StepCode = Literal[
    "turn_on",
    "texts_are_not_stored",
    "no_agents",
    "one_sided",
    "collect",
    "wait_for_training",
    "training_failed",
    "observe_more",
    "not_passed",
    "enable",
    "agreement_fell",
    "no_audit_samples",
    "none",
]


class EnabledClassifier(BaseModel):
    """A classifier that the rule has enabled. Its audit samples should agree with the model with
    the probability `bound` at least; `expected` is the share of `answers` that agreed before,
    `basis` says what it passed on. `settled`: enough audit samples were taken after the change."""

    classifier_id: str
    since_ms: int
    expected: float | None
    answers: int
    bound: float
    basis: str
    settled: bool = False


class DisabledClassifier(BaseModel):
    """A classifier that the sequential test has disabled. Of `samples` audit samples since it was
    selected `agreed` agreed with the model; `bound` is the share that should."""

    classifier_id: str
    at_ms: int
    samples: int
    agreed: int
    bound: float
    reason: str


class LearnedState(BaseModel):
    """What the rules did last. The rule enables no classifier that is not newer than both."""

    enabled: EnabledClassifier | None = None
    disabled: DisabledClassifier | None = None

    @property
    def newest(self) -> str:
        """The newest classifier that the rules have enabled or disabled; "": none."""
        both = (self.enabled, self.disabled)
        return max((each.classifier_id for each in both if each is not None), default="")


class ObservedShare(BaseModel):
    """Of `n` queries that a model decided it would have answered `answered`."""

    n: int
    answered: int
    share: float | None


class LearningAgreement(BaseModel):
    """Of `n` answers `agreed` were those of the `basis`: "human labels", or "agreement with MODEL".
    `low` to `high` is the 95 % Wilson interval."""

    basis: str
    n: int
    agreed: int
    share: float | None
    low: float | None
    high: float | None


class Watch(BaseModel):
    """The audit samples of the enabled classifier since it was selected: `agreed` of `samples`
    agreed with the model, and `bound` is the share that should. It is disabled once `evidence`
    reaches `limit`; `expected` is the share that agreed before it was enabled."""

    samples: int
    agreed: int
    expected: float | None
    bound: float
    evidence: float
    limit: float


class Disabled(BaseModel):
    """A classifier that was disabled automatically, and why."""

    classifier: str
    at: str
    reason: str


class LearningSavings(BaseModel):
    """Of the last `days` days. `model_calls` were not made because the classifier answered, or
    would not have been made if it had been enabled (`would_be`). `cost_usd` is what they cost on
    average, `cost_usd_a_month` the same for 30 days; null: the model has no price."""

    would_be: bool
    days: float
    model_calls: int
    cost_usd: float | None
    cost_usd_a_month: float | None


class NextStep(BaseModel):
    """What happens next, or what to do. `method`, `path` and `body` are the request that does it;
    null if there is nothing to do."""

    code: StepCode
    text: str
    method: str | None = None
    path: str | None = None
    body: dict[str, object] | None = None


class AgentMachineLabels(BaseModel):
    """`agent_id` null: no agent fits."""

    agent_id: str | None
    labels: int


class LearningReport(BaseModel):
    """`state`: `off`; `collecting` until there is enough to learn from; `training` the first
    classifier; `observing` a classifier that is not enabled; `enabled`; `disabled` by the
    sequential test until another one has passed. `enabled` is the classifier that answers,
    `observed` the newer one that runs beside it. `sentence` is what the Overview says. `labels` and
    `machine_labels` are what the observed one, the enabled one or the newest training learned
    from. `embedding` is what the stage of the second classifier saves; null: it is not asked."""

    object: Literal["learning"] = "learning"
    learning: Learning
    state: LearningState
    sentence: str
    enabled: str | None
    observed: str | None
    would_have_answered: ObservedShare | None
    agreement: LearningAgreement | None
    watch: Watch | None
    disabled: Disabled | None
    labels: int
    machine_labels: int
    machine_labels_by_agent: list[AgentMachineLabels] = Field(default_factory=list)
    next_training_after: int | None
    savings: LearningSavings | None
    embedding: EmbeddingGainState | None = None
    next_step: NextStep


class NextTraining(BaseModel):
    """`new_labels` in force are newer than the last training that succeeded, which began at
    `trained_at` (null: there was none); they are counted up to 1,000. `due`: they are at least
    `wanted`, they are enough by `training`, and no training is `running` (the id of its
    classifier). Machine labels are in `training` only where the labels alone are not enough."""

    object: Literal["label.training"] = "label.training"
    new_labels: int
    wanted: int
    due: bool
    running: str | None
    trained_at: str | None
    training: TrainingNeeds
