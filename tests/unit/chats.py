"""What the tests of chats share: requests, models' answers, and streams read as clients read
them."""

import json
from typing import Any

from edgeneuro.domain.decision import Usage
from edgeneuro.gateway.interface import Delta, ModelAnswer
from edgeneuro_testing.gateway import Streamed
from tests.unit.conftest import Answered, Product

LLAMA = "@cf/meta/llama-3.2-1b-instruct"
GRANITE = "@cf/ibm-granite/granite-4.0-h-micro"
LORA = "intent-routing-v1"
USAGE = Usage(prompt_tokens=30, completion_tokens=10, total_tokens=40)
# By LLAMA's prices.
COST = (30 * 0.027 + 10 * 0.201) / 1e6
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "look_up",
        "description": "Looks an order up.",
        "parameters": {"type": "object", "properties": {"id": {"type": ["string", "null"]}}},
    },
}
CALL: dict[str, Any] = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "look_up", "arguments": '{"id": "7"}'},
}


def user(text: str = "How many days of leave?") -> dict[str, Any]:
    return {"role": "user", "content": text}


async def chat(product: Product, model: str = "agent:hr", **fields: Any) -> Answered:
    return await product.call(
        "POST", "/v1/chat/completions", {"model": model, "messages": [user()], **fields}
    )


def talks(text: str = "Thirty days.", usage: Usage = USAGE) -> ModelAnswer:
    return ModelAnswer(content=text, usage=usage)


def streams(*words: str, usage: Usage | None = USAGE) -> Streamed:
    parts = [Delta(content=word) for word in words]
    return Streamed([*parts, Delta(finish_reason="stop"), Delta(usage=usage)])


def events(text: str) -> list[Any]:
    """The events of a stream, the last one being "[DONE]" where the stream is whole."""
    assert text.endswith("\n\n")
    found = []
    for event in text.removesuffix("\n\n").split("\n\n"):
        assert event.startswith("data: ")
        data = event.removeprefix("data: ")
        found.append(data if data == "[DONE]" else json.loads(data))
    return found


def said(chunks: list[Any]) -> str:
    return "".join(
        choice["delta"].get("content", "")
        for chunk in chunks
        if chunk != "[DONE]"
        for choice in chunk.get("choices", [])
    )


def tries(facts: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(one["purpose"], one["model"], one["outcome"]) for one in facts["attempts"]]
