"""The settings of the control plane, declared once.

A field of `SettingValues` is all that a setting needs. From it come what the database may store
(`StoredConfig`), the response of GET /v1/config (`Config`), the body of PATCH (`ConfigPatch`), what
a router may have of its own (`with_router_settings`), the texts of the OpenAPI document, and the
values of a RoutingConfig (domain/routing.py)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    Field,
    create_model,
)

from edgeneuro.domain.agent import ModelId
from edgeneuro.domain.classifier import ClassifierId, MinLabels, TargetAccuracy
from edgeneuro.domain.decision import CacheScope
from edgeneuro.domain.fields import INTEGRAL
from edgeneuro.domain.learning import LearnedState
from edgeneuro.domain.model import Challenger
from edgeneuro.domain.outcome import OnNoFit
from edgeneuro.domain.setting import (
    ABOUT_SHORTLIST,
    About,
    Declared,
    Labels,
    Learning,
    ModelShortlist,
    Ratio,
    Sentence,
    SeveralAnswers,
    Share,
    declared_settings,
    outcomes,
)


@dataclass(frozen=True, kw_only=True)
class SettingValues:
    """One value for each setting. In PATCH null removes the stored value, so that the variable or
    the default applies again."""

    routing_model: Annotated[
        ModelId | None,
        About("models", "the active model", variable=True, per_router=True),
    ] = None
    fallback_models: Annotated[
        Annotated[list[ModelId], Field(max_length=10)] | None,
        About(
            "models",
            "called in this order when the active model fails",
            variable=True,
            per_router=True,
        ),
    ] = None
    confidence_threshold: Annotated[
        Share,
        About(
            "routing",
            "below it no agent is decided on; an unknown confidence passes",
            per_router=True,
            decides=True,
        ),
    ] = 0.5
    on_no_fit: Annotated[
        OnNoFit,
        About(
            "routing",
            "what happens if no agent is decided on: the fallback agent answers, or nobody",
            per_router=True,
            decides=True,
        ),
    ] = "fallback"
    time_budget_ms: Annotated[
        Annotated[int, Field(ge=100, le=60_000), INTEGRAL],
        About(
            "routing", "time for a decision, for all models together", unit="ms", per_router=True
        ),
    ] = 5_000
    max_retries: Annotated[
        Annotated[int, Field(ge=0, le=4), INTEGRAL],
        About(
            "routing", "retries per model after a transient error", unit="retries", per_router=True
        ),
    ] = 1
    chat_timeout_ms: Annotated[
        Annotated[int, Field(ge=100, le=300_000), INTEGRAL],
        About(
            "routing",
            "time for a chat's answer, for a stream until its first part",
            unit="ms",
            per_router=True,
        ),
    ] = 60_000
    cache_ttl_seconds: Annotated[
        Annotated[int, Field(ge=60, le=2_592_000), INTEGRAL],
        About("routing", "how long answers are cached", unit="seconds", per_router=True),
    ] = 3_600
    cache_scope: Annotated[
        CacheScope,
        About(
            "routing",
            "who gets a cached answer: every caller, or the key or user that asked",
            per_router=True,
        ),
    ] = "all"
    clarify: Annotated[
        bool,
        outcomes("ask which agent is meant if two or three are about as probable"),
    ] = False
    clarify_margin: Annotated[
        Share,
        outcomes("agents are close if they are at most this far below the best one"),
    ] = 0.15
    clarify_min_probability: Annotated[
        Share,
        outcomes("a clarifying question names no agent below this probability"),
    ] = 0.2
    clarify_threshold: Annotated[
        Share,
        outcomes(
            "ask from this probability on that a question is needed; decision models state it",
        ),
    ] = 0.8
    clarify_text: Annotated[
        Annotated[Sentence, Field(min_length=1)],
        outcomes("the sentence before the names of the agents"),
    ] = "Which of these should help you?"
    several: Annotated[
        bool,
        outcomes("name several agents if a message has requests for more than one"),
    ] = False
    several_threshold: Annotated[
        Share,
        outcomes(
            "name several from this probability on that several are needed; decision models state"
            " it",
        ),
    ] = 0.8
    several_min_probability: Annotated[
        Share,
        outcomes("none of several agents has less than this probability"),
    ] = 0.2
    several_answers: Annotated[
        SeveralAnswers,
        outcomes(
            "a chat for several agents is answered by the first one, or by all, one after another",
        ),
    ] = "first"
    several_text: Annotated[
        Sentence,
        outcomes(
            "the sentence after the first agent's answer, with {agent} and {others}; empty: none",
        ),
    ] = "{agent} answered this. {others} can help with the rest of your message."
    session_idle_minutes: Annotated[
        Annotated[int, Field(ge=0, le=10_080), INTEGRAL],
        About(
            "routing",
            "how long a session is remembered after its last request; 0: sessions are not"
            " remembered",
            unit="minutes",
        ),
    ] = 30
    route_background_prompts: Annotated[
        bool, About("routing", "choose an agent for titles and tags of chat interfaces too")
    ] = False
    log_queries: Annotated[
        bool,
        About("storage", "off: log rows hold no text, and AI Gateway's log neither"),
    ] = True
    redact_personal_data: Annotated[
        bool,
        About(
            "storage",
            "replace e-mail addresses, phone and card numbers in everything that is stored;"
            " AI Gateway's log then holds no texts",
        ),
    ] = False
    implicit_signals: Annotated[
        bool,
        About(
            "storage",
            "record if a person asks the same in other words, wants a human or says thanks; of"
            " requests with a session or a user",
        ),
    ] = False
    retention_days: Annotated[
        Annotated[int, Field(ge=1, le=3_650), INTEGRAL],
        About("storage", "how long log rows are kept", unit="days"),
    ] = 90
    audit_retention_days: Annotated[
        Annotated[int, Field(ge=30, le=3_650), INTEGRAL] | None,
        About("storage", "how long audit entries are kept; none: forever", unit="days"),
    ] = None
    classifier: Annotated[
        ClassifierId | None,
        About("classifier", "the selected classifier", per_router=True),
    ] = None
    model_shortlist: Annotated[ModelShortlist, ABOUT_SHORTLIST] = "auto"
    learning: Annotated[
        Learning,
        About(
            "classifier",
            "observe: train classifiers when enough is new, and count what they would have"
            " answered; on: enable those that pass, too; off: neither",
        ),
    ] = "observe"
    classifier_target: Annotated[
        TargetAccuracy,
        About("classifier", "precision that trainings are calibrated to"),
    ] = 0.98
    classifier_min_labels: Annotated[
        MinLabels,
        About(
            "classifier",
            "an agent with fewer labels is never answered by the classifier",
            unit="labels",
        ),
    ] = 5
    machine_label_confidence: Annotated[
        Share,
        About(
            "classifier",
            "a decision of a model is a machine label from this confidence on, or if it states"
            " none",
        ),
    ] = 0.8
    machine_labels_per_agent: Annotated[
        Annotated[int, Field(ge=0, le=10_000), INTEGRAL],
        About(
            "classifier",
            "machine labels of an agent that a training uses, the newest ones; 0: none",
            unit="machine labels",
        ),
    ] = 1_000
    embedding_model: Annotated[
        ModelId | None,
        About(
            "classifier",
            "the embedding model that helps where the classifier is not sure; none: no query is"
            " sent to one",
        ),
    ] = None
    follow_up_decisions: Annotated[
        Annotated[int, Field(ge=0, le=10_000), INTEGRAL],
        About(
            "classifier",
            "turns of conversations that a training learns follow-ups from: labels, filled up with"
            " the newest machine labels; 0: labels alone",
            unit="turns",
        ),
    ] = 2_000
    audit_sample_share: Annotated[
        Share,
        About(
            "classifier",
            "share of audit samples",
            per_router=True,
            deprecated=("classifier_shadow_share",),
        ),
    ] = 0.02
    retrain_after_labels: Annotated[
        Labels | None,
        About("classifier", "new labels after which a training starts; none: never", unit="labels"),
    ] = None
    promotion_alpha: Annotated[
        Annotated[float, Field(gt=0, lt=0.5, allow_inf_nan=False)],
        About("promotion", "significance level of the promotion check and of the rules"),
    ] = 0.05
    promotion_margin: Annotated[
        Annotated[float, Field(gt=0, le=0.5, allow_inf_nan=False)],
        About("promotion", "accuracy that a model may lose in the promotion check"),
    ] = 0.02
    promotion_min_labels: Annotated[
        Labels,
        About(
            "promotion", "questions that the promotion check and the rules require", unit="labels"
        ),
    ] = 100
    promotion_max_cost_ratio: Annotated[
        Ratio,
        About("promotion", "cost of a challenger's decision, relative to the active model's"),
    ] = 2.0
    promotion_max_latency_ratio: Annotated[
        Ratio,
        About(
            "promotion", "p50 latency of a challenger's decision, relative to the active model's"
        ),
    ] = 2.0
    auto_promote: Annotated[
        bool,
        About("promotion", "select a challenger that is better"),
    ] = False
    auto_rollback: Annotated[
        bool,
        About("promotion", "after that, undo it if the model turns out worse"),
    ] = False
    routing_tests_required: Annotated[
        bool,
        About("promotion", "select only what has passed the routing tests"),
    ] = False


SETTINGS = declared_settings(SettingValues)
ROUTER_SETTINGS = {name: each for name, each in SETTINGS.items() if each.about.per_router}
DECIDING_SETTINGS = {name: each for name, each in SETTINGS.items() if each.about.decides}
_Model = TypeVar("_Model", bound=BaseModel)


def with_settings(
    field_of: Callable[[Declared], tuple[Any, Any]],
    settings: Mapping[str, Declared] = SETTINGS,
) -> Callable[[type[_Model]], type[_Model]]:
    """Adds one field for each setting to a model: its type, and its default or FieldInfo."""

    def add(model: type[_Model]) -> type[_Model]:
        added: dict[str, Any] = {name: field_of(each) for name, each in settings.items()}
        return create_model(
            model.__name__,
            __base__=model,
            __module__=model.__module__,
            __doc__=model.__doc__,
            **added,
        )

    return add


@with_settings(lambda each: (each.type, each.default))
class StoredConfig(BaseModel):
    """What the table `config` may hold: settings, and what is stored like one. `cache_epoch` counts
    the flushes of the caches, and is part of every cache key; `previous_model` was the active model
    before the present one was made active; `learned` is what the rules of learning did last."""

    challenger: Challenger | None = None
    cache_epoch: int = 0
    previous_model: ModelId | None = None
    learned: LearnedState = Field(default_factory=LearnedState)

    def values(self) -> dict[str, Any]:
        """The settings by name."""
        return {name: getattr(self, name) for name in SETTINGS}
