"""Decisions: what the router answers, and what it is asked."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, StringConstraints

from edgeneuro.domain.agent import Agent, AgentId, AgentProtocol, ModelId
from edgeneuro.domain.fields import QueryText
from edgeneuro.errors import Reason

# "direct": the caller named the agent or the model, so nothing was decided.
Layer = Literal["label", "cache", "classifier", "llm", "fallback", "direct"]
# "agent": a stage named the agent; "fallback": none did well enough and the default agent answers;
# "none": none did and nobody answers.
Outcome = Literal["agent", "fallback", "none"]
OnNoFit = Literal["fallback", "none"]
# Where a confidence comes from: the model's own word, the probabilities of the tokens that name the
# agent, the classifier's probability, or a label, which is certain.
ConfidenceSource = Literal["stated", "logprobs", "classifier", "label"]
CacheScope = Literal["all", "key"]  # who is given a cached answer: every caller, or who asked
CacheState = Literal["hit", "miss", "bypass"]
Label = Annotated[str, StringConstraints(min_length=1, max_length=200)]
MetadataKey = Annotated[str, StringConstraints(min_length=1, max_length=64)]
MetadataText = Annotated[str, StringConstraints(max_length=512)]
MetadataValue = MetadataText | bool | int | FiniteFloat


class RouteRequest(BaseModel):
    """The body of POST /v1/route. `candidates` narrows the choice to these agents; `model` is asked
    instead of the active one; with `fallback` false a failed upstream becomes an error instead of
    the default agent, and a model that is named is the only one asked. `on_no_fit` says what
    happens if no agent is decided on: "fallback", the default agent answers if it is allowed, or
    "none", `agent` is null; unset, the setting holds. `cache` false asks again and caches nothing;
    with `model` or `cache` false labels and the classifier are skipped; `explain` adds how the
    decision came about."""

    model_config = ConfigDict(extra="forbid", strict=True)

    query: QueryText
    user: Label | None = None
    session: Label | None = None
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(max_length=16)] | None = None
    candidates: Annotated[list[AgentId], Field(min_length=1, max_length=250)] | None = None
    model: ModelId | None = None
    cache: bool = True
    fallback: bool = True
    on_no_fit: OnNoFit | None = None
    explain: bool = False


class ChosenAgent(BaseModel):
    """`protocol` says how the endpoint is spoken to; null where there is none."""

    id: str
    name: str
    endpoint: str | None
    protocol: AgentProtocol | None

    @classmethod
    def of(cls, agent: Agent) -> "ChosenAgent":
        protocol = None if agent.endpoint is None else agent.protocol
        return cls(id=agent.id, name=agent.name, endpoint=agent.endpoint, protocol=protocol)


class Alternative(BaseModel):
    agent_id: str
    score: float


class Usage(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            total_tokens=self.total_tokens + other.total_tokens,
        )


class Attempt(BaseModel):
    """One try of one model, or an agent's endpoint, on the way to a decision ("route") or to a chat
    answer ("chat"). `outcome` is "ok", why it failed, or "circuit_open" where the model was passed
    over; `code` is the upstream's own code, `fell_back_to` who was asked next, and `engine` what a
    development stand-in says it is (null in production)."""

    purpose: Literal["route", "chat"] = "route"
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


class Answer(BaseModel):
    """What a stage says of a query: `agent_id` null means that no agent fits. `confidence` is null
    where it is unknown, and `confidence_source` with it. This is what is cached, so that a new
    threshold holds for cached answers too."""

    agent_id: str | None
    confidence: Annotated[float, Field(ge=0, le=1)] | None
    confidence_source: ConfidenceSource | None
    layer: Layer
    model: str | None
    adapter: str | None


class ClassifierVerdict(BaseModel):
    """What the classifier `id` said: `score` is the probability that `agent_id` is right, and from
    `threshold` on it is sure (never where that is null). Only where it is sure it may answer."""

    id: str
    version: str
    agent_id: str
    score: float
    threshold: float | None
    sure: bool


class Explanation(BaseModel):
    """For `explain`: the prompt that the model gets, and what the decision was measured against.
    `label` says why no label decided, `classifier` why the classifier was not asked, or did not
    answer; null where they did."""

    threshold: float
    prompt_version: str
    agents_revision: str
    cache_key: str
    messages: list[dict[str, str]]
    label: str | None
    classifier: str | None
    stages_ms: dict[str, float]


class Decision(BaseModel):
    """The answer of POST /v1/route. `outcome` says whether a stage named the agent ("agent"), the
    default agent answers because none did well enough ("fallback"), or nobody does ("none", `agent`
    is null); `reason` says why. `confidence` is that of the agent that a stage named, else null; it
    is also null where the model gave none (an adapter without token probabilities), and such an
    answer is decided whatever the threshold. `confidence_source` says where the number comes from.
    `cost_usd` is null where no price is known. `classifier` is null where it was not asked."""

    id: str
    object: Literal["decision"] = "decision"
    created: int
    outcome: Outcome
    agent: ChosenAgent | None
    confidence: float | None
    confidence_source: ConfidenceSource | None
    layer: Layer
    reason: Reason | None
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
    explanation: Explanation | None = None
