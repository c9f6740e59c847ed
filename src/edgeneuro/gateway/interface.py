"""The interface to the models: one request to one model, and its answer, whole or as a stream.
gateway/chain.py decides which model is called after a failure."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from edgeneuro.domain.caller import CallerIdentity
from edgeneuro.domain.catalogue import BaseModelFacts
from edgeneuro.domain.decision import GatewayTrace, Usage
from edgeneuro.domain.images import Images
from edgeneuro.domain.provider import Provider
from edgeneuro.domain.question import Answer, Question
from edgeneuro.domain.session import AgentMemory
from edgeneuro.domain.trace import Trace


@dataclass(frozen=True, kw_only=True)
class UpstreamRequest:
    """What all requests to a model have. `model` is the base model's id as its provider names it;
    `provider` None is this account's own Workers AI. `timeout_ms` is for the whole answer, of a
    stream to its first part. `cache_key` None skips AI Gateway's cache; `metadata` (at most 5 flat
    entries) is for AI Gateway's own logs, which store no texts if `collect_payload` is false.
    `session` is the name under which AI Gateway groups its logs. `images` are those for which the
    request holds placeholders."""

    model: str
    provider: Provider | None = None
    timeout_ms: int
    cache_key: str | None
    cache_ttl_seconds: int
    metadata: dict[str, str]
    collect_payload: bool = True
    trace: Trace | None = None
    session: str | None = None
    images: Images = field(default_factory=Images)


@dataclass(frozen=True, kw_only=True)
class ModelRequest(UpstreamRequest):
    """A request for text. `messages` and `parameters` are in OpenAI's format (temperature,
    max_tokens, tools, response_format, …); `response_schema` asks for JSON mode with this schema.
    `idle_ms` is for the longest silence within a stream. `memory` and `caller` are for an agent's
    endpoint: the ids under which it knows the conversation, and who asks."""

    adapter: str | None
    messages: list[dict[str, Any]]
    parameters: dict[str, Any] = field(default_factory=dict)
    response_schema: dict[str, Any] | None = None
    idle_ms: int = 30_000
    memory: AgentMemory | None = None
    caller: CallerIdentity | None = None


@dataclass(frozen=True, kw_only=True)
class DecisionRequest(UpstreamRequest):
    """Questions to a decision model, by their ids, about `state`: a text, or JSON. A list of
    objects with `role` and `content` is a conversation. `image_urls` belong to the state."""

    state: Any
    questions: Mapping[str, Question]
    image_urls: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DecisionAnswer:
    """`answers` has those of the request's questions that the model answered; each fits its
    question (domain/question.py)."""

    answers: Mapping[str, Answer]
    usage: Usage = field(default_factory=Usage)
    trace: GatewayTrace = field(default_factory=GatewayTrace)
    engine: str | None = None


@dataclass(frozen=True, kw_only=True)
class EmbeddingRequest(UpstreamRequest):
    """Texts for an embedding model, at most 100."""

    texts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class EmbeddingAnswer:
    """`vectors` has one for each text, in the same order: finite numbers, all of one width, never
    all 0. `usage` is an estimate by the texts' length if the model does not report it."""

    vectors: tuple[Sequence[float], ...]
    usage: Usage = field(default_factory=Usage)
    trace: GatewayTrace = field(default_factory=GatewayTrace)
    engine: str | None = None


@dataclass(frozen=True)
class Token:
    """A token of an answer, and the logarithm of its probability."""

    text: str
    logprob: float


@dataclass(frozen=True)
class NotMine:
    """An agent at an endpoint says that the turn is not for it; `reason` is its own. `usage` is
    what it has used to find out, None if it does not say."""

    reason: str | None = None
    usage: Usage | None = None


@dataclass(frozen=True, kw_only=True)
class AgentState:
    """What an agent says of itself beside its answer. `context_id` is its id of the conversation,
    and `task_id` that of the task if it `waits` for the user's reply. `done` says that the
    conversation is over."""

    context_id: str | None = None
    task_id: str | None = None
    waits: bool = False
    done: bool = False


@dataclass(frozen=True, kw_only=True)
class ModelAnswer:
    """`content` is a text, an object if the model answered in JSON mode, or None if it only
    calls tools. `tool_calls` are in OpenAI's shape. `tokens` are those of the text, if the
    request set `logprobs` and the model returns them. `agent_state` counts only from an agent's
    endpoint. With `not_mine` there is no answer."""

    content: str | dict[str, Any] | None
    tool_calls: tuple[dict[str, Any], ...] = ()
    finish_reason: str = "stop"
    usage: Usage = field(default_factory=Usage)
    trace: GatewayTrace = field(default_factory=GatewayTrace)
    engine: str | None = None
    tokens: tuple[Token, ...] = ()
    agent_state: AgentState | None = None
    not_mine: NotMine | None = None


@dataclass(frozen=True, kw_only=True)
class Delta:
    """A part of a streamed answer; `tool_calls` are OpenAI's deltas. The last part has the usage,
    if the model reports it. `agent_state` is as far as it is known by then. A part with `not_mine`
    is the first one: there is no answer."""

    content: str = ""
    tool_calls: tuple[dict[str, Any], ...] = ()
    finish_reason: str | None = None
    usage: Usage | None = None
    agent_state: AgentState | None = None
    not_mine: NotMine | None = None


@dataclass(frozen=True, kw_only=True)
class ModelStream:
    """`deltas` ends when the model's answer is complete. It raises errors.UpstreamError if the
    stream breaks off (UpstreamCutError), is silent for too long (UpstreamTimeoutError) or reports
    an error. Its `aclose()` stops the upstream."""

    deltas: AsyncGenerator[Delta, None]
    trace: GatewayTrace = field(default_factory=GatewayTrace)


class Gateway(Protocol):
    async def run(self, request: ModelRequest, /) -> ModelAnswer:
        """Raises errors.UpstreamError, of the class that says why there is no answer."""

    async def stream(self, request: ModelRequest, /) -> ModelStream:
        """Returns when the first part has arrived. Raises the same errors as `run`."""

    async def decide(self, request: DecisionRequest, /) -> DecisionAnswer:
        """Asks a decision model. Raises the same errors as `run`, InvalidOutputError for an answer
        that is not one to these questions; StaleAnswerError if it came from AI Gateway's cache, so
        that another call past the cache may have a better one."""

    async def embed(self, request: EmbeddingRequest, /) -> EmbeddingAnswer:
        """Asks an embedding model. Raises the same errors as `run`; InvalidOutputError,
        StaleAnswerError if it came from AI Gateway's cache, for vectors that cannot be used."""

    def supports_batch_fallback(self, request: ModelRequest, /) -> bool:
        """Whether the request may be one of those of `run_any`: AI Gateway supports its provider
        over HTTPS, and its credential is configured."""

    async def run_any(self, requests: Sequence[ModelRequest], /) -> tuple[int, ModelAnswer]:
        """One call to AI Gateway's universal endpoint, which calls the models in order until one
        answers, each within its own timeout: the index of that model, and its answer. Raises the
        error of the last one."""

    async def models(self) -> list[BaseModelFacts]:
        """Workers AI's own catalogue of text generation and embedding models. Raises
        errors.UpstreamError."""

    async def is_decision_model(self, model: str, /) -> bool | None:
        """By the input schema of a model of Workers AI; None if that cannot be read without
        Cloudflare's credentials. Raises errors.UpstreamError."""

    async def patch_log(self, log_id: str, /, *, feedback: int, score: int | None = None) -> None:
        """Adds feedback to AI Gateway's log of an answer: `feedback` is 1 or -1, `score` from 0 to
        100. Raises errors.UpstreamError."""
