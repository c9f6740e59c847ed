"""Chat answers in OpenAI's shape, whole and in chunks, with our facts beside them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from edgeneuro.domain.clarification import Clarification
from edgeneuro.domain.decision import (
    Attempt,
    CacheState,
    ConfidenceSource,
    Explanation,
    Layer,
    Usage,
)
from edgeneuro.domain.fields import is_none
from edgeneuro.domain.handoff import Handoff
from edgeneuro.domain.outcome import ChosenAgent, Outcome, SharedAgent
from edgeneuro.errors import Reason


def _is_empty(value: object) -> bool:
    return not value


class ChatAnswer(BaseModel):
    """A model's whole answer, as it is cached."""

    content: str | None
    tool_calls: list[dict[str, Any]] = Field(default_factory=list)
    finish_reason: str


class FunctionCall(BaseModel):
    """A tool call in the words of clients that know functions only; in a stream, a part of it."""

    name: str | None = Field(default=None, exclude_if=is_none)
    arguments: str = ""


class Reroute(BaseModel):
    """An agent that said "not mine", with its reason, and the agent that got the same turn next;
    `to` is null where nobody did. `decision_id` is the decision for the first of them."""

    model_config = ConfigDict(serialize_by_alias=True)

    from_: str = Field(serialization_alias="from")
    to: str | None
    reason: str | None
    decision_id: str


class ChatFacts(BaseModel):
    """How the answer came about: `outcome`, `agent`, `confidence`, its source, `layer` and `reason`
    are the decision's (layer "direct" where the caller named who answers; `outcome` is null for a
    model), and so are `agents` (the message is for several) and `clarify` (the answer is this
    question, `agent` is null and `model` is the router's name). `attempts` and `cost_usd` are those
    of routing and answering together, `rerouted` the agents of this request that handed the turn
    back, in order. `session` is the session in which the turn is remembered. In a stream, the first
    chunk has them as they are by then and the last one as they came to be."""

    decision_id: str
    outcome: Outcome | None
    agent: ChosenAgent | None
    agents: list[SharedAgent] | None = Field(default=None, exclude_if=is_none)
    clarify: Clarification | None = Field(default=None, exclude_if=is_none)
    confidence: float | None
    confidence_source: ConfidenceSource | None
    layer: Layer
    reason: Reason | None
    cache: CacheState
    attempts: list[Attempt]
    cost_usd: float | None
    latency_ms: float
    rerouted: list[Reroute] = Field(default=[], exclude_if=_is_empty)
    handoff: Handoff | None = Field(default=None, exclude_if=is_none)
    session: str | None = Field(default=None, exclude_if=is_none)
    explanation: Explanation | None = Field(default=None, exclude_if=is_none)


class AnswerMessage(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: None = None
    tool_calls: list[dict[str, Any]] | None = Field(default=None, exclude_if=is_none)
    function_call: FunctionCall | None = Field(default=None, exclude_if=is_none)


class Choice(BaseModel):
    index: int = 0
    message: AnswerMessage
    logprobs: None = None
    finish_reason: str


class ChatCompletion(BaseModel):
    """`model` is the one that answered, whichever was asked for."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    system_fingerprint: None = None
    edgeneuro: ChatFacts


class ChunkDelta(BaseModel):
    role: Literal["assistant"] | None = Field(default=None, exclude_if=is_none)
    content: str | None = Field(default=None, exclude_if=is_none)
    tool_calls: list[dict[str, Any]] | None = Field(default=None, exclude_if=is_none)
    function_call: FunctionCall | None = Field(default=None, exclude_if=is_none)


class ChunkChoice(BaseModel):
    index: int = 0
    delta: ChunkDelta
    logprobs: None = None
    finish_reason: str | None = None


class ChatCompletionChunk(BaseModel):
    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None = Field(default=None, exclude_if=is_none)
    system_fingerprint: None = None
    edgeneuro: ChatFacts | None = Field(default=None, exclude_if=is_none)
