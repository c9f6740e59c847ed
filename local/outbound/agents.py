"""The agents of agents.example.com: each answers with its name and the text that it received."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from local.adapters import no_adapter
from local.answers import Answer
from local.catalogue import Model
from local.completing import chat_answer
from local.engines import Completion, CompletionRequest, Part, Usage
from local.engines.parts import parts_of
from local.faults import Fault
from local.inputs import native_inputs, read_request

AGENTS_HOST = "agents.example.com"
_CONTEXT_WINDOW = 128_000


def words_of(agent: str, text: str) -> str:
    return f"I am {agent}, an agent at {AGENTS_HOST}. You said: {text}"


class Echo:
    """The engine of one agent."""

    def __init__(self, agent: str) -> None:
        self.name = agent

    async def complete(self, request: CompletionRequest) -> Completion:
        users = [message.content for message in request.messages if message.role == "user"]
        text = words_of(self.name, users[-1] if users else "")
        usage = Usage(sum(len(m.content) for m in request.messages) // 4 + 1, len(text) // 4)
        return Completion(text, usage, {"engine": self.name})

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Part, None]:
        async with aclosing(parts_of(await self.complete(request))) as parts:
            async for part in parts:
                yield part


async def answer_chat(agent: str, body: Any, fault: Fault | None, now: float) -> Answer:
    """OpenAI's chat completions, whatever model is named."""
    inputs = native_inputs(body) if isinstance(body, dict) else body
    model = Model(agent, "openai", json_mode=True, lora=False, context_window=_CONTEXT_WINDOW)
    request = read_request(model, inputs, no_adapter)
    return await chat_answer(Echo(agent), request, fault, now)
