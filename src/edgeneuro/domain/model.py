"""Models: what can be asked. A model is a base model, or an adapter (LoRA) on one under its own
id."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, FiniteFloat, model_validator

from edgeneuro.domain.agent import ModelId, renamed, without_defaults
from edgeneuro.domain.classifier import ClassifierScore, Metrics
from edgeneuro.domain.fields import INTEGRAL

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


ModelType = Literal["router", "agent", "base", "lora", "classifier"]


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
    """OpenAI's model object with our fields beside it. `type` "router" is "auto" and "agent" an
    agent, which a chat can name like a model; `chat` says whether a chat that names the id gets
    sentences, which adapters for routing and classifiers do not give. `provider` is "workers-ai",
    or the id of the vendor that has the model; `base_model` is then the vendor's own id of it.
    `deprecated` tells that it is no longer served: its planned date has passed, or the upstream has
    said so. `logprobs` says that the model gives the probabilities of its tokens where a request
    asks for them: the router then does, and takes its confidence from them. A classifier's provider
    is "edgeneuro"; it alone has `metrics`, `labels`, `size` (bytes), the `agents` that were there
    when it was learned, and with one that is new since `suspended`, which says so."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    name: str | None = None
    type: ModelType
    chat: bool = False
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
    metrics: Metrics | None = None
    labels: int | None = None
    size: int | None = None
    agents: list[str] | None = None
    suspended: str | None = None


class ModelRegister(BaseModel):
    """A base model that the table lacks, or with `type` "lora" an adapter on a base model:
    `adapter` is its name at Workers AI, the model's own id unless it is given. What is left out is
    what is known of the base model."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: ModelId
    type: Literal["base", "lora"]
    base_model: ModelId | None = None
    adapter: ModelId | None = None
    aliases: Aliases = Field(default_factory=list)
    context_window: ContextWindow | None = None
    pricing: Pricing | None = None
    supports_lora: bool | None = None
    json_mode: bool | None = None
    logprobs: bool | None = None


class ModelPatch(BaseModel):
    """A field left out stays as it is. `status` "available" brings a retired model back."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra=without_defaults)

    aliases: Aliases = Field(default_factory=list)
    context_window: ContextWindow | None = None
    pricing: Pricing | None = None
    supports_lora: bool = False
    json_mode: bool = False
    logprobs: bool = False
    status: Literal["available", "not_ready"] = "available"


class ModelSelect(BaseModel):
    """`expected_active` refuses the change when somebody else has changed the active model before.
    A classifier goes in front of the active model; `model_id` null with `type` "classifier" takes
    it away. With `check` a selection must pass the promotion check; left out it is true for a
    classifier, which answers where no model is asked, and false for a model. A classifier passes if
    its answers on at least `promotion_min_labels` questions of the test part show, at the level
    `promotion_alpha`, a precision of `classifier_target` less `promotion_margin`, and it answers at
    most 5 points fewer of them than the selected one. A model passes if the newest evaluation of it
    and the active one on the test part has at least `promotion_min_labels` questions and shows, at
    the level `promotion_alpha`, that it is at most `promotion_margin` less accurate. With the
    setting `routing_tests_required` a selection must also have passed the routing tests, unless
    `check` is false. With `challenger`, a percentage, the model is not selected: it becomes the
    challenger, which is asked too for that share of the active model's answers. Null with `type`
    "challenger" ends the comparison."""

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
    """What the check of a model is based on: the evaluation, its questions, near-duplicates counted
    once, and the model's accuracy less the active one's with its 95 % interval. `lower_bound` is
    the one-sided bound of the difference at the confidence 1 - `alpha` (Tango's score test for
    paired shares); it passes above -`margin`. `earlier_looks` counts the evaluations on the test
    part before this one: the more there were, the less it proves."""

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
    """What the check of a classifier is based on: its score on the test part. `lower_bound` is the
    exact one-sided bound of its precision at the confidence 1 - `alpha`; it passes from `required`
    on. `earlier_looks` counts evaluations on the test part and scores of other classifiers."""

    classifier_id: str
    score: ClassifierScore
    lower_bound: float
    required: float
    alpha: float
    earlier_looks: int


class CheckPreview(BaseModel):
    """The result of the promotion check of `model_id` if it were selected now. `result` is null
    where it does not pass, and for the model that is active."""

    model_id: str
    passed: bool
    message: str
    result: PromotionCheck | ClassifierCheck | None = None


class ModelSelection(BaseModel):
    """Null stands for no classifier. `check` is the promotion check, if one was asked for and there
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


class ChallengerSide(BaseModel):
    """Over the answers that were compared, and of them those that are labelled (`right`): times on
    the model. `mean_cost_usd` is over the answers of `POST /v1/route` whose cost is known for both;
    null where there are none."""

    model_id: str
    right: int
    mean_cost_usd: float | None
    p50_ms: float | None
    p95_ms: float | None


class ChallengerState(BaseModel):
    """The challenger and its results. Of `compared` answers it gave the same `agree` times and
    `failed` to answer. Only answers with the present agents, prompt, threshold and active model are
    compared; `outdated` counts the others. `labelled` counts the questions that have a label by
    now, near-duplicates as one, by their first answer, and `labelers` who gave these labels. Where
    one of the two models may have learned from labels (an adapter, or a vendor's model), only
    questions of the validation and test parts are in `labelled`; `trained` counts the others.
    `difference` is the challenger's accuracy on these minus the active model's, with its 95 %
    interval; `p_better` and `p_worse` are McNemar's exact one-sided p. `labels_wanted` is how many
    more labels the rules need: labels of one labeler alone must be twice as many. `notice` is why
    the rule did not select the challenger when it last looked."""

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
    """What is selected now, and the challenger; `check` is the preview of a promotion check that
    was asked for. `previous` was the active model before `active` was made so by
    whatever way: a selection, a setting, or a rule."""

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
    """`models` is how many Workers AI's catalogue names, `added` those that were not known
    before."""

    object: Literal["model.refresh"] = "model.refresh"
    models: int
    added: list[str]
