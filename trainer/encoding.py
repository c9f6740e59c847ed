"""Lines as tokens: the prompt, and the completion that is learned."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trainer.data import Example
from trainer.errors import TrainingError
from trainer.templates import end_token_ids, render

_MAX_SHOWN = 5


@dataclass(frozen=True)
class Encoded:
    """Token ids. `ids` from `start` on are the completion, with the token that ends it."""

    ids: list[int]
    start: int


def encode(
    tokenizer: Any, examples: Sequence[Example], *, max_length: int, name: str
) -> list[Encoded]:
    """Raises TrainingError for lines that are longer than `max_length` tokens: cut off, a line
    would lose its answer."""
    ends = end_token_ids(tokenizer)
    encoded = [_encoded(tokenizer, example, ends) for example in examples]
    long = [
        f"line {example.line} has {len(each.ids)}"
        for example, each in zip(examples, encoded, strict=True)
        if len(each.ids) > max_length
    ]
    if long:
        raise TrainingError(
            f"{name}: {len(long)} lines have more than {max_length} tokens"
            f" ({', '.join(long[:_MAX_SHOWN])}). Raise --max-length up to the model's context"
            " window, or shorten the agents' descriptions and examples."
        )
    return encoded


def _encoded(tokenizer: Any, example: Example, ends: Sequence[int]) -> Encoded:
    """The two parts are tokenized separately, as when the router calls and the model answers."""
    prompt = render(tokenizer, example.messages)
    whole = render(tokenizer, example.messages, answer=example.completion)
    if not whole.startswith(prompt):
        raise TrainingError(
            "The chat template writes the prompt in another way once there is an answer; such a"
            " base cannot be trained here."
        )
    start = _tokens(tokenizer, prompt)
    answer = _tokens(tokenizer, whole[len(prompt) :].rstrip("\n"))
    if answer[-1] not in ends:
        answer.append(tokenizer.eos_token_id)
    return Encoded(start + answer, len(start))


def _tokens(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def fingerprint(examples: Sequence[Encoded]) -> str:
    """One hash of all examples."""
    text = json.dumps([[each.ids, each.start] for each in examples])
    return hashlib.sha256(text.encode()).hexdigest()
