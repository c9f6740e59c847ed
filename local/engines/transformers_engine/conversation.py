"""Messages as the tokens that a base model reads."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from jinja2 import TemplateError

from local.engines import Message
from local.errors import AiError, bad_input
from trainer.errors import TrainingError
from trainer.templates import render

_ROLES = {"developer": "system", "tool": "user"}
_PROBES = ("0", "a")  # two last messages that have nothing in common
_KEPT_HEADS = 64

Turn = dict[str, str]


class Conversation:
    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self._heads: OrderedDict[str, list[int]] = OrderedDict()

    def tokens(self, messages: Sequence[Message]) -> list[int]:
        return self._encode(self._render(_turns(messages)))

    def shared(self, messages: Sequence[Message], tokens: Sequence[int]) -> int:
        """How many of the tokens do not hang on the last message: instructions, examples."""
        head = self._head(_turns(messages))
        return _common(head, tokens)

    def _head(self, turns: list[Turn]) -> list[int]:
        key = json.dumps([turns[:-1], turns[-1]["role"]])
        if key not in self._heads:
            probes = [[*turns[:-1], {**turns[-1], "content": probe}] for probe in _PROBES]
            one, other = (self._encode(self._render(probe)) for probe in probes)
            self._heads[key] = one[: _common(one, other)]
        self._heads.move_to_end(key)
        while len(self._heads) > _KEPT_HEADS:
            self._heads.popitem(last=False)
        return self._heads[key]

    def _render(self, turns: list[Turn]) -> str:
        try:
            return render(self.tokenizer, turns)
        except (TrainingError, TemplateError) as error:
            raise bad_input(f"the model's chat template refuses the messages: {error}") from error

    def _encode(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])


def require_room(tokens: Sequence[int], window: int) -> None:
    if len(tokens) >= window:
        raise AiError(
            5021,
            f"The number of input tokens ({len(tokens)}) exceeded this model context window "
            f"limit ({window}).",
        )


def _turns(messages: Sequence[Message]) -> list[Turn]:
    return [_turn(message) for message in messages]


def _turn(message: Message) -> Turn:
    calls = [json.dumps(call.as_dict()["function"]) for call in message.tool_calls]
    content = "\n".join([message.content, *calls] if message.content or not calls else calls)
    return {"role": _ROLES.get(message.role, message.role), "content": content}


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))
