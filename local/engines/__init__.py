"""What an engine is: something that turns a checked request into a text and its usage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from local.catalogue import Model

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True)
class Message:
    role: str
    content: str


@dataclass(frozen=True)
class JsonMode:
    """JSON output was asked for; without a schema any object will do."""

    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class CompletionRequest:
    model: Model
    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    json_mode: JsonMode | None = None
    lora: str | None = None


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
class Completion:
    text: str
    usage: Usage
    metadata: Mapping[str, str]
    finish_reason: FinishReason = "stop"


class Engine(Protocol):
    @property
    def name(self) -> str: ...

    async def complete(self, request: CompletionRequest) -> Completion: ...

    async def aclose(self) -> None: ...
