"""Messages as the tokens that a base model reads: by its chat template, or plainly without one."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from jinja2 import TemplateError

from local.engines import Message
from local.errors import AiError, bad_input

_ROLES = {"developer": "system", "tool": "user"}
_BETWEEN = "\n\n"
_PROBES = ("0", "a")  # two last messages that have nothing in common
_KEPT_HEADS = 64

Turn = dict[str, str]


class Conversation:
    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self._heads: OrderedDict[str, list[int]] = OrderedDict()
        self._takes_system = self._shows_system()

    def tokens(self, messages: Sequence[Message]) -> list[int]:
        return self._encode(self._render(_turns(messages)))

    def shared(self, messages: Sequence[Message], tokens: Sequence[int]) -> int:
        """How many of the tokens do not hang on the last message: instructions, examples."""
        head = self._head(_turns(messages))
        return _common(head, tokens)

    def after_a_turn(self) -> list[int]:
        """The tokens that the template puts after what the assistant said."""
        if not self.tokenizer.chat_template:
            return []
        turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "SAID"}]
        text: str = self.tokenizer.apply_chat_template(turns, tokenize=False)
        return self._encode(text.rpartition("SAID")[2])

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
        if not self.tokenizer.chat_template:
            return _BETWEEN.join([turn["content"] for turn in turns] + [""])
        given = turns if self._takes_system else folded(turns)
        try:
            return str(
                self.tokenizer.apply_chat_template(
                    given, tokenize=False, add_generation_prompt=True
                )
            )
        except TemplateError as error:
            raise bad_input(f"the model's chat template refuses the messages: {error}") from error

    def _encode(self, text: str) -> list[int]:
        special = not self.tokenizer.chat_template  # else the template has written them
        return list(self.tokenizer(text, add_special_tokens=special)["input_ids"])

    def _shows_system(self) -> bool:
        """Whether the template takes a system message; some refuse it, some leave it out."""
        turns = [{"role": "system", "content": "RULES"}, {"role": "user", "content": "a"}]
        try:
            return "RULES" in self.tokenizer.apply_chat_template(turns, tokenize=False)
        except (TemplateError, ValueError):  # ValueError: there is no template
            return False


def folded(turns: list[Turn]) -> list[Turn]:
    """System texts before the first user message, a blank line between: as adapters are taught."""
    texts = [turn["content"] for turn in turns if turn["role"] == "system"]
    rest = [turn for turn in turns if turn["role"] != "system"]
    if not texts:
        return rest
    at = next((at for at, turn in enumerate(rest) if turn["role"] == "user"), None)
    if at is None:
        return [{"role": "user", "content": _BETWEEN.join(texts)}, *rest]
    content = _BETWEEN.join([*texts, rest[at]["content"]])
    return [*rest[:at], {"role": "user", "content": content}, *rest[at + 1 :]]


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
