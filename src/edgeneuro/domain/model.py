"""Models: what can be asked. A model is a base model, or an adapter (LoRA) on one under its own
id."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, FiniteFloat, model_validator

from edgeneuro.domain.agent import ModelId
from edgeneuro.domain.calibration import ModelCalibration
from edgeneuro.domain.classifier import ClassifierScore, TrainingMetrics
from edgeneuro.domain.fields import INTEGRAL, hide_defaults, renamed

OWN_PROVIDER = "workers-ai"  # this account's own
Price = Annotated[FiniteFloat, Field(ge=0)]
Aliases = Annotated[list[ModelId], Field(max_length=20)]
ContextWindow = Annotated[int, Field(ge=1, le=100_000_000), INTEGRAL]


class Pricing(BaseModel):
    """USD per million tokens."""

    model_config = ConfigDict(extra="forbid", strict=True)

    input_per_million: Price
    output_per_million: Price
    currency: Literal["USD"] = "USD"


ModelType = Literal["router", "agent", "base", "lora", "decision", "embedding", "classifier"]


def _list_of_types(given: object) -> object:
    return given.split(",") if isinstance(given, str) else given


class ModelsQuery(BaseModel):
    """`type` narrows the list to these types, separated by commas."""

    model_config = ConfigDict(extra="forbid")

    type: Annotated[
        list[ModelType] | None,
        BeforeValidator(_list_of_types, json_schema_input_type=str | None),
    ] = None


class Model(BaseModel):
    """OpenAI's model object with fields of EdgeNeuro. A chat can name `type` "router" ("auto") and
    "agent" like a model. `chat` says whether a chat that names the id gets text, which adapters for
    routing, decision models and classifiers do not return. A model of `type` "decision" answers
    questions with probabilities, and writes no text; `decisions` says whether POST /v1/decisions
    and POST /v1/systemone take the id. One of `type` "embedding" turns texts into vectors, for the
    setting `embedding_model`. `provider` is "workers-ai", or the id of the provider that
    has the model; `base_model` is then the provider's own id of it. `deprecated`: it is no longer
    served, because its planned date has passed or the upstream said so. `logprobs`: the model
    returns the probabilities of its tokens on request; the router then requests them, and
    computes the confidence from them. A classifier's provider is "edgeneuro"; only classifiers have
    `metrics`, `labels`, `size` (bytes), the `agents` that existed at the training, `suspended` if
    it does not answer at present, and `router`, if it was trained for one. `calibration` is the one
    in force for the model's confidence."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    name: str | None = None
    type: ModelType
    chat: bool = False
    decisions: bool = False
    base_model: str
    adapter: str | None
    provider: str = OWN_PROVIDER
    status: Literal["available", "not_ready", "retired"]
    active: bool = False
    aliases: list[str] = Field(default_factory=list)
    supports_lora: bool
    json_mode: bool
    logprobs: bool = False
    context_window: int | None
    pricing: Pricing | None
    planned_deprecation_date: str | None = None
    deprecated: bool = False
    metrics: TrainingMetrics | None = None
    labels: int | None = None
    size: int | None = None
    agents: list[str] | None = None
    router: str | None = None
    suspended: str | None = None
    calibration: ModelCalibration | None = None


class ModelRegister(BaseModel):
    """A base model that the list lacks; or with `type` "decision" a decision model, whose name at
    Workers AI is `base_model`, by default its own id; or with `type` "embedding" an embedding
    model, named in the same way; or with `type` "lora" an adapter on a base
    model: `adapter` is its name at Workers AI, by default the model's own id. Fields that are left
    out are those of the base model, if it is known."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: ModelId
    type: Literal["base", "lora", "decision", "embedding"]
    base_model: ModelId | None = None
    adapter: ModelId | None = None
    aliases: Aliases = Field(default_factory=list)
    context_window: ContextWindow | None = None
    pricing: Pricing | None = None
    supports_lora: bool | None = None
    json_mode: bool | None = None
    logprobs: bool | None = None


class ModelPatch(BaseModel):
    """A field that is left out stays as it is. `status` "available" makes a retired model available
    again. `type` corrects what a model of Workers AI is; which models of a vendor are decision
    models, its provider says; those with "embed" in their names are embedding models."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra=hide_defaults)

    aliases: Aliases = Field(default_factory=list)
    context_window: ContextWindow | None = None
    pricing: Pricing | None = None
    supports_lora: bool = False
    json_mode: bool = False
    logprobs: bool = False
    status: Literal["available", "not_ready"] = "available"
    type: Literal["base", "decision", "embedding"] = "base"


class ModelSelect(BaseModel):
    """`expected_active` refuses the change if the active model has changed before. A classifier is
    placed in front of the active model; `model_id` null with `type` "classifier" disables it. With
    `check` a selection must pass the promotion check; the default is true for a classifier, whose
    answers no model reviews, and false for a model. A classifier passes if its answers on at least
    `promotion_min_labels` test questions show, at the level `promotion_alpha`, a precision of
    `classifier_target` less `promotion_margin`, and its coverage of them is at most 5 points below
    that of the selected one. A model passes if the newest evaluation of it and the active one on
    the test split has at least `promotion_min_labels` questions and shows, at the level
    `promotion_alpha`, that it is at most `promotion_margin` less accurate. With the setting
    `routing_tests_required` a selection must also have passed the routing tests, unless `check` is
    false. With `challenger`, a percentage, the model is not selected: it becomes the challenger,
    which is called too for that share of the active model's answers. Null with `type` "challenger"
    ends the comparison."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model_id: ModelId | None
    type: Literal["classifier", "challenger"] | None = None
    expected_active: ModelId | None = None
    check: bool | None = None
    challenger: Annotated[FiniteFloat, Field(gt=0, le=100)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _old_names(cls, given: object) -> object:
        """Until the next version: `shadow`, and `type` "shadow"."""
        given = renamed(given, {"shadow": "challenger"})
        if isinstance(given, dict) and given.get("type") == "shadow":
            return {**given, "type": "challenger"}
        return given


class PromotionCheck(BaseModel):
    """The promotion check of a model: the evaluation, its questions, near-duplicates counted once,
    and the model's accuracy minus the active one's with its 95 % interval. `lower_bound` is the
    one-sided bound of the difference at the confidence 1 - `alpha` (Tango's score test for paired
    shares); it must be above -`margin`. `earlier_looks` counts the earlier evaluations on the test
    split: the more there were, the less the check proves."""

    evaluation_id: str
    n: int
    difference: float
    low: float
    high: float
    lower_bound: float
    margin: float
    alpha: float
    earlier_looks: int


class ClassifierCheck(BaseModel):
    """The promotion check of a classifier, on its score on the test split. `lower_bound` is the
    exact one-sided bound of its precision at the confidence 1 - `alpha`; it must be at least
    `required`. `earlier_looks` counts evaluations on the test split and scores of other
    classifiers."""

    classifier_id: str
    score: ClassifierScore
    lower_bound: float
    required: float
    alpha: float
    earlier_looks: int


class CheckPreview(BaseModel):
    """The result of the promotion check of `model_id` if it were selected now. `result` is null if
    it fails, and for the active model."""

    model_id: str
    passed: bool
    message: str
    result: PromotionCheck | ClassifierCheck | None = None


class ModelSelection(BaseModel):
    """Null stands for no classifier. `check` is the promotion check, if it was requested and there
    was something to compare. `challenger` is the model that is tried beside the active one."""

    object: Literal["model.selection"] = "model.selection"
    active: str | None
    previous: str | None
    check: PromotionCheck | ClassifierCheck | None = None
    challenger: str | None = None


NoticeCode = Literal[
    "not_better", "cost", "cost_unknown", "latency", "not_available", "routing_tests"
]


class RuleNotice(BaseModel):
    """Why a rule did not select a model; `at` is when it decided so."""

    at: str
    code: NoticeCode
    message: str


class Challenger(BaseModel):
    """A model that is tried beside the active one, for `percent` of its answers, since `since_ms`.
    `looked_at` is how many labeled answers there were when the rules last looked; `after_rule` is
    true if it was the active model until the rule promoted the present one; `notice` is why the
    rule did not select it when it last looked."""

    model_id: ModelId
    percent: Annotated[float, Field(gt=0, le=100)]
    since_ms: int
    looked_at: int = 0
    after_rule: bool = False
    notice: RuleNotice | None = None


class ChallengerSide(BaseModel):
    """Over the compared answers; `right` over the labeled ones. Latencies are of the model call.
    `mean_cost_usd` is over the answers of `POST /v1/route` whose cost is known for both models;
    null if there are none."""

    model_id: str
    right: int
    mean_cost_usd: float | None
    p50_ms: float | None
    p95_ms: float | None


class ChallengerState(BaseModel):
    """The challenger and its results. Of `compared` answers `agree` were the same and `failed` had
    no answer of the challenger. Only answers with the present agents, prompt, threshold,
    calibrations and active model are compared; `outdated` counts the others. `labelled` counts the
    questions that have a label by now, near-duplicates as one, by their first answer, and
    `labelers` who gave these labels. If one of the two models may have learned from labels (an
    adapter, or a vendor's model), only questions of the validation and test splits are in
    `labelled`; `trained` counts the others.
    `difference` is the challenger's accuracy on these minus the active model's, with its 95 %
    interval; `p_better` and `p_worse` are McNemar's exact one-sided p. `labels_wanted` is how many
    more labels the rules need; labels of a single labeler must be twice as many. `notice` is why
    the rule did not select the challenger at its last check."""

    model_id: str
    percent: float
    since: str
    after_rule: bool
    compared: int
    outdated: int
    agree: int
    failed: int
    cost_usd: float | None
    labelled: int
    trained: int
    labelers: int
    active: ChallengerSide
    challenger: ChallengerSide
    difference: float
    low: float
    high: float
    p_better: float
    p_worse: float
    labels_wanted: int
    notice: RuleNotice | None = None


class SelectionQuery(BaseModel):
    """`check` previews the promotion check of this model or classifier; nothing is selected."""

    model_config = ConfigDict(extra="forbid")

    check: ModelId | None = None

    @model_validator(mode="before")
    @classmethod
    def _old_names(cls, given: object) -> object:
        return renamed(given, {"candidate": "check"})


class SelectionState(BaseModel):
    """What is selected now, and the challenger; `check` is the preview of a promotion check, if it
    was requested. `previous` was the active model before `active` was selected, stored as a
    setting, or promoted by a rule."""

    object: Literal["model.selection_state"] = "model.selection_state"
    active: str
    previous: str | None
    classifier: str | None
    fallbacks: list[str]
    promotion_alpha: float
    promotion_margin: float
    promotion_min_labels: int
    auto_promote: bool
    auto_rollback: bool
    challenger: ChallengerState | None
    check: CheckPreview | None = None


class ModelRefresh(BaseModel):
    """`models` is how many models Workers AI's catalogue has, `added` those that were not known
    before."""

    object: Literal["model.refresh"] = "model.refresh"
    models: int
    added: list[str]
