"""The agents of agents.example.com: each answers with its name and the text that it received,
"not-mine" and "not-mine-header" that the question is not for them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from local.adapters import no_adapter
from local.answers import DONE, Answer, Parts, event, json_answer
from local.catalogue import Model
from local.completing import chat_answer, event_stream
from local.engines import Completion, CompletionRequest, Part, Usage
from local.engines.parts import parts_of
from local.faults import Fault
from local.inputs import native_inputs, read_request

AGENTS_HOST = "agents.example.com"
NOT_MINE, NOT_MINE_HEADER = "not-mine", "not-mine-header"
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


async def _events(*bodies: Any) -> Parts:
    for body in bodies:
        yield event(body)
    yield DONE


async def answer_chat(agent: str, body: Any, fault: Fault | None, now: float) -> Answer:
    """OpenAI's chat completions, whatever model is named."""
    if agent == NOT_MINE_HEADER:
        return json_answer(200, {}, {"x-edgeneuro-not-mine": "1"})
    if agent == NOT_MINE:
        mark = {"edgeneuro": {"not_mine": True, "reason": f"{agent} knows nothing of this."}}
        streams = isinstance(body, dict) and body.get("stream") is True
        return event_stream(_events(mark)) if streams else json_answer(200, mark)
    inputs = native_inputs(body) if isinstance(body, dict) else body
    model = Model(agent, "openai", json_mode=True, lora=False, context_window=_CONTEXT_WINDOW)
    request = read_request(model, inputs, no_adapter)
    return await chat_answer(Echo(agent), request, fault, now)
