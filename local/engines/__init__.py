"""What an engine is: something that turns a checked request into an answer, whole or in parts."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from local.catalogue import Model
from local.decisions import Decided, DecisionRequest

FinishReason = Literal["stop", "length", "tool_calls"]


@dataclass(frozen=True)
class ToolCall:
    """`arguments` is the JSON text that the model wrote, sound or not."""

    id: str
    name: str
    arguments: str

    def as_dict(self) -> dict[str, Any]:
        function = {"name": self.name, "arguments": self.arguments}
        return {"id": self.id, "type": "function", "function": function}


@dataclass(frozen=True)
class Message:
    role: str
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None


@dataclass(frozen=True)
class Tool:
    name: str
    description: str = ""
    parameters: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class ToolChoice:
    """`name` is the function that must be called, where one is."""

    mode: Literal["auto", "none", "required"] = "auto"
    name: str | None = None


@dataclass(frozen=True)
class JsonMode:
    """JSON output was asked for; without a schema any object will do."""

    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter by name. `folder` holds its two files; None is one that merely exists."""

    name: str
    folder: Path | None = None


@dataclass(frozen=True)
class CompletionRequest:
    model: Model
    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    json_mode: JsonMode | None = None
    lora: Adapter | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    stream: bool = False
    include_usage: bool = False
    logprobs: bool = False


@dataclass(frozen=True)
class Usage:
    prompt_tokens: int
    completion_tokens: int

    def as_dict(self) -> dict[str, int]:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
        }


@dataclass(frozen=True)
class Token:
    text: str
    logprob: float

    def as_dict(self) -> dict[str, Any]:
        """In OpenAI's words."""
        raw = list(self.text.encode())
        return {"token": self.text, "logprob": self.logprob, "bytes": raw, "top_logprobs": []}


@dataclass(frozen=True)
class Completion:
    """`tokens` are there only where the request has `logprobs` and the engine knows them."""

    text: str
    usage: Usage
    metadata: Mapping[str, str]
    finish_reason: FinishReason = "stop"
    tool_calls: tuple[ToolCall, ...] = ()
    tokens: tuple[Token, ...] = ()


@dataclass(frozen=True)
class ToolCallDelta:
    """A piece of a call: its first has id and name, each a piece of the arguments."""

    index: int
    arguments: str
    id: str | None = None
    name: str | None = None


@dataclass(frozen=True)
class Part:
    """A piece of a streamed answer. The finish reason and the usage come at the end."""

    text: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    finish_reason: FinishReason | None = None
    usage: Usage | None = None


class TextEngine(Protocol):
    @property
    def name(self) -> str: ...

    async def complete(self, request: CompletionRequest) -> Completion: ...

    def stream(self, request: CompletionRequest) -> AsyncGenerator[Part, None]:
        """Closing it stops the engine."""


class Engine(TextEngine, Protocol):
    @property
    def models(self) -> tuple[Model, ...]:
        """Those that are listed beside Workers AI's own."""

    async def decide(self, request: DecisionRequest) -> Decided:
        """The probabilities of a decision model."""

    async def aclose(self) -> None: ...
