"""Replays: logged queries through a changed configuration. Nothing is written but the report, and
the changes can be applied afterwards."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
)

from edgeneuro.domain.agent import ModelId
from edgeneuro.domain.classifier import ClassifierId, Seed
from edgeneuro.domain.config_models import DecidingSettings
from edgeneuro.domain.decision import Layer
from edgeneuro.domain.fields import Id, Timestamp, after_its_beginning, hide_defaults
from edgeneuro.domain.proposal import (
    MAX_AGENT_CHANGES,
    MAX_RULE_CHANGES,
    AgentChange,
    Proposal,
    RuleChange,
)
from edgeneuro.domain.replay_report import (
    Cell,
    ChangedShare,
    LabelledResult,
    LayerCount,
    ModelCalls,
    ReplayCost,
)
from edgeneuro.domain.router_names import RouterId
from edgeneuro.domain.setting import Share
from edgeneuro.errors import Reason

ID_PREFIX = "rpl"
MAX_QUERIES = 5_000
DEFAULT_QUERIES = 1_000
MAX_TRIES = 3  # of one query whose model call fails
ReplayState = Literal["queued", "running", "succeeded", "failed", "cancelled"]
Baseline = Literal["logged", "current"]
# Why a logged query is not in the report.
LeftOut = Literal[
    "no_text", "bypassed", "label", "failed_before", "no_agents", "budget", "failed", "deleted"
]
_CHANGED_FIELDS = {"model_id": "changes.model", "classifier_id": "changes.classifier"}


def field_of_changes(name: str) -> str:
    """How a field of the proposal is named in the request."""
    return _CHANGED_FIELDS.get(name, f"changes.{name}")


class ProposedChanges(BaseModel):
    """What is tried; at least one field. `model` becomes the active model, `classifier` the
    classifier in front of it (null: none). `settings` are those that decide. `agents` and `rules`
    are changed by their `id`; others are new ones."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra=hide_defaults)

    agents: Annotated[list[AgentChange], Field(max_length=MAX_AGENT_CHANGES)] = Field(
        default_factory=list
    )
    rules: Annotated[list[RuleChange], Field(max_length=MAX_RULE_CHANGES)] = Field(
        default_factory=list
    )
    settings: DecidingSettings | None = None
    model: ModelId | None = None
    classifier: ClassifierId | None = None

    def proposal(self) -> Proposal:
        given = {name: getattr(self, name) for name in self.model_fields_set}
        names = {"model": "model_id", "classifier": "classifier_id"}
        return Proposal.model_construct(
            _fields_set={names.get(name, name) for name in given},
            **{names.get(name, name): value for name, value in given.items()},
        )

    def content(self) -> dict[str, Any]:
        """As it was sent, for storing."""
        return self.model_dump(mode="json", exclude_unset=True)


def _count_or_share(sample: float) -> float:
    if sample >= 1 and not sample.is_integer():
        raise ValueError("must be a whole number of queries, or a share below 1")
    return sample


Sample = Annotated[
    float,
    Field(gt=0, le=MAX_QUERIES, allow_inf_nan=False),
    AfterValidator(_count_or_share),
]


class ReplayFilter(BaseModel):
    """Only log rows of this router, agent, layer, reason or key, only questions with a label (or
    without one), only decisions with a confidence in this range."""

    model_config = ConfigDict(extra="forbid", strict=True)

    router: RouterId | None = None
    agent: Id | None = None
    layer: Layer | None = None
    reason: Reason | None = None
    key: Id | None = None
    labelled: bool | None = None
    min_confidence: Share | None = None
    max_confidence: Share | None = None


class ReplayCreate(BaseModel):
    """The logged queries from `from` on and before `to` (default: now), of these a `sample`: how
    many at most, or a share below 1, drawn at random, the same ones for the same `seed`. `filter`
    narrows them. Each is replayed in its router; the changes are those of the installation, so they
    reach a router as far as it has no values of its own. `baseline` is what the changes are
    compared with: "logged", the decisions as they were made, which costs nothing, or "current", the
    decisions of the present configuration, made again. With `max_cost_usd` the replay calls only
    models with a price, and no model once that would be exceeded; 0 calls no model that costs
    anything."""

    model_config = ConfigDict(extra="forbid", strict=True)

    since: Annotated[Timestamp, Field(alias="from")]
    to: Timestamp | None = None
    sample: Sample = DEFAULT_QUERIES
    seed: Seed = 0
    filter: ReplayFilter = Field(default_factory=ReplayFilter)
    baseline: Baseline = "logged"
    max_cost_usd: Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False)] | None = None
    changes: ProposedChanges

    _after_since = field_validator("to")(after_its_beginning)


class ReplayEstimate(BaseModel):
    """Upper bounds, before the start: `model_calls` if no ranking can be reused and no call fails,
    and what they cost at most, null if a price is not known."""

    model_calls: int
    cost_usd: float | None


class ReplayProgress(BaseModel):
    done: int
    total: int


class Replay(BaseModel):
    """`drawn` queries were drawn of the `eligible` ones in the window; if the window has more log
    rows than can be looked at, `looked_at` of its `rows` were, drawn at random. `left_out` counts
    those that are not compared, by reason: "no_text" (the text was not stored), "bypassed" (the
    request named a model, or had `cache` false), "rerouted" (it replaced another decision),
    "session" (an agent of the session waited for the message), "label"
    (a label decided: that of the question would decide again), "failed_before" (no model answered),
    "no_agents" (none of the allowed agents is enabled, or the router is gone), "budget"
    (`max_cost_usd`), "failed" (no model answers now), "deleted" (the log row is gone),
    "unreadable" (it is damaged). `outdated`:
    the configuration has changed since the start, so the report no longer shows what the changes
    would do. From `n` on the fields are the report, null until the replay has succeeded."""

    model_config = ConfigDict(serialize_by_alias=True)

    object: Literal["replay"] = "replay"
    id: str
    state: ReplayState
    created_at: str
    created_by: str
    started_at: str | None
    finished_at: str | None
    error: str | None
    since: Annotated[str, Field(serialization_alias="from")]
    to: str
    sample: int | float
    seed: int
    filter: ReplayFilter
    baseline: Baseline
    max_cost_usd: float | None
    changes: dict[str, Any]
    warnings: list[str]
    rows: int
    looked_at: int
    eligible: int
    drawn: int
    left_out: dict[str, int]
    estimate: ReplayEstimate
    progress: ReplayProgress
    outdated: bool = False
    applied_at: str | None
    applied_by: str | None
    n: int | None = None
    changed: int | None = None
    changed_share: ChangedShare | None = None
    same_agent: int | None = None
    matrix: list[Cell] | None = None
    layers: list[LayerCount] | None = None
    labelled: LabelledResult | None = None
    model_calls: ModelCalls | None = None
    cost: ReplayCost | None = None
    errors: dict[str, int] | None = None


class ReplayDeleted(BaseModel):
    object: Literal["replay.deleted"] = "replay.deleted"
    id: str
    deleted: Literal[True] = True


class ReplayApply(BaseModel):
    """`check` as in POST /v1/models/select, for a changed model or classifier: the default is true
    for a classifier and false for a model."""

    model_config = ConfigDict(extra="forbid", strict=True)
    body_optional: ClassVar[bool] = True

    check: bool | None = None
