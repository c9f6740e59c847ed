"""Settings as the control plane shows and changes them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgeneuro.domain.agent import ModelId, renamed, without_defaults
from edgeneuro.domain.classifier import ClassifierId, MinLabels, TargetAccuracy
from edgeneuro.domain.decision import CacheScope, OnNoFit
from edgeneuro.domain.fields import INTEGRAL

Ratio = Annotated[float, Field(ge=1, le=1_000, allow_inf_nan=False)]


class Setting(BaseModel):
    """`source` says where the value comes from: stored by the control plane, a variable of
    wrangler.toml, or EdgeNeuro's default."""

    value: Any
    source: Literal["stored", "var", "default"]


class Config(BaseModel):
    """`routing_model` and `fallback_models` are called in that order, within `time_budget_ms`, each
    with at most `max_retries` retries after a transient error. `chat_timeout_ms` bounds a chat's
    answer, for a stream the time until its first part. No agent with a confidence below
    `confidence_threshold` is decided on (an unknown confidence passes): then the fallback agent
    answers if `on_no_fit` is "fallback", nobody if it is "none". Answers are cached for
    `cache_ttl_seconds`, with `cache_scope` "all" for every caller, with "key" for the key or user
    that asked. Log rows are kept for `retention_days`, audit rows for `audit_retention_days` (null:
    forever). Without `log_queries` a log row contains no text; with `redact_personal_data` e-mail
    addresses, phone and card numbers are replaced in every text that is stored. In both cases AI
    Gateway's log contains no texts.

    `classifier` is the id of the selected classifier, null for none. Trainings are calibrated to
    the precision `classifier_target`; an agent with fewer than `classifier_min_labels` is not
    answered. `audit_sample_share` of its decisions are audit samples: the active model is called
    too. After `retrain_after_labels` new labels a training starts automatically; null: never.

    The promotion check requires `promotion_min_labels` test labels, and shows at the level
    `promotion_alpha` that a model is at most `promotion_margin` less accurate. With `auto_promote`
    a challenger that is better is selected automatically; with `auto_rollback` the former model is
    selected again if the new one is worse. Both use labeled questions. A challenger whose decisions
    cost more than `promotion_max_cost_ratio` times as much as the active model's, or take more than
    `promotion_max_latency_ratio` times as long (p50), is not selected automatically. With
    `routing_tests_required` only what has passed the routing tests is selected."""

    object: Literal["config"] = "config"
    routing_model: Setting
    fallback_models: Setting
    confidence_threshold: Setting
    on_no_fit: Setting
    time_budget_ms: Setting
    max_retries: Setting
    chat_timeout_ms: Setting
    cache_ttl_seconds: Setting
    cache_scope: Setting
    log_queries: Setting
    redact_personal_data: Setting
    retention_days: Setting
    audit_retention_days: Setting
    classifier: Setting
    classifier_target: Setting
    classifier_min_labels: Setting
    audit_sample_share: Setting
    retrain_after_labels: Setting
    promotion_alpha: Setting
    promotion_margin: Setting
    promotion_min_labels: Setting
    promotion_max_cost_ratio: Setting
    promotion_max_latency_ratio: Setting
    auto_promote: Setting
    auto_rollback: Setting
    routing_tests_required: Setting


class ConfigPatch(BaseModel):
    """A field that is left out stays as it is; null removes the stored value, so that the variable
    or the default applies."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra=without_defaults)

    routing_model: ModelId | None = None
    fallback_models: Annotated[list[ModelId], Field(max_length=10)] | None = None
    confidence_threshold: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    on_no_fit: OnNoFit | None = None
    time_budget_ms: Annotated[int, Field(ge=100, le=60_000), INTEGRAL] | None = None
    max_retries: Annotated[int, Field(ge=0, le=4), INTEGRAL] | None = None
    chat_timeout_ms: Annotated[int, Field(ge=100, le=300_000), INTEGRAL] | None = None
    cache_ttl_seconds: Annotated[int, Field(ge=60, le=2_592_000), INTEGRAL] | None = None
    cache_scope: CacheScope | None = None
    log_queries: bool | None = None
    redact_personal_data: bool | None = None
    retention_days: Annotated[int, Field(ge=1, le=3_650), INTEGRAL] | None = None
    audit_retention_days: Annotated[int, Field(ge=30, le=3_650), INTEGRAL] | None = None
    classifier: ClassifierId | None = None
    classifier_target: TargetAccuracy | None = None
    classifier_min_labels: MinLabels | None = None
    audit_sample_share: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    retrain_after_labels: Annotated[int, Field(ge=1, le=1_000_000), INTEGRAL] | None = None
    promotion_alpha: Annotated[float, Field(gt=0, lt=0.5, allow_inf_nan=False)] | None = None
    promotion_margin: Annotated[float, Field(gt=0, le=0.5, allow_inf_nan=False)] | None = None
    promotion_min_labels: Annotated[int, Field(ge=1, le=1_000_000), INTEGRAL] | None = None
    promotion_max_cost_ratio: Ratio | None = None
    promotion_max_latency_ratio: Ratio | None = None
    auto_promote: bool | None = None
    auto_rollback: bool | None = None
    routing_tests_required: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _old_names(cls, given: object) -> object:
        return renamed(given, {"classifier_shadow_share": "audit_sample_share"})
