"""Routing over HTTP: the request, the response, and the parts of both."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    FiniteFloat,
    StringConstraints,
    Tag,
)

from edgeneuro.domain.agent import AgentId, ModelId
from edgeneuro.domain.chat_message import MAX_MESSAGES, Message
from edgeneuro.domain.clarification import Clarification
from edgeneuro.domain.conversation import (
    Conversation,
    PreviousTurn,
    RouteContext,
    read_conversation,
    with_agent,
)
from edgeneuro.domain.fields import MAX_SHORT_CHARACTERS, QueryText, is_none, without_nul
from edgeneuro.domain.outcome import ChosenAgent, OnNoFit, Outcome, PolicyOptions, SharedAgent
from edgeneuro.domain.router_names import RouterId
from edgeneuro.errors import InvalidRequestError, Reason

# Where a decision was made: a stage's own word ("rule", "session", "label", "cache", "classifier",
# "embedding", "llm", "decision_model"), "fallback" if no stage decided, "direct" if the caller
# named the agent or the model. Each stage declares its word, so this type has no list of them.
Layer = str
# Where a confidence comes from: the number that the model stated, the probabilities of the tokens
# that name the agent, the classifier's probability, a decision model's, or a label, a rule or the
# conversation ("session"), which are certain.
ConfidenceSource = Literal[
    "stated", "logprobs", "classifier", "decision_model", "label", "rule", "session"
]
# What a stage came to: the policy decided from its ranking, or did not, or there was no ranking.
StageOutcome = Literal["decided", "ranked", "skipped"]
CacheScope = Literal["all", "key"]  # who gets a cached answer: every caller, or the same key alone
CacheState = Literal["hit", "miss", "bypass"]
ShortText = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_SHORT_CHARACTERS),
    AfterValidator(without_nul),
]
MetadataKey = Annotated[
    str, StringConstraints(min_length=1, max_length=64), AfterValidator(without_nul)
]
MetadataText = Annotated[str, StringConstraints(max_length=512), AfterValidator(without_nul)]


def _tag(value: Any) -> str:
    """That of the type in MetadataValue; what is none of them is refused as a text."""
    return {bool: "(boolean)", int: "(integer)", float: "(number)"}.get(type(value), "(text)")


MetadataValue = Annotated[
    Annotated[MetadataText, Tag("(text)")]
    | Annotated[bool, Tag("(boolean)")]
    | Annotated[int, Tag("(integer)")]
    | Annotated[FiniteFloat, Tag("(number)")],
    Discriminator(_tag),
]


class RouteRequest(BaseModel):
    """The body of POST /v1/route. What is routed is `query`, or the last message of the role "user"
    in `messages`; what stands after it is ignored. `context` is the turn before it, and of
    `messages` the agent of that turn alone: they say the rest. `session` names the conversation:
    its last turn is remembered, and completes what the request does not say of it. `candidates`
    narrows the choice to these agents. `model` is called instead of the active one. If `fallback`
    is false, a failed upstream is an error and the default agent does not answer, and a named model
    is the only one called. `on_no_fit` says what happens if no agent is decided on: "fallback", the
    default agent answers if it is allowed, or "none", `agent` is null; the default is the setting.
    If `cache` is false, no cached answer is used and nothing is cached. With `model`, or with
    `cache` false, labels and the classifier are skipped. `policy` allows outcomes, or forbids them.
    `top_k` is how many agents `scores` has at most. `router` is the router that decides; the
    default is the key's, else "default". `explain` adds how the decision was made."""

    model_config = ConfigDict(extra="forbid", strict=True)

    query: QueryText | None = None
    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)] | None = None
    context: RouteContext | None = None
    user: ShortText | None = None
    session: ShortText | None = None
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(max_length=16)] | None = None
    candidates: Annotated[list[AgentId], Field(min_length=1, max_length=250)] | None = None
    model: ModelId | None = None
    cache: bool = True
    fallback: bool = True
    on_no_fit: OnNoFit | None = None
    policy: PolicyOptions | None = None
    top_k: Annotated[int, Field(ge=1, le=250)] = 3
    router: RouterId | None = None
    explain: bool = False

    def conversation(self) -> Conversation:
        """Raises InvalidRequestError if there is no question, or if it is there twice."""
        if self.messages is None:
            if self.query is None:
                raise InvalidRequestError(
                    "query: this field is missing; send a text, or `messages`.",
                    code="missing_field",
                    param="query",
                )
            return Conversation(self.query, PreviousTurn.of(self.context))
        if self.query is not None:
            raise InvalidRequestError(
                "messages: `query` is there too; send one of the two.", param="messages"
            )
        found = read_conversation(self.messages)
        if not found.query:
            raise InvalidRequestError(
                "messages: the router needs a text in the last message of the role 'user'."
                " Add one.",
                param="messages",
            )
        return with_agent(found, self.context, param="context")


class Alternative(BaseModel):
    agent_id: str
    score: float


# Made for every stage of every answer, so they are dataclasses: pydantic takes them as they are.
@dataclass(frozen=True, slots=True)
class RankedAgent:
    agent_id: str
    probability: float


@dataclass(frozen=True, slots=True)
class QuestionCut:
    """What was left out of a decision model's question, so that it fits: `agents` are agents beyond
    the 254 that are offered, the other two are characters."""

    agents: int = 0
    agent_characters: int = 0
    state_characters: int = 0


@dataclass(frozen=True, slots=True)
class StageRecord:
    """A stage of the pipeline that ran, in `ms` milliseconds. `outcome` is "decided", "ranked" (it
    ranked the agents, and the next stage was asked all the same) or "skipped" (it has no ranking);
    `reason` says why it did not decide, and of rules what they did. `scores` are the most probable
    agents of its ranking, at most 5, and `none_probability` is the probability that no agent fits,
    null if it is unknown. `calibrated` says whether the best probability is a measured one. `rules`
    are the ids of the rules that had an effect; null in other stages. `offered` are the agents that
    a model was offered, if it was offered the classifier's best ones alone.

    Only a decision model gives the others; null if none was asked, or it did not say.
    `clarify_probability` is the probability that a clarifying question is needed before an agent
    can be chosen, `several_probability` that the message asks for the work of more than one agent,
    `follow_up_probability` that it continues the turn before it (null if none is known).
    The question is cut to the model's context window: `agents_left_out` agents were not offered,
    `agents_cut` characters of the agents' texts and `state_cut` characters of the message and the
    turn before it were left out."""

    name: str
    outcome: StageOutcome
    reason: str | None
    ms: float
    scores: list[RankedAgent]
    none_probability: float | None
    calibrated: bool = False
    clarify_probability: float | None = None
    several_probability: float | None = None
    follow_up_probability: float | None = None
    agents_left_out: int | None = None
    agents_cut: int | None = None
    state_cut: int | None = None
    rules: list[str] | None = None
    offered: list[str] | None = None


def deciding_stage(stages: Iterable[StageRecord]) -> StageRecord | None:
    """The stage from whose ranking the decision was made; None if no stage decided."""
    return next((stage for stage in stages if stage.outcome == "decided"), None)


class Usage(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        if not (other.prompt_tokens or other.completion_tokens or other.total_tokens):
            return self
        if not (self.prompt_tokens or self.completion_tokens or self.total_tokens):
            return other
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            total_tokens=self.total_tokens + other.total_tokens,
        )


CallPurpose = Literal["route", "chat", "questions", "embedding"]
ANSWERED = ("ok", "not_mine")  # outcomes of attempts that are no failures


class Attempt(BaseModel):
    """One call of one model, or of an agent's endpoint, for a decision ("route"), a chat answer
    ("chat"), questions to a decision model ("questions") or a vector ("embedding"). `outcome` is
    "ok", "not_mine" if the agent says that the turn is for another one, the reason of the failure,
    or "circuit_open" if the model was not called; `code` is the upstream's own code, `fell_back_to`
    the model called next, and `engine` what a development emulator says it is (null in
    production)."""

    purpose: CallPurpose = "route"
    model: str
    adapter: str | None
    provider: str
    outcome: str
    code: str | None = None
    ms: float
    fell_back_to: str | None = None
    engine: str | None = None


class GatewayTrace(BaseModel):
    """AI Gateway's own id of the call in its logs, and whether its cache answered."""

    log_id: str | None = None
    cache_status: str | None = None


class CachedRanking(BaseModel):
    """A ranking as it is cached: before the threshold, so that a new threshold holds for cached
    rankings too. `agent_id` null means that no agent fits; `confidence` is null if it is unknown,
    and `confidence_source` with it. `probabilities` (by agent id) and `none` are null if the model
    gave those of `agent_id` alone. The last three are a decision model's (see StageRecord)."""

    agent_id: str | None
    confidence: Annotated[float, Field(ge=0, le=1)] | None
    confidence_source: ConfidenceSource | None
    layer: Layer
    model: str | None
    adapter: str | None
    probabilities: dict[str, float] | None = None
    none: float | None = None
    clarify_probability: float | None = None
    several_probability: float | None = None
    follow_up_probability: float | None = None


class ClassifierVerdict(BaseModel):
    """The classifier `id` on the query: `score` is the probability that `agent_id` is right, and
    the classifier is sure from `threshold` on (never if that is null). Only if it is sure may it
    decide."""

    id: str
    version: str
    agent_id: str
    score: float
    threshold: float | None
    sure: bool


class ShownQuestion(BaseModel):
    """A question to a decision model in System One's format: "choice" with the options and their
    descriptions as `criteria`, or "noul", yes or no, with the meaning of "true" and "false"."""

    type: Literal["choice", "noul"]
    instructions: str
    criteria: dict[str, str | None]


class Explanation(BaseModel):
    """For `explain`: the prompt that the model gets, and what the decision was measured against. A
    decision model gets `questions`, by their ids, about `state`, and no `messages`; any other model
    gets `messages` alone. `label` says why no label decided, `classifier` why the classifier was
    not asked, or did not decide; null if they did. `stages` are the stages that ran."""

    threshold: float
    prompt_version: str
    agents_revision: str
    cache_key: str
    messages: list[dict[str, str]] | None
    questions: dict[str, ShownQuestion] | None = None
    state: str | None = None
    label: str | None
    classifier: str | None
    stages: list[StageRecord]
    stages_ms: dict[str, float]


class RouteResponse(BaseModel):
    """The answer of POST /v1/route. `outcome` is "agent" if a stage decided on the agent,
    "fallback" if none did and the default agent answers, or "none" if nobody answers (`agent` is
    null); `reason` says why. It is "agents" if the message is for several: `agents` are at most
    three, the best first, and `agent` is the first of them. It is "clarify" if two or three agents
    are too close: `clarify` is the question to ask, and `agent` is who answers if nobody can be
    asked. `confidence` is the probability of the agent that was decided on, else null. It is also
    null if the model gave no number (an adapter without token probabilities); such a decision holds
    whatever the threshold. `confidence_source` says where the number comes from. `calibrated` is
    true if the probability of the best agent is a measured one: a classifier's, or that of a model
    whose calibration is in force. Then it is the share of such answers that were right on labeled
    questions. `layer` is the layer that decided: "rule", "session" (an agent waits for the message,
    it is the reply to a clarifying question, or the agent of the turn before stays by rule),
    "label", "cache", "classifier", "llm", "decision_model", or "fallback". `follow_up` is true if a
    stage decided on the agent of the turn before. `scores` are the most probable agents by the
    ranking that the decision was made from, the best first, and `none_probability` is the
    probability that no agent fits. A model that names one agent gives the probability of that one
    alone, and then `none_probability` is null; if it gives no number, `scores` is empty. A decision
    model gives all. `alternatives` is deprecated: use `scores`. `cost_usd` is null if a price is
    not known.
    `classifier` is null if it was not asked. `session` is the session in which the decision is
    remembered, `rerouted_from` the decision that this one replaces."""

    id: str
    object: Literal["decision"] = "decision"
    created: int
    outcome: Outcome
    agent: ChosenAgent | None
    agents: list[SharedAgent] | None = Field(default=None, exclude_if=is_none)
    clarify: Clarification | None = Field(default=None, exclude_if=is_none)
    confidence: float | None
    confidence_source: ConfidenceSource | None
    calibrated: bool
    layer: Layer
    follow_up: bool = False
    reason: Reason | None
    scores: list[RankedAgent]
    none_probability: float | None
    alternatives: list[Alternative]
    model: str | None
    adapter: str | None
    cache: CacheState
    classifier: ClassifierVerdict | None = None
    attempts: list[Attempt]
    usage: Usage
    cost_usd: float | None
    latency_ms: float
    gateway: GatewayTrace
    session: str | None = None
    rerouted_from: str | None = None
    explanation: Explanation | None = None
