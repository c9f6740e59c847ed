"""Log entries: one per answer of the router or of a chat, with all that led to it."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from edgeneuro.domain.conversation import RouteContext
from edgeneuro.domain.decision import (
    Alternative,
    Attempt,
    CacheState,
    ClassifierVerdict,
    ConfidenceSource,
    GatewayTrace,
    Layer,
    MetadataValue,
    ShownQuestion,
    StageRecord,
    Usage,
)
from edgeneuro.domain.fields import Id, Page, PageQuery, Timestamp
from edgeneuro.domain.label import GivenFeedback, LabelChange, LabelFacts
from edgeneuro.domain.outcome import Outcome
from edgeneuro.domain.signal import Signal
from edgeneuro.errors import Reason

# What the row is of: a decision, a chat, or questions to a decision model.
Kind = Literal["route", "chat", "questions"]
Ending = Literal["complete", "cut", "client_gone"]


class LogEntry(BaseModel):
    """`agent_id` is null where no agent answered, so also for the `outcome` "clarify"; for "agents"
    it is the first of them. `outcome` is null where nothing was decided: an error, or a model that
    the caller named. `confidence` is that of the agent that a stage named, else null;
    `stated_confidence` is what a stage stated for its answer, whatever came of it: 0 where there
    was no answer, null where the model gave no number. `confidence_source` says where it comes
    from: the model's own word ("stated"), the probabilities of its tokens ("logprobs"), a decision
    model, the classifier or a label; null where there is none, and in older rows. `reason`
    "out_of_scope" says that the answer was that no agent fits. `status` is the answer's HTTP
    status, and `ending` how a stream ended that had begun with it. `upstream_ms` of `latency_ms`
    were spent waiting for models. `agents_revision` and `prompt_version` say which agents and which
    prompt the model saw; `classifier` is what the classifier said, null where it was not asked.
    While the setting log_queries is off, `query` is empty and `query_hash` null; this one is null,
    too, where the caller named who answers: nothing was decided there. `context` is the turn before
    the message, as far as the router knew it. `router` is the named router that decided; null: the
    default one. `routing_cost_usd` is the part of `cost_usd` that the decision cost; null where
    nothing was routed, where a price is not known, and in older rows. `rerouted_from` is the
    decision that this one replaces. `trace_id` is that of W3C trace context."""

    object: Literal["log"] = "log"
    id: str
    kind: Kind
    ending: Ending = "complete"
    created_at: str
    request_id: str
    trace_id: str | None
    key_id: str
    query: str
    query_hash: str | None
    context: RouteContext | None = None
    user: str | None
    session: str | None
    metadata: dict[str, MetadataValue] | None
    candidates: list[str] | None
    router: str | None = None
    rerouted_from: str | None = None
    status: int
    outcome: Outcome | None = None
    agent_id: str | None
    confidence: float | None
    stated_confidence: float | None
    confidence_source: ConfidenceSource | None = None
    threshold: float
    layer: Layer
    reason: Reason | None
    alternatives: list[Alternative]
    model: str | None
    adapter: str | None
    cache: CacheState
    attempts: list[Attempt]
    usage: Usage
    cost_usd: float | None
    routing_cost_usd: float | None = None
    classifier: ClassifierVerdict | None = None
    latency_ms: float
    upstream_ms: float
    gateway: GatewayTrace
    prompt_version: str
    agents_revision: str


class LogItem(LogEntry):
    """A log entry and what people said of it: the label in force of its question, and each key's
    last feedback; `signals` are weak feedback. `rerouted_to` is the decision that replaced it."""

    label: LabelFacts | None
    feedback: list[GivenFeedback]
    signals: list[Signal] = []
    rerouted_to: str | None = None


class LogRecord(LogItem):
    """`label_history` is that of the question, newest first, the last 100 entries. `messages` is
    the prompt that a model is sent for the query; null where the text was not stored, nothing was
    decided, the agents or the prompt have changed since, or fewer agents were offered. A decision
    model is sent `questions` about `state` instead; null for other models and in the same cases,
    and where there are more agents than one question can offer. `stages` are the stages of the
    pipeline that ran, with the most probable agents of each; null where nothing was routed, and in
    rows of version 0.1.0."""

    label_history: list[LabelChange]
    stages: list[StageRecord] | None = None
    messages: list[dict[str, str]] | None = None
    questions: dict[str, ShownQuestion] | None = None
    state: str | None = None


_METADATA = "metadata."
Named = Annotated[str, Field(min_length=1, max_length=200)]
MetadataFilter = Annotated[str, Field(min_length=1, max_length=512)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
LatencyBound = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]


class LogsPage(Page[LogItem]):
    """`searched_from` is the time of the oldest row that was looked at, if older ones may fit: the
    page may then be shorter than `limit`, or empty, and `last_id` is that row's. `newest_id`, on
    pages without `after`, is the row that was written last, whether it fits or not: what is written
    later is listed with `written_after`."""

    searched_from: str | None = None
    newest_id: str | None = None


def is_unspaced(text: str) -> bool:
    """Whether it is of a script that writes no blanks between words: Thai, Lao, Burmese, Khmer,
    Japanese, Chinese; and Korean, whose words have endings."""
    return any(
        "\u0e00" <= character <= "\u0eff"
        or "\u1000" <= character <= "\u109f"
        or "\u1780" <= character <= "\u17ff"
        or "\u3040" <= character <= "\u9fff"
        or "\uac00" <= character <= "\ud7af"
        or "\uf900" <= character <= "\ufaff"
        or character >= "\U00020000"
        for character in text
    )


def search_words(text: str) -> list[str]:
    """The words of a search; what has no letter and no digit is no word to the full text index."""
    words = text.replace("\0", " ").split()
    return [word for word in words if any(character.isalnum() for character in word)]


class LogsFilter(BaseModel):
    """`model` is a base model or an adapter, `outcome` what was decided (rows of version 0.1.0 have
    none and are not found by it), `error` whether the status is another one than 200, `labelled`
    whether a label is in force, `label` the agent of that label or "none", `misrouted` whether an
    agent or a caller said that the agent was the wrong one (a signal, or feedback "down"), `from`
    inclusive and `to` exclusive, `q` words that the query must hold, in any order, or parts of
    words of three characters or more. `router` is an id, "default" too. `metadata` is given as
    `metadata.KEY=VALUE`. `min_confidence` and `max_confidence` are about `stated_confidence`, so
    they also find answers that were not sure enough, and none whose confidence is unknown.
    `min_latency_ms` is inclusive and `max_latency_ms` exclusive."""

    model_config = ConfigDict(extra="forbid")

    agent: Id | None = None
    user: Named | None = None
    session: Named | None = None
    metadata: Annotated[dict[str, MetadataFilter], Field(max_length=10)] | None = None
    model: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    layer: Layer | None = None
    reason: Reason | None = None
    kind: Kind | None = None
    outcome: Outcome | None = None
    error: Literal["true", "false"] | None = None
    labelled: Literal["true", "false"] | None = None
    label: Id | None = None
    misrouted: Literal["true", "false"] | None = None
    key: Id | None = None
    router: Id | None = None
    since: Annotated[Timestamp | None, Field(alias="from")] = None
    to: Timestamp | None = None
    q: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    min_confidence: Share | None = None
    max_confidence: Share | None = None
    min_latency_ms: LatencyBound | None = None
    max_latency_ms: LatencyBound | None = None

    @model_validator(mode="before")
    @classmethod
    def _gather_metadata(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        facts = {name: given[name] for name in given if name.startswith(_METADATA)}
        rest = {name: value for name, value in given.items() if name not in facts}
        if not facts:
            return rest
        keys = {name.removeprefix(_METADATA): value for name, value in facts.items()}
        return {**rest, "metadata": keys}

    @field_validator("metadata", mode="before")
    @classmethod
    def _has_keys(cls, metadata: Any) -> Any:
        if isinstance(metadata, str):
            raise ValueError("must name a key; send metadata.KEY=VALUE")
        return metadata

    @field_validator("q")
    @classmethod
    def _has_words(cls, q: str | None) -> str | None:
        if q is not None and not search_words(q):
            raise ValueError("must hold a word, of letters or digits")
        return q

    @field_validator("to", "max_confidence")
    @classmethod
    def _in_order(cls, most: Any, info: ValidationInfo) -> Any:
        name = "since" if info.field_name == "to" else "min_confidence"
        least = info.data.get(name)
        if most is not None and least is not None and most < least:
            raise ValueError("is below the other end of the range; swap them")
        return most


class LogsQuery(LogsFilter, PageQuery):
    """A page of those that fit all filters."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 20


class LogsListQuery(LogsQuery):
    """`written_after` is the id of a row: only those that were written later are listed, the last
    one first. A row is written after its answer, so its `created_at` may be older than that of rows
    before it. Nothing is written after a row that is gone."""

    written_after: Annotated[str, Field(min_length=1, max_length=128)] | None = None


MAX_EXPORTED_LOGS = 100_000


class LogsExportQuery(LogsQuery):
    """The filters are those of GET /v1/logs; `limit` is how many lines are wanted at most."""

    limit: Annotated[int, Field(ge=1, le=MAX_EXPORTED_LOGS)] = MAX_EXPORTED_LOGS


class LogsExportEnd(BaseModel):
    """The last line of an export: an export without it was cut. `rows` lines went before it. With
    `has_more` older rows may fit: they are exported with `after` = `last_id`."""

    object: Literal["log_export_end"] = "log_export_end"
    rows: int
    has_more: bool
    last_id: str | None


class LogsSpan(BaseModel):
    """`from` is inclusive, `to` exclusive."""

    model_config = ConfigDict(serialize_by_alias=True)

    from_: str = Field(serialization_alias="from")
    to: str


class LogCount(BaseModel):
    """Of the requests from `start` on: those whose status is not 200 are `errors`, those that the
    fallback agent answered are `fallback_answers`."""

    start: str
    requests: int
    errors: int
    fallback_answers: int


class LogHistogram(LogsSpan):
    """The requests that fit, by time: a bucket each `interval_seconds`, also where there are none;
    they begin at multiples of it in UTC. `total` is their sum. `counted` says what was counted: the
    log rows ("rows"), or their sums by the "hour" or the "day", where more than 20,000 rows are in
    the range and sums know the filters; `from` and `to` are then whole hours or days, and log rows
    that were deleted count too. If only the newest 20,000 rows of the range were looked at,
    `searched_from` is the time of the oldest of them, and `from` too."""

    object: Literal["log_histogram"] = "log_histogram"
    interval_seconds: int
    counted: Literal["rows", "hour", "day"]
    searched_from: str | None = None
    total: int
    buckets: list[LogCount]
